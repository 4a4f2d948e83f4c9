"""The outline of every cell along the edges of its pixels, for ROIs and polygons."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cellcutter_core.label_image import check_labels, compact

Ring = npt.NDArray[np.int32]
Piece = list[Ring]

# Directions of a pixel side, walked with its pixel to the right: east, south, west, north.
_EAST, _SOUTH, _WEST, _NORTH = range(4)


def cell_outlines(
    labels: npt.ArrayLike, *, origin: tuple[int, int] = (0, 0)
) -> dict[int, list[Piece]]:
    """Follow the pixel edges around every cell.

    Parameters
    ----------
    labels : (H, W) array of integers
        0 for background.
    origin : (int, int)
        (row, col) of their first pixel in the image from which rows and columns are counted.

    Returns
    -------
    dict
        Id → the pieces of that cell, ids ascending. A piece is a 4-connected part of a cell: its
        outer ring, then a ring for each hole. A ring is an (N, 2) int32 array of (row, col)
        corners, closed without repeating the first. Corner (r, c) is the upper left one of pixel
        (r, c), so pixel (0, 0) spans 0 to 1. Outer rings run clockwise as seen on a screen, holes
        counterclockwise: even-odd and non-zero filling both give exactly the pixels of the cell.
        No ring touches itself, so the pieces are valid polygons.

    Raises
    ------
    ValueError
        If `labels` is no label image.

    Examples
    --------
    >>> [[outer]] = cell_outlines([[0, 7, 7], [0, 0, 7]]).values()
    >>> outer.tolist()
    [[0, 1], [0, 3], [2, 3], [2, 2], [1, 2], [1, 1]]
    """
    from skimage.measure import label

    image = check_labels(labels)
    numbers, ids = compact(image)
    found: dict[int, list[Piece]] = {int(cell): [] for cell in ids}
    if not found:
        return found
    pieces = label(numbers, background=0, connectivity=1)
    owner = np.zeros(int(pieces.max()) + 1, np.int64)
    owner[pieces] = image
    owner[0] = 0
    for number, rings in _traced(pieces).items():
        place = np.array(origin, np.int32)
        found[int(owner[number])].append([ring + place for ring in rings])
    return found


def _traced(pieces: npt.NDArray[Any]) -> dict[int, Piece]:
    """Return the rings of each piece by its number, the outer ring first."""
    width = pieces.shape[1] + 1
    n_corners = (pieces.shape[0] + 1) * width
    keys, ends = _sides(pieces, width, n_corners)
    order = np.argsort(keys)
    keys, ends = keys[order], ends[order]
    number, direction = keys // (4 * n_corners), keys % 4
    start = (keys // 4) % n_corners
    # Where a piece touches itself diagonally, a ring can turn left or right. The left turn leads
    # along the other pixel. Both pixels belong to one piece, so a closed path within it passes the
    # corner and separates the two sides. A ring that always turns left thus passes here only once.
    follow = np.full(len(keys), -1, np.int64)
    for turn in (1, 0, 3):
        wanted = (number * n_corners + ends) * 4 + (direction + turn) % 4
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        follow = np.where(keys[place] == wanted, place, follow)
    rings: dict[int, Piece] = {}
    # The sides of a piece are in the order of their corners. So its first ring begins at its
    # topmost corner, which no hole contains.
    for ring in _cycles(follow):
        corners = start[ring[direction[ring] != direction[np.roll(ring, 1)]]]
        outline = np.stack([corners // width, corners % width], axis=1).astype(np.int32)
        rings.setdefault(int(number[ring[0]]), []).append(outline)
    return rings


def _sides(
    pieces: npt.NDArray[Any], width: int, n_corners: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return every pixel side on the boundary of a piece: (piece, first corner, direction) in one
    number, and the last corner."""
    padded = np.pad(pieces.astype(np.int64), 1)
    keys, ends = [], []
    # The neighbour beyond the side, and the side's first and last corner, relative to the pixel.
    for direction, beyond, first, last in (
        (_EAST, (-1, 0), (0, 0), (0, 1)),
        (_SOUTH, (0, 1), (0, 1), (1, 1)),
        (_WEST, (1, 0), (1, 1), (1, 0)),
        (_NORTH, (0, -1), (1, 0), (0, 0)),
    ):
        other = np.roll(padded, (-beyond[0], -beyond[1]), (0, 1))[1:-1, 1:-1]
        rows, cols = np.nonzero((pieces != 0) & (pieces != other))
        corner = (rows + first[0]) * width + cols + first[1]
        keys.append((pieces[rows, cols].astype(np.int64) * n_corners + corner) * 4 + direction)
        ends.append((rows + last[0]) * width + cols + last[1])
    return np.concatenate(keys), np.concatenate(ends)


def _cycles(follow: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """Return the cycles of a permutation, each from its lowest member, in ascending order."""
    after, seen = follow.tolist(), bytearray(len(follow))
    cycles = []
    for first in range(len(after)):
        cycle, at = [], first
        while not seen[at]:
            seen[at] = 1
            cycle.append(at)
            at = after[at]
        if cycle:
            cycles.append(np.array(cycle))
    return cycles
