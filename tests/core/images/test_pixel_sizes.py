"""How large a pixel is: read from files, in every unit, and what is measured with it."""

from __future__ import annotations

import dataclasses
import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as Picture
from small_files import picture_file, tiff, turned

from cellcutter_core.choices.choices import Choices
from cellcutter_core.export.formats.labels import label_file
from cellcutter_core.export.formats.ome_zarr import ome_zarr
from cellcutter_core.export.formats.table import cell_table
from cellcutter_core.images.description import lines_of
from cellcutter_core.images.file_sets.channel_files import read_channel_files
from cellcutter_core.images.formats.pictures import FROM_RESOLUTION
from cellcutter_core.images.image import Image
from cellcutter_core.images.pixel_size import from_words
from cellcutter_core.images.read_image import read_image
from cellcutter_core.images.reading.units import micrometres_of
from cellcutter_core.images.regions import cut_out
from cellcutter_core.runs.other_images import Other
from cellcutter_core.training.inputs import Inputs

PIXELS = np.arange(600, dtype=np.uint16).reshape(20, 30)


def read(folder: Path, content: bytes, name: str = "a.tif", **options: Any) -> Image:
    (folder / name).write_bytes(content)
    return read_image(folder / name, **options)


# Units


@pytest.mark.parametrize(
    ("micrometres", "units"),
    [
        (
            1.0,
            "µm|μm|um|UM|Um|µM|micron|microns|Micron|micrometer|micrometers|micrometre"
            "|Mikrometer|micrometro|\\u00b5m|\\u00B5m|Âµm|�m|mcm|µ| µm |µm/pixel|um per px"
            "|microns per pixel|(µm)",
        ),
        (1e-3, "nm|NM|nanometer|nanometers|nanometre|Nanometer"),
        (1e3, "mm|MM|millimeter|millimetres"),
        (1e4, "cm|centimeter|centimeters|Zentimeter"),
        (1e6, "m|M|meter|meters|metre|Meter"),
        (1e-4, "Å|angstrom|Angstroms"),
        (1e-6, "pm|picometer"),
        (25400.0, 'inch|inches|in|Inch|"'),
        (None, "|pixel|pixels|px|reference frame|Mm|degrees|s|sec|mol|unknown|?"),
    ],
)
def test_units(micrometres: float | None, units: str) -> None:
    for unit in units.split("|"):
        found = micrometres_of(unit)
        assert found == (None if micrometres is None else pytest.approx(micrometres)), unit


# Files


def ome(**sizes: Any) -> bytes:
    return tiff(PIXELS, ome=True, metadata={"axes": "YX", **sizes})


def lsm(x: float, y: float) -> bytes:
    """An LSM file with its thumbnail, whose sizes are in metres."""
    layout = [(name, "<" + kind) for name, kind in tifffile.TIFF.CZ_LSMINFO]
    about = np.zeros(1, dtype=layout)
    for name, value in {
        "MagicNumber": 67127628, "StructureSize": about.nbytes, "DimensionX": 30, "DimensionY": 20,
        "DimensionZ": 1, "DimensionChannels": 1, "DimensionTime": 1, "VoxelSizeX": x,
        "VoxelSizeY": y,
    }.items():  # fmt: skip
        about[name] = value
    tags = [(34412, 1, about.nbytes, about.tobytes(), True)]
    file = io.BytesIO()
    thumbnail = np.zeros((3, 10, 15), np.uint8)
    with tifffile.TiffWriter(file) as writer:
        writer.write(PIXELS, metadata=None, photometric="minisblack", extratags=tags)
        writer.write(
            thumbnail, metadata=None, photometric="rgb", planarconfig="separate", subfiletype=1
        )
    return file.getvalue()


def stk(x: tuple[int, int], y: tuple[int, int], unit: bytes) -> bytes:
    """A stack of MetaMorph of one plane, with fractions for its calibration."""
    mark = 0xAAAAAAA0
    calibration = tuple(value for key in (4, 5, 6) for value in (key, mark + key))
    times = (1, 1, 2459000, 0, 2459000, 0)
    tags = [(33628, 4, 6, calibration, True), (33629, 4, 6, times, True)]
    data = bytearray(tiff(PIXELS, metadata=None, extratags=tags))
    text = struct.pack("<I", len(unit) + 1) + unit + b"\0"
    for key, value in ((4, struct.pack("<2I", *x)), (5, struct.pack("<2I", *y)), (6, text)):
        struct.pack_into("<I", data, data.index(struct.pack("<I", mark + key)), len(data))
        data += value
    # They count otherwise than TIFF does.
    for tag, kind, count in ((33628, 4, 3), (33629, 5, 1)):
        at = data.index(struct.pack("<HHI", tag, 4, 6))
        struct.pack_into("<HHI", data, at, tag, kind, count)
    return bytes(data)


METASERIES = (
    '<MetaData><PlaneInfo><prop id="spatial-calibration-x" type="float" value="0.2"/>'
    '<prop id="spatial-calibration-y" type="float" value="0.4"/>'
    '<prop id="spatial-calibration-units" type="string" value="um"/></PlaneInfo></MetaData>'
)
PHILIPS = (
    '<?xml version="1.0" ?><DataObject ObjectType="DPUfsImport"><Attribute '
    'Name="DICOM_PIXEL_SPACING" Group="0x0028">"0.0004" "0.0002"</Attribute></DataObject>'
)
SVS = "Aperio Image Library v11.2.1\n30x20 |AppMag = 20|MPP = 0.4990|Left = 25.6"
QPTIFF = "<PerkinElmer-QPI-ImageDescription><Name>DAPI</Name></PerkinElmer-QPI-ImageDescription>"


def described(text: str, **options: Any) -> bytes:
    return tiff(PIXELS, metadata=None, description=text, **options)


PER_CM = {"resolution": (50000, 25000), "resolutionunit": "CENTIMETER"}

FILES: dict[str, tuple[bytes, Any]] = {
    "OME, both": (ome(PhysicalSizeX=0.2, PhysicalSizeY=0.4), (0.4, 0.2)),
    "OME, units of their own": (
        ome(
            PhysicalSizeX=200, PhysicalSizeXUnit="nm",
            PhysicalSizeY=0.4, PhysicalSizeYUnit="micrometer",
        ),
        (0.4, 0.2),
    ),
    "OME, metres": (
        ome(
            PhysicalSizeX=2e-7, PhysicalSizeXUnit="m", PhysicalSizeY=2e-7, PhysicalSizeYUnit="m"
        ),
        0.2,
    ),
    "OME, one": (ome(PhysicalSizeX=0.2), 0.2),
    "OME, pixels": (ome(PhysicalSizeX=1, PhysicalSizeXUnit="pixel"), None),
    "ImageJ, both": (
        tiff(PIXELS, imagej=True, resolution=(5, 2.5), metadata={"unit": "um"}), (0.4, 0.2)
    ),
    "ImageJ, a word": (
        tiff(PIXELS, imagej=True, resolution=(5, 5), metadata={"unit": "micrometer"}), 0.2
    ),
    "LSM": (lsm(2e-7, 4e-7), (0.4, 0.2)),
    "LSM, square": (lsm(2e-7, 2e-7), 0.2),
    "STK": (stk((1, 5), (2, 5), b"um"), (0.4, 0.2)),
    "STK, in pixels": (stk((1, 1), (1, 1), b"pixels"), None),
    "MetaSeries": (described(METASERIES, software="MetaSeries"), (0.4, 0.2)),
    "SVS": (described(SVS), 0.499),
    "Philips": (described(PHILIPS, software="Philips DP v1.0"), (0.4, 0.2)),
    "QPTIFF": (described(QPTIFF, software="PerkinElmer-QPI", **PER_CM), (0.4, 0.2)),
    "tags in cm": (described("", **PER_CM), (0.4, 0.2)),
    "tags in inch": (described("", resolution=(127000, 127000), resolutionunit="INCH"), 0.2),
    "tags in mm": (described("", resolution=(5000, 5000), resolutionunit=4), 0.2),
    "tags in µm": (described("", resolution=(5, 5), resolutionunit=5), 0.2),
    # How large it is to be printed.
    "300 dpi": (described("", resolution=(300, 300), resolutionunit="INCH"), None),
    "72 dpi in cm": (described("", resolution=(28.35, 28.35), resolutionunit="CENTIMETER"), None),
    "no unit": (described("", resolution=(5, 5), resolutionunit="NONE"), None),
    "nothing": (described(""), None),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_what_a_tiff_says(tmp_path: Path, name: str) -> None:
    content, size = FILES[name]
    image = read(tmp_path, content)
    np.testing.assert_array_equal(image.pixels[..., 0], PIXELS)
    assert image.pixel_size == (None if size is None else pytest.approx(size, rel=1e-4))
    assert isinstance(image.pixel_size, tuple) == isinstance(size, tuple)


def with_chunk(png: bytes, kind: bytes, data: bytes) -> bytes:
    """A PNG with one more chunk after its header."""
    crc = struct.pack(">I", zlib.crc32(kind + data))
    return png[:33] + struct.pack(">I", len(data)) + kind + data + crc + png[33:]


def picture(kind: str, dots: tuple[float, float] | None, **options: Any) -> bytes:
    more = options if dots is None else {"dpi": dots, **options}
    return picture_file(Picture.fromarray(PIXELS.astype(np.uint8)), kind, **more)


@pytest.mark.parametrize(
    ("content", "size"),
    [
        # 3,076,923 pixels per metre in a pHYs chunk.
        (picture("PNG", (25400 / 0.325,) * 2), 0.325),
        (picture("PNG", (25400 / 0.2, 25400 / 0.4)), (0.4, 0.2)),
        # 50,800 per inch in the header of JFIF.
        (picture("JPEG", (50_800, 50_800)), 0.5),
        # It lies on its side.
        (picture("JPEG", (50_800, 25_400), exif=turned(6)), (0.5, 1.0)),
        # Those of screens, cameras and scanners.
        *((picture(kind, (n, n)), None) for kind in ("PNG", "JPEG") for n in (72, 96, 300, 2400)),
        *((picture(kind, None), None) for kind in ("PNG", "JPEG")),
        # A ratio without a unit, and nothing.
        (with_chunk(picture("PNG", None), b"pHYs", struct.pack(">IIB", 10**7, 10**7, 0)), None),
        (with_chunk(picture("PNG", None), b"pHYs", struct.pack(">IIB", 0, 0, 1)), None),
    ],
)
def test_the_resolution_of_a_picture(tmp_path: Path, content: bytes, size: Any) -> None:
    image = read(tmp_path, content)
    assert image.pixel_size == (None if size is None else pytest.approx(size, rel=1e-4))
    # Where it is from is always said.
    assert image.size_notes == (() if size is None else (FROM_RESOLUTION,))
    said = read_channel_files([tmp_path / "a.tif", tmp_path / "a.tif"])
    assert (said.pixel_size, said.size_notes) == (image.pixel_size, image.size_notes)
    assert read(tmp_path, content, pixel_size=2).size_notes == ()


def test_what_is_given_counts_more(tmp_path: Path) -> None:
    content = FILES["OME, both"][0]
    assert read(tmp_path, content, pixel_size=0.5).pixel_size == 0.5
    assert read(tmp_path, content, pixel_size=(0.6, 0.5)).pixel_size == (0.6, 0.5)
    other = tmp_path / "b.npy"
    np.save(other, PIXELS)
    assert read_channel_files([other, tmp_path / "a.tif"]).pixel_size == (0.4, 0.2)
    assert read_channel_files([other, tmp_path / "a.tif"], pixel_size=0.5).pixel_size == 0.5
    # That is said.
    third = tmp_path / "c.tif"
    third.write_bytes(tiff(PIXELS, resolution=(10_000, 10_000), resolutionunit="CENTIMETER"))
    image = read_channel_files([other, third, tmp_path / "a.tif"])
    assert image.pixel_size == 1.0
    assert image.size_notes == (
        "The files of its channels give different pixel sizes, c.tif 1 µm and a.tif "
        "0.4 µm high and 0.2 µm wide. That of c.tif is used.",
    )
    assert f"  Look closely. {image.size_notes[0]}" in lines_of(image)
    assert read_channel_files([third, tmp_path / "a.tif"], pixel_size=0.5).size_notes == ()
    assert read_channel_files([other, tmp_path / "a.tif"]).size_notes == ()
    with pytest.raises(ValueError, match=r"^a\.tif: pixel_size is -1"):
        read(tmp_path, content, pixel_size=-1)


@pytest.mark.parametrize("text", ["", "a", "0", "-1", "nan", "0.2,0.4", "x=0.2", "x=1,y=2,z=3"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match=r"x=0\.2,y=0\.4"):
        from_words(text)


# What is measured


def disc(height: float, width: float, radius: float) -> np.ndarray:
    """A round cell, on pixels of that size."""
    n_rows, n_cols = (int(2.4 * radius / side) for side in (height, width))
    rows, cols = np.mgrid[:n_rows, :n_cols]
    away = np.hypot((rows - n_rows // 2) * height, (cols - n_cols // 2) * width)
    return (away < radius).astype(int)


def test_a_round_cell_is_round_whatever_the_pixels() -> None:
    radius = 20.0
    square = cell_table(disc(0.2, 0.2, radius), pixel_size=0.2)
    for sides in ((0.4, 0.2), (0.2, 0.5)):
        table = cell_table(disc(*sides, radius), pixel_size=sides)
        assert table["area_um2"] == pytest.approx(np.pi * radius**2, rel=0.01)
        for name in ("major_axis_um", "minor_axis_um"):
            assert table[name] == pytest.approx(2 * radius, rel=0.01)
        assert table["eccentricity"] < 0.1
        # It is overestimated by a few percent, as on square pixels.
        assert table["perimeter_um"] == pytest.approx(square["perimeter_um"], rel=0.05)
        assert (table["pixel_height_um"], table["pixel_width_um"]) == sides
    # In pixels it is what it is there.
    assert table["major_axis"] == pytest.approx(2 * radius / 0.2, rel=0.01)
    assert table["minor_axis"] == pytest.approx(2 * radius / 0.5, rel=0.01)


def test_on_square_pixels_both_ways_agree() -> None:
    from cellcutter_core.export.formats.table import _stretched

    rng = np.random.default_rng(0)
    from scipy import ndimage

    labels = ndimage.label(ndimage.gaussian_filter(rng.normal(size=(150, 150)), 4) > 0.01)[0]
    table = cell_table(labels, pixel_size=0.3)
    lengths, eccentricity = _stretched(labels.astype(np.int32), 0.3, 0.3)
    for name, values in lengths.items():
        np.testing.assert_allclose(values, table[f"{name}_um"], atol=1e-9)
    np.testing.assert_allclose(eccentricity, table["eccentricity"], atol=1e-6)


def test_places_are_along_their_own_sides() -> None:
    table = cell_table(np.pad([[1]], 10), pixel_size=(0.4, 0.2), origin=(100, 50))
    assert (table["row_um"], table["col_um"]) == (pytest.approx(44.0), pytest.approx(12.0))


def test_what_leaves_says_both_sides(tmp_path: Path) -> None:
    labels = np.kron([[1, 0], [0, 2]], np.ones((9, 9), int))
    (tmp_path / "labels.tif").write_bytes(label_file(labels, pixel_size=(0.4, 0.2)))
    with tifffile.TiffFile(tmp_path / "labels.tif") as tif:
        assert tif.pages.first.get_resolution() == (5.0, 2.5)
    many = labels * 70_000
    (tmp_path / "many.tif").write_bytes(label_file(many, pixel_size=(0.4, 0.2)))
    with tifffile.TiffFile(tmp_path / "many.tif") as tif:
        assert tif.pages.first.get_resolution(5) == pytest.approx((5.0, 2.5))
    files = ome_zarr(labels[..., None].astype("u2"), labels, pixel_size=(0.4, 0.2))
    first = json.loads(files[".zattrs"])["multiscales"][0]["datasets"][0]
    assert first["coordinateTransformations"] == [{"type": "scale", "scale": [1.0, 0.4, 0.2]}]


def test_it_is_kept_with_choices_and_other_images() -> None:
    choices = Choices(pixel_size=(0.4, 0.2))
    assert Choices(**choices.model_dump(mode="json")).pixel_size == (0.4, 0.2)
    with pytest.raises(ValueError, match="pixel_size: pixel_size is"):
        Choices(pixel_size=(0.4, 0.0))
    with pytest.raises(ValueError, match="up to 1000 µm"):
        Choices(pixel_size=2000)
    image = Image(PIXELS[..., None], ("a",), pixel_size=(0.4, 0.2))
    inputs = Inputs(image.pixels, PIXELS > 300, np.array([[3, 4]]))
    for size in ((0.4, 0.2), 0.5, None):
        other = Other(dataclasses.replace(image, pixel_size=size), (0,), inputs)
        assert Other.from_arrays(other.arrays()).image.pixel_size == size
    assert cut_out(image, (0, 0, 5, 5)).pixel_size == (0.4, 0.2)
    assert Image(PIXELS[..., None], ("a",), pixel_size=(0.2, 0.2)).pixel_size == 0.2
