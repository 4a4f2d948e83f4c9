"""Which pixel belongs to which cell by the cheapest path to a nucleus, before anything is learnt.

A path pays for its length, for the bright lines it runs along or crosses, and for every change of
intensity on its way. Borders between cells cost most, so that two cells meet there and not half-way
between their nuclei. The idea is that of propagation in CellProfiler (Jones, Carpenter & Golland,
Voronoi-based segmentation of cells on image manifolds, CVBIA 2005); lines are the second derivative
across them, as in Frangi et al., MICCAI 1998.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cellcutter_core.images.scaling import logarithms, nearest, resized

# What a line or a change of average strength costs, in units of the way over one pixel. Any value
# from 3 to 16 serves nearly as well.
LINE_COST = 8.0
CHANGE_COST = 8.0
# Scale of the derivatives in pixels, or this share of a cell's diameter where cells are large.
SMOOTHING = 1.0
SMOOTHING_SHARE = 1 / 60
# Log-odds that a pixel belongs to the cell in whose territory it lies, a mean way from the nearest
# border of that territory; they grow with the way. Measured on hand-drawn cells: 0.75 are right at
# a fifth of the mean way, 0.88 at a half and 0.95 at the whole.
LOG_ODDS = 3.5
HIGHEST_LOG_ODDS = 7.0
# Side in pixels of the blocks in which paths are searched.
BLOCK = 256
# The right and lower half of a pixel's eight neighbours, as (rows, columns).
_STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))


@dataclass(frozen=True, eq=False)
class Guidance:
    """What paths through an image cost.

    Attributes
    ----------
    cost : (H, W) float32
        Of a path of one pixel's length; 1 where there is nothing to see, more on bright lines.
    height : (H, W) float32
        A path pays the difference of height on its way up and down.
    """

    cost: NDArray[np.float32]
    height: NDArray[np.float32]

    @classmethod
    def flat(cls, shape: tuple[int, ...]) -> Guidance:
        """Paths that pay for their length alone."""
        return cls(np.ones(shape, np.float32), np.zeros(shape, np.float32))

    @classmethod
    def of(
        cls,
        image: NDArray[Any],
        mask: NDArray[np.bool_],
        *,
        cell_diameter: float,
        like: NDArray[Any] | None = None,
    ) -> Guidance:
        """What the image says of where cells meet.

        Parameters
        ----------
        image : (H, W, C) array
            Channels in which cell area shows; of several the mean of their logarithms.
        mask : (H, W) bool
            True where there are cells. What lies outside of it has no influence: the outline of
            the mask is no border between cells.
        cell_diameter : float
            In pixels.
        like : (h, w, C) array, optional
            Pixels of all of the image that this is a part of, see `logarithm`.

        Returns
        -------
        Guidance
            The same for an image that is brighter or richer in contrast by any factor.
        """
        levels = logarithms(image, like=like)
        level = np.mean(levels, axis=-1)
        if not mask.any():
            return cls.flat(mask.shape)
        beyond = ndimage.distance_transform_edt(~mask, return_distances=False, return_indices=True)
        level = level[tuple(beyond)]
        sigma = max(SMOOTHING, SMOOTHING_SHARE * cell_diameter)
        line = bright_line(level, sigma)
        smooth = ndimage.gaussian_filter(level, sigma)
        change = ndimage.gaussian_gradient_magnitude(level, sigma)
        # Of an image without any structure the mean is 0, and so are lines and changes.
        unit_line, unit_change = (max(float(f[mask].mean()), 1e-12) for f in (line, change))
        return cls(1 + LINE_COST / unit_line * line, CHANGE_COST / unit_change * smooth)


@dataclass(frozen=True, eq=False)
class Territory:
    """Which pixel belongs to which cell as far as paths can tell, and how sure that is.

    Attributes
    ----------
    labels : (H, W) int32
        0 where there is no cell.
    log_odds : (H, W) float32
        At least 0: that the pixel is its cell's, or no cell's where `labels` is 0.
    """

    labels: NDArray[np.int32]
    log_odds: NDArray[np.float32]

    @classmethod
    def of(cls, seeds: NDArray[np.int32], mask: NDArray[np.bool_], guidance: Guidance) -> Territory:
        """Seeds grown as `grown` does, the surer the farther from another cell's pixels.

        Where no other cell can be reached, and outside of the mask, there is hardly any doubt.
        """
        labels = grown(seeds, mask, guidance)
        # From the middle of a pixel that touches another cell there is half a pixel to go: at 0
        # both would be as sure of both.
        way = _paths(_touching(labels), labels > 0, guidance)[0] + guidance.cost / 2
        reached = np.isfinite(way)
        log_odds = np.full(mask.shape, HIGHEST_LOG_ODDS, np.float32)
        if reached.any():
            unit = max(float(way[reached].mean()), 1e-12)
            log_odds[reached] = np.minimum(LOG_ODDS / unit * way[reached], HIGHEST_LOG_ODDS)
        return cls(labels, log_odds)

    def resized(self, shape: tuple[int, ...]) -> Territory:
        """The same in another size of the image."""
        return Territory(nearest(self.labels, shape), resized(self.log_odds, shape))


def bright_line(level: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """How strongly the image curves down across a line; 0 where it does not."""
    down, across, mixed = (
        ndimage.gaussian_filter(level, sigma, order=order) for order in ((2, 0), (0, 2), (1, 1))
    )
    smaller = (down + across) / 2 - np.hypot((down - across) / 2, mixed)
    return np.asarray(np.maximum(-smaller, 0), np.float32)


def grown(
    seeds: NDArray[np.int32], mask: NDArray[np.bool_], guidance: Guidance
) -> NDArray[np.int32]:
    """Seeds, grown over the mask: each pixel to the seed with the cheapest path within it.

    Parameters
    ----------
    seeds : (H, W) int32
        Pixels that are known, 0 elsewhere.
    mask : (H, W) bool
        True where there are cells.
    guidance : Guidance
        What paths cost.

    Returns
    -------
    (H, W) int32
        Mask that hangs together with no seed stays 0; seeds outside of the mask stay.

    Examples
    --------
    >>> guidance = Guidance.flat((1, 6))
    >>> grown(np.array([[1, 0, 0, 0, 0, 2]], np.int32), np.ones((1, 6), bool), guidance)
    array([[1, 1, 1, 2, 2, 2]], dtype=int32)
    """
    labels = seeds.copy()
    left = mask & (seeds == 0)
    # Paths begin at the outermost pixels of the seeds; there is nothing to find within them.
    begin = (seeds > 0) & ndimage.binary_dilation(left, np.ones((3, 3)))
    _, source = _paths(begin, left | begin, guidance)
    reached = source >= 0
    labels[reached] = seeds.ravel()[source[reached]]
    return labels


def _paths(
    begin: NDArray[np.bool_], nodes: NDArray[np.bool_], guidance: Guidance
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """The cheapest path to each of the nodes from one where paths begin, block by block.

    A path from outside of a block comes in at its rim, so the part of a block that is cheaper to
    reach from a beginning than from anywhere on the rim is settled as if there were no blocks; as
    a rule that is all but what lies within half a cell of the rim. That is left to the next
    blocks, for which settled nodes are beginnings with a cost. Blocks bound the memory, and small
    ones are faster for the processor's caches.

    Returns
    -------
    cost : (H, W) float64
        inf where no path leads, and outside of the nodes.
    source : (H, W) int32
        The pixel where the path begins, counted row by row; -1 where no path leads.
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
    """Blocks side by side, then ever larger ones, and at last all.

    No border lies nearer than half of a smallest block to one of other blocks.
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
    """Find, in place, the cost and source of what is left in a block, as far as that is certain.

    Parameters
    ----------
    cost, source
        As `_paths` returns them; settled where `left` is False.
    left : (H, W) bool
        Nodes that are to be settled; True afterwards for those that are not.
    rim : (H, W) bool
        Where there may be a way from outside.
    guidance : Guidance
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import dijkstra

    known = np.isfinite(cost) & ndimage.binary_dilation(left, np.ones((3, 3)))
    nodes = left | known
    n = int(np.count_nonzero(nodes))
    number = np.full(nodes.shape, -1, np.int32)
    number[nodes] = np.arange(n)
    # What comes in over the rim costs at least nothing.
    start = np.where(left & rim, 0, cost)[nodes]
    # A beginning with a cost is a node that no other leads to, at that distance from its pixel.
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
    # No path leads to what has no beginning; the last entry stands for that.
    begin = np.concatenate([np.arange(n), later, [n]])[np.maximum(begin[:n], -1)]
    certain = left[nodes] & ~np.append((left & rim)[nodes], False)[begin]
    at = tuple(axis[certain] for axis in np.nonzero(nodes))
    cost[at] = found[:n][certain]
    source[at] = np.append(source[nodes], -1)[begin[certain]]
    left[at] = False


def _edges(
    nodes: NDArray[np.bool_], number: NDArray[np.int32], guidance: Guidance
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]]:
    """From which node to which at what cost, for each of four directions."""
    n_rows, n_cols = nodes.shape
    for down, right in _STEPS:
        here = (slice(0, n_rows - down), slice(max(0, -right), n_cols - max(0, right)))
        there = (slice(down, n_rows), slice(max(0, right), n_cols - max(0, -right)))
        both = nodes[here] & nodes[there]
        cost, height = ((f[here][both], f[there][both]) for f in (guidance.cost, guidance.height))
        length = np.hypot(down, right)
        # Never 0, which would be no edge.
        way = length * (cost[0] + cost[1]) / 2 + np.abs(height[0] - height[1])
        yield number[here][both], number[there][both], way.astype(np.float64)


def _touching(labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Pixels of a cell that have one of another cell beside them."""
    touching = np.zeros(labels.shape, bool)
    for one, other in (
        ((slice(1, None), slice(None)), (slice(None, -1), slice(None))),
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
    ):
        meet = (labels[one] != labels[other]) & (labels[one] > 0) & (labels[other] > 0)
        touching[one] |= meet
        touching[other] |= meet
    return touching
