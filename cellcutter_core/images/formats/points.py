"""Reads lists of points from text and .npy files.

A text is read line by line, because the file may be large although a list of points is small.
Messages here lack the file's name, as in `cellcutter_core.images.reading.contents`.
"""

from __future__ import annotations

import codecs
import csv
import math
import warnings
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.images.formats.numpy_files import read_header
from cellcutter_core.images.reading.contents import Unreadable
from cellcutter_core.images.reading.drawn_shapes import UNNAMED, Drawn
from cellcutter_core.limits import limits

# Names of the columns of coordinates, here and in programs that write lists of points.
ROW_NAMES = ("row", "r", "y", "ym")
COL_NAMES = ("col", "column", "c", "x", "xm")
# Names in napari and scikit-image: the last two are row and column, those before are planes.
NUMBERED = ("axis-", "centroid-")
# Names of columns that give the plane. ImageJ counts from 1 and capitalises its names.
PLANE_NAMES = {
    "z": ("z", 0),
    "plane": ("z", 0),
    "slice": ("z", 0),
    "t": ("t", 0),
    "frame": ("t", 0),
}
OF_IMAGEJ = {"Slice": ("z", 1), "Frame": ("t", 1)}
# Columns that a table of ImageJ's measurements has.
MEASURED = {"Area", "Mean"}
# Of an image with a scale its X and Y are in micrometres, and nothing in the table says so.
IN_PIXELS = (
    "X and Y are taken as pixels; if they are in µm, remove the scale in ImageJ (Analyze, Set "
    "Scale) and measure again"
)

# A list of points is a small file of short lines; larger files or longer lines are refused.
LARGEST_LIST = 64 * 1024**2
LONGEST_LINE = 100_000
# The encoding of a text is found from this many bytes at its beginning.
SEEN_OF_TEXT = 4096

MOST_PLANES = 2
"""A point has at most this many coordinates before row and column: t and z."""


def numpy_points(file: Path, shape: tuple[int, int]) -> Drawn | None:
    """The points in an .npy file, or None if it does not hold a list of points.

    A list of points has the columns row and column, and up to two before them, t and z. An array
    of `shape` with more than two columns is taken for an image.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with file.open("rb") as opened:
                read_header(opened)  # Refuses a header whose length would use up memory in NumPy.
            found: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
    except Exception:
        # Reading a header can fail in many ways. The reader of images then gives the message.
        return None
    n_columns = found.shape[1] if found.ndim == 2 else 0
    fits = 2 <= n_columns <= 2 + MOST_PLANES and found.nbytes <= limits().image
    if not fits or (found.shape == tuple(shape) and n_columns > 2):
        return None
    array = np.array(found)
    if array.dtype.kind not in "iuf":
        return Drawn(array) if n_columns == 2 else None
    planes = array[:, :-2].T.astype(np.float64)
    return Drawn(array[:, -2:], of_points=[(UNNAMED, column) for column in planes])


def text_points(file: Path, *, sized: bool = False) -> Drawn:
    """The points of a text file, one per line (see `read_markers` for the columns).

    Its encoding may be UTF-8, UTF-16 or cp1252, which older Windows programs use.

    Parameters
    ----------
    file : Path
    sized : bool
        Whether the pixel size of the image is known. Then `Drawn.note` says of a table of ImageJ
        that its numbers are taken as pixels.

    Returns
    -------
    Drawn
        Points of float64; N can be 0.

    Raises
    ------
    Unreadable
        If it is too large or not text, has no columns of coordinates, or a point is not two
        numbers.
    """
    if file.stat().st_size > LARGEST_LIST:
        raise Unreadable("is too large for a list of points; give one (row, col) per line")
    for encoding in _encodings(file):
        try:
            with file.open(encoding=encoding) as opened:
                return _points(_lines(opened), sized)
        except UnicodeError:
            continue
        except csv.Error:
            break
    raise Unreadable("is neither an image nor text; give a label image or a list of points")


def _encodings(file: Path) -> list[str]:
    """Possible encodings of a text, by its first bytes."""
    with file.open("rb") as opened:
        start = opened.read(SEEN_OF_TEXT)
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if start.startswith(mark):
            return [encoding]
    # UTF-16 without a mark: in digits and separators, every second byte is 0.
    pairs = len(start) // 2
    if pairs and start[1::2].count(0) > 0.9 * pairs and 0 not in start[::2]:
        return ["utf-16-le"]
    if pairs and start[::2].count(0) > 0.9 * pairs and 0 not in start[1::2]:
        return ["utf-16-be"]
    return ["utf-8", "cp1252"]


def _lines(opened: TextIO) -> Iterator[str]:
    """The lines that are neither empty nor comments."""
    while line := opened.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE or any(c < " " and c not in "\t\n\r\f\v" for c in line):
            raise csv.Error
        if line.strip() and not line.startswith("#"):
            yield line


def _points(lines: Iterator[str], sized: bool) -> Drawn:
    first = next(lines, None)
    if first is None:
        raise Unreadable("is empty; give one (row, col) per line")
    separator = next((mark for mark in ";\t," if mark in first), None)
    names = next(_split(iter([first]), separator))
    numbers = array("d")
    planes: list[tuple[str, int, int]] = []
    if all(_number(name, separator) is not None for name in names):
        row, col = 0, 1
        if len(names) != 2:
            raise Unreadable(
                f"has {len(names)} columns without names, but needs two, row and col; name the "
                "columns in a first line, row,col"
            )
        numbers.extend(float(_number(name, separator) or 0) for name in names)
    else:
        row, col, planes = _columns(names)
    wanted = [row, col, *(column for _, column, _ in planes)]
    for line in _split(lines, separator):
        entries = [line[column] if column < len(line) else "" for column in wanted]
        found = [_number(entry, separator) for entry in entries]
        if found[0] is None or found[1] is None:
            raise Unreadable(
                f"point {len(numbers) // len(wanted) + 1} has row {entries[0][:40]!r} and col "
                f"{entries[1][:40]!r}, which are not two numbers; correct it or leave it out"
            )
        # A point without a plane lies in all planes.
        numbers.extend(math.nan if number is None else number for number in found)
    table = np.array(numbers, np.float64).reshape(-1, len(wanted))
    return Drawn(
        table[:, :2],
        of_points=[(name, table[:, 2 + n] - first) for n, (name, _, first) in enumerate(planes)],
        note=IN_PIXELS if sized and set(names) >= MEASURED else "",
    )


def _columns(names: Sequence[str]) -> tuple[int, int, list[tuple[str, int, int]]]:
    """The columns of row and col; for each column with a plane: its name, index, first number."""
    lower = [name.lower() for name in names]
    if "vertex-index" in lower:
        raise Unreadable(
            "is a list of napari's shapes, not of points; save a layer of points or labels"
        )
    known = any(name in lower for name in (*ROW_NAMES, *COL_NAMES))
    for start in NUMBERED if not known else ():
        places = [f"{start}{n}" for n in range(len(names)) if f"{start}{n}" in lower]
        if len(places) > 1 and f"{start}0" in places:
            *before, row, col = (lower.index(place) for place in places)
            return row, col, [(UNNAMED, column, 0) for column in before]
    row, col = _column(lower, ROW_NAMES), _column(lower, COL_NAMES)
    planes: list[tuple[str, int, int]] = []
    for column, name in enumerate(names):
        plane = OF_IMAGEJ.get(name) or PLANE_NAMES.get(name.lower())
        if plane is not None and plane[0] not in [one for one, _, _ in planes]:
            planes.append((plane[0], column, plane[1]))
    return row, col, planes


def _split(lines: Iterator[str], separator: str | None) -> Iterator[list[str]]:
    """The columns of each line."""
    if separator is None:
        yield from (line.split() for line in lines)
    else:
        for line in csv.reader(lines, delimiter=separator):
            yield [entry.strip() for entry in line]


def _column(names: Sequence[str], known: Sequence[str]) -> int:
    for name in known:
        if name in names:
            return names.index(name)
    listed = ", ".join(name[:40] for name in names[:20]) + (" …" if len(names) > 20 else "")
    raise Unreadable(
        f"has columns {listed}, none of which is {known[0]}; name the columns of the points row "
        "and col, or y and x"
    )


def _number(entry: str, separator: str | None) -> float | None:
    """The number in an entry; a comma is the decimal mark unless it separates columns."""
    try:
        return float(entry if separator == "," else entry.replace(",", "."))
    except ValueError:
        return None
