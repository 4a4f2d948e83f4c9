"""What is looked at in a run: taken from a link into the widgets that show it, and read from them.

The zoom is known in the browser alone. A link adds it there, and `viewer.frame` gives the zoom of
an opened link to the browser.
"""

from __future__ import annotations

import streamlit as st

from cellcutter_core.choices.link import View
from cellcutter_core.runs.store import Run

ZOOMS = "zooms"
"""Session-state key: for each place of the viewer the zoom that a link gave it."""

LATER = "view_later"
"""Session-state key: the run that was started from a link, and what the link shows of it."""

MODE, OTHER_RUN = "compare_mode", "compare_other"
# Keys of the widgets by what is compared; the id of the run follows.
_EPOCH = {
    "film": "compare_film",
    "epochs": "compare_right",
    "baselines": "compare_baselines",
    "truth": "compare_truth",
}
_OTHER_EPOCH = {"film": "compare_to", "epochs": "compare_left"}
_RESULTS = "results"


def set_view(run: Run, view: View) -> None:
    """Make the widgets show what a link says of a run; an epoch that the run lacks is ignored."""
    now = st.session_state
    if view.compare is not None:
        now[MODE] = view.compare
    epochs = run.epochs if view.epoch is not None else ()
    if view.epoch in epochs:
        for name in (*_EPOCH.values(), _RESULTS):
            now[f"{name}_{run.id}"] = view.epoch
    if view.other in epochs and view.compare in _OTHER_EPOCH:
        now[f"{_OTHER_EPOCH[view.compare]}_{run.id}"] = view.other


def set_view_later(run: Run, view: View) -> None:
    """Make `show_later` show what a link says of a run that has just been started."""
    st.session_state[LATER] = run.id, view


def show_later(run: Run) -> None:
    """Show once what a link says of this run, when it has the epoch."""
    started, view = st.session_state.get(LATER, (None, View()))
    if started == run.id and (view.epoch is None or view.epoch in run.epochs):
        del st.session_state[LATER]
        set_view(run, view)


def set_zoom(view: View, *places: str) -> None:
    """Make the viewer begin with the zoom of a link at these places."""
    if view.zoom is not None:
        st.session_state[ZOOMS] = dict.fromkeys(places, view.zoom)


def pass_zoom(old: str, new: str) -> None:
    """Make the viewer begin at a new place with the zoom that a link gave to an old one."""
    zooms = st.session_state.get(ZOOMS, {})
    if old in zooms:
        zooms[new] = zooms[old]


def view_of_comparison(run: Run, mode: str) -> View:
    """Return what the page Compare shows, once its widgets are drawn."""
    now, last = st.session_state, run.epochs[-1]
    epoch = now.get(f"{_EPOCH[mode]}_{run.id}", last) if mode in _EPOCH else last
    other = now.get(f"{_OTHER_EPOCH[mode]}_{run.id}") if mode in _OTHER_EPOCH else None
    if mode == "runs":
        other = now.get(OTHER_RUN)
    elif not isinstance(other, int):
        other = None  # The epoch before.
    return View(epoch=epoch, compare=mode, other=other)
