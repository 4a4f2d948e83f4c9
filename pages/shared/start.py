"""Make a run from the current choices and put it into the queue; the button that does it."""

from __future__ import annotations

import math
from typing import Any

import streamlit as st

from cellcutter_core.config import Config
from cellcutter_core.images.reading.parts import Region
from cellcutter_core.people.allowance import path_for
from cellcutter_core.runs.names import changes_in_words
from cellcutter_core.runs.other_images import Other
from cellcutter_core.runs.store import Run
from cellcutter_core.training.datasets import make_dataset
from pages.shared import panels, state
from pages.shared.caching import cached_other_images, cached_runs, cached_steps
from pages.shared.caching.in_child import forget_cancelled
from pages.shared.person import person
from pages.shared.run_words import format_duration, others_first
from pages.shared.viewer import views

OTHER_IMAGES = "other images to train on as well"
# Session-state key: the name that a person of a class wants on its wall.
NAME = "class_name"

# Seconds: from here on it is said how to make a training short, and how long one would take then.
LONG, SHORT = 1800.0, 600.0


def start_run() -> Run:
    """Write a run of the current choices, queue it and open it.

    The other images to train on are prepared one after the other; the page names the current one.

    Raises
    ------
    ValueError
        If the core refuses something; then no run is written.
    """
    forget_cancelled()
    config = state.choices().config
    inputs, truth = cached_steps.inputs()
    # An error in the crops is raised here, before anything is written.
    make_dataset(inputs, config)
    queue, wanted = cached_runs.jobs(), state.experiment_to_run()
    run = Run.of_image(
        path_for(person()),
        cached_steps.image(),
        config,
        (inputs, truth),
        others=_prepared_others(),
        pixel_size=cached_steps.pixel_size(),
        reading=state.choices().source.reading,
        owner=person(),
        **state.description(),
        **_in_class(),
    )
    # Directly: Streamlit may end the script at each look at the session, if the visitor clicks.
    queue.submit(run)
    state.open_run(run.id)
    st.session_state.pop(state.REFUSED, None)
    views.pass_zoom(cached_steps.step_keys()["image"], run.id)
    if wanted is not None:
        views.set_view_later(run, wanted)
    return run


def _in_class() -> dict[str, Any]:
    """Return what the description of a new run says of the visitor's class; empty without one."""
    room = state.classroom()
    if room is None:
        return {}
    return {"classroom": room.id, "name": (st.session_state.get(NAME) or "").strip()}


def _prepared_others() -> list[Other]:
    """Find mask and markers of the chosen other images; an error in one ends it."""
    chosen = state.choices().others
    found = []
    for number, other in enumerate(chosen, 1):
        line = f"Finding mask and markers in {other.name}, {number} of {len(chosen)} others …"
        with st.spinner(line):
            found.append(cached_other_images.prepared(other))
    return found


def offer_experiment() -> None:
    """Say that the experiment of a link has not been run here; nothing if there is none."""
    wanted = state.experiment_to_run()
    if wanted is None:
        return
    epochs = state.choices().config.training.epochs
    later = (wanted.epoch or 0) - epochs
    st.info(
        "**This experiment has not been run here.** All pages show its image and settings. "
        "*Start training* makes a run of it."
        + (
            f" The link shows epoch {wanted.epoch}: when the run has ended after {epochs}, "
            f"continue it with {later} more."
            if later > 0
            else ""
        ),
        icon=":material/link:",
    )


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
                start_run()
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
    if same is None and cached_steps.is_large():
        large = "The region is large: its mask and markers are computed at the start"
        st.caption(". ".join(filter(None, [where, first, large])) + ".")
        return
    with panels.show_errors():
        seconds, basis = cached_runs.estimate(same)
        line = " · ".join(filter(None, [f"**About {format_duration(seconds)}**", where, first]))
        st.caption(line, help=f"Estimated {basis}.")
        if hint := shorter(seconds, cached_steps.region(), state.choices().config):
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
