"""Pictures whose pixels are known beforehand."""

from pathlib import Path

import numpy as np
import pytest

from cellcutter_core.view.coloring import PALETTE
from cellcutter_core.view.render import (
    MASK_COLOR,
    NUCLEUS_COLOR,
    borders_picture,
    composite,
    display_window,
    mask_outline,
    overlay,
    probability_colors,
)


def full(pixels: np.ndarray, *, gamma: float = 1, **options: object) -> np.ndarray:
    """A composite from the lowest to the highest value, which enough pixels have."""
    many = np.repeat(pixels, 50, axis=0)
    return composite(many, gamma=gamma, **options)[::50]  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64])
def test_grey_levels_of_a_ramp(dtype: type) -> None:
    ramp = np.array([[0, 50], [100, 200]]).astype(dtype)[..., None]
    picture = full(ramp)
    assert picture.dtype == np.uint8
    assert picture[..., 0].tolist() == [[0, 64], [128, 255]]
    assert (picture == picture[..., :1]).all()


def test_cells_are_grey_and_nuclei_blue() -> None:
    cell = np.array([[0, 1, 0, 1]], float)
    nucleus = np.array([[0, 0, 1, 1]], float)
    picture = full(np.stack([nucleus, cell], axis=-1), cell=(1,), nucleus=0)
    # Nothing, cell, nucleus alone, and both, which add up to white.
    white = [255] * 3
    assert picture[0].tolist() == [[0] * 3, white, list(NUCLEUS_COLOR), white]


def test_several_cell_channels_are_averaged() -> None:
    pixels = np.array([[[0, 0], [10, 0], [0, 7], [10, 7]]])
    assert full(pixels, cell=(0, 1))[0, :, 0].tolist() == [0, 128, 128, 255]


def test_a_hot_pixel_does_not_darken_the_image() -> None:
    pixels = np.random.default_rng(0).integers(100, 200, (64, 64, 1)).astype(np.uint16)
    quiet = composite(pixels).mean()
    pixels[5, 5] = 60_000
    assert composite(pixels).mean() == pytest.approx(quiet, rel=0.02)


def test_a_gamma_below_one_lifts_the_dim_parts() -> None:
    ramp = np.linspace(0, 1, 50)[None, :, None]
    dim, linear = full(ramp, gamma=0.5), full(ramp)
    assert (dim[0, 1:-1, 0] > linear[0, 1:-1, 0]).all()
    assert dim[0, 0, 0] == 0
    assert dim[0, -1, 0] == 255


def test_a_constant_channel_is_black() -> None:
    assert not composite(np.full((4, 4, 2), 9), nucleus=1).any()


def test_the_window_of_a_large_image_is_that_of_all_its_pixels() -> None:
    channel = np.random.default_rng(1).normal(1000, 100, (1500, 1500))
    window = display_window(channel)
    np.testing.assert_allclose(window, np.percentile(channel, (0.5, 99.7)), rtol=5e-3)


def test_nothing_is_changed_in_place() -> None:
    pixels = np.random.default_rng(2).integers(0, 99, (8, 8, 2))
    before = pixels.copy()
    picture = composite(pixels, nucleus=1)
    copy = picture.copy()
    labels = np.zeros((8, 8), int)
    labels[2:6, 2:6] = 3
    overlay(picture, labels)
    mask_outline(picture, labels > 0)
    np.testing.assert_array_equal(pixels, before)
    np.testing.assert_array_equal(picture, copy)


def test_overlay_dims_background_tints_cells_and_draws_outlines() -> None:
    image = np.full((9, 9, 3), 100, np.uint8)
    labels = np.zeros((9, 9), int)
    labels[2:7, 2:7] = 3
    tinted = overlay(image, labels, alpha=0.5)
    assert (tinted[labels == 0] == 85).all()
    assert (tinted[2, 2:7] == PALETTE[3]).all()
    # Half of the image at 85, half of the colour.
    np.testing.assert_allclose(tinted[4, 4], 42.5 + PALETTE[3] / 2, atol=0.5)
    plain = overlay(image, labels, alpha=0.5, outlines=False)
    assert (plain[labels == 3] == tinted[4, 4]).all()
    assert (overlay(image, labels, alpha=1)[labels == 3] == PALETTE[3]).all()
    assert (overlay(image, labels, alpha=0, outlines=False) == 85).all()


def test_the_image_under_the_cells_is_grey() -> None:
    image = np.zeros((3, 3, 3), np.uint8)
    image[...] = NUCLEUS_COLOR
    picture = overlay(image, np.zeros((3, 3), int))
    assert (picture == picture[..., :1]).all()
    assert picture.all()


def test_a_mask_is_outlined_from_within() -> None:
    image, mask = np.zeros((7, 7, 3), np.uint8), np.zeros((7, 7), bool)
    mask[1:6, 1:6] = True
    picture = mask_outline(image, mask)
    expected = mask.copy()
    expected[2:5, 2:5] = False
    np.testing.assert_array_equal((picture == MASK_COLOR).all(axis=2), expected)
    assert not picture[~expected].any()


def test_lines_on_a_large_image_are_wide_enough_to_be_seen() -> None:
    mask = np.zeros((1600, 1600), bool)
    mask[100:1500, 100:1500] = True
    picture = mask_outline(np.zeros((1600, 1600, 3), np.uint8), mask)
    assert picture[800].any(axis=1).sum() == 4  # two pixels on either side


def test_probability_is_shown_from_dark_to_bright() -> None:
    ramp = np.linspace(0, 1, 101, dtype=np.float32)[None]
    picture = probability_colors(ramp)
    assert picture[0, 0].tolist() == [68, 1, 84]
    assert picture[0, -1].tolist() == [253, 231, 37]
    brightness = picture[0] @ [0.299, 0.587, 0.114]
    assert (np.diff(brightness) >= 0).all()


@pytest.mark.parametrize("bad", [-0.1, 1.5, np.nan])
def test_what_is_no_probability(bad: float) -> None:
    with pytest.raises(ValueError, match=r"probability spans .* 0\.\.1"):
        probability_colors(np.array([[0.5, bad]]))


def test_settings_out_of_bounds_are_said_in_one_line() -> None:
    image, labels = np.zeros((4, 4, 3), np.uint8), np.ones((4, 4), int)
    with pytest.raises(ValueError, match=r"channel 3 does not exist.*0 to 2"):
        composite(image, nucleus=3)
    with pytest.raises(ValueError, match="channel -1 does not exist"):
        composite(image, cell=(-1,))
    with pytest.raises(ValueError, match="cell is empty"):
        composite(image, cell=())
    with pytest.raises(ValueError, match=r"pixels has shape \(4, 4\)"):
        composite(image[..., 0])
    with pytest.raises(ValueError, match="gamma is 0"):
        composite(image, gamma=0)
    with pytest.raises(ValueError, match="alpha is 2"):
        overlay(image, labels, alpha=2)
    with pytest.raises(ValueError, match=r"image is uint8 of shape \(4, 4, 3\)"):
        overlay(image, labels[:2])
    with pytest.raises(ValueError, match="mask has dtype int64"):
        mask_outline(image, labels)


def test_a_real_image_has_contrast_and_every_cell_a_colour(shared_data: Path) -> None:
    with np.load(shared_data / "bbbc018_ht29" / "17301.npz") as data:
        pixels, cells = data["image"], data["cells"]
    picture = composite(pixels, nucleus=1)
    assert 20 < picture.mean() < 120
    assert picture.max() == 255
    painted = overlay(picture, cells).astype(int)
    colourless = np.ptp(painted, axis=2) == 0
    assert colourless[cells == 0].all()
    assert colourless[cells > 0].mean() < 0.01


def test_borders_picture_shows_where_two_cells_end() -> None:
    picture = borders_picture(np.array([[0, 1, 2, 3]], np.uint8))
    assert picture.tolist() == [[[0, 0, 0], [235] * 3, list(MASK_COLOR), list(MASK_COLOR)]]
