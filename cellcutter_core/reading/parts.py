"""Which part of an image is read: of several images, planes and regions, or all of it made smaller.

An image as it lies in a file says what it is; only what is asked for is read, after its size was
held against the limit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from cellcutter_core.reading.contents import (
    Array,
    Several,
    Unreadable,
    check_size,
    region_that_fits,
)

Plane = int | str | None
Box = tuple[int, int, int, int]
"""First row, first column, and the row and column after the last."""

MOST_PASSED = 8
"""At most so many times the limit is passed through to make an image smaller."""

BAND_SHARE = 1 / 16
"""What is held at once of an image that is made smaller, as a share of the limit."""

MOST_NAMED = 4
"""As many images of a file are named in a message."""


@dataclass(frozen=True)
class Stored:
    """An image as it lies in a file, whose planes and regions are read when they are asked for.

    Attributes
    ----------
    shape : length of each axis
    axes : one letter for each
    dtype : data type of the numbers
    read : gives a part of it, by one number or slice for each axis, as an array that may be changed
    """

    shape: tuple[int, ...]
    axes: str
    dtype: np.dtype[Any]
    read: Callable[[tuple[int | slice, ...]], Array]

    def at(self, axis: str, place: int) -> Stored:
        """What lies at one place of an axis, without that axis."""
        n = self.axes.index(axis)
        return Stored(
            (*self.shape[:n], *self.shape[n + 1 :]),
            self.axes.replace(axis, ""),
            self.dtype,
            lambda index: self.read((*index[:n], place, *index[n:])),
        )


def of_frames(
    shape: tuple[int, ...],
    index: tuple[int | slice, ...],
    frame: Callable[[int], Array],
    *,
    lead: int,
) -> Array:
    """A part of an image that lies in frames, one for each place along its first axes.

    Parameters
    ----------
    shape : lengths of all axes
    index : one number or slice for each of them
    frame : gives, by its number, what the index says of a frame
    lead : how many axes count frames; the last of them counts fastest
    """
    first = shape[:lead]
    numbers = np.arange(math.prod(first)).reshape(first)[index[:lead]]
    parts = ((at, frame(int(number))) for at, number in np.ndenumerate(numbers))
    at, part = next(parts)
    if numbers.size == 1:
        return part.reshape(*np.shape(numbers), *part.shape)
    found = np.empty((*np.shape(numbers), *part.shape), part.dtype)
    found[at] = part
    for at, part in parts:
        found[at] = part
    return found


def in_memory(array: Array, axes: str) -> Stored:
    """An array that is there already."""
    return Stored(array.shape, axes, array.dtype, lambda index: np.array(array[index]))


class _Sized(Protocol):
    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...


Version = TypeVar("Version", bound=_Sized)


@dataclass(frozen=True)
class Part:
    """What to read of a file: which of its images, which plane of a stack, which region of that.

    Attributes
    ----------
    z, t, scene : index from 0, 'max' (z only), or None where not said
    region : first row, first column, and those after the last; None for all of it
    reduced_to : read every so many rows and columns of all, so that neither are more than this

    Raises
    ------
    Unreadable
        If one of them is something else.
    """

    z: Plane = None
    t: Plane = None
    scene: Plane = None
    region: Box | None = None
    reduced_to: int | None = None

    def __post_init__(self) -> None:
        for name in ("z", "t", "scene"):
            value = getattr(self, name)
            if isinstance(value, str) and value.isascii() and value.isdigit():
                value = int(value)
                object.__setattr__(self, name, value)
            index = isinstance(value, int) and not isinstance(value, bool) and value >= 0
            if not (value is None or index or (value == "max" and name == "z")):
                allowed = "an index from 0" + (" or 'max'" if name == "z" else "")
                raise Unreadable(f"{name} is {value!r}; allowed is {allowed}")

    def which_scene(self, n: int = 1, names: Sequence[str] = ()) -> int:
        """Which of the separate images of a file to read.

        Parameters
        ----------
        n : int
            How many it holds.
        names : sequence of str
            What the file calls them, as far as it does.

        Raises
        ------
        Several
            If there are several and none is chosen.
        Unreadable
            If the one that is chosen is not there.
        """
        if self.scene is None and n > 1:
            named = ""
            if len(names) == n and all(names):
                listed = ", ".join(name[:40] for name in names[:MOST_NAMED])
                named = f" ({listed}{', …' if n > MOST_NAMED else ''})"
            raise Several(
                f"holds {n} separate images{named}, and one is segmented at a time; "
                f"give scene=0 to {n - 1}",
                n,
            )
        scene = int(self.scene or 0)
        if scene >= n:
            raise Unreadable(
                f"scene is {scene}, but the file holds {n} image(s); allowed is 0 to {n - 1}"
            )
        return scene

    def read(self, stored: Stored, *, max_bytes: int) -> tuple[Array, str]:
        """Read one plane, or the maximum of all along Z, one plane after the other.

        Parameters
        ----------
        stored : Stored
        max_bytes : int
            For what is held at once: the plane, and of a projection two of them.

        Returns
        -------
        array, axes
            Without the axes Z and T.

        Raises
        ------
        Unreadable
            If an axis is longer than 1 and nothing is chosen, what is chosen is not there, or it
            takes more than `max_bytes`.
        """
        self.check_plane(stored.shape, stored.axes)
        sizes = dict(zip(stored.axes, stored.shape, strict=True))
        chosen: dict[str, int | slice] = {axis: slice(None) for axis in stored.axes}
        chosen |= {
            axis: 0 if choice == "max" else int(choice or 0)
            for axis, choice in (("Z", self.z), ("T", self.t))
            if axis in sizes
        }
        if self.region is not None and "Y" in sizes and "X" in sizes:
            rows, cols = self.inside(sizes["Y"], sizes["X"])
            chosen |= {"Y": rows, "X": cols}
        depth = sizes.get("Z", 1) if self.z == "max" else 1
        plane = {axis: len(span) for axis, span in spans_of(chosen, stored.shape).items()}
        every = self._every(plane)
        self._check_memory(plane, stored.dtype, depth=depth, every=every, max_bytes=max_bytes)
        band = int(BAND_SHARE * max_bytes)
        array = _read_every(stored, chosen, every, band)
        for z in range(1, depth):
            np.maximum(array, _read_every(stored, chosen | {"Z": z}, every, band), out=array)
        return array, stored.axes.replace("Z", "").replace("T", "")

    def full_shape(self, shape: tuple[int, ...], axes: str) -> tuple[int, int] | None:
        """Rows and columns of an image of which not all are read; None where all are."""
        sizes = dict(zip(axes, shape, strict=True))
        return (sizes["Y"], sizes["X"]) if self._every(sizes) > 1 else None

    def whole_shape(self, shape: tuple[int, ...], axes: str) -> tuple[int, int] | None:
        """Rows and columns of an image of which a region is read; None where all of it is."""
        sizes = dict(zip(axes, shape, strict=True))
        inside = self.region is not None and "Y" in sizes and "X" in sizes
        return (sizes["Y"], sizes["X"]) if inside else None

    def version(self, versions: Sequence[Version], axes: str) -> Version:
        """The one to read of an image and smaller versions of it, of which it is the first.

        That is the smallest one not smaller than `reduced_to`, so mostly the image itself. What has
        other planes or numbers than the image is no version of it.
        """
        first = versions[0]
        if self.reduced_to is None:
            return first

        def planes(version: Version) -> list[int]:
            return [n for n, axis in zip(version.shape, axes, strict=True) if axis not in "YX"]

        def side(version: Version) -> int:
            return max(n for n, axis in zip(version.shape, axes, strict=True) if axis in "YX")

        large = [
            version
            for version in versions
            if len(version.shape) == len(axes)
            and (planes(version), version.dtype) == (planes(first), first.dtype)
            and side(version) >= self.reduced_to
        ]
        return min(large, key=side, default=first)

    def _every(self, sizes: Mapping[str, int]) -> int:
        """How far the rows and columns that are read lie apart."""
        if self.reduced_to is None or "Y" not in sizes or "X" not in sizes:
            return 1
        return -(-max(sizes["Y"], sizes["X"]) // self.reduced_to)

    def check_plane(self, shape: tuple[int, ...], axes: str) -> None:
        """Refuse a stack of which no plane is chosen, and a plane that it has not.

        Raises
        ------
        Unreadable
        """
        missing = []
        for letter, choice in (("Z", self.z), ("T", self.t)):
            length = shape[axes.index(letter)] if letter in axes else 1
            name = letter.lower()
            if choice is None and length > 1:
                projection = ", or z='max' for the maximum projection" if letter == "Z" else ""
                missing.append(f"{name}=0 to {length - 1}{projection}")
            elif isinstance(choice, int) and choice >= length:
                raise Unreadable(
                    f"{name} is {choice}, but {name} has {length} plane(s) here; "
                    f"allowed is 0 to {length - 1}"
                )
        if missing:
            raise Unreadable(
                f"is a stack with axes {axes} of lengths {shape}, and one plane is "
                f"segmented at a time; give {' and '.join(missing)}"
            )

    def inside(self, n_rows: int, n_cols: int) -> tuple[slice, slice]:
        """Rows and columns of the region in an image of this size.

        Raises
        ------
        Unreadable
            If it is empty or reaches beyond.
        """
        top, left, bottom, right = self.region or (0, 0, n_rows, n_cols)
        if not (0 <= top < bottom <= n_rows and 0 <= left < right <= n_cols):
            raise Unreadable(
                f"has {n_rows} rows and {n_cols} columns, in which the region of rows {top} to "
                f"{bottom} and columns {left} to {right} does not lie; choose one that does"
            )
        return slice(top, bottom), slice(left, right)

    def _check_memory(
        self,
        plane: Mapping[str, int],
        dtype: np.dtype[Any],
        *,
        depth: int,
        every: int,
        max_bytes: int,
    ) -> None:
        """Refuse what takes too much when so many planes of these lengths are read."""
        n_bytes = math.prod(plane.values()) * dtype.itemsize
        held = n_bytes * (2 if depth > 1 else 1)
        if "Y" not in plane or "X" not in plane:
            check_size(held, max_bytes)
            return
        if every > 1 and n_bytes * depth <= MOST_PASSED * max_bytes:
            rows = n_bytes // plane["Y"] * every
            held = held // every**2 + max(int(BAND_SHARE * max_bytes), rows)
        other = f"one plane (z=0 to {depth - 1}), or " if n_bytes <= max_bytes else ""
        fits = region_that_fits((plane["Y"], plane["X"]), held, max_bytes)
        advice = f"read {other}a region of at most {fits} pixels (--region on the command line)"
        check_size(held, max_bytes, advice=advice)


def spans_of(chosen: Mapping[str, int | slice], shape: tuple[int, ...]) -> dict[str, range]:
    """What is chosen of each axis that is not chosen at one place, of an image of that shape."""
    return {
        axis: range(length)[index]
        for (axis, index), length in zip(chosen.items(), shape, strict=True)
        if isinstance(index, slice)
    }


def _read_every(
    stored: Stored, chosen: Mapping[str, int | slice], every: int, band_bytes: int
) -> Array:
    """Every so many rows and columns of what is chosen, of which a band is held at once."""
    if every == 1:
        return stored.read(tuple(chosen.values()))
    spans = spans_of(chosen, stored.shape)
    rows = spans["Y"]
    row_bytes = math.prod(map(len, spans.values())) // len(rows) * stored.dtype.itemsize
    height = every * max(1, band_bytes // (row_bytes * every))
    thin = tuple(slice(None, None, every if axis in "YX" else None) for axis in spans)
    bands = []
    for top in range(rows.start, rows.stop, height):
        band = slice(top, min(top + height, rows.stop))
        # A copy: what is not wanted of the band is to go.
        bands.append(stored.read(tuple((dict(chosen) | {"Y": band}).values()))[thin].copy())
    return np.concatenate(bands, axis=list(spans).index("Y"))
