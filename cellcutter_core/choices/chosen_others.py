"""The other images that a person has chosen to train on: taken in, found again and read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cellcutter_core.choices.choices import Choices, KeptFile, Source
from cellcutter_core.choices.draft import file_of, files_of
from cellcutter_core.choices.sources import read_somehow
from cellcutter_core.images.file_sets.given_files import ImageFiles, describe_files, scenes_of
from cellcutter_core.images.image import Image
from cellcutter_core.pipeline import check_seen, naming, seen_channels
from cellcutter_core.runs.others import read_other


def kept_place(other: Source) -> ImageFiles:
    """Where one of the other images is kept.

    Raises
    ------
    ValueError
        If it is not there any more. It begins with the name of the image.
    """
    files = files_of(other)
    if not all(file.exists() for file in files):
        raise ValueError(f"{other.name}: is not kept here any more; take it away and add it again")
    return tuple(files) if other.more else files[0]


def read_chosen(other: Source, choices: Choices, roles: Mapping[str, Any]) -> Image:
    """Read one of the other images.

    Parameters
    ----------
    other : Source
        An uploaded file, or those of its channels.
    choices : Choices
        Those of the run: what `other` does not say of how it is read is as for its own image.
    roles : mapping
        `Image.roles` of the run's own image.

    Raises
    ------
    ValueError
        What `kept_place` and `read_other` raise. It begins with the name of the image.
    """
    channels = choices.source.channel_names
    return read_other(kept_place(other), roles, channels=channels, **choices.reading_of(other))


def images_of(
    kept: Sequence[Source], choices: Choices
) -> tuple[list[Source], list[tuple[str, str]]]:
    """The images in uploaded files: where the run's own is in several, so is each of them.

    Returns
    -------
    images : list of Source
    refused : list of (str, str)
        Files that belong to no image as it seems, and why.
    """
    channels = choices.source.channel_names
    if channels is None:
        return list(kept), []
    by_name: dict[str, Source] = {}
    images, refused = [], []
    for source in kept:
        if by_name.setdefault(source.name, source) != source:
            reason = "there is another file of this name; rename it, or add them one by one"
            refused.append((source.name, reason))
    for place in channels.images([Path(name) for name in by_name]):
        files = [place] if isinstance(place, Path) else place
        try:
            channels.check(files)
        except ValueError as error:
            refused.append((describe_files(place), str(error).partition(": ")[2]))
            continue
        first, *more = (by_name[file.name] for file in files)
        images.append(
            first.replace(more=[KeptFile(name=one.name, digest=one.digest) for one in more])
        )
    return images, refused


def take_in(kept: Source, choices: Choices, first: Image) -> tuple[Source, ...]:
    """How an uploaded file can be read as another image to train on, or as several.

    Parameters
    ----------
    kept : Source
        As `keep_file` returns it, or with more files, those of its channels.
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
    scenes = [None] if kept.more else scenes_of(file_of(kept))
    left = {one: kept.replace(scene=one) for one in scenes}
    for there in (choices.source, *choices.others):
        if there.kind == "file" and (there.digest, there.more) == (kept.digest, kept.more):
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
