"""Reads images, labels and truth from files."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from cellcutter_core.arguments import describe_value, naming
from cellcutter_core.images.formats.validation import paper_validation
from cellcutter_core.images.formats.zarr_recognition import is_address
from cellcutter_core.images.guesses.appearance import Appearance, interpret
from cellcutter_core.images.guesses.label_images import refuse_labels
from cellcutter_core.images.guesses.roles import (
    Which,
    find_cell,
    guess_roles,
    known_nucleus,
    name_channels,
)
from cellcutter_core.images.image import Image, refuse_constant
from cellcutter_core.images.pixel_size import PixelSize, checked
from cellcutter_core.images.reading.contents import Array, Contents, Unreadable
from cellcutter_core.images.reading.drawn_shapes import (
    Report,
    area_labels,
    is_drawn,
    read_drawn,
    warn,
)
from cellcutter_core.images.reading.parts import Part, Plane, Region
from cellcutter_core.images.reading.readers import (
    file_name,
    one_line,
    read_contents,
    read_label_contents,
)
from cellcutter_core.label_image import as_whole_numbers
from cellcutter_core.limits import limits


def read_image(
    path: str | os.PathLike[str],
    *,
    cell: Which | Sequence[Which] | None = None,
    nucleus: Which | None = None,
    z: Plane = None,
    t: Plane = None,
    scene: Plane = None,
    region: Region | None = None,
    reduced_to: int | None = None,
    inverted: bool | None = None,
    stained: bool | None = None,
    nan_as: Sequence[float | None] = (),
    pixel_size: PixelSize | Sequence[float] | None = None,
    public_only: bool = False,
    max_bytes: int | None = None,
) -> Image:
    """Read an image from one of many formats.

    The formats are TIFF, PNG, JPEG, BMP, GIF, WebP, JPEG 2000, .npy, .npz, HDF5 and OME-Zarr, and
    with their packages ND2, CZI and LIF.

    `cellcutter_core.images.formats` describes what is read of each format, and
    `cellcutter_core.images.guesses.roles` how the roles of channels are guessed.

    Parameters
    ----------
    path : path or str
        A file. For an OME-Zarr: its folder, a zip archive of that folder, or its address (http or
        https). Label images in an OME-Zarr are not read.
    cell : channel or sequence of channels, optional
        The channels that show the cells, by index or name. Default: guessed.
    nucleus : channel, optional
        The channel that shows the nuclei, by index or name; 'none' if there is none. Default:
        guessed.
    z, t : int, optional
        The plane of a stack, from 0. `z` can be 'max' for the maximum projection. The frames of an
        animated picture are time points, or planes if only `z` is given.
    scene : int or str, optional
        The image to read if the file holds several (LIF, scenes of CZI, positions of ND2 and
        Micro-Manager, series of TIFF), from 0 in the order of the file. Much smaller images, such
        as thumbnails, come last, and need no choice. An image can also be given by its name, such
        as that of a data set of HDF5.
    region : (row, col, row, col), optional
        First row and column of the part to read, and those after the last. The rest takes no
        memory, except in pictures, .npz and some LIF.
    reduced_to : int, optional
        Read only every n-th row and column, so that there are at most this many of each, to view an
        image that is too large to be read. Smaller versions in a TIFF or OME-Zarr are used.
        Pictures and .npz are read in full.
    inverted : bool, optional
        Whether cells are dark on a bright background. If so, all channels are inverted. Default:
        judged by the pixels, see `cellcutter_core.images.guesses.brightness`.
    stained : bool, optional
        Whether a colour picture shows a stained section. If so, it gets the channels 'density' and
        'hematoxylin' beside red, green and blue. Default: judged by the pixels, see
        `cellcutter_core.images.guesses.stains`.
    nan_as : sequence of float or None, optional
        For a region of an image that has NaN where nothing was imaged: the number that NaN counts
        as, for each channel of the file, see `Appearance.nan_as`. Default: the channel's smallest
        number in the region, if the shape of NaN there is that of a gap.
    pixel_size : float or (float, float), optional
        µm per pixel, or height and width if it is not square. Default: from the file.
    public_only : bool
        Read only addresses of the public internet; for a server whose visitors give addresses.
    max_bytes : int, optional
        The most memory that the pixels may take while they are read, in bytes. Larger images are
        refused by the header of their file. Default: 2 GiB, or the value of the environment
        variable CELLCUTTER_IMAGE_LIMIT.

    Returns
    -------
    Image

    Raises
    ------
    ValueError
        If the file does not exist, is not an image, or is damaged; if it needs more than
        `max_bytes`, holds several images and none is chosen, or is a stack and no plane is chosen;
        if it holds infinity, or NaN outside of a frame around the image, or shows labels instead of
        intensities; if a named channel does not exist, or a channel in use is constant. The message
        is one line that begins with the file's name. The error is a `TooLarge` or `Several` in
        these two cases.
    """
    if not isinstance(path, str | os.PathLike):
        raise ValueError(
            f"path is {describe_value(path)}, but has to be the path of a file; to make an image "
            "of an array use Image(array, names)"
        )
    path = str(path) if is_address(path) else Path(path)
    name = file_name(path)
    limit = limits().image if max_bytes is None else max_bytes
    contents = read_contents(
        path,
        z=z,
        t=t,
        scene=scene,
        region=region,
        reduced_to=reduced_to,
        nan_as=nan_as,
        public_only=public_only,
        max_bytes=limit,
    )
    try:
        refuse_labels(contents.pixels)
        contents, seen = interpret(contents, inverted=inverted, stained=stained, max_bytes=limit)
    except Unreadable as error:
        error.args = (f"{name}: {error}",)
        raise error from None
    pixels, colour, part = contents.pixels, contents.colour, Part(z, t, region=region)
    channels = name_channels(contents.channels, n_channels=pixels.shape[2], colour=colour)
    roles = guess_roles(
        pixels,
        channels,
        named=contents.channels is not None,
        colour=colour,
        cell=None if cell is None else find_cell(cell, channels, name=name),
        nucleus=None if nucleus is None else known_nucleus(nucleus, channels, name=name),
    )
    with naming(name):
        size = contents.pixel_size if pixel_size is None else checked(pixel_size)
    image = Image(
        pixels,
        channels,
        cell=roles.cell,
        nucleus=roles.nucleus,
        reasons=roles.reasons,
        pixel_size=size,
        size_notes=contents.size_notes if pixel_size is None else (),
        full_shape=contents.full_shape,
        origin=(0, 0) if part.region is None or contents.whole else part.region[:2],
        whole_shape=contents.whole_shape,
        appearances=(seen,),
        z=part.z,
        t=part.t,
        name=name,
    )
    image = refuse_constant(_with_companions(image, contents))
    if part.region is None or not contents.whole:
        return image
    from cellcutter_core.images.regions import cut_out

    return cut_out(image, part.region)


def read_pixels(
    path: str | os.PathLike[str],
    appearance: Appearance,
    *,
    region: Region,
    z: Plane = None,
    t: Plane = None,
    scene: Plane = None,
) -> Array:
    """Read a part of an image that has been read before, interpreted in the same way.

    Parameters
    ----------
    path, region, z, t, scene
        As for `read_image`.
    appearance : Appearance
        How the whole image was interpreted.

    Returns
    -------
    (h, w, C) array
        With the same channels and the same brightness as in the whole image.

    Raises
    ------
    ValueError
        If the file cannot be read.
    """
    path = str(path) if is_address(path) else Path(path)
    contents = read_contents(path, z=z, t=t, scene=scene, region=region, nan_as=appearance.nan_as)
    pixels = contents.pixels
    if contents.whole:
        top, left, bottom, right = region
        pixels = pixels[top:bottom, left:right]
    return appearance.of(pixels)


def read_labels(
    path: str | os.PathLike[str],
    *,
    shape: tuple[int, int] | None = None,
    origin: tuple[int, int] | None = None,
    z: Plane = None,
    t: Plane = None,
    report: Report | None = None,
) -> Array:
    """Read labels from a label image, from an .npz file with truth, or from outlines.

    Parameters
    ----------
    path : path
        A label image, of integers or of floats that are whole numbers; an .npz file that holds an
        image with its truth; or outlines of cells as ROIs of ImageJ (.roi, or a set in a .zip) or
        GeoJSON. Where outlines overlap, a pixel belongs to the first.
    shape : (int, int), optional
        Rows and columns of the image. Needed for outlines.
    origin : (int, int), optional
        (row, col) of the image's first pixel, if it is a region of the one that was drawn on.
    z, t, report : optional
        The plane of a stack that the image shows: of a stack of labels, this plane is read. And
        where to report outlines in other planes, see `read_markers`.

    Returns
    -------
    (H, W) integer array
        0 for background.

    Raises
    ------
    ValueError
        If the file cannot be read, is not an image of one channel of whole numbers, holds points,
        or holds outlines and `shape` is not given. The message is one line that begins with the
        file's name.
    """
    path = str(path) if is_address(path) else Path(path)
    name = file_name(path)
    if isinstance(path, Path) and is_drawn(path):
        say = report or warn
        try:
            drawn = read_drawn(path).in_plane(z, t, lambda line: say(f"{name}: {line}"))
            if shape is None:
                raise Unreadable(
                    "holds outlines, which do not say how large their image is; give a label image"
                )
            if len(drawn.points) or not drawn.areas:
                what = "points, which do not say how far" if len(drawn.points) else "no outlines of"
                raise Unreadable(f"holds {what} cells reach; save the outlines of the cells")
            return area_labels(drawn.areas, shape, origin)
        except Unreadable as error:
            raise ValueError(f"{name}: {one_line(error)}") from None
    contents = read_label_contents(path, z=z, t=t)
    for key in ("cells", "nuclei"):
        if contents.companions.get(key) is not None:
            return contents.companions[key]
    pixels = contents.pixels
    if pixels.shape[2] != 1:
        raise ValueError(
            f"{name}: has {pixels.shape[2]} channels of {pixels.dtype}; a label image has one, of "
            "whole numbers"
        )
    labels = as_whole_numbers(pixels[..., 0])
    if labels.dtype.kind not in "iu":
        raise ValueError(
            f"{name}: holds numbers that are not whole ({labels.dtype}); a label image has a whole "
            "number for each cell, and 0 between cells"
        )
    return labels


def read_truth(
    path: str | os.PathLike[str],
    image: Image,
    *,
    report: Report | None = None,
) -> Array:
    """Read the true cells of an image that may be a region of a larger one.

    Parameters
    ----------
    path : path
        As for `read_labels`, for the whole of the larger image. A label image may also cover the
        region alone; its size tells.
    image : Image
    report : optional
        As for `read_labels`.

    Returns
    -------
    (H, W) integer array
        For `Image.with_truth`, which checks whether it fits.

    Raises
    ------
    ValueError
        As `read_labels`.
    """
    if not is_address(path) and is_drawn(Path(path)):
        origin = image.origin if image.is_region else None
        return read_labels(
            path, shape=image.shape, origin=origin, z=image.z, t=image.t, report=report
        )
    return image.own_part(read_labels(path, z=image.z, t=image.t))


def _with_companions(image: Image, contents: Contents) -> Image:
    """The image with the other arrays of an .npz file: markers, truth and so on."""
    companions = contents.companions
    cells, nuclei = companions.get("cells"), companions.get("nuclei")
    image = dataclasses.replace(
        image,
        markers=companions.get("markers"),
        truth=nuclei if cells is None else cells,
        truth_nuclei=nuclei,
        ignore=companions.get("ignore"),
    )
    if image.markers is None or not {"test_id", "test_label"} <= companions.keys():
        return image
    with naming(image.name):
        validation = paper_validation(
            companions["test_id"], companions["test_label"], markers=image.markers
        )
    return dataclasses.replace(image, validation=validation)
