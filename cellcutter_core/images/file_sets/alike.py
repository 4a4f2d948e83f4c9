"""Reads further images like a first one: channels get their roles by their names."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cellcutter_core.images.file_sets.channel_files import read_channel_files
from cellcutter_core.images.file_sets.channel_names import ChannelNames, stem_of, titled
from cellcutter_core.images.image import Image
from cellcutter_core.images.read_image import read_image

Where = str | os.PathLike[str] | Sequence[Path]
"""An argument of `read_image`, or the files of an image's channels, see `ChannelNames.images`."""


def read_alike(
    where: Where, roles: Mapping[str, Any], channels: ChannelNames | None, **how: Any
) -> Image:
    """Read another image and give its channels the roles that channels of these names have.

    Parameters
    ----------
    where : path, address, or sequence of paths
    roles : mapping
        `Image.roles` of the first image; empty if not known.
    channels : ChannelNames or None
        How the file names of the first image name its channels, if it is in several files.
    how
        As for `read_image` or `read_channel_files`; None counts as not given. A role that is given
        here stays. A list with a value for each file does not count for a single file, which is
        judged by itself.

    Returns
    -------
    Image
        Channels from several files are named by the titles of `channels`. These are the same in
        every image, so tables of all images have the same columns.

    Raises
    ------
    ValueError
        As `read_image` and `read_channel_files`, and if the file of a channel is missing or given
        twice.
    """
    said = {name: value for name, value in how.items() if value is not None}
    if isinstance(where, str | os.PathLike):
        for name in ("inverted", "stained"):
            if isinstance(said.get(name), list):
                del said[name]
        return in_same_roles(read_image(where, **said), roles, channels, keep=said)
    if channels is not None:
        channels.check(where)
    given = {role: said.pop(role) for role in ("cell", "nucleus") if role in said}
    image = read_channel_files(where, **said)
    if channels is not None:
        stems = [stem_of(file.name) for file in where]
        names = tuple(titled(name, stems, channels.titles) for name in image.channels)
        image = dataclasses.replace(image, channels=names)
    return in_same_roles(image, roles, channels, keep=given).with_roles(**given)


def seen_instead(here: Sequence[str], there: Sequence[str], channels: ChannelNames | None) -> str:
    """A note if the network sees channels with other names than in the first image; else empty.

    Parameters
    ----------
    here, there : sequence of str
        Names of the channels that the network sees, in this image and in the first.
    channels : ChannelNames or None
        See `read_alike`.
    """
    names = [
        ", ".join(one if channels is None else channels.title_of(one) for one in seen)
        for seen in (here, there)
    ]
    same = names[0].casefold() == names[1].casefold()
    return "" if same else f"sees {names[0]} in place of {names[1]}"


def in_same_roles(
    image: Image,
    roles: Mapping[str, Any],
    channels: ChannelNames | None,
    *,
    keep: Iterable[str] = (),
) -> Image:
    """The image with the roles that channels of these names have in the first image.

    Parameters
    ----------
    image, roles, channels
        See `read_alike`.
    keep : iterable of {"cell", "nucleus"}
        The roles that stay as they are.

    Returns
    -------
    Image
        A role stays as it was guessed unless the image has all channels of it.

    Raises
    ------
    ValueError
        If one of the channels is constant.
    """
    if not roles:
        return image
    # A single file may hold all channels, with the same names as in the first image.
    image = _with_roles_of(image, roles, keep)
    if channels is None:
        return image
    cell = [channels.title_of(name) for name in roles["cell"]]
    by_title = {"cell": cell, "nucleus": channels.title_of(roles["nucleus"])}
    return _with_roles_of(image, by_title, keep)


def _with_roles_of(image: Image, roles: Mapping[str, Any], keep: Iterable[str]) -> Image:
    # Upper and lower case do not matter.
    here = {name.lower(): name for name in image.channels}
    chosen: dict[str, Any] = {}
    if "cell" not in keep and all(name.lower() in here for name in roles["cell"]):
        chosen["cell"] = [here[name.lower()] for name in roles["cell"]]
    nucleus = roles["nucleus"]
    if nucleus == "none" and "cell" in chosen:
        # Its names show that it is an image of the same kind: use its nuclei in the same way.
        chosen["nucleus"] = "none"
    elif nucleus.lower() in here:
        chosen["nucleus"] = here[nucleus.lower()]
    if "nucleus" in keep:
        chosen.pop("nucleus", None)
    return image.with_roles(**chosen)
