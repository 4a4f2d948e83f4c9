"""The other images that the user has chosen to train on: check, find and read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cellcutter_core.arguments import naming
from cellcutter_core.choices.choices import Choices, KeptFile, Source
from cellcutter_core.choices.sources import read_somehow
from cellcutter_core.choices.uploads import file_of, files_of
from cellcutter_core.images.file_sets.given_files import ImageFiles, describe_files, scenes_of
from cellcutter_core.images.image import Image
from cellcutter_core.runs.other_images import read_other
from cellcutter_core.training.image_inputs import check_seen, seen_channels


def kept_place(other: Source) -> ImageFiles:
    """Return where the files of one of the other images are kept.

    Raises
    ------
    ValueError
        If they no longer exist. The message begins with the name of the image.
    """
    files = files_of(other)
    if not all(file.exists() for file in files):
        raise ValueError(f"{other.name}: is no longer kept here; remove it and add it again")
    return tuple(files) if other.more else files[0]


def read_chosen(other: Source, choices: Choices, roles: Mapping[str, Any]) -> Image:
    """Read one of the other images.

    Parameters
    ----------
    other : Source
        An uploaded file, or those of its channels.
    choices : Choices
        The choices of the run. Options that `other` does not set are those of the run's own image.
    roles : mapping
        `Image.roles` of the run's own image.

    Raises
    ------
    ValueError
        As `kept_place` and `read_other`; the message begins with the name of the image.
    """
    channels = choices.source.channel_names
    return read_other(kept_place(other), roles, channels=channels, **choices.reading_of(other))


def images_of(
    kept: Sequence[Source], choices: Choices
) -> tuple[list[Source], list[tuple[str, str]]]:
    """Group uploaded files into images. If the run's own image has several files, so has each.

    Returns
    -------
    images : list of Source
    refused : list of (str, str)
        Files that seem to belong to no image, and why.
    """
    channels = choices.source.channel_names
    if channels is None:
        return list(kept), []
    by_name: dict[str, Source] = {}
    images, refused = [], []
    for source in kept:
        if by_name.setdefault(source.name, source) != source:
            reason = "there is another file with this name; rename it, or add them one by one"
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
    """Check an uploaded file and return it as one or several other images to train on.

    Parameters
    ----------
    kept : Source
        As `store_upload` returns it, with more files if its channels are in several.
    choices : Choices
        The choices that it is added to.
    first : Image
        The run's own image, with the roles of its channels.

    Returns
    -------
    tuple of Source
        The file, with a scene, plane or time point if it needs another one than the run's own
        image. Of a file that holds several images, each one that is not trained on already.

    Raises
    ------
    ValueError
        If it cannot be read, has been added already, has the name of another image, or shows the
        network another number of channels. The message begins with the name of the file.
    """
    scenes = [None] if kept.more else scenes_of(file_of(kept))
    left = {one: kept.replace(scene=one) for one in scenes}
    for there in (choices.source, *choices.others):
        if there.kind == "file" and (there.digest, there.more) == (kept.digest, kept.more):
            left.pop(None if None in left else there.scene, None)
            if not left:
                which = "the image itself" if there is choices.source else there.name
                raise ValueError(f"{kept.name}: is {which}, which is already trained on")
        elif there.kind == "file" and there.name == kept.name:
            raise ValueError(
                f"{kept.name}: there is another image with this name; rename the file, so that "
                "their results can be told apart"
            )
    return tuple(_readable(one, choices, first) for one in left.values())


def _readable(kept: Source, choices: Choices, first: Image) -> Source:
    other, image = read_somehow(kept, lambda source: read_chosen(source, choices, first.roles))
    with naming(kept.name):
        check_seen(image, choices.config, n_channels=len(seen_channels(first, choices.config)))
    return other
