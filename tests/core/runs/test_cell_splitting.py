"""One cell becomes two where they meet, and a training from there has them both."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cellcutter_core.choices.from_corrections import corrected_inputs, train_again
from cellcutter_core.config import FROM_NOTHING
from cellcutter_core.export import Result, content
from cellcutter_core.jobs.training import work
from cellcutter_core.pipeline import prepare, segment_inputs
from cellcutter_core.runs.cell_splitting import proposed_points, split_cell
from cellcutter_core.runs.corrections import Correction, corrected, keep_corrections
from cellcutter_core.runs.description import Before
from cellcutter_core.runs.store import Run
from cellcutter_core.shortest_paths.cost_map import CostMap
from cellcutter_core.simulation.sample import sample
from cellcutter_core.training.inputs import Inputs
from cellcutter_core.training.predicted_labels import Prediction

TINY = FROM_NOTHING.replace(
    network=FROM_NOTHING.network.replace(channels=4, depth=3),
    training=FROM_NOTHING.training.replace(
        epochs=2, steps=2, crops=8, crops_at_once=8, warm_up=2, seed=7, precision="float32"
    ),
)


def disc(shape: tuple[int, int], row: int, col: int, radius: float) -> NDArray[np.bool_]:
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    return np.asarray((rows - row) ** 2 + (cols - col) ** 2 <= radius**2)


def two_discs() -> NDArray[np.int32]:
    """Cell 4 is two discs whose mirror line lies between columns 19 and 20; cell 9 is below."""
    labels = np.zeros((40, 40), np.int32)
    labels[disc(labels.shape, 14, 12, 9) | disc(labels.shape, 14, 27, 9)] = 4
    labels[33:38, 5:35] = 9
    return labels


def split(cell: int, new: int, *points: tuple[int, int]) -> Correction:
    return Correction(kind="split", cells=(cell, new), points=points)


def test_two_discs_part_at_their_mirror_line() -> None:
    labels = two_discs()
    found = split_cell(labels, 4, ((14, 12), (14, 27)), new=10)
    left = np.arange(40) < 20
    np.testing.assert_array_equal(found, np.where((labels == 4) & ~left, 10, labels))


def test_a_bright_line_parts_them_wherever_the_points_are() -> None:
    labels = np.ones((21, 41), np.int32)
    cost_map = CostMap.flat(labels.shape)
    cost_map.cost[:, 10] = 200
    found = split_cell(labels, 1, ((10, 4), (10, 36)), new=2, cost_map=cost_map)
    assert (found[:, :10] == 1).all()
    assert (found[:, 11:] == 2).all()


def test_a_piece_that_hangs_together_with_neither_goes_to_the_nearest() -> None:
    labels = np.array([[1, 1, 1, 1, 0, 1]], np.int32)
    assert split_cell(labels, 1, ((0, 0), (0, 3)), new=2).tolist() == [[1, 1, 2, 2, 0, 2]]


def test_points_beside_the_cell_change_nothing() -> None:
    labels = two_discs()
    for points in (
        ((14, 12), (14, 12)),
        ((14, 12), (35, 10)),
        ((14, 12), (-1, 0)),
        ((0, 0), (1, 1)),
    ):
        assert (split_cell(labels, 4, points, new=10) == labels).all()
    assert (split_cell(labels, 0, ((0, 0), (1, 1)), new=10) == labels).all()
    assert (split_cell(labels, 77, ((14, 12), (14, 27)), new=10) == labels).all()


def test_points_are_proposed_in_the_middle_of_each_disc() -> None:
    found = proposed_points(two_discs(), 4)
    assert found is not None
    for point, centre in zip(found, ((14, 12), (14, 27)), strict=True):
        assert np.hypot(*np.subtract(point, centre)) <= 2


def test_of_a_cell_without_a_waist_the_halves_are_proposed() -> None:
    labels = np.zeros((12, 40), np.int32)
    labels[3:8, 4:36] = 2
    assert proposed_points(labels, 2) == ((5, 11), (5, 27))
    # The same shape, and a waist in the middle of it.
    labels[3:5, 18:22] = labels[6:8, 18:22] = 0
    found = proposed_points(labels, 2)
    assert found is not None
    assert found[0][1] < 18 < 22 <= found[1][1]

    assert proposed_points(np.array([[0, 5, 5]], np.int32), 5) == ((0, 1), (0, 2))
    assert proposed_points(np.array([[0, 5, 0]], np.int32), 5) is None
    assert proposed_points(labels, 77) is None


def test_what_was_split_can_be_merged_split_again_and_deleted() -> None:
    labels = two_discs()
    one = split(4, 10, (14, 12), (14, 27))
    both = corrected(labels, [one])
    assert set(np.unique(both)) == {0, 4, 9, 10}
    merge = Correction(kind="merge", cells=(10, 4))
    assert (corrected(labels, [one, merge]) == labels).all()
    again = corrected(labels, [one, split(10, 11, (10, 27), (20, 27))])
    assert ((again == 11) | (again == 10))[both == 10].all()
    assert (again[15:, :][both[15:, :] == 10] == 11).all()
    gone = corrected(labels, [one, Correction(kind="delete", cells=(10,))])
    assert (gone == np.where(both == 10, 0, both)).all()
    # It was deleted before: there is nothing to split.
    nothing = corrected(labels, [Correction(kind="delete", cells=(4,)), one])
    assert (nothing == np.where(labels == 4, 0, labels)).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "split", "cells": (4,), "points": ((1, 1), (2, 2))},
        {"kind": "split", "cells": (4, 4), "points": ((1, 1), (2, 2))},
        {"kind": "split", "cells": (4, 2**31), "points": ((1, 1), (2, 2))},
        {"kind": "split", "cells": (4, 5), "points": ((1, 1),)},
        {"kind": "merge", "cells": (4, 5), "points": ((1, 1),)},
    ],
)
def test_a_correction_that_makes_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"split|ids"):
        Correction.model_validate(wrong)


# What is trained on from there --------------------------------------------------------------------


def given(nuclei: NDArray[np.int32], labels: NDArray[np.int32]) -> Inputs:
    points = np.array([np.argwhere(nuclei == n).mean(axis=0) for n in range(1, nuclei.max() + 1)])
    return Inputs(np.ones((*labels.shape, 1), np.float32), labels > 0, points, nuclei)


def test_every_part_gets_its_marker_and_what_is_deleted_loses_marker_and_area() -> None:
    labels = np.zeros((20, 60), np.int32)
    for number in range(3):
        labels[2:18, 20 * number + 1 : 20 * number + 19] = number + 1
    nuclei = np.zeros_like(labels)
    nuclei[8:11, 4:7] = 1
    nuclei[8:11, 29:32] = 2
    nuclei[8:11, 49:52] = 3
    inputs = given(nuclei, labels)
    # The point of the first part is in its nucleus, that of the second beside it.
    parts = split(1, 4, (9, 5), (9, 15))
    found = corrected_inputs(inputs, labels, [parts, Correction(kind="delete", cells=(2,))])
    assert found.nuclei is not None
    assert len(found.points) == 3
    np.testing.assert_array_equal(found.nuclei == 1, nuclei == 1)
    np.testing.assert_array_equal(found.nuclei == 2, nuclei == 3)
    np.testing.assert_array_equal(found.nuclei == 3, disc(labels.shape, 9, 15, 3))
    assert found.points.tolist() == [[9, 5], [9, 50], [9, 15]]
    np.testing.assert_array_equal(found.mask, (labels == 1) | (labels == 3))


def test_a_nucleus_of_both_parts_is_shared_and_merged_cells_have_one_marker() -> None:
    labels = np.zeros((20, 60), np.int32)
    labels[2:18, 1:21] = 1
    labels[2:18, 25:35] = 2
    labels[2:18, 35:45] = 3
    nuclei = np.zeros_like(labels)
    nuclei[8:11, 5:17] = 1
    nuclei[8:11, 29:32] = 2
    nuclei[8:11, 39:42] = 3
    inputs = given(nuclei, labels)
    done = [split(1, 4, (9, 6), (9, 15)), Correction(kind="merge", cells=(3, 2))]
    found = corrected_inputs(inputs, labels, done)
    assert found.nuclei is not None
    assert len(found.points) == 3
    np.testing.assert_array_equal((found.nuclei == 1) | (found.nuclei == 3), nuclei == 1)
    assert found.nuclei[9, 6] == 1
    assert found.nuclei[9, 15] == 3
    np.testing.assert_array_equal(found.nuclei == 2, (nuclei == 2) | (nuclei == 3))
    np.testing.assert_array_equal(found.mask, inputs.mask)


def test_without_corrections_nothing_changes() -> None:
    inputs, _ = prepare(sample((96, 120)), TINY)
    found = corrected_inputs(inputs, np.zeros((96, 120), np.int32), [])
    for name, array in inputs.arrays().items():
        if name != "final":
            np.testing.assert_array_equal(found.arrays()[name], array)
    # A person has looked at them.
    assert found.final


def test_something_has_to_be_left() -> None:
    labels = np.ones((8, 8), np.int32)
    with pytest.raises(ValueError, match="every cell is deleted"):
        corrected_inputs(given(labels, labels), labels, [Correction(kind="delete", cells=(1,))])


def test_a_run_without_a_network_says_so(tmp_path: Path) -> None:
    labels = two_discs()
    run = Run.create(tmp_path / "run", given((labels == 4).astype(np.int32), labels), TINY)
    run.add_epoch(1, Prediction(labels, labels > 0, np.zeros(labels.shape, np.float32)))
    with pytest.raises(ValueError, match="no network to begin with"):
        train_again(run, 1, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_run_trained_again_has_the_extra_cell_and_begins_with_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, truth = prepare(sample((96, 120)), TINY)
    about = {"image": "mine", "pixel_size": 0.5, "channels": ["cell"]}
    run = Run.create(tmp_path / "first", inputs, TINY, truth=truth, description=about)
    work(run)
    labels = run.epoch(2).labels
    ids, areas = np.unique(labels[labels > 0], return_counts=True)
    largest, new = int(ids[areas.argmax()]), int(labels.max()) + 1
    points = proposed_points(labels, largest)
    assert points is not None
    keep_corrections(run, 2, [split(largest, new, *points)])

    again = train_again(run, 2, tmp_path / "second", epochs=1)
    assert len(again.inputs.points) == len(inputs.points) + 1
    assert again.description.before == Before(run="first", epoch=2, corrections=1)
    assert again.description.pixel_size == 0.5
    assert again.config.training.epochs == 1
    assert again.config.training.warm_up == 0
    state = run.load_state()
    assert state is not None
    assert again.start is not None
    for one, other in zip(again.start, state.weights, strict=True):
        np.testing.assert_array_equal(one, other)

    work(again)
    found = again.epoch(1).labels
    assert found[points[0]] > 0
    assert found[points[1]] > 0
    assert found[points[0]] != found[points[1]]
    # A cold start of the same comes out differently: the weights were taken.
    cold = Run.create(tmp_path / "third", again.inputs, again.config)
    work(cold)
    losses = [one.progress.trained_events[0]["loss"] for one in (again, cold)]
    assert losses[0] != losses[1]
    # And epoch 0 is what these weights say.
    before = segment_inputs(again.inputs, again.config, until=0, start=state.weights)
    np.testing.assert_array_equal(again.epoch(0).labels, before.labels)
    assert not np.array_equal(again.epoch(0).probability, cold.epoch(0).probability)

    # Its recipe begins with the same network.
    with zipfile.ZipFile(io.BytesIO(content(again, "recipe"))) as archive:
        archive.extractall(tmp_path)
    monkeypatch.chdir(tmp_path / "recipe")
    names: dict[str, Any] = {}
    exec((tmp_path / "recipe" / "recipe.py").read_text("utf-8"), names)
    np.testing.assert_array_equal(names["drawing"].labels, Result(again, 1).labels)
