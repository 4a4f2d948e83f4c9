"""Cells of a few pixels, as bacteria, are found as large as they are."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage as ndi

from cellcutter_core.config import QUICK
from cellcutter_core.images.image import Image
from cellcutter_core.mask.automatic_mask import automatic_mask
from cellcutter_core.mask.small_cells import diameter_of_small_cells, typical_width
from cellcutter_core.pipeline import prepare
from cellcutter_core.shortest_paths.watershed import watershed_labels

SIZE, FINE = 160, 4


def bacteria(
    width: int, length: float, *, blur: float
) -> tuple[NDArray[np.uint16], NDArray[np.bool_], int]:
    """Rods of unlike brightness, drawn four times finer and blurred as optics do; which pixels
    they cover by more than half, and how many they are.
    """
    rng = np.random.default_rng(0)
    n = SIZE * FINE
    rows, cols = np.mgrid[:n, :n]
    labels = np.zeros((n, n), np.int32)
    spacing = 3 * width
    places = np.arange(spacing, SIZE - 0.7 * spacing, spacing)
    for row in places:
        for col in places:
            at = FINE * (np.array([row, col]) + rng.uniform(-0.15, 0.15, 2) * spacing)
            reach = int(FINE * (length + width))
            box = tuple(slice(max(int(c) - reach, 0), int(c) + reach) for c in at)
            angle = rng.uniform(0, np.pi)
            y, x = rows[box] - at[0], cols[box] - at[1]
            along = np.abs(x * np.cos(angle) + y * np.sin(angle)) - FINE * (length - width) / 2
            across = y * np.cos(angle) - x * np.sin(angle)
            inside = np.hypot(np.maximum(along, 0), across) < FINE * width / 2
            labels[box][inside & (labels[box] == 0)] = labels.max() + 1
    bright = np.append(0, rng.uniform(0.6, 1.4, labels.max()))
    light = 800 * ndi.gaussian_filter(bright[labels], FINE * blur)
    light, covered = (
        field.reshape(SIZE, FINE, SIZE, FINE).mean(axis=(1, 3)) for field in (light, labels > 0)
    )
    image = rng.poisson(light + 100) + rng.normal(0, 5, light.shape)
    return np.clip(image, 0, 65535).astype(np.uint16), covered > 0.5, int(labels.max())


@pytest.mark.parametrize("width", [5, 6, 8, 10, 12])
@pytest.mark.parametrize("shape", [1.0, 2.5])
@pytest.mark.parametrize("blur", [0.7, 1.0])
def test_the_mask_is_as_large_as_the_cells(width: int, shape: float, blur: float) -> None:
    image, truth, _ = bacteria(width, shape * width, blur=blur)
    mask, _ = automatic_mask(image)
    assert 0.85 < mask.sum() / truth.sum() < 1.2
    assert (mask & truth).sum() / (mask | truth).sum() > 0.8


@pytest.mark.parametrize("width", [6, 8, 12])
@pytest.mark.parametrize("shape", [1.0, 2.5])
def test_each_cell_is_found_once_and_as_large_as_it_is(width: int, shape: float) -> None:
    image, truth, n = bacteria(width, shape * width, blur=1.0)
    inputs, _ = prepare(Image(image[..., None], ("phase",)), QUICK)
    assert abs(len(inputs.points) - n) <= 0.05 * n
    labels = watershed_labels(inputs.nuclei, inputs.mask, points=inputs.points)
    area = float(np.median(np.bincount(labels.ravel())[1:]))
    assert area == pytest.approx(truth.sum() / n, rel=0.25)


def test_what_is_wide_or_hangs_together_is_not_small() -> None:
    rows, cols = np.mgrid[:200, :200]
    discs = np.hypot(rows % 20 - 10, cols % 20 - 10) < 5
    assert diameter_of_small_cells(discs) == pytest.approx(10, abs=1)
    assert typical_width(discs) == pytest.approx(10, abs=1)
    # Outlines of cells are as thin, and in one piece.
    assert diameter_of_small_cells(~discs) is None
    assert diameter_of_small_cells((rows % 20 < 3) | (cols % 20 < 3)) is None
    assert diameter_of_small_cells(np.hypot(rows % 50 - 25, cols % 50 - 25) < 20) is None
    assert diameter_of_small_cells(np.zeros((9, 9), bool)) is None
