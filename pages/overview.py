"""Show the pipeline in one picture, and run the whole sample with one click."""

from collections.abc import Callable
from functools import partial

import streamlit as st

from cellcutter_core.choices.choices import Choices
from cellcutter_core.config import QUICK
from cellcutter_core.view.figure_style import illustration
from cellcutter_core.view.marker_drawing import markers_picture
from cellcutter_core.view.render import (
    Rgb,
    composite,
    mask_outline,
    overlay,
    probability_colors,
)
from pages.shared import panels, start, state
from pages.shared.caching import cached_runs, cached_steps
from pages.shared.run_words import STALE, with_others

LARGEST = 600


def shown(key: str, make: Callable[[], Rgb], *, caption: str, alt: str) -> None:
    """Show an illustration as a data URI: it needs no second request and no Plotly."""
    uri = cached_steps.drawn(f"illustration {key}", lambda: illustration(make(), largest=LARGEST))
    st.image(uri, caption=caption, width="stretch", alt=alt)


state.enter("overview")
panels.head("overview")

words, hero = st.columns([3, 2], gap="large", vertical_alignment="top")
with words:
    st.markdown(
        "**cellcutter** finds single cells in your microscope image without a single hand-drawn "
        "label. A graph cut finds where there are cells, and nuclei say where each cell is. A "
        "small network that was taught on simulated cells is then trained on this very image. It "
        "learns to cover the mask with cells that do not overlap."
    )
    own = state.choices().source if state.choices().source.kind != "sample" else None
    with st.container(horizontal=True):
        train = own is not None and st.button(
            f"Train on {with_others(own.title, len(state.choices().others))}",
            type="primary",
            icon=":material/play_arrow:",
        )
        run_sample = st.button(
            "Run the sample",
            type="secondary" if own else "primary",
            icon=":material/science:" if own else ":material/play_arrow:",
        )
        if train or run_sample:
            with panels.show_errors():
                if run_sample:
                    state.take_instead(Choices(config=QUICK))
                start.start_run()
                panels.go("train")
        if st.button("Use your own image", icon=":material/upload:", type="tertiary"):
            st.session_state.data_kind = "file"
            panels.go("data")

image = panels.needs(cached_steps.image)
opened = state.run()
# Only cells that a training on this image has found are shown as cells.
stale = state.out_of_date(opened) if opened else ()
trained = opened if opened and any(opened.epochs) and "image" not in stale else None
last = trained.epochs[-1] if trained else 0
with hero:
    # This picture needs no computation, so it appears at once.
    title = state.choices().source.title
    if trained:
        shown(
            f"hero {trained.path.name} {last}",
            lambda: cached_runs.run_cells(trained, last),
            caption=f"Cells of {title}: run {trained.path.name}, epoch {last}",
            alt="The current image with its cells",
        )
    else:
        shown(
            f"hero {cached_steps.step_keys()['image']}",
            cached_steps.picture,
            caption=title,
            alt="The current image",
        )
place = st.empty()
steps: dict[str, Callable[[], Rgb]] = {"Image": cached_steps.picture}
if not cached_steps.is_large():
    with panels.show_errors():
        points, picture = cached_steps.markers().points, cached_steps.picture()
        steps["Mask"] = partial(mask_outline, picture, cached_steps.mask())
        steps["Markers and crops"] = partial(
            markers_picture,
            picture,
            points,
            crop_size=state.choices().config.crops.size,
            selected=len(points) // 2,
        )
        if trained:
            drawing = cached_runs.epoch_of(trained, last)
            steps[f"Probabilities, epoch {last}"] = partial(probability_colors, drawing.probability)
            steps[f"Cells, epoch {last}"] = partial(overlay, picture, drawing.labels)
        else:
            only_cells = composite(image.pixels, cell=image.cell)
            steps["Markers to become cells"] = partial(markers_picture, only_cells, points)
known_by = cached_steps.step_keys(), trained and (trained.path.name, last)
with place.container():
    for number, (column, name) in enumerate(zip(st.columns(len(steps)), steps, strict=True), 1):
        with column:
            shown(
                f"step {name} {known_by}",
                steps[name],
                caption=f"**{number}** {name}" + (" →" if number < len(steps) else ""),
                alt=f"Step {number}, {name}",
            )
if trained and f"Cells, epoch {last}" in steps:
    changed = f" You have changed the {STALE[stale[0]]} since then." if stale else ""
    st.caption(f"Probabilities and cells come from run {trained.path.name}, epoch {last}.{changed}")
elif not trained:
    st.caption("Training finds one cell for each marker. The last picture then shows the cells.")
    panels.link("train", "Train to see the cells")
panels.explain("overview")
