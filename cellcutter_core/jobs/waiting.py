"""Estimate how long a queued job waits, from the remaining time of the jobs before it."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence

from cellcutter_core.jobs.kinds import job_at
from cellcutter_core.runs.job_folder import JobFolder

# Seconds for a job that was asked to stop to finish its step or the prediction of an epoch.
STOPPING = 5.0


def seconds_to_wait(
    ahead: Sequence[JobFolder],
    *,
    n_workers: int,
    needs: Callable[[JobFolder], float | None],
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


def seconds_left(job: JobFolder, *, device: str | None = None) -> float | None:
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
    return STOPPING if job.asked_to_stop else job_at(job.path).seconds_left(device)
