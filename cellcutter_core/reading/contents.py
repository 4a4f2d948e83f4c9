"""What all readers of image files share: what comes out of a file, and what is refused.

A file is judged by its header (shape, data type, bytes) before memory is taken for its pixels. The
messages here are without the file's name; `cellcutter_core.reading.readers` puts it in front.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Plane = int | str | None

MAX_BYTES = 2 * 1024**3
"""Largest image read unless told otherwise, in bytes as it lies in memory."""

MAX_CHANNELS = 8
"""A third axis up to this length is taken for channels without being told."""


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


def check_size(n_bytes: int, max_bytes: int) -> None:
    """Refuse what takes more memory than allowed.

    Raises
    ------
    Unreadable
        If `n_bytes` is over `max_bytes`.
    """
    if n_bytes > max_bytes:
        raise Unreadable(
            f"needs {_size(n_bytes)} of memory, more than the limit of {_size(max_bytes)}; "
            "cut out a region or make it smaller"
        )


def _size(n_bytes: int) -> str:
    for unit, scale in (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if n_bytes >= scale:
            return f"{n_bytes / scale:.4g} {unit}"
    return f"{n_bytes} bytes"


def channel_axis(shape: tuple[int, ...], *, n_names: int | None = None) -> int | None:
    """Which axis of an image holds its channels.

    With `n_names`, the axis of that length. Else it is the last axis if that has up to
    `MAX_CHANNELS` entries, or the first if that has, or the last if it is shorter than the others.

    Returns
    -------
    int or None
        None for an image of two axes.

    Raises
    ------
    Unreadable
        If there is no telling, or there are not two or three axes.

    Examples
    --------
    >>> channel_axis((512, 512, 3)), channel_axis((2, 512, 512)), channel_axis((512, 512))
    (2, 0, None)
    """
    if len(shape) == 2 and n_names in (None, 1):
        return None
    if len(shape) in (2, 3) and n_names is not None:
        if len(shape) == 3 and n_names in (shape[2], shape[0]):
            return 2 if n_names == shape[2] else 0
        raise Unreadable(
            f"has {n_names} channel name(s) for an image of shape {shape}; save the image as "
            "(rows, columns, channels) and one name for each channel"
        )
    if len(shape) == 3:
        if shape[2] <= MAX_CHANNELS:
            return 2
        if shape[0] <= MAX_CHANNELS:
            return 0
        if shape[2] < min(shape[:2]):
            return 2
    raise Unreadable(
        f"has {len(shape)} {'axis' if len(shape) == 1 else 'axes'} of lengths {shape}; an image "
        f"has two, (rows, columns), or a third one last, up to {MAX_CHANNELS} channels; "
        "save one plane in that order"
    )


def channels_last(array: Array, *, n_names: int | None = None) -> Array:
    """The array as (H, W, C), without a copy. See `channel_axis`."""
    axis = channel_axis(array.shape, n_names=n_names)
    return array[..., None] if axis is None else np.moveaxis(array, axis, 2)
