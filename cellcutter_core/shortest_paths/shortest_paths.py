"""The solver: shortest paths through a cost map, from many pixels at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cellcutter_core.images.blocks import blocks_of, pixels_of, rim_of
from cellcutter_core.images.reading.parts import Region
from cellcutter_core.shortest_paths.cost_map import CostMap

# Side in pixels of the smallest blocks in which paths are searched.
BLOCK = 256
# The right and lower half of a pixel's eight neighbours, as (rows, columns).
_STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))


def shortest_paths(
    begin: NDArray[np.bool_], nodes: NDArray[np.bool_], cost_map: CostMap
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Find the cheapest path to each node from any pixel where paths begin.

    This is Dijkstra's search (Numerische Mathematik 1, 269-271, 1959) from many beginnings at once,
    on pixels that are joined to their eight neighbours. A step costs its length times the mean cost
    of its two pixels, plus their difference in height. The result is exact.

    It is searched block by block, which bounds the memory and suits the processor's caches. A path
    from outside of a block enters at its rim. So a node that is cheaper to reach from a beginning
    inside the block than from the rim is settled for good. Usually these are all nodes but those
    within half a cell of the rim. Those are left to the next, larger blocks, where settled nodes
    are beginnings with a cost. The last block is the whole image.

    Parameters
    ----------
    begin : (H, W) bool
        Where paths begin, at no cost.
    nodes : (H, W) bool
        Pixels that paths may lead through; they include `begin`.
    cost_map : CostMap

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
    for box in _boxes(nodes.shape):
        block = pixels_of(box)
        if left[block].any():
            part = CostMap(cost_map.cost[block], cost_map.height[block])
            _settle(cost[block], source[block], left[block], rim_of(box, nodes.shape), part)
    return cost, source


def _boxes(shape: tuple[int, ...]) -> Iterator[Region]:
    """Small boxes that tile the image, then ever larger ones, and finally the whole image.

    Borders of boxes of different sizes are at least half of the smallest box apart.
    """
    size = BLOCK
    while size < max(shape):
        yield from blocks_of(shape, side=size, first=size // 2)
        size *= 2
    yield (0, 0, *shape)  # type: ignore[misc]


def _settle(
    cost: NDArray[np.float64],
    source: NDArray[np.int32],
    left: NDArray[np.bool_],
    rim: NDArray[np.bool_],
    cost_map: CostMap,
) -> None:
    """Find, in place, the cost and source of those unsettled nodes of a block that are certain.

    Parameters
    ----------
    cost, source
        As `shortest_paths` returns them; settled where `left` is False.
    left : (H, W) bool
        Nodes that are not settled yet. Set to False for those that become settled.
    rim : (H, W) bool
        Pixels where a path may enter from outside.
    cost_map : CostMap
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
        for part in zip(*_edges(nodes, number, cost_map), (later, extra, start[later]), strict=True)
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
    nodes: NDArray[np.bool_], number: NDArray[np.int32], cost_map: CostMap
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]]:
    """For each of four directions: the two nodes of every edge, and its cost."""
    n_rows, n_cols = nodes.shape
    for down, right in _STEPS:
        here = (slice(0, n_rows - down), slice(max(0, -right), n_cols - max(0, right)))
        there = (slice(down, n_rows), slice(max(0, right), n_cols - max(0, -right)))
        both = nodes[here] & nodes[there]
        cost, height = ((f[here][both], f[there][both]) for f in (cost_map.cost, cost_map.height))
        length = np.hypot(down, right)
        # Never 0, which a sparse graph would take for no edge.
        way = length * (cost[0] + cost[1]) / 2 + np.abs(height[0] - height[1])
        yield number[here][both], number[there][both], way.astype(np.float64)
