"""Reads points and areas from ROIs of ImageJ: one in a file, or a set of them in a zip archive.

Messages here lack the file's name, as in `cellcutter_core.images.reading.contents`.
"""

from __future__ import annotations

import logging
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.images.formats.zip_archives import open_archive
from cellcutter_core.images.reading.contents import Unreadable
from cellcutter_core.images.reading.drawn_shapes import STACK, Drawn, Ring

ROI, ARCHIVE = b"Iout", b"PK\x03\x04"
"""The first bytes of the files."""

PLANES = ("z", "t", STACK)
"""The coordinates by which ImageJ gives the position of a ROI in a stack."""

LARGEST_SET = 64 * 1024**2
MOST_ROIS = 100_000
"""The most bytes and ROIs of a set; larger sets are refused."""


def is_rois(file: Path) -> bool:
    """Whether a file holds ROIs of ImageJ."""
    try:
        with file.open("rb") as opened:
            start = opened.read(4)
        if start != ARCHIVE:
            return start == ROI
        with zipfile.ZipFile(file) as archive:
            return any(name.lower().endswith(".roi") for name in archive.namelist())
    except Exception:  # It can fail in many ways. Another reader then gives the message.
        return False


def read_rois(file: Path) -> Drawn:
    """The points and the areas of a file for which `is_rois` holds.

    Raises
    ------
    Unreadable
        If it is damaged, too large, or holds other ROIs than points and areas.
    """
    points: list[NDArray[np.int64]] = []
    areas: list[tuple[str, list[Ring]]] = []
    of_points: list[NDArray[np.float64]] = []
    of_areas: list[NDArray[np.float64]] = []
    for number, (name, content) in enumerate(_contents(file), 1):
        kind, rings, planes = _parsed(name, content)
        if kind == "POINT":
            # Like ImageJ, use the pixel that a point lies in.
            pixels = [np.floor(ring).astype(np.int64) for ring in rings]
            points += pixels
            of_points.append(np.broadcast_to(planes, (sum(map(len, pixels)), len(PLANES))))
        elif kind in ("POLYGON", "RECT", "OVAL", "FREEHAND", "TRACED"):
            areas.append((f"{number} ({name})", rings))
            of_areas.append(planes[:1])
        else:
            raise Unreadable(
                f"holds the ROI {name[:40]!r}, which is a {kind.lower()}; save points or areas"
            )
    none = np.zeros((0, len(PLANES)))
    return Drawn(
        np.concatenate([np.zeros((0, 2), np.int64), *points]),
        areas,
        list(zip(PLANES, np.concatenate([none, *of_points]).T, strict=True)),
        list(zip(PLANES, np.concatenate([none, *of_areas]).T, strict=True)),
    )


def _contents(file: Path) -> list[tuple[str, bytes]]:
    """Name and content of each ROI; names may repeat."""
    if file.stat().st_size > LARGEST_SET:
        raise Unreadable("is too large for a set of ROIs; save those of one image")
    if not zipfile.is_zipfile(file):
        return [(file.stem, file.read_bytes())]
    try:
        with open_archive(file) as archive:
            inside = [one for one in archive.infolist() if one.filename.lower().endswith(".roi")]
            size = sum(max(one.file_size, one.compress_size) for one in inside)
            if size > LARGEST_SET or len(inside) > MOST_ROIS:
                raise Unreadable("is too large for a set of ROIs; save those of one image")
            return [(Path(one.filename).stem, archive.read(one)) for one in inside]
    except (
        OSError, RuntimeError, NotImplementedError, EOFError, zlib.error, zipfile.BadZipFile
    ) as error:  # fmt: skip
        raise Unreadable(f"is a damaged set of ROIs ({error}); save it again") from None


def _parsed(name: str, content: bytes) -> tuple[str, list[Ring], NDArray[np.float64]]:
    """The kind of a ROI, its points or rings as (row, col), and its planes, see `_planes`."""
    from roifile import ImagejRoi

    # It logs odd names and properties, which do not matter here.
    logging.getLogger("roifile").setLevel(logging.CRITICAL)
    try:
        roi = ImagejRoi.frombytes(content)
        rings = [
            np.asarray(ring, np.float64).reshape(-1, 2)[:, ::-1]
            for ring in roi.coordinates(multi=True)
        ]
        kind = roi.roitype.name
        planes = _planes(roi, sum(map(len, rings)))
    except Exception as error:  # roifile does not check what it reads, so it fails in many ways.
        raise Unreadable(
            f"holds the ROI {name[:40]!r}, which is damaged ({type(error).__name__}); save it again"
        ) from None
    if not all(np.isfinite(ring).all() and (np.abs(ring) < 1e6).all() for ring in rings):
        raise Unreadable(f"holds the ROI {name[:40]!r}, which is beyond any image; save it again")
    return kind, rings, planes


def _planes(roi: Any, n_points: int) -> NDArray[np.float64]:
    """(1 or n, 3) position of a ROI, or of each of its points, along `PLANES`; NaN if in all.

    ImageJ counts from 1, and 0 means all planes. In a stack with several axes it gives z and t, in
    any other stack one number, for the ROI or for each point that was set separately.
    """
    several_axes = bool(roi.c_position or roi.z_position or roi.t_position)
    in_stack = np.array([0 if several_axes else roi.position])
    each = roi.counter_positions
    if each is not None and len(each) == n_points and not several_axes:
        in_stack = np.asarray(each, np.int64)
    planes = np.array([(roi.z_position, roi.t_position, place) for place in in_stack], np.float64)
    planes[planes < 1] = np.nan
    return planes - 1
