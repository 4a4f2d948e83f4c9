"""Divide an image into blocks."""

from __future__ import annotations

from itertools import pairwise, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.images.reading.parts import Region

AT_ONCE = 4096 * 4096
"""Number of pixels of the largest image that is processed whole, which takes about 3 GB."""

SIDE = 2560
"""Approximate side of a block in pixels, without its margin."""


def blocks_of(
    shape: tuple[int, ...], *, side: int | None = None, first: int | None = None
) -> list[Region]:
    """Return boxes that cover each pixel of an image once.

    Parameters
    ----------
    shape : (int, int)
    side : int, optional
        Side of a box in pixels. Default `SIDE`.
    first : int, optional
        Where the first boxes end. All but the boxes at the edges of the image then have exactly
        this side. By default all boxes have about the same size.

    Examples
    --------
    >>> blocks_of((5, 8), side=4)
    [(0, 0, 5, 4), (0, 4, 5, 8)]
    >>> blocks_of((5, 8), side=4, first=4)
    [(0, 0, 4, 4), (0, 4, 4, 8), (4, 0, 5, 4), (4, 4, 5, 8)]
    """
    side = side or SIDE
    cuts = []
    for n in shape:
        if first is None:
            n_blocks = max(1, round(n / side))
            cuts.append([n * k // n_blocks for k in range(n_blocks + 1)])
        else:
            cuts.append([0, *range(first, n, side), n])
    rows, cols = (pairwise(cut) for cut in cuts)
    return [(top, left, bottom, right) for (top, bottom), (left, right) in product(rows, cols)]


def rim_of(box: Region, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return (h, w) bool of a box: True on its outermost pixels where the image goes on."""
    top, left, bottom, right = box
    rim = np.zeros((bottom - top, right - left), bool)
    rim[0] |= top > 0
    rim[-1] |= bottom < shape[0]
    rim[:, 0] |= left > 0
    rim[:, -1] |= right < shape[1]
    return rim


def with_margin(box: Region, margin: int, shape: tuple[int, ...]) -> Region:
    """Return a box enlarged by a margin, within an image of that shape."""
    top, left, bottom, right = box
    return (
        max(top - margin, 0),
        max(left - margin, 0),
        min(bottom + margin, shape[0]),
        min(right + margin, shape[1]),
    )


def pixels_of(box: Region, within: Region | None = None) -> tuple[slice, slice]:
    """Return the slices of a box in an array of the whole image, or of the box `within`."""
    row, col = (0, 0) if within is None else within[:2]
    return slice(box[0] - row, box[2] - row), slice(box[1] - col, box[3] - col)


def lie_in(points: NDArray[Any], box: Region) -> NDArray[np.bool_]:
    """Return (N,) bool: which points (row, col) have their pixel in a box."""
    pixels = np.round(points)
    inside: NDArray[np.bool_] = np.all((pixels >= box[:2]) & (pixels < box[2:]), axis=1)
    return inside
