"""The buttons of a training: start a new one, stop it, go on with it, begin from its settings."""

from __future__ import annotations

import math

import streamlit as st

from cellcutter_core.config import Config, is_current
from cellcutter_core.images.parts import Region
from cellcutter_core.runs.names import changes_in_words
from cellcutter_core.runs.store import Progress, Run
from pages.shared import panels, start, state
from pages.shared.caching import cached, cached_runs
from pages.shared.run_words import OTHER_PERSONS, format_duration
from pages.shared.waiting import others_first

OTHER_IMAGES = "other images to train on as well"

# Seconds: from here on it is said how to make a training short, and how long one would take then.
LONG, SHORT = 1800.0, 600.0


def start_button(opened: Run | None, *, differing: tuple[str, ...], going: bool) -> None:
    """Start a new run; beside it what it will run on and how long it will take.

    Parameters
    ----------
    opened : Run, optional
        The open run.
    differing : tuple of str
        The steps in which the present choices differ from those of the open run.
    going : bool
        Whether the open run waits or trains.
    """
    unknown = cached_runs.trains_on() is None
    # An open run from the same image, mask and markers has all that an estimate asks for.
    same = opened if opened is not None and set(differing) <= {"training"} else None
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button(
            "Start training",
            icon=":material/play_arrow:",
            type="primary" if opened is None or (differing and not going) else "secondary",
            key="train_start",
            help="Makes a new run; the others are kept." if opened else None,
        ):
            with panels.show_errors():
                start.start_run()
                panels.go("train")
        with st.container():
            st.fragment(before_start, run_every=1.0 if unknown else None)(same)
    if opened is not None and differing == ("training",):
        # What belongs to the next one alone does not make the open one out of date.
        what = changes_in_words(state.choices().config, opened.config)
        st.caption(f"The next run differs from the open one: {what or OTHER_IMAGES}.")


def before_start(same: Run | None) -> None:
    """Device and time, as far as they are known."""
    where = cached_runs.trains_on() or "Finding out what it will run on …"
    first = others_first()
    if same is None and cached.is_large():
        large = "The region is large: its mask and markers are computed at the start"
        st.caption(". ".join(filter(None, [where, first, large])) + ".")
        return
    with panels.show_errors():
        seconds, basis = cached_runs.estimate(same)
        line = " · ".join(filter(None, [f"**About {format_duration(seconds)}**", where, first]))
        st.caption(line, help=f"Estimated {basis}.")
        if hint := shorter(seconds, cached.region(), state.choices().config):
            st.caption(hint)


def shorter(seconds: float, region: Region, config: Config) -> str:
    """How a training that takes long may be made short; empty below half an hour.

    Where a step takes all cells in an area, time grows with the region, up to that area.
    """
    if seconds < LONG:
        return ""
    top, left, bottom, right = region
    area = config.training.area
    if area is not None:
        seen = min(bottom - top, area) * min(right - left, area)
        side = 10 * round(math.sqrt(seen * SHORT / seconds) / 10)
        if side > config.crops.size:
            return (
                f"Time grows with the region: one of {side} × {side} pixels takes about "
                f"{format_duration(SHORT)}. Choose it on the page Data, or fewer epochs here."
            )
    return "Fewer epochs take less time; you can continue with more of them afterwards."


def stop_or_go_on(run: Run, now: Progress, *, going: bool) -> None:
    """Stop while it runs; afterwards more epochs, or the same again with changes."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if run.is_read_only:
            st.caption(OTHER_PERSONS)
        elif going:
            if st.button("Stop", icon=":material/stop:", key="train_stop"):
                cached_runs.jobs().cancel(run)
                st.rerun()
        else:
            more_epochs(run, now)
        if st.button(
            "Duplicate with changes",
            icon=":material/content_copy:",
            key="train_duplicate",
            help="Takes this run's image and settings as the present ones; then change what you "
            "like and start a new run.",
        ):
            with panels.show_errors():
                state.take_choices_of(run)
                st.rerun()
        if now.epochs_done and not going:
            panels.next_step("compare")


def more_epochs(run: Run, now: Progress) -> None:
    """Go on with a run that has ended; usually to the epochs that it was meant to have."""
    more = st.number_input(
        "More epochs",
        1,
        10_000,
        max(now.epochs - now.epochs_done, 0) or 8,
        key=f"train_more_{run.path.name}_{now.epochs_done}",
        width=150,
        label_visibility="collapsed",
    )
    word = "epoch" if more == 1 else "epochs"
    if st.button(
        f"Continue with {more} more {word}",
        icon=":material/resume:",
        key="train_continue",
        disabled=not is_current(run.config),
        help=f"Goes on after {now.kept}."
        + (f" Epoch {now.epochs_done + 1} is the first of them." if now.step else "")
        + (
            " The learning rate, which had fallen, is high again then: the loss may jump at first."
            if run.config.training.schedule == "cosine" and now.epochs_done + more > now.epochs
            else ""
        ),
    ):
        with panels.show_errors():
            cached_runs.jobs().submit(run, epochs=now.epochs_done + int(more))
            st.rerun()
