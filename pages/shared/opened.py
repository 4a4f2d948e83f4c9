"""The open run, for pages that show what it made."""

from __future__ import annotations

import streamlit as st

from cellcutter_core.runs.store import Run
from pages.shared import cached_runs, panels, state
from pages.shared.run_words import stale_note, version_note


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
    version_note(run)
    stale_note(state.out_of_date(run))
    return run
