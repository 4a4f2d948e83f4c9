"""Cells corrected by hand: what comes of them, and that nothing else is touched."""

from pathlib import Path

import numpy as np
import pytest

from cellcutter_core.config import QUICK
from cellcutter_core.export import Result
from cellcutter_core.runs.corrections import (
    Correction,
    corrected,
    corrections_of,
    keep_corrections,
)
from cellcutter_core.runs.store import Run
from cellcutter_core.training.inputs import Inputs
from cellcutter_core.training.predicted_labels import Prediction

LABELS = np.array([[1, 1, 0, 2], [3, 3, 0, 2], [0, 0, 0, 7]], np.int32)


def delete(*cells: int) -> Correction:
    return Correction(kind="delete", cells=cells)


def merge(*cells: int) -> Correction:
    return Correction(kind="merge", cells=cells)


def test_a_deleted_cell_is_background_and_the_others_keep_their_ids() -> None:
    assert (corrected(LABELS, [delete(3, 7)]) == np.where(LABELS > 2, 0, LABELS)).all()


def test_merged_cells_are_one_and_can_be_merged_further_or_deleted() -> None:
    both = corrected(LABELS, [merge(3, 1)])
    assert (both == np.where(LABELS == 3, 1, LABELS)).all()
    assert (corrected(LABELS, [merge(3, 1), merge(1, 7)]) == np.where(both == 7, 1, both)).all()
    gone = corrected(LABELS, [merge(3, 1), delete(1)])
    assert set(np.unique(gone)) == {0, 2, 7}


def test_what_is_not_there_changes_nothing() -> None:
    for nothing in (delete(0), delete(99), merge(0, 2), merge(55, 7), delete(), merge()):
        assert (corrected(LABELS, [nothing]) == LABELS).all()
    assert (corrected(LABELS, [delete(3), merge(1, 3)]) == np.where(LABELS == 3, 0, LABELS)).all()
    assert corrected(np.zeros((2, 2), np.int32), [delete(1)]).sum() == 0


@pytest.fixture
def run(tmp_path: Path) -> Run:
    inputs = Inputs(np.ones((3, 4, 1)), LABELS > 0, np.zeros((1, 2)))
    run = Run.create(tmp_path / "run", inputs, QUICK)
    run.add_epoch(4, Prediction(LABELS, LABELS > 0, np.ones(LABELS.shape, np.float32)))
    return run


def test_they_are_kept_beside_what_the_network_drew(run: Run) -> None:
    assert corrections_of(run, 4) == []
    keep_corrections(run, 4, [delete(2), merge(1, 3)])
    again = Run(run.path)
    assert corrections_of(again, 4) == [delete(2), merge(1, 3)]
    assert set(np.unique(Result(again, 4).labels)) == {0, 1, 7}
    assert (again.epoch(4).labels == LABELS).all()
    keep_corrections(run, 4, [])
    assert (Result(run, 4).labels == LABELS).all()


def test_a_damaged_file_says_what_to_do(run: Run) -> None:
    keep_corrections(run, 4, [delete(2)])
    file = run.path / "corrections" / "0004.json"
    for damaged in ("[{", '[{"kind": "split", "cells": [1]}]', '{"a": 1}', ""):
        file.write_text(damaged)
        with pytest.raises(ValueError, match=r"0004.json is damaged; delete it"):
            _ = Result(run, 4).labels
    with pytest.raises(ValueError, match="no epoch 9"):
        Result(run, 9)
