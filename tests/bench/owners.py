"""Which pixels change owner between two label images, and whether for the better."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from cellcutter_core.evaluation.overlap import overlap


def true_cells_of(labels: NDArray[Any], truth: NDArray[Any]) -> NDArray[np.int64]:
    """The true cell that each label stands for.

    A label stands for the true cell it shares most pixels with, however few. Where several labels
    would stand for the same true cell, the one that shares most pixels with it does, and the others
    stand for none. Of equals, it is the lower id.

    Parameters
    ----------
    labels, truth : (H, W) arrays of integers
        0 is no cell.

    Returns
    -------
    (n + 1,) int64, n the largest label
        Id of the true cell, 0 for none; entry 0, of no label, is 0.

    Examples
    --------
    >>> true_cells_of(np.array([[1, 1, 1, 2, 3]]), np.array([[7, 7, 7, 7, 0]]))
    array([0, 7, 0, 0])
    """
    table = overlap(labels, truth)
    found = np.zeros(int(labels.max(initial=0)) + 1, np.int64)
    taken: set[int] = set()
    decided: set[int] = set()
    for pair in np.lexsort((table.true, table.label, -table.area)):
        label, true = (int(x[pair]) for x in (table.label, table.true))
        if label in decided:
            continue
        decided.add(label)
        if true not in taken:
            taken.add(true)
            found[table.label_ids[label]] = table.true_ids[true]
    return found


def count_changes(
    before: NDArray[Any],
    after: NDArray[Any],
    truth: NDArray[Any],
    *,
    mask: NDArray[np.bool_],
    ignore: NDArray[np.bool_] | None = None,
) -> dict[str, int]:
    """Count the pixels of the mask that change owner, by what becomes of them.

    A pixel is right where its label stands for the true cell that lies there (`true_cells_of`,
    asked of each label image by itself), or where there is neither label nor true cell. Pixels to
    be ignored are taken out of everything first.

    Parameters
    ----------
    before, after : (H, W) arrays of integers
        Labels of the same cells under the same ids; 0 is no cell.
    truth : (H, W) array of integers
    mask : (H, W) bool
        Pixels that are looked at.
    ignore : (H, W) bool, optional
        True on pixels that are left out.

    Returns
    -------
    dict of str to int
        `mask`, the pixels looked at; `changed`, those with another label; and these as
        `turn right`, `turn wrong`, `stay right` and `stay wrong`. `no true cell` are those of
        `stay wrong` on which there is none, so that no owner would have been right.
    """
    counted = np.ones(mask.shape, bool) if ignore is None else ~ignore
    before, after, truth = (np.where(counted, image, 0) for image in (before, after, truth))
    looked_at = mask & counted
    changed = looked_at & (before != after)
    was, now = (_right(labels, truth) for labels in (before, after))
    kinds = {
        "mask": looked_at,
        "changed": changed,
        "turn right": changed & ~was & now,
        "turn wrong": changed & was & ~now,
        "stay right": changed & was & now,
        "stay wrong": changed & ~was & ~now,
        "no true cell": changed & ~was & ~now & (truth == 0),
    }
    return {kind: int(pixels.sum()) for kind, pixels in kinds.items()}


def _right(labels: NDArray[Any], truth: NDArray[Any]) -> NDArray[np.bool_]:
    stands_for = true_cells_of(labels, truth)[labels]
    return np.asarray((stands_for == truth) & ((labels == 0) | (stands_for > 0)))
