"""The bench's own arithmetic, on records and images whose right answer is known beforehand."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

BENCH = Path(__file__).parents[1] / "bench"


def load(name: str) -> ModuleType:
    """A script of the bench, which is no package, by its path."""
    spec = importlib.util.spec_from_file_location(f"bench_{name}", BENCH / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look for it there
    spec.loader.exec_module(module)
    return module


report, owners, outlines = (load(name) for name in ("quality_report", "owners", "outlines"))


def training(
    image: str,
    *,
    group: str = "nine",
    seed: int = 0,
    base: tuple[float, float, int] = (0.7, 0.4, 10),
    epochs: list[tuple[float, float, int]],
    pixels: dict[str, int] | None = None,
    collapsed: bool = False,
    done: bool = True,
) -> list[dict[str, Any]]:
    """Records of one training; scores are AP50, AP75 and true positives."""
    what = {"group": group, "image": image, "preset": "quick", "seed": seed, "epochs": None}

    def line(kind: str, scores: tuple[float, float, int], seconds: float, **more: Any) -> Any:
        names = zip(("ap50", "ap75", "matched"), scores, strict=True)
        return {**what, "kind": kind, "seconds": seconds, "true": 12, **dict(names), **more}

    found = [line(kind, base, 1.0) for kind in report.BASELINES]
    for epoch, scores in enumerate(epochs):
        seconds = 6.0 + 5 * epoch
        found.append(line("epoch", scores, seconds, epoch=epoch, collapsed=collapsed))
    counts = {"mask": 100, **dict.fromkeys(("changed", *report.KINDS), 0), **(pixels or {})}
    return [*found, {**found[-1], "kind": "end", "done": done, "pixels": counts}]


def reached(lines: list[dict[str, Any]]) -> dict[str, bool | None]:
    return {bar.what: bar.reached for bar in report.bars(lines)}


def test_a_pixel_is_right_where_its_label_is_the_one_of_its_true_cell() -> None:
    truth = np.array([[7, 7, 8, 8], [7, 7, 8, 8], [7, 7, 8, 8], [0, 0, 0, 0]])
    before = np.array([[1, 1, 2, 2], [1, 1, 1, 2], [1, 2, 2, 2], [0, 1, 1, 2]])
    after = np.array([[1, 1, 2, 2], [1, 1, 2, 2], [1, 2, 1, 2], [0, 1, 2, 0]])
    # (1, 2) turns right, (2, 2) wrong; (3, 2) has no true cell and gets another owner all the same,
    # (3, 3) is given up, which is right. (2, 1) is wrong, but does not change.
    assert owners.count_changes(before, after, truth, mask=truth >= 0) == {
        "mask": 16,
        "changed": 4,
        "turn right": 2,
        "turn wrong": 1,
        "stay right": 0,
        "stay wrong": 1,
        "no true cell": 1,
    }


def test_pixels_outside_of_the_mask_and_ignored_ones_do_not_count() -> None:
    truth = np.array([[7, 7, 8, 8], [7, 7, 8, 8]])
    before = np.array([[1, 1, 1, 2], [1, 1, 1, 2]])
    after = np.array([[1, 1, 2, 2], [1, 2, 2, 2]])
    mask = np.array([[True] * 4, [True, False, True, True]])
    ignore = np.array([[False] * 4, [False, False, True, False]])
    found = owners.count_changes(before, after, truth, mask=mask, ignore=ignore)
    assert (found["mask"], found["changed"], found["turn right"]) == (6, 1, 1)


def test_of_several_labels_in_one_true_cell_the_largest_stands_for_it() -> None:
    truth = np.array([[5, 5, 5, 5, 5, 9]])
    labels = np.array([[1, 1, 1, 2, 2, 2]])
    assert owners.true_cells_of(labels, truth).tolist() == [0, 5, 0]
    # The true cell that a label shares most pixels with, not one that is left over.
    assert owners.true_cells_of(np.array([[1, 1, 1, 1, 1, 1]]), truth).tolist() == [0, 5]
    assert owners.true_cells_of(np.zeros((1, 6), int), truth).tolist() == [0]


def test_nothing_changes_where_labels_are_the_same() -> None:
    cells = np.array([[1, 1, 2, 2]])
    found = owners.count_changes(cells, cells, cells, mask=cells > 0)
    assert found["mask"] == 4
    assert sum(found.values()) == 4


def test_gains_are_means_over_seeds_for_each_image() -> None:
    lines = [
        *training("a", seed=0, epochs=[(0.8, 0.5, 11), (0.8, 0.5, 8)]),
        *training("a", seed=1, epochs=[(0.8, 0.5, 11), (0.9, 0.7, 9)]),
        *training("b", epochs=[(0.6, 0.5, 10), (0.6, 0.4, 12)]),
    ]
    assert report.gains(lines, "paths", "matched") == {"a": -1.5, "b": 2}
    assert report.gains(lines, "epoch 0", "ap75") == pytest.approx({"a": 0.1, "b": -0.1})


def test_what_was_broken_off_is_left_out() -> None:
    ended = training("a", epochs=[(0.8, 0.5, 11), (0.9, 0.6, 12)])
    broken = training("a", seed=1, epochs=[(0.1, 0.1, 1), (0.1, 0.1, 1)])[:-1]
    assert report.of_images([*ended, *broken], "epoch 0")["a"]["ap50"] == 0.8


def test_changed_pixels_are_a_mean_of_shares_and_a_sum_of_kinds() -> None:
    one = {"changed": 10, "turn right": 6, "turn wrong": 1, "stay wrong": 1, "stay right": 2}
    other = {"mask": 200, "changed": 4, "turn wrong": 2, "stay wrong": 2}
    lines = [
        *training("a", epochs=[(0.8, 0.5, 11)], pixels=one),
        *training("b", epochs=[(0.8, 0.5, 11)], pixels=other),
    ]
    changed, right = report.changes(lines)
    assert changed == pytest.approx((0.1 + 0.02) / 2)
    assert right == pytest.approx(6 / (6 + 1 + 1 + 2 + 2))
    assert report.changes(training("a", epochs=[(0.8, 0.5, 11)])) == (0, 0)


def test_a_bar_is_reached_at_its_value_and_not_below() -> None:
    good = {"changed": 5, "turn right": 3, "turn wrong": 1, "stay wrong": 1}
    lines = []
    for i in range(9):
        # Two images gain nothing over the paths, one of them has a true positive less.
        base = (0.9, 0.7, 13) if i == 0 else (0.9, 0.7, 12) if i == 1 else (0.7, 0.4, 12)
        epochs = [(0.85, 0.5, 11), (0.87, 0.56, 12)]
        lines += training(str(i), base=base, epochs=epochs, pixels=good)
    assert all(reached(lines).values())

    worse = training("0", base=(0.9, 0.7, 14), epochs=[(0.9, 0.5, 11), (0.87, 0.5, 12)])
    found = reached([*worse, *lines[len(worse) :]])
    assert [what for what, yes in found.items() if not yes] == [
        "nine: least true positives more than the paths",
        "nine: least true positives more than the watershed",
        "all: least AP50 of a last epoch, as a share of the best one's",
    ]
    assert next(bar for bar in report.bars(worse) if "paths" in bar.what).measured == (
        "-2.0 (0) (1 of 9 images)"
    )


def test_no_bar_is_said_to_be_reached_while_images_are_missing() -> None:
    found = reached(training("a", group="outlines", epochs=[(0.9, 0.6, 11), (1.0, 1.0, 12)]))
    assert found["outlines: AP50 / AP75 at the end"] is None
    assert found["all: collapsed trainings"] is True


def test_no_bar_is_said_to_be_reached_by_what_was_broken_off_or_trained_otherwise() -> None:
    epochs = [(0.9, 0.8, 11)]
    broken = training("sample", group="sample", epochs=epochs, done=False)
    assert set(reached(broken).values()) == {None}
    assert report.bars(broken)[0].measured == "0.800 (1 of 1 trainings broken off)"
    lines = training("sample", group="sample", epochs=epochs)
    assert set(reached(lines).values()) == {True}
    assert set(reached([{**line, "epochs": 1} for line in lines]).values()) == {None}


def test_a_training_that_collapses_or_ends_below_its_best_epoch_is_seen() -> None:
    lines = training("a", epochs=[(0.8, 0.5, 11), (1.0, 0.5, 12), (0.97, 0.5, 12)], collapsed=True)
    assert report.lasting(lines, lines[-1]) == pytest.approx(0.97)
    found = reached(lines)
    assert found["all: collapsed trainings"] is False
    assert found["all: least AP50 of a last epoch, as a share of the best one's"] is False


def test_at_a_mark_counts_what_was_there_by_then() -> None:
    # Epoch 0 after 6 s, epoch 1 after 11 s, epoch 2 after 16 s.
    lines = training("a", epochs=[(0.5, 0.2, 8), (0.6, 0.3, 9), (0.7, 0.4, 10)])
    at = [report.ap50_at(lines, "a", "quick", mark) for mark in (5, 6, 15, 30)]
    assert at == [0, 0.5, 0.6, 0.7]


def test_a_report_has_a_row_for_each_image_and_for_the_mean() -> None:
    lines = [
        *training("a", epochs=[(0.8, 0.5, 11), (0.9, 0.6, 12)]),
        *training("b", epochs=[(0.6, 0.3, 10), (0.7, 0.4, 12)]),
        *training("sample", group="sample", epochs=[(0.9, 0.6, 11), (0.9, 0.7, 12)]),
    ]
    text = report.report(lines)
    assert "| a | 12 | 0.700 / 0.400 | 0.700 / 0.400 | 0.800 / 0.500 | 0.900 / 0.600 |" in text
    assert (
        "| mean of 2 |  | 0.700 / 0.400 | 0.700 / 0.400 | 0.700 / 0.400 | 0.800 / 0.500 |" in text
    )
    assert "| sample: AP75 at the end | 0.700 | at least 0.70 | yes |" in text


def test_outlines_are_bright_at_borders_dark_inside_and_always_the_same() -> None:
    cells = np.zeros((60, 90), int)
    cells[10:50, 10:40], cells[10:50, 40:70] = 1, 2
    image = outlines.draw_outlines(cells, seed=1)
    assert image.shape == cells.shape
    assert image.dtype == np.uint16
    border, inside = image[15:45, 39:41].mean(), image[20:40, 20:32].mean()
    empty = image[:, 80:].mean()
    assert border > 3 * inside
    assert image[15:45, 10].mean() > 1.5 * inside
    # Half a pixel from the middle of a line there is most of it, four pixels away nothing.
    assert image[15:45, 34].mean() < 1.3 * inside
    assert empty < 1.1 * inside
    assert np.array_equal(image, outlines.draw_outlines(cells, seed=1))
    assert not np.array_equal(image, outlines.draw_outlines(cells, seed=2))


def test_outlines_are_uneven_from_cell_to_cell() -> None:
    grid = np.add.outer(8 * (np.arange(160) // 20), np.arange(160) // 20) + 1
    image = outlines.draw_outlines(grid, seed=0).astype(float)
    # The left border of each cell, without its corners.
    strength = [
        image[r + 5 : r + 15, c].mean() for r in range(0, 160, 20) for c in range(20, 160, 20)
    ]
    assert np.std(strength) > 0.1 * np.mean(strength)
