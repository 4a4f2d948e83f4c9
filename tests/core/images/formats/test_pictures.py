"""BMP, GIF, WebP, JPEG 2000, 16-bit colour PNG, animated pictures, and pictures that are turned."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image as Picture
from PIL import ImageOps
from small_files import turned

from cellcutter_core.images.guesses.appearance import Appearance
from cellcutter_core.images.read_image import read_image, read_pixels

RNG = np.random.default_rng(0)
GRAY8 = RNG.integers(0, 256, (20, 30), np.uint8)
RGB8 = RNG.integers(0, 256, (20, 30, 3), np.uint8)
GRAY16 = RNG.integers(0, 65536, (20, 30), np.uint16)
RGB16 = RNG.integers(0, 65536, (20, 30, 3), np.uint16)
RGBA16 = RNG.integers(0, 65536, (20, 30, 4), np.uint16)

BY_PILLOW = {
    "gray.bmp": (GRAY8, {}),
    "rgb.bmp": (RGB8, {}),
    "gray.gif": (GRAY8, {}),
    "gray.webp": (GRAY8, {"lossless": True}),
    "rgb.webp": (RGB8, {"lossless": True}),
    "gray.jp2": (GRAY8, {}),
    "gray16.jp2": (GRAY16, {}),
    "rgb.jp2": (RGB8, {}),
    "rgb.j2k": (RGB8, {}),
}


@pytest.mark.parametrize("name", BY_PILLOW)
def test_pictures_of_every_kind_keep_their_numbers(tmp_path: Path, name: str) -> None:
    pixels, options = BY_PILLOW[name]
    Picture.fromarray(pixels).save(tmp_path / name, **options)
    image = read_image(tmp_path / name, inverted=False)
    np.testing.assert_array_equal(image.pixels.squeeze(), pixels)
    assert image.pixels.dtype == pixels.dtype
    assert image.channels == (("gray",) if pixels.ndim == 2 else ("red", "green", "blue"))
    # A region is one of the picture as it is seen, and what it is called does not matter.
    (tmp_path / name).rename(tmp_path / "a.tif")
    part = read_image(tmp_path / "a.tif", inverted=False, region=(2, 3, 18, 29)).pixels
    np.testing.assert_array_equal(part.squeeze(), pixels[2:18, 3:29])
    with pytest.raises(ValueError, match=r"^a\.tif: needs .*, more than the limit"):
        read_image(tmp_path / "a.tif", max_bytes=500)


@pytest.mark.parametrize("codec", ["png", "jp2", "j2k"])
@pytest.mark.parametrize("pixels", [GRAY16, RGB16, RGBA16], ids=["gray", "rgb", "rgba"])
def test_16_bits_stay_16_bits_in_every_colour(
    tmp_path: Path, codec: str, pixels: np.ndarray
) -> None:
    path = tmp_path / f"a.{codec}"
    path.write_bytes(
        imagecodecs.png_encode(pixels)
        if codec == "png"
        else imagecodecs.jpeg2k_encode(pixels, codecformat=codec, reversible=True)
    )
    found = read_image(path, inverted=False).pixels
    assert found.dtype == np.uint16
    # Transparency is dropped.
    np.testing.assert_array_equal(found.squeeze(), pixels[..., :3] if pixels.ndim == 3 else pixels)


def test_png_of_16_bits_gray_with_transparency(tmp_path: Path) -> None:
    pixels = np.ascontiguousarray(RGBA16[..., :2])
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(pixels))
    found = read_image(tmp_path / "a.png", inverted=False).pixels
    np.testing.assert_array_equal(found, pixels[..., :1])


def test_a_palette_of_bmp_and_gif_is_colour(tmp_path: Path) -> None:
    picture = Picture.fromarray(RGB8).quantize(16)
    for name in ("a.bmp", "a.gif"):
        picture.save(tmp_path / name)
        found = read_image(tmp_path / name, inverted=False, stained=False).pixels
        np.testing.assert_array_equal(found, np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize("kind", ["gif", "png", "webp"])
def test_of_an_animated_picture_a_frame_is_asked_for(tmp_path: Path, kind: str) -> None:
    frames = RNG.integers(0, 256, (4, 20, 30), np.uint8)
    first, *rest = (Picture.fromarray(frame) for frame in frames)
    options = {"lossless": True} if kind == "webp" else {}
    path = tmp_path / f"a.{kind}"
    first.save(path, save_all=True, append_images=rest, **options)
    with pytest.raises(
        ValueError, match=rf"^a\.{kind}: is a stack with axes TYXC .* give t=0 to 3$"
    ):
        read_image(path)
    for number, frame in enumerate(frames):
        found = read_image(path, t=number, inverted=False).pixels
        np.testing.assert_array_equal(found[..., 0], frame)
        assert found.shape[2] == 1
    # Asked for a plane, the frames are planes.
    part = read_image(path, z="max", region=(2, 3, 18, 29), inverted=False)
    np.testing.assert_array_equal(part.pixels[..., 0], frames.max(0)[2:18, 3:29])
    assert (part.origin, part.whole_shape) == ((2, 3), (20, 30))
    with pytest.raises(ValueError, match=r"t is 4, .*allowed is 0 to 3"):
        read_image(path, t=4)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tif"])
def test_a_picture_is_turned_as_it_says(tmp_path: Path, kind: str, orientation: int) -> None:
    """As viewers show it; a region is one of what is seen."""
    path = tmp_path / f"a.{kind}"
    options = {"lossless": True} if kind == "webp" else {}
    Picture.fromarray(RGB8).save(path, exif=turned(orientation), **options)
    with Picture.open(path) as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    assert expected.shape[:2] == ((20, 30) if orientation < 5 else (30, 20))
    image = read_image(path, inverted=False, stained=False)
    np.testing.assert_array_equal(image.pixels, expected)
    part = read_image(path, inverted=False, stained=False, region=(1, 2, 16, 19))
    np.testing.assert_array_equal(part.pixels, expected[1:16, 2:19])
    assert (part.origin, part.whole_shape) == ((1, 2), expected.shape[:2])
    again = read_pixels(path, Appearance(), region=(1, 2, 16, 19))
    np.testing.assert_array_equal(again, expected[1:16, 2:19])


@pytest.mark.parametrize("options", [{}, {"tile": (16, 16), "compression": "zlib"}])
@pytest.mark.parametrize("orientation", [3, 6, 7])
def test_a_stack_of_tiff_is_turned_too(
    tmp_path: Path, orientation: int, options: dict[str, object]
) -> None:
    stack = RNG.integers(0, 65536, (3, 20, 30), np.uint16)
    path = tmp_path / "a.tif"
    tags = [(274, "H", 1, orientation, True)]
    # As it lies there a pixel is 0.2 µm wide and 0.4 µm high.
    size = {"resolution": (1e4 / 0.2, 1e4 / 0.4), "resolutionunit": "CENTIMETER"}
    more = {"metadata": {"axes": "ZYX"}, "extratags": tags, **size, **options}
    tifffile.imwrite(path, stack, photometric="minisblack", **more)
    expected = {
        3: stack[:, ::-1, ::-1],
        6: np.rot90(stack, -1, (1, 2)),
        7: stack[:, ::-1, ::-1].swapaxes(1, 2),
    }[orientation]
    found = read_image(path, z=1, inverted=False).pixels[..., 0]
    np.testing.assert_array_equal(found, expected[1])
    region = (4, 2, 19, 17)
    part = read_image(path, z="max", inverted=False, region=region)
    np.testing.assert_array_equal(part.pixels[..., 0], expected.max(0)[4:19, 2:17])
    assert (part.origin, part.whole_shape) == ((4, 2), expected.shape[1:])
    sides = (0.4, 0.2) if orientation == 3 else (0.2, 0.4)
    assert part.pixel_size == pytest.approx(sides)
    reduced = read_image(path, z=0, inverted=False, reduced_to=10)
    np.testing.assert_array_equal(reduced.pixels[..., 0], expected[0, ::3, ::3])
    assert reduced.full_shape == expected.shape[1:]


def test_exif_that_is_damaged_is_no_reason_not_to_read(tmp_path: Path) -> None:
    Picture.fromarray(RGB8).save(tmp_path / "a.png", exif=b"Exif\0\0II*\0nothing of the kind")
    found = read_image(tmp_path / "a.png", inverted=False, stained=False).pixels
    np.testing.assert_array_equal(found, RGB8)
