"""The image that choices name, wherever it comes from."""

from __future__ import annotations

import dataclasses
import tempfile
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from cellcutter_core.choices.choices import Choices, Source
from cellcutter_core.choices.draft import file_of, files_of, keep_file
from cellcutter_core.images.contents import TooLarge
from cellcutter_core.images.file_sets.channel_files import read_channel_files
from cellcutter_core.images.file_sets.channel_names import ChannelNames
from cellcutter_core.images.image import Image, read_image, read_truth
from cellcutter_core.images.paper_data import fetch_paper
from cellcutter_core.images.parts import Region
from cellcutter_core.runs.store import Run
from cellcutter_core.simulation.sample import sample, save

LOOKED_AT = 1024
"""Longest side in pixels of an image that is too large to be read, as it is shown."""

# What to begin with. Which scene it is comes first: what it has of planes is known only then.
_BEGINNING: dict[str, Any] = {"scene": 0, "z": "max", "t": 0}


def read_somehow(source: Source, read: Callable[[Source], Image]) -> tuple[Source, Image]:
    """Read a source; with a scene, plane and time point to begin with where it needs one.

    What is tried is kept if something else is wrong then. So there are few tries, each of which
    reads the header of the file anew.

    Parameters
    ----------
    source : Source
    read : callable
        Reads it; raises a ValueError where that needs another scene, plane or time point, or
        cannot be.

    Returns
    -------
    source : Source
        With the scene, plane and time point that it was read with.
    image : Image

    Raises
    ------
    ValueError
        If it cannot be read in any way: what was wrong with it as it is.
    """
    try:
        return source, read(source)
    except ValueError as error:
        first = error
    wrong, in_vain = str(first), 0
    left = deque(name for name in _BEGINNING if getattr(source, name) is None)
    while in_vain < len(left):
        name = left.popleft()
        tried = source.replace(**{name: _BEGINNING[name]})
        try:
            return tried, read(tried)
        except ValueError as error:
            now = str(error)
        if now == wrong:
            left.append(name)
            in_vain += 1
        else:
            source, wrong, in_vain = tried, now, 0
    raise first


def why_unreadable(source: Source) -> str:
    """What is wrong with a source that cannot be read in any way; nothing where it can be."""
    try:
        read_somehow(source, open_source)
    except ValueError as error:
        return str(error)
    return ""


def open_source(source: Source) -> Image:
    """The whole image, or where it is too large every so many pixels of it, to look at.

    `Image.full_shape` tells which. Its regions are read by `read_region` then.

    Raises
    ------
    ValueError
        What `read_source` raises; also where only all of an image that is too large can be read.
    """
    try:
        return read_source(source)
    except TooLarge as error:
        with suppress(ValueError):
            image = read_source(source, reduced_to=LOOKED_AT)
            if image.full_shape is not None:
                return image
        raise error


def as_seen(source: Source, seen: Image) -> dict[str, Any]:
    """How a source is read, with what was judged by all of the image, as it is for every region."""
    judged: dict[str, Any] = {}
    for name in ("inverted", "stained"):
        of_files = [getattr(one, name) for one in seen.appearances]
        judged[name] = of_files if source.more else of_files[0]
    return {**source.reading, **judged}


def read_region(source: Source, region: Region, seen: Image) -> Image:
    """A part of an image that is too large to be read whole, with channels in the same roles.

    Parameters
    ----------
    source : Source
    region : (row, col, row, col)
    seen : Image
        What `open_source` returned.

    Raises
    ------
    ValueError
        What `read_source` raises; a `TooLarge` says which region fits.
    """
    return read_source(source, region=region, **as_seen(source, seen)).with_roles(**seen.roles)


def read_source(source: Source, **part: Any) -> Image:
    """The whole image, its channels in the roles that are guessed.

    Parameters
    ----------
    source : Source
    **part
        `region` and the like, as for `read_image`, of an image that comes from a file or an
        address; what is chosen of it otherwise holds for the rest.

    Raises
    ------
    ValueError
        What `read_image`, `read_channel_files`, `read_truth`, `Image.with_truth` and `fetch_paper`
        raise.
    """
    if source.kind == "sample":
        return sample(seed=source.seed)
    if source.kind == "paper":
        return read_image(fetch_paper(source.name))
    how = {**source.reading, **part}
    if source.kind == "web":
        # Whoever sees the page chooses it, so it must not lead into the server's own network.
        return read_image(source.name, public_only=True, **how)
    files = files_of(source)
    image = read_channel_files(files, **how) if source.more else read_image(files[0], **how)
    if source.truth is None or image.full_shape is not None:
        return image
    left_out: list[str] = []
    truth = read_truth(file_of(source.truth), image, report=left_out.append)
    return dataclasses.replace(image.with_truth(truth), truth_notes=tuple(left_out))


def file_names_of(run: Run) -> list[str]:
    """Those of the run's own image; none where that is not known."""
    about = run.description
    if "files" in about:
        return list(about["files"])
    return Choices(**about["choices"]).source.file_names if "choices" in about else []


def channel_names_of(run: Run) -> ChannelNames | None:
    """How the files of a run's own image say their channels; None where they do not."""
    return ChannelNames.of(file_names_of(run))


def is_of_a_part(run: Run) -> bool:
    """Whether the run says that its image is a part of one."""
    region, whole = run.description.get("region"), run.description.get("whole")
    if not region or not whole or "choices" not in run.description:
        return False
    return tuple(region) != (0, 0, *whole)


def whole_image_files(run: Run) -> tuple[list[Path], dict[str, Any]]:
    """The whole image of a run that was trained on a part of it.

    Parameters
    ----------
    run : Run
        See `is_of_a_part`.

    Returns
    -------
    files : list of Path
        A file with it, or those of its channels: what was uploaded or fetched, or where there is
        nothing of it, a file that is written beside those that are kept.
    how : dict
        How `Trained.read` is to read it.

    Raises
    ------
    ValueError
        What `read_source` raises, and if the file cannot be written.
    """
    source = Choices(**run.description["choices"]).source
    # As the file says or a person did.
    size = run.description.get("pixel_size")
    known = {} if size is None else {"pixel_size": size}
    if source.kind == "file":
        return files_of(source), {**source.reading, **known}
    if source.kind == "paper":
        return [fetch_paper(source.name)], known
    image = read_source(source)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{Path(source.title).stem or 'image'}.npz"
        save(image, file)
        kept = keep_file(file.name, file.read_bytes())
    # It has one image and plane, bright cells and the channels of stains already.
    said = run.description.get("reading", {})
    first = {name: 0 for name in ("z", "t", "scene") if name in said}
    return [file_of(kept)], {**first, **known, "inverted": False, "stained": False}
