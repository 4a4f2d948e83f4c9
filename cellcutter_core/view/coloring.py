"""Colours of cells: neighbours differ, and each cell keeps its colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from cellcutter_core.label_image import check_labels, compact, outlines

PALETTE: npt.NDArray[np.uint8] = np.array(
    [
        (225, 90, 60),  # coral
        (105, 240, 225),  # aqua
        (60, 135, 255),  # blue
        (240, 165, 0),  # amber
        (195, 180, 255),  # lavender
        (0, 165, 120),  # green
        (210, 105, 165),  # mauve
        (195, 225, 150),  # lime
    ],
    dtype=np.uint8,
)
"""(8, 3) uint8. Similar to the eight colours of Okabe and Ito, but bright enough on a dark image.

Found by maximising the smallest CIEDE2000 distance between two colours, for normal vision and for
vision without red, green or blue cones (after Machado et al. 2009), at a lightness of 55 to 87.
"""


NEAR = 3
"""Cells at most this many pixels apart are neighbours."""


# Number of nearest markers that are considered when a marker gets its colour.
_AROUND = 32


def marker_colors(points: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Choose a colour for each marker. Its cell has it in all epochs, baselines and runs.

    Markers choose one after the other. Each takes the colour whose nearest marker is farthest away,
    so touching cells rarely have the same colour.

    Parameters
    ----------
    points : (N, 2) array
        (row, col) of each marker.

    Returns
    -------
    (N,) int64 array
        Positions in `PALETTE`.
    """
    places = np.asarray(points, np.float64).reshape(-1, 2)
    n, n_colors = len(places), len(PALETTE)
    chosen = np.full(n, -1)
    if n == 0:
        return chosen
    near = min(_AROUND + 1, n)
    distances, others = cKDTree(places).query(places, k=near)
    distances, others = distances.reshape(n, near), others.reshape(n, near)
    for number in range(n):
        # The last column is for markers that have no colour yet.
        free = np.full(n_colors + 1, np.inf)
        np.minimum.at(free, chosen[others[number]], distances[number])
        first = number % n_colors
        chosen[number] = (first + np.argmax(np.roll(free[:-1], -first))) % n_colors
    return chosen


def label_colors(
    labels: npt.ArrayLike, *, colors: npt.ArrayLike | None = None
) -> npt.NDArray[np.uint8]:
    """Colour each cell differently from its neighbours, also for colour-blind people.

    Without `colors`, the colour depends on the id and on the neighbours, so it may change from
    epoch to epoch.

    Parameters
    ----------
    labels : (H, W) array of integers
        0 for background.
    colors : (N,) array of integers, optional
        Positions in `PALETTE`: the colours of cells 1 to N, as from `marker_colors`. Cells with
        higher ids get colours that their neighbours do not have.

    Returns
    -------
    (H, W, 4) uint8 array
        Red, green, blue and alpha: 255 on cells, 0 on background.

    Raises
    ------
    ValueError
        If `labels` is no label image.
    """
    image, ids = compact(check_labels(labels))
    pairs: list[tuple[int, int]] = []
    if colors is None or ids.max(initial=0) > len(np.asarray(colors)):
        near = neighbour_pairs(image, distance=NEAR)
        pairs = [(int(ids[a - 1]), int(ids[b - 1])) for a, b in near]
    table = np.vstack([np.zeros((1, 4), np.uint8), colors_of(ids, pairs, colors=colors)])
    return np.asarray(table[image])


def colors_of(
    ids: npt.NDArray[np.integer],
    pairs: Sequence[tuple[int, int]],
    *,
    colors: npt.ArrayLike | None = None,
) -> npt.NDArray[np.uint8]:
    """Return the colours of cells as in `label_colors`.

    Parameters
    ----------
    ids : (N,) array of integers
        Ascending.
    pairs : sequence of (int, int)
        The ids of each pair of neighbours.
    colors : (M,) array of integers, optional
        As for `label_colors`.

    Returns
    -------
    (N, 4) uint8 array
    """
    place = {cell: number for number, cell in enumerate(ids.tolist())}
    known = np.asarray([] if colors is None else colors, np.int64)
    wanted = (ids % len(PALETTE)).tolist()
    fixed = {number: int(known[cell - 1]) for cell, number in place.items() if cell <= len(known)}
    near = [(place[a], place[b]) for a, b in pairs]
    table = np.full((len(ids), 4), 255, np.uint8)
    table[:, :3] = PALETTE[assign(wanted, near, n_colors=len(PALETTE), fixed=fixed)]
    return table


def neighbour_pairs(labels: npt.ArrayLike, *, distance: int) -> list[tuple[int, int]]:
    """Return pairs of ids (lower, higher) whose cells have pixels at most `distance` apart.

    Parameters
    ----------
    labels : (H, W) array of integers
    distance : int
        Distance between the centres of pixels: cells that touch are 1 apart.

    Returns
    -------
    list of (int, int)
        Ascending.
    """
    image, ids = compact(check_labels(labels))
    padded = np.pad(image, distance)
    # The nearest pixels of two cells lie on their outlines, so only these are compared.
    edge = np.flatnonzero(outlines(padded))
    flat = padded.ravel()
    here = flat[edge]
    keys = [np.zeros(0, np.int64)]
    for row in range(distance + 1):
        for col in range(-distance, distance + 1):
            # Half of the disc is enough: the other cell of the pair covers the other half.
            if row * row + col * col <= distance * distance and (row, col) > (0, 0):
                there = flat[edge + row * padded.shape[1] + col]
                pair = (there > 0) & (there != here)
                a, b = here[pair].astype(np.int64), there[pair].astype(np.int64)
                keys.append(np.unique(np.minimum(a, b) * (len(ids) + 1) + np.maximum(a, b)))
    low, high = np.divmod(np.unique(np.concatenate(keys)), len(ids) + 1)
    return list(zip(ids[low - 1].tolist(), ids[high - 1].tolist(), strict=True))


def assign(
    wanted: Sequence[int],
    pairs: Sequence[tuple[int, int]],
    *,
    n_colors: int,
    fixed: Mapping[int, int] | None = None,
) -> list[int]:
    """Give each node the colour it wants, or the next one that no neighbour has.

    Parameters
    ----------
    wanted : sequence of int
        The colour, 0 to `n_colors` - 1, that each node should get. Earlier nodes choose first.
    pairs : sequence of (int, int)
        Positions in `wanted` of two nodes that must differ.
    n_colors : int
    fixed : mapping of int to int, optional
        Nodes whose colour is already fixed.

    Returns
    -------
    list of int
        The colour of each node. Neighbours share a colour only if the colours do not suffice:
        the neighbours of a node have all colours, and none of them can change.
    """
    neighbours: list[list[int]] = [[] for _ in wanted]
    for a, b in pairs:
        neighbours[a].append(b)
        neighbours[b].append(a)
    kept = fixed or {}
    chosen = [kept.get(node, -1) for node in range(len(wanted))]

    def free(node: int, order: list[int]) -> list[int]:
        taken = {chosen[other] for other in neighbours[node]}
        return [color for color in order if color not in taken]

    for node, first in enumerate(wanted):
        if node in kept:
            continue
        order = [(first + k) % n_colors for k in range(n_colors)]
        available = free(node, order)
        if available:
            chosen[node] = available[0]
            continue
        # The neighbours have all colours. Find one whose holders can all change to another.
        for color in order:
            holders = [other for other in neighbours[node] if chosen[other] == color]
            others = [
                [] if holder in kept else [c for c in free(holder, order) if c != color]
                for holder in holders
            ]
            if all(others):
                for holder, choice in zip(holders, others, strict=True):
                    chosen[holder] = choice[0]
                chosen[node] = color
                break
        else:
            held = [chosen[other] for other in neighbours[node]]
            chosen[node] = min(order, key=held.count)
    return chosen
