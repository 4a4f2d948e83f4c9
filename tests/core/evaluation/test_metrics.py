"""Scores on label images whose right scores are known beforehand."""

import itertools
import json
import math
from dataclasses import FrozenInstanceError
from typing import NamedTuple

import numpy as np
import pytest

import cellcutter_core.evaluation.overlap as overlap_module
from cellcutter_core.evaluation.metrics import THRESHOLDS, mask_iou, miou, score
from cellcutter_core.view.truth import compare_truth


class Errors(NamedTuple):
    """Ids of the cells that are right, and of those that are not."""

    matched: tuple[tuple[int, int], ...]
    missed: tuple[int, ...]
    false: tuple[int, ...]
    merged: tuple[tuple[int, tuple[int, ...]], ...]
    split: tuple[tuple[int, tuple[int, ...]], ...]


def errors(labels: np.ndarray, truth: np.ndarray, *, ignore: np.ndarray | None = None) -> Errors:
    found = compare_truth(labels, truth, ignore=ignore)
    missed, false = (
        tuple(cell for cell, kind in kinds.items() if kind != "hit")
        for kinds in (found.true_kinds, found.label_kinds)
    )
    return Errors(found.hits, missed, false, found.merged, found.split)


def disc(shape: tuple[int, int], row: float, col: float, radius: float) -> np.ndarray:
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    return (rows - row) ** 2 + (cols - col) ** 2 <= radius**2


def row_of(*lengths: tuple[int, int]) -> np.ndarray:
    """A one-row label image from (id, number of pixels)."""
    return np.concatenate([np.full(n, id_) for id_, n in lengths])[None]


def test_thresholds_are_the_decimal_ones() -> None:
    assert THRESHOLDS == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


def test_perfect_whatever_the_ids_are() -> None:
    truth = np.array([[1, 1, 0, 2], [1, 1, 0, 2], [3, 0, 0, 0]])
    labels = np.array([0, 70, 5, 4_000_000_000])[truth]
    scores = score(labels, truth.astype(np.uint8))
    assert scores.average_precision == (1.0,) * 10
    assert (scores.n_cells, scores.n_true, scores.n_matched) == (3, 3, 3)
    for name in ("ap50", "ap75", "mean_ap", "precision", "recall", "f1", "panoptic_quality"):
        assert getattr(scores, name) == 1.0
    assert scores.mean_iou == scores.mean_best_iou == scores.foreground_iou == 1.0


def test_a_square_moved_by_a_quarter_has_an_iou_of_exactly_three_fifths() -> None:
    truth, labels = np.zeros((40, 40), np.uint16), np.zeros((40, 40), np.uint16)
    truth[10:30, 10:30] = 1
    labels[10:30, 15:35] = 1
    # 20 x 15 shared of 20 x 25: 0.6, which the threshold 0.6 must let pass.
    scores = score(labels, truth)
    assert scores.average_precision == (1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    assert scores.mean_ap == pytest.approx(0.3)
    assert (scores.ap50, scores.ap75) == (1.0, 0.0)
    assert scores.mean_iou == scores.foreground_iou == scores.mean_best_iou == 0.6
    assert scores.panoptic_quality == 0.6


@pytest.mark.parametrize("percent", range(50, 100, 5))
def test_an_iou_at_a_threshold_reaches_it(percent: int) -> None:
    truth, labels = row_of((1, 20)), row_of((1, percent // 5), (0, 20 - percent // 5))
    hits = [threshold <= percent / 100 for threshold in THRESHOLDS]
    assert score(labels, truth).average_precision == tuple(map(float, hits))


@pytest.mark.parametrize("shift", [0, 3, 6, 10, 19])
def test_discs_moved_by_a_known_amount(shift: int) -> None:
    radius, shape = 20, (320, 300)
    truth, labels = np.zeros(shape, int), np.zeros(shape, int)
    for i, (row, col) in enumerate(itertools.product((40, 110, 180, 250), (40, 110, 180))):
        truth[disc(shape, row, col, radius)] = i + 1
        labels[disc(shape, row + shift, col, radius)] = 12 - i
    # The lens that two circles of one radius share.
    half = shift / 2
    lens = 2 * radius**2 * math.acos(half / radius) - shift * math.sqrt(radius**2 - half**2)
    iou = lens / (2 * math.pi * radius**2 - lens)
    scores = score(labels, truth)
    assert scores.mean_best_iou == pytest.approx(iou, abs=0.01)
    assert scores.foreground_iou == pytest.approx(iou, abs=0.01)
    assert scores.average_precision == tuple(float(iou >= at) for at in THRESHOLDS)
    assert scores.n_matched == (12 if iou >= 0.5 else 0)
    assert scores.mean_iou == pytest.approx(iou if iou >= 0.5 else 0, abs=0.01)


def test_counts_of_right_missed_and_false_cells() -> None:
    # Cell 1 found whole, cell 2 by 8 of its 10 pixels, cell 3 missed, and two that are not there.
    truth = row_of((1, 10), (0, 1), (2, 10), (0, 1), (3, 10), (0, 10))
    labels = row_of((4, 10), (0, 1), (5, 8), (0, 14), (6, 4), (7, 5))
    scores = score(labels, truth)
    assert (scores.n_cells, scores.n_true, scores.n_matched) == (4, 3, 2)
    assert scores.precision == 2 / 4
    assert scores.recall == 2 / 3
    assert scores.f1 == 4 / 7
    assert scores.ap50 == 2 / 5
    assert scores.average_precision[THRESHOLDS.index(0.8)] == 2 / 5
    assert scores.average_precision[THRESHOLDS.index(0.85)] == 1 / 6
    assert scores.mean_iou == pytest.approx((1 + 0.8) / 2)
    assert scores.mean_best_iou == pytest.approx((1 + 0.8 + 0) / 3)
    assert scores.panoptic_quality == pytest.approx(1.8 / (2 + 2 / 2 + 1 / 2))
    assert scores.foreground_iou == 18 / 39
    result = errors(labels, truth)
    assert result == Errors(
        matched=((4, 1), (5, 2)), missed=(3,), false=(6, 7), merged=(), split=()
    )


def test_two_halves_are_one_match_and_not_two() -> None:
    # Both have an IoU of exactly 0.5 with the one cell: here a match is not unique.
    truth, labels = row_of((1, 8)), row_of((1, 4), (2, 4))
    scores = score(labels, truth)
    assert scores.n_matched == 1
    assert scores.ap50 == 1 / 2
    assert score(truth, labels).ap50 == 1 / 2
    result = errors(labels, truth)
    assert result.split == ((1, (1, 2)),)
    assert len(result.matched) == len(result.false) == 1


def test_a_merged_pair() -> None:
    truth, labels = row_of((1, 4), (2, 4), (3, 4)), row_of((9, 8), (5, 4))
    result = errors(labels, truth)
    assert result.merged == ((9, (1, 2)),)
    assert (5, 3) in result.matched
    # Two halves of equal size: the merged cell may stand for one of them, and the other is missed.
    assert len(result.missed) == 1
    assert result.split == ()


def test_a_cell_that_swallowed_a_small_one_is_merged_and_matched() -> None:
    result = errors(row_of((1, 12)), row_of((1, 10), (2, 2)))
    assert result == Errors(
        matched=((1, 1),), missed=(2,), false=(), merged=((1, (1, 2)),), split=()
    )


def test_half_is_enough_to_be_merged_or_split_and_a_quarter_is_not() -> None:
    pair = row_of((1, 4), (2, 4))
    half, quarter = row_of((0, 2), (9, 4), (0, 2)), row_of((0, 3), (9, 2), (0, 3))
    assert errors(half, pair).merged == ((9, (1, 2)),)
    assert errors(quarter, pair).merged == ()
    assert errors(pair, half).split == ((9, (1, 2)),)
    assert errors(pair, quarter).split == ()


def brute_force(labels: np.ndarray, truth: np.ndarray, at_least: float) -> tuple[int, float]:
    """Most pairs, and of those the largest sum of IoU, over every assignment there is."""
    cells = [np.flatnonzero(labels == i) for i in np.unique(labels[labels > 0])]
    true = [np.flatnonzero(truth == i) for i in np.unique(truth[truth > 0])]
    cells += [np.array([], int)] * max(0, len(true) - len(cells))
    best = (0, 0.0)
    for order in itertools.permutations(cells, len(true)):
        ious = [
            len(np.intersect1d(a, b)) / len(np.union1d(a, b))
            for a, b in zip(order, true, strict=True)
        ]
        hits = [iou for iou in ious if iou >= at_least]
        best = max(best, (len(hits), sum(hits)))
    return best


def test_agrees_with_every_assignment_tried() -> None:
    rng = np.random.default_rng(0)
    matches = []
    for _ in range(60):
        truth = rng.integers(0, 4, (4, 3)).repeat(2, 1)
        labels = rng.permutation(4)[truth]
        labels = np.where(rng.random(truth.shape) < 0.3, rng.integers(0, 4, truth.shape), labels)
        scores = score(labels, truth)
        n_cells, n_true = len(set(labels.flat) - {0}), len(set(truth.flat) - {0})
        assert (scores.n_cells, scores.n_true) == (n_cells, n_true)
        for threshold, precision in zip(THRESHOLDS, scores.average_precision, strict=True):
            hits, _ = brute_force(labels, truth, threshold)
            assert precision == hits / (n_cells + n_true - hits)
        hits, total = brute_force(labels, truth, 0.5)
        assert scores.n_matched == hits
        assert scores.mean_iou == pytest.approx(total / hits if hits else 0)
        matches.append(hits)
    # The cases are of every kind, or they would prove little.
    assert set(matches) >= {0, 1, 2, 3}


def test_nothing_to_find_and_nothing_found_is_perfect() -> None:
    empty = np.zeros((5, 5), int)
    scores = score(empty, empty)
    numbers = [value for value in scores.as_dict().values() if isinstance(value, float)]
    assert len(numbers) == 10
    assert set(numbers) == set(scores.average_precision) == {1.0}
    assert errors(empty, empty) == Errors((), (), (), (), ())


@pytest.mark.parametrize("swap", [False, True])
def test_cells_on_one_side_only_score_zero(swap: bool) -> None:
    pair = [np.zeros((5, 5), int), np.ones((5, 5), int)]
    scores = score(*(reversed(pair) if swap else pair))
    numbers = [value for value in scores.as_dict().values() if isinstance(value, float)]
    assert set(numbers) == set(scores.average_precision) == {0.0}


def test_an_image_without_pixels_is_no_accident() -> None:
    assert score(np.zeros((0, 0), int), np.zeros((0, 0), int)).n_true == 0


def test_ignored_pixels_are_not_compared() -> None:
    truth, labels = row_of((1, 10), (0, 10)), row_of((1, 14), (0, 6))
    ignore = row_of((0, 10), (1, 4), (0, 6)).astype(bool)
    assert score(labels, truth).mean_iou == 10 / 14
    # The four pixels too many lie in what is ignored.
    assert score(labels, truth, ignore=ignore).mean_iou == 1.0
    assert score(labels, truth, ignore=ignore).foreground_iou == 1.0


def test_objects_mostly_in_ignored_pixels_do_not_count() -> None:
    truth = row_of((1, 4), (2, 4), (3, 4), (0, 4))
    labels = row_of((0, 8), (6, 4), (7, 4))
    ignore = row_of((0, 1), (1, 3), (0, 2), (1, 2), (0, 5), (1, 3)).astype(bool)
    # True cell 1 lies in it by three pixels of four and label 7 too: neither counts. True cell 2
    # lies in it by half and stays.
    scores = score(labels, truth, ignore=ignore)
    assert (scores.n_cells, scores.n_true, scores.n_matched) == (1, 2, 1)
    assert errors(labels, truth, ignore=ignore) == Errors(
        matched=((6, 3),), missed=(2,), false=(), merged=(), split=()
    )
    everything = np.ones(truth.shape, bool)
    assert score(labels, truth, ignore=everything).f1 == 1.0
    assert score(labels, truth, ignore=~everything) == score(labels, truth)


def test_bands_of_rows_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 9, (10, 8)).repeat(4, 0).repeat(4, 1)
    labels = np.roll(truth, 1, axis=0)
    ignore = rng.random(truth.shape) < 0.2
    whole = score(labels, truth, ignore=ignore), errors(labels, truth, ignore=ignore)
    # Bands that cut through cells, the last one shorter than the others.
    monkeypatch.setattr(overlap_module, "_BAND_PIXELS", 7 * truth.shape[1])
    assert (score(labels, truth, ignore=ignore), errors(labels, truth, ignore=ignore)) == whole


def test_scores_are_frozen_and_go_into_json() -> None:
    scores = score(np.eye(4, dtype=int), np.eye(4, dtype=int))
    with pytest.raises(FrozenInstanceError):
        scores.n_cells = 2  # type: ignore[misc]
    record = json.loads(json.dumps(scores.as_dict()))
    assert record["ap50"] == record["f1"] == record["mean_ap"] == 1.0
    assert record["n_true"] == 1
    assert dict(zip(record["thresholds"], record["average_precision"], strict=True))[0.55] == 1.0


@pytest.mark.parametrize(
    ("labels", "truth", "ignore", "message"),
    [
        (np.zeros((2, 3), int), np.zeros((3, 2), int), None, r"\(2, 3\) and truth \(3, 2\)"),
        (np.zeros((2, 3)), np.zeros((2, 3), int), None, "labels has dtype float64"),
        (np.zeros((2, 3), int), np.full((2, 3), -1), None, "truth holds the value -1"),
        (np.zeros(3, int), np.zeros(3, int), None, "labels has shape"),
        (np.ones((2, 3), int), np.ones((2, 3), int), np.ones((2, 3), int), "ignore is int64"),
        (np.ones((2, 3), int), np.ones((2, 3), int), np.ones((3, 3), bool), r"bool of shape \(3"),
    ],
)
def test_bad_input_is_said_in_one_line(
    labels: np.ndarray, truth: np.ndarray, ignore: np.ndarray | None, message: str
) -> None:
    for function in (score, errors):
        with pytest.raises(ValueError, match=message) as caught:
            function(labels, truth, ignore=ignore)
        assert "\n" not in str(caught.value)


def test_miou_of_one_crop_by_hand() -> None:
    true = np.zeros((1, 4, 4), bool)
    predicted = true.copy()
    true[0, :, :2] = True
    predicted[0, :, :1] = True
    # Foreground 4 of 8, background 8 of 12.
    assert miou(predicted, true) == pytest.approx((4 / 8 + 8 / 12) / 2)


def test_miou_agrees_with_the_loop_over_crops() -> None:
    rng = np.random.default_rng(2)
    true = rng.random((7, 16, 16)) < 0.4
    predicted = true ^ (rng.random(true.shape) < 0.1)
    by_class = []
    for value in (True, False):
        ious = [
            np.sum((a == value) & (b == value)) / np.sum((a == value) | (b == value))
            for a, b in zip(predicted, true, strict=True)
        ]
        by_class.append(np.mean(ious))
    assert miou(predicted, true) == pytest.approx(np.mean(by_class))
    assert miou(true, true) == 1.0
    assert miou(~true, true) == 0.0


def test_miou_of_empty_crops_is_a_number() -> None:
    empty, full = np.zeros((2, 3, 3), bool), np.ones((2, 3, 3), bool)
    assert miou(empty, empty) == miou(full, full) == 1.0
    assert miou(empty, full) == 0.0


@pytest.mark.parametrize(
    ("predicted", "true", "message"),
    [
        (np.zeros((0, 4, 4), bool), np.zeros((0, 4, 4), bool), "at least one crop"),
        (np.zeros((4, 4), bool), np.zeros((4, 4), bool), r"predicted has shape \(4, 4\)"),
        (np.zeros((1, 4, 4)), np.zeros((1, 4, 4), bool), "predicted has dtype float64"),
        (np.zeros((1, 4, 4), bool), np.zeros((1, 4, 4), int), "true has dtype int64"),
        (np.zeros((1, 4, 4), bool), np.zeros((2, 4, 4), bool), "the same crops"),
    ],
)
def test_miou_says_what_it_needs(predicted: np.ndarray, true: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        miou(predicted, true)


def test_mask_iou_leaves_out_what_is_to_be_ignored() -> None:
    mask = np.array([[True, True, True, False]])
    truth = np.array([[False, True, True, True]])
    assert mask_iou(mask, truth) == pytest.approx(2 / 4)
    ignore = np.array([[True, False, False, False]])
    assert mask_iou(mask, truth, ignore=ignore) == pytest.approx(2 / 3)
    assert mask_iou(~mask, ~mask & ~truth) == 0
    nothing = np.zeros((2, 2), bool)
    assert mask_iou(nothing, nothing) == 1


def test_a_mask_is_compared_with_a_mask_of_its_shape() -> None:
    mask = np.eye(4, dtype=bool)
    for wrong in ({"truth": mask[:1]}, {"truth": mask.astype(int)}, {"ignore": np.eye(4)}):
        with pytest.raises(ValueError, match="give bool arrays of one shape"):
            mask_iou(mask, **{"truth": mask, **wrong})
