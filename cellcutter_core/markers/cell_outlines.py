"""Finds the diameter of cells whose outlines are stained.

At the right diameter, borders between the cells that are found lie on bright lines of the image.
At a smaller one, cells are cut where there is no line; at a larger one, lines run through cells. So
the diameter can be found at any magnification.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cellcutter_core.config import SMALLEST_DIAMETER
from cellcutter_core.images.local_contrast import Floats
from cellcutter_core.markers.nucleus_regions import (
    WORKING_DIAMETER,
    busiest_window,
    nucleus_regions,
    reduced,
)
from cellcutter_core.shortest_paths.cost_map import bright_line

# Diameters are tried from this one on, each twice the one before, and then the two at this factor
# below and above the best.
FIRST = 2**0.5 * SMALLEST_DIAMETER
HALF_WAY = 2**0.5

# The largest diameter, as a share of the image's shorter side. The image must hold some borders.
LARGEST = 1 / 3

# Side in pixels of the window of the image that is used.
WINDOW = 640

# Lengths in diameters of a cell: the sigma with which lines are found, and how far from a line a
# border may be and still lie on it. At least 1 and 2 pixels.
WIDTH, NEAR = 1 / 40, 1 / 20

# Pixels that curve down more than this share of all pixels are lines.
LINES = 0.85

# Least agreement of lines and borders, from 0 for chance to 1. With stained outlines it is 0.85 to
# 0.95 at the right diameter; without them it is at most 0.75 at any diameter.
LEAST_AGREEMENT = 0.8


def outline_diameter(log: Floats, mask: NDArray[np.bool_] | None = None) -> float | None:
    """Typical diameter in pixels of cells that are dark inside and have bright outlines.

    Parameters
    ----------
    log : (H, W) float32
        Logarithms of intensities.
    mask : (H, W) bool, optional
        True where there are cells.

    Returns
    -------
    float or None
        None if borders agree with lines at no diameter: then outlines are not stained.
    """
    # The insides of small cells may be dark enough to pass for background.
    inside = np.ones(log.shape, bool) if mask is None else ndimage.binary_fill_holes(mask)
    window = busiest_window(inside, WINDOW)
    log, inside = log[window], inside[window]

    @cache
    def agreement(diameter: float) -> float:
        factor = max(1, int(diameter / WORKING_DIAMETER))
        return _agreement(reduced(log, factor), inside[::factor, ::factor], diameter / factor)

    n = int(np.log2(max(LARGEST * min(log.shape) / FIRST, 1))) + 1
    best = max((FIRST * 2**k for k in range(n)), key=agreement)
    smaller = max(best / HALF_WAY, SMALLEST_DIAMETER)
    best = max((best, smaller, best * HALF_WAY), key=agreement)
    return best if agreement(best) > LEAST_AGREEMENT else None


def _agreement(log: Floats, inside: NDArray[np.bool_], diameter: float) -> float:
    """How well the borders between cells of a diameter agree with the lines of the image.

    It is the harmonic mean of two shares: of border pixels that lie on lines, and of line pixels
    that lie on borders. Each is given as Cohen's kappa: 0 for agreement by chance, 1 for full
    agreement.
    """
    from skimage.segmentation import watershed

    regions = nucleus_regions(-log, diameter=diameter, linear_below=1.0)
    lines = bright_line(log, max(1.0, WIDTH * diameter))
    cells = watershed(lines, np.where(inside, regions, 0), mask=inside)
    near = max(2, round(NEAR * diameter))
    # The outline of the mask is stained too, but is not a border between cells.
    inner = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1] > near
    border = inner & (ndimage.maximum_filter(cells, 3) != cells)
    if not border.any():
        return 0.0
    strong = inner & (lines > np.percentile(lines[inner], 100 * LINES))
    kappas = []
    for one, other in ((border, strong), (strong, border)):
        reached = ndimage.distance_transform_edt(~other) <= near
        chance = float(reached[inner].mean())
        kappas.append((float(reached[one].mean()) - chance) / max(1 - chance, 1e-12))
    return 2 * kappas[0] * kappas[1] / sum(kappas) if min(kappas) > 0 else 0.0
