"""The open run on pages that show its results: its name, status and epoch."""

from __future__ import annotations

import streamlit as st

from cellcutter_core.runs.names import run_name
from cellcutter_core.runs.store import Progress, Run
from pages.shared import panels, state
from pages.shared.caching import cached_runs
from pages.shared.run_words import (
    OTHER_PERSONS,
    progress_line,
    stale_note,
    version_note,
    waiting_line,
)
from pages.shared.start import offer_experiment, start_button
from pages.shared.viewer import views


def opened_run(lacking: str) -> Run:
    """Return the open run if it has epochs; else show a message and stop the page.

    An experiment that a link names and that has not been run here can be started then.

    Parameters
    ----------
    lacking : str
        What is missing without a run, as the beginning of a sentence: "There are no cells".
    """
    run = state.run()
    if run is None and state.experiment_to_run() is not None:
        offer_experiment()
        start_button(None, differing=(), going=False)
        st.stop()
    if run is None or not run.epochs:
        why = (
            "no run is open. Start one on the page Train, or open one on the page Runs."
            if run is None
            else "the open run has no epoch. Watch it on the page Train; the first epoch takes the "
            "longest."
        )
        st.info(f"{lacking} yet: {why}", icon=":material/info:")
        panels.link("train")
        st.stop()
    panels.needs(lambda: cached_runs.run_inputs(run.path.name))
    now = run.progress
    going = now.status in ("queued", "running")
    if not going:
        views.show_later(run)
    st.fragment(_standing, run_every=1.0 if going else None)(run, now, [now])
    if run.is_read_only:
        st.caption(OTHER_PERSONS)
    version_note(run)
    stale_note(state.out_of_date(run))
    return run


def _standing(run: Run, drawn: Progress, first: list[Progress]) -> None:
    """Show name and status of the run. While it runs, the page reruns after each epoch."""
    if not run.path.is_dir():
        st.rerun()  # It was deleted, in another tab.
    # The first call is part of the page's own run. It takes the progress that the page was drawn
    # with, so that it starts no rerun before the page has handled a clicked button.
    now = first.pop() if first else run.progress
    line = waiting_line(run) if now.status == "queued" else progress_line(now)
    if now.status in ("queued", "running"):
        line += f" · epoch {run.epochs[-1]} is the last one so far"
    st.markdown(f":material/model_training: **{run_name(run)}**  \n:gray[:small[{line}]]")
    if (len(now.epoch_events), now.status) != (len(drawn.epoch_events), drawn.status):
        st.rerun()


def choose_epoch(
    label: str,
    run: Run,
    epochs: list[int],
    *,
    usual: int | None = None,
    key: str,
    follow: bool = False,
) -> int:
    """Show a slider over the stored epochs and return the chosen one; no slider for one epoch.

    It begins with the `usual` one, or else with the last. With `follow`, a slider at the last epoch
    moves on to each new epoch.
    """
    widget = f"{key}_{run.path.name}"
    if follow:
        known = st.session_state.get(f"{widget}_last")
        if known != epochs[-1] and st.session_state.get(widget) in (known, None):
            st.session_state[widget] = epochs[-1]
        st.session_state[f"{widget}_last"] = epochs[-1]
    if len(epochs) == 1:
        st.caption(f"{label}: {epochs[0]}, the only one")
        return epochs[0]
    st.session_state.setdefault(widget, epochs[-1] if usual is None else usual)
    return st.select_slider(label, epochs, key=widget, persist_state="session")
