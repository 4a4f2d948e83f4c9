"""What all readers of image files share: what comes out of a file, and what is refused.

A file is judged by its header (shape, data type, bytes) before memory is taken for its pixels. The
messages here are without the file's name; `cellcutter_core.images.readers` puts it in front.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cellcutter_core.images.pixel_size import PixelSize

Array = npt.NDArray[Any]

MAX_BYTES = 2 * 1024**3
"""Largest image read unless told otherwise, in bytes as it lies in memory."""

LIMIT_NAME = "CELLCUTTER_IMAGE_LIMIT"
"""The environment variable that sets another limit, such as 8GB."""

_UNITS = {"": 1, "B": 1} | {
    f"{prefix}{unit}": base**power
    for power, prefix in enumerate("KMGT", 1)
    for unit, base in (("B", 1000), ("IB", 1024))
}


def memory_limit() -> int:
    """The most memory that an image may take, in bytes: `MAX_BYTES`, or what `LIMIT_NAME` says.

    Raises
    ------
    ValueError
        If that is no size.
    """
    given = os.environ.get(LIMIT_NAME, "").strip()
    if not given:
        return MAX_BYTES
    found = re.fullmatch(r"(\d+(?:\.\d*)?)\s*([KMGT]?I?B?)", given, re.IGNORECASE | re.ASCII)
    unit = _UNITS.get(found[2].upper()) if found else None
    if found is None or unit is None or float(found[1]) * unit < 1:
        raise ValueError(f"{LIMIT_NAME} is {given!r}; give a size such as 500MB, 8GB or 8GiB")
    return int(float(found[1]) * unit)


class Unreadable(ValueError):
    """What is wrong with a file and what would be right, still without the file's name."""


class TooLarge(Unreadable):
    """What is to be read takes more memory than it may."""


class Several(Unreadable):
    """A file holds several images, and none is chosen.

    Attributes
    ----------
    n : int
        How many they are.
    titles : sequence of str
        Name and shape of each, as far as the file says them, and of the thumbnails after them.
    """

    def __init__(self, message: str, n: int, titles: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.n, self.titles = n, titles


@dataclass
class Contents:
    """What a file holds, as it says and no more.

    Attributes
    ----------
    pixels : (H, W, C) array
    channels : names of the C channels, or None where the file gives none
    colour : True where three channels are the red, green and blue of a colour picture
    companions : arrays that lie beside the pixels, under the names the file gives them
    pixel_size : µm per pixel, or None
    size_notes : sentences on where that is from, where it is less sure than usual
    white_is_zero : True where the file says that the smallest number is shown white
    whole : True where all of the image was read, though only a region was asked for
    full_shape : rows and columns of the image where every so many of them were read, else None
    whole_shape : rows and columns of the image where a region of it was read, else None
    """

    pixels: Array
    channels: tuple[str, ...] | None = None
    colour: bool = False
    companions: dict[str, Array] = field(default_factory=dict)
    pixel_size: PixelSize | None = None
    size_notes: tuple[str, ...] = ()
    white_is_zero: bool = False
    whole: bool = False
    full_shape: tuple[int, int] | None = None
    whole_shape: tuple[int, int] | None = None


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
    n_bytes: int, max_bytes: int, *, advice: str = "cut out a region or make it smaller"
) -> None:
    """Refuse what takes more memory than allowed.

    Parameters
    ----------
    n_bytes, max_bytes : int
    advice : str
        What would fit.

    Raises
    ------
    TooLarge
        If `n_bytes` is over `max_bytes`.
    """
    if n_bytes > max_bytes:
        raise TooLarge(
            f"needs {_size(n_bytes)} of memory, more than the limit of {_size(max_bytes)} "
            f"({LIMIT_NAME} sets it); {advice}"
        )


def region_that_fits(plane: tuple[int, int], n_bytes: int, max_bytes: int) -> str:
    """The largest region of the same form, as "rows × columns", where the plane takes too much."""
    share = math.sqrt(max_bytes / n_bytes)
    rows, columns = (max(1, int(length * share)) for length in plane)
    return f"{rows} × {columns}"


def _size(n_bytes: int) -> str:
    for unit, scale in (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if n_bytes >= scale:
            return f"{n_bytes / scale:.4g} {unit}"
    return f"{n_bytes} bytes"
