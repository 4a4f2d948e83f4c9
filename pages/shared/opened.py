"""The open run, for pages that show what it made: which one it is, and how it goes on."""

from __future__ import annotations

import streamlit as st

from cellcutter_core.runs.store import Progress, Run
from pages.shared import panels, state
from pages.shared.caching import cached_runs
from pages.shared.run_words import progress_line, run_name, stale_note, version_note
from pages.shared.waiting import waiting_line


def opened_run(lacking: str) -> Run:
    """The open run if it has epochs; else the page says so and ends here.

    Parameters
    ----------
    lacking : str
        What there is not yet without a run, as the beginning of a sentence.
    """
    run = state.run()
    if run is None or not run.epochs:
        why = (
            "no run is open. Start one, or open one from the list of runs, on the page Train."
            if run is None
            else "the open run has no epoch. Watch it on the page Train; the first one takes the "
            "longest."
        )
        st.info(f"{lacking} yet: {why}", icon=":material/info:")
        panels.link("train")
        st.stop()
    panels.needs(lambda: cached_runs.run_inputs(run.path.name))
    which_run(run)
    version_note(run)
    stale_note(state.out_of_date(run))
    return run


def which_run(run: Run) -> None:
    """Name and standing of the run. While it goes on the page is drawn again with each epoch."""
    now = run.progress
    going = now.status in ("queued", "running")
    st.fragment(_standing, run_every=1.0 if going else None)(run, now, [now])


def _standing(run: Run, drawn: Progress, first: list[Progress]) -> None:
    # The first time it is part of the page, all of which is drawn to its end before it is drawn
    # again: a button that was pressed is in there somewhere.
    now = first.pop() if first else run.progress
    st.markdown(
        f":material/model_training: **{run_name(run)}**  \n:gray[:small[{standing_in_words(run)}]]"
    )
    if (len(now.epoch_events), now.status) != (len(drawn.epoch_events), drawn.status):
        st.rerun()


def standing_in_words(run: Run) -> str:
    """Where the run is, and which of its epochs are here."""
    now = run.progress
    line = waiting_line(run) if now.status == "queued" else progress_line(now)
    if now.status in ("queued", "running"):
        line += f" · epoch {run.epochs[-1]} is the last one so far"
    return line
