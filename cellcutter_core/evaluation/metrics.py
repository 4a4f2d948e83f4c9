"""Labels against truth: how many cells were found, and how well."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cellcutter_core.evaluation.overlap import match, overlap

# Quotients of integers, not steps of 0.05: they are then the floats nearest to 0.50, 0.55 ..., as
# is the IoU of 11 pixels in 20, and "IoU >= threshold" is exact.
THRESHOLDS: tuple[float, ...] = tuple(percent / 100 for percent in range(50, 100, 5))


@dataclass(frozen=True)
class Scores:
    """How well a label image agrees with the truth. All but the counts are from 0 to 1.

    A cell and a true cell are matched if their IoU (intersection over union) is at least 0.5
    (for `average_precision`: at least each threshold). Each is matched with at most one.

    A ratio with the denominator 0 is 1 if there is no true cell and none was found, because
    nothing is wrong then, and otherwise 0. It is never NaN.

    Attributes
    ----------
    n_cells, n_true : int
        Number of cells in the labels and in the truth; ignored ones are not counted (see `score`).
    n_matched : int
        Pairs with IoU >= 0.5: the true positives.
    average_precision : tuple of float
        TP / (TP + FP + FN) at each of `THRESHOLDS`: IoU 0.50, 0.55 ... 0.95. The field calls it
        AP; it is the measure of the Data Science Bowl 2018 and of StarDist, not an area under a
        precision-recall curve.
    mean_iou : float
        Mean IoU of the pairs matched at IoU >= 0.5: how well the outlines of found cells fit;
        missed cells do not count. (The paper's mIOU is `miou`.)
    mean_best_iou : float
        Best IoU of each true cell with any cell, averaged over all true cells, missed ones
        included.
    foreground_iou : float
        IoU of all cells together with all true cells together.
    """

    n_cells: int
    n_true: int
    n_matched: int
    average_precision: tuple[float, ...]
    mean_iou: float
    mean_best_iou: float
    foreground_iou: float

    @property
    def ap50(self) -> float:
        """TP / (TP + FP + FN) at IoU >= 0.5."""
        return self.average_precision[THRESHOLDS.index(0.5)]

    @property
    def ap75(self) -> float:
        """TP / (TP + FP + FN) at IoU >= 0.75."""
        return self.average_precision[THRESHOLDS.index(0.75)]

    @property
    def mean_ap(self) -> float:
        """Mean of `average_precision` over the thresholds 0.50 to 0.95."""
        return sum(self.average_precision) / len(self.average_precision)

    @property
    def precision(self) -> float:
        """Share of the cells that are matched, TP / (TP + FP)."""
        return _ratio(self.n_matched, self.n_cells, nothing=self._nothing)

    @property
    def recall(self) -> float:
        """Share of the true cells that are matched, TP / (TP + FN)."""
        return _ratio(self.n_matched, self.n_true, nothing=self._nothing)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall at IoU >= 0.5, 2 TP / (2 TP + FP + FN)."""
        return _ratio(2 * self.n_matched, self.n_cells + self.n_true, nothing=self._nothing)

    @property
    def panoptic_quality(self) -> float:
        """Sum of the matched IoU over TP + FP/2 + FN/2: `f1` times `mean_iou`.

        Kirillov et al., Panoptic Segmentation, CVPR 2019, eq. 1; pairs of IoU exactly 0.5 count.
        """
        return self.f1 * self.mean_iou

    @property
    def _nothing(self) -> bool:
        return self.n_cells == 0 and self.n_true == 0

    def as_dict(self) -> dict[str, Any]:
        """Return every score by its name, in types that JSON has."""
        derived = ("ap50", "ap75", "mean_ap", "precision", "recall", "f1", "panoptic_quality")
        return {
            **asdict(self),
            "average_precision": list(self.average_precision),
            "thresholds": list(THRESHOLDS),
            **{name: getattr(self, name) for name in derived},
        }


def score(
    labels: npt.ArrayLike, truth: npt.ArrayLike, *, ignore: npt.ArrayLike | None = None
) -> Scores:
    """Compare a label image with the truth.

    Parameters
    ----------
    labels, truth : (H, W) arrays of integers
        0 for background; ids need not be consecutive and need not agree.
    ignore : (H, W) bool array, optional
        True on pixels to leave out. A cell, predicted or true, of which more than half lies there
        does not count at all, neither as found nor as missing nor as false; the others are
        compared on the remaining pixels.

    Returns
    -------
    Scores

    Raises
    ------
    ValueError
        If the shapes differ, or one of the arrays is not of the kind described above.

    Notes
    -----
    Above an IoU of 0.5 no cell has two partners, because they would need more than its whole area;
    at exactly 0.5 a cell cut in equal halves has two. A maximum matching of the pairs with
    IoU >= 0.5 settles that case and contains every pair above it, so the pairs at a higher
    threshold are those of this one matching that reach it.

    Examples
    --------
    >>> truth = np.zeros((4, 8), int)
    >>> truth[:, :4], truth[:, 4:] = 1, 2
    >>> found = np.where(truth == 1, 5, 0)
    >>> score(found, truth).ap50, score(found, truth).f1
    (0.5, 0.6666666666666666)
    """
    table = overlap(labels, truth, ignore=ignore)
    n_true, n_cells = len(table.true_ids), len(table.label_ids)
    nothing = n_true == 0 and n_cells == 0
    matched_iou = table.iou[match(table, at_least=THRESHOLDS[0])]
    n_matched = len(matched_iou)
    hits = [int(np.count_nonzero(matched_iou >= threshold)) for threshold in THRESHOLDS]
    best = np.zeros(n_true)
    np.maximum.at(best, table.true, table.iou)
    both, either = table.foreground
    return Scores(
        n_cells=n_cells,
        n_true=n_true,
        n_matched=n_matched,
        average_precision=tuple(_ratio(tp, n_cells + n_true - tp, nothing=nothing) for tp in hits),
        mean_iou=_ratio(matched_iou.sum(), n_matched, nothing=nothing),
        mean_best_iou=_ratio(best.sum(), n_true, nothing=nothing),
        foreground_iou=_ratio(both, either, nothing=True),
    )


def miou(predicted: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """The paper's mIOU: mean of foreground and background IoU over validation crops.

    Parameters
    ----------
    predicted, true : (K, S, S) bool arrays
        True on the cell of each crop.

    Returns
    -------
    float
        In [0, 1]. The IoU of the cell and the IoU of the background are averaged over the crops,
        and this is the mean of the two averages. The IoU of two empty masks is 1.

    Raises
    ------
    ValueError
        If the arrays are not of one (K, S, S) shape with K > 0, or not bool.

    Notes
    -----
    As in the scripts of Din & Yu, Sci. Rep. 11, 23995 (2021), which add 0.01 to each union to keep
    from dividing by zero and so come out lower by about 0.01 / union.

    Examples
    --------
    >>> cell = np.array([[[True, True], [False, False]]])
    >>> miou(cell, cell), miou(~cell, cell)
    (1.0, 0.0)
    """
    crops = {"predicted": np.asarray(predicted), "true": np.asarray(true)}
    for name, array in crops.items():
        if array.dtype != bool:
            raise ValueError(
                f"{name} has dtype {array.dtype}, but crops are bool, True on the cell; "
                "threshold probabilities at 0.5 first"
            )
        if array.ndim != 3 or array.size == 0:
            raise ValueError(
                f"{name} has shape {array.shape}, but must be (crops, rows, cols) "
                "with at least one crop"
            )
    a, b = crops.values()
    if a.shape != b.shape:
        raise ValueError(
            f"predicted has shape {a.shape} and true {b.shape}, but they must be the same crops"
        )
    both, either = (a & b).sum(axis=(1, 2)), (a | b).sum(axis=(1, 2))
    pixels = a.shape[1] * a.shape[2]
    # Pixels outside the union of the cells are the intersection of the backgrounds, and vice versa.
    pairs = ((both, either), (pixels - either, pixels - both))
    ious = [np.where(union > 0, part / np.maximum(union, 1), 1.0) for part, union in pairs]
    return float(np.mean(ious))


def mask_iou(
    mask: npt.NDArray[np.bool_],
    truth: npt.NDArray[np.bool_],
    *,
    ignore: npt.NDArray[np.bool_] | None = None,
) -> float:
    """Compute the intersection over union of a mask and the true mask.

    Parameters
    ----------
    mask, truth : (H, W) bool arrays
        True on cells.
    ignore : (H, W) bool array, optional
        True on pixels to leave out.

    Returns
    -------
    float
        In [0, 1]; 1 if both are empty.

    Raises
    ------
    ValueError
        If they are not bool, or their shapes differ.

    Examples
    --------
    >>> mask_iou(np.array([[True, True, False]]), np.array([[False, True, True]]))
    0.3333333333333333
    """
    given = {"mask": mask, "truth": truth} | ({} if ignore is None else {"ignore": ignore})
    for name, array in given.items():
        if array.shape != mask.shape or array.dtype != np.bool_:
            raise ValueError(
                f"{name} is {array.dtype} of shape {array.shape} and mask has shape {mask.shape}; "
                "give bool arrays of one shape; of a label image, give labels > 0"
            )
    counts = np.ones(mask.shape, bool) if ignore is None else ~ignore
    both, either = mask & truth & counts, (mask | truth) & counts
    return _ratio(both.sum(), either.sum(), nothing=True)


def _ratio(part: float, whole: float, *, nothing: bool) -> float:
    """Return `part` / `whole`; if `whole` is 0, 1 with `nothing` and else 0."""
    return float(part) / float(whole) if whole else float(nothing)
