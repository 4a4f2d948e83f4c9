"""Runs in words: what one is called, where it stands, how long it takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from cellcutter_core.config import check_current
from cellcutter_core.runs import names
from cellcutter_core.runs.folder import RunSummary
from cellcutter_core.runs.store import Progress, Run
from pages.shared import state

STALE = {
    "image": "image, channels or region",
    "mask": "mask",
    "markers": "markers",
}


def with_others(image: str, n: int) -> str:
    """An image and so many others that are trained on as well."""
    return f"{image} and {n} {'other' if n == 1 else 'others'}" if n else image


def run_name(run: RunSummary | Run) -> str:
    """What a run is called in lists and above what it made."""
    return names.run_name(run.path.name if isinstance(run, Run) else run.id, run.description)


def run_title(run: Run) -> str:
    """Image and settings of a run, as a heading."""
    return f"{names.image_of(run.description)}: {names.how(run.description)}"


def came_from(description: Mapping[str, Any]) -> str:
    """Of a run that was trained again from another one: from which; else nothing."""
    before = description.get("from")
    if not before:
        return ""
    n = before["corrections"]
    what = f"{n} {'correction' if n == 1 else 'corrections'}"
    return f"Trained again from run {before['run']}, epoch {before['epoch']} with {what}"


def progress_line(now: Progress) -> str:
    """Where a run stands, in one line."""
    done = f"epoch {min(now.epochs_done + 1, now.epochs)} of {now.epochs}"
    epochs = f"{now.epochs_done} {'epoch' if now.epochs_done == 1 else 'epochs'}"
    left = "" if now.seconds_left is None else f", about {format_duration(now.seconds_left)} left"
    return {
        "queued": "Waiting for its turn",
        "running": f"Training: {done}{left}",
        "stopped": f"Stopped after {now.kept}",
        "finished": f"Finished: {epochs} in {format_duration(now.seconds)}",
        "failed": f"Failed: {now.message}",
        "crashed": f"Crashed: {now.message}",
    }[now.status]


def format_duration(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def stale_note(steps: tuple[str, ...]) -> None:
    """Say that the open run was made from other choices, and from which."""
    if not steps:
        return
    first = STALE[steps[0]]
    st.warning(
        f"This run is out of date: since it started you changed the {first}. What you see here "
        "is still what it was trained on.",
        icon=":material/update:",
    )


def choices_note() -> None:
    """Say that opening a run brought its image and settings, and offer those of before."""
    if not state.chosen_before():
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("All pages show the image and the settings of this run now.", width="content")
        if st.button("Back to what I had chosen", icon=":material/undo:", key="train_choices_back"):
            state.return_to_choices()
            st.rerun()


def version_note(run: Run) -> None:
    """Say of a run of an earlier version that it can be looked at, and what else to do."""
    try:
        check_current(run.config)
    except ValueError as error:
        said = str(error)
        st.info(said[0].upper() + said[1:] + ".", icon=":material/history:")


def doubts_note(doubts: list[str]) -> None:
    """Say why the cells of a run are better not trusted, where something speaks against them."""
    if doubts:
        listed = doubts[0] if len(doubts) == 1 else "\n".join(["", *(f"- {one}" for one in doubts)])
        st.warning(f"**Look closely at these cells.** {listed}", icon=":material/visibility:")
