"""Arrays of Zarr 2, each half as large as the one before, of which a block is held at a time."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from itertools import product
from types import EllipsisType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.images.blocks import blocks_of, pixels_of
from cellcutter_core.images.reading.parts import Region

CHUNK = 512
BLOCK = 5 * CHUNK
# Levels are halved until the whole fits a thumbnail.
_SMALLEST = 256

BlockSlices = tuple[EllipsisType, slice, slice]


class Planes(Protocol):
    """An array (..., H, W), or what gives one of its blocks when it is asked for."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of the numbers."""

    def __getitem__(self, place: BlockSlices, /) -> NDArray[Any]:
        """Some rows and columns of all planes."""


def n_levels(shape: tuple[int, ...]) -> int:
    """How many arrays there are of an image of so many rows and columns."""
    return max(0, int(np.ceil(np.log2(max(shape) / _SMALLEST)))) + 1


def blocks(shape: tuple[int, ...]) -> list[Region]:
    """Return the blocks of an image; their edges are those of chunks."""
    return blocks_of(shape, side=BLOCK, first=BLOCK)


def pyramid(
    image: Planes,
    halved: Callable[[NDArray[Any]], NDArray[Any]],
    *,
    new: Callable[[tuple[int, ...], np.dtype[Any]], NDArray[Any]] = np.empty,
    done: Callable[[], None] = lambda: None,
) -> Iterator[tuple[str, bytes]]:
    """The arrays of an image.

    Parameters
    ----------
    image : Planes
    halved : callable
        A block → the same of half the rows and columns, `means` or `every_other`.
    new : callable
        Shape and data type → an array to write a smaller level to.
    done : callable
        Called after every one of the `blocks` of the image.

    Yields
    ------
    name, content : str, bytes
        Path, with ``/``, and content of each file.
    """
    level: Planes = image
    n = n_levels(image.shape[-2:])
    for number in range(n):
        *planes, n_rows, n_cols = level.shape
        yield f"{number}/.zarray", _header(level)
        smaller = None
        if number + 1 < n:
            smaller = new((*planes, -(-n_rows // 2), -(-n_cols // 2)), level.dtype)
        for box in blocks((n_rows, n_cols)):
            part = level[..., *pixels_of(box)]
            yield from _chunks(part, number, box[0] // CHUNK, box[1] // CHUNK)
            if smaller is not None:
                top, left, bottom, right = (-(-at // 2) for at in box)
                smaller[..., top:bottom, left:right] = halved(part)
            if number == 0:
                done()
        if smaller is not None:
            level = smaller


def means(image: NDArray[Any]) -> NDArray[Any]:
    """(..., H, W) → (..., ⌈H/2⌉, ⌈W/2⌉): means of 2 × 2 pixels, fewer at an odd edge."""
    odd = [(0, 0)] * (image.ndim - 2) + [(0, n % 2) for n in image.shape[-2:]]
    padded = np.pad(image, odd, mode="edge").astype(np.float64)
    parts = [padded[..., row::2, col::2] for row, col in product((0, 1), repeat=2)]
    found = sum(parts[1:], parts[0]) / 4
    if np.issubdtype(image.dtype, np.integer):
        found = np.rint(found)
    return np.asarray(found).astype(image.dtype)


def every_other(labels: NDArray[Any]) -> NDArray[Any]:
    """(H, W) → (⌈H/2⌉, ⌈W/2⌉), what labels become: their means are none."""
    return labels[..., ::2, ::2]


def _stored_as(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtype.newbyteorder("<")


def _header(level: Planes) -> bytes:
    about = {
        "zarr_format": 2,
        "shape": level.shape,
        "chunks": (1,) * (len(level.shape) - 2) + (CHUNK, CHUNK),
        "dtype": _stored_as(level.dtype).str,
        "compressor": {"id": "zlib", "level": 6},
        "fill_value": 0,
        "order": "C",
        "filters": None,
        "dimension_separator": "/",
    }
    return json.dumps(about, indent=1).encode("utf-8")


def _chunks(
    part: NDArray[Any], number: int, first_row: int, first_col: int
) -> Iterator[tuple[str, bytes]]:
    """The chunks of a block, those at the edge filled up with zeros."""
    counts = [-(-n // CHUNK) for n in part.shape[-2:]]
    for *plane, row, col in product(*map(range, (*part.shape[:-2], *counts))):
        rows, cols = (slice(at * CHUNK, (at + 1) * CHUNK) for at in (row, col))
        there = part[tuple(plane)][rows, cols]
        chunk = np.zeros((CHUNK, CHUNK), _stored_as(part.dtype))
        chunk[tuple(map(slice, there.shape))] = there
        place = (number, *plane, first_row + row, first_col + col)
        yield "/".join(map(str, place)), zlib.compress(chunk.tobytes(), 6)
