"""Markers that the user gives: a label image, a list of points, or a file with either."""

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
from cellcutter_core.labels import (
    as_whole_numbers,
    check_labels,
    compact,
    markers_from_points,
    point_pixels,
)

Labels = NDArray[np.int32]

FAR = (2**53, 2**53)
"""The shape of an image of which it is not known."""


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

    Where the image that they are for is a region, they lie in the whole image all the same, and
    those beside the region are left out. A label image may be one of the region alone, which its
    size tells.

    Parameters
    ----------
    path : path
        A label image (TIFF, PNG, .npy, .npz, see `number_markers`), an .npy file of points
        (N, 2), or a text file with one point a line. In a text file, columns are separated by
        comma, semicolon, tab or spaces. With a first line of names the columns row and col (or y
        and x, in either order) are taken, and z and t (also plane, slice, frame) say in which plane
        a point lies; of axis-0, axis-1 … (napari) and centroid-0, centroid-1 … the last two are row
        and col, one before them is the plane. Without names there are two columns, row and col. Of
        ImageJ's ROIs (.roi, or a set in a .zip) and of GeoJSON (QuPath) each point is a marker, or
        each area is, as its region; of a cell of QuPath its nucleus where it has one.
    shape : (int, int)
        (H, W) of the image that the markers are for.
    radius : float
        Of the disc drawn around each point, in pixels.
    origin : (int, int)
        (row, col) of the first pixel in the whole image, where the markers are for a region of it.
    whole_shape : (int, int), optional
        Rows and columns of the whole image then, where they are known.
    z, t : int, 'max' (z only), optional
        Which plane of a stack the image shows, from 0: points and areas of other planes are left
        out. Where it is not said, all have to lie in one plane.
    report : callable, optional
        Is given a line on what is left out, beginning with the file's name. Default: it is a
        warning of Python.
    max_bytes : int, optional
        The most memory to take for a label image, in bytes, as in `read_image`.

    Returns
    -------
    (H, W) int32
        0 for background, 1..N for markers.

    Raises
    ------
    ValueError
        If the file cannot be read, is not of the image's shape, or holds no markers, or points
        are not as `markers_from_points` wants them. One line that begins with the file's name.
    """
    from cellcutter_core.images.drawn import is_drawn
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
    """Where a region begins in the whole image, and the size of that where it is known."""

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
            f"{tuple(shape)}{whole}; give the label image of this very image"
        )
    return number_markers(pixels[..., 0])


def _markers_in_region(
    points: NDArray[Any], shape: tuple[int, int], radius: float, place: Frame | None
) -> Labels:
    """A disc around each point, of those in the whole image that lie in this region of it."""
    if place is not None:
        # What is wrong with points is said of all of them.
        pixels = point_pixels(points, place.whole_shape or FAR) - place.origin
        inside = ((pixels >= 0) & (pixels < shape)).all(axis=1)
        points = (points - np.array(place.origin))[inside]
        if not len(points):
            (top, left), (n_rows, n_cols) = place.origin, shape
            raise ValueError(
                f"has no point in this region, rows {top} to {top + n_rows - 1} and columns {left} "
                f"to {left + n_cols - 1}; points are counted in the whole image, give those of "
                "this very image"
            )
    return markers_from_points(points, shape, radius=radius)


def number_markers(labels: ArrayLike) -> Labels:
    """Number markers given as a label image 1..N in the order of their ids.

    An image with a single value beside 0 is taken for a mask of all markers, and each of its
    connected parts for one marker.

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
        If it is no label image, or holds no marker.

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
            "markers holds nothing but 0, but at least one marker is needed; give each marker a "
            "number from 1"
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
    """Of ROIs or GeoJSON each point, or each area; where areas overlap, that of the first."""
    from cellcutter_core.images.drawn import area_labels, read_drawn

    drawn = read_drawn(file, nuclei=True).in_plane(plane.z, plane.t, report)
    if len(drawn.points) and drawn.areas:
        raise ValueError("holds points and areas; save one kind of ROIs, that of the markers")
    if drawn.areas:
        regions = area_labels(drawn.areas, shape, None if place is None else place.origin)
        if not regions.any():
            raise ValueError("has no area in this region; give ROIs of this very image")
        return regions
    return _markers_in_region(drawn.points, shape, radius, place)
