"""Files that are odd, damaged or made to harm, and what the readers do with them.

``python broken_files.py SEED FIRST LAST OUT`` reads the cases FIRST to LAST - 1, each with a limit
of memory and of time, and writes one line of JSON for each into the file OUT. Whatever ends the
process ends it in the case that is written as begun and not as done.
"""

from __future__ import annotations

import faulthandler
import io
import json
import os
import re
import resource
import struct
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image as Picture

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from cellcutter_core.given_markers import read_markers  # noqa: E402
from cellcutter_core.images import Image, read_image, read_labels  # noqa: E402

SHAPE = (20, 30)
MAX_BYTES = 1024**2
MEMORY = 128 * 1024**2
"""What a case may add to the address space of the process, in bytes."""
SECONDS = 20.0

READERS: dict[str, Callable[..., Any]] = {
    "image": lambda path, **plane: read_image(path, max_bytes=MAX_BYTES, **plane),
    "labels": lambda path, **_: read_labels(path, max_bytes=MAX_BYTES),
    "markers": lambda path, **_: read_markers(path, SHAPE, max_bytes=MAX_BYTES),
}

Files = dict[str, bytes]


@dataclass(frozen=True)
class Case:
    """One file and how it is read."""

    kind: str
    name: str
    data: bytes
    reader: str
    plane: dict[str, Any]


# Whole files


def _saved(save: Callable[..., Any], *args: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    save(file, *args, **options)
    return file.getvalue()


def _tiff(pixels: np.ndarray, **options: Any) -> bytes:
    return _saved(tifffile.imwrite, pixels, **options)


def _picture(picture: Any, kind: str, **options: Any) -> bytes:
    return _saved(picture.save, format=kind, **options)


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
        "gray.npy": _saved(np.save, gray16),
        "float.npy": _saved(np.save, paper[..., 0]),
        "half.npy": _saved(np.save, paper[..., 0].astype(">f2")),
        "labels.npy": _saved(np.save, labels),
        "points.npy": _saved(np.save, points),
        "truth.npz": _saved(
            np.savez,
            image=np.moveaxis(three, 0, 2),
            cells=gray8,
            ignore=gray8 > 9,
            channels=np.array(["a", "DNA", "c"]),
        ),
        "paper.npz": _saved(
            np.savez_compressed, data=paper, test_id=np.array([0]), test_label=np.ones((1, 8, 8))
        ),
        "plain.tif": _tiff(gray16),
        "labels.tif": _tiff(labels, compression="zlib"),
        "white.tif": _tiff(gray8, photometric="miniswhite"),
        "zlib.tif": _tiff(three, compression="zlib", predictor=True, **black),
        "lzw.tif": _tiff(gray16, compression="lzw"),
        "jpeg.tif": _tiff(rgb, compression="jpeg", tile=(16, 16)),
        "zstd.tif": _tiff(gray16, compression="zstd"),
        "tile.tif": _tiff(gray16, tile=(16, 16), bigtiff=True),
        "strip.tif": _tiff(gray16, rowsperstrip=3, byteorder=">"),
        "rgb.tif": _tiff(rgb, photometric="rgb"),
        "planar.tif": _tiff(three, photometric="rgb", planarconfig="separate"),
        "imagej.tif": _tiff(three, imagej=True, metadata={"axes": "CYX", "unit": "um"}),
        "hyperstack.tif": _tiff(stack, imagej=True, metadata={"axes": "TZCYX"}),
        "ome.tif": _tiff(
            three, ome=True, metadata={"axes": "CYX", "Channel": {"Name": ["a", "DNA", "c"]}}
        ),
        "omestack.tif": _tiff(stack, ome=True, metadata={"axes": "TZCYX"}),
        "pages.tif": _picture(pages[0], "TIFF", save_all=True, append_images=pages[1:]),
        "bits.tif": _picture(Picture.fromarray(gray8 > 99), "TIFF", compression="group4"),
        "palette.tif": _picture(colour.quantize(16), "TIFF"),
        "cmyk.tif": _picture(colour.convert("CMYK"), "TIFF"),
        "gray.png": _picture(gray, "PNG"),
        "labels.png": _picture(Picture.fromarray(labels), "PNG"),
        "gray16.png": _picture(Picture.fromarray(gray16), "PNG"),
        "bits.png": _picture(Picture.fromarray(gray8 > 99), "PNG"),
        "palette.png": _picture(colour.quantize(16), "PNG", transparency=b"\0\5"),
        "rgba.png": _picture(colour.convert("RGBA"), "PNG"),
        "animated.png": _picture(gray, "PNG", save_all=True, append_images=[gray.rotate(180)]),
        "gray.jpg": _picture(gray, "JPEG"),
        "cmyk.jpg": _picture(colour.convert("CMYK"), "JPEG", progressive=True),
        "animated.gif": _picture(gray, "GIF", save_all=True, append_images=[gray.rotate(180)]),
        "picture.webp": _picture(colour, "WEBP"),
        "picture.bmp": _picture(colour, "BMP"),
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


def _archive(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


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
    plain = _tiff(np.arange(600, dtype=np.uint16).reshape(SHAPE), metadata=None)
    tiled = _tiff(np.arange(600, dtype=np.uint16).reshape(SHAPE), tile=(16, 16), metadata=None)
    packed = _tiff(np.zeros(SHAPE, np.uint16), compression="zlib", metadata=None)
    text = _chunk(b"zTXt", b"a\0\0" + zlib.compress(zeros[:50_000_000], 1))
    jpeg = bytearray(files["gray.jpg"])
    struct.pack_into(">HH", jpeg, jpeg.index(b"\xff\xc0") + 5, *huge)
    npy = npy_header(SHAPE) + bytes(1200)
    return {
        "huge.npy": npy_header(huge),
        "many axes.npy": npy_header((2,) * 60),
        "huge points.npy": npy_header((6_000_000_000, 2), "<f8"),
        "overflow.npy": npy_header((2**40, 2**40)),
        "negative.npy": npy_header((-1, 5)),
        "pickle.npy": _saved(np.save, np.array([[{}, 1]], object)),
        "wide dtype.npy": npy_header((2, 2), "<U100000000"),
        "bomb.npz": _archive({"image.npy": npy_header((8000, 10_000)) + zeros}),
        "after.npz": _archive({"image.npy": npy + zeros}),
        "beside.npz": _archive({"image.npy": npy, "cells.npy": npy_header(huge) + zeros}),
        "bomb of text.npz": _archive({"readme.txt": zeros}),
        "pickle.npz": _saved(np.savez, image=np.array([[{}, 1]], object)),
        "names.npz": _archive(
            {"image.npy": npy, "channels.npy": npy_header((1,), "<U40000000") + zeros}
        ),
        "2d.npz": _saved(np.savez, data=np.arange(600).reshape(SHAPE)),
        "many.npz": _archive({f"a{index}.npy": npy for index in range(2000)}),
        "twice.npz": _archive({"image.npy": npy, "./image.npy": npy}),
        "up.npz": _archive({"../../image.npy": npy}),
        "huge.tif": with_tags(plain, {256: huge[0], 257: huge[1]}),
        "huge packed.tif": with_tags(packed, {256: huge[0], 257: huge[1]}),
        "huge tile.tif": with_tags(tiled, {322: 65_520, 323: 65_520}),
        "huge rows.tif": with_tags(packed, {278: 2**31}),
        "samples.tif": with_tags(plain, {277: 65535}),
        "bits.tif": with_tags(plain, {258: 65535}),
        "loop.tif": _pages(3, loop=True),
        "itself.tif": _pages(1, loop=True),
        "pages.tif": _pages(5000),
        "strip bomb.tif": _tiff(
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
        "one line.csv": b"1" * 1_000_000,
        "one quote.csv": b'row,col\n"' + b"1,2\n" * 100_000,
        "many.csv": b"row,col\n" + b"1,2\n" * 500_000,
        "digits.csv": b"row,col\n" + b"9" * 5000 + b",1\n",
        "far.csv": b"row,col\n1e300,1\n-1e300,5\n",
        "no number.csv": b"row,col\nnan,1\ninf,2\n",
        "empty.csv": b"row,col\n",
        "zeros.csv": bytes(1000),
        "far.npy": _saved(np.save, np.array([[1e300, 2], [3, -np.inf]])),
        "unsigned.npy": _saved(np.save, np.full((2, 2), 2**64 - 1, np.uint64)),
        "lone surrogate.csv": b"row,col\n\xed\xa0\x80,1\n",
    }


# Cases

NAMES = [
    *("a.tif", "a.TIFF", "a.png", "a.jpg", "a.npy", "a.npz", "a.csv", "a.czi", "a.nd2", "a.lif"),
    *(
        "a",
        " ",
        "with space.tif",
        "-rf.tif",
        "--help",
        "'quoted'.tif",
        'double".tif',
        "a;b|c&d.tif",
    ),
    *(
        "Zelle_µm_細胞.tif",
        "e\u0301.tif",
        "\U0001f52c.tif",
        "right\u202eleft.tif",
        "l" * 250 + ".tif",
    ),
    *(
        "tab\tand\nline.tif",
        "esc\x1b[31m.tif",
        "back\\slash.tif",
        "%s%d{0}.tif",
        "$(ls).tif",
        "*?.tif",
    ),
    *("bytes\udcff.tif", "points", "markers", "...", "~", "a.ome.zarr", "a.zarr"),
]
NUMBERS = [0, 1, 2, 7, 255, 256, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1]
DTYPES = [*"BHIQbhiqefd?", ">u2", ">i4", ">f2", ">f4", ">f8"]
SHAPES = [
    (1, 1),
    (1, 30),
    (30, 1),
    (2, 2),
    SHAPE,
    (*SHAPE, 2),
    (3, *SHAPE),
    (5, *SHAPE),
    (9, 16, 16),
]
VALUES = [0, 1, -1, 2, 255, 1e30, -1e30, np.nan, np.inf, -np.inf, 0.5, 65535, 2**31, 1e300]


def _cut(rng: np.random.Generator, data: bytes) -> bytes:
    return data[: rng.integers(len(data) + 1)]


def _flip(rng: np.random.Generator, data: bytes) -> bytes:
    damaged = bytearray(data)
    # The half of them where the headers are, at either end.
    reach = len(data) if rng.random() < 0.5 else min(300, len(data))
    start = rng.choice([0, len(data) - reach])
    for at in rng.integers(reach, size=rng.integers(1, 5)):
        damaged[start + at] ^= rng.integers(1, 256)
    return bytes(damaged)


def _number(rng: np.random.Generator, data: bytes) -> bytes:
    """Numbers at the bounds of their range where numbers of the header may be."""
    damaged = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        size = int(rng.choice([2, 4]))
        at = int(rng.integers(max(1, min(400, len(data)) - size)))
        value = int(rng.choice(NUMBERS)) % 256**size
        damaged[at : at + size] = value.to_bytes(size, rng.choice(["little", "big"]))
    return bytes(damaged)


def _splice(rng: np.random.Generator, data: bytes) -> bytes:
    """Parts left out, doubled, or those of another file."""
    other = list(whole_files().values())[rng.integers(len(whole_files()))]
    first, last = sorted(rng.integers(len(data) + 1, size=2))
    start = rng.integers(len(other))
    middle = (b"", data[first:last] * 2, other[start : start + 200])[rng.integers(3)]
    return data[:first] + middle + data[last:]


def _line(rng: np.random.Generator, _: bytes) -> bytes:
    """Lists of points, and what may be taken for one."""
    mark = str(rng.choice([",", ";", "\t", " "]))
    entries = ["1", "2.5", "3,5", "17", "1e9", "-3", "nan", "", '"', "1_0", "²", "é", "\0", "\r"]
    unlikely = rng.random() < 0.5
    lines = [mark.join(rng.choice([["row", "col"], ["x", "y"], ["1", "2"], ["#", "row"]]))]
    for _ in range(rng.integers(12)):
        lines.append(mark.join(rng.choice(entries if unlikely else entries[:4], size=2)))
    return "\n".join(lines).encode()


def _odd(rng: np.random.Generator, _: bytes) -> bytes:
    """Whole files of any data type, shape and value."""
    shape = SHAPES[rng.integers(len(SHAPES))]
    values = rng.choice(VALUES, size=rng.integers(1, 5))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pixels = rng.choice(values, size=shape).astype(str(rng.choice(DTYPES)))
    kind = rng.integers(4)
    if kind == 0:
        return _saved(np.save, np.asarray(pixels, order=str(rng.choice(["C", "F"]))))
    if kind == 1:
        return _saved(np.savez_compressed, **{str(rng.choice(["image", "data", "x"])): pixels})
    if kind == 2:
        little = pixels.astype(np.uint8 if pixels.dtype == bool else pixels.dtype.newbyteorder("="))
        white = str(rng.choice(["minisblack", "miniswhite"]))
        return _tiff(little, photometric=white, compression=rng.choice([None, "zlib"]))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        picture = Picture.fromarray(np.resize(pixels, SHAPE).astype(np.uint8))
    mode = str(rng.choice(["1", "L", "P", "RGB", "CMYK", "LA", "RGBA", "YCbCr", "I;16"]))
    kinds = ["TIFF"] if mode in ("CMYK", "YCbCr") else ["TIFF", "PNG"]
    return _picture(picture.convert(mode), str(rng.choice(kinds)))


def _as_it_is(_: np.random.Generator, data: bytes) -> bytes:
    return data


DAMAGE = {
    "cut": (_cut, 0.25),
    "flipped": (_flip, 0.3),
    "number": (_number, 0.2),
    "spliced": (_splice, 0.08),
    "text": (_line, 0.05),
    "odd": (_odd, 0.09),
    "whole": (_as_it_is, 0.03),
}


def make_case(seed: int, number: int) -> Case:
    """The case of a number: first every bomb with every reader, then at random."""
    rng = np.random.default_rng((seed, number))
    made, readers = bombs(), list(READERS)
    if number < len(made) * len(readers):
        name = list(made)[number // len(readers)]
        return Case("bomb", name, made[name], readers[number % len(readers)], {})
    files = whole_files()
    original = list(files)[rng.integers(len(files))]
    kind = str(rng.choice(list(DAMAGE), p=[share for _, share in DAMAGE.values()]))
    data = DAMAGE[kind][0](rng, files[original])
    plane: dict[str, Any] = {}
    if rng.random() < 0.3:
        plane = {"z": [0, 1, "max", 99][rng.integers(4)], "t": [None, 0, 1][rng.integers(3)]}
    name = original if rng.random() < 0.6 else NAMES[rng.integers(len(NAMES))]
    return Case(kind, name, data, str(rng.choice(readers, p=[0.6, 0.15, 0.25])), plane)


def read_case(case: Case, folder: Path) -> str:
    """How it ended: "result", "refused", or what is wrong with how it ended."""
    path = folder / case.name
    path.write_bytes(case.data)
    try:
        result = READERS[case.reader](path, **case.plane)
    except ValueError as error:
        message = str(error)
        if type(error) is not ValueError or not re.search(r": ", message):
            return f"wrong: {type(error).__name__} {message}"
        if not message.isprintable() or len(message) > 1500:
            return f"wrong: no clear line: {message[:200]!r}"
        if isinstance(error.__cause__, MemoryError) or "MemoryError" in message:
            return f"wrong: out of memory: {message}"
        return "refused"
    except BaseException as error:
        return f"wrong: {type(error).__name__}: {error}"
    finally:
        path.unlink()
    if isinstance(result, Image):
        result = result.pixels
    if not isinstance(result, np.ndarray) or result.nbytes > MAX_BYTES:
        return f"wrong: result is {type(result)} of {getattr(result, 'nbytes', 0)} bytes"
    return "result"


def outcomes(seed: int, first: int, last: int) -> Iterator[tuple[int, str, float]]:
    """Read the cases one by one: number, how it ended, seconds."""
    with tempfile.TemporaryDirectory() as folder:
        # What every reader imports and keeps is no part of a case's memory.
        for name, data in whole_files().items():
            for reader in READERS:
                read_case(Case("whole", name, data, reader, {}), Path(folder))
        bombs()
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
        warnings.simplefilter("error")
        for number in range(first, last):
            case = make_case(seed, number)
            yield number, "begun", 0.0
            faulthandler.dump_traceback_later(SECONDS, exit=True)
            start = time.perf_counter()
            ended = read_case(case, Path(folder))
            seconds = time.perf_counter() - start
            faulthandler.cancel_dump_traceback_later()
            yield number, ended, seconds


def campaign(seed: int, first: int, last: int) -> Iterator[tuple[int, str, float]]:
    """The same in child processes: one that a case ends is followed by another."""
    while first < last:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out"
            command = [sys.executable, __file__, str(seed), str(first), str(last), str(out)]
            # Threads and their heaps take addresses, which are what is limited.
            quiet = {
                "MALLOC_ARENA_MAX": "1",
                "OPENBLAS_NUM_THREADS": "1",
                "TIFFFILE_NUM_THREADS": "1",
            }
            child = subprocess.run(
                command, env=os.environ | quiet, capture_output=True, text=True, check=False
            )
            lines = [json.loads(line) for line in out.read_text().splitlines()]
        done = [(number, ended, seconds) for number, ended, seconds in lines if ended != "begun"]
        yield from done
        said = " ".join(child.stderr.split()[-60:])
        if lines and lines[-1][1] == "begun":
            yield lines[-1][0], f"wrong: ended the process ({child.returncode}): {said}", SECONDS
        elif child.returncode or child.stderr or child.stdout:
            yield last - 1, f"wrong: the process wrote {child.stdout[:200]} {said}", 0.0
            return
        first = lines[-1][0] + 1


def main() -> None:
    seed, first, last = map(int, sys.argv[1:4])
    with Path(sys.argv[4]).open("w") as out:
        for line in outcomes(seed, first, last):
            print(json.dumps(line), file=out, flush=True)


if __name__ == "__main__":
    main()
