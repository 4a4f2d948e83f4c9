"""The exact minimum cut of a pixel grid, in two and three dimensions.

PyMaxflow's graph needs some 300 bytes a pixel for an image with eight neighbours, and filling it
takes much of the time, although most pixels are easy to decide. Three steps avoid that and stay
exact:

1. *Sweeps.* Each row, column and diagonal is a chain. Its maximum flow needs one pass each way, in
   NumPy over whole rows at once. Each sweep pushes flow through the grid and leaves an equivalent,
   easier problem. This is dual block-coordinate ascent with the chains as blocks, as in
   sequential tree-reweighted message passing (Kolmogorov, IEEE PAMI 28, 2006).
2. *A small graph.* Only pixels near a place where flow could still pass from a background pixel to
   a cell pixel are handed to PyMaxflow (Boykov & Kolmogorov, IEEE PAMI 26, 2004).
3. *A certificate.* The flow found there is a flow of the whole grid too. If no edge outside the
   small graph could still carry flow from a background pixel to a cell pixel, the cut has the value
   of the flow, so both are optimal. Otherwise the graph grows around such edges, and is solved
   again.

All of this holds some 120 bytes a pixel, so a large image is cut in blocks, which is exact too.
The cut of a block is found twice, once with all pixels on its rim False and once with all True.
Lowering a cost can only add True pixels, so the cut of the whole image lies between the two. Where
the two agree they are right, whatever lies beyond the rim (as in Kovtun's partial optimality, DAGM
2003).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import maxflow
import numpy as np
import numpy.typing as npt
from scipy import ndimage as ndi

from cellcutter_core.images.blocks import blocks_of, pixels_of, rim_of, with_margin
from cellcutter_core.images.reading.parts import Region

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Offset = tuple[int, ...]
Slices = tuple[slice, ...]

MAX_SWEEPS = 4
"""Most rounds of sweeps through all directions. Each takes about 0.1 s per million pixels in the
plane, and gains less than the one before."""

REACH = 16
"""Over how many pixels a sweep spreads the flow of one pixel. If shorter, flow from far away does
not reach the graph; if longer, too little stays near the outlines. Of 2 to 128, 16 was fastest."""

SETTLED = 0.02
"""If a smaller share of the pixels than this is contested, the graph is small enough."""

HOPELESS = 0.4
"""If a larger share is contested, as in noise, all pixels go into the graph anyway."""

EXHAUSTED = 0.2
"""After sweeps, pixels whose remaining cost is less than this share of the mean are exhausted.
They start inside the small graph: flow has to pass through them, and this saves rounds of growing.
"""

SPENT = 0.4
"""If the first sweep exhausts a larger share of the pixels than this, outlines cost so much
relative to pixels that flow crosses half of the image. More sweeps would only spread it thinly and
make the graph up to ten times slower. So all pixels go into the graph, at their original costs."""

LARGEST_WHOLE = 2048 * 2048
"""A 2-D image with more pixels than this is cut in blocks."""

BLOCK = 1024
"""Side in pixels of the part of a block that is kept."""

MARGINS = (32, 128)
"""Pixels by which a block is widened; the larger margin is used if its two cuts disagree."""


def half_neighbourhood(ndim: int) -> list[Offset]:
    """One offset for each pair of touching pixels: 4 in the plane (8 neighbours), 13 in space."""
    zero = (0,) * ndim
    return [offset for offset in product((-1, 0, 1), repeat=ndim) if offset > zero]


def pair_slices(offset: Offset) -> tuple[Slices, Slices]:
    """Where the first and the second pixel of every pair of this offset lie.

    ``image[first]`` and ``image[second]`` have the same shape; nothing wraps round the edges.

    Examples
    --------
    >>> import numpy as np
    >>> first, second = pair_slices((0, 1))
    >>> image = np.array([[1, 2, 4]])
    >>> image[second] - image[first]
    array([[1, 2]])
    """
    first = tuple(slice(max(0, -step), -step if step > 0 else None) for step in offset)
    second = tuple(slice(max(0, step), step if step < 0 else None) for step in offset)
    return first, second


def minimum_cut(
    cost: FloatArray, image: FloatArray, weight: Callable[[FloatArray], FloatArray]
) -> BoolArray:
    """The labelling of least energy.

    The energy of a labelling is the sum of `cost` over the pixels that are True, plus the weight of
    every pair of neighbours with different labels.

    Parameters
    ----------
    cost : (H, W) or (D, H, W) float64
        How much more True costs than False at each pixel; positive or negative, finite.
    image : float64 array in the shape of `cost`
        The values that the weights depend on.
    weight : callable
        Takes an array of any shape, the differences of `image` between neighbours, and returns the
        weights of these pairs. Weights are at least 0, and largest where the difference is 0.

    Returns
    -------
    bool array in the shape of `cost`. If several labellings have least energy, the one with the
    fewest True pixels, up to the precision of float64.
    """
    if cost.ndim == 2 and cost.size > LARGEST_WHOLE:
        label = np.zeros(cost.shape, bool)
        blocks = blocks_of(cost.shape, side=BLOCK)
        if all(_cut_block(label, block, cost, image, weight) for block in blocks):
            return label
    return _Grid(cost, image, weight).cut()


def cut_of_pieces(
    cost: FloatArray,
    image: FloatArray,
    weight: Callable[[FloatArray], FloatArray],
    pieces: npt.NDArray[np.int_],
) -> BoolArray:
    """The labelling of least energy among those that leave pieces whole.

    Parameters
    ----------
    cost, image, weight
        As for `minimum_cut`.
    pieces : int array in the shape of `cost`
        Pixels with the same number above 0 have the same label. Those with 0 are labelled one by
        one.

    Returns
    -------
    bool array in the shape of `cost`
    """
    alone = pieces == 0
    n_alone, n_pieces = int(alone.sum()), int(pieces.max())
    node = np.where(alone, 0, pieces + (n_alone - 1)).astype(np.int32)
    node[alone] = np.arange(n_alone)
    nodes = np.arange(n_alone + n_pieces)
    of_node = np.bincount(node.ravel(), cost.ravel(), len(nodes))
    graph = maxflow.GraphFloat(len(nodes), 4 * n_alone)
    graph.add_nodes(len(nodes))
    graph.add_grid_tedges(nodes, np.maximum(of_node, 0), np.maximum(-of_node, 0))
    for offset in half_neighbourhood(cost.ndim):
        first, second = pair_slices(offset)
        pairs = node[first] != node[second]
        weights = weight(image[first][pairs] - image[second][pairs])
        graph.add_edges(node[first][pairs], node[second][pairs], weights, weights)
    graph.maxflow()
    return np.asarray(graph.get_grid_segments(nodes), bool)[node]


def _cut_block(
    label: BoolArray,
    block: Region,
    cost: FloatArray,
    image: FloatArray,
    weight: Callable[[FloatArray], FloatArray],
) -> bool:
    """Write the labels of a block and return True, if a margin around it is enough to know them."""
    for margin in MARGINS:
        box = with_margin(block, margin, label.shape)
        wide, kept = pixels_of(box), pixels_of(block, box)
        least, most = _Grid(cost[wide], image[wide], weight).bounds(rim_of(box, label.shape))
        if np.array_equal(least[kept], most[kept]):
            label[pixels_of(block)] = least[kept]
            return True
    return False


class _Grid:
    """The cut of one grid: costs and capacities that remain after the flow pushed so far."""

    def __init__(
        self, cost: FloatArray, image: FloatArray, weight: Callable[[FloatArray], FloatArray]
    ) -> None:
        # A copy, because it is changed; in C order, because pixels are numbered row by row.
        self.cost = np.array(cost, np.float64, order="C")
        self.image = image
        self.weight = weight
        self.offsets = half_neighbourhood(cost.ndim)
        # For each offset, how much can still flow from the first pixel of a pair to the second, and
        # back. Empty before the first sweep: then it is the weight, computed where it is needed.
        self.residual: dict[Offset, tuple[FloatArray, FloatArray]] = {}
        self.tiny = 0.0
        # Pixels that start inside the small graph, if the sweeps did not settle it.
        self.exhausted: BoolArray | None = None

    def cut(self) -> BoolArray:
        self.settle()
        return self.solve()

    def bounds(self, rim: BoolArray) -> tuple[BoolArray, BoolArray]:
        """Two cuts: one with all pixels of the rim False, one with all of them True."""
        self.settle()
        # More than all pairs of a pixel can cost, with flow in either direction.
        most = 2 * 9 * float(self.weight(np.zeros(1))[0]) + 1
        found = []
        for forced in (most, -most):
            self.cost[rim] = forced
            found.append(self.solve())
        return found[0], found[1]

    def settle(self) -> None:
        """Step 1 of the module."""
        for sweeps in range(MAX_SWEEPS):
            if not SETTLED < self.contested(self.cost < 0).mean() < HOPELESS:
                return
            before = self.cost.copy() if sweeps == 0 else self.cost
            self.sweep(upwards=sweeps % 2 == 1)
            self.exhausted = np.abs(self.cost) < EXHAUSTED * np.abs(self.cost).mean()
            if sweeps == 0 and self.exhausted.mean() > SPENT:
                self.cost = before
                self.residual.clear()
                self.exhausted[:] = True
                return

    def contested(self, label: BoolArray, inside: BoolArray | None = None) -> BoolArray:
        """Pixels of pairs that could still carry flow from False to True, unless both `inside`."""
        contested = np.zeros(label.shape, bool)
        for offset in self.offsets:
            first, second = pair_slices(offset)
            differ = label[first] != label[second]
            if inside is not None:
                differ &= ~(inside[first] & inside[second])
            if self.residual:
                forward, backward = self.residual[offset]
                differ &= np.where(label[second], forward, backward) > self.tiny
            contested[first] |= differ
            contested[second] |= differ
        return contested

    def sweep(self, *, upwards: bool) -> None:
        """Push flow along all chains of all offsets."""
        for offset in self.offsets:
            if offset not in self.residual:
                first, second = pair_slices(offset)
                forward = self.weight(self.image[first] - self.image[second])
                self.residual[offset] = forward, forward.copy()
                # Rounding may leave this much of a weight that is used up.
                self.tiny = max(self.tiny, 1e-12 * float(forward.max(initial=0)))
        for offset, (forward, backward) in self.residual.items():
            axis = next(k for k, step in enumerate(offset) if step)
            shift = tuple(step for k, step in enumerate(offset) if k != axis)
            arrays = [np.moveaxis(array, axis, 0) for array in (self.cost, forward, backward)]
            if upwards:
                arrays = [arrays[0][::-1], arrays[2][::-1], arrays[1][::-1]]
                shift = tuple(-step for step in shift)
            # The pixels of a row must be contiguous in memory.
            work = [a if axis == 0 else np.ascontiguousarray(a) for a in arrays]
            _push_along_chains(work[0], work[1], work[2], shift)
            for array, result in zip(arrays, work, strict=True):
                if result is not array:
                    array[...] = result

    def capacities(self, offset: Offset, pairs: BoolArray) -> tuple[FloatArray, FloatArray]:
        if self.residual:
            # Rounding in the sweeps may leave a capacity slightly below zero.
            forward, backward = self.residual[offset]
            return np.maximum(forward[pairs], 0), np.maximum(backward[pairs], 0)
        first, second = pair_slices(offset)
        weight = self.weight(self.image[first][pairs] - self.image[second][pairs])
        return weight, weight

    def solve(self) -> BoolArray:
        """Steps 2 and 3 of the module: a graph around contested pixels, grown until it is exact."""
        label = self.cost < 0
        start = self.contested(label)
        if self.exhausted is not None:
            start |= self.exhausted
        graph = maxflow.GraphFloat()
        node = np.full(label.size, -1, np.int32)
        inside = np.zeros(label.shape, bool)
        strides = np.array(self.cost.strides) // self.cost.itemsize
        radius = 2
        new = _grow(start, radius)
        # The radius doubles, so after some ten rounds all pixels are inside.
        while new.any():
            pixels = np.flatnonzero(new)
            node[pixels] = graph.add_nodes(len(pixels))
            excess = self.cost.reshape(-1)[pixels]
            graph.add_grid_tedges(node[pixels], np.maximum(excess, 0), np.maximum(-excess, 0))
            both = inside | new
            for offset in self.offsets:
                first, second = pair_slices(offset)
                pairs = both[first] & both[second] & (new[first] | new[second])
                if pairs.any():
                    at = np.zeros(label.shape, bool)
                    at[first] = pairs
                    i = np.flatnonzero(at)
                    j = i + int(np.dot(offset, strides))
                    graph.add_edges(node[i], node[j], *self.capacities(offset, pairs))
            # Search trees are not reused: PyMaxflow may have moved the edges they point to.
            graph.maxflow()
            inside = both
            label[inside] = graph.get_grid_segments(node[np.flatnonzero(inside)])
            radius *= 2
            new = _grow(self.contested(label, inside), radius) & ~inside
        return label


def _push_along_chains(
    cost: FloatArray, forward: FloatArray, backward: FloatArray, shift: Offset
) -> None:
    """Push, in place, the maximum flow of every chain that runs from row to row.

    A chain moves by `shift` within the row at each step. Flow f from a pixel to the next takes f
    off the cost of the first, adds it to that of the second, and leaves the energy of every
    labelling unchanged. Let ``a`` be the cost of a pixel plus the flow into it, and ``t`` minus the
    cost of the rest of the chain beyond it (its min-marginal). Every f between a and t, clipped to
    what the pair can carry, is optimal for the chain. An f close to a passes everything on; a small
    step towards t leaves each pixel a part, spread over `REACH` pixels.
    """
    # For a row of a small image, `np.clip` takes longer than the two functions it stands for.
    n_rows = len(cost)
    first, second = pair_slices(shift)
    rest = np.zeros_like(cost)  # per pixel, the flow that comes back from the rest of the chain
    for row in range(n_rows - 1, 0, -1):
        message = cost[row][second] + rest[row][second]
        np.maximum(message, -forward[row - 1], out=message)
        np.minimum(message, backward[row - 1], out=rest[row - 1][first])
    for row in range(n_rows - 1):
        here, there = cost[row][first], cost[row + 1][second]
        flow = here - (here + there + rest[row + 1][second]) / min(n_rows - row, REACH)
        np.maximum(flow, -backward[row], out=flow)
        np.minimum(flow, forward[row], out=flow)
        here -= flow
        there += flow
        forward[row] -= flow
        backward[row] += flow


def _grow(region: BoolArray, radius: int) -> BoolArray:
    """The region, grown by `radius` pixels in every direction (squares, or cubes in space)."""
    if not region.any():
        return region
    grown = region.view(np.uint8)
    for axis in range(region.ndim):
        grown = ndi.maximum_filter1d(grown, 2 * radius + 1, axis=axis, mode="constant")
    return grown.view(np.bool_)
