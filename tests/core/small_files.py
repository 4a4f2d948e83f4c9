"""Small files of every kind, whole ones and those made to harm, as bytes."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import h5py
import imagecodecs
import numpy as np
import tifffile
from PIL import Image as Picture
from roifile import ROI_TYPE, ImagejRoi

from cellcutter_core.export.formats.geojson import geojson
from cellcutter_core.export.formats.rois import roi_set
from cellcutter_core.images.image import Image

SHAPE = (20, 30)

Files = dict[str, bytes]


def blank(shape: tuple[int, int], **more: Any) -> Image:
    """An image that shows nothing, for markers that are read from a file."""
    return Image(np.zeros((*shape, 1), np.uint8), ("cell",), **more)


# Whole files


def saved(save: Callable[..., Any], *args: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    save(file, *args, **options)
    return file.getvalue()


def tiff(pixels: np.ndarray, **options: Any) -> bytes:
    return saved(tifffile.imwrite, pixels, **options)


def picture_file(picture: Any, kind: str, **options: Any) -> bytes:
    return saved(picture.save, format=kind, **options)


def turned(orientation: int) -> Any:
    """Exif that says how a picture is to be turned."""
    exif = Picture.Exif()
    exif[0x0112] = orientation
    return exif


def hdf5(options: dict[str, Any] | None = None, **arrays: np.ndarray) -> bytes:
    """An HDF5 file of data sets."""
    file = io.BytesIO()
    with h5py.File(file, "w") as opened:
        for name, array in arrays.items():
            opened.create_dataset(name, data=array, **(options or {}))
    return file.getvalue()


def point_roi(points: np.ndarray) -> bytes:
    """Points (row, col) as a ROI of ImageJ."""
    roi = ImagejRoi.frompoints(points[:, ::-1])
    roi.roitype = ROI_TYPE.POINT
    return roi.tobytes()


def mm_stack(pixels: np.ndarray) -> bytes:
    """A file as Micro-Manager writes it (MMStack), of (position, z, row, col) in 16 bits."""
    n_positions, n_planes, n_rows, n_cols = pixels.shape
    summary = json.dumps(
        {
            "MicroManagerVersion": "1.4.22",
            "Prefix": "a",
            "Frames": 1,
            "Slices": n_planes,
            "Channels": 1,
            "Positions": n_positions,
        }
    ).encode()
    start = 40 + len(summary)
    n_bytes = 2 * n_rows * n_cols
    about = b'{"a": 1}\0'
    size = 162 + n_bytes + len(about)
    frames, index = b"", b""
    offsets = [start + size * number for number in range(n_positions * n_planes)]
    for number, offset in enumerate(offsets):
        position, z = divmod(number, n_planes)
        tags = [
            *((254, 0), (256, n_cols), (257, n_rows), (258, 16), (259, 1), (262, 1)),
            *((273, offset + 162), (274, 1), (277, 1), (278, n_rows), (279, n_bytes), (284, 1)),
        ]
        entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
        entries += struct.pack("<HHII", 51123, 2, len(about), offset + 162 + n_bytes)
        after = offsets[number + 1] if number + 1 < len(offsets) else 0
        frames += struct.pack("<H", len(tags) + 1) + entries + struct.pack("<I", after)
        frames += pixels[position, z].astype("<u2").tobytes() + about
        index += struct.pack("<5I", 0, z, 0, position, offset)
    at = start + len(frames)
    header = b"II*\0" + struct.pack("<I", start) + struct.pack("<II", 54773648, at)
    header += struct.pack("<6I", 0, 0, 0, 0, 2355492, len(summary)) + summary
    return header + frames + struct.pack("<II", 3453623, n_positions * n_planes) + index


def zipped_zarr(pixels: np.ndarray, *, version: int = 2, **more: Any) -> bytes:
    """An OME-Zarr of channels, rows and columns in a zip archive, of one chunk."""
    axes = [{"name": name} for name in "cyx"]
    datasets = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 2, 2]}]}]
    ome = {"multiscales": [{"axes": axes, "datasets": datasets}]}
    shape = list(pixels.shape)
    if version == 2:
        array = {"shape": shape, "chunks": shape, "dtype": "<u2", "compressor": {"id": "zlib"}}
        files = {".zattrs": ome, "0/.zarray": array | {"fill_value": 0} | more}
    else:
        array = {
            "node_type": "array",
            "shape": shape,
            "data_type": "uint16",
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": shape}},
            "chunk_key_encoding": {"name": "v2"},
            "codecs": [{"name": "bytes"}, {"name": "zstd"}],
        }
        files = {"zarr.json": {"attributes": {"ome": ome}}, "0/zarr.json": array | more}
    data = pixels.astype("<u2").tobytes()
    packed = zlib.compress(data) if version == 2 else imagecodecs.zstd_encode(data)
    metadata = {name: json.dumps(content).encode() for name, content in files.items()}
    return _archive(metadata | {"0/0.0.0": packed})


@cache
def whole_files() -> Files:
    """One small file for each way to store an image, labels or points."""
    rng = np.random.default_rng(0)
    gray8 = rng.integers(0, 256, SHAPE, np.uint8)
    gray16 = rng.integers(0, 65536, SHAPE, np.uint16)
    rgb = rng.integers(0, 256, (*SHAPE, 3), np.uint8)
    three = rng.integers(0, 65536, (3, *SHAPE), np.uint16)
    stack = rng.integers(0, 256, (2, 3, 2, *SHAPE), np.uint8)
    labels = np.kron(np.arange(6).reshape(2, 3), np.ones((10, 10), int)).astype(np.uint8)
    paper = rng.random((*SHAPE, 6)).astype(np.float32)
    paper[..., 3] = 0
    paper[10, 12, 3] = 1
    points = np.array([[2.5, 3], [10, 20]])
    gray = Picture.fromarray(gray8)
    colour = Picture.fromarray(rgb)
    pages = [Picture.fromarray(page) for page in three]
    black = {"photometric": "minisblack"}
    return {
        "gray.npy": saved(np.save, gray16),
        "float.npy": saved(np.save, paper[..., 0]),
        "half.npy": saved(np.save, paper[..., 0].astype(">f2")),
        "labels.npy": saved(np.save, labels),
        "points.npy": saved(np.save, points),
        "truth.npz": saved(
            np.savez,
            image=np.moveaxis(three, 0, 2),
            cells=gray8,
            ignore=gray8 > 9,
            channels=np.array(["a", "DNA", "c"]),
        ),
        "paper.npz": saved(
            np.savez_compressed, data=paper, test_id=np.array([0]), test_label=np.ones((1, 8, 8))
        ),
        "zarr2.zip": zipped_zarr(three),
        "zarr3.zip": zipped_zarr(three, version=3),
        "plain.tif": tiff(gray16),
        "labels.tif": tiff(labels, compression="zlib"),
        "white.tif": tiff(gray8, photometric="miniswhite"),
        "zlib.tif": tiff(three, compression="zlib", predictor=True, **black),
        "lzw.tif": tiff(gray16, compression="lzw"),
        "jpeg.tif": tiff(rgb, compression="jpeg", tile=(16, 16)),
        "zstd.tif": tiff(gray16, compression="zstd"),
        "tile.tif": tiff(gray16, tile=(16, 16), bigtiff=True),
        "strip.tif": tiff(gray16, rowsperstrip=3, byteorder=">"),
        "rgb.tif": tiff(rgb, photometric="rgb"),
        "planar.tif": tiff(three, photometric="rgb", planarconfig="separate"),
        "imagej.tif": tiff(three, imagej=True, metadata={"axes": "CYX", "unit": "um"}),
        "hyperstack.tif": tiff(stack, imagej=True, metadata={"axes": "TZCYX"}),
        "ome.tif": tiff(
            three, ome=True, metadata={"axes": "CYX", "Channel": {"Name": ["a", "DNA", "c"]}}
        ),
        "omestack.tif": tiff(stack, ome=True, metadata={"axes": "TZCYX"}),
        "pages.tif": picture_file(pages[0], "TIFF", save_all=True, append_images=pages[1:]),
        "bits.tif": picture_file(Picture.fromarray(gray8 > 99), "TIFF", compression="group4"),
        "palette.tif": picture_file(colour.quantize(16), "TIFF"),
        "cmyk.tif": picture_file(colour.convert("CMYK"), "TIFF"),
        "gray.png": picture_file(gray, "PNG"),
        "labels.png": picture_file(Picture.fromarray(labels), "PNG"),
        "gray16.png": picture_file(Picture.fromarray(gray16), "PNG"),
        "bits.png": picture_file(Picture.fromarray(gray8 > 99), "PNG"),
        "palette.png": picture_file(colour.quantize(16), "PNG", transparency=b"\0\5"),
        "rgba.png": picture_file(colour.convert("RGBA"), "PNG"),
        "animated.png": picture_file(gray, "PNG", save_all=True, append_images=[gray.rotate(180)]),
        "gray.jpg": picture_file(gray, "JPEG"),
        "cmyk.jpg": picture_file(colour.convert("CMYK"), "JPEG", progressive=True),
        "animated.gif": picture_file(gray, "GIF", save_all=True, append_images=[gray.rotate(180)]),
        "picture.webp": picture_file(colour, "WEBP", lossless=True),
        "lossy.webp": picture_file(colour, "WEBP"),
        "animated.webp": picture_file(gray, "WEBP", save_all=True, append_images=[gray.rotate(9)]),
        "picture.bmp": picture_file(colour, "BMP"),
        "palette.bmp": picture_file(colour.quantize(16), "BMP"),
        "turned.jpg": picture_file(colour, "JPEG", exif=turned(6)),
        "rgb16.png": imagecodecs.png_encode(np.moveaxis(three, 0, 2).copy()),
        "gray16.jp2": imagecodecs.jpeg2k_encode(gray16, level=0, reversible=True),
        "rgb.j2k": imagecodecs.jpeg2k_encode(rgb, codecformat="j2k", reversible=True),
        "gray.h5": hdf5(gray16=gray16),
        "chunks.h5": hdf5(
            {"chunks": (8, 10), "compression": "gzip", "shuffle": True, "fletcher32": True},
            gray16=gray16,
        ),
        "several.h5": hdf5(**{"a/gray16": gray16, "a/labels": labels, "table": points}),
        "points.roi": point_roi(points),
        "points.zip": roi_set(labels),
        "points.geojson": json.dumps(geojson(labels)).encode(),
        "points.csv": b"label,row,col\n1,2.5,3\n2,10,20\n",
        "points.txt": "\ufeffY;X\n2,5;3\n10;20\n".encode(),
        "plain.txt": b"2 3\n10 20\n",
    }


# Files made to harm


def npy_header(shape: tuple[int, ...], descr: str = "<u2") -> bytes:
    """The start of an .npy file of any shape, without its pixels."""
    file = io.BytesIO()
    header = {"shape": shape, "fortran_order": False, "descr": descr}
    np.lib.format.write_array_header_1_0(file, header)  # type: ignore[no-untyped-call]
    return file.getvalue()


def _archive(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method, compresslevel=1) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def with_length(data: bytes, name: str, *, packed: int, unpacked: int | None = None) -> bytes:
    """A zip archive that says other lengths of an entry in its list, the last that names it."""
    changed = bytearray(data)
    at = data.rindex(name.encode()) - 46
    assert data[at : at + 4] == b"PK\1\2"
    struct.pack_into("<I", changed, at + 20, packed)
    if unpacked is not None:
        struct.pack_into("<I", changed, at + 24, unpacked)
    return bytes(changed)


def _chunk(kind: bytes, data: bytes) -> bytes:
    crc = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


def _png(width: int, height: int, data: bytes, *more: bytes) -> bytes:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + data + _chunk(b"IEND", b"")


def with_tags(data: bytes, values: dict[int, int]) -> bytes:
    """Change tags of a TIFF file, each one number of 16 or 32 bits."""
    changed = bytearray(data)
    for tag, value in values.items():
        for dtype, layout in ((4, "<I"), (3, "<H")):
            at = data.find(struct.pack("<HHI", tag, dtype, 1))
            if at >= 0:
                limit = 2**32 if dtype == 4 else 2**16
                struct.pack_into(layout, changed, at + 8, value % limit)
                break
    return bytes(changed)


def huge_hdf5(shape: tuple[int, int], *, chunk: bytes = b"", **options: Any) -> bytes:
    """An HDF5 file that says of itself that it has as many numbers, and has none or one chunk."""
    file = io.BytesIO()
    with h5py.File(file, "w") as opened:
        made = opened.create_dataset("a", shape, "u2", maxshape=(None, None), **options)
        if chunk:
            made.id.write_direct_chunk((0, 0), chunk)
    return file.getvalue()


def _pages(n_pages: int, *, loop: bool = False) -> bytes:
    """A TIFF of as many pages of one pixel; in a loop, the last points to the first."""
    tags = [(256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 8), (278, 1), (279, 1)]
    size = 2 + 12 * len(tags) + 4
    body = [b"II*\0", struct.pack("<I", 10), b"\x07\0"]
    for page in range(n_pages):
        last = page == n_pages - 1
        entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
        after = (10 if loop else 0) if last else 10 + size * (page + 1)
        body.append(struct.pack("<H", len(tags)) + entries + struct.pack("<I", after))
    return b"".join(body)


@cache
def bombs() -> Files:
    """Small files that promise, or unpack to, far more than there may be."""
    files = whole_files()
    huge = (60_000, 60_000)
    zeros = bytes(160_000_000)
    plain = tiff(np.arange(600, dtype=np.uint16).reshape(SHAPE), metadata=None)
    tiled = tiff(np.arange(600, dtype=np.uint16).reshape(SHAPE), tile=(16, 16), metadata=None)
    packed = tiff(np.zeros(SHAPE, np.uint16), compression="zlib", metadata=None)
    text = _chunk(b"zTXt", b"a\0\0" + zlib.compress(zeros[:50_000_000], 1))
    jpeg = bytearray(files["gray.jpg"])
    struct.pack_into(">HH", jpeg, jpeg.index(b"\xff\xc0") + 5, *huge)
    npy = npy_header(SHAPE) + bytes(1200)
    long_header = b"\x93NUMPY\2\0" + struct.pack("<I", 2**31 - 1) + bytes(50)
    deflated = zlib.compress(zeros, 1)
    webp = bytearray(files["animated.webp"])
    webp[24:30] = b"\xff" * 6
    bmp = bytearray(files["picture.bmp"])
    struct.pack_into("<ii", bmp, 18, *huge)
    gif = bytearray(files["animated.gif"])
    struct.pack_into("<HH", gif, 6, *huge)
    jp2 = bytearray(files["gray16.jp2"])
    struct.pack_into(">II", jp2, jp2.index(b"\xff\x4f\xff\x51") + 8, *huge)
    return {
        "huge.npy": npy_header(huge),
        "many axes.npy": npy_header((2,) * 60),
        "huge points.npy": npy_header((6_000_000_000, 2), "<f8"),
        "overflow.npy": npy_header((2**40, 2**40)),
        "negative.npy": npy_header((-1, 5)),
        "pickle.npy": saved(np.save, np.array([[{}, 1]], object)),
        "long header.npy": long_header,
        "wide dtype.npy": npy_header((2, 2), "<U100000000"),
        "bomb.npz": _archive({"image.npy": npy_header((8000, 10_000)) + zeros}),
        "after.npz": _archive({"image.npy": npy + zeros}),
        "beside.npz": _archive({"image.npy": npy, "cells.npy": npy_header(huge) + zeros}),
        "bomb of text.npz": _archive({"readme.txt": zeros}),
        "pickle.npz": saved(np.savez, image=np.array([[{}, 1]], object)),
        "names.npz": _archive(
            {"image.npy": npy, "channels.npy": npy_header((1,), "<U40000000") + zeros}
        ),
        "long header.npz": _archive({"image.npy": long_header}),
        "long entry.npz": with_length(files["truth.npz"], "image.npy", packed=2**30),
        "short entry.npz": with_length(
            _archive({"image.npy": npy_header((700, 700)) + bytes(980_000)}),
            "image.npy",
            packed=800,
            unpacked=980_128,
        ),
        "bz2 bomb.npz": _archive({"image.npy": npy + zeros}, zipfile.ZIP_BZIP2),
        "2d.npz": saved(np.savez, data=np.arange(600).reshape(SHAPE)),
        "many.npz": _archive({f"a{index}.npy": npy for index in range(2000)}),
        "twice.npz": _archive({"image.npy": npy, "./image.npy": npy}),
        "up.npz": _archive({"../../image.npy": npy}),
        "huge.zarr.zip": zipped_zarr(np.ones((1, *SHAPE)), shape=[1, *huge]),
        "huge chunk.zarr.zip": zipped_zarr(np.ones((1, *SHAPE)), chunks=[1, *huge]),
        "chunk bomb.zarr.zip": zipped_zarr(np.zeros((1, 8000, 10_000)), chunks=[1, *SHAPE]),
        "chunk bomb 3.zarr.zip": zipped_zarr(
            np.zeros((1, 8000, 10_000)),
            version=3,
            chunk_grid={"name": "regular", "configuration": {"chunk_shape": [1, *SHAPE]}},
            shape=[1, *SHAPE],
        ),
        "tiny chunks.zarr.zip": zipped_zarr(
            np.ones((1, *SHAPE)), shape=[1, 700, 700], chunks=[1, 1, 1]
        ),
        "long entry.zarr.zip": with_length(files["zarr2.zip"], "0/.zarray", packed=2**30),
        "metadata bomb.zarr.zip": _archive({".zattrs": zeros}),
        "huge.tif": with_tags(plain, {256: huge[0], 257: huge[1]}),
        "huge packed.tif": with_tags(packed, {256: huge[0], 257: huge[1]}),
        "huge tile.tif": with_tags(tiled, {322: 65_520, 323: 65_520}),
        "huge rows.tif": with_tags(packed, {278: 2**31}),
        "samples.tif": with_tags(plain, {277: 65535}),
        "bits.tif": with_tags(plain, {258: 65535}),
        "loop.tif": _pages(3, loop=True),
        "itself.tif": _pages(1, loop=True),
        "pages.tif": _pages(5000),
        "strip bomb.tif": tiff(
            np.zeros((1, 160_000_000), np.uint8), compression="zlib", compressionargs={"level": 1}
        ),
        "huge.png": _png(*huge, _chunk(b"IDAT", b"")),
        "bomb.png": _png(30, 20, _chunk(b"IDAT", zlib.compress(zeros, 1))),
        "text.png": _png(30, 20, _chunk(b"IDAT", zlib.compress(bytes(620))), text),
        "profile.png": _png(
            30,
            20,
            _chunk(b"IDAT", zlib.compress(bytes(620))),
            _chunk(b"iCCP", b"a\0\0" + zlib.compress(zeros[:50_000_000], 1)),
        ),
        "huge.jpg": bytes(jpeg),
        "huge.webp": bytes(webp),
        "huge.bmp": bytes(bmp),
        "huge.gif": bytes(gif),
        "huge.jp2": bytes(jp2),
        "huge.h5": huge_hdf5(huge),
        "huge chunk.h5": huge_hdf5(SHAPE, chunks=(2**14, 2**14)),
        "chunk bomb.h5": huge_hdf5(SHAPE, chunk=deflated, compression="gzip", chunks=(32, 32)),
        "deep.geojson": b"[" * 500_000,
        "far.geojson": b'{"type": "MultiPoint", "coordinates": [[1e300, 1], [5, -1e300]]}',
        "one line.csv": b"1" * 1_000_000,
        "one quote.csv": b'row,col\n"' + b"1,2\n" * 100_000,
        "many.csv": b"row,col\n" + b"1,2\n" * 500_000,
        "digits.csv": b"row,col\n" + b"9" * 5000 + b",1\n",
        "far.csv": b"row,col\n1e300,1\n-1e300,5\n",
        "no number.csv": b"row,col\nnan,1\ninf,2\n",
        "empty.csv": b"row,col\n",
        "zeros.csv": bytes(1000),
        "far.npy": saved(np.save, np.array([[1e300, 2], [3, -np.inf]])),
        "unsigned.npy": saved(np.save, np.full((2, 2), 2**64 - 1, np.uint64)),
        "lone surrogate.csv": b"row,col\n\xed\xa0\x80,1\n",
    }
