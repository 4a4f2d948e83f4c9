"""The overlaps of two label images: which cells share pixels, how many, and which ones match.

All metrics are computed from this one table. It is sparse, because a cell overlaps few others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from cellcutter_core.label_image import LabelImage, check_labels, compact

# The table is built in bands of rows, because it takes several numbers for each pixel.
_BAND_PIXELS = 1 << 21

Groups = tuple[tuple[int, tuple[int, ...]], ...]
"""Cells, each with several of the other label image, by id; all ascending."""


@dataclass(frozen=True, eq=False)
class Overlap:
    """Every pair of a true cell and a label that share pixels.

    Attributes
    ----------
    true_ids, label_ids : (T,), (L,) int64 arrays
        The cells that are not ignored, ids ascending.
    true_area, label_area : (T,), (L,) int64 arrays
        Their areas in counted pixels.
    true, label : (P,) int arrays
        The pairs, as positions in `true_ids` and in `label_ids`.
    area : (P,) int64 array
        The pixels they share.
    foreground : (int, int)
        Number of counted pixels that are cell in both images, and in at least one of them.
    """

    true_ids: npt.NDArray[np.int64]
    label_ids: npt.NDArray[np.int64]
    true_area: npt.NDArray[np.int64]
    label_area: npt.NDArray[np.int64]
    true: npt.NDArray[np.int64]
    label: npt.NDArray[np.int64]
    area: npt.NDArray[np.int64]
    foreground: tuple[int, int]

    @property
    def iou(self) -> npt.NDArray[np.float64]:
        """(P,) intersection over union of each pair."""
        union = self.true_area[self.true] + self.label_area[self.label] - self.area
        return np.asarray(self.area / union, np.float64)


def overlap(
    labels: npt.ArrayLike, truth: npt.ArrayLike, *, ignore: npt.ArrayLike | None = None
) -> Overlap:
    """Count the pixels that each cell of one label image shares with each of the other.

    Parameters
    ----------
    labels, truth : (H, W) arrays of integers
        0 for background.
    ignore : (H, W) bool array, optional
        True on pixels to leave out. A cell of which more than half lies there does not count.

    Returns
    -------
    Overlap

    Raises
    ------
    ValueError
        If the shapes differ, or one of the arrays is not of the kind described above.

    Examples
    --------
    >>> table = overlap(np.array([[3, 3, 3, 0]]), np.array([[0, 8, 8, 9]]))
    >>> table.true_ids[table.true], table.label_ids[table.label], table.area, table.iou
    (array([8]), array([3]), array([2]), array([0.66666667]))
    """
    found, true = check_labels(labels, "labels"), check_labels(truth, "truth")
    if found.shape != true.shape:
        raise ValueError(
            f"labels has shape {found.shape} and truth {true.shape}, but they must cover the same "
            "pixels; crop or resize one of them"
        )
    counted = _counted(ignore, found.shape)
    label_image, label_ids = compact(found)
    true_image, true_ids = compact(true)
    label_area, label_stays = _areas(label_image, len(label_ids), counted)
    true_area, true_stays = _areas(true_image, len(true_ids), counted)
    table = csr_array((len(true_ids) + 1, len(label_ids) + 1), dtype=np.int64)
    in_both = in_either = 0
    rows = max(1, _BAND_PIXELS // max(1, found.shape[1]))
    for top in range(0, found.shape[0], rows):
        band = np.s_[top : top + rows]
        i, j = true_image[band], label_image[band]
        if counted is not None:
            i, j = i[counted[band]], j[counted[band]]
        shared = (i > 0) & (j > 0)
        in_both += int(np.count_nonzero(shared))
        in_either += int(np.count_nonzero((i > 0) | (j > 0)))
        i, j = i[shared], j[shared]
        table += coo_array((np.ones(len(i), np.int64), (i, j)), shape=table.shape).tocsr()
    # Drop the background, which is row and column 0, and ignored cells.
    pairs = table[1:, 1:][true_stays][:, label_stays].tocoo()
    row, col = pairs.coords
    return Overlap(
        true_ids=true_ids[true_stays],
        label_ids=label_ids[label_stays],
        true_area=true_area[true_stays],
        label_area=label_area[label_stays],
        true=row.astype(np.int64),
        label=col.astype(np.int64),
        area=pairs.data,
        foreground=(in_both, in_either),
    )


def _counted(ignore: npt.ArrayLike | None, shape: tuple[int, ...]) -> npt.NDArray[np.bool_] | None:
    if ignore is None:
        return None
    mask = np.asarray(ignore)
    if mask.dtype != bool or mask.shape != shape:
        raise ValueError(
            f"ignore is {mask.dtype} of shape {mask.shape}, but must be bool of shape {shape}, "
            "True on pixels to leave out"
        )
    return np.asarray(~mask)


def _areas(
    image: LabelImage, n: int, counted: npt.NDArray[np.bool_] | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the area of each cell on counted pixels, and the positions of cells not ignored."""
    whole = np.bincount(image.ravel(), minlength=n + 1)[1:]
    area = whole if counted is None else np.bincount(image[counted], minlength=n + 1)[1:]
    return area, np.flatnonzero(2 * area >= whole)


def match(table: Overlap, *, at_least: float) -> npt.NDArray[np.int64]:
    """Pair true cells with labels, each with at most one, in as many pairs as possible.

    Parameters
    ----------
    table : Overlap
    at_least : float
        The IoU that a pair must have, 0.5 or more. Above 0.5 a cell has only one possible partner;
        at exactly 0.5 one of two equally good partners is taken.

    Returns
    -------
    (M,) int64 array
        The matched pairs: positions in `true`, `label`, `area` and `iou` of `table`.
    """
    close = np.flatnonzero(table.iou >= at_least)
    if len(close) == 0:
        return close
    graph = csr_array(
        (np.ones(len(close)), (table.true[close], table.label[close])),
        shape=(len(table.true_ids), len(table.label_ids)),
    )
    partner = maximum_bipartite_matching(graph, perm_type="column")
    return np.asarray(close[partner[table.true[close]] == table.label[close]])


def merged_and_split(table: Overlap) -> tuple[Groups, Groups]:
    """Find the labels that cover several true cells, and the true cells that several labels share.

    Returns
    -------
    merged : tuple of (label id, true ids)
        One label covers at least half of each of two or more true cells.
    split : tuple of (true id, label ids)
        Two or more labels have at least half of their area in one true cell.
    """
    true, label = table.true_ids[table.true], table.label_ids[table.label]
    covered = 2 * table.area >= table.true_area[table.true]
    inside = 2 * table.area >= table.label_area[table.label]
    return _several(label[covered], true[covered]), _several(true[inside], label[inside])


def _several(keys: npt.NDArray[np.int64], values: npt.NDArray[np.int64]) -> Groups:
    """Return the keys that have two or more values, each with its values."""
    groups: dict[int, list[int]] = {}
    for key, value in sorted(zip(keys.tolist(), values.tolist(), strict=True)):
        groups.setdefault(key, []).append(value)
    return tuple((key, tuple(group)) for key, group in groups.items() if len(group) > 1)
