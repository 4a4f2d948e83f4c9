"""ROIs of ImageJ, one in a file or a set of them in a zip archive: points and areas.

The messages here are without the file's name, as in `cellcutter_core.reading.contents`.
"""

from __future__ import annotations

import logging
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.reading.contents import Unreadable

ROI, ARCHIVE = b"Iout", b"PK\x03\x04"
"""How the files begin."""

LARGEST_SET = 64 * 1024**2
MOST_ROIS = 100_000
"""A set is small: what is larger, or has more, is none."""

Area = list[NDArray[np.float64]]
"""The rings (n, 2) of (row, col) that bound it, along the edges of pixels: the edge above the first
row, and that left of the first column, is at 0. A pixel is inside where it is in an odd number."""


def is_rois(file: Path) -> bool:
    """Whether that is what a file holds."""
    try:
        with file.open("rb") as opened:
            start = opened.read(4)
        if start != ARCHIVE:
            return start == ROI
        with zipfile.ZipFile(file) as archive:
            return any(name.lower().endswith(".roi") for name in archive.namelist())
    except Exception:  # It fails in many ways; whoever reads it as something else says why.
        return False


def read_rois(file: Path) -> tuple[NDArray[np.int64], dict[str, Area]]:
    """The points and the areas of a file for which `is_rois` holds.

    Returns
    -------
    points : (N, 2) int
        (row, col) of their pixels.
    areas : dict of str to list of (n, 2) array
        By the names of the ROIs.

    Raises
    ------
    Unreadable
        If it is damaged, too large, or holds ROIs that are neither.
    """
    points: list[NDArray[np.int64]] = []
    areas: dict[str, Area] = {}
    for number, (name, content) in enumerate(_contents(file), 1):
        kind, rings = _parsed(name, content)
        if kind == "POINT":
            # ImageJ takes the pixel that a point lies in.
            points += [np.floor(ring).astype(np.int64) for ring in rings]
        elif kind in ("POLYGON", "RECT", "OVAL", "FREEHAND", "TRACED"):
            areas[f"{number} ({name})"] = rings
        else:
            raise Unreadable(
                f"holds the ROI {name[:40]!r}, which is a {kind.lower()}; save points or areas"
            )
    return np.concatenate([np.zeros((0, 2), np.int64), *points]), areas


def _contents(file: Path) -> list[tuple[str, bytes]]:
    """Name and content of each ROI; several may have one name."""
    if file.stat().st_size > LARGEST_SET:
        raise Unreadable("is too large for a set of ROIs; save those of one image")
    if not zipfile.is_zipfile(file):
        return [(file.stem, file.read_bytes())]
    try:
        with zipfile.ZipFile(file) as archive:
            inside = [one for one in archive.infolist() if one.filename.lower().endswith(".roi")]
            size = sum(max(one.file_size, one.compress_size) for one in inside)
            if size > LARGEST_SET or len(inside) > MOST_ROIS:
                raise Unreadable("is too large for a set of ROIs; save those of one image")
            if any(one.compress_size > file.stat().st_size for one in inside):
                raise zipfile.BadZipFile("entries are longer than the file")
            return [(Path(one.filename).stem, archive.read(one)) for one in inside]
    except (
        OSError, RuntimeError, NotImplementedError, EOFError, zlib.error, zipfile.BadZipFile
    ) as error:  # fmt: skip
        raise Unreadable(f"is a damaged set of ROIs ({error}); save it again") from None


def _parsed(name: str, content: bytes) -> tuple[str, Area]:
    """The kind of a ROI, and its points or rings as (row, col)."""
    from roifile import ImagejRoi

    # What it says of odd names and properties is of no use here.
    logging.getLogger("roifile").setLevel(logging.CRITICAL)
    try:
        roi = ImagejRoi.frombytes(content)
        rings = [
            np.asarray(ring, np.float64).reshape(-1, 2)[:, ::-1]
            for ring in roi.coordinates(multi=True)
        ]
        kind = roi.roitype.name
    except Exception as error:  # It is read without being checked, which fails in many ways.
        raise Unreadable(
            f"holds the ROI {name[:40]!r}, which is damaged ({type(error).__name__}); save it again"
        ) from None
    if not all(np.isfinite(ring).all() and (np.abs(ring) < 1e6).all() for ring in rings):
        raise Unreadable(f"holds the ROI {name[:40]!r}, which is beyond any image; save it again")
    return kind, rings
