"""The place of a job in the queue, and about how long it has to wait."""

from __future__ import annotations

from collections import Counter

import streamlit as st

from cellcutter_core.jobs.kinds import KINDS, job_at
from cellcutter_core.jobs.queue import Jobs
from cellcutter_core.jobs.waiting import seconds_left, seconds_to_wait
from cellcutter_core.runs.job_folder import JobFolder
from pages.shared.caching import cached_runs
from pages.shared.person import person
from pages.shared.run_words import format_duration


def waiting_line(job: JobFolder) -> str:
    """Describe a queued job: its place, what is ahead of it, and about when it starts."""
    jobs = cached_runs.jobs(job)
    place = jobs.position(job)
    if place is None:
        return "Waiting in the queue"
    ahead = jobs.ahead(job)
    which = "next in line" if place == 1 else f"number {place} in line"
    return f"Waiting: {which}{_because(ahead)}{_starts(ahead, jobs, 'It starts')}"


def others_first() -> str:
    """Describe what a training started now would wait for; empty if it would start at once."""
    jobs = cached_runs.jobs()
    ahead = jobs.ahead(person=person())
    if len(ahead) < jobs.n_workers:
        return ""
    return f"It would wait{_because(ahead)}{_starts(ahead, jobs, 'It would start')}"


def _because(ahead: list[JobFolder]) -> str:
    counts = Counter(job_at(one.path).what for one in ahead)
    parts = [
        f"{n} {kind.what}{'' if n == 1 else 's'}" for kind in KINDS if (n := counts[kind.what])
    ]
    if not parts:
        return ""
    return f" behind {' and '.join(parts)}"


def _starts(ahead: list[JobFolder], jobs: Jobs, begins: str) -> str:
    seconds = seconds_to_wait(ahead, n_workers=jobs.n_workers, needs=_needs)
    if seconds is None:
        return f". {begins} when they end; how long they take is not known yet"
    return f". {begins} in about {format_duration(seconds)}"


def _needs(job: JobFolder) -> float | None:
    now = job.progress
    if now.status == "running":
        return seconds_left(job, device=cached_runs.device())
    return _waiting_needs(str(job.path), now.n_left)


@st.cache_data(max_entries=16, ttl=60, scope="session", show_spinner=False)
def _waiting_needs(path: str, left: int) -> float | None:
    # Cached because it is asked every second and reads the inputs of the run.
    del left
    return seconds_left(job_at(path).folder, device=cached_runs.device())
