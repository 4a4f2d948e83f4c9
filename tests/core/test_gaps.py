"""Empty parts of a mosaic are told from dark background, and change nothing in what is found."""

from __future__ import annotations

import numpy as np
import pytest

from cellcutter_core.config import QUICK
from cellcutter_core.gaps import filled_gaps, gaps
from cellcutter_core.images import Image
from cellcutter_core.pipeline import make_dataset, prepare
from cellcutter_core.samples import sample
from cellcutter_core.view.render import display_window

FIELD = (slice(100, 356), slice(60, 316))


@pytest.fixture(scope="module")
def field() -> Image:
    return sample((256, 256), seed=4)


@pytest.fixture(scope="module")
def mosaic(field: Image) -> Image:
    """The field in a frame in which nothing was imaged."""
    pixels = np.zeros((480, 480, field.pixels.shape[2]), field.pixels.dtype)
    pixels[FIELD] = field.pixels
    return Image(pixels, field.channels, cell=field.cell, nucleus=field.nucleus)


def test_a_frame_of_nothing_is_a_gap(mosaic: Image) -> None:
    for channel in np.moveaxis(mosaic.pixels, -1, 0):
        where = gaps(channel)
        assert where is not None
        expected = np.ones(channel.shape, bool)
        expected[FIELD] = False
        np.testing.assert_array_equal(where, expected)
        filled = filled_gaps(channel)
        assert filled.dtype == channel.dtype
        np.testing.assert_array_equal(filled[FIELD], channel[FIELD])
        low, high = np.percentile(channel[FIELD], (1, 30))
        assert low < np.median(filled[where]) < high
        assert 0 < filled[where].std() < high - low
        np.testing.assert_array_equal(filled, filled_gaps(channel))


def test_of_a_part_the_background_is_that_of_all() -> None:
    part = np.zeros((300, 300))
    part[:, 200:] = 900
    part[:, 250:] = 950
    like = np.random.default_rng(0).uniform(10, 110, (400, 400))
    filled = filled_gaps(part, like=like)[:, :200]
    assert 19 < np.median(filled) < 21
    assert 0 < filled.std() < 40


def test_of_a_part_what_is_nothing_is_known() -> None:
    """A gap of all of the image is one in each part, be it all of that or a corner of it."""
    part = np.full((300, 300), 7)
    assert gaps(part) is None
    where = gaps(part, nothing=7)
    assert where is not None
    assert where.all()
    part[20:] = part[:, 20:] = 9
    assert gaps(part) is None
    where = gaps(part, nothing=7)
    assert where is not None
    assert where.sum() == 400
    assert gaps(part, nothing=0) is None
    # What is all gap has no noise to look for cells in.
    empty, like = np.zeros((300, 300)), np.random.default_rng(0).uniform(10, 110, (400, 400))
    like[:200, :200] = 0
    assert filled_gaps(empty, like=like) is empty


def discs() -> np.ndarray:
    """Bright discs on a background that is exactly 0."""
    rows, cols = np.mgrid[:400, :400]
    return 1000.0 * (np.hypot(rows % 50 - 25, cols % 50 - 25) < 12)


def cut_off() -> np.ndarray:
    """A dim background that was cut off at zero."""
    bright = sample((400, 400), seed=1).pixels[..., 0].astype(float)
    return np.maximum(bright - np.percentile(bright, 40), 0)


def squares() -> np.ndarray:
    image = np.zeros((400, 400))
    for row in range(10, 400, 60):
        image[row : row + 30, 10:40] = 200
    return image


@pytest.mark.parametrize(
    "image", [discs(), cut_off(), squares(), sample((200, 200)).pixels[..., 1], np.ones((60, 60))]
)
def test_dark_background_is_no_gap(image: np.ndarray) -> None:
    assert gaps(image) is None
    assert filled_gaps(image) is image


def test_a_mosaic_is_shown_as_bright_as_its_field(field: Image, mosaic: Image) -> None:
    for channel in field.channels:
        window = display_window(field.channel(channel))
        assert display_window(mosaic.channel(channel)) == pytest.approx(window, rel=0.02)


def test_cells_are_found_in_a_mosaic_as_in_its_field(field: Image, mosaic: Image) -> None:
    alone, _ = prepare(field, QUICK)
    inputs, _ = prepare(mosaic, QUICK)
    assert abs(len(inputs.points) - len(alone.points)) <= 2
    assert not inputs.mask[:90].any()
    agree = inputs.mask[FIELD] == alone.mask
    assert agree.mean() > 0.97
    assert inputs.cell_diameter == pytest.approx(alone.cell_diameter, rel=0.03)
    # The network sees its background as dark as that of the field.
    data = make_dataset(inputs, QUICK)
    dark = data.padded_image[40:60, 200:300].mean()
    assert dark < np.percentile(make_dataset(alone, QUICK).padded_image, 30)
