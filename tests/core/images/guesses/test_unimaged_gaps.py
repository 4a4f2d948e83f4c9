"""Empty parts of a mosaic are told from dark background, and change nothing in what is found."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Picture

from cellcutter_core.config import QUICK, MaskSettings
from cellcutter_core.images.guesses.unimaged_gaps import (
    Background,
    filled_gaps,
    frame,
    gaps,
    is_gap,
)
from cellcutter_core.images.image import Image
from cellcutter_core.images.read_image import read_image
from cellcutter_core.mask.automatic_mask import automatic_mask
from cellcutter_core.mask.mask_of_settings import mask_channels
from cellcutter_core.pipeline import prepare
from cellcutter_core.simulation.sample import sample
from cellcutter_core.training.datasets import make_dataset
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


def filled_part(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    background = Background(whole)
    return background.filled(part, background.in_part(part))


def test_of_a_part_the_background_is_that_of_all() -> None:
    part = np.zeros((300, 300))
    part[:, 200:] = 900
    part[:, 250:] = 950
    whole = np.random.default_rng(0).uniform(10, 110, (400, 400))
    filled = filled_part(part, whole)[:, :200]
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
    empty, whole = np.zeros((300, 300)), np.random.default_rng(0).uniform(10, 110, (400, 400))
    whole[:200, :200] = 0
    assert filled_part(empty, whole) is empty


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


# Frames -------------------------------------------------------------------------------------------


def in_8_bits(seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """The cell channel of a sample as a screenshot has it, and where its cells are."""
    image = sample((200, 240), seed=seed)
    assert image.truth is not None
    channel = image.pixels[..., 0].astype(float)
    low, high = np.percentile(channel, (0.5, 99.8))
    return np.clip((channel - low) / (high - low) * 255, 0, 255).astype(np.uint8), image.truth > 0


def iou(mask: np.ndarray, truth: np.ndarray) -> float:
    return float((mask & truth).sum() / (mask | truth).sum())


@pytest.mark.parametrize("colour", [0, 128, 240, 255])
@pytest.mark.parametrize("width", [1, 12, 60])
def test_a_frame_of_any_colour_and_width_changes_nothing(colour: int, width: int) -> None:
    channel, truth = in_8_bits()
    framed = np.pad(channel, width, constant_values=colour)
    inner = (slice(width, -width),) * 2
    assert frame(framed) == (width, width, width + 200, width + 240)
    expected = iou(automatic_mask(channel)[0], truth)
    mask, _ = automatic_mask(framed)
    assert iou(mask[inner], truth) > expected - 0.03
    beside = mask.copy()
    beside[inner] = False
    assert beside.mean() < 0.005
    # So it does with settings that were chosen, for which brightness counts as it is.
    chosen = MaskSettings(automatic=False, prior=0.8)
    assert iou(mask_channels(framed, chosen)[inner], mask_channels(channel, chosen)) > 0.95


def test_frames_in_frames_and_at_some_sides() -> None:
    channel, _ = in_8_bits()
    nested = np.pad(channel, 2, constant_values=90)
    nested = np.pad(np.pad(nested, 20, constant_values=255), 1, constant_values=0)
    assert frame(nested) == (23, 23, 223, 263)
    below = np.pad(channel, ((0, 50), (0, 0)), constant_values=255)
    assert frame(below) == (0, 0, 200, 240)
    assert frame(channel) is None
    # Of floats too, also of 8 bits that JPEG has smeared.
    assert frame(np.pad(channel.astype(np.float32) / 7, 9, constant_values=3)) == (9, 9, 209, 249)
    file = io.BytesIO()
    Picture.fromarray(np.pad(channel, 40, constant_values=255)).save(file, "JPEG", quality=85)
    smeared = np.asarray(Picture.open(file))
    edges = (40, 40, 240, 280)
    for pixels in (smeared, smeared.astype(np.float32)):
        box = frame(pixels)
        assert box is not None
        assert all(0 <= np.abs(at - edge) <= 8 for at, edge in zip(box, edges, strict=True))


@pytest.mark.parametrize(
    "image",
    [
        discs(),
        1000 - discs(),
        cut_off(),
        np.tile(np.arange(100.0), (100, 1)),
        np.ones((60, 60)),
        np.pad([[9.0]], 20),
        np.random.default_rng(0).integers(100, 103, (80, 80)).astype(np.uint8),
    ],
)
def test_a_flat_background_is_no_frame(image: np.ndarray) -> None:
    assert frame(image) is None


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("colour", [0, 255])
def test_a_screenshot_with_a_frame_is_read_as_its_picture(
    dark: bool, colour: int, tmp_path: Path
) -> None:
    channel, truth = in_8_bits()
    shown = 255 - channel if dark else channel
    framed = np.pad(shown, 40, constant_values=colour)
    Picture.fromarray(np.stack([framed] * 3, axis=-1)).save(tmp_path / "screen.png")
    image = read_image(tmp_path / "screen.png")
    assert image.inverted is dark
    (remark,) = image.remarks
    assert "(pixels: 40 above, 40 below, 40 left, 40 right)" in remark
    inputs, _ = prepare(image, QUICK)
    assert iou(inputs.mask[40:-40, 40:-40], truth) > 0.9
    assert (inputs.points >= 40).all()
    assert (inputs.points < (240, 280)).all()


@pytest.mark.parametrize("width", [3, 30])
def test_nan_in_a_frame_is_nothing(width: int, tmp_path: Path) -> None:
    """As registration leaves it."""
    whole = sample((200, 240), seed=2)
    assert whole.truth is not None
    channel = whole.pixels[..., 0].astype(np.float32)
    tifffile.imwrite(tmp_path / "moved.tif", np.pad(channel, width, constant_values=np.nan))
    image = read_image(tmp_path / "moved.tif")
    inner = (slice(width, -width),) * 2
    np.testing.assert_array_equal(image.pixels[inner][..., 0], channel)
    assert np.isfinite(image.pixels).all()
    where = gaps(image.pixels[..., 0])
    assert where is not None
    assert not where[inner].any()
    assert where.sum() == where.size - channel.size
    assert iou(prepare(image, QUICK)[0].mask[inner], whole.truth > 0) > 0.9


def test_nan_elsewhere_is_told(tmp_path: Path) -> None:
    channel = sample((200, 240), seed=2).pixels[..., 0].astype(np.float32)
    one, lines, background = channel.copy(), channel.copy(), channel.copy()
    one[50, 50] = np.nan
    lines[90:95] = np.nan
    background[channel < np.percentile(channel, 30)] = np.nan
    for bad in (one, lines, background, np.full_like(channel, np.nan)):
        assert not is_gap(np.isnan(bad))
        tifffile.imwrite(tmp_path / "bad.tif", bad)
        with pytest.raises(ValueError, match="NaN, infinite or too large"):
            read_image(tmp_path / "bad.tif")
    mosaic = np.full((400, 400), np.nan, np.float32)
    mosaic[:200, :240], mosaic[150:350, 150:390] = channel, channel
    assert is_gap(np.isnan(mosaic))
    tifffile.imwrite(tmp_path / "mosaic.tif", mosaic)
    image = read_image(tmp_path / "mosaic.tif")
    assert np.isfinite(image.pixels).all()
    # Two tiles of 200 × 240 that overlap in 50 × 90 leave 68,500 of 160,000 pixels.
    (note,) = image.remarks
    assert note.startswith(f"43% of the image has the same value, {channel.min():g},")


def test_of_a_frame_seen_smaller_the_width_is_that_of_the_whole() -> None:
    channel, _ = in_8_bits()
    image = Image(
        np.pad(channel, 5, constant_values=255)[..., None], ("a",), full_shape=(840, 1000)
    )
    (note,) = image.remarks
    assert "(pixels: about 20 above, 20 below, 20 left, 20 right)" in note
