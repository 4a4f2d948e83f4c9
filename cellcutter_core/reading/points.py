"""Lists of points from text and .npy files, read line by line: a list is small, a file may not be.

The messages here are without the file's name, as in `cellcutter_core.reading.contents`.
"""

from __future__ import annotations

import csv
import warnings
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.reading.contents import Unreadable

# What columns of coordinates are called, here and by programs that write lists of points.
ROW_NAMES = ("row", "r", "y", "axis-0", "ym", "centroid-0")
COL_NAMES = ("col", "column", "c", "x", "axis-1", "xm", "centroid-1")

# A list of points is a small file of short lines: what is larger is none.
LARGEST_LIST = 64 * 1024**2
LONGEST_LINE = 100_000


def numpy_points(file: Path, *, max_bytes: int) -> NDArray[Any] | None:
    """The (N, 2) array in an .npy file, or None if what it holds is no list of points."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
    except Exception:
        # NumPy evaluates headers, which fails in many ways; the reader of images says how.
        return None
    is_list = found.ndim == 2 and found.shape[1] == 2 and found.nbytes <= max_bytes
    return np.array(found) if is_list else None


def text_points(file: Path) -> NDArray[np.float64]:
    """The points of a text file, one a line (see `read_markers` for the columns).

    Returns
    -------
    (N, 2) float64
        (row, col); N can be 0.

    Raises
    ------
    Unreadable
        If it is too large or no text, has no columns of coordinates, or a point is no two numbers.
    """
    if file.stat().st_size > LARGEST_LIST:
        raise Unreadable("is too large for a list of points; give one (row, col) a line")
    try:
        with file.open(encoding="utf-8-sig") as opened:
            return _points(_lines(opened))
    except (UnicodeDecodeError, csv.Error):
        raise Unreadable(
            "is neither an image nor text; give a label image or a list of points"
        ) from None


def _lines(opened: TextIO) -> Iterator[str]:
    """The lines that say something."""
    while line := opened.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE or "\0" in line:
            raise csv.Error
        if line.strip() and not line.startswith("#"):
            yield line


def _points(lines: Iterator[str]) -> NDArray[np.float64]:
    first = next(lines, None)
    if first is None:
        raise Unreadable("is empty; give one (row, col) a line")
    separator = next((mark for mark in ";\t," if mark in first), None)
    names = [entry.lower() for entry in next(_split(iter([first]), separator))]
    points = array("d")
    if all(_number(name, separator) is not None for name in names):
        row, col = 0, 1
        if len(names) != 2:
            raise Unreadable(
                f"has {len(names)} columns without names, but row and col are two; name the "
                "columns in a first line, row,col"
            )
        points.extend(float(_number(name, separator) or 0) for name in names)
    else:
        row, col = _column(names, ROW_NAMES), _column(names, COL_NAMES)
    for line in _split(lines, separator):
        entries = [line[column] if column < len(line) else "" for column in (row, col)]
        numbers = [_number(entry, separator) for entry in entries]
        if numbers[0] is None or numbers[1] is None:
            raise Unreadable(
                f"point {len(points) // 2 + 1} has row {entries[0][:40]!r} and col "
                f"{entries[1][:40]!r}, which are not two numbers; correct it or leave it out"
            )
        points.append(numbers[0])
        points.append(numbers[1])
    return np.array(points, np.float64).reshape(-1, 2)


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
    """The number; where the comma does not separate columns it can be the decimal mark."""
    try:
        return float(entry if separator == "," else entry.replace(",", "."))
    except ValueError:
        return None
