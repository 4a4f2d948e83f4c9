"""Chooses and reads a part of a file: one of its images, a plane, a region, or a reduced version.

Only the requested part is read, after its size has been checked against the memory limit.
"""

from __future__ import annotations

import contextlib
import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from cellcutter_core.images.reading.axes import to_channels_last
from cellcutter_core.images.reading.contents import (
    Array,
    Contents,
    Several,
    Stack,
    Unreadable,
    check_size,
    region_that_fits,
)
from cellcutter_core.images.reading.stored import Stored, spans_of

Plane = int | str | None
Region = tuple[int, int, int, int]
"""First row, first column, and the row and column after the last."""

MOST_PASSED = 8
"""To reduce an image, at most this many times the memory limit is read in total."""

BAND_SHARE = 1 / 16
"""To reduce an image, this share of the memory limit is held at once."""

MOST_NAMED = 4
MOST_LISTED = 20
"""Most images of a file named in a message: if none is chosen, and if the chosen one is missing."""

SMALLEST_SCENE = 0.05
"""An image is a thumbnail if its plane has less than this share of the largest one's pixels."""


class _Sized(Protocol):
    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...


Version = TypeVar("Version", bound=_Sized)
Item = TypeVar("Item")


@dataclass(frozen=True)
class Listed(Generic[Item]):
    """One of the images of a file.

    Attributes
    ----------
    name : its name in the file, may be empty
    plane : rows and columns; 0 if it has none
    image : what `Part.choose` returns if it is chosen
    is_thumbnail : True if the file says that it is a smaller copy, or shows the label of a slide
    shape : lengths of all its axes, to be shown
    """

    name: str
    plane: tuple[int, int]
    image: Item
    is_thumbnail: bool = False
    shape: tuple[int, ...] = ()

    @property
    def title(self) -> str:
        """The name and shape of the image, as shown to the user."""
        lengths = " × ".join(map(str, self.shape or self.plane))
        return f"{self.name[:60]}, {lengths}" if self.name else lengths


def checked_box(region: Any) -> Region:
    """Check that a region is four whole numbers.

    Raises
    ------
    Unreadable
        If it is not.
    """
    numbers: list[int | None] = []
    with contextlib.suppress(TypeError):
        numbers = [_whole_number(value) for value in region]
    if len(numbers) != 4 or None in numbers:
        raise Unreadable(
            f"region is {region!r}; give four whole numbers: its first row and column, and the row "
            "and column after the last"
        )
    top, left, bottom, right = (number for number in numbers if number is not None)
    return top, left, bottom, right


def _whole_number(value: Any) -> int | None:
    """A whole number of Python or NumPy as an int; None for anything else."""
    if isinstance(value, bool | np.bool_):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


@dataclass(frozen=True)
class Part:
    """The part of a file to read: which image, which plane of a stack, which region.

    Attributes
    ----------
    z, t, scene : index from 0, 'max' (z only), a name (scene only), or None if not given
    region : first row, first column, and those after the last; None for all
    reduced_to : read only every n-th row and column, so that there are at most this many of each

    Numbers may be NumPy numbers.

    Raises
    ------
    Unreadable
        If a value is not allowed.
    """

    z: Plane = None
    t: Plane = None
    scene: Plane = None
    region: Region | None = None
    reduced_to: int | None = None

    def __post_init__(self) -> None:
        for name in ("z", "t", "scene"):
            value = getattr(self, name)
            if isinstance(value, str) and value.isascii() and value.isdigit():
                value = int(value)
            number = _whole_number(value)
            is_word = isinstance(value, str) and (name == "scene" or (name, value) == ("z", "max"))
            if not (value is None or (number is not None and number >= 0) or (is_word and value)):
                more = {"z": " or 'max'", "t": "", "scene": " or the name of an image in the file"}
                raise Unreadable(f"{name} is {value!r}; allowed is an index from 0{more[name]}")
            object.__setattr__(self, name, value if number is None else number)
        if self.region is not None:
            object.__setattr__(self, "region", checked_box(self.region))
        if self.reduced_to is not None:
            side = _whole_number(self.reduced_to)
            if side is None or side < 1:
                raise Unreadable(f"reduced_to is {self.reduced_to!r}; give pixels, at least 1")
            object.__setattr__(self, "reduced_to", side)

    def which_scene(
        self,
        n: int = 1,
        names: Sequence[str] = (),
        *,
        n_small: int = 0,
        most_named: int = MOST_NAMED,
        titles: Sequence[str] | None = None,
    ) -> int:
        """The index of the image to read, of the separate images of a file.

        Parameters
        ----------
        n : int
            Number of images, without thumbnails.
        names : sequence of str
            Their names in the file, if it has any.
        n_small : int
            Number of thumbnails. They are counted after the images.
        most_named : int
            Most images named in a message.
        titles : sequence of str, optional
            See `Several`; default the names.

        Raises
        ------
        Several
            If there are several and none is chosen.
        Unreadable
            If the chosen one does not exist.
        """
        if self.scene is None and n > 1:
            named = ""
            if len(names) == n + n_small and all(names[:n]):
                listed = ", ".join(name[:60] for name in names[: min(n, most_named)])
                named = f" ({listed}{', …' if n > most_named else ''})"
            raise Several(
                f"holds {n} separate images{named}, and one is segmented at a time; "
                f"give scene=0 to {n - 1}",
                n,
                names if titles is None else titles,
            )
        scene, last = self.scene or 0, n + n_small - 1
        if isinstance(scene, str):
            if names.count(scene) == 1:
                return names.index(scene)
            listed = ", ".join(name[:60] for name in names[:MOST_LISTED] if name)
            called = f", called {listed}{', …' if len(names) > MOST_LISTED else ''}" * bool(listed)
            raise Unreadable(
                f"scene is {scene[:60]!r}, but the file holds {last + 1} image(s){called}; allowed "
                f"is an index from 0 to {last} or one of the names"
            )
        if scene > last:
            raise Unreadable(
                f"scene is {scene}, but the file holds {last + 1} image(s); allowed is 0 to {last}"
            )
        return scene

    def choose(self, images: Sequence[Listed[Item]], *, most_named: int = MOST_NAMED) -> Item:
        """The requested image, of all images in a file.

        Images are counted in the order of the file. Those much smaller than the largest come last:
        thumbnails and labels of slides. They can be chosen, but never make a choice necessary.

        Parameters
        ----------
        images : sequence of Listed
        most_named : int
            Most images named in the message of `Several`.

        Raises
        ------
        Several, Unreadable
            As `which_scene`, and if none of them has rows and columns.
        """
        # Planes are compared, because a file may hold a stack beside a single picture.
        areas = [one.plane[0] * one.plane[1] for one in images]
        smallest = max(1, SMALLEST_SCENE * max(areas, default=0))
        large, small = [], []
        for one, area in zip(images, areas, strict=True):
            if area >= smallest and not one.is_thumbnail:
                large.append(one)
            elif area:
                small.append(one)
        if not large:
            large, small = small, []
        if not large:
            raise Unreadable("holds no image with rows and columns; export it as OME-TIFF")
        several = [*large, *small]
        names = [one.name for one in several]
        if self.scene is None and len({one.plane for one in large}) > 1:
            # Images of different sizes are told apart by their size.
            names = [f"{one.name} {one.plane[0]} × {one.plane[1]}".strip() for one in several]
        at = self.which_scene(
            len(large),
            names,
            n_small=len(small),
            most_named=most_named,
            titles=[one.title for one in several],
        )
        return several[at].image

    def contents(
        self, stored: Stored, *, max_bytes: int, full: tuple[int, ...] | None = None
    ) -> Contents:
        """Read one plane as `read` does, with all its channels.

        Parameters
        ----------
        stored, max_bytes
            As for `read`.
        full : tuple of int, optional
            Lengths of the axes of the full image, if `stored` is a smaller version of it.
        """
        full = full or stored.shape
        return Contents(
            to_channels_last(*self.read(stored, max_bytes=max_bytes)),
            full_shape=self.full_shape(full, stored.axes),
            whole_shape=self.whole_shape(full, stored.axes),
        )

    def in_whole(self, contents: Contents) -> Contents:
        """Contents that were read as a whole, after checking that they hold the requested part."""
        self.which_scene()
        self.check_plane(contents.pixels.shape, "YXC")
        self.inside(*contents.pixels.shape[:2])
        contents.whole = True
        return contents

    def read(self, stored: Stored, *, max_bytes: int) -> tuple[Array, str]:
        """Read one plane, or the maximum of all planes along Z, one plane after the other.

        Parameters
        ----------
        stored : Stored
        max_bytes : int
            The most memory to use at once: for one plane, or for two in a projection.

        Returns
        -------
        array, axes
            Without the axes Z and T.

        Raises
        ------
        Unreadable
            If Z or T is longer than 1 and no plane is chosen, the chosen plane does not exist, or
            more than `max_bytes` are needed.
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
        """Rows and columns of the full image if only every n-th is read, else None."""
        sizes = dict(zip(axes, shape, strict=True))
        return (sizes["Y"], sizes["X"]) if self._every(sizes) > 1 else None

    def whole_shape(self, shape: tuple[int, ...], axes: str) -> tuple[int, int] | None:
        """Rows and columns of the whole image if only a region is read, else None."""
        sizes = dict(zip(axes, shape, strict=True))
        inside = self.region is not None and "Y" in sizes and "X" in sizes
        return (sizes["Y"], sizes["X"]) if inside else None

    def version(self, versions: Sequence[Version], axes: str) -> Version:
        """Choose what to read: the image, which is the first of `versions`, or a smaller version.

        It is the smallest version that is not smaller than `reduced_to`; without `reduced_to` it is
        the image itself. Versions with other planes or another data type are not used.
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
        """The distance between the rows, and between the columns, that are read."""
        if self.reduced_to is None or "Y" not in sizes or "X" not in sizes:
            return 1
        return -(-max(sizes["Y"], sizes["X"]) // self.reduced_to)

    def check_plane(self, shape: tuple[int, ...], axes: str) -> None:
        """Refuse a stack without a chosen plane, and a chosen plane that does not exist.

        Raises
        ------
        Stack, Unreadable
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
            raise Stack(
                f"is a stack with axes {axes} of lengths {shape}, and one plane is "
                f"segmented at a time; give {' and '.join(missing)}"
            )

    def inside(self, n_rows: int, n_cols: int) -> tuple[slice, slice]:
        """Rows and columns of the region in an image of this size.

        Raises
        ------
        Unreadable
            If it is empty or reaches beyond the image.
        """
        top, left, bottom, right = self.region or (0, 0, n_rows, n_cols)
        if not (0 <= top < bottom <= n_rows and 0 <= left < right <= n_cols):
            raise Unreadable(
                f"has {n_rows} rows and {n_cols} columns, and the region of rows {top} to "
                f"{bottom} and columns {left} to {right} is not inside; choose one that is"
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
        """Refuse to read `depth` planes of these lengths if that needs too much memory."""
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


def _read_every(
    stored: Stored, chosen: Mapping[str, int | slice], every: int, band_bytes: int
) -> Array:
    """Every n-th row and column of the chosen part; only a band of it is in memory at once."""
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
        # A copy, so that the rest of the band is freed.
        bands.append(stored.read(tuple((dict(chosen) | {"Y": band}).values()))[thin].copy())
    return np.concatenate(bands, axis=list(spans).index("Y"))
