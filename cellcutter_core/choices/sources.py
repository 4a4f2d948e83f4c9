"""Read the image that choices name, from any source."""

from __future__ import annotations

import dataclasses
import tempfile
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from cellcutter_core.choices.choices import Choices, Source
from cellcutter_core.choices.draft import markers_digest
from cellcutter_core.choices.of_run import described
from cellcutter_core.choices.uploads import file_of, files_of, keep_young, store_upload
from cellcutter_core.images.file_sets.channel_files import read_channel_files
from cellcutter_core.images.file_sets.channel_names import ChannelNames
from cellcutter_core.images.image import Image
from cellcutter_core.images.paper_data import fetch_paper
from cellcutter_core.images.read_image import read_image, read_truth
from cellcutter_core.images.reading.contents import TooLarge
from cellcutter_core.images.reading.parts import Region
from cellcutter_core.markers.editing import add_marker
from cellcutter_core.markers.finding import Nuclei
from cellcutter_core.runs.store import Run
from cellcutter_core.simulation.sample import sample, save

LOOKED_AT = 1024
"""Longest side in pixels at which an image that is too large to be read is shown."""

# Values to try first. The scene comes first, because its planes are known only then.
_BEGINNING: dict[str, Any] = {"scene": 0, "z": "max", "t": 0}


def read_somehow(source: Source, read: Callable[[Source], Image]) -> tuple[Source, Image]:
    """Read a source, with an initial scene, plane and time point if it needs them.

    A value that leads to a different error is kept. So there are few tries; each reads the header
    of the file again.

    Parameters
    ----------
    source : Source
    read : callable
        Reads it. It raises a ValueError if it needs another scene, plane or time point, or if it
        cannot read the source.

    Returns
    -------
    source : Source
        With the scene, plane and time point that it was read with.
    image : Image

    Raises
    ------
    ValueError
        If it cannot be read in any way; the error is the one without the initial values.
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
    """Return why a source cannot be read in any way; empty if it can be read."""
    try:
        read_somehow(source, open_source)
    except ValueError as error:
        return str(error)
    return ""


def open_source(source: Source) -> Image:
    """Read the whole image; if it is too large, read it at a reduced size, to look at.

    A reduced image has `Image.full_shape`. Its regions are read by `read_region`.

    Raises
    ------
    ValueError
        As `read_source`, and if an image that is too large can only be read whole.
    """
    keep_young(source)
    try:
        return read_source(source)
    except TooLarge as error:
        with suppress(ValueError):
            image = read_source(source, reduced_to=LOOKED_AT)
            if image.full_shape is not None:
                return image
        raise error


def as_seen(source: Source, seen: Image) -> dict[str, Any]:
    """Return how to read a source, with the values detected on the whole image, for its regions."""
    judged: dict[str, Any] = {}
    names = ["inverted", "stained"]
    names += ["nan_as"] if any(one.nan_as for one in seen.appearances) else []
    for name in names:
        of_files = [getattr(one, name) for one in seen.appearances]
        judged[name] = of_files if source.more else of_files[0]
    return {**source.reading, **judged}


def read_region(source: Source, region: Region, seen: Image) -> Image:
    """Read a region of an image that is too large to be read whole, with the same channel roles.

    Parameters
    ----------
    source : Source
    region : (row, col, row, col)
    seen : Image
        What `open_source` returned.

    Raises
    ------
    ValueError
        As `read_source`; a `TooLarge` states which region fits.
    """
    return read_source(source, region=region, **as_seen(source, seen)).with_roles(**seen.roles)


def read_source(source: Source, **part: Any) -> Image:
    """Read the whole image, with guessed roles of its channels.

    Parameters
    ----------
    source : Source
    **part
        Arguments of `read_image` such as `region`, for an image from a file or an address. Other
        arguments are those of the source.

    Raises
    ------
    ValueError
        As `read_image`, `read_channel_files`, `read_truth`, `Image.with_truth` and `fetch_paper`.
    """
    if source.kind == "sample":
        return sample(seed=source.seed)
    if source.kind == "paper":
        return read_image(fetch_paper(source.name))
    how = {**source.reading, **part}
    if source.kind == "web":
        # Every visitor can choose the address, so it must not lead into the server's own network.
        return read_image(source.name, public_only=True, **how)
    files = files_of(source)
    image = read_channel_files(files, **how) if source.more else read_image(files[0], **how)
    if source.truth is None or image.full_shape is not None:
        return image
    left_out: list[str] = []
    truth = read_truth(file_of(source.truth), image, report=left_out.append)
    return dataclasses.replace(image.with_truth(truth), truth_notes=tuple(left_out))


def file_names_of(run: Run) -> list[str]:
    """Return the file names of the run's own image; empty if they are not known."""
    about = run.description
    if about.files or about.choices is None:
        return list(about.files)
    return Choices(**about.choices).source.file_names


def channel_names_of(run: Run) -> ChannelNames | None:
    """Return how file names of a run's own image give the channels; None if they do not."""
    return ChannelNames.of(file_names_of(run))


def is_of_a_part(run: Run) -> bool:
    """Return whether the run's image is a region of a larger one, by its description."""
    about = run.description
    if not about.region or not about.whole or about.choices is None:
        return False
    return about.region != (0, 0, *about.whole)


def whole_image_files(run: Run) -> tuple[list[Path], dict[str, Any]]:
    """Return the files of the whole image of a run that was trained on a region.

    Parameters
    ----------
    run : Run
        See `is_of_a_part`.

    Returns
    -------
    files : list of Path
        The file of the image, or the files of its channels: those that were uploaded or fetched,
        or else a file that is written beside the kept ones.
    how : dict
        Arguments for `Trained.read`.

    Raises
    ------
    ValueError
        As `read_source`, if the file cannot be written, or if an image from an address is too
        large to be read whole.
    """
    about = run.description
    source = Choices(**(about.choices or {})).source
    # As in the file or as entered.
    known = {} if about.pixel_size is None else {"pixel_size": about.pixel_size}
    if source.kind == "file":
        return files_of(source), {**source.reading, **known}
    if source.kind == "paper":
        return [fetch_paper(source.name)], known
    try:
        image = read_source(source)
    except TooLarge:
        raise ValueError(
            f"{source.title} is too large to be read whole from its address; download it, and use "
            "the command line: python -m cellcutter_core apply RUN FILE --out FOLDER"
        ) from None
    kept = _keep_image(image, source.title)
    # A written file already has one image and plane, bright cells, and stains as channels.
    first: dict[str, Any] = {n: 0 for n in ("z", "t", "scene") if n in about.reading}
    return [file_of(kept)], {**first, **known, "inverted": False, "stained": False}


def choices_and_markers_of(run: Run) -> tuple[Choices, Nuclei | None]:
    """Return the choices that lead to a run, and its markers; None if they are found with these.

    A run from the command line has none, and one from another machine names files that are not
    here. Then the images and the truth that the run holds are written to files kept here, and the
    choices of these into its description. So this is done only once.

    Raises
    ------
    ValueError
        If the run is damaged, or a file cannot be written.
    """
    about = run.description
    markers = markers_of(run) if about.is_marked else None
    if about.choices is not None:
        choices = Choices(**about.choices)
        source = choices.source
        files = [file for one in (source, *choices.others) for file in files_of(one)]
        files += [] if source.truth is None else [file_of(source.truth)]
        all_named = len(choices.others) == len(run.other_files)
        if all_named and all(file.exists() for file in files):
            return choices, markers
    image = _image_of(run)
    choices = Choices(
        source=_kept_as_seen(image),
        cell=about.cell,
        nucleus=about.nucleus,
        pixel_size=about.pixel_size,
        region=(0, 0, *image.shape),
        config=run.config,
        others=tuple(_kept_as_seen(other.image) for other in run.others),
    )
    if about.cell is None:
        # It may lack channels that the network did not see, and thus its nuclei.
        markers = markers_of(run)
    # Those of another person's run are found again each time.
    if not run.is_read_only:
        edits = markers_digest(markers)
        run.describe(**{**described(choices, edits=edits), "image": image.name})
    return choices, markers


def markers_of(run: Run) -> Nuclei:
    """Return the markers of a run; one without a region gets a small disk as its region.

    Raises
    ------
    ValueError
        If the run is damaged.
    """
    inputs = run.inputs
    if inputs.nuclei is not None:
        points: Any = inputs.points  # As they are: a digest tells whole numbers from others.
        return Nuclei(inputs.nuclei, points)
    found = Nuclei(np.zeros(inputs.mask.shape, np.int32), np.zeros((0, 2), np.int32))
    for row, col in inputs.points:
        found = add_marker(found, (row, col))
    return found


def _kept_as_seen(image: Image) -> Source:
    # Its intensities have already been inverted if necessary, so cells are bright.
    return _keep_image(image, image.name).replace(inverted=False)


def _keep_image(image: Image, name: str) -> Source:
    """Write an image to a file kept here."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{Path(name).stem or 'image'}.npz"
        save(image, file)
        return store_upload(file.name, file.read_bytes())


def _image_of(run: Run) -> Image:
    inputs, truth, unseen = run.inputs, run.truth, run.unseen
    seen = run.description.channels
    if len(seen) != inputs.image.shape[-1]:
        seen = tuple(f"channel {n}" for n in range(1, inputs.image.shape[-1] + 1))
    pixels = np.concatenate(
        [inputs.image, *(channel[..., None] for channel in unseen.values())], axis=-1
    )
    return Image(
        pixels,
        (*seen, *unseen),
        truth=None if truth is None else truth.labels,
        ignore=None if truth is None else truth.ignore,
        name=run.description.image or run.id,
    )
