"""Cheapest paths to the nuclei: on lines drawn by hand, against a slow search, on the sample."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from cellcutter_core.evaluation.metrics import score
from cellcutter_core.images.blocks import pixels_of
from cellcutter_core.shortest_paths import shortest_paths as module
from cellcutter_core.shortest_paths.cost_map import CostMap
from cellcutter_core.shortest_paths.path_labels import HIGHEST_LOG_ODDS, LOG_ODDS, PathLabels, grown
from cellcutter_core.shortest_paths.watershed import watershed_labels
from cellcutter_core.simulation.sample import sample
from cellcutter_core.training.inputs import Inputs


def scene(*, line: float = 0, step: float = 0, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Two nuclei at columns 8 and 48 of 60; a line or a step of intensity at column 20."""
    rng = np.random.default_rng(seed)
    image = np.full((24, 60), 100.0)
    image[:, 20] += line
    image[:, 20:] += step
    image = ndimage.gaussian_filter(image, 0.7) + rng.normal(0, 1, image.shape)
    image[:3] = image[-3:] = 10
    mask = np.zeros((24, 60), bool)
    mask[3:-3] = True
    seeds = np.zeros((24, 60), np.int32)
    seeds[10:14, 6:10], seeds[10:14, 46:50] = 1, 2
    return image[..., None], mask, seeds


@pytest.mark.parametrize(
    ("what", "column"),
    [({}, 28), ({"line": 150}, 20), ({"step": 150}, 20), ({"step": -60}, 20)],
)
def test_cells_meet_at_a_line_or_a_step_and_else_half_way(
    what: dict[str, float], column: int
) -> None:
    image, mask, seeds = scene(**what)
    found = grown(seeds, mask, CostMap.of(image, mask, cell_diameter=30))
    np.testing.assert_array_equal(found > 0, mask)
    width = (found[5:-5] == 1).sum(axis=1)
    assert abs(np.median(width) - column) <= 2
    # Of a straight line without noise the border would be as straight.
    assert width.std() < 2


def test_the_unit_of_intensity_and_the_outline_of_the_mask_do_not_matter() -> None:
    image, mask, _ = scene(line=150)
    first = CostMap.of(image, mask, cell_diameter=30)
    other = image.copy()
    other[2], other[-3] = 60, 80
    for same in (image * 7, np.concatenate([image, image], axis=-1), other):
        found = CostMap.of(same, mask, cell_diameter=30)
        np.testing.assert_allclose(found.cost, first.cost, rtol=0.05)
        np.testing.assert_allclose(
            found.height - found.height[mask].mean(),
            first.height - first.height[mask].mean(),
            atol=0.05 * float(np.ptp(first.height)),
        )


def test_a_finer_picture_of_large_cells_has_the_same_borders() -> None:
    image = sample((128, 128), seed=2)
    assert image.truth is not None
    assert image.truth_nuclei is not None
    cell = image.pixels[..., list(image.cell)].astype(float)
    found = []
    for zoom in (1, 3):
        larger = ndimage.zoom(cell, (zoom, zoom, 1), order=1, grid_mode=True, mode="nearest")
        mask, seeds = (
            np.kron(field, np.ones((zoom, zoom), field.dtype))
            for field in (image.truth > 0, image.truth_nuclei)
        )
        cost_map = CostMap.of(larger, mask, cell_diameter=38 * zoom)
        found.append(
            grown(seeds.astype(np.int32), mask, cost_map)[zoom // 2 :: zoom, zoom // 2 :: zoom]
        )
    assert (found[0] == found[1])[image.truth > 0].mean() > 0.85


def test_an_image_without_structure_guides_by_distance() -> None:
    mask = np.ones((4, 9), bool)
    cost_map = CostMap.of(np.full((4, 9, 1), 5, np.uint8), mask, cell_diameter=9)
    assert (cost_map.cost == 1).all()
    assert np.ptp(cost_map.height) == 0
    nowhere = CostMap.of(np.ones((4, 9, 1)), ~mask, cell_diameter=9)
    assert (nowhere.cost == 1).all()


def slow_paths(begin: np.ndarray, nodes: np.ndarray, cost_map: CostMap) -> np.ndarray:
    """Costs of the cheapest paths: every neighbour is asked until nothing changes."""
    cost = np.where(begin & nodes, 0, np.inf)
    places = list(zip(*np.nonzero(nodes), strict=True))
    while True:
        before = cost.copy()
        for row, col in places:
            for other in places:
                length = np.hypot(row - other[0], col - other[1])
                if 0 < length < 1.5:
                    way = length * (cost_map.cost[row, col] + cost_map.cost[other]) / 2
                    way += abs(cost_map.height[row, col] - cost_map.height[other])
                    cost[row, col] = min(cost[row, col], cost[other] + way)
        if np.array_equal(cost, before):
            return cost


@pytest.mark.parametrize("block", [2, 4, 256])
def test_paths_are_the_cheapest(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    rng = np.random.default_rng(0)
    mask = rng.random((7, 8)) < 0.8
    seeds = np.zeros((7, 8), np.int32)
    seeds[1, 1:3], seeds[5, 6], seeds[6, 0] = 1, 2, 3
    cost_map = CostMap(
        rng.uniform(1, 9, (7, 8)).astype(np.float32), rng.uniform(0, 5, (7, 8)).astype(np.float32)
    )
    area = mask | (seeds > 0)
    # A path to one seed may lead over another, which is then nearer.
    costs = np.stack([slow_paths(seeds == label, area, cost_map) for label in (1, 2, 3)])
    expected = np.where(np.isfinite(costs.min(axis=0)), costs.argmin(axis=0) + 1, 0)
    found = grown(seeds, mask, cost_map)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.int32


def rough(shape: tuple[int, int], seed: int) -> CostMap:
    """No two paths cost the same."""
    rng = np.random.default_rng(seed)
    return CostMap(
        rng.uniform(1, 9, shape).astype(np.float32), rng.uniform(0, 5, shape).astype(np.float32)
    )


def sparse(shape: tuple[int, int], n: int) -> np.ndarray:
    """(H, W) bool with n pixels True."""
    field = np.zeros(shape, bool)
    field.flat[np.random.default_rng(n).choice(field.size, n, replace=False)] = True
    return field


def winding(shape: tuple[int, int]) -> np.ndarray:
    """One path, a pixel wide, to the right and back through all of the image."""
    mask = np.zeros(shape, bool)
    mask[::2] = True
    mask[1::4, -1] = mask[3::4, 0] = True
    return mask


@pytest.mark.parametrize("block", [2, 6, 16, 37])
@pytest.mark.parametrize(
    ("mask", "n_seeds"),
    [
        (np.ones((50, 41), bool), 30),
        # Hardly any path stays within a block.
        (np.ones((50, 41), bool), 1),
        (winding((33, 30)), 2),
        # Many pieces, some of which no seed lies in, some of which meet at the borders of blocks.
        (np.random.default_rng(0).random((60, 45)) < 0.45, 12),
        (np.ones((1, 90), bool), 5),
        (np.ones((90, 1), bool), 5),
        (np.ones((20, 20), bool), 0),
        (np.zeros((20, 20), bool), 3),
    ],
)
def test_blocks_change_nothing(
    mask: np.ndarray, n_seeds: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = sparse(mask.shape, n_seeds)
    seeds = np.cumsum(begin).reshape(mask.shape).astype(np.int32) * begin
    cost_map = rough(mask.shape, seed=1)
    whole = PathLabels.of(seeds, mask, cost_map)
    cost, source = module.shortest_paths(begin, mask | begin, cost_map)
    monkeypatch.setattr(module, "BLOCK", block)
    np.testing.assert_array_equal(module.shortest_paths(begin, mask | begin, cost_map)[0], cost)
    np.testing.assert_array_equal(module.shortest_paths(begin, mask | begin, cost_map)[1], source)
    found = PathLabels.of(seeds, mask, cost_map)
    np.testing.assert_array_equal(found.labels, whole.labels)
    np.testing.assert_array_equal(found.log_odds, whole.log_odds)


def test_paths_lead_round_through_other_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The straight way lies within a block; the cheap one leaves it and comes back."""
    monkeypatch.setattr(module, "BLOCK", 8)
    cost_map = CostMap.flat((30, 30))
    cost_map.cost[:28, 15] = 100
    seeds = np.zeros((30, 30), np.int32)
    seeds[14, 13], seeds[0, 29] = 1, 2
    mask = np.ones((30, 30), bool)
    mask[13, 16:] = False
    cost, _ = module.shortest_paths(seeds == 1, mask, cost_map)
    # 14 rows down, below the dear column, and 14 up; 4 of these steps are diagonal.
    np.testing.assert_allclose(cost[14, 17], 24 + 4 * np.sqrt(2), rtol=1e-6)
    assert grown(seeds, mask, cost_map)[14, 17] == 1


def test_the_last_block_is_the_whole_and_the_others_cover_it() -> None:
    for shape in ((700, 300), (257, 1), (256, 256), (3, 2000)):
        *boxes, last = module._boxes(shape)
        assert last == (0, 0, *shape)
        times = np.zeros(shape, int)
        for box in boxes:
            times[pixels_of(box)] += 1
        # Once for each size of blocks: 256, 512, ... below the longer side.
        assert (times == max(0, int(np.ceil(np.log2(max(shape) / 256))))).all()


def test_what_no_path_reaches_stays_empty_and_seeds_stay() -> None:
    mask = np.array([[1, 1, 0, 1, 1, 0, 0]], bool)
    seeds = np.array([[1, 0, 0, 0, 0, 0, 2]], np.int32)
    assert grown(seeds, mask, CostMap.flat((1, 7))).tolist() == [[1, 1, 0, 0, 0, 0, 2]]
    none = np.zeros((1, 7), np.int32)
    np.testing.assert_array_equal(grown(none, mask, CostMap.flat((1, 7))), none)


def test_path_labels_are_the_surer_the_farther_from_another_cell() -> None:
    mask = np.zeros((5, 30), bool)
    mask[1:-1, 2:22] = True
    mask[1:-1, 24:] = True
    seeds = np.zeros((5, 30), np.int32)
    seeds[2, 4], seeds[2, 19], seeds[2, 26] = 1, 2, 3
    found = PathLabels.of(seeds, mask, CostMap.flat(mask.shape))
    assert found.labels[2].tolist() == [0] * 2 + [1] * 10 + [2] * 10 + [0] * 2 + [3] * 6
    expected = np.array([*range(9, -1, -1), *range(10)]) + 0.5
    np.testing.assert_allclose(found.log_odds[2, 2:22], LOG_ODDS * expected / 5, rtol=1e-5)
    # Where no other cell can be reached, and where there is none.
    assert (found.log_odds[found.labels == 3] == HIGHEST_LOG_ODDS).all()
    assert (found.log_odds[found.labels == 0] == HIGHEST_LOG_ODDS).all()
    assert found.log_odds.dtype == np.float32
    twice = found.resized((10, 60))
    np.testing.assert_array_equal(twice.labels[::2, ::2], found.labels)
    assert twice.log_odds.shape == (10, 60)


def test_paths_through_the_image_beat_the_distance() -> None:
    """Measured on this sample: AP75 0.26 and 1.0."""
    image = sample((192, 192), seed=1)
    nuclei = image.truth_nuclei
    assert image.truth is not None
    assert nuclei is not None
    points = np.array(ndimage.center_of_mass(nuclei > 0, nuclei, range(1, nuclei.max() + 1)))
    inputs = Inputs(image.pixels[..., list(image.cell)], image.truth > 0, points.round(), nuclei)
    guided = score(inputs.path_labels.labels, image.truth)
    watershed = score(watershed_labels(nuclei, inputs.mask, points=points), image.truth)
    assert guided.ap75 > watershed.ap75 + 0.5
    assert guided.mean_ap > watershed.mean_ap + 0.2
