"""What all readers of image files share: what comes out of a file, and what is refused.

A file is judged by its header (shape, data type, bytes) before memory is taken for its pixels. The
messages here are without the file's name; `cellcutter_core.reading.readers` puts it in front.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Plane = int | str | None

MAX_BYTES = 2 * 1024**3
"""Largest image read unless told otherwise, in bytes as it lies in memory."""


class Unreadable(ValueError):
    """What is wrong with a file and what would be right, still without the file's name."""


@dataclass
class Contents:
    """What a file holds, as it says and no more.

    Attributes
    ----------
    pixels : (H, W, C) array
    channels : names of the C channels, or None where the file gives none
    colour : True where three channels are the red, green and blue of a colour picture
    beside : arrays that lie beside the pixels, under the names the file gives them
    pixel_size : µm per pixel, or None
    white_is_zero : True where the file says that the smallest number is shown white
    inverted : True where the picture shows what is dark on bright, and was turned over
    """

    pixels: Array
    channels: tuple[str, ...] | None = None
    colour: bool = False
    beside: dict[str, Array] = field(default_factory=dict)
    pixel_size: float | None = None
    white_is_zero: bool = False
    inverted: bool = False


@dataclass(frozen=True)
class Stack:
    """Which plane of a stack to take: an index from 0, 'max' (z only), or None where not said.

    Raises
    ------
    Unreadable
        If `z` or `t` is something else.
    """

    z: Plane = None
    t: Plane = None

    def __post_init__(self) -> None:
        for name in ("z", "t"):
            value = getattr(self, name)
            if isinstance(value, str) and value.isascii() and value.isdigit():
                value = int(value)
                object.__setattr__(self, name, value)
            index = isinstance(value, int) and not isinstance(value, bool) and value >= 0
            if not (value is None or index or (value == "max" and name == "z")):
                allowed = "an index from 0" + (" or 'max'" if name == "z" else "")
                raise Unreadable(f"{name} is {value!r}; allowed is {allowed}")

    def flatten(self, array: Array, axes: str) -> tuple[Array, str]:
        """Reduce the axes Z and T to one plane.

        Parameters
        ----------
        array : array
        axes : str
            One letter for each axis of `array`.

        Returns
        -------
        array, axes
            The same without the axes Z and T.

        Raises
        ------
        Unreadable
            If an axis is longer than 1 and nothing is chosen, or what is chosen is not there.
        """
        missing = []
        for letter, choice in (("Z", self.z), ("T", self.t)):
            length = array.shape[axes.index(letter)] if letter in axes else 1
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
                f"is a stack with axes {axes} of lengths {array.shape}, and one plane is "
                f"segmented at a time; give {' and '.join(missing)}"
            )
        for letter, choice in (("Z", self.z), ("T", self.t)):
            if letter in axes:
                axis = axes.index(letter)
                array = array.max(axis) if choice == "max" else array.take(int(choice or 0), axis)
                axes = axes.replace(letter, "")
        return array, axes


def check_header(shape: tuple[int, ...], dtype: np.dtype[Any], *, what: str = "the image") -> None:
    """Refuse what cannot be pixels or labels.

    Raises
    ------
    Unreadable
        If an axis is empty, or the entries are neither integers nor real numbers.
    """
    if dtype.hasobject:
        raise Unreadable(
            f"{what} is stored as pickled Python objects, which can run any code when opened and "
            f"are never read (dtype {dtype}); save it as an array of numbers"
        )
    if dtype.kind == "c":
        raise Unreadable(f"{what} holds complex numbers ({dtype}); save their absolute value")
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise Unreadable(
            f"{what} has dtype {dtype}, which is no pixel; save integers, float32 or float64"
        )
    if min(shape, default=1) < 1:
        raise Unreadable(f"{what} is empty, its shape is {shape}; save it with pixels")


def check_size(
    n_bytes: int, max_bytes: int, *, plane: tuple[int, int] | None = None, n_planes: int = 1
) -> None:
    """Refuse what takes more memory than allowed.

    Parameters
    ----------
    n_bytes, max_bytes : int
    plane : (int, int), optional
        Rows and columns, for the message to say how large a part would fit.
    n_planes : int
        How many z planes and time points there are.

    Raises
    ------
    Unreadable
        If `n_bytes` is over `max_bytes`.
    """
    if n_bytes > max_bytes:
        raise Unreadable(
            f"needs {_size(n_bytes)} of memory, more than the limit of {_size(max_bytes)}; "
            + _what_fits(n_bytes, max_bytes, plane, n_planes)
        )


def _what_fits(n_bytes: int, max_bytes: int, plane: tuple[int, int] | None, n_planes: int) -> str:
    if plane is None:
        return "cut out a region or make it smaller"
    if n_planes > 1 and n_bytes <= max_bytes * n_planes:
        return f"save one of its {n_planes} planes as a file of its own"
    share = math.sqrt(max_bytes * n_planes / n_bytes)
    rows, columns = (max(1, int(length * share)) for length in plane)
    what = "one plane, and of it a region" if n_planes > 1 else "a region"
    return f"save {what} of at most {rows} × {columns} pixels, or all of it smaller"


def _size(n_bytes: int) -> str:
    for unit, scale in (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if n_bytes >= scale:
            return f"{n_bytes / scale:.4g} {unit}"
    return f"{n_bytes} bytes"
