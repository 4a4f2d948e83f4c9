"""Watershed without training, on arrays made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cellcutter_core.shortest_paths.watershed import flooded, seed_labels, watershed_labels


def array(text: str) -> np.ndarray:
    """One digit a pixel, `.` for 0."""
    rows = text.split()
    return np.array([[int(c) for c in row.replace(".", "0")] for row in rows], np.int32)


def test_each_pixel_of_the_mask_goes_to_the_nearest_nucleus() -> None:
    mask = array("""
        .........
        111111111
        111111111
        .........""") > 0  # fmt: skip
    nuclei = array("""
        .........
        .11....2.
        .11....2.
        .........""")  # fmt: skip
    points = np.array([[1.5, 1.5], [1.5, 7]])
    # Columns 3 and 4 are one and two pixels from nucleus 1, columns 5 and 6 two and one from 2.
    expected = array("""
        .........
        111112222
        111112222
        .........""")  # fmt: skip
    found = watershed_labels(nuclei, mask, points=points)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.int32


def test_the_way_leads_through_the_mask() -> None:
    # Nucleus 2 is nearer through the air, but a gap lies between.
    mask = array("""
        1111111
        1......
        1111111""") > 0  # fmt: skip
    points = np.array([[0, 6], [2, 0]])
    found = watershed_labels(None, mask, points=points)
    assert found[0, 3:].tolist() == [1, 1, 1, 1]
    assert (found[2] == 2).all()
    assert not found[1, 1:].any()


def test_mask_without_a_nucleus_stays_empty_and_a_nucleus_outside_stays_a_cell() -> None:
    mask = array("""
        11...11
        11...11
        .......""") > 0  # fmt: skip
    nuclei = array("""
        1......
        .......
        ...22..""")  # fmt: skip
    found = watershed_labels(nuclei, mask, points=np.array([[0, 0], [2, 3.4]]))
    expected = array("""
        11.....
        11.....
        ...22..""")  # fmt: skip
    np.testing.assert_array_equal(found, expected)


def test_seeds_are_nuclei_and_points_where_there_are_none() -> None:
    points = np.array([[0, 0], [0.6, 3.4], [2, 2]])
    np.testing.assert_array_equal(
        seed_labels(None, points, (3, 4)),
        array("""
        1...
        ...2
        ..3."""),
    )  # fmt: skip
    # Cell 2 has no nucleus and is its point; the point of cell 3 lies on the nucleus of cell 1,
    # which keeps it.
    nuclei = array("""
        11..
        .1..
        .11.""")  # fmt: skip
    expected = array("""
        11..
        .1.2
        .11.""")  # fmt: skip
    found = seed_labels(nuclei, points, (3, 4))
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.int32


def test_no_seeds_no_cells() -> None:
    mask = np.ones((4, 4), bool)
    assert not watershed_labels(None, mask, points=np.empty((0, 2))).any()


@pytest.mark.parametrize(
    ("nuclei", "mask", "points", "message"),
    [
        (None, np.ones((4, 4)), [[0, 0]], "mask is float64 of shape"),
        (None, np.ones((4, 4, 1), bool), [[0, 0]], "mask is bool of shape"),
        (None, np.ones((4, 4), bool), [[-1, 0]], "1 of 1 lie outside of the image"),
        (None, np.ones((4, 4), bool), [[1, 1], [1, 1]], "in the same pixel as another"),
        (np.eye(4, dtype=int) - 1, np.ones((4, 4), bool), [[0, 0]], "nuclei holds the value -1"),
        (3 * np.eye(4, dtype=int), np.ones((4, 4), bool), [[0, 0]], "labels up to 3, but there"),
    ],
)
def test_the_watershed_refuses_what_it_would_misread(
    nuclei: np.ndarray | None, mask: np.ndarray, points: list[list[int]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        watershed_labels(nuclei, mask, points=np.array(points, float))


def test_flooding_keeps_the_seeds() -> None:
    rng = np.random.default_rng(0)
    seeds = np.where(rng.random((30, 40)) < 0.03, rng.integers(1, 9, (30, 40)), 0)
    mask = rng.random((30, 40)) < 0.8
    found = flooded(seeds.astype(np.int32), mask)
    np.testing.assert_array_equal(found[seeds > 0], seeds[seeds > 0])
    assert not found[~mask & (seeds == 0)].any()
    assert (found[mask] > 0).mean() > 0.95
