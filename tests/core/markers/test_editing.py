"""Markers changed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cellcutter_core.markers.editing import add_marker, move_marker, remove_marker
from cellcutter_core.markers.finding import Nuclei, marker_points


def three() -> Nuclei:
    regions = np.zeros((12, 12), np.int32)
    regions[1:4, 1:4], regions[1:4, 7:10], regions[8:11, 1:4] = 1, 2, 3
    return Nuclei(regions, marker_points(regions))


def test_a_new_marker_is_a_disc_and_leaves_others_alone() -> None:
    before = three()
    after = add_marker(before, (8.4, 6), radius=3)
    assert after.points.tolist() == [*before.points.tolist(), [8, 6]]
    np.testing.assert_array_equal(
        after.regions[before.regions > 0], before.regions[before.regions > 0]
    )
    # Of the 29 pixels of a disc of radius 3 one (row 8, col 3) belongs to marker 3.
    assert np.count_nonzero(after.regions == 4) == 28
    assert before.regions.max() == 3


def test_the_markers_after_a_removed_one_move_up() -> None:
    before = three()
    after = remove_marker(before, 1)
    np.testing.assert_array_equal(after.regions == 1, before.regions == 1)
    np.testing.assert_array_equal(after.regions == 2, before.regions == 3)
    assert after.regions.max() == 2
    np.testing.assert_array_equal(after.points, before.points[[0, 2]])


def test_a_moved_marker_keeps_its_number() -> None:
    before = three()
    after = move_marker(before, 0, (6, 8), radius=1)
    assert after.points.tolist() == [[6, 8], *before.points[1:].tolist()]
    assert np.argwhere(after.regions == 1).tolist() == [[5, 8], [6, 7], [6, 8], [6, 9], [7, 8]]
    # A little way is a way too: onto pixels that it had itself.
    assert move_marker(before, 0, (3, 3), radius=0).points[0].tolist() == [3, 3]


def test_points_are_those_of_the_regions() -> None:
    markers = move_marker(remove_marker(add_marker(three(), (6, 6)), 0), 1, (5, 1), radius=2)
    np.testing.assert_array_equal(markers.points, marker_points(markers.regions))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: add_marker(m, (2, 2)), "a marker at row 2, column 2 already"),
        (lambda m: add_marker(m, (12, 2)), "not in the region of 12×12"),
        (lambda m: add_marker(m, (-0.6, 2)), "row -1, column 2 is not in"),
        (lambda m: move_marker(m, 0, (2, 8)), "a marker at row 2, column 8 already"),
        (lambda m: move_marker(m, 3, (6, 6)), "no marker 4; there are 3"),
        (lambda m: remove_marker(m, -1), "no marker 0; there are 3"),
        (lambda m: remove_marker(remove_marker(remove_marker(m, 0), 0), 0), "only marker"),
    ],
)
def test_what_cannot_be_is_refused(change: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        change(three())
