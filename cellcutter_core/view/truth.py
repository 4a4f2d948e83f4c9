"""Pictures that compare labels with the truth, or with other labels, with legends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cellcutter_core.evaluation.overlap import Groups, match, merged_and_split, overlap
from cellcutter_core.label_image import LabelImage, check_labels, compact
from cellcutter_core.view.figure_style import AMBER, AQUA, BLUE, CORAL, LAVENDER
from cellcutter_core.view.render import Color, Rgb, check_rgb, dimmed, visible_outlines

TRUTH_COLORS: Mapping[str, Color] = {
    "hit": AQUA,
    "missed": AMBER,
    "false": CORAL,
    "merged": LAVENDER,
    "split": BLUE,
}
"""Legend of `truth_picture`. Missed cells are also hatched."""

DIFFERENCE_COLORS: Mapping[str, Color] = {
    "changed owner": AMBER,
    "appeared": AQUA,
    "vanished": CORAL,
}
"""Legend of `difference_picture`."""

_HIT, _MISSED = (list(TRUTH_COLORS).index(kind) for kind in ("hit", "missed"))
# With less, a cell could match several cells.
_HIT_IOU = 0.5
_TINT = np.float32(0.5)
# Distance between two stripes in pixels.
_HATCH = 6
# Grey of the outlines in a difference.
_OUTLINE = 170


@dataclass(frozen=True, eq=False)
class Compared:
    """Which cells are right, and what is wrong with the others.

    Attributes
    ----------
    labels, truth : (H, W) arrays of integers
        The label images that were compared.
    hits : tuple of (label id, true id)
        Pairs with an IoU of at least 0.5, each cell in at most one pair: the true positives of the
        scores.
    label_kinds : dict of int to str
        The kind of each predicted cell that is not ignored, one of

        - "hit": it is in a pair;
        - "merged": in no pair, and it covers at least half of each of two or more true cells;
        - "split": in no pair, and at least half of it lies in a true cell in which at least half
          of another predicted cell lies too;
        - "false": none of these.
    true_kinds : dict of int to str
        The kind of each true cell that is not ignored, one of

        - "hit": it is in a pair;
        - "merged": in no pair, and one predicted cell covers at least half of it and at least half
          of another true cell;
        - "split": in no pair, and at least half of each of two or more predicted cells lies in it;
        - "missed": none of these.
    merged : tuple of (label id, true ids)
        Every predicted cell that covers at least half of two or more true cells, hits included.
    split : tuple of (true id, label ids)
        Every true cell in which at least half of two or more predicted cells lies, hits included.
    """

    labels: LabelImage
    truth: LabelImage
    hits: tuple[tuple[int, int], ...]
    label_kinds: Mapping[int, str]
    true_kinds: Mapping[int, str]
    merged: Groups
    split: Groups

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of hits, missed true cells, false cells, merged cells and split true cells.

        Merged and split count the entries of `merged` and `split`, which may be hits as well: for
        example a large cell that covers a small one.
        """
        return {
            "hit": len(self.hits),
            "missed": sum(kind == "missed" for kind in self.true_kinds.values()),
            "false": sum(kind == "false" for kind in self.label_kinds.values()),
            "merged": len(self.merged),
            "split": len(self.split),
        }


def compare_truth(
    labels: npt.ArrayLike,
    truth: npt.ArrayLike,
    *,
    ignore: npt.ArrayLike | None = None,
) -> Compared:
    """Find for each predicted and each true cell whether it is right, and else what is wrong.

    Parameters
    ----------
    labels, truth : (H, W) arrays of integers
        0 for background.
    ignore : (H, W) bool array, optional
        True on pixels to leave out. A cell of which more than half lies there does not count.

    Returns
    -------
    Compared

    Raises
    ------
    ValueError
        If the shapes differ, or an argument is not of the kind described above.
    """
    table = overlap(labels, truth, ignore=ignore)
    pairs = match(table, at_least=_HIT_IOU)
    hits = zip(
        table.label_ids[table.label[pairs]].tolist(),
        table.true_ids[table.true[pairs]].tolist(),
        strict=True,
    )
    found = tuple(sorted(hits))
    merged, split = merged_and_split(table)
    return Compared(
        labels=check_labels(labels, "labels"),
        truth=check_labels(truth, "truth"),
        hits=found,
        label_kinds=_kinds(
            table.label_ids.tolist(),
            hit=(label for label, _ in found),
            merged=(label for label, _ in merged),
            split=(label for _, group in split for label in group),
            otherwise="false",
        ),
        true_kinds=_kinds(
            table.true_ids.tolist(),
            hit=(true for _, true in found),
            merged=(true for _, group in merged for true in group),
            split=(true for true, _ in split),
            otherwise="missed",
        ),
        merged=merged,
        split=split,
    )


def _kinds(
    ids: Iterable[int],
    *,
    hit: Iterable[int],
    merged: Iterable[int],
    split: Iterable[int],
    otherwise: str,
) -> dict[int, str]:
    """Return for each id the first kind that it has."""
    kinds = dict.fromkeys(ids, otherwise)
    # The first kind is assigned last, so that it replaces the others.
    for kind, members in (("split", split), ("merged", merged), ("hit", hit)):
        kinds.update(dict.fromkeys(members, kind))
    return kinds


def truth_picture(image: Rgb, compared: Compared) -> Rgb:
    """Draw hits, missed, false, merged and split cells in the colours of `TRUTH_COLORS`.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
        Shown in grey.
    compared : Compared

    Returns
    -------
    (H, W, 3) uint8 array
        Predicted cells are tinted and outlined in the colour of their kind; hits are only
        outlined, so that errors stand out. True cells that are no hit are outlined in the colour of
        their kind; missed ones are also hatched. Ignored cells stay grey.
    """
    picture = _grey(image, compared.labels.shape)
    label_colors, label_kind = _painted(compared.labels, compared.label_kinds)
    true_colors, true_kind = _painted(compared.truth, compared.true_kinds)
    _tint(picture, (label_kind >= 0) & (label_kind != _HIT), label_colors)
    diagonal = np.add.outer(*(np.arange(side) for side in true_kind.shape))
    stripes = diagonal % _HATCH < _HATCH // 2
    _tint(picture, (true_kind == _MISSED) & stripes, true_colors)
    edge = visible_outlines(compared.labels) & (label_kind >= 0)
    picture[edge] = label_colors[edge]
    edge = visible_outlines(compared.truth) & (true_kind >= 0) & (true_kind != _HIT)
    picture[edge] = true_colors[edge]
    return picture


def _painted(
    labels: LabelImage, kinds: Mapping[int, str]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int8]]:
    """Return each pixel's colour, and its kind as a position in `TRUTH_COLORS`, or -1 for none."""
    image, ids = compact(labels)
    positions = {name: i for i, name in enumerate(TRUTH_COLORS)}
    kind = [-1] + [positions[kinds[id_]] if id_ in kinds else -1 for id_ in ids.tolist()]
    colors = np.array([*TRUTH_COLORS.values(), (0, 0, 0)], np.uint8)[kind]
    return colors[image], np.array(kind, np.int8)[image]


def _grey(image: Rgb, shape: tuple[int, ...]) -> Rgb:
    """Return the image in dimmed grey, as a new picture to draw on."""
    grey = (dimmed(check_rgb(image, shape)) + 0.5).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _tint(picture: Rgb, where: npt.NDArray[np.bool_], colors: npt.NDArray[np.uint8]) -> None:
    mixed = (1 - _TINT) * picture[where] + _TINT * colors[where]
    picture[where] = (mixed + 0.5).astype(np.uint8)


def numbered_by_markers(truth: npt.ArrayLike, points: npt.ArrayLike) -> npt.NDArray[np.int32]:
    """Number true cells by the markers in them, to colour them like the predicted cells.

    Parameters
    ----------
    truth : (H, W) array of integers
        0 for background.
    points : (N, 2) array
        (row, col) of each marker; cell k is that of marker k.

    Returns
    -------
    (H, W) int32 array
        A true cell has the number of the first marker in it; without a marker, a number above N.
    """
    cells, ids = compact(check_labels(truth, "truth"))
    places = np.rint(np.asarray(points, np.float64).reshape(-1, 2)).astype(int)
    n = len(places)
    rows, cols = (np.clip(places[:, k], 0, cells.shape[k] - 1) for k in range(2))
    numbers = n + np.arange(len(ids) + 1, dtype=np.int32)
    # The first marker is assigned last, so that it replaces the others.
    for number, cell in reversed(list(enumerate(cells[rows, cols].tolist(), 1))):
        numbers[cell] = number
    numbers[0] = 0
    return np.asarray(numbers[cells], np.int32)


def changed_share(labels_a: npt.ArrayLike, labels_b: npt.ArrayLike) -> float:
    """Return how many of the pixels that are in a cell, before or after, changed their cell.

    Parameters
    ----------
    labels_a, labels_b : (H, W) arrays of integers
        As for `difference_picture`.

    Examples
    --------
    >>> changed_share([[0, 0, 1, 1, 2]], [[0, 1, 1, 2, 2]])
    0.5
    """
    before, after = np.asarray(labels_a), np.asarray(labels_b)
    n = np.count_nonzero((before > 0) | (after > 0))
    return np.count_nonzero(before != after) / n if n else 0.0


def difference_picture(labels_a: npt.ArrayLike, labels_b: npt.ArrayLike, image: Rgb) -> Rgb:
    """Draw the pixels whose cell changed from one label image to the next, over the image.

    Parameters
    ----------
    labels_a, labels_b : (H, W) arrays of integers
        Before and after, 0 for background. An id must mean the same cell in both, as in two epochs
        of a run, two runs from the same markers, or a run and its baselines.
    image : (H, W, 3) uint8 array
        Shown in grey.

    Returns
    -------
    (H, W, 3) uint8 array
        In the colours of `DIFFERENCE_COLORS`: "appeared" was background before, "vanished" is
        background now, "changed owner" belongs to another cell now. Outlines are those of
        `labels_b`, in light grey.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    before, after = check_labels(labels_a, "labels_a"), check_labels(labels_b, "labels_b")
    if before.shape != after.shape:
        raise ValueError(
            f"labels_a has shape {before.shape} and labels_b {after.shape}, but they must cover "
            "the same pixels; crop one of them"
        )
    picture = _grey(image, before.shape)
    picture[visible_outlines(after)] = _OUTLINE
    differ = before != after
    where = {
        "changed owner": differ & (before > 0) & (after > 0),
        "appeared": (before == 0) & (after > 0),
        "vanished": (before > 0) & (after == 0),
    }
    for name, pixels in where.items():
        picture[pixels] = DIFFERENCE_COLORS[name]
    return picture
