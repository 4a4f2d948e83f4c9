"""On the page Train: more images for the next run to train on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from cellcutter_core.choices.choices import Source
from cellcutter_core.choices.chosen_others import images_of, take_in
from cellcutter_core.choices.draft import keep_file
from pages.shared import panels, state
from pages.shared.caching import cached, cached_others

TURN = "train_others_turn"
REFUSED = "train_others_refused"
# More rows than this scroll; the button to start stays near.
MOST_ROWS = 6
LIST_HEIGHT = 300


def other_images() -> None:
    """Add images to train on beside the present one, see those that are there, take them away."""
    chosen = state.choices().others
    number = f" ({len(chosen)})" if chosen else ""
    with st.expander(
        f"Other images to train on as well{number}",
        icon=":material/photo_library:",
        key="train_more_images",
    ):
        st.caption(
            "One network is trained on all of them; they should be alike. Cell area and nuclei are "
            "found on each by itself, with the present settings. The training has as many steps as "
            "on one image, so give it more epochs where there are many. What it finds in them is "
            "on the page Results."
        )
        with panels.show_errors():
            _add()
        _say_refused()
        if chosen:
            _listed(chosen)


def _add() -> None:
    # Another key is another, empty widget: what was uploaded is on disk, and its memory goes.
    turn = st.session_state.setdefault(TURN, 0)
    given = st.file_uploader(
        "Images with the same kinds of channels, in as many files each",
        type=panels.IMAGE_FILES,
        accept_multiple_files=True,
        key=f"train_others_{turn}",
        help="They are read as the present image is, but all of each is used, not a region. Their "
        "channels have the roles that those of the same names have there. Of a file that holds "
        "several images all are taken. They stay on the computer that runs this app.",
    )
    if given:
        _take(given)
        st.session_state[TURN] += 1
        st.rerun()


def _take(given: Sequence[Any]) -> None:
    """Keep the uploaded files that can be trained on; remember what is wrong with the rest."""
    first, chosen = cached.image(), state.choices()
    kept = [keep_file(file.name, file.getvalue()) for file in given]
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
    # All at once, so that whoever interrupts it begins again with all of them.
    state.choose(others=chosen.others)
    st.session_state[REFUSED] = state.choices().source, refused


def _say_refused() -> None:
    source, refused = st.session_state.get(REFUSED, (None, []))
    # With another image another choice begins.
    if refused and source == state.choices().source:
        reasons = "\n".join(f"- `{name}`: {reason}" for name, reason in refused)
        st.warning(f"Not taken:\n{reasons}", icon=":material/error:")


def forget_refused() -> None:
    """What was wrong with files that were given is not to be said any more."""
    st.session_state.pop(REFUSED, None)


def _listed(chosen: Sequence[Source]) -> None:
    """A row for each, with a button to take it away."""
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
    """Size, channels and number of cells, or what is wrong with it by now."""
    try:
        found = cached_others.facts(other)
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
    n = cached_others.n_cells(other)
    if n is not None:
        parts.append(f"{n} {'cell' if n == 1 else 'cells'}")
    return " · ".join(parts)


def _remove(*others: Source) -> None:
    left = [other for other in state.choices().others if other not in others]
    state.choose(others=tuple(left))
    forget_refused()
