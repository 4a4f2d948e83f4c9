"""Path labels: each pixel gets the cell whose marker it reaches by the cheapest path.

This needs no training. A path costs its length, plus extra on bright lines and for every change of
intensity on its way. Borders between cells cost most, so two cells meet there and not half-way
between their markers. The idea is that of propagation in CellProfiler (Jones, Carpenter & Golland,
Voronoi-based segmentation of cells on image manifolds, CVBIA 2005). Lines are found by the second
derivative across them, as in Frangi et al., MICCAI 1998.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cellcutter_core.images.scaling import Normalisation, logarithms, nearest, resized

# Cost of a line or a change of average strength, in units of the length of one pixel. Any value
# from 3 to 16 works nearly as well.
LINE_COST = 8.0
CHANGE_COST = 8.0
# Scale of the derivatives in pixels; for large cells, this fraction of their diameter.
SMOOTHING = 1.0
SMOOTHING_SHARE = 1 / 60
# Log-odds that the path label of a pixel is right, if its path to the nearest border between cells
# has the mean cost. They grow in proportion to that cost. Measured on hand-drawn cells: 75 % of the
# labels are right at a fifth of the mean cost, 88 % at half of it and 95 % at the mean.
LOG_ODDS = 3.5
HIGHEST_LOG_ODDS = 7.0
# Side in pixels of the blocks in which paths are searched.
BLOCK = 256
# The right and lower half of a pixel's eight neighbours, as (rows, columns).
_STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))


@dataclass(frozen=True, eq=False)
class Guidance:
    """The cost map: what paths through an image cost.

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
    def flat(cls, shape: tuple[int, ...]) -> Guidance:
        """A cost map on which paths cost only their length."""
        return cls(np.ones(shape, np.float32), np.zeros(shape, np.float32))

    @classmethod
    def of(
        cls,
        image: NDArray[Any],
        mask: NDArray[np.bool_],
        *,
        cell_diameter: float,
        normalisation: Normalisation | None = None,
    ) -> Guidance:
        """The cost map of an image.

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
        Guidance
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


@dataclass(frozen=True, eq=False)
class Territory:
    """Path labels, and how certain they are.

    Attributes
    ----------
    labels : (H, W) int32
        0 where there is no cell.
    log_odds : (H, W) float32
        Log-odds, at least 0, that the label of a pixel is right (0 means no cell).
    """

    labels: NDArray[np.int32]
    log_odds: NDArray[np.float32]

    @classmethod
    def of(cls, seeds: NDArray[np.int32], mask: NDArray[np.bool_], guidance: Guidance) -> Territory:
        """Grow seeds as `grown` does; labels are more certain the farther from another cell.

        Where no path leads to another cell, and outside of the mask, log-odds are highest.
        """
        labels = grown(seeds, mask, guidance)
        # The border is half a pixel away from the centre of a pixel that touches another cell.
        # Without this half, both cells would be equally likely there.
        way = _paths(_touching(labels), labels > 0, guidance)[0] + guidance.cost / 2
        reached = np.isfinite(way)
        log_odds = np.full(mask.shape, HIGHEST_LOG_ODDS, np.float32)
        if reached.any():
            unit = max(float(way[reached].mean()), 1e-12)
            log_odds[reached] = np.minimum(LOG_ODDS / unit * way[reached], HIGHEST_LOG_ODDS)
        return cls(labels, log_odds)

    def resized(self, shape: tuple[int, ...]) -> Territory:
        """The path labels at another size of the image."""
        return Territory(nearest(self.labels, shape), resized(self.log_odds, shape))


def bright_line(level: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Strength of bright lines: how strongly intensity curves down across them, else 0."""
    down, across, mixed = (
        ndimage.gaussian_filter(level, sigma, order=order) for order in ((2, 0), (0, 2), (1, 1))
    )
    smaller = (down + across) / 2 - np.hypot((down - across) / 2, mixed)
    return np.asarray(np.maximum(-smaller, 0), np.float32)


def grown(
    seeds: NDArray[np.int32], mask: NDArray[np.bool_], guidance: Guidance
) -> NDArray[np.int32]:
    """Grow seeds over the mask: each pixel gets the seed with the cheapest path inside the mask.

    Parameters
    ----------
    seeds : (H, W) int32
        Labels of pixels whose cell is known, 0 elsewhere.
    mask : (H, W) bool
        True where there are cells.
    guidance : Guidance
        The cost map.

    Returns
    -------
    (H, W) int32
        Parts of the mask that are not connected to a seed stay 0. Seeds outside of the mask stay.

    Examples
    --------
    >>> guidance = Guidance.flat((1, 6))
    >>> grown(np.array([[1, 0, 0, 0, 0, 2]], np.int32), np.ones((1, 6), bool), guidance)
    array([[1, 1, 1, 2, 2, 2]], dtype=int32)
    """
    labels = seeds.copy()
    left = mask & (seeds == 0)
    # Paths begin at the outermost pixels of the seeds; pixels inside have their label already.
    begin = (seeds > 0) & ndimage.binary_dilation(left, np.ones((3, 3)))
    _, source = _paths(begin, left | begin, guidance)
    reached = source >= 0
    labels[reached] = seeds.ravel()[source[reached]]
    return labels


def _paths(
    begin: NDArray[np.bool_], nodes: NDArray[np.bool_], guidance: Guidance
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """The cheapest path to each node from a pixel where paths begin, block by block.

    A path from outside of a block enters at its rim. So a node that is cheaper to reach from a
    beginning inside the block than from the rim is settled for good. Usually these are all nodes
    but those within half a cell of the rim. Those are left to the next blocks, where settled nodes
    are beginnings with a cost. Blocks bound the memory, and small blocks suit the processor's
    caches.

    Returns
    -------
    cost : (H, W) float64
        inf where no path leads, and outside of the nodes.
    source : (H, W) int32
        Flat index of the pixel where the path begins; -1 where no path leads.
    """
    cost = np.where(begin, 0, np.inf)
    source = np.full(begin.shape, -1, np.int32)
    source[begin] = np.flatnonzero(begin)
    left = nodes & ~begin
    for block in _blocks(nodes.shape):
        if left[block].any():
            rim = np.ones(left[block].shape, bool)
            rim[
                tuple(
                    slice(int(s.start > 0), s.stop - s.start - int(s.stop < n))
                    for s, n in zip(block, nodes.shape, strict=True)
                )
            ] = False
            part = Guidance(guidance.cost[block], guidance.height[block])
            _settle(cost[block], source[block], left[block], rim, part)
    return cost, source


def _blocks(shape: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Small blocks that tile the image, then ever larger ones, and finally the whole image.

    Borders of blocks of different sizes are at least half of the smallest block apart.
    """
    size = BLOCK
    while size < max(shape):
        cuts = ([0, *range(size // 2, n, size), n] for n in shape)
        yield from product(*([slice(a, b) for a, b in pairwise(cut)] for cut in cuts))
        size *= 2
    yield tuple(slice(0, n) for n in shape)


def _settle(
    cost: NDArray[np.float64],
    source: NDArray[np.int32],
    left: NDArray[np.bool_],
    rim: NDArray[np.bool_],
    guidance: Guidance,
) -> None:
    """Find, in place, the cost and source of those unsettled nodes of a block that are certain.

    Parameters
    ----------
    cost, source
        As `_paths` returns them; settled where `left` is False.
    left : (H, W) bool
        Nodes that are not settled yet. Set to False for those that become settled.
    rim : (H, W) bool
        Pixels where a path may enter from outside.
    guidance : Guidance
        The cost map.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import dijkstra

    known = np.isfinite(cost) & ndimage.binary_dilation(left, np.ones((3, 3)))
    nodes = left | known
    n = int(np.count_nonzero(nodes))
    number = np.full(nodes.shape, -1, np.int32)
    number[nodes] = np.arange(n)
    # The cost of a path that enters at the rim is not known, but at least 0.
    start = np.where(left & rim, 0, cost)[nodes]
    # A beginning with a cost is an extra node, joined only to its pixel, at that distance.
    later = np.flatnonzero((start > 0) & np.isfinite(start))
    extra = n + np.arange(len(later))
    one, other, way = (
        np.concatenate(part)
        for part in zip(*_edges(nodes, number, guidance), (later, extra, start[later]), strict=True)
    )
    graph = csr_array((way, (one, other)), shape=(n + len(later),) * 2)
    found, _, begin = dijkstra(
        graph,
        directed=False,
        indices=np.concatenate([np.flatnonzero(start == 0), extra]),
        min_only=True,
        return_predecessors=True,
    )
    # The last entry stands for nodes that no path leads to.
    begin = np.concatenate([np.arange(n), later, [n]])[np.maximum(begin[:n], -1)]
    certain = left[nodes] & ~np.append((left & rim)[nodes], False)[begin]
    at = tuple(axis[certain] for axis in np.nonzero(nodes))
    cost[at] = found[:n][certain]
    source[at] = np.append(source[nodes], -1)[begin[certain]]
    left[at] = False


def _edges(
    nodes: NDArray[np.bool_], number: NDArray[np.int32], guidance: Guidance
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]]:
    """For each of four directions: the two nodes of every edge, and its cost."""
    n_rows, n_cols = nodes.shape
    for down, right in _STEPS:
        here = (slice(0, n_rows - down), slice(max(0, -right), n_cols - max(0, right)))
        there = (slice(down, n_rows), slice(max(0, right), n_cols - max(0, -right)))
        both = nodes[here] & nodes[there]
        cost, height = ((f[here][both], f[there][both]) for f in (guidance.cost, guidance.height))
        length = np.hypot(down, right)
        # Never 0, which a sparse graph would take for no edge.
        way = length * (cost[0] + cost[1]) / 2 + np.abs(height[0] - height[1])
        yield number[here][both], number[there][both], way.astype(np.float64)


def _touching(labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Pixels of a cell that have a 4-neighbour in another cell."""
    touching = np.zeros(labels.shape, bool)
    for one, other in (
        ((slice(1, None), slice(None)), (slice(None, -1), slice(None))),
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
    ):
        meet = (labels[one] != labels[other]) & (labels[one] > 0) & (labels[other] > 0)
        touching[one] |= meet
        touching[other] |= meet
    return touching
