"""Labels against truth on discs and blocks whose answer is known beforehand."""

import itertools

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000
from test_coloring import VISION, seen

from cellcutter_core.evaluation.metrics import score
from cellcutter_core.view.marker_drawing import MARKER_COLOR, SELECTED_COLOR, markers_picture
from cellcutter_core.view.render import overlay
from cellcutter_core.view.truth import (
    DIFFERENCE_COLORS,
    TRUTH_COLORS,
    compare_truth,
    difference_picture,
    numbered_by_markers,
    truth_picture,
)


def disc(
    row: float, col: float, radius: float, *, shape: tuple[int, int] = (120, 160)
) -> np.ndarray:
    rows, cols = np.indices(shape)
    return (rows - row) ** 2 + (cols - col) ** 2 <= radius**2


def scene() -> tuple[np.ndarray, np.ndarray]:
    """One cell of each kind: ids in the truth 1 to 6, in the labels 11 to 17."""
    truth, labels = np.zeros((120, 160), int), np.zeros((120, 160), int)
    truth[disc(20, 20, 12)] = 1  # found, moved by two pixels
    labels[disc(20, 22, 12)] = 11
    truth[disc(20, 60, 10)] = 2  # missed
    labels[disc(20, 100, 10)] = 12  # false
    truth[disc(60, 20, 10)] = 3  # two of the same size, merged
    truth[disc(60, 41, 10)] = 4
    labels[disc(60, 20, 10) | disc(60, 41, 10) | disc(60, 30.5, 4)] = 13
    whole = disc(60, 100, 15)
    truth[whole] = 5  # cut in three, none of which is half of it
    cols = np.indices(whole.shape)[1]
    for id_, low, high in ((14, 0, 95), (15, 95, 105), (16, 105, 160)):
        labels[whole & (cols >= low) & (cols < high)] = id_
    truth[disc(100, 60, 4)] = 6  # swallowed by a large one that is a hit
    truth[disc(100, 40, 14)] = 7
    labels[disc(100, 40, 14) | disc(100, 60, 4)] = 17
    return labels, truth


def test_one_of_each_kind() -> None:
    compared = compare_truth(*scene())
    assert compared.hits == ((11, 1), (17, 7))
    assert compared.label_kinds == {
        11: "hit", 12: "false", 13: "merged", 14: "split", 15: "split", 16: "split", 17: "hit",
    }  # fmt: skip
    assert compared.true_kinds == {
        1: "hit", 2: "missed", 3: "merged", 4: "merged", 5: "split", 6: "merged", 7: "hit",
    }  # fmt: skip
    assert compared.merged == ((13, (3, 4)), (17, (6, 7)))
    assert compared.split == ((5, (14, 15, 16)),)
    assert compared.counts == {"hit": 2, "missed": 1, "false": 1, "merged": 2, "split": 1}


def test_hits_are_the_true_positives_of_the_scores() -> None:
    rng = np.random.default_rng(0)
    truth, labels = np.zeros((120, 160), int), np.zeros((120, 160), int)
    for id_, (row, col) in enumerate(itertools.product(range(12, 120, 24), range(12, 160, 24)), 1):
        truth[disc(row, col, 10)] = id_
        labels[disc(row + rng.integers(-4, 5), col + rng.integers(-4, 5), 10)] = 100 - id_
    expected = score(labels, truth)
    compared = compare_truth(labels, truth)
    n = len(compared.hits)
    assert n / (expected.n_cells + expected.n_true - n) == expected.average_precision[0]
    assert n == expected.n_matched
    assert n > 0
    assert all(label + true == 100 for label, true in compared.hits)


def test_what_lies_in_ignored_pixels_has_no_kind() -> None:
    labels, truth = scene()
    compared = compare_truth(labels, truth, ignore=disc(20, 100, 14) | disc(20, 60, 14))
    assert 12 not in compared.label_kinds
    assert 2 not in compared.true_kinds
    assert compared.counts["missed"] == compared.counts["false"] == 0
    picture = truth_picture(np.full((120, 160, 3), 100, np.uint8), compared)
    assert (picture[disc(20, 100, 12)] == 85).all()


def test_empty_images_have_nothing_wrong() -> None:
    empty = np.zeros((5, 6), int)
    compared = compare_truth(empty, empty)
    assert set(compared.counts.values()) == {0}
    assert not truth_picture(np.zeros((5, 6, 3), np.uint8), compared).any()


def test_the_picture_has_each_kind_in_its_colour() -> None:
    labels, truth = scene()
    image = np.full((*labels.shape, 3), 100, np.uint8)
    picture = truth_picture(image, compare_truth(labels, truth))

    def colors_in(area: np.ndarray) -> set[tuple[int, ...]]:
        return set(map(tuple, picture[area].tolist()))

    grey = (85, 85, 85)
    half = {
        name: tuple(int(0.5 * 85 + 0.5 * part + 0.5) for part in color)
        for name, color in TRUTH_COLORS.items()
    }
    # A hit is outlined and its inside is the image.
    assert colors_in(labels == 11) == {grey, TRUTH_COLORS["hit"]}
    # A missed cell is outlined and hatched, the others are outlined and tinted.
    assert colors_in(truth == 2) == {grey, half["missed"], TRUTH_COLORS["missed"]}
    assert colors_in(labels == 12) == {half["false"], TRUTH_COLORS["false"]}
    assert colors_in(labels == 13) == {half["merged"], TRUTH_COLORS["merged"]}
    assert colors_in(labels == 15) == {half["split"], TRUTH_COLORS["split"]}
    # The swallowed cell is told apart within the hit.
    assert TRUTH_COLORS["merged"] in colors_in(truth == 6)
    assert (image == 100).all()
    assert colors_in((labels == 0) & (truth == 0)) == {grey}


def test_differences_are_pixels_that_changed_hands() -> None:
    before = np.array([[1, 1, 0, 0, 2, 2, 3]])
    after = np.array([[1, 0, 0, 4, 2, 3, 3]])
    picture = difference_picture(before, after, np.zeros((1, 7, 3), np.uint8))
    expected = {1: "vanished", 3: "appeared", 5: "changed owner"}
    for col in range(7):
        color = tuple(picture[0, col].tolist())
        if col in expected:
            assert color == DIFFERENCE_COLORS[expected[col]]
        else:
            assert color not in DIFFERENCE_COLORS.values()


def test_equal_labels_differ_nowhere() -> None:
    labels, _ = scene()
    picture = difference_picture(labels, labels, np.full((*labels.shape, 3), 60, np.uint8))
    assert (picture == picture[..., :1]).all()


def test_differences_of_other_shapes_are_refused() -> None:
    labels, _ = scene()
    with pytest.raises(ValueError, match=r"labels_a has shape \(120, 160\) and labels_b \(60, 160"):
        difference_picture(labels, labels[:60], np.zeros((120, 160, 3), np.uint8))
    with pytest.raises(ValueError, match=r"image is uint8 of shape \(5, 5, 3\)"):
        difference_picture(labels, labels, np.zeros((5, 5, 3), np.uint8))


@pytest.mark.parametrize("colors", [TRUTH_COLORS, DIFFERENCE_COLORS])
@pytest.mark.parametrize("vision", list(VISION))
def test_every_eye_tells_the_colours_of_a_legend_apart(
    colors: dict[str, tuple[int, int, int]], vision: str
) -> None:
    lab = seen(np.array(list(colors.values())), vision)
    assert min(deltaE_ciede2000(a, b) for a, b in itertools.combinations(lab, 2)) > 10


def test_a_marker_is_a_ring_around_its_pixel() -> None:
    for background in (0, 255):
        picture = np.full((40, 40, 3), background, np.uint8)
        drawn = markers_picture(picture, [(20.2, 9.8)])
        assert (drawn[20, 10] == background).all()
        assert (drawn[20, [6, 14]] == MARKER_COLOR).all()
        assert (drawn[[16, 24], 10] == MARKER_COLOR).all()
        # White within black: one of the two is seen on any background.
        assert (drawn[20, [5, 15]] == 0).all()
        changed = (drawn != background).any(axis=2)
        assert not changed[disc(20, 10, 7, shape=(40, 40)) == 0].any()
        assert (picture == background).all()


def test_the_selected_marker_has_its_crop() -> None:
    drawn = markers_picture(
        np.full((60, 60, 3), 90, np.uint8), [(30, 30), (5, 50)], crop_size=32, selected=0
    )
    selected = (drawn == SELECTED_COLOR).all(axis=2)
    # The crop is rows and columns 14 to 45.
    frame = np.zeros((60, 60), bool)
    frame[14:46, 14:46] = True
    frame[15:45, 15:45] = False
    assert selected[frame].all()
    assert not selected[:14].any()
    assert not selected[:, 46:].any()
    assert (drawn[5, 46] == MARKER_COLOR).all()


def test_markers_at_and_beyond_the_edge() -> None:
    picture = np.full((20, 20, 3), 90, np.uint8)
    assert (markers_picture(picture, [(0, 0)], crop_size=16, selected=0) != 90).any()
    np.testing.assert_array_equal(markers_picture(picture, [(50, -30)]), picture)
    np.testing.assert_array_equal(markers_picture(picture, []), picture)


def test_marks_that_cannot_be_drawn() -> None:
    picture = np.zeros((20, 20, 3), np.uint8)
    with pytest.raises(ValueError, match="selected is 1, but there are markers 0 to 0"):
        markers_picture(picture, [(1, 1)], selected=1)
    with pytest.raises(ValueError, match=r"points has shape \(3,\)"):
        markers_picture(picture, [1, 2, 3])
    with pytest.raises(ValueError, match="picture is float64"):
        markers_picture(overlay(picture, np.zeros((20, 20), int)) / 255, [])


def test_true_cells_have_the_numbers_of_their_markers() -> None:
    truth = np.array([[0, 70, 70, 0, 5, 5, 9, 9]])
    points = np.array([[0, 6.2], [0, 1.0], [0, 2.0], [0, 0.0]])
    # Of the two markers in cell 70 the first counts; that of background names nothing.
    numbered = numbered_by_markers(truth, points)
    assert numbered.tolist() == [[0, 2, 2, 0, 5, 5, 1, 1]]
    assert numbered.dtype == np.int32
    assert numbered_by_markers(truth, np.zeros((0, 2))).tolist() == [[0, 3, 3, 0, 1, 1, 2, 2]]
