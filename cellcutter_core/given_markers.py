"""Markers that the user gives: a label image, a list of points, or a file with either."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from cellcutter_core.labels import check_labels, compact

Labels = NDArray[np.int32]

# What columns of coordinates are called, here and by programs that write lists of points.
ROW_NAMES = ("row", "r", "y", "axis-0", "ym", "centroid-0")
COL_NAMES = ("col", "column", "c", "x", "axis-1", "xm", "centroid-1")

# A list of points is a small file: what is larger is none.
LARGEST_LIST = 64 * 1024**2


def read_markers(
    path: str | os.PathLike[str], shape: tuple[int, int], *, radius: float = 3.0
) -> Labels:
    """Read markers from a file.

    Parameters
    ----------
    path : path
        A label image (TIFF, PNG, .npy, .npz, see `number_markers`), an .npy file of points
        (N, 2), or a text file with one point a line. In a text file, columns are separated by
        comma, semicolon, tab or spaces. With a first line of names the columns row and col (or y
        and x, in either order) are taken, whatever else is there; without one there are two
        columns, row and col.
    shape : (int, int)
        (H, W) of the image that the markers are for.
    radius : float
        Of the disc drawn around each point, in pixels.

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
    from cellcutter_core.reading.readers import file_name, one_line

    file = Path(path)
    try:
        return _read(file, shape, radius)
    except ValueError as error:
        message = one_line(error)
        name = file_name(file)
        raise ValueError(message if message.startswith(name) else f"{name}: {message}") from error


def _read(file: Path, shape: tuple[int, int], radius: float) -> Labels:
    from cellcutter_core.reading.readers import NPY, NPZ, PNG, TIFF, read_contents

    try:
        with file.open("rb") as opened:
            start = opened.read(8)
            is_long = opened.seek(0, os.SEEK_END) > LARGEST_LIST
    except OSError as error:
        raise ValueError(
            f"cannot be opened, {error.strerror or error}; check its path and permissions"
        ) from None
    if start.startswith(NPY):
        points = _numpy_points(file)
        if points is not None:
            return markers_from_points(points, shape, radius=radius)
    if not start.startswith((*NPY, *NPZ, *PNG, *TIFF)):
        if is_long:
            raise ValueError("is too large for a list of points; give one (row, col) a line")
        return markers_from_points(_text_points(file), shape, radius=radius)
    pixels = read_contents(file).pixels
    if pixels.shape[:2] != tuple(shape) or pixels.shape[2] != 1:
        raise ValueError(
            f"has shape {pixels.shape}, but markers for this image are one channel of shape "
            f"{tuple(shape)}; give the label image of this very image"
        )
    return number_markers(pixels[..., 0])


def _numpy_points(file: Path) -> NDArray[Any] | None:
    """The array in an .npy file if it is a list of points, not an image."""
    try:
        array: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        # Whatever is wrong with it, the reader of images says so.
        return None
    return np.array(array) if array.ndim == 2 and array.shape[1] == 2 else None


def _text_points(file: Path) -> NDArray[np.float64]:
    """(N, 2) points of a text file."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(
            "is neither an image nor text; give a label image or a list of points"
        ) from None
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        raise ValueError("is empty; give one (row, col) a line")
    separator = next((mark for mark in ";\t," if mark in lines[0]), None)
    table = (
        list(csv.reader(lines, delimiter=separator)) if separator else [x.split() for x in lines]
    )
    table = [[entry.strip() for entry in line] for line in table]
    names = [entry.lower() for entry in table[0]]
    if all(_is_number(name) for name in names):
        row, col, first = 0, 1, 0
        if len(names) != 2:
            raise ValueError(
                f"has {len(names)} columns without names, but row and col are two; name the "
                "columns in a first line, row,col"
            )
    else:
        row, col, first = _column(names, ROW_NAMES), _column(names, COL_NAMES), 1
    points = []
    for number, line in enumerate(table[first:], start=1):
        entries = [line[column] if column < len(line) else "" for column in (row, col)]
        if separator == ";":
            # Where the comma is the decimal mark, columns are separated by semicolons.
            entries = [entry.replace(",", ".") for entry in entries]
        if not all(map(_is_number, entries)):
            raise ValueError(
                f"point {number} has row {entries[0]!r} and col {entries[1]!r}, which are not two "
                "numbers; correct it or leave it out"
            )
        points.append([float(entry) for entry in entries])
    return np.array(points, np.float64).reshape(-1, 2)


def _column(names: Sequence[str], known: Sequence[str]) -> int:
    for name in known:
        if name in names:
            return names.index(name)
    raise ValueError(
        f"has columns {', '.join(names)}, none of which is {known[0]}; name the columns of the "
        "points row and col, or y and x"
    )


def _is_number(entry: str) -> bool:
    try:
        float(entry.replace(",", "."))
    except ValueError:
        return False
    return True


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
    given = np.asarray(labels)
    if given.dtype.kind == "f" and np.isfinite(given).all() and (given == given.round()).all():
        given = given.astype(np.int64)
    elif given.dtype == np.bool_:
        given = given.astype(np.uint8)
    regions, ids = compact(check_labels(given, "markers"))
    if not len(ids):
        raise ValueError(
            "markers holds nothing but 0, but at least one marker is needed; give each marker a "
            "number from 1"
        )
    if len(ids) == 1:
        regions = np.asarray(ndimage.label(regions, np.ones((3, 3)))[0], np.int32)
    return regions


def markers_from_points(
    points: ArrayLike, shape: tuple[int, int], *, radius: float = 3.0
) -> Labels:
    """Draw a disc around each point.

    Parameters
    ----------
    points : (N, 2) array
        (row, col) in pixels, pixel centres at whole numbers.
    shape : (int, int)
        (H, W) of the image.
    radius : float
        Of the discs in pixels, at least 0. Where discs meet each pixel goes to the nearest point.

    Returns
    -------
    (H, W) int32
        1..N in the order of the points.

    Raises
    ------
    ValueError
        If there are no points, or they are no (N, 2) finite numbers, lie outside of the image, or
        two are in the same pixel; or if `radius` is negative.

    Examples
    --------
    >>> markers_from_points([(0, 1), (1, 4)], (2, 6), radius=1)
    array([[1, 1, 1, 0, 2, 0],
           [0, 1, 0, 2, 2, 2]], dtype=int32)
    """
    from skimage.segmentation import expand_labels

    if not (np.isfinite(radius) and radius >= 0):
        raise ValueError(f"radius is {radius}, but a marker has a radius of at least 0 pixels")
    pixels = _point_pixels(points, shape)
    seeds = np.zeros(shape, np.int32)
    seeds[tuple(pixels.T)] = np.arange(1, len(pixels) + 1)
    return np.asarray(expand_labels(seeds, radius), np.int32)


def _point_pixels(points: ArrayLike, shape: tuple[int, int]) -> NDArray[np.int64]:
    """The pixels that points are in, or one line on what is wrong with the points."""
    given: NDArray[Any] = np.asarray(points)
    if given.size == 0:
        raise ValueError(
            "points is empty, but at least one marker is needed; give (row, col) pairs"
        )
    if given.ndim != 2 or given.shape[1] != 2 or given.dtype.kind not in "iuf":
        raise ValueError(
            f"points is {given.dtype} of shape {given.shape}, but has to be numbers of shape "
            "(N, 2): one (row, col) for each marker"
        )
    if not np.isfinite(given).all():
        bad = int(np.flatnonzero(~np.isfinite(given).all(axis=1))[0])
        raise ValueError(
            f"points[{bad}] is {tuple(given[bad].tolist())}, which is no place in an image; leave "
            "the point out"
        )
    pixels = np.floor(given + 0.5).astype(np.int64)
    outside = ((pixels < 0) | (pixels >= shape)).any(axis=1)
    if outside.any():
        bad = int(np.flatnonzero(outside)[0])
        hint = "give (row, col), not (x, y)" if _fits_turned(pixels, shape) else "leave them out"
        raise ValueError(
            f"points: {np.count_nonzero(outside)} of {len(pixels)} lie outside of the image of "
            f"shape {tuple(shape)}, first points[{bad}] = {tuple(given[bad].tolist())}; {hint}"
        )
    _, first, times = np.unique(pixels, axis=0, return_index=True, return_counts=True)
    if (times > 1).any():
        bad = int(first[times > 1].min())
        raise ValueError(
            f"points: {int((times[times > 1] - 1).sum())} too many in the same pixel as another, "
            f"first at (row, col) {tuple(pixels[bad].tolist())}; give each cell one point"
        )
    return pixels


def _fits_turned(pixels: NDArray[np.int64], shape: tuple[int, int]) -> bool:
    return bool(((pixels[:, ::-1] >= 0) & (pixels[:, ::-1] < shape)).all())
