"""From the present choices to a run that waits for its turn."""

from __future__ import annotations

from cellcutter_core.pipeline import make_dataset, seen_names, unseen_channels
from cellcutter_core.runs.folder import new_run_path
from cellcutter_core.runs.store import Run
from pages.shared import cached, cached_runs, state


def start_run() -> Run:
    """Write a run of the present choices, queue it and open it.

    Raises
    ------
    ValueError
        What the core refuses; then there is no run.
    """
    config = state.choices().config
    inputs, truth = cached.inputs()
    # What is wrong with them is said before anything is written.
    make_dataset(inputs, config)
    image = cached.image()
    about = {
        **state.description(),
        "region": cached.region(),
        "whole": cached.whole_image().shape,
        "pixel_size": cached.pixel_size(),
        **image.roles,
        "reading": state.choices().source.reading,
        "channels": seen_names(image, config),
    }
    unseen = unseen_channels(image, config)
    run = Run.create(new_run_path(), inputs, config, truth=truth, unseen=unseen, description=about)
    cached_runs.jobs().submit(run)
    state.open_run(run.path.name)
    return run
