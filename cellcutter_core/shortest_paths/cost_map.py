"""The cost map: what paths through an image cost.

A path costs its length, plus extra on bright lines and for every change of intensity on its way.
Borders between cells cost most, so two cells meet there and not half-way between their markers. The
idea is that of propagation in CellProfiler (Jones, Carpenter & Golland, Voronoi-based segmentation
of cells on image manifolds, CVBIA 2005). Lines are found by the second derivative across them, as
in Frangi et al., MICCAI 1998.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cellcutter_core.images.scaling import Normalisation, logarithms

# Cost of a line or a change of average strength, in units of the length of one pixel. Any value
# from 3 to 16 works nearly as well.
LINE_COST = 8.0
CHANGE_COST = 8.0
# Scale of the derivatives in pixels; for large cells, this fraction of their diameter.
SMOOTHING = 1.0
SMOOTHING_SHARE = 1 / 60


@dataclass(frozen=True, eq=False)
class CostMap:
    """What paths through an image cost.

    Attributes
    ----------
    cost : (H, W) float32
        Cost per pixel of length: 1 where the image shows no line, more on bright lines.
    height : (H, W) float32
        A path also costs every difference in height along it, up or down.
    """

    cost: NDArray[np.float32]
    height: NDArray[np.float32]

    @classmethod
    def flat(cls, shape: tuple[int, ...]) -> CostMap:
        """Return a cost map on which paths cost only their length."""
        return cls(np.ones(shape, np.float32), np.zeros(shape, np.float32))

    @classmethod
    def of(
        cls,
        image: NDArray[Any],
        mask: NDArray[np.bool_],
        *,
        cell_diameter: float,
        normalisation: Normalisation | None = None,
    ) -> CostMap:
        """Compute the cost map of an image.

        Parameters
        ----------
        image : (H, W, C) array
            Channels that show cells. The mean of their logarithms is used.
        mask : (H, W) bool
            True where there are cells. Pixels outside of it have no influence, because the outline
            of the mask is not a border between cells.
        cell_diameter : float
            In pixels.
        normalisation : Normalisation, optional
            That of the whole image, if `image` is a part of it.

        Returns
        -------
        CostMap
            Does not change if the image's brightness or contrast is multiplied by a factor.
        """
        level = np.mean(logarithms(image, normalisation), axis=-1)
        if not mask.any():
            return cls.flat(mask.shape)
        beyond = ndimage.distance_transform_edt(~mask, return_distances=False, return_indices=True)
        level = level[tuple(beyond)]
        sigma = max(SMOOTHING, SMOOTHING_SHARE * cell_diameter)
        line = bright_line(level, sigma)
        smooth = ndimage.gaussian_filter(level, sigma)
        change = ndimage.gaussian_gradient_magnitude(level, sigma)
        # In an image without structure the means are 0, and so are all lines and changes.
        unit_line, unit_change = (max(float(f[mask].mean()), 1e-12) for f in (line, change))
        return cls(1 + LINE_COST / unit_line * line, CHANGE_COST / unit_change * smooth)


def bright_line(level: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Return how strongly intensity curves down across bright lines; 0 elsewhere."""
    down, across, mixed = (
        ndimage.gaussian_filter(level, sigma, order=order) for order in ((2, 0), (0, 2), (1, 1))
    )
    smaller = (down + across) / 2 - np.hypot((down - across) / 2, mixed)
    return np.asarray(np.maximum(-smaller, 0), np.float32)
