"""Whether a channel shows nuclei, or anything as compact, as its objects."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.labels import along_border
from cellcutter_core.markers.joining import ellipticity, moments
from cellcutter_core.markers.nucleus_regions import nucleus_regions

# Of 22 channels of nuclei half of the regions are rounder than 0.978 to 0.992 (two crowded ones:
# 0.964, 0.974), of 12 channels of actin, cytoplasm, bright field and phase contrast than 0.923 to
# 0.966; parts of these, at half or twice the size, blurred or with noise, never exceed 0.974.
ELLIPTIC = 0.975

# Fewer whole objects than this say nothing.
LEAST_OBJECTS = 8

# Side in pixels of the part that is looked at.
WINDOW = 512


def shows_nuclei(channel: NDArray[Any]) -> bool:
    """Whether what is bright in a channel are objects as elliptic as nuclei.

    Parameters
    ----------
    channel : (H, W) array, integer or float
        Finite.

    Returns
    -------
    bool
        False where there are too few objects to say so.
    """
    return area_of_nuclei(channel) is not None


def area_of_nuclei(channel: NDArray[Any]) -> float | None:
    """The median area, in pixels, of what `shows_nuclei` sees; None where that sees no nuclei."""
    regions = nucleus_regions(_busiest(channel))
    whole = np.ones(int(regions.max()) + 1, bool)
    whole[0] = False
    whole[along_border(regions)] = False
    if whole.sum() < LEAST_OBJECTS:
        return None
    if float(np.median(ellipticity(moments(regions))[whole])) <= ELLIPTIC:
        return None
    return float(np.median(np.bincount(regions.ravel())[whole]))


def _busiest(channel: NDArray[Any]) -> NDArray[Any]:
    """The window that varies most, of those that lie half a window apart."""
    starts = [range(0, max(n - WINDOW // 2, 1), WINDOW // 2) for n in channel.shape]
    windows = (
        channel[row : row + WINDOW, col : col + WINDOW] for row in starts[0] for col in starts[1]
    )
    return max(windows, key=lambda window: float(np.std(window[::4, ::4], dtype=np.float64)))
