"""Regions of nuclei and cells in made images, where every nucleus is known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from cellcutter_core.evaluation.metrics import score
from cellcutter_core.images.local_contrast import (
    LocalContrast,
    background,
    noise_level,
    weighted_median,
)
from cellcutter_core.markers.cell_bodies import cell_regions
from cellcutter_core.markers.finding import find_cells
from cellcutter_core.markers.joining import ellipticity, join_pieces, moments
from cellcutter_core.markers.nucleus_regions import blob_diameter, nucleus_diameter, nucleus_regions
from cellcutter_core.markers.region_outlines import (
    outlined,
    standing_out,
    tidied,
)


def scene(
    diameter: float,
    *,
    shape: tuple[int, int] = (256, 256),
    n: int = 40,
    spacing: float = 1.25,
    brightness: tuple[float, float] = (1.0, 1.0),
    noise: float = 0.02,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Blurred ellipses on 0.3, `spacing` of their diameters apart, and their labels."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    image, labels, placed = np.zeros(shape), np.zeros(shape, int), []
    for _ in range(50 * n):
        if len(placed) == n:
            break
        centre = rng.uniform(diameter / 2, np.array(shape) - diameter / 2)
        if any(np.hypot(*(centre - other)) < spacing * diameter for other in placed):
            continue
        placed.append(centre)
        angle, axis = rng.uniform(0, np.pi), 2 * 1.1 / diameter
        along = (rows - centre[0]) * np.cos(angle) + (cols - centre[1]) * np.sin(angle)
        across = (cols - centre[1]) * np.cos(angle) - (rows - centre[0]) * np.sin(angle)
        inside = (along * axis / 1.21) ** 2 + (across * axis) ** 2 < 1
        labels[inside] = len(placed)
        image[inside] = np.exp(rng.uniform(*np.log(brightness)))
    image = ndimage.gaussian_filter(image, max(0.7, 0.03 * diameter))
    return image + rng.normal(0.3, noise, shape), labels


def check_regions(regions: np.ndarray, shape: tuple[int, ...]) -> None:
    """What every answer has to be, right or wrong."""
    assert regions.dtype == np.int32
    assert regions.shape == shape
    for k in range(1, regions.max() + 1):
        assert ndimage.label(regions == k)[1] == 1


@pytest.mark.parametrize("diameter", [8, 13, 20, 34, 60, 110])
def test_nuclei_of_every_size_are_found(diameter: int) -> None:
    side = max(192, 6 * diameter)
    image, truth = scene(diameter, shape=(side, side + 40), n=18)
    regions = nucleus_regions(image)
    check_regions(regions, truth.shape)
    scores = score(regions, truth)
    assert (scores.n_cells, scores.ap50) == (scores.n_true, 1.0)
    assert scores.mean_iou > 0.8
    assert nucleus_diameter(image) == pytest.approx(diameter, rel=0.25)


def test_dim_nuclei_are_found_beside_bright_ones() -> None:
    image, truth = scene(22, shape=(300, 300), n=70, spacing=1.05, brightness=(0.1, 2), noise=0.005)
    assert score(nucleus_regions(image), truth).ap50 > 0.95
    # A threshold over the whole image does not find them.
    from skimage.filters import threshold_otsu

    assert score(ndimage.label(image > threshold_otsu(image))[0], truth).ap50 < 0.8


@pytest.mark.parametrize("ratio", [1.0, 3.0, 6.0])
def test_touching_nuclei_are_told_apart(ratio: float) -> None:
    rows, cols = np.mgrid[:120, :160]
    truth = np.zeros((120, 160), int)
    for k, (row, col) in enumerate([(30, 30), (30, 50), (80, 40), (80, 110), (30, 110), (48, 119)]):
        truth[np.hypot(rows - row, cols - col) < 10.3] = k + 1
    # The second of the pairs are `ratio` times as bright as the first.
    image = np.where(truth > 0, np.where(np.isin(truth, [2, 6]), ratio, 1.0), 0)
    scores = score(nucleus_regions(ndimage.gaussian_filter(image, 1.2)), truth)
    assert (scores.n_cells, scores.ap50) == (6, 1.0)
    assert scores.mean_iou > 0.85


def test_background_haze_and_noise_change_nothing() -> None:
    image, truth = scene(20, shape=(300, 300), n=60, noise=0.05)
    rows = np.linspace(0, 3, 300)[:, None]
    haze = 1.5 * np.exp(-((rows - 1.5) ** 2)) * np.ones(300)
    for changed in (image + rows, image + haze, 5 * image * (1 + rows)):
        assert score(nucleus_regions(changed), truth).ap50 > 0.95
    noisy = image + np.random.default_rng(1).normal(0, 0.35, image.shape)
    assert score(nucleus_regions(noisy), truth).f1 > 0.95


def test_saturated_nuclei_are_no_less_nuclei() -> None:
    image, truth = scene(20, shape=(200, 200), n=30, brightness=(0.5, 8))
    clipped = np.round(255 * np.clip(image / 1.5, 0, 1)).astype(np.uint8)
    assert np.mean(clipped[truth > 0] == 255) > 0.4
    assert score(nucleus_regions(clipped), truth).ap50 > 0.95


def test_debris_is_left_out() -> None:
    image, truth = scene(24, n=25, spacing=1.4)
    rng = np.random.default_rng(0)
    free = np.argwhere(ndimage.distance_transform_edt(truth == 0) > 8)
    rows, cols = np.mgrid[:256, :256]
    for row, col in rng.choice(free, 25, replace=False):
        image += 1.5 * np.exp(-((rows - row) ** 2 + (cols - col) ** 2) / (2 * 1.5**2))
    assert score(nucleus_regions(image), truth).ap50 > 0.9


def test_the_same_nuclei_at_another_magnification() -> None:
    image, truth = scene(18, shape=(200, 240), n=40, spacing=1.05)
    once = nucleus_regions(image)
    twice = nucleus_regions(ndimage.zoom(image, 2, order=1))
    assert abs(int(once.max()) - int(twice.max())) <= 1
    assert score(twice, truth.repeat(2, 0).repeat(2, 1)).ap50 > 0.95


def test_what_does_not_matter_does_not_matter() -> None:
    image = np.round(1000 * scene(20, n=25)[0]).astype(np.uint16)
    before = image.copy()
    regions = nucleus_regions(image)
    np.testing.assert_array_equal(image, before)
    # Data type, offset, the order of bytes and of axes in memory.
    for same in (
        image.astype(np.float64),
        image.astype(np.int32) - 5000,
        image.astype(">u2"),
        np.asfortranarray(image),
    ):
        np.testing.assert_array_equal(nucleus_regions(same), regions)


def test_nothing_is_found_in_nothing() -> None:
    rng = np.random.default_rng(0)
    for nothing in (
        np.zeros((64, 64)),
        np.full((40, 50), 7, np.uint8),
        rng.normal(0, 1, (200, 200)),
        rng.poisson(5, (150, 150)),
        np.ones((1, 1)),
        np.eye(3),
    ):
        regions = nucleus_regions(nothing)
        assert regions.shape == nothing.shape
        assert not regions.any()
        assert nucleus_diameter(nothing) >= 6


def test_a_single_nucleus_is_found_and_a_hot_pixel_is_none() -> None:
    image, truth = scene(20, n=1)
    image[5, 5] = 500
    assert score(nucleus_regions(image), truth).ap50 == 1


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4, 3)), r"nucleus has shape \(4, 4, 3\).*one channel.*one plane"),
        (np.zeros((0, 4)), r"nucleus has shape \(0, 4\)"),
        (np.array([[0, np.inf]]), "NaN or infinite.*nan_to_num"),
        (np.zeros((4, 4), complex), "dtype complex128"),
    ],
)
def test_what_is_no_image_is_said_in_one_line(image: np.ndarray, message: str) -> None:
    for function in (nucleus_regions, nucleus_diameter):
        with pytest.raises(ValueError, match=message) as caught:
            function(image)
        assert "\n" not in str(caught.value)


def test_a_diameter_of_no_nucleus() -> None:
    for diameter in (5.9, -1, np.nan):
        with pytest.raises(ValueError, match=f"diameter is {diameter}.*at least 6 pixels"):
            nucleus_regions(np.eye(30), diameter=diameter)


def test_blob_diameter_of_a_disc() -> None:
    rows, cols = np.mgrid[:256, :256]
    for diameter in (12, 24, 48):
        disc = (np.hypot(rows - 128, cols - 128) < diameter / 2).astype(np.float32)
        # Compression widens what is blurred, noise does nothing.
        found = blob_diameter(disc, linear_below=1.0)
        assert found == pytest.approx(diameter, rel=0.25)


# The steps, one by one.


def test_ellipticity_knows_simple_shapes() -> None:
    rows, cols = np.mgrid[:200, :200]
    labels = np.zeros((200, 200), int)
    labels[10:40, 10:90] = 1
    labels[np.hypot(rows - 120, cols - 60) < 30] = 2
    labels[np.hypot((rows - 150) / 20, (cols - 150) / 40) < 1] = 3
    square, disc, ellipse = ellipticity(moments(labels))[1:]
    # A rectangle of pixels has variances (a² / 12, b² / 12) exactly.
    assert square == pytest.approx(3 / np.pi)
    assert disc == pytest.approx(1, abs=2e-3)
    assert ellipse == pytest.approx(1, abs=2e-3)
    touching = (np.hypot(rows - 50, cols - 50) < 20) | (np.hypot(rows - 50, cols - 90) < 20)
    assert ellipticity(moments(touching.astype(int)))[1] == pytest.approx(2 / 5**0.5, abs=5e-3)


def test_moments_of_a_union_are_sums() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, (12, 15))
    both = moments((labels > 0).astype(int))[1]
    np.testing.assert_allclose(moments(labels)[1:].sum(axis=0), both)
    rows, cols = np.nonzero(labels == 2)
    expected = [len(rows), rows.sum(), cols.sum(), (rows**2).sum(), (cols**2).sum()]
    np.testing.assert_allclose(moments(labels)[2], [*expected, (rows * cols).sum()])


def test_pieces_of_one_disc_are_joined_and_two_discs_are_not() -> None:
    rows, cols = np.mgrid[:60, :120]
    one = np.hypot(rows - 30, cols - 25) < 11
    two = np.hypot(rows - 30, cols - 70) < 11
    three = np.hypot(rows - 30, cols - 92) < 11
    image = ndimage.gaussian_filter((one | two | three).astype(np.float32), 1)
    pieces = np.zeros((60, 120), np.int32)
    # The first in quarters, each of the others in one piece.
    pieces[one] = (1 + (rows > 30) + 2 * (cols > 25))[one]
    pieces[two], pieces[three] = 5, 6
    joined = join_pieces(pieces, LocalContrast(image, 22.0))
    assert len(np.unique(joined[one])) == 1
    assert len(np.unique(joined[joined > 0])) == 3


def test_levels_are_those_of_the_pixels() -> None:
    rng = np.random.default_rng(0)
    image = rng.gamma(2, 1, (80, 90)).astype(np.float32)
    labels = rng.integers(0, 5, (80, 90)).astype(np.int32)
    labels[labels == 3] = 4
    contrast = LocalContrast(image, 12.0)
    found = contrast.quantiles(labels, 0.4)
    assert found[0] == 0
    assert found[3] == 0
    for k in (1, 2, 4):
        assert found[k] == pytest.approx(np.quantile(contrast.height[labels == k], 0.4), rel=0.03)
        pixels = contrast.height[labels == k]
        inside = pixels[pixels > np.quantile(pixels, 0.9) / 2]
        assert contrast.plateaus(labels)[k] == pytest.approx(np.median(inside), rel=0.04)
    where = image > 2
    expected = np.quantile(contrast.height[(labels == 1) & where], 0.25)
    assert contrast.quantiles(labels, 0.25, where=where)[1] == pytest.approx(expected, rel=0.03)


def test_noise_is_measured_beside_structure() -> None:
    image, _ = scene(20, n=30, noise=0.07)
    assert noise_level(image.astype(np.float32)) == pytest.approx(0.07, rel=0.15)
    assert noise_level(np.ones((2, 9), np.float32)) == 0


def test_background_is_what_lies_between_nuclei() -> None:
    image, _ = scene(16, n=50, noise=0.001)
    slope = np.linspace(0, 2, 256)[:, None] * np.ones(256)
    found = background((image + slope).astype(np.float32), 16.0)
    assert found.shape == image.shape
    # It follows the slope, a little below, and nothing of the nuclei is in it.
    difference = 0.3 + slope - found
    assert difference.min() > -0.05
    assert difference.max() < 0.5


def test_outlines_lie_half_way_up() -> None:
    rows, cols = np.mgrid[:80, :80]
    distance = np.hypot(rows - 40, cols - 40)
    # An edge at radius 14, blurred over a few pixels, on a background of its own.
    image = (5 + 3 / (1 + np.exp((distance - 14) / 1.0))).astype(np.float32)
    contrast = LocalContrast(image, 28.0)
    for rough in (11, 17):
        region = outlined((distance < rough).astype(np.int32), contrast)
        assert np.sqrt(region.sum() / np.pi) == pytest.approx(14, abs=0.7)


def test_what_stands_out_is_kept() -> None:
    rows, cols = np.mgrid[:100, :300]
    labels = np.zeros((100, 300), np.int32)
    image = np.zeros((100, 300), np.float32)
    heights = [1.0, 0.8, 1.3, 0.06, 0.05, 0.7]
    for k, height in enumerate(heights):
        inside = np.hypot(rows - 50, cols - 25 - 50 * k) < (4 if k == 5 else 10)
        labels[inside] = k + 1
        image[inside] = height
    contrast = LocalContrast(image, 20.0)
    kept, faint = standing_out(labels, contrast, smallest=0.5, between=(0.08, 0.35))
    # Not 4 and 5, which are dim, nor 6, which is small; and numbered anew.
    expected = np.where(labels <= 3, labels, 0)
    np.testing.assert_array_equal(kept, expected)
    np.testing.assert_allclose(np.exp(faint[0]), [0.06, 0.05], rtol=0.05)
    nothing, same = standing_out(
        0 * labels, contrast, smallest=0.5, between=(0.1, 0.3), faint=faint
    )
    assert nothing.max() == 0
    assert same is faint


def test_where_an_earlier_look_left_nothing_is_no_gap() -> None:
    """Haze that was cut at a height is still haze above it."""
    rows, cols = np.mgrid[:100, :1200]
    labels = np.zeros((100, 1200), np.int32)
    image = np.zeros((100, 1200), np.float32)
    heights = np.concatenate(
        [np.geomspace(0.13, 0.18, 16), np.geomspace(0.2, 0.55, 8), np.geomspace(0.6, 1.4, 24)]
    )
    for k, height in enumerate(heights):
        centre = (25 + 50 * (k % 2), 25 + 50 * (k // 2))
        inside = np.hypot(rows - centre[0], cols - centre[1]) < 10
        labels[inside] = k + 1
        image[inside] = height
    contrast = LocalContrast(image, 20.0)
    how: dict[str, Any] = {"smallest": 0.5, "between": (0.08, 0.35)}
    # The least of a crowd, and a few up to the brightest: as if all were nuclei.
    assert standing_out(labels, contrast, **how)[0].max() == len(heights)
    # But a crowd, dimmer still, is known to be gone.
    gone = np.array([np.log(np.geomspace(0.03, 0.12, 60)), np.full(60, 17.0)])
    kept, faint = standing_out(labels, contrast, faint=gone, **how)
    assert 24 < kept.max() <= 32
    assert len(faint[1]) == 60 + len(heights) - kept.max()


def test_the_weighted_median() -> None:
    values, weights = np.array([5.0, 1.0, 3.0]), np.array([1.0, 1.0, 1.0])
    assert weighted_median(values, weights) == 3
    assert weighted_median(values, np.array([9.0, 1.0, 1.0])) == 5


def test_regions_are_tidied() -> None:
    labels = np.zeros((24, 40), np.int32)
    labels[4:16, 3:15] = 4
    labels[9, 8] = 0  # a hole
    labels[9:11, 15:22] = 4  # a spur
    labels[18:23, 25:30] = 4  # a second part
    labels[4:16, 24:40] = 7  # at the edge of the image
    labels[20, 2] = 9  # smaller than the disc
    found = tidied(labels, 2.0)
    expected = np.zeros_like(labels)
    expected[4:16, 3:15] = 4
    expected[4:16, 24:40] = 7
    # Corners are rounded by the disc, but not where the image cuts them off.
    corners = np.zeros_like(expected, bool)
    for row in (4, 5, 14, 15):
        corners[row, [3, 4, 13, 14, 24, 25]] = True
    corners[8:12, 15] = True  # and where the spur was cut off
    np.testing.assert_array_equal(found[~corners], expected[~corners])
    assert found[4, 3] == 0
    assert found[4, 39] == 7
    assert tidied(labels, 30.0).max() == 0


# Cells without a nucleus channel.


def honeycomb() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells, their bright outlines, and where there are cells at all."""
    rng = np.random.default_rng(0)
    rows, cols = np.mgrid[:240, :280]
    centres = np.stack(np.meshgrid(np.arange(20, 240, 36), np.arange(20, 280, 36)), -1)
    centres = centres.reshape(-1, 2) + rng.uniform(-5, 5, (centres.size // 2, 2))
    distances = np.sort(
        [np.hypot(rows - r, cols - c) for r, c in centres] + [np.full(rows.shape, 1e9)], axis=0
    )
    nearest = np.argmin([np.hypot(rows - r, cols - c) for r, c in centres], axis=0) + 1
    outline = np.exp(-(((distances[1] - distances[0]) / 3) ** 2))
    image = 200 + 100 * outline + rng.normal(0, 4, rows.shape)
    return image, nearest, distances[0] < 25


def test_cells_are_found_between_their_outlines() -> None:
    image, truth, _ = honeycomb()
    regions = cell_regions(image)
    owners = [np.bincount(truth[regions == k]).argmax() for k in range(1, regions.max() + 1)]
    # Nearly every cell has a region, and nearly every region a cell of its own.
    assert len(set(owners)) > 0.9 * truth.max()
    assert len(set(owners)) > 0.9 * len(owners)


def test_cells_are_found_by_their_texture() -> None:
    # As dark as bright, in units of the camera: no threshold tells these cells from background.
    rng = np.random.default_rng(0)
    rows, cols = np.mgrid[:300, :300]
    truth = np.zeros((300, 300), int)
    for k, (row, col) in enumerate((r, c) for r in (50, 150, 250) for c in (50, 150, 250)):
        truth[np.hypot(rows - row, cols - col) < 24] = k + 1
    grain = ndimage.gaussian_filter(rng.normal(0, 1, (300, 300)), 1.2)
    image = 1000 + 20 * rng.normal(0, 1, (300, 300)) + 600 * grain * (truth > 0)
    regions = cell_regions(image)
    owners = [np.bincount(truth[regions == k]).argmax() for k in range(1, regions.max() + 1)]
    assert sorted(owners) == list(range(1, 10))


def test_bright_bodies_are_found() -> None:
    image, truth = scene(30, shape=(300, 300), n=35, spacing=1.15)
    assert score(cell_regions(image, diameter=30), truth).ap50 > 0.9


def test_a_mask_keeps_cells_where_cells_are() -> None:
    image, truth = scene(30, shape=(300, 300), n=35, spacing=1.15)
    mask = np.zeros(truth.shape, bool)
    mask[:, :150] = True
    regions = cell_regions(image, mask=mask, diameter=30)
    assert regions[:, :130].any()
    assert not regions[:, 180:].any()
    for wrong in (mask[:9], mask.astype(np.uint8)):
        with pytest.raises(ValueError, match=r"mask is .*has to be bool of the image's shape"):
            cell_regions(image, mask=wrong)


# Real images.


@pytest.mark.parametrize(
    ("name", "precision", "recall", "ap50"),
    [
        # Blobs at fixed settings find 149 of these 260.
        ("bbbc018_ht29/17301", 0.92, 0.97, 0.85),
        ("bbbc039_u2os/IXMtest_I12_s1_", 0.95, 0.93, 0.88),
        ("stardist_img2d/img2d", 0.92, 0.88, 0.75),
    ],
)
def test_nuclei_of_real_images(
    shared_data: Path, name: str, precision: float, recall: float, ap50: float
) -> None:
    with np.load(shared_data / f"{name}.npz") as archive:
        image, truth = archive["image"][..., -1], archive["nuclei"].astype(int)
    regions = nucleus_regions(image)
    check_regions(regions, truth.shape)
    overlap = np.zeros((regions.max() + 1, truth.max() + 1), int)
    np.add.at(overlap, (regions.ravel(), truth.ravel()), 1)
    right = len(set(overlap[1:].argmax(axis=1)) - {0})
    assert right / regions.max() > precision
    assert right / len(np.unique(truth[truth > 0])) > recall
    assert score(regions, truth).ap50 > ap50


def test_cells_in_phase_contrast(shared_data: Path) -> None:
    with np.load(shared_data / "usiigaci_t98g" / "set26.npz") as archive:
        image, truth = archive["image"][400:, :700, 0], archive["cells"][400:, :700].astype(int)
    found = find_cells(image)
    right = len(set(truth[tuple(found.points.T)]) - {0})
    n_true = len(np.unique(truth[truth > 0]))
    assert 2 * right / (len(found.points) + n_true) > 0.65
