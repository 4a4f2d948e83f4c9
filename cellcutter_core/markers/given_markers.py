"""Markers given by the user: a label image, a list of points, or a file with either."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from cellcutter_core.images.contents import memory_limit
from cellcutter_core.images.parts import Part, Plane
from cellcutter_core.images.planes import Report, in_plane, warn
from cellcutter_core.label_image import (
    as_whole_numbers,
    check_labels,
    compact,
    markers_from_points,
    point_pixels,
)

Labels = NDArray[np.int32]

FAR = (2**53, 2**53)
"""Stands for the shape of a whole image of unknown size."""


def read_markers(
    path: str | os.PathLike[str],
    shape: tuple[int, int],
    *,
    radius: float = 3.0,
    origin: tuple[int, int] = (0, 0),
    whole_shape: tuple[int, int] | None = None,
    z: Plane = None,
    t: Plane = None,
    report: Report | None = None,
    max_bytes: int | None = None,
) -> Labels:
    """Read markers from a file.

    If the image is a region of a larger one, positions in the file are those in the whole image,
    and markers outside of the region are left out. A label image may also cover only the region;
    its size tells which it is.

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
    shape : (int, int)
        (H, W) of the image that the markers are for.
    radius : float
        Radius in pixels of the disc drawn around each point.
    origin : (int, int)
        (row, col) of the first pixel in the whole image, if the image is a region of it.
    whole_shape : (int, int), optional
        Rows and columns of the whole image in that case, if known.
    z, t : int, 'max' (z only), optional
        The plane of a stack that the image shows, counted from 0. Points and areas of other planes
        are left out. If not given, all must lie in one plane.
    report : callable, optional
        Called with a line on what is left out, beginning with the file's name. Default: issue a
        Python warning.
    max_bytes : int, optional
        The most memory to use for a label image, in bytes, as in `read_image`.

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
    from cellcutter_core.images.drawn_shapes import is_drawn
    from cellcutter_core.images.readers import file_name, one_line

    file, limit = Path(path), memory_limit() if max_bytes is None else max_bytes
    is_region = tuple(origin) != (0, 0) or whole_shape not in (None, tuple(shape))
    place = Frame(origin, whole_shape) if is_region else None
    say = report or warn

    def report_of_file(line: str) -> None:
        say(f"{file_name(file)}: {line}")

    try:
        plane = Part(z, t)
        if is_drawn(file):
            return _markers_as_drawn(file, shape, radius, place, plane, report_of_file)
        return _read(file, shape, radius, place, plane, report_of_file, limit)
    except ValueError as error:
        message, start = one_line(error), f"{file_name(file)}: "
        raise ValueError(message if message.startswith(start) else start + message) from error


@dataclass(frozen=True)
class Frame:
    """The origin of a region in the whole image, and the shape of the whole image if known."""

    origin: tuple[int, int]
    whole_shape: tuple[int, int] | None


def _read(
    file: Path,
    shape: tuple[int, int],
    radius: float,
    place: Frame | None,
    plane: Part,
    report: Report,
    max_bytes: int,
) -> Labels:
    from cellcutter_core.images.formats.points import numpy_points, text_points
    from cellcutter_core.images.readers import NPY, has_known_start, read_label_contents

    try:
        with file.open("rb") as opened:
            start = opened.read(16)
    except OSError as error:
        raise ValueError(
            f"cannot be opened, {error.strerror or error}; check its path and permissions"
        ) from None
    listed = None
    if start.startswith(NPY):
        listed = numpy_points(file, shape, max_bytes=max_bytes)
    elif not has_known_start(start):
        listed = text_points(file)
    if listed is not None:
        n = len(listed.points)
        keep = in_plane(listed.planes, n, z=plane.z, t=plane.t, what="points", report=report)
        return _markers_in_region(listed.points[keep], shape, radius, place)
    pixels = read_label_contents(file, max_bytes=max_bytes).pixels
    if place is not None and pixels.shape[:2] == place.whole_shape:
        top, left = place.origin
        pixels = pixels[top : top + shape[0], left : left + shape[1]]
    if pixels.shape[:2] != tuple(shape) or pixels.shape[2] != 1:
        whole = f" or, in the whole image, {place.whole_shape}" if place else ""
        raise ValueError(
            f"has shape {pixels.shape}, but markers for this image are one channel of shape "
            f"{tuple(shape)}{whole}; give the label image of exactly this image"
        )
    return number_markers(pixels[..., 0])


def _markers_in_region(
    points: NDArray[Any], shape: tuple[int, int], radius: float, place: Frame | None
) -> Labels:
    """Draw a disc around each point that lies in this region; points are in the whole image."""
    if place is not None:
        # Check all points, also those outside of the region.
        pixels = point_pixels(points, place.whole_shape or FAR) - place.origin
        inside = ((pixels >= 0) & (pixels < shape)).all(axis=1)
        points = (points - np.array(place.origin))[inside]
        if not len(points):
            (top, left), (n_rows, n_cols) = place.origin, shape
            raise ValueError(
                f"has no point in this region, rows {top} to {top + n_rows - 1} and columns {left} "
                f"to {left + n_cols - 1}; points are positions in the whole image, give those of "
                "exactly this image"
            )
    return markers_from_points(points, shape, radius=radius)


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


def _markers_as_drawn(
    file: Path,
    shape: tuple[int, int],
    radius: float,
    place: Frame | None,
    plane: Part,
    report: Report,
) -> Labels:
    """Markers from ROIs or GeoJSON: points or areas. Where areas overlap, the first wins."""
    from cellcutter_core.images.drawn_shapes import area_labels, read_drawn

    drawn = read_drawn(file, nuclei=True).in_plane(plane.z, plane.t, report)
    if len(drawn.points) and drawn.areas:
        raise ValueError("holds both points and areas; save only the ROIs that are markers")
    if drawn.areas:
        regions = area_labels(drawn.areas, shape, None if place is None else place.origin)
        if not regions.any():
            raise ValueError("has no area in this region; give ROIs of exactly this image")
        return regions
    return _markers_in_region(drawn.points, shape, radius, place)
