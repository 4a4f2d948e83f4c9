"""Outlines of small cells, as bacteria: half way up each of them by itself.

The blur of the optics and of all smoothing makes a cell of a few pixels lower and wider, so that
one level for all cells of an image runs far outside of most of them.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cellcutter_core.images.guesses.clipping import Pieces
from cellcutter_core.images.local_contrast import Floats, blurred

Bools = NDArray[np.bool_]

SMALL = 18.0
"""Cells are small whose width is found as less than so many pixels."""

LEAST_AREA = 8
"""Pieces of fewer pixels are no cells."""

LEAST_APART = 5
"""Fewer pieces say nothing of how large cells are."""

APART = 0.35
"""No two peaks are nearer to each other than this, in widths of a cell."""

TYPICAL_PEAK = 90
"""Percentile of the brightness of a cell that it rises to, without the noise of its brightest."""


def typical_width(above: Bools) -> float:
    """Width in pixels of the pieces of a mask, of which half of its area is in wider ones."""
    pieces, n = ndimage.label(above)
    if not n:
        return 0.0
    depth = ndimage.distance_transform_edt(np.pad(above, 1))[1:-1, 1:-1]
    ids = np.arange(1, n + 1)
    deepest = np.asarray(ndimage.maximum(depth, pieces, ids))
    area = np.bincount(pieces.ravel(), minlength=n + 1)[1:]
    order = np.argsort(deepest)
    half = np.searchsorted(np.cumsum(area[order]), area.sum() / 2)
    # The deepest pixel of a disc of d pixels is d / 2 away from the next pixel outside.
    return float(2 * deepest[order[min(half, n - 1)]])


def diameter_of_small_cells(mask: Bools) -> float | None:
    """Diameter in pixels of the cells of a mask, where they are small and lie apart; else None.

    Parameters
    ----------
    mask : (H, W) bool
        True where there are cells.

    Returns
    -------
    float or None
        That of a disc with the area of a usual piece, but at most twice the width of the pieces:
        some are of several cells.
    """
    width = typical_width(mask)
    if not 0 < width <= SMALL:
        return None
    cells, between = Pieces(mask, speck=LEAST_AREA), Pieces(~mask)
    # Thin lines are in one piece, and what they enclose is in many.
    if cells.n < LEAST_APART or cells.n <= 2 * between.n:
        return None
    usual = float(np.median(cells.area[cells.area > 0]))
    return min(2 * float(np.sqrt(usual / np.pi)), 2 * width)


def levels_of_small_cells(
    brightness: Floats, above: Bools, level: float, *, width: float
) -> Floats:
    """For each pixel the brightness from which on it is cell.

    Parameters
    ----------
    brightness : (H, W) float32
        Above the background, smoothed as little as noise allows.
    above : (H, W) bool
        Where it is above the level that divides cell from background in the whole image.
    level : float
    width : float
        Of a cell in pixels, roughly.

    Returns
    -------
    (H, W) float32
        Half way between the background and the peak of the cell that the pixel is on, and at least
        `level`.
    """
    from skimage.segmentation import watershed

    smooth = blurred(brightness, max(0.7, 0.1 * width))
    size = 2 * max(1, round(APART * width)) + 1
    peaks = (smooth == ndimage.maximum_filter(smooth, size)) & above
    seeds, n = ndimage.label(peaks, np.ones((3, 3)))
    cells = watershed(-smooth, seeds, mask=above)
    base = float(np.median(brightness[~above]))
    order = np.argsort(cells, axis=None, kind="stable")
    ends = np.searchsorted(cells.ravel()[order], np.arange(1, n + 2))
    values = brightness.ravel()[order]
    half = np.full(n + 1, level, np.float32)
    for number, (start, end) in enumerate(pairwise(ends.tolist()), 1):
        if end > start:
            peak = float(np.percentile(values[start:end], TYPICAL_PEAK))
            half[number] = max(level, base + (peak - base) / 2)
    return np.asarray(half[cells], np.float32)
