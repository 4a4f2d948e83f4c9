"""Grows a simulated tissue from a seed: the exact regions of cells and nuclei.

This module is geometry only; `optics` and `stains` make images of it. Coordinates are (row, col),
lengths are in pixels, and everything takes time linear in the number of pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from cellcutter_core.label_image import distance_inside, largest_parts
from cellcutter_core.simulation.shapes import (
    Bools,
    Floats,
    Labels,
    smooth_noise,
)

SMALLEST, SLIVER = 150, 6.0  # smallest area and depth of a cell that is kept
ON_TOP = 100.0  # rounded cells win over all others by this depth


@dataclass(frozen=True)
class Growth:
    """How a tissue grows. The defaults are those of the built-in sample; lengths are in pixels.

    Attributes
    ----------
    radius : float
        Typical radius of a cell before its neighbours limit it.
    radii : (float, float)
        Smallest and largest of these radii.
    size_spread : float
        Standard deviation of the logarithm of the radius.
    rounded : float
        Share of cells that have rounded up, as before division.
    spacing : float
        How close two centres may come, in sums of their radii.
    empty : float
        Share of the image kept free of cell centres.
    reach : (float, float)
        How far beyond its radius a cell spreads where no neighbour limits it; lowest and highest.
    n_sides : int
        Number of sides of the polygon that a cell is before its neighbours limit it.
    sides : (float, float)
        Smallest and largest distance of a side from the centre, in radii.
    stretch : float
        How much longer than wide cells are: standard deviation of the logarithm.
    aligned : float
        How much the direction of cells changes over the image.
    warp : float
        How far outlines deviate from straight lines.
    ruffle : float
        How ragged an outline is where there is no neighbour.
    nucleus : (float, float)
        Radius of a nucleus: this share of the radius of its cell, plus this many pixels.
    nuclei_radii : (float, float)
        Smallest and largest radius of a nucleus.
    nuclei_centred : float
        Share of nuclei that lie in the centre of their cell.
    """

    radius: float = 19.0
    radii: tuple[float, float] = (13.0, 24.0)
    size_spread: float = 0.16
    rounded: float = 0.04
    spacing: float = 0.82
    empty: float = 0.27
    reach: tuple[float, float] = (3.0, 8.0)
    n_sides: int = 6
    sides: tuple[float, float] = (0.82, 1.15)
    stretch: float = 0.28
    aligned: float = 1.6
    warp: float = 3.0
    ruffle: float = 1.0
    nucleus: tuple[float, float] = (0.4, 1.6)
    nuclei_radii: tuple[float, float] = (4.5, 11.5)
    nuclei_centred: float = 0.12


@dataclass(frozen=True, eq=False)
class Tissue:
    """Cells and nuclei with the same ids.

    Attributes
    ----------
    cells : (H, W) int32 array
        Whole cells 1..N, each one connected region; 0 is empty.
    nuclei : (H, W) int32 array
        Nucleus k lies inside cell k and is one connected region.
    direction : (N,) float array
        Angle of the long axis of cell k + 1 against the row axis, in radians.
    rounded : (N,) bool array
        Cells that have rounded up, as before division: small, circular, bright.
    """

    cells: Labels
    nuclei: Labels
    direction: Floats
    rounded: Bools


@dataclass(frozen=True, eq=False)
class _Seeds:
    """Cells before they touch, one row for each.

    A cell is the polygon of points x with planes @ (x - centre) <= 1, so `planes` is (N, S, 2).
    """

    centre: Floats
    radius: Floats
    direction: Floats
    rounded: Bools
    planes: Floats


def grow_tissue(
    shape: tuple[int, int], growth: Growth = Growth(), *, rng: np.random.Generator
) -> Tissue:
    """Grow cells of varied size in clumps, with a nucleus in each.

    Parameters
    ----------
    shape : (int, int)
        Height and width, at least 64 each.
    growth : Growth
        Default: the growth of the built-in sample.
    rng : numpy.random.Generator
        Source of all randomness.

    Returns
    -------
    Tissue
        At least one cell.
    """
    seeds = _plant(shape, growth, rng=rng)
    cells, kept = _tidy(_spread(seeds, shape, growth, rng=rng))
    direction, rounded = seeds.direction[kept], seeds.rounded[kept]
    nuclei = _place_nuclei(cells, direction, growth, rng=rng)
    return Tissue(cells, nuclei, direction, rounded)


def _plant(shape: tuple[int, int], growth: Growth, *, rng: np.random.Generator) -> _Seeds:
    """Centres at irregular distances that leave voids, and a shape for each."""
    n = max(8, int(shape[0] * shape[1] / 90 * (19 / growth.radius) ** 2))
    centre = rng.uniform(-3, 3, (n, 2)) + rng.uniform(0, 1, (n, 2)) * shape
    at = tuple(np.clip(centre, 0, np.subtract(shape, 1)).astype(int).T)

    void = smooth_noise(shape, 80, rng=rng) + 0.5 * smooth_noise(shape, 33, rng=rng)
    size, flow = (smooth_noise(shape, scale, rng=rng)[at] for scale in (110, 140))
    rounded = rng.random(n) < growth.rounded
    radius = growth.radius * np.exp(0.06 * size + growth.size_spread * rng.standard_normal(n))
    small = growth.radii[0] * rng.uniform(9 / 13, 12 / 13, n)
    radius = np.where(rounded, small, np.clip(radius, *growth.radii))

    inhabited = void[at] > np.quantile(void[::4, ::4], growth.empty)
    inhabited |= rng.random(n) < 0.012  # a few live alone
    inhabited[np.argmax(void[at])] = True
    chosen = np.flatnonzero(inhabited)
    chosen = chosen[_keep_apart(centre[chosen], radius[chosen], growth.spacing)]

    # Neighbours lie in similar directions, as cells that crawl or line up do.
    direction = (growth.aligned * flow + 0.5 * rng.standard_normal(n))[chosen]
    stretch = np.where(rounded, 1, np.exp(np.abs(rng.normal(0, growth.stretch, n))))[chosen]
    return _Seeds(
        centre[chosen],
        radius[chosen],
        direction,
        rounded[chosen],
        _polygons(radius[chosen], direction, stretch, growth, rng=rng),
    )


def _keep_apart(centre: Floats, radius: Floats, spacing: float) -> NDArray[np.intp]:
    """Indices of a subset, chosen first come first served, with no two closer than `spacing`."""
    free = np.ones(len(centre), bool)
    near = cKDTree(centre).query_ball_point(centre, spacing * (radius + radius.max()))
    chosen = []
    for k in range(len(centre)):
        if not free[k]:
            continue
        chosen.append(k)
        others = np.asarray(near[k])
        gap = np.hypot(*(centre[others] - centre[k]).T)
        free[others[gap < spacing * (radius[others] + radius[k])]] = False
    return np.asarray(chosen, np.intp)


def _polygons(
    radius: Floats,
    direction: Floats,
    stretch: Floats,
    growth: Growth,
    *,
    rng: np.random.Generator,
) -> Floats:
    """(N, S, 2): irregular polygons, stretched and turned, as side normals over side distances."""
    n, n_sides = len(radius), growth.n_sides
    angle = np.arange(n_sides) + rng.uniform(-0.25, 0.25, (n, n_sides)) + rng.uniform(0, 1, (n, 1))
    angle *= 2 * np.pi / n_sides
    height = radius[:, None] * rng.uniform(*growth.sides, (n, n_sides))
    along = np.cos(angle) / height / stretch[:, None]
    across = np.sin(angle) / height * stretch[:, None]
    c, s = np.cos(direction)[:, None], np.sin(direction)[:, None]
    return np.stack([c * along - s * across, s * along + c * across], axis=-1)


def _spread(
    seeds: _Seeds, shape: tuple[int, int], growth: Growth, *, rng: np.random.Generator
) -> Labels:
    """Give each pixel to the cell it lies deepest in, if one reaches it; labels are index + 1."""
    rows, cols = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    for axis in (rows, cols):
        axis += growth.warp * smooth_noise(shape, 19, rng=rng) + 0.8 * smooth_noise(
            shape, 6, rng=rng
        )
    ruffle = growth.ruffle * smooth_noise(shape, 5, rng=rng)
    reach = rng.uniform(*growth.reach, len(seeds.radius))

    best = np.full(shape, np.inf)
    owner = np.zeros(shape, np.int32)
    for k, (centre, radius) in enumerate(zip(seeds.centre, seeds.radius, strict=True)):
        # No corner of the polygon is farther than this, plus the warp.
        longest = 1 / np.linalg.norm(seeds.planes[k], axis=1).min()
        window = _around(centre, 1.45 * longest * (1 + reach[k] / radius) + 12, shape)
        y, x = rows[window] - centre[0], cols[window] - centre[1]
        if seeds.rounded[k]:
            # Warped by half, it stays nearly a disc; its neighbours give way.
            true_y, true_x = np.mgrid[window]
            y, x = (y + true_y - centre[0]) / 2, (x + true_x - centre[1]) / 2
            depth = np.hypot(y, x) - radius - ON_TOP
            limit = -ON_TOP
        else:
            depth = radius * (_gauge(seeds.planes[k], y, x) - 1)
            limit = reach[k] + ruffle[window]
        wins = (depth < limit) & (depth < best[window])
        best[window][wins] = depth[wins]
        owner[window][wins] = k + 1
    return owner


def _gauge(planes: Floats, y: Floats, x: Floats) -> Floats:
    """1 on the outline of the polygon with rounded corners, growing linearly from its centre."""
    # The 16-norm over the sides approximates their maximum; four squarings give the power.
    total = np.zeros_like(y)
    for a, b in planes:
        side = np.maximum(a * y + b * x, 0)
        for _ in range(4):
            side *= side
        total += side
    for _ in range(4):
        total = np.sqrt(total)
    return total


def _around(centre: Floats, half: float, shape: tuple[int, int]) -> tuple[slice, slice]:
    """The window of +-`half` pixels about a point, clipped to the image."""
    low = np.clip(np.floor(centre - half), 0, shape).astype(int)
    high = np.clip(np.ceil(centre + half) + 1, 0, shape).astype(int)
    return slice(low[0], high[0]), slice(low[1], high[1])


def _tidy(owner: Labels) -> tuple[Labels, NDArray[np.intp]]:
    """Make each cell one connected region without pinholes, drop slivers, number cells 1..N.

    Returns the labels, and for each new id the index of the cell before.
    """
    owner = largest_parts(owner)
    holes, n_holes = ndimage.label(owner == 0)
    pinhole = np.bincount(holes.ravel(), minlength=n_holes + 1) < 30
    pinhole[0] = False
    nearest = ndimage.distance_transform_edt(
        owner == 0, return_distances=False, return_indices=True
    )
    owner = np.where(pinhole[holes], owner[tuple(nearest)], owner)
    owner = largest_parts(owner)

    area = np.bincount(owner.ravel())
    depth = np.zeros(len(area))
    np.maximum.at(depth, owner.ravel(), distance_inside(owner).ravel())
    keep = (area >= SMALLEST) & (depth >= SLIVER)
    keep[0] = False
    if not keep.any():
        keep[1 + depth[1:].argmax()] = True
    ids = np.where(keep, np.cumsum(keep), 0).astype(np.int32)
    return ids[owner], np.flatnonzero(keep) - 1


def _place_nuclei(
    cells: Labels, direction: Floats, growth: Growth, *, rng: np.random.Generator
) -> Labels:
    """Place one nucleus in each cell, mostly off its centre, so that some nuclei touch.

    Nuclei are shifted along the long axis of their cell and stretched along it. Nucleus k is one
    connected region inside cell k.
    """
    n = len(direction)
    nuclei = np.zeros_like(cells)
    inside = distance_inside(cells)
    varied = np.exp(rng.normal(0, 0.17, n))
    centred = rng.random(n) < growth.nuclei_centred
    push = np.where(centred, rng.uniform(0, 0.1, n), rng.uniform(0.9, 1.05, n))
    towards = direction + rng.normal(0, 0.6, n) + np.pi * rng.integers(0, 2, n)
    stretch = np.exp(np.abs(rng.normal(0, 0.16, n)))
    turn = direction + rng.normal(0, 0.4, n)
    wobble = rng.normal(0, 0.05, (n, 2, 2))

    for k, window in enumerate(ndimage.find_objects(cells)):
        own = cells[window] == k + 1
        depth = inside[window]
        y, x = np.nonzero(own)
        usual = growth.nucleus[0] * np.sqrt(len(y) / np.pi) + growth.nucleus[1]
        radius = varied[k] * np.clip(usual, *growth.nuclei_radii)
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
