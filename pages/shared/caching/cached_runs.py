"""The queue, and the inputs and results of runs, each read or computed once.

As in `cached`, results belong to the session and are never written to. The cache key of an epoch
holds the time of its file, because a continued run may write an epoch of the same number again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from cellcutter_core.config import Config
from cellcutter_core.jobs.estimate import estimate_seconds
from cellcutter_core.jobs.executors import chosen_scheduler
from cellcutter_core.jobs.kinds import job_at
from cellcutter_core.jobs.queue import Jobs
from cellcutter_core.jobs.warm_process import SPARE
from cellcutter_core.processes.threads import Threads
from cellcutter_core.runs.doubts import doubts
from cellcutter_core.runs.folder import RunSummary, find_run, path_of
from cellcutter_core.runs.job_folder import JobFolder
from cellcutter_core.runs.store import Progress, Run
from cellcutter_core.training.inputs import Inputs, Truth, baselines
from cellcutter_core.training.predicted_labels import Prediction
from cellcutter_core.view.coloring import marker_colors
from cellcutter_core.view.curves import loss_curves, score_curves
from cellcutter_core.view.figure_style import thumbnail
from cellcutter_core.view.render import Rgb, composite, overlay
from cellcutter_core.view.truth import Compared, changed_share, compare_truth, numbered_by_markers
from pages.shared import state
from pages.shared.caching import cached_steps


@st.cache_resource
def queues() -> list[Jobs]:
    """Return the queues of this server: on a cluster a second one, of jobs that spread there."""
    return [Jobs(), Jobs(Threads(1))] if chosen_scheduler() else [Jobs()]


def jobs(job: JobFolder | None = None) -> Jobs:
    """Return the queue of a job; default that of trainings."""
    return queues()[-1 if job is not None and job_at(job.path).spreads else 0]


# Before a run -------------------------------------------------------------------------------------


def device() -> str | None:
    """Return what a training runs on here, once that is known; None if it runs on a cluster."""
    return None if chosen_scheduler() else SPARE.known()


def trains_on() -> str | None:
    """Describe what a training runs on; None if that is not known yet."""
    if scheduler := chosen_scheduler():
        return f"A worker of {scheduler}"
    return SPARE.known() or SPARE.problem


@st.cache_data(max_entries=8, ttl=60, scope="session", show_spinner=False)
def _estimate(key: str, device: str | None, _inputs: Inputs, _config: Config) -> tuple[float, str]:
    del key
    return estimate_seconds(_inputs, _config, device=device)


def estimate(same: Run | None = None) -> tuple[float, str]:
    """Estimate the seconds of a training with the current choices, and say how that is known.

    Parameters
    ----------
    same : Run, optional
        A run with the inputs that a new run would get: then the inputs need not be computed.

    Raises
    ------
    ValueError
        As `cached_steps.inputs`.
    """
    given, _ = cached_steps.inputs() if same is None else run_inputs(same.path.name)
    # The end of the open run may have shown how fast this machine is.
    opened = state.run()
    known = "" if opened is None else f"{opened.id} {opened.progress.status}"
    key = f"{cached_steps.step_keys()['training']} {known}"
    return _estimate(key, device(), given, state.choices().config)


# What a run was given -----------------------------------------------------------------------------


def _given_at(run_id: str) -> int:
    """Return when the inputs of a run were written: before epoch 0 it may drop markers."""
    file = path_of(run_id) / "inputs.npz"
    return file.stat().st_mtime_ns if file.exists() else 0


@st.cache_resource(max_entries=2, scope="session", show_spinner=False)
def _run_inputs(run_id: str, given_at: int) -> tuple[Inputs, Truth | None]:
    del given_at
    opened = find_run(run_id)
    return opened.inputs, opened.truth


def run_inputs(run_id: str) -> tuple[Inputs, Truth | None]:
    """Return the inputs and the truth of a run."""
    return _run_inputs(run_id, _given_at(run_id))


def true_labels(run_id: str) -> NDArray[np.int32] | None:
    """Return the (H, W) true label image of a run, or None if the truth is not known."""
    _, truth = run_inputs(run_id)
    return None if truth is None else truth.labels


@st.cache_data(max_entries=3, scope="session", show_spinner=False)
def run_picture(run_id: str) -> Rgb:
    """Return the cell channels of a run's image as a grey picture."""
    given, _ = run_inputs(run_id)
    return composite(given.image, cell=range(given.image.shape[-1]))


@st.cache_data(max_entries=3, scope="session", show_spinner=False)
def _run_colors(run_id: str, given_at: int) -> NDArray[np.int64]:
    del given_at
    return marker_colors(run_inputs(run_id)[0].points)


def run_colors(run_id: str) -> NDArray[np.int64]:
    """Return the colour of each cell of a run: the same in all its epochs and baselines."""
    return _run_colors(run_id, _given_at(run_id))


@st.cache_data(max_entries=2, scope="session", show_spinner=False)
def _run_truth(run_id: str, given_at: int) -> Rgb:
    del given_at
    labels = true_labels(run_id)
    if labels is None:
        raise ValueError("the true cells of this run's image are not known")
    numbered = numbered_by_markers(labels, run_inputs(run_id)[0].points)
    return overlay(run_picture(run_id), numbered, colors=run_colors(run_id))


def run_truth(run_id: str) -> Rgb:
    """Return the image of a run with the true cells, coloured like the cells of their markers.

    Raises
    ------
    ValueError
        If the true cells are not known.
    """
    return _run_truth(run_id, _given_at(run_id))


# Small pictures of runs are kept up to this number; one has about 10 kB.
KEPT_THUMBNAILS = 2000
# Session-state key: whether the page lacks some of them.
NOT_ALL = "thumbnails_missing"
# Seconds in which new small pictures are drawn before a page is shown without the others.
DRAWING_TIME = 0.7


@st.cache_resource
def _thumbnails() -> dict[tuple[str, int | None, float], str | None]:
    """The small pictures drawn so far, oldest first, for all visitors."""
    return {}


def thumbnails(runs: Sequence[RunSummary]) -> dict[str, str | None]:
    """Return small pictures of runs by id; None for a damaged run.

    New ones are drawn for a moment, at least one, and the rest is left out. So asking again ends
    with all of them, see `rest_of_thumbnails`.
    """
    known, found = _thumbnails(), dict[str, str | None]()
    end = time.monotonic() + DRAWING_TIME
    n_drawn = 0
    for run in runs:
        last = run.epoch_events[-1] if run.epoch_events else {}
        key = (run.id, last.get("epoch"), last.get("time", 0.0))
        if key not in known:
            if n_drawn and time.monotonic() > end:
                continue
            known[key] = _thumbnail(run.id, last.get("epoch"))
            n_drawn += 1
            while len(known) > KEPT_THUMBNAILS:
                known.pop(next(iter(known)), None)
        found[run.id] = known[key]
    st.session_state[NOT_ALL] = len(found) < len(runs)
    return found


def rest_of_thumbnails() -> None:
    """Show the page again if it lacks small pictures. It ends with this, so no click is lost."""
    if st.session_state.pop(NOT_ALL, False):
        st.rerun()


def _thumbnail(run_id: str, number: int | None) -> str | None:
    try:
        opened = find_run(run_id)
        given = opened.inputs
        labels = None if number is None else opened.epoch(number).labels
    except (OSError, ValueError):
        return None
    picture = composite(given.image, cell=range(given.image.shape[-1]))
    return thumbnail(picture, labels, colors=marker_colors(given.points))


# What it made -------------------------------------------------------------------------------------


@st.cache_resource(max_entries=6, scope="session", show_spinner=False)
def _epoch(run_id: str, number: int, stamp: float) -> Prediction:
    del stamp
    return find_run(run_id).epoch(number)


def stamp(opened: Run, number: int) -> float:
    """Return the modification time of an epoch's file."""
    file = opened.path / "epochs" / f"{number:04d}.npz"
    return file.stat().st_mtime if file.exists() else 0.0


def epoch_of(opened: Run, number: int) -> Prediction:
    """Return the stored prediction of an epoch of a run.

    Raises
    ------
    ValueError
        If there is no such epoch.
    """
    return _epoch(opened.path.name, number, stamp(opened, number))


@st.cache_resource(max_entries=2, scope="session", show_spinner=False)
def run_baselines(run_id: str) -> dict[str, NDArray[np.int32]]:
    """Return the baselines of a run by name. Runs of early versions have only one."""
    return find_run(run_id).baselines or baselines(run_inputs(run_id)[0])


def _cells(opened: Run, which: int | str) -> tuple[str, str, float, NDArray[np.int32]]:
    """Return run id, name and time as cache key, and the cells of an epoch or a baseline."""
    name = opened.path.name
    if isinstance(which, str):
        return name, which, 0.0, run_baselines(name)[which]
    return name, str(which), stamp(opened, which), epoch_of(opened, which).labels


@st.cache_data(max_entries=24, scope="session", show_spinner=False)
def _run_overlay(run_id: str, name: str, stamp: float, _labels: NDArray[np.int32]) -> Rgb:
    del name, stamp
    return overlay(run_picture(run_id), _labels, colors=run_colors(run_id))


def run_cells(opened: Run, which: int | str) -> Rgb:
    """Return the image of a run with the cells of an epoch or a baseline in colours.

    Raises
    ------
    ValueError
        If there is no such epoch.
    """
    return _run_overlay(*_cells(opened, which))


@st.cache_resource(max_entries=8, scope="session", show_spinner=False)
def _against_truth(run_id: str, name: str, stamp: float, _labels: NDArray[np.int32]) -> Compared:
    del name, stamp
    _, truth = run_inputs(run_id)
    if truth is None or truth.labels is None:
        raise ValueError("this run has no true cells to compare with")
    return compare_truth(_labels, truth.labels, ignore=truth.ignore)


def against_truth(opened: Run, which: int | str) -> Compared:
    """Compare the cells of an epoch or a baseline with the true cells.

    Raises
    ------
    ValueError
        If the run has no truth or there is no such epoch.
    """
    return _against_truth(*_cells(opened, which))


@st.cache_data(max_entries=500, scope="session", show_spinner=False)
def _changed(run_id: str, numbers: tuple[int, int], stamps: tuple[float, float]) -> float:
    del stamps
    opened = find_run(run_id)
    return changed_share(*(opened.epoch(number).labels for number in numbers))


def changed(opened: Run, epochs: Sequence[int]) -> dict[int, float]:
    """Return for each stored epoch but the first the share that changed since the one before."""
    return {
        pair[1]: _changed(opened.path.name, pair, (stamp(opened, pair[0]), stamp(opened, pair[1])))
        for pair in pairwise(epochs)
    }


@st.cache_data(max_entries=8, scope="session", show_spinner=False)
def _doubts(run_id: str, stamp: float) -> list[str]:
    del stamp
    return doubts(find_run(run_id))


def run_doubts(opened: Run) -> list[str]:
    """Return reasons to doubt the cells of a run, see `runs.doubts.doubts`."""
    return _doubts(opened.path.name, stamp(opened, opened.epochs[-1])) if opened.epochs else []


@st.cache_resource(max_entries=6, scope="session", show_spinner=False)
def _run_curves(run_id: str, key: str, _now: Progress) -> tuple[Any, Any]:
    del key
    opened = find_run(run_id)
    training, events = opened.config.training, _now.epoch_events
    warm_up = training.warm_up / training.steps
    losses = loss_curves(
        {"Loss": events},
        warm_up=warm_up,
        epochs=_now.epochs,
        continued=_now.continued,
        settings=training,
    )
    if run_inputs(run_id)[1] is None:
        return losses, None
    levels = opened.baseline_scores
    return losses, score_curves({"Network": events}, baselines=levels, epochs=_now.epochs)


def run_curves(opened: Run, now: Progress) -> tuple[Any, Any]:
    """Return figures of loss and scores over the epochs; without a truth, scores are None."""
    last = now.epoch_events[-1]["time"] if now.epoch_events else now.status
    return _run_curves(opened.path.name, f"{now.epochs_done} {now.epochs} {last}", now)
