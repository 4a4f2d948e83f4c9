"""Points and areas of a file, those in the plane that an image shows, and the pixels of areas.

Messages here lack the file's name, as in `cellcutter_core.images.reading.contents`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.images.reading.contents import Unreadable
from cellcutter_core.images.reading.parts import Plane

DRAWN_FILES = (".roi", ".geojson", ".json")
"""How the names of files with ROIs of ImageJ or GeoJSON end; many ROIs are in a .zip."""

Ring = NDArray[np.float64]
"""(n, 2) of (row, col), in coordinates of pixel edges: 0 is the edge above the first row and left
of the first column."""

Report = Callable[[str], None]
"""Called with a line for the user on what is left out."""

UNNAMED = ""
"""The name of a coordinate that has no name in the file."""

STACK = "stack"
"""The name of a coordinate that is z or t: ImageJ does not say which."""

Planes = Sequence[tuple[str, NDArray[np.float64]]]
"""Coordinates other than row and column: the name, which is "z", "t", `UNNAMED` or `STACK`, and one
number from 0 for each point or area, NaN if it lies in all planes. Unnamed coordinates are in the
order of the file."""


@dataclass(frozen=True)
class Drawn:
    """The points and areas of a file.

    Attributes
    ----------
    points : (N, 2) array
        (row, col) of their pixels; in a list of points as the file gives them, not checked.
    areas : list of (name, rings)
        A pixel is in an area if it is inside an odd number of its rings.
    of_points, of_areas : see `Planes`
    note : a line for the user, for example on what was left out of the file; usually empty
    """

    points: NDArray[Any]
    areas: Sequence[tuple[str, list[Ring]]] = ()
    of_points: Planes = ()
    of_areas: Planes = ()
    note: str = ""

    def in_plane(self, z: Plane, t: Plane, report: Report) -> Drawn:
        """Keep those in the plane that an image shows, see `in_plane`."""
        if self.note:
            report(self.note)
        points = in_plane(self.of_points, len(self.points), z=z, t=t, what="points", report=report)
        areas = in_plane(self.of_areas, len(self.areas), z=z, t=t, what="areas", report=report)
        kept = [area for area, keep in zip(self.areas, areas, strict=True) if keep]
        return Drawn(self.points[points], kept)


def warn(line: str) -> None:
    """Issue the line as a Python warning."""
    warnings.warn(line, stacklevel=3)


def in_plane(
    planes: Planes, n: int, *, z: Plane, t: Plane, what: str, report: Report
) -> NDArray[np.bool_]:
    """Which of n points or areas lie in the plane of the image; the others are reported.

    Parameters
    ----------
    planes : Planes
    n : int
    z, t : int, 'max' (z only) or None
        The plane of a stack that the image shows; None if there is only one.
    what : {"points", "areas"}
    report : callable

    Returns
    -------
    (n,) bool array

    Raises
    ------
    Unreadable
        If they lie in several planes and the plane of the image is not given, or if none lies in
        that plane.
    """
    keep = np.ones(n, np.bool_)
    elsewhere = []
    for name, values in _named(planes, z, t):
        here = {"z": z, "t": t}[name]
        numbers = np.floor(values + 0.5)
        different = np.unique(numbers[~np.isnan(numbers)])
        if here == "max" or not len(different):
            continue
        span = f"{name} = {different[0]:g}"
        if len(different) > 1:
            span += f" to {different[-1]:g}"
        if here is not None:
            inside = np.isnan(numbers) | (numbers == int(here))
            keep &= inside
            if not inside.all():
                elsewhere.append((f"{name} = {here}", span))
        elif len(different) > 1:
            raise Unreadable(
                f"has {what} in several planes, {span}, and it is not known which of them the "
                f"image shows; give {name} of the image, or keep the {what} of one plane"
            )
    if n and not keep.any():
        spans = " and ".join(span for _, span in elsewhere)
        raise Unreadable(
            f"has no {what} in the plane {' and '.join(here for here, _ in elsewhere)} of the "
            f"image; they are in {spans}, counted from 0; choose that plane, or other {what}"
        )
    if left := n - int(keep.sum()):
        there = " and ".join(here for here, _ in elsewhere)
        report(f"{left} of {n} {what} are left out: they do not lie in the plane {there}")
    return keep


def _named(planes: Planes, z: Plane, t: Plane) -> Planes:
    """The coordinates that are z or t, with these names."""
    unnamed = [values for name, values in planes if name == UNNAMED]
    if len(unnamed) > 2:
        unnamed = [values for values in unnamed if len(np.unique(values)) > 1]
    found = [(name, values) for name, values in planes if name in ("z", "t")]
    if len(unnamed) > 2:
        raise Unreadable(
            f"has {len(unnamed)} coordinates beside row and column, but a stack has z and t; leave "
            "the others out"
        )
    if len(unnamed) == 2:
        found += zip(("t", "z"), unnamed, strict=True)
    elif len(unnamed) == 1:
        if z is not None and t is not None and len(np.unique(unnamed[0])) > 1:
            raise Unreadable(
                "has one coordinate beside row and column, which may be z or t; name it z or t"
            )
        found.append(("t" if z is None and t is not None else "z", unnamed[0]))
    for name, values in planes:
        if name == STACK and (z is None) != (t is None):
            found.append(("z" if t is None else "t", values))
    return found


def is_drawn(file: Path) -> bool:
    """Whether a file holds ROIs of ImageJ or GeoJSON."""
    from cellcutter_core.images.formats.geojson import is_geojson
    from cellcutter_core.images.formats.rois import is_rois

    return is_rois(file) or is_geojson(file)


def read_drawn(file: Path, *, nuclei: bool = False) -> Drawn:
    """The points and areas of a file for which `is_drawn` holds.

    Parameters
    ----------
    file : Path
    nuclei : bool
        For a QuPath cell that has a nucleus, take the nucleus.

    Raises
    ------
    Unreadable
        If it is damaged, too large, or holds something other than points and areas.
    """
    from cellcutter_core.images.formats.geojson import is_geojson, read_geojson
    from cellcutter_core.images.formats.rois import read_rois

    return read_geojson(file, nuclei=nuclei) if is_geojson(file) else read_rois(file)


def area_labels(
    areas: Sequence[tuple[str, Sequence[Ring]]],
    shape: tuple[int, int],
    origin: tuple[int, int] | None = None,
) -> NDArray[np.int32]:
    """Draw areas as a label image; where they overlap, the first wins.

    Parameters
    ----------
    areas : as in `Drawn`
    shape : (int, int)
    origin : (int, int), optional
        (row, col) of the first pixel, if the image is a region of the one that was drawn on. Areas
        outside of the region are left out, perhaps all of them.

    Returns
    -------
    (H, W) int32
        0 for background, 1..N for areas.

    Raises
    ------
    Unreadable
        If an area has no pixel of its own and no `origin` is given.
    """
    from skimage.draw import polygon

    regions = np.zeros(shape, np.int32)
    number = 0
    for name, rings in areas:
        # `polygon` has pixel centres at whole numbers.
        first = np.array(origin or (0, 0)) + 0.5
        filled = [polygon(*(ring - first).T, shape) for ring in rings]
        flat = [np.ravel_multi_index(pixels, shape) for pixels in filled]
        pixels, times = np.unique(np.concatenate(flat), return_counts=True)
        free = pixels[(times % 2 == 1) & (regions.flat[pixels] == 0)]
        if not len(free) and origin is not None:
            continue
        if not len(free):
            raise Unreadable(
                f"ROI {name} has no pixel of its own in the image of {shape[0]} × {shape[1]}; "
                "leave it out, or give ROIs of exactly this image"
            )
        number += 1
        regions.flat[free] = number
    return regions
