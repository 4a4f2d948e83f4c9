"""Estimate how long a queued job waits, from the remaining time of the jobs before it."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Sequence
from statistics import mean

from cellcutter_core.apply.application import Application, applications
from cellcutter_core.jobs.estimate import estimate_seconds
from cellcutter_core.runs.store import Run

# Seconds for a job that was asked to stop to finish its step or the prediction of an epoch.
STOPPING = 5.0


def seconds_to_wait(
    ahead: Sequence[Run | Application],
    *,
    n_workers: int,
    needs: Callable[[Run | Application], float | None],
) -> float | None:
    """Estimate the seconds until a job starts that has these jobs before it.

    Parameters
    ----------
    ahead : sequence of Run or Application
        In the order of the queue, as from `Jobs.ahead`.
    n_workers : int
        How many jobs are executed at once.
    needs : callable
        Returns how long a job still takes, like `seconds_left`, or None if it is not known.

    Returns
    -------
    float or None
        None if it is not known for one of the jobs.
    """
    free = [0.0] * n_workers
    for job in ahead:
        seconds = needs(job)
        if seconds is None:
            return None
        heapq.heapreplace(free, free[0] + seconds)
    return free[0]


def seconds_left(job: Run | Application, *, device: str | None = None) -> float | None:
    """Estimate how long a running or queued job still takes.

    Parameters
    ----------
    job : Run or Application
    device : str, optional
        As for `estimate_seconds`.

    Returns
    -------
    float or None
        None for an application if no image is done, neither in it nor earlier with this network.
    """
    if job.asked_to_stop:
        return STOPPING
    return _of_images(job) if isinstance(job, Application) else _of_training(job, device)


def _of_training(run: Run, device: str | None) -> float:
    now = run.progress
    if now.status == "running" and now.seconds_left is not None:
        return now.seconds_left
    left = max(now.epochs - now.epochs_done, 0)
    if not left:
        return 0.0
    training = run.config.training.replace(epochs=left)
    config = run.config.replace(training=training)
    seconds, _ = estimate_seconds(run.inputs, config, device=device)
    # Of the first of these epochs some steps may be done.
    seconds *= 1 - now.step / (left * now.steps)
    if now.status == "running":
        # Before the first step, the time since the start counts as done.
        seconds -= time.time() - _last(run, "started")
    return max(seconds, 1.0)


def _of_images(application: Application) -> float | None:
    took = [one.seconds for one in application.progress.outcomes if not one.error]
    for other in applications(application.run):
        took = took or [one.seconds for one in other.progress.outcomes if not one.error]
    return mean(took) * application.progress.n_left if took else None


def _last(run: Run, kind: str) -> float:
    return max((event["time"] for event in run.events() if event["kind"] == kind), default=0.0)
