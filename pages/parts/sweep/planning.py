"""Plan a sweep: how many runs it is, start it, and write the runs that are missing."""

from __future__ import annotations

from contextlib import suppress

import streamlit as st

from cellcutter_core.choices.draft import markers_digest
from cellcutter_core.choices.of_run import described
from cellcutter_core.config import Config
from cellcutter_core.people.allowance import check_room_for
from cellcutter_core.pipeline import inputs_of, prepare, truth_of
from cellcutter_core.runs.folder import runs_folder
from cellcutter_core.runs.lock import held, holder
from cellcutter_core.sweeps.running import writer
from cellcutter_core.sweeps.sweep import Sweep, new_sweep_path
from cellcutter_core.sweeps.variations import Variation, n_runs, vary
from cellcutter_core.training.inputs import Inputs, Truth
from pages.shared import state
from pages.shared.caching import cached_runs, cached_steps
from pages.shared.caching.in_child import Cancelled, aside, waited
from pages.shared.person import person
from pages.shared.run_words import format_duration


class _GivenUp(Exception):
    """The visitor has cancelled a mask: no setting is wrong, but no more runs are wanted."""

    def __init__(self, cancelled: Cancelled) -> None:
        self.cancelled = cancelled


def say_how_long(variations: list[Variation]) -> int:
    """Say how many runs a sweep has, and about how long they take; return the number.

    Raises
    ------
    ValueError
        If the sweep is not allowed, see `vary`.
    """
    vary(state.choices().config, variations)
    n = n_runs(variations)
    line = f"**{n} {'run' if n == 1 else 'runs'}**"
    # With the present settings there may be no mask, and these are not among the values.
    with suppress(ValueError):
        seconds, basis = cached_runs.estimate()
        total = format_duration(seconds * -(-n // cached_runs.jobs().n_workers))
        line += f", about {total} in all ({basis})"
    st.markdown(line)
    if others := state.choices().others:
        n_others = f"{len(others)} other {'image' if len(others) == 1 else 'images'}"
        st.info(f"A sweep trains on this image alone, without the {n_others} chosen on Train.")
    return n


def start(variations: list[Variation]) -> Sweep:
    """Write a sweep of the current choices and queue its runs.

    Raises
    ------
    ValueError
        If the core refuses it, or mask or markers are to be varied although they were edited.
    """
    choices = state.choices().replace(others=())
    edits = markers_digest(state.edited_markers())
    if edits and any(one.group in ("mask", "markers") for one in variations):
        raise ValueError(
            "the markers were edited by hand, so that mask and markers stay as they are; vary "
            "other settings, or take the found markers on the page Cells"
        )
    check_room_for(person(), n_runs(variations))
    sweep = Sweep.create(
        new_sweep_path(),
        choices.config,
        variations,
        image=choices.source.title,
        choices=choices.model_dump(mode="json"),
        owner=person(),
        runs=runs_folder(),
    )
    _write(sweep)
    return sweep


def write_missing(sweep: Sweep) -> None:
    """Write the runs of a sweep that are missing, and queue them.

    Raises
    ------
    ValueError
        If image, settings or markers are other ones now, or there is no room.
    """
    rows = sweep.rows()
    now, edits = state.choices().replace(others=()), markers_digest(state.edited_markers())
    like_now = now.replace(config=sweep.about.config).model_dump(mode="json")
    configs = [config for _, config in vary(now.config, sweep.variations)]
    edits_then = {row.summary.description.edits for row in rows if row.summary}
    if like_now != sweep.about.choices or configs != sweep.configs() or edits_then - {edits}:
        raise ValueError(
            "the missing runs are of another image, other settings or other markers than those "
            "chosen now; open a run of this sweep and click Duplicate with changes, then write "
            "them, or start a new sweep"
        )
    check_room_for(person(), sum(row.status == "missing" for row in rows))
    _write(sweep)


def _write(sweep: Sweep) -> None:
    """Write the runs of a sweep that are not there yet, and queue them."""
    choices = state.choices().replace(others=())
    edits = markers_digest(state.edited_markers())
    there = {row.run_id for row in sweep.rows() if row.summary}

    def find(config: Config) -> tuple[Inputs, Truth | None]:
        try:
            return _prepared(config)
        except Cancelled as error:
            raise _GivenUp(error) from None

    write = writer(
        cached_steps.image(),
        find=find,
        describe=lambda config: described(choices.replace(config=config), edits=edits),
        pixel_size=cached_steps.pixel_size(),
        reading=choices.source.reading,
        owner=person(),
    )
    if holder(sweep.folder) is not None:
        raise ValueError("another tab writes the runs of this sweep now; wait until it is done")
    n = len(sweep.about.members)
    bar = st.progress(0.0, f"Writing {n} runs …")
    try:
        with held(sweep.folder):
            for number, run in enumerate(sweep.write_runs(write), 1):
                # First, because Streamlit may end the page at the bar: what is written is queued.
                if run.id not in there and not cached_runs.jobs().has_task(run):
                    cached_runs.jobs().submit(run, line=sweep.id)
                bar.progress(number / n, f"Writing run {number} of {n} …")
    except _GivenUp as given_up:
        raise given_up.cancelled from None
    finally:
        bar.empty()


def _prepared(config: Config) -> tuple[Inputs, Truth | None]:
    """Return mask and markers of the current image with these settings."""
    image, now = cached_steps.image(), state.choices().config
    if (config.mask, config.markers) == (now.mask, now.markers):
        final = state.edited_markers() is not None
        given = inputs_of(image, config, cached_steps.markers(), cached_steps.mask(), final=final)
        return given, truth_of(image)
    key = f"sweep {cached_steps.step_keys()['image']} {config.model_dump_json()}"
    return waited(lambda: aside("sweep", key, prepare, image, config)[0])
