"""Shared by all readers of image files: the contents of a file, and checks that refuse a file.

A file is checked by its header (shape, data type, bytes) before memory is used for its pixels.
Messages here lack the file's name; `cellcutter_core.images.reading.readers` puts it in front.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cellcutter_core.images.pixel_size import PixelSize
from cellcutter_core.limits import variable

Array = npt.NDArray[Any]

LIMIT_NAME = variable("image")
"""The environment variable that sets another limit, such as 8GB."""


class Unreadable(ValueError):
    """Says what is wrong with a file and what to do, still without the file's name."""


class TooLarge(Unreadable):
    """The requested part of a file needs more memory than allowed."""


class Several(Unreadable):
    """A file holds several images, and none is chosen.

    Attributes
    ----------
    n : int
        Number of images.
    titles : sequence of str
        Name and shape of each image, as far as the file gives them, and of the thumbnails after
        them.
    """

    def __init__(self, message: str, n: int, titles: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.n, self.titles = n, titles


class Stack(Unreadable):
    """A file holds a stack, and no plane is chosen."""


@dataclass
class Contents:
    """What a file holds, without any guesses.

    Attributes
    ----------
    pixels : (H, W, C) array
    channels : names of the C channels, or None if the file gives none
    colour : True if three channels are the red, green and blue of a colour picture
    companions : other arrays in the file, under the names the file gives them
    pixel_size : µm per pixel, or None
    size_notes : sentences on the source of the pixel size, if it is less certain than usual
    white_is_zero : True if the file says that the smallest number is shown white
    whole : True if all of the image was read, although only a region was asked for
    full_shape : rows and columns of the image if only every n-th of them was read, else None
    whole_shape : rows and columns of the image if only a region of it was read, else None
    nan_as : for each of the C channels, the number that replaced its NaN or None; () without NaN
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
    nan_as: tuple[float | None, ...] = ()


def check_header(shape: tuple[int, ...], dtype: np.dtype[Any], *, what: str = "the image") -> None:
    """Refuse arrays that cannot be pixels or labels.

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
            f"{what} has dtype {dtype}, but pixels are numbers; save integers, float32 or float64"
        )
    if min(shape, default=1) < 1:
        raise Unreadable(f"{what} is empty, its shape is {shape}; save it with pixels")


def check_size(
    n_bytes: int, max_bytes: int, *, advice: str = "cut out a region or make it smaller"
) -> None:
    """Refuse to use more memory than allowed.

    Parameters
    ----------
    n_bytes, max_bytes : int
    advice : str
        How to make it fit.

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
    """The largest region that fits, as "rows × columns", with the proportions of the plane."""
    share = math.sqrt(max_bytes / n_bytes)
    rows, columns = (max(1, int(length * share)) for length in plane)
    return f"{rows} × {columns}"


def _size(n_bytes: int) -> str:
    for unit, scale in (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if n_bytes >= scale:
            return f"{n_bytes / scale:.4g} {unit}"
    return f"{n_bytes} bytes"
