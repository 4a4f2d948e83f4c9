"""Split a cell into two parts, between two given points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cellcutter_core.markers.editing import RADIUS
from cellcutter_core.shortest_paths.cost_map import CostMap
from cellcutter_core.shortest_paths.path_labels import grown

Point = tuple[int, int]

# Two peaks of the distance to the outline count as two cells if they are at least this far apart,
# as a multiple of the higher peak.
_APART = 0.75
# The cell has a waist if it is narrower between the peaks by at least this factor.
_WAIST = 0.85
# Smoothing, so that a ripple of the outline makes no peak.
_SMOOTHING = 1.5


def split_cell(
    labels: NDArray[np.int32],
    cell: int,
    points: tuple[Point, Point],
    *,
    new: int,
    cost_map: CostMap | None = None,
) -> NDArray[np.int32]:
    """Split a cell between two points: each pixel goes to the point with the cheapest path.

    Parameters
    ----------
    labels : (H, W) int32
        0 for background.
    cell : int
        Id of the cell; the part of the first point keeps it.
    points : pair of (int, int)
        (row, col) of a pixel of each part, usually in its nucleus.
    new : int
        Id of the other part, which no cell has.
    cost_map : CostMap, optional
        The cost map of the image, with which the parts meet at a bright line or an edge. By default
        only the length of a path counts, so they meet half-way.

    Returns
    -------
    (H, W) int32
        Equal to `labels` if the points are not two pixels of the cell. A piece of the cell that is
        connected to neither point goes to the nearest part.

    Examples
    --------
    >>> split_cell(np.array([[0, 3, 3, 3, 3]], np.int32), 3, ((0, 1), (0, 4)), new=8)
    array([[0, 3, 3, 8, 8]], dtype=int32)
    """
    result = labels.copy()
    if not cell or points[0] == points[1] or not all(is_in(labels, p, cell) for p in points):
        return result
    rows, cols = np.nonzero(labels == cell)
    box = (slice(rows.min(), rows.max() + 1), slice(cols.min(), cols.max() + 1))
    inside = labels[box] == cell
    away = np.stack([_squared(inside.shape, box, point) for point in points])
    seeds = np.where(inside & (away.min(axis=0) <= RADIUS**2), 1 + away.argmin(axis=0), 0)
    costs = CostMap.flat(inside.shape)
    if cost_map is not None:
        costs = CostMap(cost_map.cost[box], cost_map.height[box])
    parts = grown(seeds.astype(np.int32), inside, costs)
    nearest = ndimage.distance_transform_edt(
        parts == 0, return_distances=False, return_indices=True
    )
    second = inside & (parts[tuple(nearest)] == 2)
    result[box][second] = new
    return result


def is_in(labels: NDArray[np.int32], point: Point, cell: int) -> bool:
    """Return whether a pixel exists and belongs to that cell."""
    row, col = point
    n_rows, n_cols = labels.shape
    return bool(0 <= row < n_rows and 0 <= col < n_cols and labels[row, col] == cell)


def proposed_points(labels: NDArray[np.int32], cell: int) -> tuple[Point, Point] | None:
    """Propose two points to split a cell at, where the nuclei of two merged cells may be.

    They are the two pixels farthest from the outline with a waist between them. For a cell without
    a waist they are the middles of its two halves along its longer axis.

    Returns
    -------
    pair of (row, col), or None
        Pixels of the cell, in the order of reading; None if it has fewer than two pixels.
    """
    rows, cols = np.nonzero(labels == cell)
    if len(rows) < 2:
        return None
    top, left = int(rows.min()), int(cols.min())
    inside = np.pad(labels[top : rows.max() + 1, left : cols.max() + 1] == cell, 1)
    found = _peaks(inside)
    if found is None:
        found = _halves(inside)
    # From the padded box back to the image.
    one, other = sorted((int(row) + top - 1, int(col) + left - 1) for row, col in found)
    return one, other


def _peaks(inside: NDArray[np.bool_]) -> NDArray[np.int64] | None:
    from skimage.feature import peak_local_max

    depth = ndimage.distance_transform_edt(inside)
    smooth = ndimage.gaussian_filter(depth, _SMOOTHING)
    apart = max(2, round(_APART * float(depth.max())))
    peaks = peak_local_max(
        smooth,
        min_distance=apart,
        threshold_abs=float(depth.max()) / 2,
        exclude_border=False,
        num_peaks=2,
        labels=inside.astype(np.int32),
    )
    if len(peaks) < 2:
        return None
    steps = np.linspace(0, 1, 64)[:, None]
    rows, cols = np.round(peaks[0] + steps * (peaks[1] - peaks[0])).astype(int).T
    between = depth[rows, cols]
    waist = between.min() < _WAIST * min(between[0], between[-1])
    return np.asarray(peaks, np.int64) if waist else None


def _halves(inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    pixels = np.argwhere(inside)
    centred = pixels - pixels.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    along = centred @ axes[:, -1]
    order = np.argsort(along, kind="stable")
    found = []
    for half in (order[: len(order) // 2], order[len(order) // 2 :]):
        middle = pixels[half].mean(axis=0)
        # The pixel of the half that is nearest to its middle, which may lie outside a bent cell.
        found.append(pixels[half[((pixels[half] - middle) ** 2).sum(axis=1).argmin()]])
    return np.stack(found)


def _squared(shape: tuple[int, ...], box: tuple[slice, slice], point: Point) -> NDArray[np.int64]:
    """Return the (h, w) squared distance of each pixel of a box to a point of the image."""
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    row, col = (int(p - s.start) for p, s in zip(point, box, strict=True))
    return np.asarray((rows - row) ** 2 + (cols - col) ** 2, np.int64)
