"""Files that are odd, damaged or made to harm, and what the readers do with them.

``python broken_files.py SEED FIRST LAST OUT`` reads the cases FIRST to LAST - 1, each with a limit
of memory and of time, and writes one line of JSON for each into the file OUT. Whatever ends the
process ends it in the case that is written as begun and not as done.
"""

from __future__ import annotations

import faulthandler
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Picture

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from small_files import SHAPE, blank, bombs, picture_file, saved, tiff, whole_files  # noqa: E402

from cellcutter_core.images.image import Image  # noqa: E402
from cellcutter_core.images.read_image import read_image, read_labels  # noqa: E402
from cellcutter_core.images.reading.contents import Unreadable  # noqa: E402
from cellcutter_core.markers.given_markers import read_markers  # noqa: E402

MAX_BYTES = 1024**2
"""The most memory of an image; the limit of the process that reads the cases."""
MEMORY = 128 * 1024**2
"""What a case may add to the address space of the process, in bytes."""
SECONDS = 20.0

READERS: dict[str, Callable[..., Any]] = {
    "image": lambda path, **plane: read_image(path, **plane),
    "labels": lambda path, **_: read_labels(path),
    "markers": lambda path, **_: read_markers(path, blank(SHAPE)),
}


@dataclass(frozen=True)
class Case:
    """One file and how it is read."""

    kind: str
    name: str
    data: bytes
    reader: str
    plane: dict[str, Any]


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
    *("bytes\udcff.tif", "points", "markers", "...", "~", "a.ome.zarr", "a.zip"),
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
        return saved(np.save, np.asarray(pixels, order=str(rng.choice(["C", "F"]))))
    if kind == 1:
        return saved(np.savez_compressed, **{str(rng.choice(["image", "data", "x"])): pixels})
    if kind == 2:
        little = pixels.astype(np.uint8 if pixels.dtype == bool else pixels.dtype.newbyteorder("="))
        white = str(rng.choice(["minisblack", "miniswhite"]))
        return tiff(little, photometric=white, compression=rng.choice([None, "zlib"]))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        picture = Picture.fromarray(np.resize(pixels, SHAPE).astype(np.uint8))
    mode = str(rng.choice(["1", "L", "P", "RGB", "CMYK", "LA", "RGBA", "YCbCr", "I;16"]))
    kinds = ["TIFF"] if mode in ("CMYK", "YCbCr") else ["TIFF", "PNG"]
    return picture_file(picture.convert(mode), str(rng.choice(kinds)))


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
    if rng.random() < 0.2:
        plane["reduced_to"] = int(rng.integers(1, 80))
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
        told = type(error) is ValueError or isinstance(error, Unreadable)
        if not told or not re.search(r": ", message):
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
    os.environ["CELLCUTTER_IMAGE_LIMIT"] = str(MAX_BYTES)
    seed, first, last = map(int, sys.argv[1:4])
    with Path(sys.argv[4]).open("w") as out:
        for line in outcomes(seed, first, last):
            print(json.dumps(line), file=out, flush=True)


if __name__ == "__main__":
    main()
