"""Changes to markers by hand, one at a time. Each returns new markers and leaves the old ones."""

from __future__ import annotations

import numpy as np

from cellcutter_core.markers.finding import Nuclei, marker_points

RADIUS = 3.0
"""Radius in pixels of the disc of a marker set by hand."""


def add_marker(markers: Nuclei, point: tuple[float, float], *, radius: float = RADIUS) -> Nuclei:
    """Add a marker at the end, as a disc that takes no pixels from other markers.

    Parameters
    ----------
    markers : Nuclei
    point : (float, float)
        (row, col) in pixels.
    radius : float
        Radius of the disc, in pixels.

    Returns
    -------
    Nuclei

    Raises
    ------
    ValueError
        If the point is not in the image, or on another marker.
    """
    row, col = _pixel(markers, point)
    if markers.regions[row, col]:
        raise ValueError(
            f"there is a marker at row {row}, column {col} already; remove it first, or click "
            "beside it"
        )
    regions = markers.regions.copy()
    rows, cols = np.ogrid[: regions.shape[0], : regions.shape[1]]
    disc = (rows - row) ** 2 + (cols - col) ** 2 <= radius**2
    regions[disc & (regions == 0)] = len(markers.points) + 1
    return Nuclei(regions, marker_points(regions))


def remove_marker(markers: Nuclei, index: int) -> Nuclei:
    """Remove a marker; the numbers of those after it go down by one.

    Raises
    ------
    ValueError
        If there is no such marker, or it is the last one.
    """
    n = len(markers.points)
    _check(index, n)
    if n == 1:
        raise ValueError("this is the only marker, and one is needed; add another first")
    new_ids = np.arange(n + 1, dtype=np.int32)
    new_ids[index + 1] = 0
    new_ids[index + 2 :] -= 1
    return Nuclei(new_ids[markers.regions], np.delete(markers.points, index, axis=0))


def move_marker(
    markers: Nuclei, index: int, point: tuple[float, float], *, radius: float = RADIUS
) -> Nuclei:
    """Move a marker to another place, where it becomes a disc. Its old region is dropped.

    The marker keeps its number, so the cell keeps its number and its colour.

    Raises
    ------
    ValueError
        If there is no such marker, or the point is not in the image, or on another marker.
    """
    n = len(markers.points)
    _check(index, n)
    lifted = Nuclei(np.where(markers.regions == index + 1, 0, markers.regions), markers.points)
    moved = add_marker(lifted, point, radius=radius).regions
    regions = np.where(moved == n + 1, index + 1, moved).astype(np.int32)
    return Nuclei(regions, marker_points(regions))


def _check(index: int, n: int) -> None:
    if not 0 <= index < n:
        raise ValueError(f"there is no marker {index + 1}; there are {n}")


def _pixel(markers: Nuclei, point: tuple[float, float]) -> tuple[int, int]:
    row, col = (int(np.floor(value + 0.5)) for value in point)
    n_rows, n_cols = markers.regions.shape
    if not (0 <= row < n_rows and 0 <= col < n_cols):
        raise ValueError(
            f"row {row}, column {col} is not in the region of {n_rows}×{n_cols} pixels; click on "
            "the image"
        )
    return row, col
