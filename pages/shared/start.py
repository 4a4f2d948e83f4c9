"""Make a run from the current choices and put it into the queue."""

from __future__ import annotations

import streamlit as st

from cellcutter_core.runs.folder import new_run_path
from cellcutter_core.runs.others import Other
from cellcutter_core.runs.store import Run
from cellcutter_core.training.datasets import make_dataset
from cellcutter_core.training.image_inputs import seen_names, unseen_channels
from pages.shared import other_images, state
from pages.shared.caching import cached, cached_others, cached_runs


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
    image = cached.image()
    about = {
        **state.description(),
        "region": cached.region(),
        "whole": cached.whole_shape(),
        "pixel_size": cached.pixel_size(),
        **image.roles,
        "reading": state.choices().source.reading,
        "channels": seen_names(image, config),
    }
    others = _prepared_others()
    if others:
        about["others"] = [other.image.name for other in others]
    unseen = unseen_channels(image, config)
    run = Run.create(
        new_run_path(),
        inputs,
        config,
        truth=truth,
        unseen=unseen,
        others=others,
        description=about,
    )
    other_images.forget_refused()
    cached_runs.jobs().submit(run)
    state.open_run(run.path.name)
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
