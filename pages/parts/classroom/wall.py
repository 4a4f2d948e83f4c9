"""The wall of a class: a picture of every run, by the setting that varies, as they train."""

from __future__ import annotations

import streamlit as st

from cellcutter_core.runs.folder import RunSummary, list_runs
from cellcutter_core.runs.names import value_in_words
from cellcutter_core.sweeps.classroom import Classroom
from pages.shared.caching import cached_runs
from pages.shared.run_words import status_word

# Of a picture, in px: six in a row of a page, two on a phone.
WIDTH = 170
# The pictures of so many runs are drawn at once; a class has about thirty.
MOST_SHOWN = 120
EVERY = 2.0


def show(room: Classroom, *, may_open: bool) -> None:
    """Show the wall, again every two seconds.

    Parameters
    ----------
    room : Classroom
    may_open : bool
        Whether each run has a link that opens it.
    """
    st.fragment(_wall, run_every=EVERY)(room, may_open=may_open)


def _wall(room: Classroom, *, may_open: bool) -> None:
    runs = room.wall(list_runs()[0])
    if not runs:
        st.info("Nobody in this class has started a run yet.", icon=":material/hourglass_empty:")
        return
    done = sum(run.status == "finished" for run in runs)
    st.progress(done / len(runs), f"{done} of {len(runs)} runs finished")
    shown = runs[:MOST_SHOWN]
    if len(shown) < len(runs):
        st.caption(f"The first {MOST_SHOWN} of them are shown.")
    pictures = cached_runs.thumbnails(shown)
    for value, group in _by_value(room, shown):
        if room.variation is not None:
            st.markdown(f"**{room.variation.title} {value}**")
        with st.container(horizontal=True, gap="small"):
            for run in group:
                with st.container(width=WIDTH, gap=None):
                    _tile(run, pictures.get(run.id), may_open=may_open)


def _by_value(room: Classroom, runs: list[RunSummary]) -> list[tuple[str, list[RunSummary]]]:
    """Return the runs of each value together, in the order of the wall."""
    found: dict[str, list[RunSummary]] = {}
    for run in runs:
        found.setdefault(value_in_words(room.value_of(run)), []).append(run)
    return list(found.items())


def _tile(run: RunSummary, picture: str | None, *, may_open: bool) -> None:
    if picture:
        st.image(picture, width="stretch")
    score = (run.scores or {}).get("ap75")
    said = f"AP75 {score:.3f}" if score is not None else f"epoch {run.epochs_done} of {run.epochs}"
    if run.status != "finished":
        said = f"{status_word(run)}, {said}"
    label = f"{run.description.name or run.id[-5:]}: {said}"
    if may_open:
        st.page_link("pages/train.py", label=label, query_params={"run": run.id})
    else:
        st.caption(label)
