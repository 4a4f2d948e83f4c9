"""Reads one image whose channels are in separate files."""

from __future__ import annotations

import bisect
import dataclasses
import os
from collections.abc import Sequence
from typing import Literal

import numpy as np

from cellcutter_core.images.file_sets.channel_names import stem_of
from cellcutter_core.images.guesses.roles import (
    Which,
    find_cell,
    guess_roles,
    known_nucleus,
    name_channels,
    varies,
)
from cellcutter_core.images.image import Image
from cellcutter_core.images.pixel_size import PixelSize, are_same, format_pixel_size
from cellcutter_core.images.read_image import read_image
from cellcutter_core.images.reading.contents import TooLarge, check_size
from cellcutter_core.images.reading.parts import Plane, Region
from cellcutter_core.limits import limits

File = str | os.PathLike[str]


def read_channel_files(
    files: Sequence[File],
    *,
    nucleus_file: File | None = None,
    cell: Which | Sequence[Which] | None = None,
    nucleus: Which | None = None,
    z: Plane = None,
    t: Plane = None,
    scene: Plane = None,
    region: Region | None = None,
    reduced_to: int | None = None,
    inverted: bool | Sequence[bool | None] | None = None,
    stained: bool | Sequence[bool | None] | None = None,
    nan_as: Sequence[Sequence[float | None]] | None = None,
    pixel_size: PixelSize | None = None,
    max_bytes: int | None = None,
) -> Image:
    """Read the channels of one image from several files.

    The channel of a file with one channel is named after the file, without its ending. If a file
    has several channels, its name is put before theirs. A picture tinted in one colour has that
    colour as its only channel.

    Parameters
    ----------
    files : sequence of paths
        Anything that `read_image` reads, all of the same size. Truth, markers and the like come
        from the first file.
    nucleus_file : path, optional
        One more file, which shows the nuclei. Default: guessed from the names of the files.
    cell, nucleus, z, t, scene, region, reduced_to : optional
        As for `read_image`, the same for all files.
    inverted, stained : bool, optional
        As for `read_image`: one value for all but `nucleus_file`, or one for each of `files`. A
        file with None, the default, is judged by itself.
    nan_as : sequence, optional
        As for `read_image`, for each of `files`.
    pixel_size : optional
        As for `read_image`. Default: from the first file that gives it.
    max_bytes : int, optional
        As for `read_image`, for all files together.

    Returns
    -------
    Image
        Named after the first file. Numbers are those of the files, in a data type that holds all.

    Raises
    ------
    ValueError
        As `read_image`, and if the files have different sizes (the message names two).
    """
    if nucleus_file is not None and nucleus is not None:
        raise ValueError("nucleus and nucleus_file both say which channel shows nuclei; give one")
    limit = limits().image if max_bytes is None else max_bytes
    images: list[Image] = []
    all_files = [*files, *([] if nucleus_file is None else [nucleus_file])]
    turned, section = (_for_each(said, files) for said in (inverted, stained))
    for number, file in enumerate(all_files):
        images.append(
            read_image(
                file,
                z=z,
                t=t,
                scene=scene,
                region=region,
                reduced_to=reduced_to,
                inverted=turned[number],
                stained=section[number],
                nan_as=nan_as[number] if nan_as and number < len(nan_as) else (),
                pixel_size=pixel_size,
                max_bytes=limit,
            )
        )
        _check_fits(images, limit)
    images = [_without_tint(image) for image in images]
    n_channels = [len(image.channels) for image in images]
    starts = np.cumsum([0, *n_channels]).tolist()
    pixels = np.concatenate([image.pixels for image in images], axis=2)
    stems = [stem_of(image.name) for image in images]
    names = name_channels(_names(images, stems), n_channels=pixels.shape[2], colour=False)
    at: int | Literal["none"] | None = None
    if nucleus_file is not None:
        at = starts[-2] + images[-1].cell[0]
    elif nucleus is not None:
        at = known_nucleus(nucleus, names, name=images[0].name)
    roles = guess_roles(
        pixels,
        _said(images, stems),
        named=True,
        colour=False,
        cell=None if cell is None else find_cell(cell, names, name=images[0].name),
        nucleus=at,
    )
    chosen = roles.cell
    if roles.reasons["cell"].sure not in ("chosen", "sure"):
        # If the file has several channels, take those that show the cell when it is read alone.
        holder = bisect.bisect_right(starts, chosen[0]) - 1
        own = tuple(starts[holder] + index for index in images[holder].cell)
        chosen = chosen if roles.nucleus in own else own
    sized = [image for image in images if image.pixel_size is not None]
    return dataclasses.replace(
        images[0],
        pixels=pixels,
        channels=names,
        cell=chosen,
        nucleus=roles.nucleus,
        pixel_size=sized[0].pixel_size if sized else None,
        size_notes=(*sized[0].size_notes, *_disagreement(sized)) if sized else (),
        appearances=tuple(image.appearances[0] for image in images),
        reasons=roles.reasons,
    ).with_roles()


def _disagreement(sized: Sequence[Image]) -> tuple[str, ...]:
    """A sentence if files give different pixel sizes; it says which of them is used."""
    said = [(image.name, image.pixel_size) for image in sized if image.pixel_size is not None]
    for name, size in said[1:]:
        first, used = said[0]
        if not are_same(size, used):
            return (
                f"The files of its channels give different pixel sizes, {first} "
                f"{format_pixel_size(used)} and {name} {format_pixel_size(size)}. That of "
                f"{first} is used.",
            )
    return ()


def _for_each(
    said: bool | Sequence[bool | None] | None, files: Sequence[File]
) -> list[bool | None]:
    """The value for each of the files, and None for the nucleus file."""
    if said is None or isinstance(said, bool):
        return [*([said] * len(files)), None]
    if len(said) != len(files):
        raise ValueError(f"{len(said)} values are given for {len(files)} files; give one for each")
    return [*said, None]


def _check_fits(images: Sequence[Image], limit: int) -> None:
    """Refuse the last image if its size differs from the first, or memory does not suffice."""
    first, last = images[0], images[-1]
    for (rows, cols), (other_rows, other_cols) in (
        (_whole_shape(first), _whole_shape(last)),
        (first.shape, last.shape),  # Only one of the files can be read at a reduced size.
    ):
        if (rows, cols) != (other_rows, other_cols):
            raise ValueError(
                f"{first.name} has {rows} × {cols} pixels and {last.name} {other_rows} × "
                f"{other_cols}; the channels of one image have the same size, choose files that "
                "belong together"
            )
    try:
        check_size(sum(image.pixels.nbytes for image in images), limit)
    except TooLarge as error:
        raise TooLarge(f"{last.name}: with the other files {error}") from None


def _whole_shape(image: Image) -> tuple[int, int]:
    """Rows and columns of the whole image, of which a region or every n-th pixel may be read."""
    return image.whole_shape or image.full_shape or image.shape


def _without_tint(image: Image) -> Image:
    """Drop the constant colours of a colour picture."""
    if image.channels != ("red", "green", "blue"):
        return image
    kept = tuple(index for index in range(3) if varies(image.pixels[..., index]))
    (seen,) = image.appearances
    return dataclasses.replace(
        image,
        pixels=image.pixels[..., list(kept)],
        appearances=(seen.keep(kept),),
        channels=tuple(image.channels[index] for index in kept),
        cell=tuple(kept.index(index) for index in image.cell),
        nucleus=None,
    )


def _said(images: Sequence[Image], stems: Sequence[str]) -> list[str]:
    """For each channel the name of its file, and its name in the file unless that is "gray"."""
    return [
        stem if channel == "gray" else f"{stem} {channel}"
        for image, stem in zip(images, stems, strict=True)
        for channel in image.channels
    ]


def _names(images: Sequence[Image], stems: Sequence[str]) -> list[str]:
    return [
        stem if len(image.channels) == 1 else f"{stem} {channel}"
        for image, stem in zip(images, stems, strict=True)
        for channel in image.channels
    ]
