"""The minimum cut against brute force over all labellings."""

from __future__ import annotations

from itertools import product

import maxflow
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage as ndi

from cellcutter_core.images.blocks import blocks_of, pixels_of
from cellcutter_core.mask import cut_solver
from cellcutter_core.mask.cut_solver import (
    cut_of_pieces,
    half_neighbourhood,
    minimum_cut,
)


def all_energies(
    cost: NDArray[np.float64], image: NDArray[np.float64], scale: float
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Every labelling and its energy; each pair of touching pixels counts once."""
    labels = np.array(list(product((False, True), repeat=cost.size)))
    energies = labels @ cost.ravel()
    pixels = list(np.ndindex(*cost.shape))
    for i, p in enumerate(pixels):
        for j, q in enumerate(pixels):
            if i < j and max(abs(a - b) for a, b in zip(p, q, strict=True)) == 1:
                weight = scale * np.exp(-((image[p] - image[q]) ** 2) / 0.18)
                energies += weight * (labels[:, i] != labels[:, j])
    return labels, energies


@pytest.mark.parametrize("sweeps", [False, True])
@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("shape", [(3, 4), (4, 2), (1, 6), (6, 1), (2, 2, 3)])
def test_brute_force(
    shape: tuple[int, ...], scale: float, sweeps: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Tiny images would never be swept; here they are always, or never.
    monkeypatch.setattr(cut_solver, "SETTLED", -1 if sweeps else 2)
    monkeypatch.setattr(cut_solver, "HOPELESS", 2)
    rng = np.random.default_rng(0)
    for _ in range(5):
        cost, image = rng.normal(0, 2, shape), rng.random(shape)
        found = minimum_cut(cost, image, lambda step: scale * np.exp(-(step**2) / 0.18))
        labels, energies = all_energies(cost, image, scale)
        (position,) = np.flatnonzero((labels == found.ravel()).all(axis=1))
        assert energies[position] == pytest.approx(energies.min(), abs=1e-9)


def in_one_graph(
    cost: NDArray[np.float64], image: NDArray[np.float64], scale: float, sigma: float
) -> NDArray[np.bool_]:
    """All pixels and pairs in one PyMaxflow graph, as it is usually done."""
    graph = maxflow.GraphFloat()
    nodes = graph.add_grid_nodes(cost.shape)
    graph.add_grid_tedges(nodes, np.maximum(cost, 0), np.maximum(-cost, 0))
    for offset in half_neighbourhood(cost.ndim):
        structure = np.zeros((3,) * cost.ndim)
        structure[tuple(1 + step for step in offset)] = 1
        step = image - np.roll(image, [-step for step in offset], tuple(range(cost.ndim)))
        weights = scale * np.exp(-(step**2) / (2 * sigma**2))
        graph.add_grid_edges(nodes, weights, structure, symmetric=True)
    graph.maxflow()
    return np.asarray(graph.get_grid_segments(nodes), bool)


@pytest.mark.parametrize("shape", [(90, 70), (12, 22, 20)])
@pytest.mark.parametrize("scale", [0.2, 2.0, 20.0])
@pytest.mark.parametrize("smooth", [0, 2])
def test_same_as_one_graph(shape: tuple[int, ...], scale: float, smooth: int) -> None:
    """Large enough for sweeps, for a small graph, and for it to grow."""
    rng = np.random.default_rng(1)
    image = ndi.gaussian_filter(rng.random(shape), smooth)
    image = (image - image.min()) / np.ptp(image)
    cost = 4 * (np.median(image) - image) + 0.1
    found = minimum_cut(cost, image, lambda step: scale * np.exp(-(step**2) / (2 * 0.2**2)))
    np.testing.assert_array_equal(found, in_one_graph(cost, image, scale, 0.2))


def test_where_outlines_outweigh_all_there_is_one_graph_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Swept before, and grown step by step, the graph took ten times as long, and never less."""
    solved = []

    class Counted(maxflow.GraphFloat):
        def maxflow(self, *args: object) -> float:
            solved.append(self.get_node_count())
            return super().maxflow(*args)

    monkeypatch.setattr(cut_solver.maxflow, "GraphFloat", Counted)
    rng = np.random.default_rng(0)
    image = ndi.gaussian_filter(rng.random((120, 130)), 4)
    image = (image - image.min()) / np.ptp(image)
    cost = 4 * (np.median(image) - image)
    found = minimum_cut(cost, image, lambda step: 20 * np.exp(-(step**2) / 2))
    assert solved == [image.size]
    monkeypatch.undo()
    np.testing.assert_array_equal(found, in_one_graph(cost, image, 20, 1))


def test_cut_of_pieces_is_the_best_that_leaves_them_whole() -> None:
    rng = np.random.default_rng(0)
    pieces = np.array([[0, 1, 1, 0], [2, 2, 1, 0], [2, 0, 3, 3]])
    for _ in range(20):
        cost, image = rng.normal(0, 2, pieces.shape), rng.random(pieces.shape)
        found = cut_of_pieces(cost, image, lambda step: np.exp(-(step**2) / 0.18), pieces)
        labels, energies = all_energies(cost, image, 1.0)
        whole = np.all(
            [np.ptp(labels[:, pieces.ravel() == k].astype(int), axis=1) == 0 for k in (1, 2, 3)],
            axis=0,
        )
        best = labels[whole][energies[whole].argmin()]
        np.testing.assert_array_equal(found.ravel(), best)


@pytest.mark.parametrize("scale", [0.2, 2.0, 20.0])
@pytest.mark.parametrize("smooth", [0, 2])
def test_in_blocks_it_is_the_same(
    scale: float, smooth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(2)
    image = ndi.gaussian_filter(rng.random((150, 190)), smooth)
    image = (image - image.min()) / np.ptp(image)
    cost = 4 * (np.median(image) - image) + 0.1

    def weight(step: NDArray[np.float64]) -> NDArray[np.float64]:
        return scale * np.exp(-(step**2) / (2 * 0.2**2))

    whole = minimum_cut(cost, image, weight)
    cut_block = cut_solver._cut_block
    certain = []

    def noted(*given: object) -> bool:
        certain.append(cut_block(*given))
        return certain[-1]

    monkeypatch.setattr(cut_solver, "_cut_block", noted)
    monkeypatch.setattr(cut_solver, "LARGEST_WHOLE", 100)
    monkeypatch.setattr(cut_solver, "BLOCK", 50)
    monkeypatch.setattr(cut_solver, "MARGINS", (4, 16))
    np.testing.assert_array_equal(minimum_cut(cost, image, weight), whole)
    if scale == 0.2:
        assert certain == [True] * 12
    if scale == 20:
        # A cut as smooth as the image is large cannot be known from a part of it.
        assert not certain[-1]


def test_blocks_tile_the_plane() -> None:
    seen = np.zeros((2600, 1200), int)
    for box in blocks_of(seen.shape, side=cut_solver.BLOCK):
        seen[pixels_of(box)] += 1
        assert min(seen[pixels_of(box)].shape) >= cut_solver.BLOCK / 2
    assert (seen == 1).all()


def test_nothing_to_decide() -> None:
    cost = np.full((5, 6), 1.0)
    assert not minimum_cut(cost, cost, np.zeros_like).any()
    assert minimum_cut(-cost, cost, np.zeros_like).all()


def test_half_neighbourhood_has_every_pair_once() -> None:
    for ndim, n_neighbours in ((2, 8), (3, 26)):
        half = half_neighbourhood(ndim)
        both = {*half, *(tuple(-step for step in offset) for offset in half)}
        assert len(half) == n_neighbours / 2
        assert len(both) == n_neighbours


def test_memory_order_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    cost, image = rng.normal(0, 1, (40, 30)), rng.random((40, 30))

    def weight(step: NDArray[np.float64]) -> NDArray[np.float64]:
        return 0.2 * np.exp(-(step**2))

    found = minimum_cut(cost, image, weight)
    assert 0 < found.mean() < 1
    turned = minimum_cut(cost.T[::-1], image.T[::-1], weight)
    np.testing.assert_array_equal(turned, found.T[::-1])
