"""Make a run from the current choices and put it into the queue."""

from __future__ import annotations

import streamlit as st

from cellcutter_core.people.allowance import path_for
from cellcutter_core.runs.others import Other
from cellcutter_core.runs.store import Run
from cellcutter_core.training.datasets import make_dataset
from pages.shared import other_images, state
from pages.shared.caching import cached, cached_others, cached_runs
from pages.shared.person import person


def start_run() -> Run:
    """Write a run of the current choices, queue it and open it.

    The other images to train on are prepared one after the other; the page names the current one.

    Raises
    ------
    ValueError
        If the core refuses something; then no run is written.
    """
    config = state.choices().config
    inputs, truth = cached.inputs()
    # An error in the crops is raised here, before anything is written.
    make_dataset(inputs, config)
    run = Run.of_image(
        path_for(person()),
        cached.image(),
        config,
        (inputs, truth),
        others=_prepared_others(),
        pixel_size=cached.pixel_size(),
        reading=state.choices().source.reading,
        owner=person(),
        **state.description(),
    )
    other_images.forget_refused()
    cached_runs.jobs().submit(run)
    state.open_run(run.id)
    return run


def _prepared_others() -> list[Other]:
    """Find mask and markers of the chosen other images; an error in one ends it."""
    chosen = state.choices().others
    found = []
    for number, other in enumerate(chosen, 1):
        line = f"Finding mask and markers in {other.name}, {number} of {len(chosen)} others …"
        with st.spinner(line):
            found.append(cached_others.prepared(other))
    return found
