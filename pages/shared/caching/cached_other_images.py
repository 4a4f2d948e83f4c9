"""Facts about the other images that the next run is to train on.

There may be many images, so only facts about each are cached, not its pixels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import streamlit as st

from cellcutter_core.arguments import naming
from cellcutter_core.choices.choices import Choices, Source
from cellcutter_core.choices.other_images import kept_place, read_chosen
from cellcutter_core.images.file_sets.alike import seen_instead
from cellcutter_core.runs.other_images import Other, prepare_other
from cellcutter_core.training.image_inputs import seen_channels, seen_names
from pages.shared import state
from pages.shared.caching import cached_steps
from pages.shared.caching.in_child import aside, waited

COUNTED = "cells_of_others"


class Facts(NamedTuple):
    """What the list of other images shows for one: its (H, W), the channels that show cells and
    nuclei, and what the network sees there instead of the channels of the current image.
    """

    shape: tuple[int, int]
    cell: list[str]
    nucleus: str
    instead: str


@st.cache_data(max_entries=128, scope="session", show_spinner=False)
def _facts(
    key: str, _other: Source, _choices: Choices, _roles: dict[str, Any], _seen: list[str]
) -> Facts:
    del key
    image = read_chosen(_other, _choices, _roles)
    here = seen_names(image, _choices.config)
    instead = seen_instead(here, _seen, _choices.source.channel_names)
    return Facts(image.shape, **image.roles, instead=instead)


def facts(other: Source) -> Facts:
    """Return the facts about one of the chosen other images, which is read once.

    Raises
    ------
    ValueError
        If its file is gone or cannot be read, or if `cached_steps.image` raises it.
    """
    choices, image = state.choices(), cached_steps.image()
    seen = seen_names(image, choices.config)
    key = f"{other} {choices.reading_of(other)} {image.roles} {seen}"
    return _facts(key, other, choices, image.roles, seen)


def prepared(other: Source) -> Other:
    """Find mask and markers of one of the chosen other images, in a child process.

    Raises
    ------
    ValueError
        If `kept_place` or the core refuse it. The message begins with the name of the image.
    """
    choices, image = state.choices(), cached_steps.image()
    n_channels = len(seen_channels(image, choices.config))
    # The child may run in another folder, so it gets the path of the file and how to read it.
    given = (
        kept_place(other),
        image.roles,
        choices.source.channel_names,
        choices.config,
        n_channels,
        choices.reading_of(other),
    )
    key = f"other {given}"
    with naming(other.name):
        found = waited(lambda: aside("other", key, prepare_other, *given)[0], st.empty())
    st.session_state.setdefault(COUNTED, {})[_counted_as(other)] = len(found.inputs.points)
    return found


def n_cells(other: Source) -> int | None:
    """Return the number of cells of an other image, if it was prepared with these choices."""
    return st.session_state.get(COUNTED, {}).get(_counted_as(other))


def _counted_as(other: Source) -> str:
    """Return a key of everything that the number of its cells depends on."""
    choices = state.choices()
    config = choices.config
    chosen = (choices.reading_of(other), choices.cell, choices.nucleus, choices.source)
    return f"{other} {chosen} {config.mask} {config.markers}"
