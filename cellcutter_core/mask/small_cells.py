"""Outlines of small cells such as bacteria: each at half the height of that cell.

Blur by the optics and by smoothing makes a cell of a few pixels lower and wider. One level for all
cells of an image would then run far outside of most of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cellcutter_core.images.guesses.clipping import Pieces
from cellcutter_core.images.local_contrast import Floats, blurred, weighted_median

Bools = NDArray[np.bool_]

SMALL = 18.0
"""Cells up to this width in pixels are small."""

LEAST_AREA = 8
"""Pieces of fewer pixels are not cells."""

LEAST_APART = 5
"""With fewer pieces than this, the size of cells can't be told."""

APART = 0.35
"""Least distance between two peaks, in widths of a cell."""

TYPICAL_PEAK = 90
"""Percentile of a cell's brightness that counts as its peak; the maximum would include noise."""


def typical_width(above: Bools) -> float:
    """Typical width in pixels of the pieces of a mask: half of its area is in wider pieces."""
    pieces, n = ndimage.label(above)
    if not n:
        return 0.0
    depth = ndimage.distance_transform_edt(np.pad(above, 1))[1:-1, 1:-1]
    ids = np.arange(1, n + 1)
    deepest = np.asarray(ndimage.maximum(depth, pieces, ids))
    area = np.bincount(pieces.ravel(), minlength=n + 1)[1:]
    # In a disc of diameter d, the deepest pixel is d / 2 away from the next pixel outside.
    return 2 * weighted_median(deepest, area.astype(np.float64))


def diameter_of_small_cells(mask: Bools) -> float | None:
    """Diameter in pixels of the cells of a mask if they are small and lie apart; else None.

    Parameters
    ----------
    mask : (H, W) bool
        True where there are cells.

    Returns
    -------
    float or None
        The diameter of a disc with the median area of the pieces, but at most twice their width,
        because some pieces are several cells.
    """
    width = typical_width(mask)
    if not 0 < width <= SMALL:
        return None
    cells, between = Pieces(mask, speck=LEAST_AREA), Pieces(~mask)
    # Thin outlines are one connected piece that encloses many pieces of background.
    if cells.n < LEAST_APART or cells.n <= 2 * between.n:
        return None
    usual = float(np.median(cells.area[cells.area > 0]))
    return min(2 * float(np.sqrt(usual / np.pi)), 2 * width)


def levels_of_small_cells(
    brightness: Floats, above: Bools, level: float, *, width: float
) -> Floats:
    """For each pixel, the brightness above which it is cell.

    Parameters
    ----------
    brightness : (H, W) float32
        Above the background, smoothed as little as noise allows.
    above : (H, W) bool
        Where `brightness` is above `level`.
    level : float
        The level that divides cell from background in the whole image.
    width : float
        Approximate width of a cell in pixels.

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
    half = np.full(n + 1, level, np.float32)
    if n:
        peak = ndimage.labeled_comprehension(
            brightness,
            cells,
            np.arange(1, n + 1),
            lambda values: np.percentile(values, TYPICAL_PEAK),
            float,
            base,
        )
        half[1:] = np.maximum(level, base + (peak - base) / 2)
    return np.asarray(half[cells], np.float32)
