"""Show where there are cells: the mask, its settings, and the masks of other settings."""

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from cellcutter_core.config import PAPER, MaskSettings
from cellcutter_core.evaluation.metrics import mask_iou
from cellcutter_core.markers.finding import is_covered
from cellcutter_core.training.inputs import check_mask
from cellcutter_core.view.render import mask_outline
from pages.parts.mask.controls import PARAMETERS, mask_grid, suit, switch, take
from pages.shared import panels, python_code, state
from pages.shared.caching import cached_steps
from pages.shared.caching.in_child import Cancelled, NotYet, rest
from pages.shared.settings import setting
from pages.shared.sharing import share
from pages.shared.viewer.frame import linked_panes


def _mask_or_preview() -> tuple[NDArray[np.bool_], float | None]:
    """Return the mask and the seconds it took, or, while it is computed, a preview and None."""
    if state.choices().config.mask.automatic:
        return cached_steps.timed_mask(note)
    try:
        return cached_steps.soon_mask(note)
    except NotYet:
        return cached_steps.rough_preview(note), None


state.enter("mask")
panels.head("mask")
image = panels.needs(cached_steps.image)
settings = state.choices().config.mask
edited = state.edited_markers() is not None

controls, view = st.columns([1, 3], gap="large")
with controls:
    st.session_state["mask_automatic"] = settings.automatic
    st.toggle(
        "Automatic",
        key="mask_automatic",
        on_change=switch,
        help=MaskSettings.model_fields["automatic"].description,
    )
    if not settings.automatic:
        for name in PARAMETERS:
            setting("mask", name, steps=cached_steps.priors() if name == "prior" else ())
        setting("mask", "scaling")
        st.button(
            "Suit this image",
            icon=":material/tune:",
            key="mask_suit",
            on_click=suit,
            help="Sets values whose graph cut of this image is close to the automatic mask.",
        )
        st.button(
            "As published",
            icon=":material/article:",
            key="mask_published",
            on_click=take,
            args=(PAPER.mask.replace(automatic=False),),
            help="Prior 0.985, max_weight 10 and sigma 0.03: the values for the paper's images.",
        )
    if settings.automatic:
        st.caption(
            "Nothing to set: the nuclei themselves are segmented, so the mask is their markers. "
            "Switch it off to use the graph cut of the paper's notebook."
            if is_covered(image, state.choices().config)
            else "Nothing to set: the graph cut uses the foreground probability of each pixel, "
            "estimated from this image. Switch it off to use the graph cut of the paper's notebook."
        )

pending = False
with view:
    panels.wait_for_consent("mask")
    note = st.empty()
    with panels.show_errors():
        mask, seconds = _mask_or_preview()
        pending = seconds is None
        if not pending:
            with panels.show_errors():
                check_mask(mask, state.choices().config)
        black_and_white = np.repeat(np.where(mask, np.uint8(255), np.uint8(0))[..., None], 3, 2)
        linked_panes(
            {
                "Image, with the outline of the mask": mask_outline(cached_steps.picture(), mask),
                "Mask: white is cell": black_and_white,
            },
            n_columns=2,
            key="mask_panes",
            place=cached_steps.step_keys()["image"],
            alt=f"Image and mask; the mask covers {mask.mean():.0%} of the region",
            pixel_size=cached_steps.pixel_size(),
        )
        with st.container(horizontal=True):
            st.metric("Mask area", f"{mask.mean():.1%}")
            time_taken = "preview" if pending else f"{seconds:.2f} s"
            st.metric("Time", time_taken, help="How long it took to compute this mask.")
            if image.truth is not None:
                agreement = mask_iou(mask, image.truth > 0, ignore=image.ignore)
                st.metric(
                    "IoU with the truth",
                    f"{agreement:.3f}",
                    help="Intersection over union of the mask and the union of all true cells.",
                )

if st.toggle("Try a range of parameters", key="mask_grid_shown", persist_state="session"):
    if cached_steps.is_large():
        st.info("The grid needs a smaller region; choose one on the page Data.")
    else:
        mask_grid(settings)

with st.container(horizontal=True, horizontal_alignment="distribute"):
    panels.next_step("cells")
    share(place=cached_steps.step_keys()["image"])
data = python_code.data_code(state.choices(), cached_steps.whole_image(), cached_steps.region())
cells = python_code.cells_code(data, state.choices(), image, edited=edited)
panels.footer("mask", python_code.mask_code(cells, state.choices(), image, edited=edited))

if pending:
    rest()
    try:
        if not cached_steps.better_preview(note):
            cached_steps.timed_mask(note)
    except Cancelled:
        st.rerun()
    except ValueError as error:
        # A rerun would compute it again, and fail again.
        note.error(str(error), icon=":material/error:")
    else:
        st.rerun()
