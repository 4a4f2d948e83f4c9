"""Names of runs, and the differences between two runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from cellcutter_core.config import GROUPS, PRESETS, QUICK, STARTS, Config, starting

if TYPE_CHECKING:
    from cellcutter_core.runs.description import Description
    from cellcutter_core.runs.folder import RunSummary
    from cellcutter_core.runs.store import Run

# The largest number of settings that a name lists; the rest is counted.
MOST_LISTED = 3
# Settings with a short form in names.
_IN_WORDS = {
    ("training", "epochs"): "{} epochs",
    ("training", "seed"): "seed {}",
    ("training", "steps"): "{} steps an epoch",
    ("training", "learning_rate"): "learning rate {}",
    ("training", "lam"): "λ {}",
    ("training", "beta"): "β {}",
}


def settings_in_words(config: Config, *, edited: bool = False) -> str:
    """Describe settings: their preset, its start, and what differs from the preset.

    Parameters
    ----------
    config : Config
    edited : bool
        Whether the markers were edited by hand or come from a file.

    Examples
    --------
    >>> settings_in_words(QUICK)
    'quick'
    >>> settings_in_words(starting(QUICK, "nothing"))
    'quick from nothing'
    >>> settings_in_words(QUICK.replace(training=QUICK.training.replace(epochs=3, seed=7)))
    'quick, 3 epochs, seed 7'
    """
    preset = PRESETS.get(config.preset, QUICK)
    name: str = config.preset
    if config.network.start != preset.network.start:
        name += " from nothing" if config.network.start == "nothing" else " from the taught network"
    usual = starting(preset, config.network.start)
    parts = [
        _in_words(place, value) for place, (value, _) in differing_settings(config, usual).items()
    ]
    if edited:
        parts.insert(0, "markers by hand")
    return ", ".join([name, *_first(parts)])


def differing_settings(one: Config, other: Config) -> dict[tuple[str, str], tuple[Any, Any]]:
    """Return the settings that differ: (group, name) → both values.

    A setting that has no effect in either, see `in_effect`, is left out.
    """
    ours, theirs = in_effect(one), in_effect(other)
    found = {}
    for group in GROUPS:
        for name in type(getattr(one, group)).model_fields:
            counts = name in ours[group] or name in theirs[group]
            values = tuple(getattr(getattr(config, group), name) for config in (one, other))
            if counts and values[0] != values[1]:
                found[group, name] = values
    return found


def changes_in_words(new: Config, old: Config) -> str:
    """Describe the differences of new settings, as in "training epochs 3 instead of 6"."""
    parts = [
        f"{_called(place)} {_said(value)} instead of {_said(before)}"
        for place, (value, before) in differing_settings(new, old).items()
    ]
    return ", ".join(_first(parts))


def in_effect(config: Config) -> dict[str, Any]:
    """Return the settings by group, without those that have no effect given the others."""
    found = config.model_dump()
    cut, training = ("prior", "max_weight", "sigma", "scaling"), config.training
    blobs = ("min_sigma", "max_sigma", "threshold")
    idle: dict[str, tuple[str, ...]] = {
        "mask": cut if config.mask.automatic else (),
        "markers": blobs if config.markers.automatic else ("diameter",),
        "training": (
            *(() if training.area is None else ("crops",)),
            *(() if training.warm_up else ("warm_up_radius",)),
        ),
    }
    for group, names in idle.items():
        for name in names:
            del found[group][name]
    return found


def run_name(run: Run | RunSummary) -> str:
    """Return the name of a run: its given name, time, images, settings, and the end of its id."""
    about = run.description
    parts = [about.name, when(about), image_of(about), how(about), run.id[-5:]]
    name = " · ".join(filter(None, parts))
    return name + (f" (again from {about.before.run[-5:]})" if about.before else "")


def when(about: Description) -> str:
    """Return when a run was created, in local time."""
    return time.strftime("%d %b %H:%M", time.localtime(about.created))


def how(about: Description) -> str:
    """Describe settings and markers of a run, see `settings_in_words`."""
    return settings_in_words(about.config, edited=about.is_marked)


def image_of(about: Description) -> str:
    """Name the images that a run was trained on, with the region of the first."""
    name = about.image or "from the command line"
    if about.region and about.region != (0, 0, *(about.whole or ())):
        top, left, bottom, right = about.region
        name += f" [{top}:{bottom}, {left}:{right}]"
    n = len(about.others)
    return f"{name} and {n} {'other' if n == 1 else 'others'}" if n else name


def differences(one: Description, other: Description) -> dict[str, tuple[str, str]]:
    """Describe the differences between two runs.

    Returns
    -------
    dict of str to (str, str)
        What differs → its value in each run. Empty if both have the same image, markers and
        settings; then only chance and hardware can differ.
    """
    found = {}
    if image_of(one) != image_of(other):
        found["image"] = (image_of(one), image_of(other))
    marked = [about.edits or about.markers or "" for about in (one, other)]
    if marked[0] != marked[1]:
        by_hand = ["by hand" if mark else "found" for mark in marked]
        if all(marked):
            by_hand = [f"by hand ({mark[-5:]})" for mark in marked]
        found["markers"] = (by_hand[0], by_hand[1])
    before = [about.before.run if about.before else "" for about in (one, other)]
    if before[0] != before[1]:
        starts = [f"the network of run {run}" if run else "a new network" for run in before]
        found["begins with"] = (starts[0], starts[1])
    if one.config.preset != other.config.preset:
        found["preset"] = (one.config.preset, other.config.preset)
    for place, (value, their) in differing_settings(one.config, other.config).items():
        found[_called(place)] = (_said(value), _said(their))
    return found


def _first(parts: list[str]) -> list[str]:
    """Return the parts of a name, the last of many as their number."""
    if len(parts) <= MOST_LISTED + 1:
        return parts
    return [*parts[:MOST_LISTED], f"{len(parts) - MOST_LISTED} more"]


def _in_words(place: tuple[str, str], value: Any) -> str:
    if place == ("training", "epochs") and value == 1:
        return "1 epoch"
    return _IN_WORDS.get(place, f"{_called(place)} {{}}").format(_said(value))


def _called(place: tuple[str, str]) -> str:
    group, name = place
    return f"{group} {name.replace('_', ' ')}"


def _said(value: Any) -> str:
    return {**STARTS}.get(value) or value_in_words(value)


def value_in_words(value: object) -> str:
    """Return a value of a setting as a person would write it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None:
        return "not set"
    return f"{value:g}" if isinstance(value, float) else str(value)
