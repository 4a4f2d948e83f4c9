"""Runs and other jobs in words: name, status, place in the queue, duration, log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import streamlit as st

from cellcutter_core.config import check_current
from cellcutter_core.jobs.kinds import KINDS, job_at
from cellcutter_core.jobs.queue import Jobs
from cellcutter_core.jobs.waiting import seconds_left, seconds_to_wait
from cellcutter_core.runs import names
from cellcutter_core.runs.description import Before
from cellcutter_core.runs.folder import RunSummary
from cellcutter_core.runs.job_folder import JobFolder
from cellcutter_core.runs.store import Progress, Run
from pages.shared import state
from pages.shared.caching import cached_runs
from pages.shared.person import person

LOG_LINES = 40
OTHER_PERSONS = (
    "This run belongs to another person. You can look at it, compare it and take its files home; "
    "*Duplicate with changes* makes one of your own."
)
STALE = {
    "image": "image, channels or region",
    "mask": "mask",
    "markers": "markers",
}


def with_others(image: str, n: int) -> str:
    """Name an image and say how many other images are trained on, too."""
    return f"{image} and {n} {'other' if n == 1 else 'others'}" if n else image


def run_title(run: Run) -> str:
    """Return image and settings of a run, as a heading."""
    return f"{names.image_of(run.description)}: {names.how(run.description)}"


def came_from(before: Before | None) -> str:
    """Say from which run one was trained again; empty for other runs."""
    if before is None:
        return ""
    n = before.corrections
    what = f"{n} {'correction' if n == 1 else 'corrections'}"
    return f"Trained again from run {before.run}, epoch {before.epoch} with {what}"


def status_word(run: RunSummary) -> str:
    """Return the status of a run in a word."""
    return "collapsed" if run.collapsed else "waiting" if run.status == "queued" else run.status


def progress_line(now: Progress) -> str:
    """Return the status of a run in one line."""
    done = f"epoch {min(now.epochs_done + 1, now.epochs)} of {now.epochs}"
    epochs = f"{now.epochs_done} {'epoch' if now.epochs_done == 1 else 'epochs'}"
    left = "" if now.seconds_left is None else f", about {format_duration(now.seconds_left)} left"
    return {
        "queued": "Waiting in the queue",
        "running": f"Training: {done}{left}",
        "stopped": f"Stopped after {now.kept}" + (f": {now.message}" if now.message else ""),
        "finished": f"Finished: {epochs} in {format_duration(now.seconds)}",
        "failed": f"Failed: {now.message}",
        "crashed": f"Crashed: {now.message}",
    }[now.status]


def format_duration(seconds: float) -> str:
    """Return a duration in s, min or h."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def stale_note(steps: tuple[str, ...]) -> None:
    """Say that the open run was made from other choices, and which ones have changed."""
    if not steps:
        return
    first = STALE[steps[0]]
    st.warning(
        f"This run is out of date: you have changed the {first} since it started. This page still "
        "shows what the run was trained on.",
        icon=":material/update:",
    )


def choices_note() -> None:
    """Say that all pages now show the choices of the opened run, and offer the previous ones."""
    if not state.chosen_before():
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("All pages now show the image and settings of this run.", width="content")
        if st.button("Back to my choices", icon=":material/undo:", key="train_choices_back"):
            state.return_to_choices()
            st.rerun()


def version_note(run: Run) -> None:
    """Say that a run of an earlier version can only be viewed, and what to do instead."""
    try:
        check_current(run.config)
    except ValueError as error:
        said = str(error)
        st.info(said[0].upper() + said[1:] + ".", icon=":material/history:")


def doubts_note(doubts: list[str]) -> None:
    """Show the reasons to doubt the cells of a run, if there are any."""
    if doubts:
        listed = doubts[0] if len(doubts) == 1 else "\n".join(["", *(f"- {one}" for one in doubts)])
        st.warning(f"**Look closely at these cells.** {listed}", icon=":material/visibility:")


def scene_in_words(titles: Sequence[str], number: int) -> str:
    """Describe one of several images in a file: its number and, if known, its name and shape."""
    return f"{number}: {titles[number]}".rstrip(": ") if number < len(titles) else str(number)


def end_of_log(run: JobFolder) -> None:
    """Show the last lines that the run's process wrote to its log."""
    if not run.log_file.exists():
        return
    lines = run.log_file.read_text("utf-8", "replace").splitlines()[-LOG_LINES:]
    with st.expander("The end of the log", icon=":material/description:"):
        st.code("\n".join(lines) or "It is empty.", language=None)


# The queue ----------------------------------------------------------------------------------------


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


@st.cache_data(max_entries=4096, ttl=60, show_spinner=False)
def _waiting_needs(path: str, left: int) -> float | None:
    # Cached for all visitors: each asks every second for all jobs ahead, whose inputs it reads.
    del left
    return seconds_left(job_at(path).folder, device=cached_runs.device())
