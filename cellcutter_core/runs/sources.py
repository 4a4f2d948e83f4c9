"""The image that choices name, wherever it comes from."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cellcutter_core.channel_files import read_channel_files
from cellcutter_core.images import Image, read_image
from cellcutter_core.paper_data import fetch_paper
from cellcutter_core.runs.choices import Choices, Source
from cellcutter_core.runs.draft import file_of, files_of, keep_file
from cellcutter_core.runs.store import Run
from cellcutter_core.samples import sample, save

_WAYS: tuple[dict[str, Any], ...] = ({}, {"z": "max"}, {"t": 0}, {"z": "max", "t": 0})


def read_somehow(source: Source, read: Callable[[Source], Image]) -> tuple[Source, Image]:
    """Read a source; a stack or a series has a plane and a time point to begin with.

    Parameters
    ----------
    source : Source
    read : callable
        Reads it; raises a ValueError where that needs another plane or time point, or cannot be.

    Returns
    -------
    source : Source
        With the plane and time point that it was read with.
    image : Image

    Raises
    ------
    ValueError
        If it cannot be read in any way: what was wrong with it as it is.
    """
    errors = []
    for way in _WAYS:
        tried = source.replace(**way)
        try:
            return tried, read(tried)
        except ValueError as error:
            errors.append(error)
    raise errors[0]


def read_source(source: Source) -> Image:
    """The whole image, its channels in the roles that are guessed.

    Raises
    ------
    ValueError
        What `read_image`, `read_channel_files` and `fetch_paper` raise.
    """
    if source.kind == "sample":
        return sample(seed=source.seed)
    if source.kind == "paper":
        return read_image(fetch_paper(source.name))
    if source.kind == "web":
        # Whoever sees the page chooses it, so it must not lead into the server's own network.
        return read_image(source.name, public_only=True, **source.reading)
    files = files_of(source)
    if len(files) > 1:
        return read_channel_files(files, **source.reading)
    return read_image(files[0], **source.reading)


def is_of_a_part(run: Run) -> bool:
    """Whether the run says that its image is a part of one that can be read whole."""
    region, whole = run.description.get("region"), run.description.get("whole")
    if not region or not whole or "choices" not in run.description:
        return False
    return tuple(region) != (0, 0, *whole)


def whole_image_file(run: Run) -> tuple[Path, dict[str, Any]]:
    """The whole image of a run that was trained on a part of it.

    Parameters
    ----------
    run : Run
        See `is_of_a_part`.

    Returns
    -------
    path : Path
        A file with it: the one that was uploaded or fetched, or else, where there is none or its
        channels lie in several, one that is written beside those that are kept.
    how : dict
        How `Trained.read` is to read it.

    Raises
    ------
    ValueError
        What `read_source` raises, and if the file cannot be written.
    """
    source = Choices(**run.description["choices"]).source
    if source.kind == "file" and not source.more:
        return file_of(source), source.reading
    if source.kind == "paper":
        return fetch_paper(source.name), {}
    image = read_source(source)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{Path(source.title).stem or 'image'}.npz"
        save(image, file)
        kept = keep_file(file.name, file.read_bytes())
    # It has one plane, bright cells and the channels of stains already.
    planes = {name: 0 for name in ("z", "t") if name in run.description.get("reading", {})}
    return file_of(kept), {**planes, "inverted": False, "stained": False}
