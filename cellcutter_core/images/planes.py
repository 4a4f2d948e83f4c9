"""Selects the points and areas of a file that lie in the plane that an image shows.

Messages here lack the file's name, as in `cellcutter_core.images.contents`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.images.contents import Unreadable
from cellcutter_core.images.parts import Plane

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
