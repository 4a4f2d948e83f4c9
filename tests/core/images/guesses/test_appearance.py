"""What colours and brightness of a picture say of how it was made, on pictures made for it."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image as Picture
from scipy import ndimage
from skimage.color import hed2rgb
from small_files import blank

from cellcutter_core.images.guesses.appearance import Appearance
from cellcutter_core.images.guesses.brightness import dark_on_bright
from cellcutter_core.images.guesses.stains import DENSEST, is_stained, with_stains
from cellcutter_core.images.read_image import read_image, read_labels
from cellcutter_core.markers.given_markers import read_markers
from cellcutter_core.simulation.sample import sample

SHAPE = (120, 150)


def blobs(n: int = 40, *, seed: int = 0) -> NDArray[np.float64]:
    """Soft round cells of intensities around 1 on a background of 0."""
    rng = np.random.default_rng(seed)
    points = np.zeros(SHAPE)
    points[rng.integers(120, size=n), rng.integers(150, size=n)] = rng.uniform(0.6, 1, n)
    return ndimage.gaussian_filter(points, 4) * 2 * np.pi * 16


def fluorescence() -> NDArray[np.uint8]:
    noise = np.random.default_rng(1).normal(0, 3, SHAPE)
    return (20 + 150 * np.minimum(blobs(), 1) + noise).clip(0, 255).astype(np.uint8)


def section() -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """A picture of as much hematoxylin and eosin as is known, and how much hematoxylin."""
    amounts = np.zeros((*SHAPE, 3))
    amounts[..., 0] = 0.12 * np.minimum(blobs(25), 1)
    amounts[..., 1] = 0.06 * np.minimum(ndimage.gaussian_filter(blobs(25), 5), 1)
    return (255 * hed2rgb(amounts)).round().astype(np.uint8), amounts[..., 0]


# Dark cells on a bright background


def test_only_dark_cells_are_turned_over(tmp_path: Path) -> None:
    bright = fluorescence()
    np.save(tmp_path / "bright.npy", bright)
    image = read_image(tmp_path / "bright.npy")
    assert not image.inverted
    np.testing.assert_array_equal(image.pixels[..., 0], bright)
    np.save(tmp_path / "dark.npy", 255 - bright)
    image = read_image(tmp_path / "dark.npy")
    assert image.inverted
    np.testing.assert_array_equal(image.pixels[..., 0], bright - bright.min())


def test_parts_of_a_mosaic_that_were_not_imaged_are_neither_dark_nor_bright(
    tmp_path: Path,
) -> None:
    bright = np.tile(fluorescence(), (3, 2))
    nothing = (slice(0, 150), slice(0, 160))
    for name, field in (("bright", bright), ("dark", 255 - bright)):
        field[nothing] = 0
        np.save(tmp_path / f"{name}.npy", field)
    image = read_image(tmp_path / "bright.npy")
    assert not image.inverted
    turned = read_image(tmp_path / "dark.npy")
    assert turned.inverted
    assert not turned.pixels[nothing].any()
    imaged = np.ones(bright.shape, bool)
    imaged[nothing] = False
    np.testing.assert_array_equal(turned.pixels[imaged, 0], bright[imaged] - bright[imaged].min())


def test_the_caller_knows_better(tmp_path: Path) -> None:
    bright = fluorescence()
    for pixels in (bright, 255 - bright):
        np.save(tmp_path / "a.npy", pixels)
        kept = read_image(tmp_path / "a.npy", inverted=False)
        np.testing.assert_array_equal(kept.pixels[..., 0], pixels)
        turned = read_image(tmp_path / "a.npy", inverted=True)
        np.testing.assert_array_equal(turned.pixels[..., 0], pixels.max() - pixels)
        assert (kept.inverted, turned.inverted) == (False, True)


def test_a_tiff_in_which_white_is_zero(tmp_path: Path) -> None:
    # What counts is how it is shown, and that is turned over already.
    path, bright = tmp_path / "a.tif", fluorescence()
    tifffile.imwrite(path, 255 - bright, photometric="miniswhite")
    image = read_image(path)
    assert not image.inverted
    np.testing.assert_array_equal(image.pixels[..., 0], bright - bright.min())
    tifffile.imwrite(path, bright, photometric="miniswhite")
    image = read_image(path)
    assert image.inverted
    np.testing.assert_array_equal(image.pixels[..., 0], bright)
    np.testing.assert_array_equal(read_labels(path), bright)


def test_channels_told_apart_by_the_file_are_not_judged(tmp_path: Path) -> None:
    dark = 255 - fluorescence()
    np.savez(tmp_path / "a.npz", image=np.stack([dark, dark], axis=2), channels=["a", "DNA"])
    assert not read_image(tmp_path / "a.npz").inverted
    assert read_image(tmp_path / "a.npz", inverted=True).inverted


@pytest.mark.parametrize("turn", [False, True])
def test_colour_of_a_bright_field_microscope(tmp_path: Path, turn: bool) -> None:
    gray = 255 - fluorescence() if turn else fluorescence()
    lamp = np.array([1, 0.97, 0.9])
    Picture.fromarray((gray[..., None] * lamp).astype(np.uint8)).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert (image.inverted, image.channels) == (turn, ("red", "green", "blue"))


def test_real_images_are_turned_over_only_where_they_are_inverted(shared_data: Path) -> None:
    for file in sorted(shared_data.glob("*/*.npz")):
        with np.load(file, allow_pickle=False) as stored:
            image = stored["image"]
        for index in range(image.shape[2]):
            channel = image[..., index : index + 1]
            assert not dark_on_bright(channel), (file.name, index)
            assert dark_on_bright(channel.max() - channel), (file.name, index)


def test_the_sample_is_not_turned_over() -> None:
    pixels = sample().pixels
    assert not any(dark_on_bright(pixels[..., [index]]) for index in range(pixels.shape[2]))


def test_cells_that_fill_the_image_are_not_its_background() -> None:
    # Most of it is bright, but not smooth: these are cells with gaps between them.
    rng = np.random.default_rng(0)
    full = 1 - np.minimum(blobs(25), 1) + ndimage.gaussian_filter(rng.normal(0, 4, SHAPE), 3)
    full[blobs(25) > 0.5] = 0
    assert not dark_on_bright(full[..., None])


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 3), (40, 2)])
def test_tiny_pictures_are_judged_without_complaint(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 9, (*shape, 1))
    assert dark_on_bright(pixels) in (True, False)


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (np.array([250, 10], np.uint8), np.array([0, 240], np.uint8)),
        (np.array([-128, 127], np.int8), np.array([255, 0], np.uint8)),
        (np.array([-(2**63), 2**63 - 1]), np.array([2**64 - 1, 0], np.uint64)),
        (np.array([False, True]), np.array([1, 0], np.uint8)),
        (np.array([-0.5, 2], np.float32), np.array([2.5, 0], np.float32)),
        (np.array([-3e38, 3e38], np.float32), np.array([3e38, 0], np.float32)),
    ],
)
def test_turning_over_any_data_type(pixels: NDArray[np.generic], expected) -> None:
    brightest = pixels.max(axis=(0,), keepdims=True)
    seen = Appearance(inverted=True, brightest=brightest, nothing=(None,))
    turned = seen.of(pixels[:, None, None])[:, 0, 0]
    np.testing.assert_array_equal(turned, expected)
    assert turned.dtype == expected.dtype


# Stained sections


def test_a_section_gets_the_channels_of_its_stains(tmp_path: Path) -> None:
    rgb, hematoxylin = section()
    Picture.fromarray(rgb).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.channels == ("density", "hematoxylin", "red", "green", "blue")
    assert (image.cell, image.nucleus, image.inverted) == ((0,), 1, True)
    np.testing.assert_array_equal(image.pixels[..., 2:], rgb)
    # As much as was put in, but for the 8 bits of the picture.
    found = image.channel("hematoxylin").astype(float)
    expected = hematoxylin * 6 / DENSEST * 255
    assert np.abs(found - expected).max() < 5
    # Where a mosaic of them was not imaged it is black, and there is no stain.
    mosaic = np.tile(rgb, (3, 3, 1))
    mosaic[: len(rgb), : rgb.shape[1]] = 0
    Picture.fromarray(mosaic).save(tmp_path / "m.png")
    of_mosaic = read_image(tmp_path / "m.png")
    assert of_mosaic.stained
    assert not of_mosaic.pixels[: len(rgb), : rgb.shape[1]].any()
    np.testing.assert_array_equal(
        of_mosaic.pixels[len(rgb) : 2 * len(rgb), : rgb.shape[1]], image.pixels
    )
    white = np.zeros((1, 1, 3), np.uint8) + 255
    assert with_stains(white, nothing=[None])[0, 0].tolist() == [0, 0, 255, 255, 255]
    assert with_stains(white * 0, nothing=[None])[0, 0, 0] == 255
    plain = read_image(tmp_path / "a.png", stained=False, inverted=False)
    np.testing.assert_array_equal(plain.pixels, rgb)
    with pytest.raises(ValueError, match=r"^a\.png: needs .* more than the limit"):
        read_image(tmp_path / "a.png", max_bytes=rgb.nbytes)


def test_a_section_in_16_bits() -> None:
    rgb, _ = section()
    assert is_stained(rgb)
    assert is_stained(rgb.astype(np.uint16) * 257)
    coarse, fine = (with_stains(one, nothing=[None]) for one in (rgb, rgb.astype(np.uint16) * 257))
    np.testing.assert_allclose(fine / 257, coarse, atol=0.6)


def test_what_is_no_section() -> None:
    gray = fluorescence()
    dark = np.stack([gray, gray // 2, gray[::-1]], axis=-1)
    assert not is_stained(dark)
    # Bright, but of one colour.
    assert not is_stained(np.stack([255 - gray] * 3, axis=-1))
    rng = np.random.default_rng(0)
    assert not is_stained(rng.integers(0, 256, (*SHAPE, 3), np.uint8))
    assert not is_stained(np.full((5, 5, 3), 255, np.uint8))


def test_stains_need_colour(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", fluorescence())
    with pytest.raises(ValueError, match=r"^a\.npy: has 1 channel.*leave stained out"):
        read_image(tmp_path / "a.npy", stained=True)


# Colours of TIFF files


def test_a_palette_is_colours_for_an_image_and_numbers_for_labels(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    picture = Picture.fromarray(rgb).quantize(16)
    for name in ("a.tif", "a.png"):
        picture.save(tmp_path / name)
        colours = read_image(tmp_path / name)
        np.testing.assert_array_equal(colours.pixels, np.asarray(picture.convert("RGB")))
        assert colours.channels == ("red", "green", "blue")
        np.testing.assert_array_equal(read_labels(tmp_path / name), np.asarray(picture))
        assert read_markers(tmp_path / name, blank((20, 30))).max() == 15


def test_cmyk_and_gray_with_transparency(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    print_colours = Picture.fromarray(rgb).convert("CMYK")
    print_colours.save(tmp_path / "a.tif")
    found = read_image(tmp_path / "a.tif", stained=False).pixels.astype(int)
    assert np.abs(found - np.asarray(print_colours.convert("RGB"))).max() <= 1
    picture = Picture.fromarray(rgb).convert("LA")
    picture.save(tmp_path / "a.tif")
    np.testing.assert_array_equal(
        read_image(tmp_path / "a.tif").pixels, np.asarray(picture)[..., :1]
    )


def test_how_imagej_displayed_a_channel_is_not_what_was_measured(tmp_path: Path) -> None:
    path, gray = tmp_path / "a.tif", fluorescence()
    ramp = np.arange(65536, step=257, dtype=np.uint16)
    green = np.stack([ramp * 0, ramp, ramp * 0])
    tifffile.imwrite(
        path,
        gray,
        photometric="palette",
        colormap=green,
        description="ImageJ=1.54f\n",
        metadata=None,
    )
    np.testing.assert_array_equal(read_image(path).pixels[..., 0], gray)
