"""Crops with their position embedding, at borders too; batches; which cells make a step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from cellcutter_core.shortest_paths.path_labels import PathLabels
from cellcutter_core.training.crops import Dataset, filled


def image(shape: tuple[int, ...] = (6, 8), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(5, 2, shape)


def standardised(channel: np.ndarray) -> np.ndarray:
    return (channel - channel.mean()) / channel.std()


def test_a_crop_by_hand() -> None:
    # Mean 4, standard deviation 2.
    pixels = np.where(np.arange(36).reshape(6, 6) % 2, 6, 2).astype(np.uint8)
    pixels[2, 3] = 2
    pixels[2, 2] = 6
    data = Dataset(pixels, [[3, 3]], crop_size=4)
    assert pixels[1:5, 1:5].tolist() == [[6, 2, 6, 2], [6, 6, 2, 2], [6, 2, 6, 2], [6, 2, 6, 2]]
    (crop,) = data.crops([0])
    assert crop.shape == (4, 4, 2)
    assert crop.dtype == np.float32
    # The marker at (3, 3) is pixel (2, 2) of its crop.
    assert crop[..., 0].tolist() == [[1, -1, 1, -1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, 1, -1]]
    assert data.n_at_border == 0


def test_a_crop_at_the_border_is_kept_and_padded() -> None:
    pixels = image((6, 8))
    background = np.zeros((6, 8), bool)
    background[0, 1] = True
    data = Dataset(pixels, [[0, 0], [5, 7], [3, 4]], background, crop_size=4)
    assert len(data) == 3
    assert data.n_at_border == 2
    assert data.origins.tolist() == [[-2, -2], [3, 5], [1, 2]]
    first, last, middle = data.crops([0, 1, 2])[..., 0]
    expected = np.zeros((4, 4))
    expected[2:, 2:] = standardised(pixels)[:2, :2]
    np.testing.assert_allclose(first, expected, rtol=1e-5)
    expected = np.zeros((4, 4))
    expected[:3, :3] = standardised(pixels)[3:, 5:]
    np.testing.assert_allclose(last, expected, rtol=1e-5)
    np.testing.assert_allclose(middle, standardised(pixels)[1:5, 2:6], rtol=1e-5)
    # Everything outside of the image is background; of the image only what was said.
    assert data.padded_background.shape == (10, 12)
    outside = np.ones((10, 12), bool)
    outside[2:-2, 2:-2] = background
    np.testing.assert_array_equal(data.padded_background, outside)


def test_crops_show_markers_and_path_log_odds_where_territories_are_given() -> None:
    labels = np.array([[1, 1, 1, 2, 2, 2, 0, 0]] * 6)
    log_odds = np.array([[3, 2, 0.5, 0.5, 2, 3, 4, 4]] * 6)
    nuclei = np.zeros((6, 8), int)
    nuclei[3, 0:2], nuclei[2:4, 4] = 1, 2
    points = [[3, 1], [3, 4]]
    path_labels = PathLabels(labels.astype(np.int32), log_odds.astype(np.float32))
    data = Dataset(image(), points, crop_size=4, nuclei=nuclei, path_labels=path_labels)
    assert data.n_channels == 5
    first, second = data.crops([0, 1])
    plain = Dataset(image(), points, crop_size=4, nuclei=nuclei)
    np.testing.assert_array_equal(first[..., [0, 4]], plain.crops([0])[0])
    # The crops hold rows 1 to 4; the first begins a column before the image, where there surely is
    # no cell.
    assert first[..., 1].tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert not first[..., 2].any()
    assert second[..., 1].tolist() == [[0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert not second[..., 2].any()
    np.testing.assert_allclose(7 * first[..., 3], [[-4, 3, 2, 0.5]] * 4, rtol=1e-6)
    np.testing.assert_allclose(7 * second[..., 3], [[-0.5, 0.5, 2, 3]] * 4, rtol=1e-6)
    wide = Dataset(image(), points, crop_size=8, nuclei=nuclei, path_labels=path_labels)
    assert wide.crops([0])[0, :, :, 2].nonzero()[0].tolist() == [3, 4]
    with pytest.raises(ValueError, match="path_labels has shape"):
        Dataset(
            image((8, 8)),
            points,
            crop_size=4,
            nuclei=np.zeros((8, 8), int),
            path_labels=path_labels,
        )
    with pytest.raises(ValueError, match="give nuclei too"):
        Dataset(image(), points, crop_size=4, path_labels=path_labels)


def test_the_embedding_follows_its_formula() -> None:
    data = Dataset(image((20, 20)), [[10, 10]], crop_size=16, sigma=3)
    expected = [
        [math.exp(-((row - 8) ** 2 + (col - 8) ** 2) / (2 * 3**2)) for col in range(16)]
        for row in range(16)
    ]
    np.testing.assert_allclose(data.embedding, expected, rtol=1e-6)
    assert data.embedding[8, 8] == 1
    np.testing.assert_array_equal(data.crops([0])[0, ..., 1], data.embedding)
    published = Dataset(image((64, 64)), [[32, 32]])
    assert (published.crop_size, published.sigma) == (64, 15)
    assert published.embedding[32, 47] == pytest.approx(math.exp(-0.5))


def test_a_marker_image_gives_centroids_in_the_order_of_its_labels() -> None:
    markers = np.zeros((6, 8), np.uint16)
    markers[0, 0:3] = 700  # centre (0, 1)
    markers[4:6, 5:7] = 9  # centre (4.5, 5.5)
    markers[2, 2] = markers[4, 2] = markers[3, 1] = markers[3, 3] = 41  # in pieces, centre (3, 2)
    data = Dataset(image(), markers, crop_size=4)
    assert data.points.tolist() == [[4.5, 5.5], [3, 2], [0, 1]]
    # Halves are rounded to the even pixel, as the paper's code does.
    assert data.origins.tolist() == [[2, 4], [1, 0], [-2, -1]]
    from_points = Dataset(image(), data.points, crop_size=4)
    np.testing.assert_array_equal(from_points.crops([0, 1, 2]), data.crops([0, 1, 2]))


def test_each_channel_is_standardised_on_its_own() -> None:
    pixels = np.stack([image(seed=1) * 100 + 7, image(seed=2) / 100], axis=-1)
    data = Dataset(pixels, [[2, 3]], crop_size=4)
    assert data.n_channels == 3
    inside = data.padded_image[2:-2, 2:-2]
    assert inside.shape == (6, 8, 2)
    for channel in (0, 1):
        expected = standardised(pixels[..., channel])
        np.testing.assert_allclose(inside[..., channel], expected, rtol=2e-4, atol=1e-5)
    assert Dataset(pixels[..., 0], [[2, 3]], crop_size=4).n_channels == 2


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float16, np.float64])
def test_any_dtype_gives_float32_crops(dtype: type) -> None:
    pixels = np.arange(48).reshape(6, 8).astype(dtype)
    crops = Dataset(pixels, [[2, 3]], crop_size=4).crops([0])
    assert crops.dtype == np.float32
    np.testing.assert_allclose(crops[0, ..., 0], standardised(np.arange(48).reshape(6, 8))[:4, 1:5])


def test_nothing_of_the_callers_is_changed_or_copied_for_each_crop() -> None:
    pixels = image((64, 64))
    before = pixels.copy()
    points = np.random.default_rng(0).uniform(0, 63, (5000, 2))
    data = Dataset(pixels, points, crop_size=32)
    data.crops([0, 1])
    np.testing.assert_array_equal(pixels, before)
    arrays = [value for value in vars(data).values() if isinstance(value, np.ndarray)]
    # All 5000 crops would be 40 MB.
    assert sum(array.nbytes for array in arrays) < 300_000


TWO = np.zeros((6, 8), int)
"""A label image of two markers."""
TWO[1:3, 1:3], TWO[4:6, 6:8] = 1, 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image": np.zeros(6)}, r"image must be \(H, W\) or \(H, W, C\), got shape \(6,\)"),
        ({"image": np.zeros((2, 6, 8, 1))}, r"image must be .* got shape \(2, 6, 8, 1\)"),
        ({"image": np.ones((6, 8))}, "channel 0 of the image is constant; leave it out"),
        ({"image": np.stack([image(), np.full((6, 8), 0.1)], -1)}, "channel 1 of the image is con"),
        ({"image": np.where(np.eye(6, 8), np.nan, 1)}, "pixels that are not finite"),
        ({"image": np.where(np.eye(6, 8), np.inf, 1)}, "pixels that are not finite"),
        ({"crop_size": 14}, "6×8 pixels, smaller than half of one crop of 14×14"),
        ({"crop_size": 5}, "crop_size must be even and at least 2, got 5"),
        ({"crop_size": 0}, "crop_size must be even and at least 2, got 0"),
        ({"markers": np.zeros((6, 8), int)}, "there is no marker"),
        ({"markers": np.empty((0, 2))}, "there is no marker"),
        ({"markers": np.ones((6, 8))}, "label image must be of integers, got float64"),
        ({"markers": np.ones((8, 6), int)}, r"shape \(6, 8\).*points.*got shape \(8, 6\)"),
        (
            {"markers": [[2, 3], [3, 7.5], [6, 2]]},
            r"2 of 3 markers lie outside of the image 6×8, the first at .* = \(3.0, 7.5\); remove",
        ),
        ({"markers": [[-0.5, 3]]}, r"1 of 1 markers .* \(-0.5, 3.0\)"),
        ({"markers": [[np.nan, 3]]}, r"1 of 1 markers lie outside .* \(nan, 3.0\)"),
        ({"background": np.zeros((8, 6), bool)}, r"background has shape \(8, 6\), the image \(6,"),
        ({"nuclei": np.zeros((5, 8), int)}, r"nuclei has shape \(5, 8\)"),
        ({"nuclei": np.full((6, 8), 2)}, "nuclei has labels up to 2, but there are only 1 markers"),
        ({"nuclei": TWO - 1}, "nuclei holds the value -1"),
        ({"markers": TWO - 1}, "markers holds the value -1"),
        ({"markers": (TWO - 1).astype(np.uint16)}, "the number 65535 where there is no marker"),
        ({"markers": TWO + 1}, "or no pixel between markers; background is 0"),
        ({"markers": 255 * (TWO > 0)}, "markers has one number in several pieces, like a mask"),
        ({"background": np.ones((6, 8), bool)}, "background is True at every marker.* give ~mask"),
        (
            {"markers": TWO, "background": TWO > 0},
            "background is True at every marker.* give ~mask",
        ),
        ({"background": 3 * TWO}, "background holds int64 from 0 to 6, but must be True where"),
        ({"image": np.zeros((2, 6, 8))}, r"\(2, 6, 8\), which is 8 channels .* np.moveaxis\(image"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(arguments: dict[str, Any], message: str) -> None:
    usual: dict[str, Any] = {"image": image(), "markers": [[2, 3]], "crop_size": 4}
    given = usual | arguments
    with pytest.raises(ValueError, match=message) as caught:
        Dataset(given.pop("image"), given.pop("markers"), given.pop("background", None), **given)
    assert "\n" not in str(caught.value)


def test_background_may_be_of_zeros_and_ones() -> None:
    for dtype in (bool, np.uint8, float):
        data = Dataset(image(), TWO, (TWO == 0).astype(dtype), crop_size=4)
        np.testing.assert_array_equal(data.padded_background[2:-2, 2:-2], TWO == 0)
        np.testing.assert_array_equal(data.points, [[1.5, 1.5], [4.5, 6.5]])


def test_markers_on_the_last_row_and_column_are_inside() -> None:
    data = Dataset(image((6, 8)), [[0, 0], [5, 7], [0, 7], [5, 0]], crop_size=6)
    assert data.crops(range(4)).shape == (4, 6, 6, 2)


def test_discs_are_cut_where_another_marker_is_nearer() -> None:
    data = Dataset(image((20, 24)), [[9.6, 6.4], [10, 12], [2, 20]], crop_size=4)
    expected = np.zeros((20, 24), int)
    rows, cols = np.indices((20, 24))
    distances = np.stack([np.hypot(rows - r, cols - c) for r, c in ((10, 6), (10, 12), (2, 20))])
    expected[distances.min(axis=0) <= 4] = 1 + distances.argmin(axis=0)[distances.min(axis=0) <= 4]
    # Column 9 is as near to the one as to the other.
    found = data.discs(4)
    np.testing.assert_array_equal(np.delete(found, 9, 1), np.delete(expected, 9, 1))
    assert set(found[8:13, 9]) <= {1, 2}
    assert found.dtype == np.int32


def test_targets_are_padded_with_nothing() -> None:
    data = Dataset(image((6, 8)), [[3, 3]], crop_size=4)
    assert data.padded_targets.shape == (10, 12)
    assert not data.padded_targets.any()
    labels = np.arange(48).reshape(6, 8)
    data.set_targets(labels)
    np.testing.assert_array_equal(data.padded_targets, np.pad(labels, 2))
    with pytest.raises(ValueError, match=r"targets has shape \(8, 6\), the image \(6, 8\)"):
        data.set_targets(labels.T)


def test_a_batch_is_filled_with_real_crops() -> None:
    cells, valid = filled(np.array([4, 7, 2]), 8)
    assert cells.tolist() == [4, 7, 2, 4, 7, 2, 4, 7]
    assert valid.tolist() == [1, 1, 1, 0, 0, 0, 0, 0]
    assert valid.dtype == np.float32
    cells, valid = filled(np.array([4, 7]), 2)
    assert (cells.tolist(), valid.tolist()) == ([4, 7], [1, 1])


@pytest.mark.parametrize("n", [0, 3])
def test_a_batch_takes_at_least_one_crop_and_at_most_its_size(n: int) -> None:
    with pytest.raises(ValueError, match=f"a batch of 2 takes 1 to 2 crops, got {n}"):
        filled(np.arange(n), 2)


def test_batches_have_one_shape_and_hold_every_crop_once() -> None:
    points = np.random.default_rng(1).uniform(0, 19, (7, 2))
    data = Dataset(image((20, 20)), points, crop_size=16)
    seen = []
    for cells, crops in data.batches(3):
        assert crops.shape == (3, 16, 16, 2)
        np.testing.assert_array_equal(crops[: len(cells)], data.crops(cells))
        seen += cells.tolist()
    assert seen == list(range(7))


def every_pixel(shape: tuple[int, int]) -> np.ndarray:
    return np.argwhere(np.ones(shape, bool))


@pytest.mark.parametrize("area", [4, 16, 17, 18, 19, 20, 40])
@pytest.mark.parametrize("shape", [(16, 16), (17, 20), (18, 40), (33, 34)])
def test_squares_reach_every_cell_before_long(shape: tuple[int, int], area: int) -> None:
    # Images from no larger than a crop to larger than crop and square together.
    data = Dataset(image(shape), every_pixel(shape), crop_size=16)
    rng = np.random.default_rng(0)
    seen = np.zeros(len(data), bool)
    for _ in range(3000):
        seen[data.cells_in_area(rng, area)] = True
        if seen.all():
            return
    missed = data.points[~seen].astype(int)
    pytest.fail(f"{len(missed)} markers are never reached, the first at {missed[0]}")


def test_an_area_larger_than_the_image_takes_all_cells() -> None:
    data = Dataset(image((40, 50)), every_pixel((40, 50)), crop_size=16)
    rng = np.random.default_rng(0)
    assert all(len(data.cells_in_area(rng, 640)) == 2000 for _ in range(5))


def test_a_square_takes_the_crops_that_begin_in_it() -> None:
    data = Dataset(image((200, 200)), every_pixel((200, 200)), crop_size=16)
    rng = np.random.default_rng(3)
    inner = 0
    for _ in range(20):
        origins = data.origins[data.cells_in_area(rng, 30)]
        low, high = origins.min(axis=0), origins.max(axis=0)
        # A full rectangle; 30 pixels wide unless it lies at the edge and goes on beyond it.
        assert len(origins) == np.prod(high - low + 1)
        for first, last in zip(low.tolist(), high.tolist(), strict=True):
            at_edge = first == -8 or last == 191
            assert (last - first + 1 == 30) or (at_edge and last - first + 1 >= 30)
            inner += not at_edge
    assert inner > 20


def test_neighbours_are_the_nearest_cells_to_one_of_them() -> None:
    points = np.random.default_rng(5).uniform(0, 63, (40, 2))
    data = Dataset(image((64, 64)), points, crop_size=16)
    distances = np.linalg.norm(points[:, None] - points, axis=-1)
    nearest = {tuple(sorted(np.argsort(row)[:6].tolist())) for row in distances}
    rng = np.random.default_rng(0)
    drawn = {tuple(data.neighbours(rng, 6).tolist()) for _ in range(400)}
    assert drawn == nearest
    assert data.neighbours(rng, 40).tolist() == list(range(40))
    assert data.neighbours(rng, 1000).tolist() == list(range(40))
    assert {tuple(data.neighbours(rng, 1).tolist()) for _ in range(400)} == {
        (cell,) for cell in range(40)
    }
