"""The one check of label images, ids without gaps, outlines."""

import numpy as np
import pytest

from cellcutter_core.label_image import check_labels, compact, largest_parts, outlines


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((2, 2, 2), int), r"cells has shape \(2, 2, 2\).*two axes"),
        (np.zeros(4, int), r"cells has shape \(4,\)"),
        (np.zeros((2, 2)), "cells has dtype float64.*integers"),
        (np.zeros((2, 2), bool), "cells has dtype bool.*skimage.measure.label"),
        (np.array([[0, -3]]), "cells holds the value -3"),
    ],
)
def test_what_is_no_label_image_is_said_in_one_line(labels: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        check_labels(labels, "cells")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.uint32, np.int64, np.uint64])
def test_every_integer_dtype_is_a_label_image(dtype: type) -> None:
    labels = np.array([[0, 1], [2, 2]], dtype)
    assert check_labels(labels) is labels
    image, ids = compact(labels)
    assert image.tolist() == [[0, 1], [2, 2]]
    assert ids.tolist() == [1, 2]


@pytest.mark.parametrize("large", [9, 4_000_000_000])
def test_ids_are_renumbered_in_their_order(large: int) -> None:
    # 9 takes the way by a table, four thousand million the way by a search.
    labels = np.array([[large, 0, 3], [3, 5, large]])
    image, ids = compact(labels)
    assert image.dtype == np.int32
    assert image.tolist() == [[3, 0, 1], [1, 2, 3]]
    assert ids.tolist() == [3, 5, large]


def test_no_cells_and_no_background() -> None:
    image, ids = compact(np.zeros((2, 3), int))
    assert not image.any()
    assert ids.size == 0
    image, ids = compact(np.full((2, 3), 1_000_000))
    assert (image == 1).all()
    assert ids.tolist() == [1_000_000]
    image, ids = compact(np.zeros((0, 3), int))
    assert image.shape == (0, 3)
    assert ids.size == 0


def test_outlines_of_a_square_and_its_neighbour() -> None:
    labels = np.array(
        [
            [0, 0, 0, 0, 0, 0],
            [0, 1, 1, 1, 2, 2],
            [0, 1, 1, 1, 2, 2],
            [0, 1, 1, 1, 2, 2],
            [0, 0, 0, 0, 0, 0],
        ]
    )
    expected = np.array(
        [
            [0, 0, 0, 0, 0, 0],
            [0, 1, 1, 1, 1, 1],
            # The middle of cell 1 is inside; so is the pixel of cell 2 at the edge of the image.
            [0, 1, 0, 1, 1, 0],
            [0, 1, 1, 1, 1, 1],
            [0, 0, 0, 0, 0, 0],
        ],
        dtype=bool,
    )
    before = labels.copy()
    np.testing.assert_array_equal(outlines(labels), expected)
    np.testing.assert_array_equal(labels, before)
    # Two rings fill both.
    np.testing.assert_array_equal(outlines(labels, width=2), labels > 0)


def test_outlines_agree_with_the_obvious_loop() -> None:
    labels = np.random.default_rng(3).integers(0, 3, (12, 9)).repeat(2, 0).repeat(2, 1)
    expected = np.zeros(labels.shape, bool)
    for row, col in np.ndindex(labels.shape):
        for i, j in ((row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)):
            if 0 <= i < labels.shape[0] and 0 <= j < labels.shape[1]:
                expected[row, col] |= labels[row, col] > 0 and labels[i, j] != labels[row, col]
    np.testing.assert_array_equal(outlines(labels), expected)


def test_an_outline_has_a_width() -> None:
    with pytest.raises(ValueError, match="width is 0"):
        outlines(np.zeros((2, 2), int), width=0)


def test_of_each_label_the_largest_part_is_kept_and_of_equal_ones_the_first() -> None:
    labels = np.array([[1, 0, 2, 2, 0, 1], [1, 0, 0, 0, 0, 1], [0, 0, 2, 2, 2, 0]], np.int32)
    expected = [[1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0], [0, 0, 2, 2, 2, 0]]
    assert largest_parts(labels).tolist() == expected
    full = np.array([[3, 3, 5], [5, 3, 3]], np.int32)
    assert largest_parts(full).tolist() == [[3, 3, 5], [0, 3, 3]]
    assert not largest_parts(np.zeros((2, 3), np.int32)).any()
