"""Label and border image against the obvious loop over crops; drawing at another scale."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cellcutter_core.training.crops import Dataset
from cellcutter_core.training.predicted_labels import (
    CROPS_AT_ONCE,
    Prediction,
    draw,
    draw_border,
    draw_label,
    probabilities,
)

SIDE = 16


class FakeNetwork:
    """Any function of crops as a network, which counts how often and on what it is asked."""

    def __init__(self, function: Callable[[np.ndarray], np.ndarray]) -> None:
        self.function = function
        self.asked: list[tuple[int, ...]] = []

    def probabilities(self, crops: np.ndarray) -> np.ndarray:
        self.asked.append(crops.shape)
        return self.function(crops).astype(np.float32)


def blobs(crops: np.ndarray) -> np.ndarray:
    """Something ragged around the marker."""
    return 1 / (1 + np.exp(-(crops[..., 0] + 4 * crops[..., -1] - 1.5)))


def few_values(crops: np.ndarray) -> np.ndarray:
    """The same in eighths: many pixels at which several cells are equal, and many at one half."""
    return np.round(blobs(crops) * 8) / 8


def dataset(n: int = 70, *, shape: tuple[int, int] = (40, 50), seed: int = 0) -> Dataset:
    """Crowded cells, the first and the last in corners."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, np.array(shape) - 1, (n, 2))
    points[0], points[-1] = (0, 0), np.array(shape) - 1
    return Dataset(rng.normal(size=shape), points, crop_size=SIDE, sigma=5)


def drawn_by_loops(network: Any, data: Dataset, at_least: float) -> tuple[np.ndarray, ...]:
    """Pixel by pixel and cell by cell, as it is told."""
    labels, borders = np.zeros(data.shape, int), np.zeros(data.shape, int)
    best = np.zeros(data.shape)
    for cell in range(len(data)):
        (p,) = network.probabilities(data.crops([cell]))
        for i, j in np.ndindex(p.shape):
            row, col = data.origins[cell] + (i, j)
            if not (0 <= row < data.shape[0] and 0 <= col < data.shape[1]):
                continue
            if p[i, j] >= best[row, col]:
                best[row, col] = p[i, j]
                if p[i, j] > at_least:
                    labels[row, col] = cell + 1
            neighbours = [(i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)]
            within = [0 <= a < SIDE and 0 <= b < SIDE and p[a, b] > 0.5 for a, b in neighbours]
            borders[row, col] += p[i, j] > 0.5 and not all(within)
    return labels, borders, best


@pytest.mark.parametrize("function", [blobs, few_values])
@pytest.mark.parametrize("at_least", [0.5, 0.25])
def test_drawing_is_the_obvious_loop(
    function: Callable[[np.ndarray], np.ndarray], at_least: float
) -> None:
    network, data = FakeNetwork(function), dataset()
    labels, borders, best = drawn_by_loops(network, data, at_least)
    found = draw(network, data, at_least=at_least)
    np.testing.assert_array_equal(found.labels, labels)
    np.testing.assert_array_equal(found.borders, borders)
    np.testing.assert_allclose(found.probability, best, rtol=1e-6)
    assert (found.labels.dtype, found.borders.dtype) == (np.int32, np.uint8)
    assert found.probability.dtype == np.float32
    # It was worth comparing: overlaps, pixels of nobody, and cells at the edge.
    assert found.borders.max() > 2
    assert 0 < np.mean(found.labels > 0) < 1
    assert found.labels[0].any()
    assert found.labels[:, -1].any()


def test_the_notebooks_functions_are_the_same_drawing() -> None:
    network, data = FakeNetwork(blobs), dataset()
    both = draw(network, data)
    np.testing.assert_array_equal(draw_label(data, network), both.labels)
    np.testing.assert_array_equal(draw_border(data, network), both.borders)


def test_one_prediction_makes_everything() -> None:
    network, data = FakeNetwork(blobs), dataset(2 * CROPS_AT_ONCE + 6)
    assert isinstance(draw(network, data), Prediction)
    # Each crop once, in batches of one shape that bound the memory.
    assert network.asked == [(CROPS_AT_ONCE, SIDE, SIDE, 2)] * 3
    few = FakeNetwork(blobs)
    draw(few, dataset(5))
    assert few.asked == [(5, SIDE, SIDE, 2)]


def test_every_cell_comes_once_and_in_order() -> None:
    network, data = FakeNetwork(blobs), dataset(CROPS_AT_ONCE + 3)
    found = list(probabilities(network, data))
    assert [cell for cell, _ in found] == list(range(len(data)))
    together = np.stack([crop for _, crop in found])
    np.testing.assert_array_equal(together, network.probabilities(data.crops(range(len(data)))))


def test_of_equal_cells_the_last_has_the_pixel() -> None:
    network = FakeNetwork(lambda crops: np.full(crops.shape[:-1], 0.75))
    data = Dataset(np.eye(20, 32), [[10, 8], [10, 16], [10, 24]], crop_size=SIDE)
    labels = draw(network, data).labels
    assert np.unique(labels[2:18, 0:8]).tolist() == [1]
    assert np.unique(labels[2:18, 8:16]).tolist() == [2]
    assert np.unique(labels[2:18, 16:32]).tolist() == [3]
    assert not labels[:2].any()
    assert not labels[18:].any()


def test_half_is_not_enough() -> None:
    data = Dataset(np.eye(20), [[10, 10]], crop_size=SIDE)
    found = draw(FakeNetwork(lambda crops: np.full(crops.shape[:-1], 0.5)), data)
    assert not found.labels.any()
    assert not found.borders.any()
    assert found.probability.max() == 0.5


def test_the_outline_of_a_cell_that_fills_its_crop_is_the_edge_of_the_crop() -> None:
    data = Dataset(np.eye(20), [[10, 10]], crop_size=SIDE)
    found = draw(FakeNetwork(lambda crops: np.ones(crops.shape[:-1])), data)
    expected = np.zeros((20, 20), int)
    expected[2:18, 2:18] = 1
    np.testing.assert_array_equal(found.labels, expected)
    expected[3:17, 3:17] = 0
    np.testing.assert_array_equal(found.borders, expected)


def disc(radius: float) -> FakeNetwork:
    """A disc around each marker, of the same soft edge everywhere."""
    rows, cols = np.indices((SIDE, SIDE)) - SIDE // 2
    p = 1 / (1 + np.exp(-(radius - np.hypot(rows, cols))))
    return FakeNetwork(lambda crops: np.broadcast_to(p, crops.shape[:-1]))


@pytest.mark.parametrize("shape", [(80, 80), (20, 20), (90, 90), (33, 47), (160, 40)])
def test_a_disc_comes_back_at_another_scale(shape: tuple[int, int]) -> None:
    # Trained on 40 × 40 pixels, drawn on the image it was rescaled from: twice as large, half as
    # large, and what lies between.
    data = Dataset(np.eye(40), [[20, 21], [12, 30], [2, 3], [39, 39]], crop_size=SIDE)
    found = draw(disc(5), data, shape=shape)
    assert found.labels.shape == found.borders.shape == found.probability.shape == shape
    factor = np.array(shape) / 40
    # Pixels of both grids are squares, with their centres at half a pixel.
    rows, cols = np.indices(shape)
    for cell, point in enumerate(data.points, start=1):
        row, col = (point + 0.5) * factor - 0.5
        distance = np.hypot((rows - row) / factor[0], (cols - col) / factor[1])
        label = found.labels == cell
        # Within one pixel of whichever grid is the coarser.
        pixel = 1 / min(1, *factor)
        assert label[distance < 5 - pixel].all()
        assert not label[distance > 5 + pixel].any()
        # On the whole no larger and no smaller, and in its place.
        if point.min() > 5 and point.max() < 34:
            assert label.sum() == pytest.approx(np.pi * 25 * factor.prod(), rel=0.12)
            centre = np.argwhere(label).mean(axis=0)
            np.testing.assert_allclose(centre, (row, col), atol=0.3 * max(1, *factor))
    # One outline, thin on any grid.
    inside = found.labels > 0
    assert not found.borders[~inside].any()
    assert found.borders.max() <= 2


def test_the_same_scale_is_the_default() -> None:
    data, network = dataset(), FakeNetwork(blobs)
    np.testing.assert_array_equal(
        draw(network, data, shape=data.shape).labels, draw(network, data).labels
    )
