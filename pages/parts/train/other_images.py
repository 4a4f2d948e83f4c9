"""On the page Train: other images that the next run is also trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from cellcutter_core.choices.choices import Source
from cellcutter_core.choices.other_images import images_of, take_in
from cellcutter_core.choices.uploads import store_upload
from cellcutter_core.images.reading.known_formats import endings
from pages.shared import panels, state
from pages.shared.caching import cached_other_images, cached_steps
from pages.shared.person import person

TURN = "train_others_turn"
# A longer list scrolls, so that the start button stays near.
MOST_ROWS = 6
LIST_HEIGHT = 300


def other_images() -> None:
    """Let the user add other images to train on, list them, and remove them."""
    chosen = state.choices().others
    number = f" ({len(chosen)})" if chosen else ""
    with st.expander(
        f"Other images to train on as well{number}",
        icon=":material/photo_library:",
        key="train_more_images",
    ):
        st.caption(
            "One network is trained on all images, so they should be alike. Mask and markers are "
            "found for each image separately, with the current settings. The number of training "
            "steps stays the same, so set more epochs for many images. Their cells are shown on "
            "the page Results."
        )
        with panels.show_errors():
            _add()
        _say_refused()
        if chosen:
            _listed(chosen)


def _add() -> None:
    # A new key makes a new, empty widget. The files are on disk, so their memory can be freed.
    turn = st.session_state.setdefault(TURN, 0)
    given = st.file_uploader(
        "Images with the same kinds of channels, each in the same number of files",
        type=endings(),
        accept_multiple_files=True,
        key=f"train_others_{turn}",
        help="They are read like the current image, but each is used whole, not a region of it. "
        "Each channel has the role of the channel of the same name in the current image. All "
        "images in a file are taken. The files stay on the computer that runs this app.",
    )
    if given:
        _take(given)
        st.session_state[TURN] += 1
        st.rerun()


def _take(given: Sequence[Any]) -> None:
    """Keep the uploaded files that can be trained on; remember why the others were refused."""
    first, chosen = cached_steps.image(), state.choices()
    kept = [store_upload(file.name, file.getvalue(), person=person()) for file in given]
    together, apart = images_of(kept, chosen)
    refused = list(apart)
    for source in together:
        with st.spinner(f"Reading {source.title} …"):
            try:
                more = take_in(source, chosen, first)
            except ValueError as error:
                refused.append((source.title, str(error).removeprefix(f"{source.name}: ")))
            else:
                chosen = chosen.replace(others=(*chosen.others, *more))
    # All are added at once, so that after an interruption none of them is there yet.
    state.choose(others=chosen.others)
    st.session_state[state.REFUSED] = state.choices().source, refused


def _say_refused() -> None:
    source, refused = st.session_state.get(state.REFUSED, (None, []))
    # The messages belong to one image, and end with another one.
    if refused and source == state.choices().source:
        reasons = "\n".join(f"- `{name}`: {reason}" for name, reason in refused)
        st.warning(f"Not taken:\n{reasons}", icon=":material/error:")


def _listed(chosen: Sequence[Source]) -> None:
    """Show a row for each image, with a button that removes it."""
    height = LIST_HEIGHT if len(chosen) > MOST_ROWS else "content"
    with st.container(height=height, gap=None):
        for place, other in enumerate(chosen):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.button(
                    "",
                    icon=":material/close:",
                    type="tertiary",
                    key=f"train_remove_{place}_{other.digest[:8]}",
                    help=f"Train without {other.title}",
                    on_click=_remove,
                    args=(other,),
                )
                st.markdown(f"`{other.title}` · {_said(other)}")
    if len(chosen) > 1:
        st.button(
            "Remove all",
            icon=":material/delete:",
            key="train_remove_all",
            on_click=_remove,
            args=tuple(chosen),
        )


def _said(other: Source) -> str:
    """Return size, channels and number of cells, or why the image can no longer be read."""
    try:
        found = cached_other_images.facts(other)
    except ValueError as error:
        return f":red[{str(error).removeprefix(f'{other.name}: ')}]"
    rows, cols = found.shape
    parts = [f"{rows} × {cols} pixels", f"cells: {', '.join(found.cell)}"]
    if found.nucleus != "none":
        parts.append(f"nuclei: {found.nucleus}")
    planes = ("z", "t", "scene")
    parts += [f"{name} = {value}" for name, value in other.reading.items() if name in planes]
    if found.instead:
        parts.append(f":orange[the network {found.instead}]")
    n = cached_other_images.n_cells(other)
    if n is not None:
        parts.append(f"{n} {'cell' if n == 1 else 'cells'}")
    return " · ".join(parts)


def _remove(*others: Source) -> None:
    left = [other for other in state.choices().others if other not in others]
    state.choose(others=tuple(left))
    st.session_state.pop(state.REFUSED, None)
