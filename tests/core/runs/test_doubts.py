"""What speaks against the cells of a run, from arrays whose answer is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cellcutter_core.config import PAPER, QUICK, Config
from cellcutter_core.runs.doubts import (
    Signs,
    claimed,
    doubts,
    doubts_of,
    loose_share,
    n_claiming,
    signs,
)
from cellcutter_core.runs.store import Run
from cellcutter_core.training.inputs import Inputs
from cellcutter_core.training.predicted_labels import Prediction

# Nothing speaks against these.
GOOD = Signs(full=0.5, loose=0.0, claimed_first=0.9, claimed_last=0.95, n_first=50, n_last=50)


def drawing(labels: np.ndarray, probability: np.ndarray) -> Prediction:
    return Prediction(
        labels.astype(np.int32), np.zeros(labels.shape, np.uint8), probability.astype(np.float32)
    )


def two_cells(share: float, *, n: int = 2) -> Prediction:
    """Two cells in the upper half of 10 × 10 pixels, of which that share is claimed by `n`."""
    labels, probability = np.zeros((10, 10), int), np.zeros((10, 10))
    labels[:5, :5], labels[:5, 5:] = 1, 2
    probability[:5].reshape(-1)[: round(50 * share)] = 0.9
    if n == 1:
        probability[:5, 5:] = 0.3
    return drawing(labels, probability)


def test_what_is_claimed_is_the_share_of_the_mask_above_a_half() -> None:
    mask = np.zeros((10, 10), bool)
    mask[:5] = True
    assert claimed(two_cells(0.8), mask) == pytest.approx(0.8)
    assert claimed(two_cells(0.8), ~mask) == 0
    assert claimed(two_cells(0.8), np.zeros((10, 10), bool)) == 0


def test_a_cell_that_is_drawn_but_not_claimed_does_not_count() -> None:
    assert n_claiming(two_cells(1.0)) == 2
    assert n_claiming(two_cells(1.0, n=1)) == 1
    # Background that is claimed is no cell.
    assert n_claiming(drawing(np.zeros((2, 2)), np.ones((2, 2)))) == 0


def test_loose_is_what_of_the_mask_has_no_marker_in_its_piece() -> None:
    mask = np.zeros((8, 8), bool)
    mask[:3, :4] = True  # 12 pixels with a marker, 4 without, which touch at no corner.
    mask[6:, 6:] = True
    assert loose_share(mask, np.array([[1.0, 1.0]])) == pytest.approx(4 / 16)
    assert loose_share(mask, np.array([[1.0, 1.0], [6.6, 7.0]])) == 0
    # A marker beside the mask is in none of its pieces.
    assert loose_share(mask, np.array([[5.0, 1.0]])) == 1


def test_a_good_run_is_not_doubted() -> None:
    assert doubts_of(GOOD) == []
    assert doubts_of(replace(GOOD, claimed_first=None, n_first=None)) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"full": 0.97}, "The mask covers 97% of the image"),
        ({"loose": 0.4}, "40% of the mask lies in parts without a marker"),
        ({"claimed_first": 0.3}, "the taught network filled only 30% of the mask"),
        ({"claimed_last": 0.7}, "Training made it worse: the cells fill 70% of the mask"),
        ({"n_last": 40}, "Training lost cells: 40 cells are left, at epoch 0 there were 50"),
        ({"claimed_first": None, "claimed_last": 0.2}, "The cells fill only 20% of the mask"),
    ],
)
def test_each_sign_says_one_thing(change: dict[str, float], sentence: str) -> None:
    (said,) = doubts_of(replace(GOOD, **change))
    assert sentence in said


def make_run(path: Path, config: Config, first: Prediction, last: Prediction) -> Run:
    mask = np.zeros((10, 10), bool)
    mask[:5] = True
    labels = np.where(mask, first.labels, 0)
    points = np.array([[2.0, 2.0], [2.0, 7.0]])
    run = Run.create(path, Inputs(np.ones((10, 10, 1)), mask, points, labels), config)
    run.record("started", pid=1, host="elsewhere", epochs=1)
    run.add_epoch(0, first)
    run.record("epoch", epoch=0)
    assert doubts(run) == []
    run.add_epoch(1, last)
    run.record("epoch", epoch=1, seconds=1.0)
    run.record("finished")
    return run


def test_signs_are_read_from_the_first_and_the_last_epoch(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", QUICK, two_cells(0.8), two_cells(1.0, n=1))
    assert signs(run) == Signs(
        full=0.5, loose=0.0, claimed_first=0.8, claimed_last=0.5, n_first=2, n_last=1
    )
    assert [one.split(":")[0] for one in doubts(run)] == [
        "Training made it worse",
        "Training lost cells",
    ]


def test_epoch_0_of_a_run_that_began_with_nothing_says_nothing(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", PAPER, two_cells(0.0), two_cells(1.0))
    assert doubts(run) == []


def test_of_a_collapsed_run_nothing_else_is_said(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", QUICK, two_cells(0.2), two_cells(0.0))
    run.record("epoch", epoch=2, seconds=1.0, collapsed=True)
    (said,) = doubts(run)
    assert "collapsed" in said


def test_cells_larger_than_a_crop_are_said_to_be_cut_off(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", QUICK, two_cells(1.0), two_cells(1.0))
    run.record("device", cell_diameter=50.0, scale=1.9)
    assert doubts(run) == []
    run.record("device", cell_diameter=50.0, scale=2.0)
    (said,) = doubts(run)
    assert said.startswith("The cells are 100 pixels across and a crop has 96, so cells are cut")


def test_markers_found_in_the_cells_themselves_are_to_be_looked_at(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", QUICK, two_cells(1.0), two_cells(1.0))
    assert doubts(run) == []
    run.describe(nucleus="none")
    (said,) = doubts(run)
    assert said.startswith("There is no nucleus channel")
    run.describe(markers="points.csv")
    assert doubts(run) == []
