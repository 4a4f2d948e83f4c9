"""Markers given by the user: a label image, a list of points, or a file with either."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from cellcutter_core.images.formats.points import numpy_points, text_points
from cellcutter_core.images.image import Image
from cellcutter_core.images.reading.drawn_shapes import (
    DRAWN_FILES,
    Drawn,
    Report,
    area_labels,
    is_drawn,
    read_drawn,
    warn,
)
from cellcutter_core.images.reading.known_formats import NPY, endings, format_of
from cellcutter_core.images.reading.readers import (
    file_name,
    one_line,
    read_label_contents,
)
from cellcutter_core.label_image import (
    as_whole_numbers,
    check_labels,
    compact,
    markers_from_points,
    point_pixels,
)

Labels = NDArray[np.int32]

MARKER_FILES = (".csv", ".txt", ".tsv", *DRAWN_FILES, *endings(labels=True))
"""How the names of files that may hold markers end."""

FAR = (2**53, 2**53)
"""Stands for the shape of a whole image of unknown size."""


def read_markers(
    path: str | os.PathLike[str], image: Image, *, report: Report | None = None
) -> Labels:
    """Read the markers of an image from a file.

    If the image is a region of a larger one, positions in the file are those in the whole image,
    and markers outside of the region are left out. A label image may also cover only the region;
    its size tells which it is. If the image shows a plane of a stack, points and areas of other
    planes are left out; if its plane is not known, all must lie in one plane.

    Parameters
    ----------
    path : path
        One of these files:

        - A label image (TIFF, PNG, .npy, .npz, see `number_markers`).
        - An .npy file of points (N, 2).
        - A text file with one point per line. Columns are separated by comma, semicolon, tab or
          spaces. If the first line has names, the columns row and col (or y and x) are used in
          either order, and z and t (also plane, slice, frame) give the plane of a point. Of axis-0,
          axis-1 … (napari) and centroid-0, centroid-1 … the last two are row and col, and one
          before them is the plane. Without names there are two columns, row and col.
        - ImageJ's ROIs (.roi, or a set in a .zip) or GeoJSON (QuPath), of points or of areas. Each
          point is a marker, or each area is the region of a marker. Of a QuPath cell that has a
          nucleus, the nucleus is used.
    image : Image
    report : callable, optional
        Called with a line on what is left out, beginning with the file's name. Default: issue a
        Python warning.

    Returns
    -------
    (H, W) int32
        0 for background, 1..N for markers.

    Raises
    ------
    ValueError
        If the file cannot be read, does not have the image's shape or holds no markers, or if
        `markers_from_points` refuses the points. The message is one line that begins with the
        file's name.
    """
    file, say = Path(path), report or warn

    def report_of_file(line: str) -> None:
        say(f"{file_name(file)}: {line}")

    try:
        drawn = _read_drawn(file, image)
        if drawn is None:
            return _label_image(file, image)
        drawn = drawn.in_plane(image.z, image.t, report_of_file)
        if len(drawn.points) and drawn.areas:
            raise ValueError("holds both points and areas; save only the ROIs that are markers")
        if not drawn.areas:
            return _discs(drawn.points, image)
        regions = area_labels(drawn.areas, image.shape, image.origin if image.is_region else None)
        if not regions.any():
            raise ValueError("has no area in this region; give ROIs of exactly this image")
        return regions
    except ValueError as error:
        message, start = one_line(error), f"{file_name(file)}: "
        raise ValueError(message if message.startswith(start) else start + message) from error


def _read_drawn(file: Path, image: Image) -> Drawn | None:
    """The points or areas of a file; None if it is a label image."""
    if is_drawn(file):
        return read_drawn(file, nuclei=True)
    try:
        with file.open("rb") as opened:
            known = format_of(opened.read(16))
    except OSError as error:
        raise ValueError(
            f"cannot be opened, {error.strerror or error}; check its path and permissions"
        ) from None
    if known is NPY:
        return numpy_points(file, image.shape)
    return text_points(file, sized=image.pixel_size is not None) if known is None else None


def _label_image(file: Path, image: Image) -> Labels:
    pixels = image.own_part(read_label_contents(file, z=image.z, t=image.t).pixels)
    if pixels.shape != (*image.shape, 1):
        whole = f" or, in the whole image, {image.whole_shape}" if image.is_region else ""
        raise ValueError(
            f"has shape {pixels.shape}, but markers for this image are one channel of shape "
            f"{image.shape}{whole}; give the label image of exactly this image"
        )
    return number_markers(pixels[..., 0])


def _discs(points: NDArray[Any], image: Image) -> Labels:
    """Draw a disc around each point that lies in this region; points are in the whole image."""
    if image.is_region:
        # Check all points, also those outside of the region.
        pixels = point_pixels(points, image.whole_shape or FAR) - image.origin
        inside = ((pixels >= 0) & (pixels < image.shape)).all(axis=1)
        points = (points - np.array(image.origin))[inside]
        if not len(points):
            (top, left), (n_rows, n_cols) = image.origin, image.shape
            raise ValueError(
                f"has no point in this region, rows {top} to {top + n_rows - 1} and columns {left} "
                f"to {left + n_cols - 1}; points are positions in the whole image, give those of "
                "exactly this image"
            )
    return markers_from_points(points, image.shape)


def number_markers(labels: ArrayLike) -> Labels:
    """Number markers given as a label image 1..N in the order of their ids.

    If 0 and one other value occur, the image is taken as a mask of all markers, and each of its
    connected parts is one marker.

    Parameters
    ----------
    labels : (H, W) array of integers or bool, or of floats that are whole numbers
        0 for background.

    Returns
    -------
    (H, W) int32

    Raises
    ------
    ValueError
        If it is not a label image, or holds no marker.

    Examples
    --------
    >>> number_markers([[0, 7, 7], [30, 0, 7]])
    array([[0, 1, 1],
           [2, 0, 1]], dtype=int32)
    >>> number_markers([[255, 0, 255]])
    array([[1, 0, 2]], dtype=int32)
    """
    given = as_whole_numbers(np.asarray(labels))
    regions, ids = compact(check_labels(given, "markers"))
    if not len(ids):
        raise ValueError(
            "markers holds only 0, but at least one marker is needed; give each marker a number "
            "from 1"
        )
    if len(ids) == 1:
        regions = np.asarray(ndimage.label(regions, np.ones((3, 3)))[0], np.int32)
    return regions
