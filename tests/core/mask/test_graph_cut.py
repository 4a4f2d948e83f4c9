"""The graph cut of the method, and the mask that the settings ask for."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cellcutter_core.config import MaskSettings
from cellcutter_core.evaluation.metrics import mask_iou
from cellcutter_core.markers.finding import find_cells
from cellcutter_core.mask.automatic_mask import automatic_mask
from cellcutter_core.mask.graph_cut import from_log_odds, graph_cut, log_odds
from cellcutter_core.mask.mask_of_settings import mask_channels, mask_grid
from cellcutter_core.mask.preview import preview_mask
from cellcutter_core.mask.starting_settings import prior_steps, suited_settings
from cellcutter_core.simulation.sample import sample


def published_energies(
    image: NDArray[Any], *, prior: float, max_weight: float, sigma: float
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """All masks and their energies as the docstring of `graph_cut` has them, pair by pair."""
    eps = np.finfo(float).eps
    scaled = (image - image.min()) / (image.max() - image.min())
    cell = -np.log(np.maximum(scaled, eps)) - np.log(prior)
    background = -np.log(np.maximum(1 - scaled, eps)) - np.log(1 - prior)
    masks = np.array(list(product((False, True), repeat=image.size)))
    energies = np.where(masks, cell.ravel(), background.ravel()).sum(axis=1)
    pixels = list(np.ndindex(*image.shape))
    for i, p in enumerate(pixels):
        for j, q in enumerate(pixels):
            if i < j and max(abs(a - b) for a, b in zip(p, q, strict=True)) == 1:
                step = scaled[p] - scaled[q]
                weight = max_weight * np.exp(-(step**2) / (2 * sigma**2))
                energies += weight * (masks[:, i] != masks[:, j])
    return masks, energies


@pytest.mark.parametrize("shape", [(3, 4), (2, 5), (1, 7), (2, 2, 3)])
@pytest.mark.parametrize(
    ("prior", "max_weight", "sigma"),
    [(0.5, 5.0, 0.1), (0.5, 0.5, 0.5), (0.9, 1.0, 0.3), (0.1, 1.0, 0.3), (0.985, 10.0, 0.03)],
)
def test_least_energy_of_all_labellings(
    shape: tuple[int, ...], prior: float, max_weight: float, sigma: float
) -> None:
    rng = np.random.default_rng(len(shape))
    for _ in range(5):
        image = rng.integers(0, 50, shape)
        masks, energies = published_energies(image, prior=prior, max_weight=max_weight, sigma=sigma)
        found = graph_cut(image, prior, max_weight, sigma)
        (position,) = np.flatnonzero((masks == found.ravel()).all(axis=1))
        assert energies[position] == pytest.approx(energies.min(), abs=1e-8)


def test_without_outlines_each_pixel_is_for_itself() -> None:
    """Cell where I > 1 - prior: a higher prior calls dimmer pixels cell."""
    image = np.arange(11)[None, :] / 10
    for prior in (0.25, 0.55, 0.95):
        np.testing.assert_array_equal(graph_cut(image, prior, 0), image > 1 - prior)


def test_opposite_edges_are_no_neighbours() -> None:
    """A cell at the left edge gets no help from one at the right edge."""
    image = np.zeros((9, 9))
    image[4, 0] = 0.7
    image[3:6, 7:] = 1.0
    alone = image.copy()
    alone[:, 7:] = 0
    alone[0, 5] = 1.0  # keeps the scale
    assert graph_cut(image)[4, 0] == graph_cut(alone)[4, 0]


def test_turned_image_gives_turned_mask() -> None:
    image = np.random.default_rng(0).random((20, 20)) ** 2
    mask = graph_cut(image, 0.7, 0.5, 0.2)
    assert 0 < mask.mean() < 1
    for turn in range(1, 4):
        np.testing.assert_array_equal(
            graph_cut(np.rot90(image, turn), 0.7, 0.5, 0.2), np.rot90(mask, turn)
        )


def test_robust_scaling_ignores_a_hot_pixel() -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(100, 2, (64, 64))
    image[20:40, 20:40] += 80
    cell = np.zeros((64, 64), bool)
    cell[20:40, 20:40] = True
    np.testing.assert_array_equal(graph_cut(image, scaling="robust"), cell)
    image[5, 5] = 60_000
    assert graph_cut(image)[20:40, 20:40].sum() == 0
    mask = graph_cut(image, scaling="robust")
    np.testing.assert_array_equal(mask[20:40, 20:40], True)
    assert mask.sum() <= cell.sum() + 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, bool])
def test_any_dtype(dtype: type) -> None:
    image = np.zeros((8, 8), dtype)
    image[2:6, 2:6] = 1
    np.testing.assert_array_equal(graph_cut(image), image > 0)


@pytest.mark.parametrize(
    ("image", "parameters", "message"),
    [
        (np.ones((4, 4)), {}, r"image is constant \(all pixels are 1\)"),
        (np.ones(4), {}, r"image has the shape \(4,\); allowed is \(H, W\) or \(D, H, W\)"),
        (np.ones((0, 4)), {}, r"image has the shape \(0, 4\)"),
        (np.array([[0, np.nan]]), {}, "NaN or infinite"),
        (np.array([[0, 1j]]), {}, "image holds complex128; allowed are integers and floats"),
        (np.array([[0, "a"]], object), {}, "image holds object"),
        (np.eye(3), {"prior": 1}, "prior should be .*less than 1, got 1"),
        (np.eye(3), {"prior": 0}, "prior should be greater than 0.*, got 0"),
        (np.eye(3), {"max_weight": -1}, "max_weight should be .*, got -1"),
        (np.eye(3), {"sigma": 0}, "sigma should be greater than 0"),
        (np.eye(3), {"scaling": "log"}, "scaling should be 'minmax' or 'robust', got 'log'"),
    ],
)
def test_bad_input(image: NDArray[Any], parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        graph_cut(image, **parameters)
    assert "\n" not in str(error.value)


def test_automatic_mask_is_the_graph_cut_of_its_foreground() -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(200, 4, (120, 130))
    image[30:70, 40:90] += 60
    mask, foreground = automatic_mask(image)
    settings = foreground.settings
    again = graph_cut(
        foreground.image,
        settings.prior,
        settings.max_weight,
        settings.sigma,
        scaling=settings.scaling,
    )
    np.testing.assert_array_equal(mask, again)
    truth = np.zeros(image.shape, bool)
    truth[30:70, 40:90] = True
    assert (mask & truth).sum() / (mask | truth).sum() > 0.97


def test_find_mask_does_what_the_settings_say() -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(200, 4, (80, 90))
    image[30:60, 40:70] += 60
    nuclei = np.zeros(image.shape, int)
    nuclei[5:10, 5:10] = 1
    automatic = mask_channels(image[..., None], MaskSettings(), nuclei=nuclei)
    np.testing.assert_array_equal(automatic, automatic_mask(image, nuclei=nuclei)[0])
    assert automatic[5:10, 5:10].all()
    manual = MaskSettings(automatic=False, prior=0.5, max_weight=1, sigma=0.2)
    chosen = mask_channels(image[..., None], manual, nuclei=nuclei)
    np.testing.assert_array_equal(chosen, graph_cut(image, 0.5, 1, 0.2))
    assert not chosen[5:10, 5:10].any()


# On the sample large areas change sides between these priors, all at once with heavy outlines.
# With the smallest sigma noise makes outlines cheap.
@pytest.mark.parametrize(
    ("sigma", "max_weight", "odds"),
    [
        *((0.03, 1, 3.2), (0.03, 5, 3.2), (0.03, 5, 3.35), (0.03, 10, 3.0), (0.03, 10, 3.3)),
        *((0.03, 25, 3.4), (0.01, 10, 3.02), (0.01, 10, 3.4), (0.01, 10, 4.34)),
    ],
)
def test_preview_agrees_with_the_mask(sigma: float, max_weight: float, odds: float) -> None:
    cell = sample().pixels[:, :-2, :1]
    settings = MaskSettings(
        automatic=False, prior=from_log_odds(odds), max_weight=max_weight, sigma=sigma
    )
    preview, mask = preview_mask(cell, settings), mask_channels(cell, settings)
    assert preview.shape == mask.shape
    assert (preview != mask).mean() < 0.02


def test_preview_of_a_small_image_is_the_mask() -> None:
    cell = sample((100, 120)).pixels[..., :1]
    settings = MaskSettings(automatic=False, prior=0.97, max_weight=10, sigma=0.03)
    np.testing.assert_array_equal(preview_mask(cell, settings), mask_channels(cell, settings))
    # Of several channels the brightest counts, as it is. All is cell where one is bright enough.
    ramp = np.tile(np.linspace(0, 1, 48), (48, 1))
    two, settings = np.dstack([ramp, 1 - ramp]), settings.replace(prior=0.6)
    assert mask_channels(two, settings).all()
    assert preview_mask(two, settings).all()
    assert prior_steps(two, settings)[-1] < 0.51


@pytest.mark.parametrize("scale", [1, 40])
@pytest.mark.parametrize("scaling", ["minmax", "robust"])
def test_suited_settings_find_cells_of_any_brightness(scale: float, scaling: Any) -> None:
    """The published prior calls all of the sample cell; and one hot pixel dims all others."""
    image = sample((192, 192))
    cell = image.pixels[..., :1].astype(float)
    cell[0, 0] = scale * cell.max()
    nuclei = image.truth_nuclei
    automatic = automatic_mask(cell[..., 0], nuclei=nuclei)[0]
    settings = suited_settings(cell, MaskSettings(scaling=scaling), wanted=automatic)
    assert not settings.automatic
    assert settings.scaling == scaling
    assert image.truth is not None
    assert mask_iou(mask_channels(cell, settings), image.truth > 0) > 0.93


def test_suited_settings_without_a_mask_to_come_near() -> None:
    rng = np.random.default_rng(0)
    truth = np.zeros((90, 90), bool)
    truth[20:60, 30:70] = True
    cell = (rng.normal(100, 3, truth.shape) + 80 * truth)[..., None]
    mask = mask_channels(cell, suited_settings(cell, MaskSettings()))
    assert mask_iou(mask, truth) > 0.98


def test_suited_settings_of_an_image_without_noise() -> None:
    cell = np.zeros((30, 40, 1), np.uint8)
    cell[5:15, 10:30] = 200
    settings = suited_settings(cell, MaskSettings(), wanted=cell[..., 0] > 0)
    np.testing.assert_array_equal(mask_channels(cell, settings), cell[..., 0] > 0)


def test_suited_settings_hold_one_mask_at_a_time() -> None:
    """Each of the 61 priors has a mask of a byte a pixel."""
    cell = np.random.default_rng(0).normal(100, 10, (256, 256, 1)).astype(np.float32)
    tracemalloc.start()
    suited_settings(cell, MaskSettings(), wanted=cell[..., 0] > 110)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 40 * cell.size


def test_prior_steps_span_the_image_in_equal_steps_of_log_odds() -> None:
    cell = sample((192, 192)).pixels[..., :1]
    settings = MaskSettings(automatic=False, max_weight=0)
    steps = prior_steps(cell, settings)
    assert len(steps) == 61
    shares = [mask_channels(cell, settings.replace(prior=steps[i])).mean() for i in (0, -1)]
    np.testing.assert_allclose(shares, (0.01, 0.99), atol=0.003)
    apart = np.diff([log_odds(prior) for prior in steps])
    assert apart.min() > 0
    np.testing.assert_allclose(apart, apart.mean(), rtol=0.25)


def test_log_odds_there_and_back() -> None:
    assert log_odds(0.5) == 0
    assert log_odds(0.985) == pytest.approx(4.1846, abs=1e-4)
    assert from_log_odds(log_odds(0.985)) == pytest.approx(0.985)


@pytest.mark.parametrize("n_colours", [2, 3, 4])
def test_colours_are_no_columns_of_a_stack(n_colours: int) -> None:
    image = np.random.default_rng(0).random((20, 30, n_colours))
    with pytest.raises(ValueError, match=rf"20 planes of {n_colours} columns .*image\[\.\.\., 0\]"):
        graph_cut(image)
    stack = np.moveaxis(image, -1, 0)
    assert graph_cut(stack).shape == (n_colours, 20, 30)


@pytest.mark.parametrize("shape", [(2, 60, 80), (5, 60, 80), (60, 40, 50)])
def test_channels_first_are_asked_about(shape: tuple[int, int, int]) -> None:
    image = np.random.default_rng(0).random(shape)
    manual = MaskSettings(automatic=False)
    found: list[Callable[[], object]] = [
        lambda: automatic_mask(image),
        lambda: mask_channels(image, MaskSettings()),
        lambda: mask_channels(image, manual),
        lambda: preview_mask(image, manual),
        lambda: mask_grid(image, manual, ("prior", "sigma"), (0.5,), (0.1,)),
        lambda: find_cells(image),
    ]
    for find in found:
        with pytest.raises(ValueError, match=rf"{shape[2]} channels .*np.moveaxis\(cell, 0, -1\)"):
            find()
    last = np.moveaxis(image[:2], 0, -1)
    assert automatic_mask(last)[0].shape == last.shape[:2]


def test_mask_grid_holds_the_masks_of_its_settings() -> None:
    image = sample((96, 128))
    settings = MaskSettings(automatic=True, sigma=0.05)
    masks = mask_grid(image.pixels[..., 0], settings, ("max_weight", "prior"), (1, 9), (0.9,))
    assert masks.shape == (2, 1, 96, 128)
    for k, weight in enumerate((1, 9)):
        chosen = MaskSettings(automatic=False, sigma=0.05, max_weight=weight, prior=0.9)
        np.testing.assert_array_equal(masks[k, 0], mask_channels(image.pixels[..., 0], chosen))


def test_manual_mask_sees_the_brightest_channel() -> None:
    channels = np.zeros((20, 30, 2))
    channels[5:10, 5:10, 0] = 1000
    channels[5:10, 15:20, 1] = 1
    mask = mask_channels(
        channels, MaskSettings(automatic=False, prior=0.5, max_weight=1, sigma=0.2)
    )
    np.testing.assert_array_equal(mask, channels.any(axis=2))


@pytest.mark.parametrize(
    ("image", "least"),
    [
        ("bbbc018_ht29/00733", 0.96),
        ("bbbc018_ht29/15963", 0.92),
        ("bbbc039_u2os/IXMtest_B21_s3_", 0.89),
        ("dsb2018/777f7c426927", 0.92),
    ],
)
def test_real_images(shared_data: Path, image: str, least: float) -> None:
    """IoU with what people drew, defaults only; a little below what was measured."""
    with np.load(shared_data / f"{image}.npz", allow_pickle=False) as data:
        truth = data["cells" if "cells" in data else "nuclei"] > 0
        seen = ~data["ignore"] if "ignore" in data else np.ones_like(truth)
        mask = automatic_mask(data["image"][..., 0])[0]
    assert (mask & truth & seen).sum() / ((mask | truth) & seen).sum() > least
