"""How an image is divided into blocks."""

from __future__ import annotations

from itertools import pairwise, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.images.parts import Region

AT_ONCE = 4096 * 4096
"""Pixels of the largest image that is worked on at once, which takes about 3 GB."""

SIDE = 2560
"""About the side of a block in pixels, without its margin."""


def blocks_of(shape: tuple[int, int], *, side: int | None = None) -> list[Region]:
    """Boxes that cover an image of that shape, each pixel once, all of about the same size.

    Parameters
    ----------
    shape : (int, int)
    side : int, optional
        About that of each. Default `SIDE`.

    Examples
    --------
    >>> blocks_of((5, 8), side=4)
    [(0, 0, 5, 4), (0, 4, 5, 8)]
    """
    cuts = []
    for n in shape:
        n_blocks = max(1, round(n / (side or SIDE)))
        cuts.append([n * k // n_blocks for k in range(n_blocks + 1)])
    rows, cols = (pairwise(cut) for cut in cuts)
    return [(top, left, bottom, right) for (top, bottom), (left, right) in product(rows, cols)]


def with_margin(box: Region, margin: int, shape: tuple[int, int]) -> Region:
    """A box with what lies around it in an image of that shape."""
    top, left, bottom, right = box
    return (
        max(top - margin, 0),
        max(left - margin, 0),
        min(bottom + margin, shape[0]),
        min(right + margin, shape[1]),
    )


def pixels_of(box: Region, within: Region | None = None) -> tuple[slice, slice]:
    """The index of a box in an array of the whole image, or in one of the box `within`."""
    row, col = (0, 0) if within is None else within[:2]
    return slice(box[0] - row, box[2] - row), slice(box[1] - col, box[3] - col)


def lie_in(points: NDArray[Any], box: Region) -> NDArray[np.bool_]:
    """(N,) bool: which points (row, col) have their pixel in a box."""
    pixels = np.round(points)
    inside: NDArray[np.bool_] = np.all((pixels >= box[:2]) & (pixels < box[2:]), axis=1)
    return inside
