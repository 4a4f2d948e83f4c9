"""Files written by other libraries, and files that are no image or a damaged one."""

import importlib.util
import io
import logging
import re
import struct
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Picture
from small_files import hdf5, mm_stack

from cellcutter_core.images.file_sets.given_files import scenes_of
from cellcutter_core.images.image import Image
from cellcutter_core.images.read_image import read_image
from cellcutter_core.images.reading.contents import Several, Unreadable
from cellcutter_core.images.reading.known_formats import endings, format_of
from cellcutter_core.limits import limits

DTYPES = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f4", "f8", ">u2", ">i4", ">f4", ">f8"]


def plane(dtype, *, shape=(20, 30), seed=0):
    """Pixels of any data type, none of them alike in all."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return rng.normal(size=shape).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype=dtype.newbyteorder("="))


# NumPy


@pytest.mark.parametrize("dtype", DTYPES)
def test_npy_keeps_every_data_type(tmp_path, dtype):
    np.save(tmp_path / "a.npy", pixels := plane(dtype))
    image = read_image(tmp_path / "a.npy")
    np.testing.assert_array_equal(image.pixels[..., 0], pixels)
    assert image.pixels.dtype == pixels.dtype.newbyteorder("=")


def test_npy_half_floats_and_bool(tmp_path):
    np.save(tmp_path / "a.npy", half := plane("f2"))
    np.testing.assert_array_equal(read_image(tmp_path / "a.npy").pixels[..., 0], half)
    np.save(tmp_path / "a.npy", half > 0)
    image = read_image(tmp_path / "a.npy")
    np.testing.assert_array_equal(image.pixels[..., 0], half > 0)
    assert image.pixels.dtype == np.uint8


@pytest.mark.parametrize(
    ("shape", "channels"),
    [
        ((20, 30), 1),
        ((20, 30, 1), 1),
        ((20, 30, 2), 2),
        ((2, 20, 30), 2),
        ((1, 20, 30), 1),
        ((20, 30, 8), 8),
        ((20, 30, 12), 12),
        ((5, 20, 4), 4),
    ],
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_channel_axis(tmp_path, shape, channels, order):
    pixels = plane("u2", shape=shape)
    np.save(tmp_path / "a.npy", np.asarray(pixels, order=order))
    image = read_image(tmp_path / "a.npy")
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    elif shape[-1] != channels:
        pixels = np.moveaxis(pixels, 0, 2)
    np.testing.assert_array_equal(image.pixels, pixels)


@pytest.mark.parametrize("suffix", ["npy", "npz", "tif", "h5"])
@pytest.mark.parametrize(
    "shape", [(1, 1, 5, 20, 30, 1), (1, 1, 20, 30), (1, 20, 30), (20, 30, 1, 1), (1, 20, 30, 3)]
)
def test_axes_of_length_1_say_nothing(tmp_path, shape, suffix):
    path, pixels = tmp_path / f"a.{suffix}", plane("u2", shape=shape)
    {
        "npy": lambda: np.save(path, pixels),
        "npz": lambda: np.savez(path, pixels),
        "tif": lambda: tifffile.imwrite(path, pixels, photometric="minisblack"),
        "h5": lambda: path.write_bytes(hdf5(a=pixels)),
    }[suffix]()
    if shape == (20, 30, 1, 1) and suffix == "tif":
        pytest.skip("are pages of one column to TIFF")
    found = read_image(path, inverted=False).pixels
    expected = pixels.squeeze()
    if expected.ndim == 3 and expected.shape[2] != 3:
        expected = np.moveaxis(expected, 0, 2)
    np.testing.assert_array_equal(found.squeeze(), expected)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(7), r"1 axis of lengths \(7,\)"),
        (np.zeros(()), r"0 axes of lengths \(\)"),
        (np.zeros((2, 3, 4, 5)), r"4 axes of lengths \(2, 3, 4, 5\)"),
        (np.zeros((2, 2, 3, 4, 5)), "5 axes"),
        # As well a stack of planes as anything else.
        (np.zeros((9, 20, 30)), r"3 axes of lengths \(9, 20, 30\)"),
        (np.zeros((0, 5)), r"empty, its shape is \(0, 5\)"),
        (np.zeros((5, 5), complex), "complex numbers"),
        (np.zeros((5, 5), object), "pickled"),
        (np.array([[{}, 1]]), "pickled"),
        (np.zeros((5, 5), "U3"), "<U3"),
        (np.zeros((5, 5), "S3"), r"\|S3"),
        (np.zeros((5, 5), "datetime64[s]"), "datetime64"),
        (np.zeros((5, 5), [("a", "u1")]), r"\('a', 'u1'\)"),
        (np.zeros((5, 5), np.longdouble), "longdouble|float128|float64"),
        (np.full((5, 5), 3.5), r"channel 0 \(gray\) is constant, every pixel is 3.5"),
        (np.array([[1, np.nan], [np.inf, 2]]), "2 pixel"),
        (np.array([[1, -np.inf], [3, 2]], "f2"), "1 pixel"),
        (np.array([[1, 1e39], [3, 2]]), "too large for 32-bit"),
    ],
)
@pytest.mark.parametrize("save", [np.save, np.savez, np.savez_compressed])
def test_arrays_that_are_no_image(tmp_path, save, array, message):
    if array.dtype == np.longdouble and array.dtype.itemsize == 8:
        message = "constant"
    path = tmp_path / ("a.npy" if save is np.save else "a.npz")
    save(path, array)
    with pytest.raises(ValueError, match=f"^{path.name}: .*({message})"):
        read_image(path)


def test_pickles_are_never_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "opened",))

    traps = np.array([[Trap(), Trap()]])
    np.save(tmp_path / "a.npy", traps)
    np.savez(tmp_path / "a.npz", image=traps)
    for name in ("a.npy", "a.npz"):
        with pytest.raises(ValueError, match="pickled"):
            read_image(tmp_path / name)
    assert not (tmp_path / "opened").exists()


# PNG and JPEG

RGB = plane("u1", shape=(20, 30, 3))


def save_picture(folder, picture, *, name="a.png", **options):
    path = folder / name
    if not isinstance(picture, Picture.Image):
        picture = Picture.fromarray(picture)
    picture.save(path, **options)
    return path


@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_png_gray(tmp_path, dtype):
    image = read_image(save_picture(tmp_path, pixels := plane(dtype)))
    np.testing.assert_array_equal(image.pixels[..., 0], pixels)
    assert image.pixels.dtype == pixels.dtype
    assert image.channels == ("gray",)


def test_png_one_bit(tmp_path):
    image = read_image(save_picture(tmp_path, bits := plane("u1") > 99))
    np.testing.assert_array_equal(image.pixels[..., 0], bits)
    assert image.pixels.dtype == np.uint8


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_png_colour(tmp_path, mode):
    picture = Picture.fromarray(RGB)
    if mode == "RGBA":
        picture.putalpha(Picture.fromarray(plane("u1", seed=1)))
    image = read_image(save_picture(tmp_path, picture))
    np.testing.assert_array_equal(image.pixels, RGB)
    assert image.channels == ("red", "green", "blue")


def test_png_gray_with_transparency(tmp_path):
    picture = Picture.fromarray(RGB[..., 0])
    picture.putalpha(Picture.fromarray(RGB[..., 1]))
    assert picture.mode == "LA"
    image = read_image(save_picture(tmp_path, picture))
    np.testing.assert_array_equal(image.pixels[..., 0], RGB[..., 0])


@pytest.mark.parametrize("options", [{}, {"transparency": bytes(range(16))}])
def test_png_palette(tmp_path, options):
    picture = Picture.fromarray(RGB).quantize(16)
    image = read_image(save_picture(tmp_path, picture, **options))
    np.testing.assert_array_equal(image.pixels, np.asarray(picture.convert("RGB")))


def test_gray_in_a_colour_picture(tmp_path):
    gray = np.repeat(RGB[..., :1], 3, axis=2)
    image = read_image(save_picture(tmp_path, gray))
    np.testing.assert_array_equal(image.pixels, gray[..., :1])


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg(tmp_path, mode):
    path = save_picture(tmp_path, Picture.fromarray(RGB).convert(mode), name="a.jpg")
    image = read_image(path)
    with Picture.open(path) as picture:
        assert picture.mode == mode
        expected = np.asarray(picture if mode == "L" else picture.convert("RGB"))
    np.testing.assert_array_equal(image.pixels, expected.reshape(20, 30, -1))


def png_chunk(kind, data):
    crc = zipfile.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


def test_png_with_16_bits_a_colour(tmp_path):
    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    data = zipfile.zlib.compress(b"\0" + bytes(range(12)))
    chunks = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks))
    # Pillow reads the upper 8 of them.
    image = read_image(path, inverted=False)
    assert image.pixels.tolist() == [[[1, 0x203, 0x405], [0x607, 0x809, 0xA0B]]]
    assert image.channels == ("red", "green", "blue")


def test_png_with_a_wrong_checksum(tmp_path):
    path = save_picture(tmp_path, plane("u1"))
    data = bytearray(path.read_bytes())
    # The checksum of the pixels comes before the last chunk, which has 12 bytes.
    data[-13] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"^a\.png: cannot be read, .*checksum"):
        read_image(path)


# TIFF


def save_tiff(folder, pixels, **options):
    path = folder / "a.tif"
    tifffile.imwrite(path, pixels, **options)
    return path


@pytest.mark.parametrize("dtype", DTYPES)
def test_tiff_keeps_every_data_type(tmp_path, dtype):
    pixels = plane(dtype)
    byteorder = ">" if dtype.startswith(">") else "<"
    image = read_image(save_tiff(tmp_path, pixels, byteorder=byteorder))
    np.testing.assert_array_equal(image.pixels[..., 0], pixels)
    assert image.pixels.dtype == pixels.dtype.newbyteorder("=")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib"},
        {"tile": (16, 16)},
        {"tile": (16, 16), "compression": "zlib"},
        {"rowsperstrip": 3},
        {"bigtiff": True},
        {"metadata": None},
    ],
)
def test_tiff_storage(tmp_path, options):
    image = read_image(save_tiff(tmp_path, pixels := plane("u2"), **options))
    np.testing.assert_array_equal(image.pixels[..., 0], pixels)


def test_tiff_bits(tmp_path):
    bits = plane("u1") > 99
    path = tmp_path / "a.tif"
    Picture.fromarray(bits).save(path)
    np.testing.assert_array_equal(read_image(path).pixels[..., 0], bits)


# One plane of three channels, in each order in which it can lie in a file. The last two give their
# axes no meaning.
@pytest.mark.parametrize(
    ("order", "options"),
    [
        ((2, 0, 1), {"metadata": {"axes": "CYX"}}),
        ((0, 1, 2), {"metadata": {"axes": "YXC"}}),
        ((2, 0, 1), {"ome": True, "metadata": {"axes": "CYX"}}),
        ((2, 0, 1), {"imagej": True, "metadata": {"axes": "CYX"}}),
        ((0, 1, 2), {"photometric": "rgb"}),
        ((2, 0, 1), {"photometric": "rgb", "planarconfig": "separate"}),
        ((2, 0, 1), {}),
        ((0, 1, 2), {}),
    ],
)
def test_tiff_channel_axis(tmp_path, order, options):
    pixels = plane("u2", shape=(20, 30, 3))
    options = {"photometric": "minisblack"} | options
    image = read_image(
        save_tiff(tmp_path, np.ascontiguousarray(pixels.transpose(order)), **options)
    )
    np.testing.assert_array_equal(image.pixels, pixels)
    rgb = options.get("photometric") == "rgb"
    assert (image.channels == ("red", "green", "blue")) is rgb


@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_tiff_colour_drops_alpha(tmp_path, dtype):
    pixels = plane(dtype, shape=(20, 30, 4))
    if dtype == "u2":
        pixels[..., 3] = 65535
    path = save_tiff(tmp_path, pixels, photometric="rgb", extrasamples=["unassalpha"])
    np.testing.assert_array_equal(read_image(path).pixels, pixels[..., :3])


def test_four_channels_written_as_colour(tmp_path):
    # What tifffile makes of them on its own.
    path = save_tiff(tmp_path, pixels := plane("u2", shape=(20, 30, 4)))
    with tifffile.TiffFile(path) as tif:
        assert tif.pages.first.photometric == tifffile.PHOTOMETRIC.RGB
    np.testing.assert_array_equal(read_image(path).pixels, pixels)
    # Also in a region where the last of them shows nothing.
    pixels[:10, :10, 3] = 0
    path = save_tiff(tmp_path, pixels)
    part = read_image(path, region=(0, 0, 10, 10))
    np.testing.assert_array_equal(part.pixels, pixels[:10, :10])


def test_tiff_of_many_pages(tmp_path):
    pixels = plane("u2", shape=(4, 20, 30))
    path = tmp_path / "a.tif"
    first, *rest = (Picture.fromarray(page) for page in pixels)
    first.save(path, save_all=True, append_images=rest)
    np.testing.assert_array_equal(read_image(path).pixels, np.moveaxis(pixels, 0, 2))
    # A plane asked for says that the pages are planes.
    np.testing.assert_array_equal(read_image(path, z=2).pixels[..., 0], pixels[2])
    with pytest.raises(ValueError, match=r"^a\.tif: z is 4, .*0 to 3"):
        read_image(path, z=4)


def test_tiff_of_more_pages_than_channels(tmp_path):
    pixels = plane("u2", shape=(9, 20, 30))
    path = save_tiff(tmp_path, pixels, photometric="minisblack")
    with pytest.raises(ValueError, match=r"^a\.tif: has 9 pages .*give z=0 to 8, or z='max'"):
        read_image(path)
    np.testing.assert_array_equal(read_image(path, z="max").pixels[..., 0], pixels.max(0))


def test_imagej_metadata(tmp_path):
    pixels = plane("u2", shape=(2, 20, 30))
    path = save_tiff(
        tmp_path,
        pixels,
        imagej=True,
        resolution=(3.1, 3.1),
        metadata={"axes": "CYX", "unit": "um", "Labels": ["DAPI", "GFP"]},
    )
    image = read_image(path)
    assert image.channels == ("DAPI", "GFP")
    assert (image.cell, image.nucleus) == ((1,), 0)
    assert image.pixel_size == pytest.approx(1 / 3.1)


@pytest.mark.parametrize(
    ("unit", "size"),
    [("\\u00B5m", 0.5), ("micron", 0.5), ("nm", 5e-4), ("cm", 5000), ("inch", 12700), ("px", None)],
)
def test_imagej_units(tmp_path, unit, size):
    metadata = {"unit": unit}
    path = save_tiff(tmp_path, plane("u1"), imagej=True, resolution=(2, 2), metadata=metadata)
    assert read_image(path).pixel_size == (size and pytest.approx(size))


def test_dots_per_inch_are_no_pixel_size(tmp_path):
    path = save_tiff(tmp_path, plane("u1"), resolution=(72, 72), resolutionunit="inch")
    assert read_image(path).pixel_size is None


def test_ome_metadata(tmp_path):
    pixels = plane("u2", shape=(2, 20, 30))
    metadata = {
        "axes": "CYX",
        "Channel": {"Name": ["membrane", "Höchst or Hoechst"]},
        "PhysicalSizeX": 325,
        "PhysicalSizeXUnit": "nm",
    }
    image = read_image(save_tiff(tmp_path, pixels, ome=True, metadata=metadata))
    np.testing.assert_array_equal(image.pixels, np.moveaxis(pixels, 0, 2))
    assert image.channels == ("membrane", "Höchst or Hoechst")
    assert (image.cell, image.nucleus) == ((0,), 1)
    assert image.pixel_size == pytest.approx(0.325)


def test_ome_without_names(tmp_path):
    pixels = plane("u2", shape=(2, 20, 30))
    metadata = {"axes": "CYX", "PhysicalSizeX": 0.5}
    image = read_image(save_tiff(tmp_path, pixels, ome=True, metadata=metadata))
    assert image.channels == ("channel 0", "channel 1")
    assert image.nucleus == 1
    assert image.pixel_size == 0.5


@pytest.mark.parametrize("kind", ["imagej", "ome"])
def test_a_hyperstack(tmp_path, kind):
    pixels = plane("u2", shape=(3, 4, 2, 20, 30))
    path = save_tiff(tmp_path, pixels, metadata={"axes": "TZCYX"}, **{kind: True})
    last = np.moveaxis(pixels, 2, -1)
    np.testing.assert_array_equal(read_image(path, t=2, z=1).pixels, last[2, 1])
    np.testing.assert_array_equal(read_image(path, t="0", z="3").pixels, last[0, 3])
    np.testing.assert_array_equal(read_image(path, t=1, z="max").pixels, last[1].max(0))
    stack = r"^a\.tif: is a stack with axes TZCYX of lengths \(3, 4, 2, 20, 30\).*"
    for arguments, missing in [
        ({}, r"give z=0 to 3, or z='max' for the maximum projection and t=0 to 2$"),
        ({"z": 0}, "give t=0 to 2$"),
        ({"t": 0}, "give z=0 to 3, or z='max' for the maximum projection$"),
    ]:
        with pytest.raises(ValueError, match=stack + missing):
            read_image(path, **arguments)
    with pytest.raises(ValueError, match=r"t is 3, .*allowed is 0 to 2"):
        read_image(path, t=3, z=0)


@pytest.mark.parametrize(
    "plane_choice",
    [
        *({"z": -1}, {"z": "min"}, {"z": 1.0}, {"z": True}, {"t": "max"}, {"z": ""}),
        *({"scene": -1}, {"scene": "max"}, {"scene": True}, {"scene": ""}, {"z": np.bool_(True)}),
        {"z": np.float64(1)},
    ],
)
def test_a_plane_that_is_none(tmp_path, plane_choice):
    path = save_tiff(tmp_path, plane("u1"))
    with pytest.raises(ValueError, match=r"^a\.tif: (z|t|scene) is .*allowed is an index from 0"):
        read_image(path, **plane_choice)


@pytest.mark.parametrize("name", ["a.npy", "a.png", "a.tif"])
def test_a_plane_of_an_image_with_one(tmp_path, name):
    path = tmp_path / name
    pixels = plane("u1")
    if name == "a.npy":
        np.save(path, pixels)
    else:
        Picture.fromarray(pixels).save(path)
    for choice in (0, "max"):
        np.testing.assert_array_equal(read_image(path, z=choice).pixels[..., 0], pixels)
    np.testing.assert_array_equal(read_image(path, scene=0).pixels[..., 0], pixels)
    with pytest.raises(ValueError, match="z is 1"):
        read_image(path, z=1)
    with pytest.raises(ValueError, match=r"scene is 1, but the file holds 1 image\(s\)"):
        read_image(path, scene=1)


def test_a_thumbnail_is_not_asked_about_but_can_be_chosen(tmp_path):
    path = tmp_path / "a.tif"
    thumbnail, pixels = plane("u1", shape=(5, 5)), plane("u2")
    copy = plane("u2", shape=(14, 21))
    with tifffile.TiffWriter(path) as tif:
        tif.write(thumbnail, metadata=None)
        tif.write(pixels, metadata=None)
        # Not that small, but said to be a copy.
        tif.write(copy, metadata=None, subfiletype=1)
    np.testing.assert_array_equal(read_image(path).pixels[..., 0], pixels)
    for scene, expected in enumerate((pixels, thumbnail, copy)):
        found = read_image(path, scene=scene, inverted=False).pixels[..., 0]
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match=r"the file holds 3 image\(s\); allowed is 0 to 2$"):
        read_image(path, scene=3)


@pytest.mark.parametrize("kind", ["ome", "shaped", "plain"])
def test_images_of_unlike_size_are_asked_about(tmp_path, kind):
    """A smaller one may be a stack with more pixels than a larger plane."""
    path = tmp_path / "a.tif"
    large, stack = plane("u2", shape=(192, 180)), plane("u2", shape=(9, 96, 90))
    small = plane("u2", shape=(48, 60))
    with tifffile.TiffWriter(path, ome=kind == "ome") as tif:
        for pixels in (large, stack, small) if kind != "plain" else (large, stack[0], small):
            axes = {"axes": "YX" if pixels.ndim == 2 else "ZYX"}
            tif.write(pixels, metadata=None if kind == "plain" else axes, photometric="minisblack")
    listed = r"192 × 180, .*96 × 90, .*48 × 60"
    with pytest.raises(Several, match=rf"holds 3 separate images \(.*{listed}\).*scene=0 to 2$"):
        read_image(path)
    np.testing.assert_array_equal(read_image(path, scene=0).pixels[..., 0], large)
    plane_of = {} if kind == "plain" else {"z": 0}
    np.testing.assert_array_equal(read_image(path, scene=1, **plane_of).pixels[..., 0], stack[0])
    np.testing.assert_array_equal(read_image(path, scene=2).pixels[..., 0], small)
    assert scenes_of(path) == [0, 1, 2]


def test_positions_of_micro_manager_are_images(tmp_path):
    path = tmp_path / "a_MMStack.tif"
    pixels = plane("u2", shape=(3, 2, 20, 30))
    path.write_bytes(mm_stack(pixels))
    with tifffile.TiffFile(path) as tif:
        assert [(series.kind, series.axes) for series in tif.series] == [("mmstack", "RZYX")]
    with pytest.raises(Several, match=r"holds 3 separate images .*position 2\), .*scene=0 to 2$"):
        read_image(path)
    with pytest.raises(ValueError, match=r"stack with axes ZYX .* give z=0 to 1"):
        read_image(path, scene=2)
    for scene in range(3):
        found = read_image(path, scene=scene, z=1).pixels[..., 0]
        np.testing.assert_array_equal(found, pixels[scene, 1])
        found = read_image(path, scene=scene, z="max", region=(2, 3, 18, 29)).pixels[..., 0]
        np.testing.assert_array_equal(found, pixels[scene, :, 2:18, 3:29].max(0))
    assert scenes_of(path) == [0, 1, 2]


def test_tiff_with_several_positions(tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path, ome=True) as tif:
        tif.write(plane("u2", shape=(5, 5)), metadata={"Name": "label", "PhysicalSizeX": 9.0})
        for seed in range(3):
            about = {"Name": f"well {seed}", "axes": "CYX", "PhysicalSizeX": 0.5 + seed}
            names = {"Name": [f"membrane {seed}", "DAPI"]}
            pixels = plane("u2", shape=(2, 20, 30), seed=seed)
            tif.write(pixels, metadata={**about, "Channel": names})
    message = r"^a\.tif: holds 3 separate images \(well 0, well 1, well 2\), .*give scene=0 to 2$"
    with pytest.raises(ValueError, match=message):
        read_image(path)
    for seed in range(3):
        image = read_image(path, scene=seed)
        expected = plane("u2", shape=(2, 20, 30), seed=seed)
        np.testing.assert_array_equal(image.pixels, np.moveaxis(expected, 0, 2))
        assert image.channels == (f"membrane {seed}", "DAPI")
        assert image.pixel_size == 0.5 + seed
    region = read_image(path, scene=2, region=(3, 4, 18, 29)).pixels
    np.testing.assert_array_equal(region, image.pixels[3:18, 4:29])
    # The label of the slide comes after them.
    assert read_image(path, scene=3).shape == (5, 5)
    with pytest.raises(ValueError, match=r"scene is 4, .* 4 image\(s\); allowed is 0 to 3$"):
        read_image(path, scene=4)


def test_one_plane_of_one_of_several_stacks(tmp_path):
    path = tmp_path / "a.tif"
    stacks = [plane("u2", shape=(4, 20, 30), seed=seed) for seed in range(2)]
    with tifffile.TiffWriter(path, ome=True) as tif:
        for stack in stacks:
            tif.write(stack, metadata={"axes": "ZYX"})
    np.testing.assert_array_equal(read_image(path, scene=1, z=2).pixels[..., 0], stacks[1][2])
    projected = read_image(path, scene=1, z="max").pixels[..., 0]
    np.testing.assert_array_equal(projected, stacks[1].max(0))
    with pytest.raises(ValueError, match="give z=0 to 3"):
        read_image(path, scene=1)


@pytest.mark.parametrize(
    ("pixels", "options", "message"),
    [
        (plane("f4").astype(complex), {}, "complex"),
        (plane("u1", shape=(2, 20, 30)), {"metadata": {"axes": "HYX"}}, "axis H of length 2"),
        (plane("u1", shape=(2, 5, 20, 30)), {}, "does not say what its axes are"),
        (plane("u1", shape=(2, 20, 30, 3)), {"photometric": "rgb"}, "is a stack with axes ZYXS"),
        (np.full((20, 30), np.nan, "f4"), {}, "600 pixel"),
        (np.full((20, 30), 4), {}, "constant"),
    ],
)
def test_tiff_that_is_no_image(tmp_path, pixels, options, message):
    path = save_tiff(tmp_path, pixels, **options)
    with pytest.raises(ValueError, match=rf"^a\.tif: .*{message}"):
        read_image(path)


def test_tiff_compressed_with_lzw(tmp_path):
    path = tmp_path / "a.tif"
    Picture.fromarray(pixels := plane("u2")).save(path, compression="tiff_lzw")
    if importlib.util.find_spec("imagecodecs"):
        np.testing.assert_array_equal(read_image(path).pixels[..., 0], pixels)
    else:
        with pytest.raises(ValueError, match=r"^a\.tif: is compressed with LZW, .*imagecodecs"):
            read_image(path)


@pytest.mark.parametrize("compression", ["lzw", "deflate", "packbits", "zstd", "lzma"])
@pytest.mark.parametrize("options", [{}, {"tile": (16, 16), "bigtiff": True}])
def test_tiff_compressions(tmp_path, compression, options):
    pixels = plane("u2", shape=(2, 20, 30))
    metadata = {"axes": "CYX"}
    path = save_tiff(tmp_path, pixels, compression=compression, metadata=metadata, **options)
    np.testing.assert_array_equal(read_image(path).pixels, np.moveaxis(pixels, 0, 2))


def test_tiff_compressed_with_jpeg(tmp_path):
    rows, columns = np.mgrid[:64, :64].astype(np.uint8) * 2
    rgb = np.stack([rows, columns, rows // 2 + 60], axis=-1)
    path = save_tiff(tmp_path, rgb, compression="jpeg", tile=(32, 32), photometric="rgb")
    image = read_image(path, stained=False, inverted=False)
    assert np.abs(image.pixels.astype(int) - rgb).max() < 12
    assert image.channels == ("red", "green", "blue")


def test_a_stack_of_colour_pictures(tmp_path):
    pixels = plane("u1", shape=(4, 20, 30, 3))
    path = save_tiff(tmp_path, pixels, imagej=True, metadata={"axes": "ZYXS"})
    image = read_image(path, z=2)
    np.testing.assert_array_equal(image.pixels, pixels[2])
    assert image.channels == ("red", "green", "blue")


# No image at all


def test_no_such_file(tmp_path):
    path = tmp_path / "none.tif"
    with pytest.raises(ValueError, match=rf"^none\.tif: no such file .*{re.escape(str(path))}"):
        read_image(str(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"x", "not an image in a known format"),
        (b"row,col\n1,2\n", "not an image in a known format"),
        (b"GIF89a" + bytes(20), "cannot be read, it may be damaged"),
        (
            b"%PDF-1.7" + bytes(20),
            "give TIFF, PNG, JPEG, BMP, GIF, WebP, JPEG 2000, npy, npz, zipped OME-Zarr, HDF5, "
            "ND2, CZI, LIF, or the folder",
        ),
        (b"BMI,x,y and z\n1,2\n", "not an image in a known format"),
        (b'{"type": "Point"}', "other JSON instead of an image"),
    ],
)
def test_not_an_image(tmp_path, content, message):
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"^a\.tif: .*{message}"):
        read_image(path)


def test_a_folder_and_a_name_that_cannot_be(tmp_path):
    with pytest.raises(ValueError, match=rf"^{tmp_path.name}: is a folder"):
        read_image(tmp_path)
    for name in ("a\0b.tif", "a" * 300):
        with pytest.raises(ValueError, match=r"^a[^\n]*: [^\n]+$"):
            read_image(tmp_path / name)


def test_messages_are_one_line_whatever_the_name(tmp_path):
    path = tmp_path / "two\nlines.tif"
    path.write_bytes(b"x")
    with pytest.raises(ValueError, match=r"^two lines\.tif: [^\n]*$"):
        read_image(path)


def test_a_zip_archive_of_something_else(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("readme.txt", "no arrays")
    with pytest.raises(ValueError, match=r"^a\.npz: is a zip archive of readme.txt; unpack it"):
        read_image(tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "tiffs.zip", "w") as archive:
        for number in range(30):
            archive.writestr(f"field {number}.tif", b"II*\0")
    message = r"^tiffs\.zip: is a zip archive of field 0\.tif, field 1\.tif.* …; unpack it and give"
    with pytest.raises(ValueError, match=message):
        read_image(tmp_path / "tiffs.zip")


def test_the_name_of_a_file_does_not_matter(tmp_path):
    path = tmp_path / "picture.jpg"
    tifffile.imwrite(path, pixels := plane("u2"))
    np.testing.assert_array_equal(read_image(path).pixels[..., 0], pixels)


# What is asked for


@pytest.mark.parametrize("number", [int, str, np.int64, np.uint8])
def test_numbers_of_numpy_are_numbers(tmp_path, number):
    stack = plane("u2", shape=(2, 3, 20, 30))
    path = save_tiff(tmp_path, stack, ome=True, metadata={"axes": "TZYX"})
    found = read_image(path, t=number(1), z=number(2), scene=number(0)).pixels[..., 0]
    np.testing.assert_array_equal(found, stack[1, 2])
    box = [np.int32(number(n)) for n in (2, 3, 18, 29)]
    found = read_image(path, t=1, z=2, region=box).pixels[..., 0]
    np.testing.assert_array_equal(found, stack[1, 2, 2:18, 3:29])


@pytest.mark.parametrize("name", ["a.npy", "a.png", "a.tif", "a.npz"])
@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"region": (0, 0, 50)}, r"region is \(0, 0, 50\); give four whole numbers"),
        ({"region": (0, 0, 5.5, 9)}, "give four whole numbers"),
        ({"region": "0,0,5,5"}, "give four whole numbers"),
        ({"region": 7}, "give four whole numbers"),
        ({"region": (0, 0, None, 9)}, "give four whole numbers"),
        ({"region": (0, 0, 0, 9)}, "rows 0 to 0 and columns 0 to 9 is not inside"),
        ({"reduced_to": 0}, "reduced_to is 0; give pixels, at least 1"),
        ({"reduced_to": "small"}, "reduced_to is 'small'"),
    ],
)
def test_what_is_asked_for_is_not_taken_for_damage(tmp_path, name, how, message):
    path, pixels = tmp_path / name, plane("u1")
    {
        "a.npy": lambda: np.save(path, pixels),
        "a.npz": lambda: np.savez(path, image=pixels),
        "a.png": lambda: Picture.fromarray(pixels).save(path),
        "a.tif": lambda: tifffile.imwrite(path, pixels),
    }[name]()
    with pytest.raises(ValueError, match=rf"^a\.\w+: .*{message}"):
        read_image(path, **how)


# The size limit


def write_npy_header(file, shape):
    np.lib.format.write_array_header_1_0(
        file, {"shape": shape, "fortran_order": False, "descr": "<u2"}
    )


def huge_npy(path):
    with path.open("wb") as file:
        write_npy_header(file, (60_000, 60_000))


def huge_npz(path):
    # 50 MB of zeros, 50 kB in the file.
    np.savez_compressed(path, image=np.zeros((5000, 5000), np.uint16))


def npz_of_many(path):
    arrays = {key: np.zeros((200, 300), np.uint16) for key in ("image", "cells", "nuclei")}
    np.savez_compressed(path, **arrays)


def with_tags(path, values):
    """Change tags of a TIFF file, each one number of 32 bits."""
    data = bytearray(path.read_bytes())
    for tag, value in values.items():
        at = data.index(struct.pack("<HHI", tag, 4, 1)) + 8
        data[at : at + 4] = struct.pack("<I", value)
    path.write_bytes(data)


def huge_tiff(path):
    tifffile.imwrite(path, plane("u2"), compression="zlib", metadata=None)
    with_tags(path, {256: 60_000, 257: 60_000})  # ImageWidth, ImageLength


def tiff_with_a_huge_tile(path):
    tifffile.imwrite(path, plane("u2"), tile=(16, 16))
    with_tags(path, {322: 65_520, 323: 65_520})  # TileWidth, TileLength


def huge_png(path):
    chunk = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0))
    rest = png_chunk(b"IDAT", b"") + png_chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + rest)


def huge_jpeg(path):
    data = io.BytesIO()
    Picture.new("L", (8, 8)).save(data, "JPEG")
    start = data.getvalue().index(b"\xff\xc0") + 5
    path.write_bytes(
        data.getvalue()[:start] + struct.pack(">HH", 60_000, 60_000) + data.getvalue()[start + 4 :]
    )


@pytest.mark.parametrize(
    "write",
    [huge_npy, huge_npz, npz_of_many, huge_tiff, huge_png, huge_jpeg, tiff_with_a_huge_tile],
)
def test_the_limit_is_checked_before_memory_is_taken(tmp_path, write):
    path = tmp_path / "big"
    write(path if write not in (huge_npz, npz_of_many) else path.with_suffix(".npz"))
    (path,) = tmp_path.iterdir()
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=f"^{path.name}: .* more than the limit of 250 KiB"):
            read_image(path, max_bytes=250 * 1024)
        assert tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()


def test_up_to_the_limit_is_read(tmp_path):
    pixels = plane("u2")
    np.save(tmp_path / "a.npy", pixels)
    assert read_image(tmp_path / "a.npy", max_bytes=pixels.nbytes).pixels.nbytes == pixels.nbytes
    with pytest.raises(
        ValueError, match=r"1\.172 KiB of memory, more than the limit of 1\.171 KiB"
    ):
        read_image(tmp_path / "a.npy", max_bytes=pixels.nbytes - 1)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("npy", {}),
        ("png", {}),
        ("tif", {}),
        ("tif", {"compression": "zlib", "tile": (64, 48)}),
        ("tif", {"compression": "zlib", "rowsperstrip": 7}),
    ],
)
def test_the_region_named_in_the_message_is_the_largest_that_fits(tmp_path, suffix, options):
    path, pixels = tmp_path / f"a.{suffix}", plane("u2", shape=(300, 400))

    def write(pixels):
        {"npy": np.save, "png": lambda p, a: save_picture(p.parent, a)}.get(
            suffix, lambda p, a: tifffile.imwrite(p, a, **options)
        )(path, pixels)

    write(pixels)
    with pytest.raises(ValueError, match="a region of at most") as caught:
        read_image(path, max_bytes=50_000)
    rows, columns = map(int, re.findall(r"(\d+) × (\d+) pixels", str(caught.value))[0])
    assert (rows + 1) * (columns + 1) * 2 > 50_000
    region = (0, 0, rows, columns)
    if suffix == "png":
        # Rows cannot be skipped in it.
        assert "save a region" in str(caught.value)
        write(pixels[:rows, :columns])
        region = None
    np.testing.assert_array_equal(
        read_image(path, region=region, max_bytes=50_000).pixels[..., 0], pixels[:rows, :columns]
    )


@pytest.mark.parametrize(
    ("choice", "max_bytes", "message"),
    [
        ("max", 4700, r"read one plane \(z=0 to 2\), or a region of at most 19 × 29 pixels"),
        ("max", 1300, "read a region of at most 10 × 15 pixels"),
        (0, 2300, "read a region of at most 19 × 29 pixels"),
    ],
)
@pytest.mark.parametrize("options", [{"imagej": True}, {"compression": "zlib", "ome": True}])
def test_what_to_do_with_a_stack_over_the_limit(tmp_path, choice, max_bytes, message, options):
    metadata = {"axes": "ZCYX"}
    pixels = plane("u2", shape=(3, 2, 20, 30))
    path = save_tiff(tmp_path, pixels, **options, metadata=metadata)
    with pytest.raises(ValueError, match=rf"^a\.tif: needs .*; {message}"):
        read_image(path, z=choice, max_bytes=max_bytes)
    # A projection is held twice, one plane once, and the whole stack never.
    read = read_image(path, z=choice, max_bytes=4800 if choice == "max" else 2400)
    expected = pixels.max(0) if choice == "max" else pixels[0]
    np.testing.assert_array_equal(read.pixels, np.moveaxis(expected, 0, 2))


def test_a_strip_larger_than_the_limit(tmp_path):
    path = save_tiff(tmp_path, plane("u2"), compression="zlib")
    with pytest.raises(ValueError, match="its strips or tiles are read whole; save it with"):
        read_image(path, region=(0, 0, 5, 5), max_bytes=1000)


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ("", 2 * 1024**3),
        ("5000", 5000),
        ("1.5 kB", 1500),
        ("3KiB", 3072),
        (" 8gb ", 8_000_000_000),
        ("8GiB", 8 * 1024**3),
        ("1T", None),
        ("much", None),
        ("0", None),
        ("-1GB", None),
    ],
)
def test_the_limit_is_a_setting(tmp_path, monkeypatch, given, size):
    monkeypatch.setenv("CELLCUTTER_IMAGE_LIMIT", given)
    if size is None:
        with pytest.raises(ValueError, match=r"^CELLCUTTER_IMAGE_LIMIT is .*; give a size such as"):
            limits()
        return
    assert limits().image == size
    np.save(tmp_path / "a.npy", pixels := plane("u2", shape=(60, 50)))
    if size < pixels.nbytes:
        with pytest.raises(ValueError, match=r"more than the limit of .*CELLCUTTER_IMAGE_LIMIT"):
            read_image(tmp_path / "a.npy")
    else:
        read_image(tmp_path / "a.npy")


# One part of a file


def with_pillow(path, pixels):
    """Pages that do not lie side by side, and of which the file says nothing."""
    first, *rest = (Picture.fromarray(page) for page in pixels.reshape(-1, *pixels.shape[-2:]))
    first.save(path, save_all=True, append_images=rest)


STORED = {
    "ImageJ": {"imagej": True, "metadata": {"axes": "TZCYX"}},
    "OME": {"ome": True, "metadata": {"axes": "TZCYX"}},
    "big-endian": {"byteorder": ">", "metadata": {"axes": "TZCYX"}},
    "strips": {"compression": "zlib", "rowsperstrip": 3, "metadata": {"axes": "TZCYX"}},
    "tiles": {"compression": "lzw", "predictor": True, "tile": (16, 16), "ome": True,
              "metadata": {"axes": "TZCYX"}},
    "tiles as they are": {"tile": (16, 16), "metadata": {"axes": "TZCYX"}},
    "channels last": {"compression": "zlib", "rowsperstrip": 4, "metadata": {"axes": "TZYXC"}},
    "colour": {"photometric": "rgb", "compression": "zlib", "tile": (16, 32),
               "metadata": {"axes": "TZYXS"}},
    "planar": {"photometric": "rgb", "planarconfig": "separate", "compression": "zlib",
               "rowsperstrip": 4, "metadata": {"axes": "TZSYX"}},
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("name", STORED)
def test_planes_and_regions_are_those_of_the_whole(tmp_path, name, dtype):
    options = {"photometric": "minisblack"} | STORED[name]
    pixels = plane(dtype, shape=(2, 4, 40, 50, 3))
    axes = options["metadata"]["axes"]
    last = axes.endswith(("C", "S"))
    path = save_tiff(tmp_path, pixels if last else np.moveaxis(pixels, -1, 2), **options)
    whole = tifffile.imread(path)
    np.testing.assert_array_equal(whole if last else np.moveaxis(whole, 2, -1), pixels)
    same = {"inverted": False, "stained": False}
    for region in (None, (0, 0, 40, 50), (3, 17, 37, 49), (15, 15, 17, 17), (39, 0, 40, 50)):
        top, left, bottom, right = region or (0, 0, 40, 50)
        part = pixels[:, :, top:bottom, left:right]
        for choice, expected in [
            ({"t": 1, "z": 2}, part[1, 2]),
            ({"t": 0, "z": 0}, part[0, 0]),
            ({"t": 1, "z": "max"}, part[1].max(0)),
        ]:
            read = read_image(path, **choice, **same, region=region)
            np.testing.assert_array_equal(read.pixels, expected)
            assert read.pixels.dtype == pixels.dtype


def test_a_region_of_pages_of_another_program(tmp_path):
    pixels = plane("u2", shape=(12, 40, 50))
    with_pillow(tmp_path / "a.tif", pixels)
    read = read_image(tmp_path / "a.tif", z=7, region=(1, 2, 30, 40))
    np.testing.assert_array_equal(read.pixels[..., 0], pixels[7, 1:30, 2:40])
    read = read_image(tmp_path / "a.tif", z="max", region=(1, 2, 30, 40))
    np.testing.assert_array_equal(read.pixels[..., 0], pixels.max(0)[1:30, 2:40])


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"tile": (256, 256)}])
@pytest.mark.parametrize("choice", [7, "max"])
def test_of_a_stack_two_planes_are_in_memory(tmp_path, options, choice):
    pixels = np.zeros((40, 512, 512), np.uint16)
    pixels += np.arange(512, dtype=np.uint16)
    pixels[3, 5, 5] = 999
    path = save_tiff(tmp_path, pixels, metadata={"axes": "ZYX"}, **options)
    expected = pixels.max(0) if choice == "max" else pixels[7]
    read_image(path, z=0)
    tracemalloc.start()
    try:
        image = read_image(path, z=choice, inverted=False, nucleus="none")
        # Two planes, the bytes that one is unpacked from, and where pages lie; the stack has 40.
        assert tracemalloc.get_traced_memory()[1] < 5 * expected.nbytes
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(image.pixels[..., 0], expected)


@pytest.mark.parametrize("suffix", ["npy", "npz", "png", "tif"])
def test_a_region_beyond_the_image(tmp_path, suffix):
    path, pixels = tmp_path / f"a.{suffix}", plane("u2")
    write = {"npy": np.save, "npz": np.savez, "tif": tifffile.imwrite}
    write.get(suffix, lambda p, a: save_picture(p.parent, a))(path, pixels)
    read = read_image(path, region=(2, 3, 20, 30))
    np.testing.assert_array_equal(read.pixels[..., 0], pixels[2:, 3:])
    for region in ((0, 0, 21, 30), (5, 5, 5, 9), (-1, 0, 9, 9)):
        with pytest.raises(
            ValueError, match=rf"^a\.{suffix}: has 20 rows and 30 columns, and the region"
        ):
            read_image(path, region=region)


def test_a_region_of_a_file_with_truth(tmp_path):
    truth = np.kron(np.arange(6, dtype=np.int32).reshape(2, 3), np.ones((10, 10), np.int32))
    np.savez(tmp_path / "a.npz", image=plane("u2"), cells=truth)
    read = read_image(tmp_path / "a.npz", region=(5, 5, 15, 25))
    np.testing.assert_array_equal(read.truth, truth[5:15, 5:25])


def test_a_large_picture_gives_no_warning(tmp_path):
    # Over 89 million pixels Pillow's own `open` warns, over 179 million it refuses.
    pixels = np.zeros((13_500, 13_500), bool)
    pixels[0, 0] = True
    path = save_picture(tmp_path, pixels)
    assert read_image(path).pixels.shape == (13_500, 13_500, 1)


# Damaged files


def write_samples(folder):
    """One small file for each way to store an image."""
    gray8, gray16, rgb = plane("u1"), plane("u2"), RGB
    three = plane("u2", shape=(3, 20, 30))
    truth = {"cells": gray8, "ignore": gray8 > 9, "channels": np.array(["a", "DNA", "c"])}
    paper = np.random.default_rng(0).random((20, 30, 6)).astype(np.float32)
    paper[..., 3] = 0
    paper[10, 12, 3] = 1
    np.save(folder / "gray.npy", gray16)
    np.save(folder / "float.npy", paper[..., 0])
    np.savez(folder / "truth.npz", image=np.moveaxis(three, 0, 2), **truth)
    np.savez_compressed(
        folder / "paper.npz", data=paper, test_id=np.array([0]), test_label=np.ones((1, 8, 8))
    )
    tifffile.imwrite(folder / "plain.tif", gray16)
    tifffile.imwrite(folder / "zlib.tif", three, compression="zlib", photometric="minisblack")
    tifffile.imwrite(folder / "tile.tif", gray16, tile=(16, 16), bigtiff=True)
    tifffile.imwrite(folder / "strip.tif", gray16, rowsperstrip=3, byteorder=">")
    tifffile.imwrite(folder / "rgb.tif", rgb, photometric="rgb")
    tifffile.imwrite(folder / "imagej.tif", three, imagej=True, metadata={"axes": "CYX"})
    tifffile.imwrite(folder / "ome.tif", three, ome=True, metadata={"axes": "CYX"})
    pages = [Picture.fromarray(page) for page in three]
    pages[0].save(folder / "pages.tif", save_all=True, append_images=pages[1:])
    Picture.fromarray(gray8).save(folder / "gray.png")
    Picture.fromarray(gray16).save(folder / "gray16.png")
    Picture.fromarray(rgb).quantize(16).save(folder / "palette.png", transparency=b"\0\5")
    Picture.fromarray(gray8).save(folder / "gray.jpg")
    Picture.fromarray(rgb).convert("CMYK").save(folder / "cmyk.jpg", progressive=True)
    return sorted(folder.iterdir())


def read_damaged(path):
    """An image, or the error, as it shall be; anything else fails."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            result = read_image(path, max_bytes=100_000)
        except ValueError as error:
            result = error
    assert isinstance(result, (Image, Unreadable)) or type(result) is ValueError
    if isinstance(result, ValueError):
        assert re.fullmatch(rf"{re.escape(path.name)}: [^\n]+", str(result))
        return None
    return result


def test_damaged_files_give_an_image_or_one_line(tmp_path, caplog):
    rng = np.random.default_rng(0)
    caplog.set_level(logging.DEBUG, logger="tifffile")
    n_images = n_errors = 0
    for path in write_samples(tmp_path):
        whole, data = read_image(path), path.read_bytes()
        for _ in range(20):
            path.write_bytes(data[: rng.integers(len(data))])
            image = read_damaged(path)
            # What is cut off may be unneeded, but pixels are never made up.
            if image is not None:
                np.testing.assert_array_equal(image.pixels, whole.pixels)
            n_errors += image is None
        for _ in range(30):
            damaged = bytearray(data)
            # The half of them where the headers are.
            reach = len(data) if rng.random() < 0.5 else 300
            for at in rng.integers(min(reach, len(data)), size=rng.integers(1, 4)):
                damaged[at] ^= rng.integers(1, 256)
            path.write_bytes(damaged)
            n_images += read_damaged(path) is not None
    # Both happen, or this test shows nothing.
    assert n_errors > 200
    assert n_images > 100
    assert not caplog.records


def test_a_tile_length_of_many_numbers(tmp_path):
    # Multiplying by them would repeat them, to 8 GB and more.
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, plane("u2"), tile=(16, 16))
    data = bytearray(path.read_bytes())
    at = data.index(struct.pack("<HHI", 323, 4, 1))
    data[at : at + 8] = struct.pack("<HHI", 323, 4, 100)
    data[at + 8 : at + 12] = struct.pack("<I", 16)
    path.write_bytes(data)
    with_tags(path, {322: 1_000_000})  # TileWidth
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"^a\.tif: is damaged: .* several lengths"):
            read_image(path)
        assert tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["gray.npy", "plain.tif", "tile.tif", "rgb.tif", "zlib.tif"])
def test_a_file_without_its_last_pixel(tmp_path, name):
    # In these the pixels come last; libraries read some of them without complaint.
    write_samples(tmp_path)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=rf"^{re.escape(name)}: .*is cut short"):
        read_image(path)


def test_a_tiff_without_its_last_page(tmp_path):
    write_samples(tmp_path)
    path = tmp_path / "pages.tif"
    with tifffile.TiffFile(path) as tif:
        last = tif.pages[2].offset
    path.write_bytes(path.read_bytes()[:last])
    with pytest.raises(ValueError, match=r"^pages\.tif: .*list of pages breaks off after page 2"):
        read_image(path)


def test_bytes_after_an_array_in_an_archive(tmp_path):
    # A small header before 100 MB of zeros must not bring those into memory.
    array = io.BytesIO()
    np.save(array, plane("u1"))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("image.npy", array.getvalue() + bytes(100_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"^a\.npz: the array 'image' is followed by other"):
            read_image(tmp_path / "a.npz")
        assert tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()


def test_no_ending_and_no_first_bytes_belong_to_two_formats():
    all_endings = endings()
    assert len(all_endings) == len(set(all_endings))
    assert ".jpg" in endings(always_images=True)
    assert ".jpg" not in endings(labels=True)
    assert ".npz" not in endings(always_images=True)
    starts = {
        "TIFF": b"MM\0*",
        "BMP": b"BM" + bytes(12) + b"\x28\0",
        "WebP": b"RIFF\n\0\0\nWEBP",
        "LIF": b"p\0\0\0",
    }
    for title, start in starts.items():
        found = format_of(start.ljust(16, b"\0"))
        assert found is not None
        assert found.title == title
    assert format_of(b"BMI of 20 patients") is None
