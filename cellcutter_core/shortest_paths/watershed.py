"""The marker watershed, and filling the part of the mask that labels leave empty."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cellcutter_core.label_image import check_labels, markers_from_points
from cellcutter_core.shortest_paths.cost_map import CostMap
from cellcutter_core.shortest_paths.path_labels import grown

BASELINES: Mapping[str, str] = {"paths": "Cheapest paths", "watershed": "Watershed"}
"""The baselines that a training is compared with, and their names."""


def watershed_labels(
    nuclei: NDArray[np.int32] | None,
    mask: NDArray[np.bool_],
    *,
    points: NDArray[np.float64],
) -> NDArray[np.int32]:
    """Watershed from the markers on the distance to them, within the mask.

    Parameters
    ----------
    nuclei : (H, W) int32 or None
        Labelled 1..N in the order of the points. If None, flooding starts from the points.
    mask : (H, W) bool
        True where there are cells.
    points : (N, 2) float
        (row, col).

    Returns
    -------
    (H, W) int32
        Cell k belongs to point k - 1. Parts of the mask that are not connected to a marker stay 0.

    Raises
    ------
    ValueError
        If `mask` is not a mask, `nuclei` is not a label image of its shape with at most N labels,
        or, without nuclei, a point lies outside or two are in one pixel.
    """
    mask = np.asarray(mask)
    if mask.ndim != 2 or mask.dtype != np.bool_:
        raise ValueError(
            f"mask is {mask.dtype} of shape {mask.shape}, but has to be (H, W) bool, True where "
            "there are cells"
        )
    shape = (mask.shape[0], mask.shape[1])
    points = np.asarray(points)
    if nuclei is None and len(points):
        markers_from_points(points, shape, radius=0)
    if nuclei is not None:
        nuclei = np.asarray(check_labels(nuclei, "nuclei"))
        if nuclei.shape != shape or nuclei.max(initial=0) > len(points):
            raise ValueError(
                f"nuclei has shape {nuclei.shape} and labels up to {nuclei.max(initial=0)}, but "
                f"there are {len(points)} points in a mask of shape {shape}; label nuclei 1..N in "
                "the order of the points"
            )
    seeds = seed_labels(nuclei, points, mask.shape)
    return flooded(seeds, mask)


def seed_labels(
    nuclei: NDArray[np.int32] | None, points: NDArray[np.float64], shape: tuple[int, ...]
) -> NDArray[np.int32]:
    """(H, W) int32: the marker of each cell, which is its nucleus if known, else its point."""
    seeds = np.zeros(shape, np.int32)
    rows, cols = np.round(points).astype(int).T
    seeds[rows, cols] = np.arange(1, len(points) + 1)
    return seeds if nuclei is None else np.where(nuclei > 0, nuclei, seeds).astype(np.int32)


def flooded(seeds: NDArray[np.int32], mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Grow seeds over the mask by distance: each pixel gets the nearest seed inside the mask."""
    from skimage.segmentation import watershed

    distance = ndimage.distance_transform_edt(seeds == 0)
    return np.asarray(watershed(distance, seeds, mask=mask | (seeds > 0)), np.int32)


def filled_labels(
    labels: NDArray[np.int32],
    mask: NDArray[np.bool_],
    points: NDArray[np.float64],
    nuclei: NDArray[np.int32] | None,
    *,
    cost_map: CostMap | None = None,
) -> NDArray[np.int32]:
    """Keep the part of each cell connected to its marker; give the rest to the nearest cell.

    Parameters
    ----------
    labels : (H, W) int32
        Cell k belongs to point k - 1.
    mask : (H, W) bool
        True where there are cells.
    points : (N, 2) float
    nuclei : (H, W) int32 or None
        Labelled like the cells. A nucleus belongs to its cell whatever `labels` says.
    cost_map : CostMap, optional
        The cost map. With it the nearest cell is that of the cheapest path, not the shortest.

    Returns
    -------
    (H, W) int32
        Parts of the mask that are not connected to a cell stay 0.
    """
    from skimage.measure import label as connected

    seeds = seed_labels(nuclei, points, labels.shape)
    kept = np.where(seeds > 0, seeds, labels)
    pieces = connected(kept, background=0, connectivity=1)
    with_seed = np.zeros(pieces.max() + 1, bool)
    with_seed[pieces[seeds > 0]] = True
    with_seed[0] = False
    found = np.where(with_seed[pieces], kept, 0).astype(np.int32)
    return flooded(found, mask) if cost_map is None else grown(found, mask, cost_map)
