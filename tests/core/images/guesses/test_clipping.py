"""Flat cells, overexposed or made by a program, are cells all the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage as ndi

from cellcutter_core.images.guesses.brightness import dark_on_bright
from cellcutter_core.images.guesses.clipping import at_top, bright_is_cell, clipping_notes
from cellcutter_core.images.image import Image
from cellcutter_core.images.read_image import read_image
from cellcutter_core.mask.automatic_mask import automatic_mask
from cellcutter_core.simulation.sample import sample

SIZE = 256
Bools = NDArray[np.bool_]


def iou(mask: Bools, truth: Bools) -> float:
    return float((mask & truth).sum() / (mask | truth).sum())


def cells(radius: float, spacing: int) -> NDArray[np.intp]:
    """Labels of ellipses of about one size in about a square grid."""
    rng = np.random.default_rng(0)
    rows, cols = np.mgrid[:SIZE, :SIZE]
    labels = np.zeros((SIZE, SIZE), int)
    for row in range(spacing // 2, SIZE, spacing):
        for col in range(spacing // 2, SIZE, spacing):
            centre = np.array([row, col]) + rng.uniform(-0.1, 0.1, 2) * spacing
            high, wide = radius * rng.uniform(0.85, 1.15, 2)
            inside = ((rows - centre[0]) / high) ** 2 + ((cols - centre[1]) / wide) ** 2 < 1
            labels[inside] = labels.max() + 1
    return labels


def camera(labels: NDArray[np.intp]) -> NDArray[np.float64]:
    """Cells of unlike brightness and with structure, blurred, with noise, on an offset of 50."""
    rng = np.random.default_rng(1)
    bright = np.append(0, rng.uniform(0.6, 1.6, labels.max()))[labels]
    texture = np.exp(2 * ndi.gaussian_filter(rng.normal(0, 1, labels.shape), 2))
    light = 1000 * ndi.gaussian_filter(bright * texture, 1.2)
    return rng.poisson(light + 50) + rng.normal(0, 10, labels.shape)


def parted(labels: NDArray[np.intp]) -> Bools:
    """Where cells are, with a gap between those that touch."""
    return (labels > 0) & (ndi.minimum_filter(labels, 3) == ndi.maximum_filter(labels, 3))


@pytest.mark.parametrize("gain", [2, 4, 6])
@pytest.mark.parametrize("with_nuclei", [False, True])
def test_a_camera_that_was_overexposed(gain: int, with_nuclei: bool) -> None:
    rng = np.random.default_rng(0)
    rows, cols = np.mgrid[:256, :256]
    distance = np.hypot(rows % 64 - 32, cols % 64 - 32)
    truth, nuclei = distance < 15, distance < 6
    image = ndi.gaussian_filter(truth * 1000.0, 1.5) + 200 + rng.normal(0, 25, truth.shape)
    image = np.clip(image * gain, 0, 4095).astype(np.uint16)
    mask, found = automatic_mask(image, nuclei=nuclei if with_nuclei else None)
    assert found.kinds == ("bright",)
    assert iou(mask, truth) > 0.85


# Sparse, next to each other, and grown together.
CROWDS = [(6, 18), (14, 34), (40, 100), (15, 30), (17, 30), (20, 120)]


@pytest.mark.parametrize(("radius", "spacing"), CROWDS)
@pytest.mark.parametrize("offset", [0, 100])
def test_saturated_8_bits(radius: float, spacing: int, offset: int) -> None:
    labels = cells(radius, spacing)
    image = np.clip(0.8 * (camera(labels) - offset), 0, 255).astype(np.uint8)
    mask, found = automatic_mask(image)
    assert found.kinds == ("bright",)
    assert iou(mask, labels > 0) > (0.65 if radius < 10 else 0.8)
    assert not dark_on_bright(image[..., None])


@pytest.mark.parametrize(("radius", "spacing"), CROWDS)
def test_a_probability_map(radius: float, spacing: int) -> None:
    inside = parted(cells(radius, spacing))
    grain = ndi.gaussian_filter(np.random.default_rng(0).normal(0, 1, inside.shape), 1)
    away = ndi.distance_transform_edt(inside) - ndi.distance_transform_edt(~inside)
    probability = 1 / (1 + np.exp(-away - grain))
    for image in (probability.astype(np.float32), np.round(255 * probability).astype(np.uint8)):
        mask, found = automatic_mask(image)
        assert found.kinds == ("bright",)
        assert iou(mask, inside) > 0.7


@pytest.mark.parametrize(("radius", "spacing"), CROWDS)
def test_a_mask_and_a_label_image(radius: float, spacing: int) -> None:
    labels = cells(radius, spacing)
    inside = parted(labels)
    mask, found = automatic_mask(np.where(inside, 255, 0).astype(np.uint8))
    assert found.kinds == ("bright",)
    assert iou(mask, inside) > 0.85
    mask, found = automatic_mask(np.where(inside, labels, 0).astype(np.uint16))
    assert found.kinds == ("bright",)
    assert iou(mask, inside) > 0.75


@pytest.mark.parametrize(("radius", "spacing"), [one for one in CROWDS if one != (17, 30)])
def test_dark_cells_on_an_overexposed_background_stay_dark(radius: float, spacing: int) -> None:
    labels = cells(radius, spacing)
    rng = np.random.default_rng(2)
    bright = np.append(0, rng.uniform(0.6, 1.6, labels.max()))[labels]
    texture = np.exp(2 * ndi.gaussian_filter(rng.normal(0, 1, labels.shape), 2))
    lamp = 280 * ndi.gaussian_filter(np.exp(-0.6 * bright * texture), 1)
    image = np.clip(lamp + rng.normal(0, 4, labels.shape), 0, 255).astype(np.uint8)
    assert (image == 255).mean() > 0.05
    mask, found = automatic_mask(image)
    assert found.kinds == ("dark",)
    assert iou(mask, labels > 0) > 0.7


def test_nuclei_tell_cells_from_background() -> None:
    """Dark gaps of one shape and size between bright cells could as well be cells."""
    rows, cols = np.mgrid[:256, :256]
    holes = np.hypot(rows % 64 - 32, cols % 64 - 32) < 20
    image = np.where(holes, np.random.default_rng(0).integers(90, 110, holes.shape), 255)
    image = image.astype(np.float32)
    assert bright_is_cell(image) is None  # As many dark cells of one size.
    between = np.hypot((rows + 32) % 64 - 32, (cols + 32) % 64 - 32) < 6
    assert bright_is_cell(image, between) is True
    assert bright_is_cell(image, np.hypot(rows % 64 - 32, cols % 64 - 32) < 6) is False
    assert iou(automatic_mask(image)[0], holes) > 0.95
    assert iou(automatic_mask(image, nuclei=between)[0], ~holes) > 0.95


def test_the_sample_overexposed_is_found_as_it_is() -> None:
    """Also where half of the cells is nothing but white."""
    for seed in range(2):
        image = sample(seed=seed)
        assert image.truth is not None
        truth = image.truth > 0
        pixels = image.pixels[..., image.cell[0]].astype(float)
        low, high = np.percentile(pixels, 1), np.percentile(pixels[truth], 50)
        clipped = np.clip((pixels - low / 2) / (high - low / 2) * 255, 0, 255).astype(np.uint8)
        cut_off = at_top(clipped)
        assert cut_off is not None
        assert cut_off.mean() > 0.2
        expected = iou(automatic_mask(pixels)[0], truth)
        assert iou(automatic_mask(clipped)[0], truth) > expected - 0.05


def test_real_images_overexposed(shared_data: Path) -> None:
    for name in ("00733", "17301", "05897"):
        image = read_image(shared_data / "bbbc018_ht29" / f"{name}.npz")
        assert image.truth is not None
        truth = image.truth > 0
        pixels = image.pixels[..., image.cell[0]].astype(float)
        low, high = np.percentile(pixels, 1), np.percentile(pixels[truth], 10)
        clipped = np.clip((pixels - low / 2) / (high - low / 2) * 255, 0, 255).astype(np.uint8)
        assert iou(automatic_mask(clipped)[0], truth) > 0.85
        assert not dark_on_bright(clipped[..., None])


def notes_on(channel: np.ndarray) -> list[str]:
    return clipping_notes(channel[..., None], ["cell"], [0])


def test_what_was_cut_off_is_counted() -> None:
    image = np.random.default_rng(0).normal(1000, 100, (200, 200)).clip(0, 4095).astype(np.uint16)
    assert at_top(image) is None
    assert notes_on(image) == []
    image[50:150, 50:150] = 4095
    assert notes_on(image)[0].startswith("25% of the pixels of cell")
    few = image.copy()
    few[52:150, 50:150] = 1000
    assert notes_on(few) == []  # One pixel in two hundred.
    assert notes_on(np.full((9, 9), 7)) == []
    # Few grey levels are no plateau.
    assert notes_on(np.random.default_rng(0).integers(0, 4, (90, 90))) == []


def test_a_frame_is_not_what_was_cut_off() -> None:
    image = np.pad(np.random.default_rng(0).normal(1000, 100, (200, 200)).astype(np.uint16), 30)
    assert notes_on(image) == []


def test_an_image_says_which_channel_was_cut_off() -> None:
    plain = sample((128, 128))
    assert plain.remarks == []
    pixels = plain.pixels.copy()
    top: Any = np.percentile(pixels[..., 0], 80).astype(pixels.dtype)
    pixels[..., 0] = np.minimum(pixels[..., 0], top)
    (note,) = Image(pixels, plain.channels, cell=(0,), nucleus=plain.nucleus).remarks
    assert note.startswith("20% of the pixels of") or note.startswith("21% of the pixels of")
    assert plain.channels[0] in note
    assert f"{top:g}" in note
    # Nor does a frame, however bright.
    framed = np.pad(pixels, ((9, 9), (9, 9), (0, 0)), constant_values=60_000)
    frame, again = Image(framed, plain.channels, cell=(0,), nucleus=plain.nucleus).remarks
    assert "A frame of one colour" in frame
    assert again == note
    # A channel that is not in use says nothing.
    assert Image(pixels, plain.channels, cell=(1,)).remarks == []
