"""The other images that a person has chosen to train on: taken in, found again and read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cellcutter_core.images import Image
from cellcutter_core.pipeline import check_seen, naming, seen_channels
from cellcutter_core.runs.choices import Choices, Source
from cellcutter_core.runs.draft import file_of
from cellcutter_core.runs.given_files import scenes_of
from cellcutter_core.runs.others import read_other
from cellcutter_core.runs.sources import read_somehow


def kept_file(other: Source) -> Path:
    """Where one of the other images is kept.

    Raises
    ------
    ValueError
        If it is not there any more. It begins with the name of the image.
    """
    file = file_of(other)
    if not file.exists():
        raise ValueError(f"{other.name}: is not kept here any more; take it away and add it again")
    return file


def read_chosen(other: Source, choices: Choices, roles: Mapping[str, Any]) -> Image:
    """Read one of the other images.

    Parameters
    ----------
    other : Source
        An uploaded file.
    choices : Choices
        Those of the run: what `other` does not say of how it is read is as for its own image.
    roles : mapping
        `Image.roles` of the run's own image.

    Raises
    ------
    ValueError
        What `kept_file` and `read_other` raise. It begins with the name of the image.
    """
    return read_other(kept_file(other), roles, **choices.reading_of(other))


def take_in(kept: Source, choices: Choices, first: Image) -> tuple[Source, ...]:
    """How an uploaded file can be read as another image to train on, or as several.

    Parameters
    ----------
    kept : Source
        As `keep_file` returns it.
    choices : Choices
        Those it is to be added to.
    first : Image
        The run's own image, its channels in their roles.

    Returns
    -------
    tuple of Source
        The file; with a scene, plane or time point where it needs another than the run's own image.
        Of one that holds several images, each that is not trained on already.

    Raises
    ------
    ValueError
        If it cannot be read, is there already, has the name of another one, or shows the network
        another number of channels. It begins with the name of the file.
    """
    left = {one: kept.replace(scene=one) for one in scenes_of(file_of(kept))}
    for there in (choices.source, *choices.others):
        if there.kind == "file" and there.digest == kept.digest and not there.more:
            left.pop(None if None in left else there.scene, None)
            if not left:
                which = "the image itself" if there is choices.source else there.name
                raise ValueError(f"{kept.name}: is {which}, which is trained on already")
        elif there.kind == "file" and there.name == kept.name:
            raise ValueError(
                f"{kept.name}: there is another image of this name; rename the file, so that their "
                "results can be told apart"
            )
    return tuple(_readable(one, choices, first) for one in left.values())


def _readable(kept: Source, choices: Choices, first: Image) -> Source:
    other, image = read_somehow(kept, lambda source: read_chosen(source, choices, first.roles))
    with naming(kept.name):
        check_seen(image, choices.config, n_channels=len(seen_channels(first, choices.config)))
    return other
