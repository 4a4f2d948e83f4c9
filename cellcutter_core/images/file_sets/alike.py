"""Other images, read and understood as a first one was: its names say which channel is which."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cellcutter_core.images.file_sets.channel_files import read_channel_files
from cellcutter_core.images.file_sets.channel_names import ChannelNames, stem_of, titled
from cellcutter_core.images.image import Image, read_image

Where = str | os.PathLike[str] | Sequence[Path]
"""What `read_image` takes, or the files of an image's channels, see `ChannelNames.images`."""


def read_alike(
    where: Where, roles: Mapping[str, Any], channels: ChannelNames | None, **how: Any
) -> Image:
    """Read another image, its channels in the roles that those of their names have in the first.

    Parameters
    ----------
    where : path, address, or sequence of paths
    roles : mapping
        `Image.roles` of the first image; empty where they are not known.
    channels : ChannelNames or None
        How the files of the first image say their channels, where it was in several.
    how
        As for `read_image`; what is None counts as not given. A role that is given here stays.

    Returns
    -------
    Image
        Channels from several files have the titles of `channels`, in every image the same: so their
        tables have the same columns.

    Raises
    ------
    ValueError
        What `read_image` and `read_channel_files` raise, and if a file of a channel is missing, or
        there twice.
    """
    said = {name: value for name, value in how.items() if value is not None}
    if isinstance(where, str | os.PathLike):
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
    """What is seen of an image where that has other names than in the first; else nothing.

    Parameters
    ----------
    here, there : sequence of str
        Names of the channels that the network sees of this image, and of the first.
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
    """The image with its channels in the roles that those of their names have in the first.

    Parameters
    ----------
    image, roles, channels
        See `read_alike`.
    keep : iterable of {"cell", "nucleus"}
        The roles that stay as they are.

    Returns
    -------
    Image
        A role whose channels are not all there stays as it is, that is as it was guessed.
    """
    if "cell" not in roles or "nucleus" not in roles:
        return image
    # One file may hold all channels under the names that they had in the first.
    image = image.in_roles_of(roles, keep=keep)
    if channels is None:
        return image
    cell = [channels.title_of(name) for name in roles["cell"]]
    by_title = {"cell": cell, "nucleus": channels.title_of(roles["nucleus"])}
    return image.in_roles_of(by_title, keep=keep)
