"""Places a nucleus in each simulated cell."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from cellcutter_core.simulation.shapes import Floats, Labels, distance_inside, largest_parts


def place_nuclei(
    cells: Labels,
    direction: Floats,
    *,
    size: tuple[float, float] = (0.4, 1.6),
    radii: tuple[float, float] = (4.5, 11.5),
    centred: float = 0.12,
    rng: np.random.Generator,
) -> Labels:
    """Place one nucleus in each cell, mostly off its centre, so that some nuclei touch.

    Parameters
    ----------
    cells : (H, W) int32 array
        Cells 1..N.
    direction : (N,) float array
        Long axis of each cell, in radians from the row axis. Nuclei are shifted along it and
        stretched along it.
    size : (float, float)
        Radius of a nucleus: this share of the radius of its cell, plus this many pixels.
    radii : (float, float)
        Smallest and largest radius.
    centred : float
        Share of nuclei that lie in the centre of their cell.
    rng : numpy.random.Generator
        Source of all randomness.

    Returns
    -------
    (H, W) int32 array
        Nucleus k, one connected region, inside cell k.
    """
    n = len(direction)
    nuclei = np.zeros_like(cells)
    inside = distance_inside(cells)
    varied = np.exp(rng.normal(0, 0.17, n))
    push = np.where(rng.random(n) < centred, rng.uniform(0, 0.1, n), rng.uniform(0.9, 1.05, n))
    towards = direction + rng.normal(0, 0.6, n) + np.pi * rng.integers(0, 2, n)
    stretch = np.exp(np.abs(rng.normal(0, 0.16, n)))
    turn = direction + rng.normal(0, 0.4, n)
    wobble = rng.normal(0, 0.05, (n, 2, 2))

    for k, window in enumerate(ndimage.find_objects(cells)):
        own = cells[window] == k + 1
        depth = inside[window]
        y, x = np.nonzero(own)
        radius = varied[k] * np.clip(size[0] * np.sqrt(len(y) / np.pi) + size[1], *radii)
        # Places where it fits, if its rim may be flattened.
        fits = depth[y, x] >= min(0.45 * radius + 1, depth.max() - 0.5)
        heading = y * np.cos(towards[k]) + x * np.sin(towards[k])
        sideways = x * np.cos(towards[k]) - y * np.sin(towards[k])
        middle = heading.mean() + push[k] * (heading.max() - heading.mean())
        middle = min(middle, heading.min() + 36)  # so that a 64-pixel crop around it holds the cell
        cost = np.hypot(heading - middle, sideways - sideways.mean())
        best = np.argmin(np.where(fits, cost, np.inf))

        rows, cols = np.mgrid[: own.shape[0], : own.shape[1]]
        dy, dx = rows - y[best], cols - x[best]
        c, s = np.cos(turn[k]), np.sin(turn[k])
        along, across = (c * dy + s * dx) / stretch[k], (c * dx - s * dy) * stretch[k]
        angle = np.arctan2(across, along)
        limit = 1 + sum(
            w[0] * np.cos(m * angle) + w[1] * np.sin(m * angle)
            for m, w in enumerate(wobble[k], start=2)
        )
        # Inside both its own outline and the cell, with the corners between these rounded off.
        free = radius * limit - np.hypot(along, across) + 0.5
        nucleus = own & (np.logaddexp(-free / 1.5, -(depth - 1.3) / 1.5) < 0)
        nuclei[window][nucleus] = k + 1
    return largest_parts(nuclei)
