"""From an image to crops and back: scale, intensities, markers, filling, validation crops."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cellcutter_core.config import PAPER, QUICK, Config, CropSettings, LabelSettings
from cellcutter_core.images.formats.validation import Validation
from cellcutter_core.images.image import Image
from cellcutter_core.images.scaling import nearest, resized
from cellcutter_core.markers.nuclei_of_points import given_cover
from cellcutter_core.network.taught_weights import read_taught
from cellcutter_core.pipeline import find_markers, prepare, segment, segment_inputs
from cellcutter_core.runs.store import Run
from cellcutter_core.shortest_paths.cost_map import CostMap
from cellcutter_core.shortest_paths.watershed import BASELINES, filled_labels, watershed_labels
from cellcutter_core.training.crops import Dataset
from cellcutter_core.training.datasets import (
    LARGEST_SCALE,
    POINT_RADIUS,
    make_dataset,
    scale_for,
    shown_markers,
    validation_crops,
)
from cellcutter_core.training.events import Step
from cellcutter_core.training.image_inputs import seen_nucleus
from cellcutter_core.training.inputs import Inputs, Truth, baselines
from cellcutter_core.training.loop import starting_network, train_and_predict
from cellcutter_core.training.marker_check import have_cells
from cellcutter_core.training.predicted_labels import draw, predict_cells


def array(text: str) -> np.ndarray:
    """One digit a pixel, `.` for 0."""
    rows = text.split()
    return np.array([[int(c) for c in row.replace(".", "0")] for row in rows], np.int32)


def config(*, fill: bool = False, **crops: Any) -> Config:
    return PAPER.replace(
        crops=CropSettings(**({"size": 16, "sigma": 5} | crops)),
        labels=LabelSettings(fill=fill),
    )


def discs(shape: tuple[int, int], points: np.ndarray, radius: float) -> np.ndarray:
    """Labels of discs around points, the later over the earlier."""
    rows, cols = np.indices(shape)
    labels = np.zeros(shape, np.int32)
    for number, (row, col) in enumerate(points, start=1):
        labels[np.hypot(rows - row, cols - col) < radius] = number
    return labels


def inputs(shape: tuple[int, int] = (80, 96), *, channels: int = 1) -> Inputs:
    """A grid of cells 12 pixels wide with nuclei 6 pixels wide."""
    points = np.argwhere(np.ones((5, 6))) * 15.0 + (9, 10)
    cells, nuclei = discs(shape, points, 6), discs(shape, points, 3)
    rng = np.random.default_rng(0)
    image = (cells > 0)[..., None] * 900 + rng.normal(100, 5, (*shape, channels))
    return Inputs(image.astype(np.uint16), cells > 0, points, nuclei)


def test_the_diameter_is_that_of_a_disc() -> None:
    assert inputs().cell_diameter == pytest.approx(12, rel=0.05)


def test_scale_brings_cells_to_the_wanted_size() -> None:
    given = inputs()
    assert scale_for(given, config()) == 1
    for wanted in (8, 12, 24, 40):
        found = scale_for(given, config(cell_size=wanted))
        assert found == pytest.approx(wanted / given.cell_diameter)


def test_scale_has_its_limits() -> None:
    given = inputs()
    assert scale_for(given, config(cell_size=256)) == LARGEST_SCALE
    huge = Inputs(np.zeros((400, 400, 1)), np.ones((400, 400), bool), np.array([[200.0, 200]]))
    assert scale_for(huge, config(cell_size=8)) == 1 / LARGEST_SCALE
    # However small cells shall be, the image still has to hold half a crop.
    assert scale_for(given, config(cell_size=8, size=128)) == 64 / 80
    data = make_dataset(given, config(cell_size=8, size=128))
    assert data.shape[0] == 64


def test_without_a_wanted_size_the_image_is_taken_as_it_is() -> None:
    given = inputs(channels=2)
    data = make_dataset(given, config())
    direct = Dataset(
        given.image, given.points, ~given.mask, crop_size=16, sigma=5, nuclei=given.nuclei
    )
    everything = range(len(data))
    np.testing.assert_array_equal(data.crops(everything), direct.crops(everything))
    np.testing.assert_array_equal(data.padded_background, direct.padded_background)
    np.testing.assert_array_equal(data.padded_nuclei, direct.padded_nuclei)
    assert data.n_channels == 3


@pytest.mark.parametrize("cell_size", [8, 9.7, 24, 31])
def test_everything_is_rescaled_together(cell_size: float) -> None:
    given = inputs()
    data = make_dataset(given, config(cell_size=cell_size))
    scale = cell_size / given.cell_diameter
    np.testing.assert_allclose(data.shape, np.array((80, 96)) * scale, atol=0.5)
    # Each point lies in its own nucleus, in the middle, and on cell area.
    nuclei = data.padded_nuclei[8:-8, 8:-8]
    background = data.padded_background[8:-8, 8:-8]
    rows, cols = np.round(data.points).astype(int).T
    np.testing.assert_array_equal(nuclei[rows, cols], np.arange(1, 31))
    assert not background[rows, cols].any()
    for number, point in enumerate(data.points, start=1):
        where = np.argwhere(nuclei == number)
        np.testing.assert_allclose(where.mean(axis=0), point, atol=0.6)
        assert len(where) == pytest.approx(29 * scale**2, rel=0.45)
    # The cells are now of the wanted size, and the image shows them where the mask has them.
    assert np.mean(~background) == pytest.approx(given.mask.mean(), rel=0.1)
    image = data.padded_image[8:-8, 8:-8, 0]
    assert np.mean((image > image.mean()) == ~background) > 0.9


def test_a_dataset_of_floats_or_large_integers_is_no_other() -> None:
    given = inputs()
    first = make_dataset(given, config(intensity="log", cell_size=24)).padded_image
    for dtype in (np.float64, np.int32):
        same = Inputs(given.image.astype(dtype), given.mask, given.points, given.nuclei)
        found = make_dataset(same, config(intensity="log", cell_size=24)).padded_image
        np.testing.assert_array_equal(found, first)


def test_log_intensities_keep_the_order_and_raise_the_dim() -> None:
    rng = np.random.default_rng(0)
    image = np.exp(rng.uniform(0, 7, (40, 40, 1)))
    given = Inputs(image, np.eye(40, dtype=bool), np.array([[20.0, 20]]))
    log = make_dataset(given, config(intensity="log")).padded_image[8:-8, 8:-8].ravel()
    linear = make_dataset(given, config()).padded_image[8:-8, 8:-8].ravel()
    order = np.argsort(image.ravel())
    assert (np.diff(log[order]) >= 0).all()
    assert (np.diff(linear[order]) >= 0).all()
    # Distinct still, but for what lies below the darkest in a thousand.
    assert (np.diff(log[order[5:]]) > 0).all()
    # A cell ten times dimmer than another: how much nearer is it to the dark, of 0 to 1?
    values = np.sort(image.ravel())
    dark, dim, bright = (np.searchsorted(values, v) for v in (1.1, 100, 1000))
    for field, low, high in ((linear, 0.05, 0.15), (log, 0.5, 0.8)):
        field = field[order]
        share = (field[dim] - field[dark]) / (field[bright] - field[dark])
        assert low < share < high


def test_log_intensities_do_not_depend_on_unit_and_offset() -> None:
    given = inputs()
    usual = make_dataset(given, config(intensity="log")).padded_image
    other = Inputs(given.image * 3.5 + 1000, given.mask, given.points, given.nuclei)
    found = make_dataset(other, config(intensity="log")).padded_image
    np.testing.assert_allclose(found, usual, atol=1e-3)


@pytest.mark.parametrize("crops", [{}, {"cell_size": 24}])
def test_markers_that_all_lie_beside_the_mask_are_said_in_words_of_a_user(
    crops: dict[str, Any],
) -> None:
    given = inputs()
    # Between the cells, which are 15 pixels apart.
    beside = Inputs(given.image, given.mask, given.points[:20] + 7.5)
    with pytest.raises(ValueError, match=r"^no marker lies in the mask; check that the markers"):
        make_dataset(beside, config(**crops))


@pytest.mark.parametrize("crops", [{}, {"cell_size": 24}])
def test_what_can_not_be_cropped_is_said_in_one_line(crops: dict[str, Any]) -> None:
    given, chosen = inputs(), config(**crops)
    by_hand = chosen.replace(mask=chosen.mask.replace(automatic=False))
    for settings, covered, message in (
        (by_hand, False, "the mask covers no pixel; raise mask.prior"),
        (by_hand, True, "the mask covers every pixel; lower mask.prior"),
        (chosen, False, "the mask covers no pixel; choose another cell channel or region, or"),
        (chosen, True, "the mask covers every pixel; choose another cell channel or region, or"),
    ):
        mask = np.full((80, 96), covered)
        with pytest.raises(ValueError, match=message):
            make_dataset(Inputs(given.image, mask, given.points), settings)
    with pytest.raises(ValueError, match="there is no marker"):
        make_dataset(Inputs(given.image, given.mask, np.empty((0, 2))), config(**crops))
    constant = Inputs(np.ones((80, 96, 1)), given.mask, given.points)
    with pytest.raises(ValueError, match="channel 0 of the image is constant"):
        make_dataset(constant, config(**crops))


def test_an_image_smaller_than_half_a_crop_is_refused_as_it_is() -> None:
    given = inputs()
    message = r"80×96 pixels\. One crop has 192×192, and an image needs at least half of that"
    with pytest.raises(ValueError, match=message):
        make_dataset(given, config(size=192))
    # By its own size, not by the one that it has when its cells are as large as they should be.
    scaled = config(size=256, cell_size=1.3 * given.cell_diameter)
    message = r"80×96 pixels, enlarged 1\.3 times for its cells to have the wanted size\. One crop"
    with pytest.raises(ValueError, match=message):
        make_dataset(given, scaled)


def test_filling_keeps_what_hangs_together_with_the_nucleus() -> None:
    labels = array("""
        11..2.11
        11..2.11
        ........""")  # fmt: skip
    mask = array("""
        11111.11
        11111.11
        ........""") > 0  # fmt: skip
    found = filled_labels(labels, mask, np.array([[0, 0.0], [1, 4]]), None)
    # The piece of cell 1 behind the gap is no part of it; nor of another, since no way leads there.
    expected = array("""
        11122...
        11122...
        ........""")  # fmt: skip
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.int32


def test_filling_gives_the_nearest_cell_what_is_left() -> None:
    labels = array("""
        1.......2
        1.......2""")  # fmt: skip
    mask = np.ones((2, 9), bool)
    found = filled_labels(labels, mask, np.array([[0, 0.0], [0, 8]]), None)
    assert (found[:, :4] == 1).all()
    assert (found[:, 5:] == 2).all()


def test_a_nucleus_belongs_to_its_cell_whatever_the_labels_say() -> None:
    labels = array("""
        ........
        .222222.
        .222222.
        ........""")  # fmt: skip
    nuclei = array("""
        ........
        .11..22.
        .11..22.
        ........""")  # fmt: skip
    points = np.array([[1.5, 1.5], [1.5, 5.5]])
    found = filled_labels(labels, labels > 0, points, nuclei)
    expected = array("""
        ........
        .112222.
        .112222.
        ........""")  # fmt: skip
    np.testing.assert_array_equal(found, expected)
    # Without regions the point alone is its own.
    found = filled_labels(labels, labels > 0, np.array([[1, 1.0], [1, 5]]), None)
    assert found[1, 1] == 1
    assert (found == 1).sum() == 1


def test_a_cell_that_was_not_drawn_is_its_nucleus_and_what_is_left() -> None:
    labels = array("""
        11......
        11......""")  # fmt: skip
    mask = np.ones((2, 8), bool)
    mask[:, 3] = False
    found = filled_labels(labels, mask, np.array([[0, 0.0], [0, 6]]), None)
    assert (found[:, :3] == 1).all()
    assert (found[:, 4:] == 2).all()
    assert not found[:, 3].any()


class FakeNetwork:
    """A disc around every marker."""

    def __init__(self, radius: float = 4) -> None:
        self.radius = radius

    def probabilities(self, crops: np.ndarray, *, prior: Any = 0.0) -> np.ndarray:
        rows, cols = np.indices(crops.shape[1:3]) - crops.shape[1] // 2
        p = 1 / (1 + np.exp(2 * (np.hypot(rows, cols) - self.radius)))
        return np.broadcast_to(p, crops.shape[:-1]).astype(np.float32)


@pytest.mark.parametrize("cell_size", [None, 24])
def test_cells_are_drawn_as_the_network_has_them_or_filled(cell_size: float | None) -> None:
    given = inputs()
    plain_config = config(cell_size=cell_size)
    data = make_dataset(given, plain_config)
    network: Any = FakeNetwork(4 * data.shape[0] / 80)
    plain = predict_cells(network, data, given, plain_config)
    np.testing.assert_array_equal(plain.labels, draw(network, data, shape=(80, 96)).labels)
    assert plain.labels.shape == (80, 96)
    filled = predict_cells(network, data, given, config(cell_size=cell_size, fill=True))
    # All of the mask and nothing else, each cell under its own point.
    np.testing.assert_array_equal(filled.labels > 0, given.mask)
    for labels in (plain.labels, filled.labels):
        rows, cols = given.points.astype(int).T
        assert labels[rows, cols].tolist() == list(range(1, 31))
    assert (plain.labels > 0).sum() < 0.6 * given.mask.sum()
    np.testing.assert_array_equal(filled.borders, plain.borders)


class FakeTraining:
    """Two epochs of one step after epoch 0; remembers the targets that each step had."""

    epochs_done = 0

    def __init__(self, data: Dataset | list[Dataset], *_: Any) -> None:
        self.data, *self.others = data if isinstance(data, list) else [data]
        self.network = FakeNetwork(3)
        self.targets: list[np.ndarray] = []

    def epoch_zero(self) -> Any:
        return types.SimpleNamespace(epoch=0)

    def run(self, *, stop: Callable[[], bool] = lambda: False, **_: Any) -> Iterator[Any]:
        for epoch in (1, 2):
            self.targets.append(self.data.padded_targets[8:-8, 8:-8].copy())
            if stop():
                return
            yield Step(epoch, 1, 30, 0.1, False, losses={"loss": 0})
            self.network.radius += 2
            yield types.SimpleNamespace(epoch=epoch)


@pytest.mark.parametrize("cell_size", [None, 24])
def test_the_taught_network_sees_markers_and_paths_in_the_size_of_crops(
    cell_size: float | None,
) -> None:
    whole = inputs(channels=2)
    given = Inputs(whole.image, whole.mask, whole.points)
    chosen = QUICK.replace(crops=QUICK.crops.replace(size=32, cell_size=cell_size or 36))
    data = make_dataset(given, chosen)
    path_labels = given.path_labels
    labels = nearest(path_labels.labels, data.shape)
    inside = (slice(16, -16), slice(16, -16))
    np.testing.assert_array_equal(path_labels.labels > 0, given.mask)
    np.testing.assert_array_equal(data.padded_path_labels[inside], labels)
    log_odds = resized(path_labels.log_odds, data.shape)
    np.testing.assert_allclose(data.padded_log_odds[inside], log_odds, rtol=1e-6)
    # Of two channels it sees the mean.
    assert given.image.shape[-1] == 2
    assert data.n_channels == 5
    # Markers that are points are small discs, each around its own.
    rows, cols = np.round(data.points).astype(int).T
    assert data.padded_nuclei[inside][rows, cols].tolist() == list(range(1, 31))
    areas = np.bincount(data.padded_nuclei.ravel())[1:]
    assert areas.max() <= np.pi * (POINT_RADIUS + 1) ** 2
    assert areas.min() > 4
    # From nothing a network sees the image alone, as published.
    assert make_dataset(given, config()).padded_path_labels is None


def test_regions_of_markers_are_shown_as_they_are_unless_nothing_is_left_of_them() -> None:
    regions = np.zeros((20, 30), np.int32)
    regions[3:8, 4:9], regions[12, 20] = 1, 2
    shown = shown_markers(regions, np.array([[5, 6.0], [12, 20]]), (20, 30))
    np.testing.assert_array_equal(shown == 1, regions == 1)
    rows, cols = np.nonzero(shown == 2)
    assert (rows.mean(), cols.mean()) == (12, 20)
    assert len(rows) > 20


def test_each_marker_is_shown_also_where_several_are_points_in_one_pixel() -> None:
    points = np.array([[0.2, 0.1], [0, 0], [0.4, 0.3], [7, 9]])
    shown = shown_markers(None, points, (20, 30))
    assert np.unique(shown).tolist() == [0, 1, 2, 3, 4]
    # The first keeps the pixel; the others take those beside it.
    assert shown[0, 0] == 1
    assert {shown[0, 1], shown[1, 0]} == {2, 3}
    # More than there is room for do not fail.
    assert shown_markers(None, np.zeros((99, 2)), (20, 30)).max() == 99


def test_training_starts_from_taught_weights_random_ones_or_those_given() -> None:
    given = inputs()
    chosen = QUICK.replace(crops=QUICK.crops.replace(size=32))
    data = make_dataset(given, chosen)
    taught = starting_network(chosen, data).weights
    for found, shipped in zip(taught, read_taught()[0], strict=True):
        np.testing.assert_array_equal(found, shipped)
    other = [weight + 1 for weight in taught]
    begun = starting_network(chosen, data, weights=other).weights
    np.testing.assert_array_equal(begun[0], other[0])
    plain = config()
    assert starting_network(plain, make_dataset(given, plain)).weights == []


def test_filling_with_cost_map_follows_the_image() -> None:
    labels = array("""
        1.......2
        1.......2""")  # fmt: skip
    cost_map = CostMap.flat((2, 9))
    cost_map.cost[:, 2] = 100
    points = np.array([[0, 0.0], [0, 8]])
    found = filled_labels(labels, np.ones((2, 9), bool), points, None, cost_map=cost_map)
    assert (found[:, :2] == 1).all()
    assert (found[:, 3:] == 2).all()


def test_drawing_leaves_the_targets_alone() -> None:
    given, chosen = inputs(), config(cell_size=24)
    data = make_dataset(given, chosen)
    data.set_targets(np.full(data.shape, 3))
    training: Any = FakeTraining(data)
    events = list(train_and_predict(training, data, given, chosen))
    assert len(events) == 5
    assert all((target == 3).all() for target in training.targets)
    # Drawn at the image's own size.
    assert events[2][1].labels.shape == (80, 96)


def test_epoch_0_is_drawn_before_the_first_step() -> None:
    given, chosen = inputs(), config(cell_size=24)
    data = make_dataset(given, chosen)
    training: Any = FakeTraining(data)
    (zero, drawing), *rest = train_and_predict(training, data, given, chosen)
    assert zero.epoch == 0
    expected = predict_cells(FakeNetwork(3), data, given, chosen)  # type: ignore[arg-type]
    np.testing.assert_array_equal(drawing.labels, expected.labels)
    assert [event.epoch if isinstance(event, Step) else event[0].epoch for event in rest] == [
        1, 1, 2, 2,
    ]  # fmt: skip


@pytest.mark.parametrize("reason", ["it is there", "epochs are done", "stopped"])
def test_epoch_0_is_left_out_where_it_is_not_wanted(reason: str) -> None:
    given, chosen = inputs(), config(cell_size=24)
    data = make_dataset(given, chosen)
    training: Any = FakeTraining(data)
    training.epochs_done = int(reason == "epochs are done")
    events = train_and_predict(
        training, data, given, chosen,
        epoch_0=reason != "it is there", stop=lambda: reason == "stopped",
    )  # fmt: skip
    drawn = [event[0].epoch for event in events if isinstance(event, tuple)]
    assert drawn == ([] if reason == "stopped" else [1, 2])


def test_baselines_are_the_cheapest_paths_and_the_watershed() -> None:
    given = inputs()
    found = baselines(given)
    assert list(found) == list(BASELINES)
    np.testing.assert_array_equal(found["paths"], given.path_labels.labels)
    watershed = watershed_labels(given.nuclei, given.mask, points=given.points)
    np.testing.assert_array_equal(found["watershed"], watershed)
    for labels in found.values():
        np.testing.assert_array_equal(labels > 0, given.mask)


def test_inputs_and_truth_go_into_a_file_and_come_back() -> None:
    given = inputs()
    again = Inputs.from_arrays(given.arrays() | {"version": np.array(1)})
    for name in ("image", "mask", "points", "nuclei"):
        np.testing.assert_array_equal(getattr(again, name), getattr(given, name))
    bare = Inputs(given.image, given.mask, given.points)
    assert set(bare.arrays()) == {"image", "mask", "points", "final"}
    assert Inputs.from_arrays(bare.arrays()).final is False
    assert Inputs.from_arrays(bare.arrays()).nuclei is None
    truth = Truth(labels=given.nuclei)
    assert set(truth.arrays()) == {"labels"}
    assert Truth.from_arrays(truth.arrays()).crop_cells is None


def test_markers_that_are_left_out_are_final_and_numbered_anew() -> None:
    given = inputs()
    kept = np.ones(len(given.points), bool)
    kept[1] = False
    left = given.only(kept)
    assert left.final
    assert not given.final
    np.testing.assert_array_equal(left.points, given.points[kept])
    assert given.nuclei is not None
    assert left.nuclei is not None
    assert (left.nuclei[given.nuclei == 2] == 0).all()
    for new, old in enumerate(np.flatnonzero(kept) + 1, 1):
        np.testing.assert_array_equal(left.nuclei == new, given.nuclei == old)


@pytest.mark.parametrize(
    ("areas", "regions", "kept"),
    [
        # The third has hardly more than itself, and the others five times as much.
        ([500, 600, 110, 90, 400], [100, 100, 100, 30, 90], [True, True, False, True, True]),
        # Of cells that are hardly larger than their nuclei none is unusual.
        ([150, 140, 130, 145], [100, 100, 100, 100], [True, True, True, True]),
        # Without a pixel there is no cell.
        ([500, 500, 500, 500, 0], [100] * 5, [True, True, True, True, False]),
        # A network that finds so many of them wrong does not know such an image.
        ([500, 500, 500, 110, 0], [100] * 5, [True] * 5),
    ],
)
def test_a_marker_has_a_cell_where_it_spreads_as_usual(
    areas: list[int], regions: list[int], kept: list[bool]
) -> None:
    assert have_cells(np.array(areas), np.array(regions)).tolist() == kept


def truth_crops(given: Inputs, corners: np.ndarray, numbers: list[int], side: int = 16) -> Truth:
    cells = discs((80, 96), given.points, 6)
    windows = [cells[r : r + side, c : c + side] for r, c in corners]
    return Truth(
        crop_points=given.points[np.array(numbers) - 1] + 0.4,
        crop_corners=corners.astype(np.int32),
        crop_cells=np.stack([w == n for w, n in zip(windows, numbers, strict=True)]),
    )


def test_validation_crops_are_put_where_the_crops_are() -> None:
    given = inputs()
    data = make_dataset(given, config())
    # One in the place of its crop, one that lies elsewhere around its cell.
    corners = np.array([data.origins[13], data.origins[7] + (3, -2)])
    found = validation_crops(truth_crops(given, corners, [14, 8]), given, data, config())
    assert found is not None
    assert found.cells.tolist() == [13, 7]
    assert found.cell_pixels.dtype == bool
    cells = discs((80, 96), given.points, 6)
    for pixels, cell in zip(found.cell_pixels, (13, 7), strict=True):
        row, col = data.origins[cell]
        np.testing.assert_array_equal(pixels, cells[row : row + 16, col : col + 16] == cell + 1)


def test_validation_crops_are_rescaled_and_padded_like_the_crops() -> None:
    given, chosen = inputs(), config(cell_size=24, size=32)
    data = make_dataset(given, chosen)
    # The first marker is at (9, 10): its crop leaves the image when it is twice as large.
    found = validation_crops(truth_crops(given, np.array([[0, 0]]), [1]), given, data, chosen)
    assert found is not None
    (pixels,) = found.cell_pixels
    assert pixels.shape == (32, 32)
    rows, cols = np.argwhere(pixels).mean(axis=0)
    # In the middle, of the size of the rescaled cell.
    assert (rows, cols) == pytest.approx((16, 16), abs=1)
    assert pixels.sum() == pytest.approx(np.pi * 12**2, rel=0.1)


@pytest.mark.parametrize(("sigma", "size"), [(2, 16), (20, 16), (5, 64)])
def test_a_validation_crop_is_of_the_marker_within_the_radius_of_a_cell(
    sigma: int, size: int
) -> None:
    """In pixels of the image, whatever the crops are like. Cells have a radius of 6 pixels."""
    given, chosen = inputs(), config(sigma=sigma, size=size)
    data = make_dataset(given, chosen)
    truth = truth_crops(given, np.array([[0, 0], [1, 17]]), [1, 2])
    # The first is 4 pixels from its marker, the second 7.
    moved = replace(truth, crop_points=given.points[:2] + np.array([(4, 0), (-7, 0)]))
    found = validation_crops(moved, given, data, chosen)
    assert found is not None
    assert found.cells.tolist() == [0]


@pytest.mark.parametrize(("offsets", "taken"), [((3, 1), 2), ((1, 3), 1)])
def test_of_two_validation_crops_with_one_marker_the_nearest_is_taken(
    offsets: tuple[int, int], taken: int
) -> None:
    given = inputs()
    data = make_dataset(given, config())
    truth = truth_crops(given, np.array([[1, 17], [0, 0], [0, 0]]), [2, 1, 1])
    assert truth.crop_cells is not None
    # Only the one to be taken shows a cell.
    truth.crop_cells[3 - taken] = False
    centres = given.points[[1, 0, 0]] + [(0, 0), *((0, offset) for offset in offsets)]
    found = validation_crops(replace(truth, crop_points=centres), given, data, config())
    assert found is not None
    assert found.cells.tolist() == [1, 0]
    assert found.cell_pixels.any(axis=(1, 2)).all()


def test_where_nothing_is_known_there_is_no_validation() -> None:
    given = inputs()
    data = make_dataset(given, config())
    assert validation_crops(None, given, data, config()) is None
    assert validation_crops(Truth(labels=given.nuclei), given, data, config()) is None
    # A marker in the middle between four others: whose cell is it?
    truth = truth_crops(given, np.array([[0, 0]]), [1])
    lost = Truth(
        crop_points=given.points[:1] + 7.5,
        crop_corners=truth.crop_corners,
        crop_cells=truth.crop_cells,
    )
    assert validation_crops(lost, given, data, config()) is None


@pytest.fixture
def finders(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `prepare` asks the finders of nuclei and of cell area for, and what they say."""
    given = inputs()
    nuclei = types.SimpleNamespace(regions=given.nuclei, points=given.points)
    asked: dict[str, Any] = {"mask": given.mask}

    def find(name: str, answer: Any) -> None:
        def finder(image: np.ndarray, settings: Any, **more: Any) -> Any:
            asked[name] = (image, settings, more)
            return asked["mask"] if answer is None else answer

        monkeypatch.setattr(f"cellcutter_core.pipeline.{name}", finder)

    find("find_nuclei", nuclei)
    find("find_cells", nuclei)
    find("mask_channels", None)
    return asked


def an_image(**more: Any) -> Image:
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 999, (80, 96, 3)).astype(np.uint16)
    return Image(pixels, ("bright field", "actin", "DNA"), **({"cell": (1,), "nucleus": 2} | more))


def test_preparing_takes_each_channel_for_what_it_is(finders: dict[str, Any]) -> None:
    image, chosen = an_image(), config()
    found, truth = prepare(image, chosen)
    assert truth is None
    np.testing.assert_array_equal(finders["find_nuclei"][0], image.pixels[..., 2])
    np.testing.assert_array_equal(finders["mask_channels"][0], image.pixels[..., [1]])
    assert finders["find_nuclei"][1] is chosen.markers
    assert finders["mask_channels"][1] is chosen.mask
    np.testing.assert_array_equal(finders["mask_channels"][2]["nuclei"], inputs().nuclei > 0)
    assert "find_cells" not in finders
    np.testing.assert_array_equal(found.image, image.pixels[..., [1]])
    np.testing.assert_array_equal(found.mask, inputs().mask)
    np.testing.assert_array_equal(found.points, inputs().points)
    np.testing.assert_array_equal(found.nuclei, inputs().nuclei)


def test_the_area_of_nuclei_alone_is_what_they_cover_where_they_were_found(
    finders: dict[str, Any], tmp_path: Path
) -> None:
    alone = an_image(cell=(2,))
    np.testing.assert_array_equal(prepare(alone, config())[0].mask, inputs().nuclei > 0)
    # Blobs and the cut with chosen settings are not whole nuclei.
    plain = config()
    blobs = plain.replace(markers=plain.markers.replace(automatic=False))
    chosen = plain.replace(mask=plain.mask.replace(automatic=False))
    for settings in (blobs, chosen):
        np.testing.assert_array_equal(prepare(alone, settings)[0].mask, inputs().mask)
    # Points of a file are somewhere in a nucleus, which is looked for there.
    (tmp_path / "points.csv").write_text("row,col\n20,20\n60,70\n")
    found, _ = prepare(alone, plain, markers=tmp_path / "points.csv")
    cover = given_cover(alone.pixels[..., 2], found.nuclei)
    np.testing.assert_array_equal(found.mask, cover)
    assert cover[20, 20]
    assert cover[60, 70]


def test_the_network_sees_the_nuclei_where_it_shall(finders: dict[str, Any]) -> None:
    with_nucleus = config(with_nucleus=True)
    image = an_image(cell=(1, 0))
    found, _ = prepare(image, with_nucleus)
    np.testing.assert_array_equal(found.image, image.pixels[..., [1, 0, 2]])
    assert seen_nucleus(image, with_nucleus) == 2
    assert seen_nucleus(an_image(cell=(1, 0), nucleus=None), with_nucleus) is None
    # Not twice, where the nuclei are what is segmented; and not where there is none.
    found, _ = prepare(an_image(cell=(2,)), with_nucleus)
    assert found.image.shape == (80, 96, 1)
    found, _ = prepare(an_image(nucleus=None), with_nucleus)
    assert found.image.shape == (80, 96, 1)


def test_without_a_nucleus_channel_markers_come_from_the_cells(finders: dict[str, Any]) -> None:
    image = an_image(nucleus=None)
    prepare(image, config())
    assert "find_nuclei" not in finders
    np.testing.assert_array_equal(finders["find_cells"][0], image.pixels[..., [1]])


def test_truth_is_handed_on_and_never_trained_on(finders: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    markers = np.zeros((80, 96), int)
    markers[20, 30] = 1
    image = an_image(
        truth=rng.integers(0, 9, (80, 96)),
        ignore=rng.random((80, 96)) < 0.1,
        markers=markers,
        validation=Validation(
            corners=np.array([[12, 22]], np.int32),
            crops=rng.random((1, 16, 16)) < 0.5,
            markers=np.array([1], np.int32),
        ),
    )
    found, truth = prepare(image, config())
    assert truth is not None
    np.testing.assert_array_equal(truth.labels, image.truth)
    np.testing.assert_array_equal(truth.ignore, image.ignore)
    # A crop's marker is at half its side.
    np.testing.assert_array_equal(truth.crop_points, [[20, 30]])
    np.testing.assert_array_equal(truth.crop_corners, [[12, 22]])
    np.testing.assert_array_equal(truth.crop_cells, image.validation.crops)
    blind, nothing = prepare(an_image(), config())
    assert nothing is None
    for name, value in blind.arrays().items():
        np.testing.assert_array_equal(found.arrays()[name], value)


@pytest.mark.parametrize(("cells", "message"), [(False, "no pixel; raise"), (True, "every")])
def test_a_mask_of_one_kind_is_refused(cells: bool, message: str, finders: dict[str, Any]) -> None:
    finders["mask"] = np.full((80, 96), cells)
    chosen = config()
    chosen = chosen.replace(mask=chosen.mask.replace(automatic=False))
    with pytest.raises(ValueError, match=rf"the mask covers {message}.*now 0\.985") as caught:
        prepare(an_image(), chosen)
    assert "\n" not in str(caught.value)


def test_without_nuclei_an_empty_mask_is_said_and_not_that_no_marker_was_found(
    finders: dict[str, Any],
) -> None:
    finders["mask"] = np.zeros((80, 96), bool)
    chosen = config()
    by_hand = chosen.replace(mask=chosen.mask.replace(automatic=False))
    with pytest.raises(ValueError, match=r"^the mask covers no pixel; raise mask\.prior"):
        find_markers(an_image(nucleus=None), by_hand)


def test_cells_as_large_as_a_crop_are_refused_before_training(
    finders: dict[str, Any], tmp_path: Path
) -> None:
    message = r"crops\.cell_size is 16, but a crop has 16 pixels, so cells would be cut off; raise"
    with pytest.raises(ValueError, match=message):
        segment(an_image(), config(cell_size=16))
    prepared = prepare(an_image(), config(cell_size=16))  # As an earlier run is applied.
    with pytest.raises(ValueError, match=message):
        Run.of_image(tmp_path / "run", an_image(), config(cell_size=16), prepared)


def test_segmenting_gives_the_drawing_of_the_last_epoch(
    finders: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings: list[FakeTraining] = []

    def training(*arguments: Any) -> FakeTraining:
        trainings.append(FakeTraining(*arguments))
        return trainings[-1]

    monkeypatch.setattr("cellcutter_core.pipeline.Training", training)
    chosen = config(cell_size=24, size=32)
    chosen = chosen.replace(training=chosen.training.replace(precision="float32"))
    found = segment(an_image(), chosen)
    assert found.labels.shape == (80, 96)
    given, _ = prepare(an_image(), chosen)
    data, network = make_dataset(given, chosen), trainings[0].network
    assert network.radius == 7
    expected = predict_cells(network, data, given, chosen)  # type: ignore[arg-type]
    np.testing.assert_array_equal(found.labels, expected.labels)
    # Stopped in the second epoch it is that of the first, and in the first there is none.
    answers = iter([False, True])
    first = segment(an_image(), chosen, stop=lambda: next(answers))
    assert 0 < (first.labels > 0).sum() < (found.labels > 0).sum()
    with pytest.raises(ValueError, match="stopped before the first epoch ended"):
        segment(an_image(), chosen, stop=lambda: True)
    # Until epoch 0 nothing is trained.
    before = segment_inputs(given, chosen, until=0)
    expected = predict_cells(FakeNetwork(3), data, given, chosen)  # type: ignore[arg-type]
    np.testing.assert_array_equal(before.labels, expected.labels)
