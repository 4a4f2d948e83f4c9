"""What in an image speaks for cell: discs and outlines of which the truth is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage as ndi
from skimage.filters import threshold_li

from cellcutter_core.mask.automatic_mask import automatic_mask, find_foreground
from cellcutter_core.mask.background import (
    appearance,
    dividing_level,
    li_threshold,
    shading,
)

SIZE = 256
Image = NDArray[np.float64]
Mask = NDArray[np.bool_]


def discs(radius: float, spacing: int, *, seed: int = 0) -> tuple[Image, Mask]:
    """Cells of 100 to 300 on a background of 0, blurred a little, and where they are."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:SIZE, :SIZE]
    image = np.zeros((SIZE, SIZE))
    for row in range(spacing // 2, SIZE, spacing):
        for col in range(spacing // 2, SIZE, spacing):
            centre = np.array([row, col]) + rng.uniform(-0.1, 0.1, 2) * spacing
            inside = (rows - centre[0]) ** 2 + (cols - centre[1]) ** 2 < radius**2
            image[inside] = rng.uniform(100, 300)
    truth = image > 0
    return ndi.gaussian_filter(image, 1), truth


def camera(light: Image, *, seed: int = 1) -> Image:
    """Photon noise and the camera's own, on an offset."""
    rng = np.random.default_rng(seed)
    return rng.poisson(light + 10) + 200 + rng.normal(0, 2, light.shape)


def iou(mask: Mask, truth: Mask) -> float:
    return float((mask & truth).sum() / (mask | truth).sum())


@pytest.mark.parametrize(
    ("radius", "spacing", "least"), [(6.5, 20, 0.8), (14, 34, 0.9), (55, 122, 0.97)]
)
def test_bright_cells_of_any_size(radius: float, spacing: int, least: float) -> None:
    """From 13 to 110 pixels; the blur of their edges is the larger part of small ones."""
    light, truth = discs(radius, spacing)
    mask, found = automatic_mask(camera(light))
    assert found.kinds == ("bright",)
    assert not found.filled
    assert iou(mask, truth) > least


def test_few_cells_and_many() -> None:
    light, truth = discs(14, 200)
    assert truth.mean() < 0.02
    assert iou(automatic_mask(camera(light))[0], truth) > 0.85
    rng = np.random.default_rng(0)
    gap = np.hypot(*(np.mgrid[:SIZE, :SIZE] - 90)) < 32
    assert gap.mean() < 0.06
    tissue = 200 * np.exp(ndi.gaussian_filter(rng.normal(0, 3, (SIZE, SIZE)), 4)) * ~gap
    mask = automatic_mask(camera(ndi.gaussian_filter(tissue, 1)))[0]
    assert iou(mask, ~gap) > 0.97
    assert iou(~mask, gap) > 0.6


@pytest.mark.parametrize("factor", [1e-6, 1.0, 50.0])
@pytest.mark.parametrize("offset", [-1000.0, 0.0])
def test_scale_and_offset_of_brightness_change_nothing(factor: float, offset: float) -> None:
    image = camera(discs(14, 40)[0])
    np.testing.assert_array_equal(
        automatic_mask(factor * image + offset)[0], automatic_mask(image)[0]
    )


def test_dark_cells_on_bright_background() -> None:
    light, truth = discs(14, 40)
    mask, found = automatic_mask(3000 - camera(light))
    assert found.kinds == ("dark",)
    assert iou(mask, truth) > 0.9


def test_uneven_illumination() -> None:
    """Three times brighter in one corner than in the other."""
    light, truth = discs(14, 40)
    ramp = np.linspace(1, 3, 2 * SIZE - 1)[np.add.outer(np.arange(SIZE), np.arange(SIZE))]
    assert iou(automatic_mask(camera(light) * ramp)[0], truth) > 0.88
    assert iou(automatic_mask(camera(light + 100 * ramp))[0], truth) > 0.88


def test_hot_pixels() -> None:
    light, truth = discs(14, 40)
    image = camera(light)
    image.flat[np.random.default_rng(0).integers(0, image.size, 40)] = 65535
    assert iou(automatic_mask(image)[0], truth) > 0.9


def test_texture_on_a_smooth_background() -> None:
    """As in phase contrast: brighter and darker than the background, the same on average."""
    truth = discs(25, 64)[1]
    rng = np.random.default_rng(0)
    grain = ndi.gaussian_filter(rng.normal(0, 1, truth.shape), 1.5)
    image = 1000 + rng.normal(0, 2, truth.shape) + 400 * grain * truth
    mask, found = automatic_mask(image)
    assert found.kinds == ("texture",)
    assert iou(mask, truth) > 0.75


def test_outlines_are_filled() -> None:
    """A membrane stain: inside the cells it is as dark as outside."""
    truth = discs(14, 36)[1]
    ring = truth & ~ndi.binary_erosion(truth, iterations=3)
    mask, found = automatic_mask(camera(300 * ndi.gaussian_filter(ring.astype(float), 1)))
    assert found.filled
    assert iou(mask, truth) > 0.85


def test_hole_between_solid_cells_stays_background() -> None:
    rows, cols = np.mgrid[:SIZE, :SIZE]
    r = np.hypot(rows - 128, cols - 128)
    truth = (r > 30) & (r < 90)
    mask, found = automatic_mask(camera(200.0 * truth))
    assert not found.filled
    assert iou(mask, truth) > 0.95


def test_nuclei_are_cell_in_any_case() -> None:
    light, _ = discs(14, 40)
    nuclei = np.zeros((SIZE, SIZE), np.int32)
    nuclei[0:6, 0:6] = 3
    assert not automatic_mask(camera(light))[0][1:5, 1:5].any()
    assert automatic_mask(camera(light), nuclei=nuclei)[0][1:5, 1:5].all()


def test_nuclei_below_the_level_lower_it() -> None:
    """Tissue without gaps, seen with its nuclei: dim cells are no background."""
    rng = np.random.default_rng(3)
    labels = ndi.zoom(rng.lognormal(0, 0.6, (8, 8)), 32, order=0)
    fibres = np.exp(ndi.gaussian_filter(rng.normal(0, 2, labels.shape), 3))
    image = camera(150 * ndi.gaussian_filter(labels * fibres, 1))
    nuclei = np.zeros(labels.shape, bool)
    nuclei[12:256:32, 12:256:32] = True
    nuclei = ndi.binary_dilation(nuclei, iterations=4)
    assert automatic_mask(image, nuclei=nuclei)[0].mean() > 0.9


def test_cell_in_any_channel_is_cell() -> None:
    light, truth = discs(14, 40)
    left = np.arange(SIZE) < SIZE // 2
    both = np.stack([camera(light * left), camera(light * ~left, seed=2)], axis=-1)
    mask, found = automatic_mask(both)
    assert found.kinds == ("bright", "bright")
    assert iou(mask, truth) > 0.88
    with_nucleus, _ = automatic_mask(both[..., 0], both[..., 1])
    np.testing.assert_array_equal(with_nucleus, mask)


def test_an_empty_channel_adds_nothing() -> None:
    image = camera(discs(14, 40)[0])
    with_empty = np.stack([image, np.full_like(image, 7)], axis=-1)
    np.testing.assert_array_equal(automatic_mask(with_empty)[0], automatic_mask(image)[0])


@pytest.mark.parametrize(
    ("cell", "others", "message"),
    [
        (np.full((20, 20), 3.0), {}, "cell is constant"),
        (np.pad([[9.0]], 10), {}, "cell is constant, or differs only in single pixels"),
        (np.ones(5), {}, r"cell has the shape \(5,\)"),
        (np.full((9, 9), np.inf), {}, "cell holds NaN or infinite pixels"),
        (np.full((9, 9), 1j), {}, "cell has dtype complex128"),
        (np.eye(9), {"nucleus": np.eye(8)}, r"nucleus has the shape \(8, 8\) and cell \(9, 9\)"),
        (np.eye(9), {"nuclei": np.eye(8)}, r"nuclei has the shape \(8, 8\) and cell \(9, 9\)"),
        (np.tri(9), {"nuclei": np.ones((9, 9))}, "nuclei cover every pixel"),
        (np.tri(9), {"nuclei": np.eye(9, dtype=int) - 1}, "nuclei holds the value -1"),
        (np.tri(9), {"nuclei": np.eye(9) / 3}, "nuclei has dtype float64"),
        (np.ones((2, 9, 9)), {}, r"\(2, 9, 9\), which is 9 channels if"),
    ],
)
def test_bad_input(cell: Image, others: dict[str, Image], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        find_foreground(cell, **others)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("shape", [(2, 2), (1, 30), (3, 3), (17, 16)])
def test_tiny_images(shape: tuple[int, int]) -> None:
    image = np.arange(np.prod(shape), dtype=float).reshape(shape)
    mask, found = automatic_mask(image)
    assert mask.shape == found.image.shape == shape
    assert mask.any()
    assert not mask.all()


def test_shading_is_the_lower_envelope() -> None:
    y, x = np.linspace(-1, 1, SIZE)[:, None], np.linspace(-1, 1, SIZE)[None]
    surface = 100 + 20 * x - 10 * y + 30 * x * y + 15 * x * x
    light, _ = discs(14, 40)
    found = shading((surface + light).astype(np.float32))
    assert np.abs(found - surface).max() < 0.1 * light.max() < 0.5 * np.ptp(surface)


def test_level_lies_at_half_height_of_flat_cells() -> None:
    """The steepest place of a blurred edge, on the scale of the square root somewhat lower."""
    rows, cols = np.mgrid[:SIZE, :SIZE]
    disc = np.hypot(rows % 64 - 32, cols % 64 - 32) < 20
    image = ndi.gaussian_filter(100.0 * disc, 2).astype(np.float32)
    assert 10 < dividing_level(image, 0.0) < 50


def narrow(seed: int) -> NDArray[np.float32]:
    """A sharp peak between far ends, as in DIC: many values between two 32-bit floats."""
    values = np.random.default_rng(seed).normal(0.4, 0.01, 50_000).astype(np.float32)
    values[:2] = 0, 1
    return values


@pytest.mark.parametrize("seed", range(9))
def test_lis_threshold_ends_where_that_of_scikit_image_swings_for_ever(seed: int) -> None:
    class StillGoing(Exception):
        pass

    logarithm = np.log(narrow(seed) + np.float32(0.02))
    levels: list[float] = []

    def count(level: float) -> None:
        levels.append(level)
        if len(levels) > 300:
            raise StillGoing

    try:
        threshold_li(logarithm, iter_callback=count)
    except StillGoing:
        assert len(set(levels[-100:])) < 10  # It goes round and round.
    assert li_threshold(logarithm) == pytest.approx(levels[-1], abs=1e-4)


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).lognormal(0, 1, 5000),
        np.append(*(np.random.default_rng(k).normal(3 + 5 * k, 1, 2000) for k in (0, 1))),
        np.array([0.0, 0, 1, 1, 1]),
        np.array([-5.0, 3]),
        np.full(4, 2.5),
    ],
)
def test_lis_threshold_is_that_of_scikit_image(values: NDArray[np.float64]) -> None:
    expected = threshold_li(values.copy(), tolerance=1e-9)
    assert li_threshold(values) == pytest.approx(float(expected), abs=1e-6)
    assert li_threshold(values.astype(np.float32)) == pytest.approx(float(expected), abs=1e-3)


def test_a_mask_of_a_narrow_histogram_comes_back() -> None:
    grain = ndi.gaussian_filter(np.random.default_rng(0).normal(0, 1, (700, 1000)), 1)
    cells = ndi.gaussian_filter((np.hypot(*np.mgrid[-350:350, -500:500]) < 60) * grain, 2)
    image = 9000 + 150 * grain + 20_000 * cells / np.abs(cells).max()
    mask, _ = automatic_mask(np.clip(image, 4388, 16383).astype(np.uint16))
    assert 0 < mask.mean() < 1


def test_appearance_of_real_images(shared_data: Path) -> None:
    for folder, kind in (("usiigaci_t98g", "texture"), ("bbbc018_ht29", "bright")):
        for file in sorted((shared_data / folder).glob("*.npz"))[:2]:
            with np.load(file, allow_pickle=False) as data:
                image = data["image"][..., 0].astype(np.float32)
            assert appearance(image) == kind
