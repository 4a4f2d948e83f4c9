"""The status of each step of the pipeline: done, next, running, out of date and so on."""

from __future__ import annotations

import streamlit as st

from cellcutter_core.apply.application_folder import Application, applications
from cellcutter_core.choices.of_run import keys_then
from cellcutter_core.jobs.queue import is_left_behind
from cellcutter_core.runs.store import Progress, Run
from cellcutter_core.training.inputs import check_mask
from pages.shared import state
from pages.shared.caching import cached_steps
from pages.shared.caching.in_child import NotYet

# Icon, colour and word of each status: not everybody can tell the colours apart.
MARKS = {
    "done": (":material/check_circle:", "green", "done"),
    "next": (":material/arrow_circle_right:", "blue", "next"),
    "waiting": (":material/hourglass_empty:", "blue", "waiting"),
    "running": (":material/pending:", "blue", "running"),
    "stopped": (":material/pause_circle:", "orange", "stopped"),
    "stale": (":material/update:", "orange", "out of date"),
    "wrong": (":material/error:", "red", "needs attention"),
    "open": (":material/radio_button_unchecked:", "gray", "to do"),
}

# Pages whose step is done once somebody has looked at it, and the name of the step in `keys`.
LOOKED_AT = {"data": "image", "mask": "mask", "cells": "markers"}

# For each step the keys that were looked at, and whether their result was valid.
Seen = dict[str, dict[str, bool]]
# How many keys of a step are remembered, for visitors who go back and forth.
MOST_SEEN = 20


def status() -> dict[str, str]:
    """Return for each page of the pipeline a key of `MARKS`."""
    opened = state.run()
    steps = _before_training(opened)
    if opened is None:
        ready = all(one == "done" for one in steps.values())
        train = "next" if ready else "open"
        return {**steps, "train": train, "compare": "open", "results": "open", "apply": "open"}
    now = opened.progress
    stale = bool(state.out_of_date(opened))
    results = "stale" if stale else "next"
    if not now.epochs_done:
        results = "open"
    return {
        **steps,
        "train": _trained(opened, now, stale=stale),
        "compare": results,
        "results": results,
        "apply": _applied(opened, now),
    }


def looked_at(page: str) -> None:
    """Record that the visitor has looked at this page, once the result of its step is on it."""
    step = LOOKED_AT.get(page)
    if step is None:
        return
    try:
        sound = _is_sound(page)
    except NotYet:
        return
    seen, key = _seen(), cached_steps.step_keys()[step]
    of_step = seen.setdefault(step, {})
    if of_step.get(key) != sound:
        of_step[key] = sound
        for old in list(of_step)[:-MOST_SEEN]:
            del of_step[old]
        state.draft().save_seen(seen)


def _is_sound(page: str) -> bool:
    try:
        if page == "data":
            cached_steps.image()
        elif page == "mask":
            check_mask(cached_steps.known_mask()[0], state.choices().config)
    except ValueError:
        return False
    return True


def _seen() -> Seen:
    """Return what was looked at in the current draft."""
    kept = st.session_state.get(state.SEEN)
    if kept is None or kept[0] != state.draft().id:
        kept = (state.draft().id, state.draft().seen())
        st.session_state[state.SEEN] = kept
    seen: Seen = kept[1]
    return seen


def _before_training(opened: Run | None) -> dict[str, str]:
    """Return the status of each step before training.

    A step is done if it was looked at, or if the open run was made from it.
    """
    now, seen = cached_steps.step_keys(), _seen()
    then = keys_then(opened.description) if opened is not None else {}
    steps = {}
    for page, step in LOOKED_AT.items():
        sound = seen.get(step, {}).get(now[step])
        if sound is False:
            steps[page] = "wrong"
        elif sound or then.get(step) == now[step]:
            steps[page] = "done"
        else:
            steps[page] = "open" if {"next", "wrong"} & set(steps.values()) else "next"
    return steps


def _trained(opened: Run, now: Progress, *, stale: bool) -> str:
    if now.status in ("failed", "crashed") or now.collapsed:
        return "wrong"
    if now.status == "queued":
        return "wrong" if is_left_behind(opened) else "waiting"
    if now.status == "running":
        return "running"
    if stale:
        return "stale"
    return "done" if now.status == "finished" else "stopped"


def _applied(opened: Run, now: Progress) -> str:
    """Return the status of the last application of a run."""
    last = next(applications(opened), None)
    if last is None:
        return "open"
    then = last.progress
    if then.status == "queued":
        return "wrong" if is_left_behind(last) else "waiting"
    if then.status == "running":
        return "running"
    if then.status in ("failed", "crashed") or any(one.error for one in then.outcomes):
        return "wrong"
    if then.n_left:
        return "stopped"
    return "stale" if _is_of_before(last, now) else "done"


def _is_of_before(last: Application, now: Progress) -> bool:
    """Return whether the run was trained further after it was applied, so its network changed."""
    trained = now.trained_events
    return bool(trained) and trained[-1]["time"] > last.created
