"""Neighbours get different colours, and colours are told apart by every eye."""

import itertools

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from cellcutter_core.view.coloring import (
    PALETTE,
    assign,
    label_colors,
    marker_colors,
    neighbour_pairs,
)
from cellcutter_core.view.render import overlay

# Machado, Oliveira and Fernandes, IEEE TVCG 15(6), 2009: linear RGB as seen without red, green or
# blue cones (severity 1).
VISION = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def seen(rgb: np.ndarray, vision: str) -> np.ndarray:
    """CIELAB of colours as an eye sees them."""
    unit = rgb / 255
    linear = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.transpose(VISION[vision]), 0, 1)
    back = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(rgb2lab(back[None])[0])


@pytest.mark.parametrize(
    ("vision", "at_least"),
    [("normal", 22), ("protanopia", 14), ("deuteranopia", 14), ("tritanopia", 10)],
)
def test_any_two_colours_are_told_apart(vision: str, at_least: float) -> None:
    lab = seen(PALETTE, vision)
    distances = [deltaE_ciede2000(a, b) for a, b in itertools.combinations(lab, 2)]
    # A difference of 2.3 is just noticeable; the seven of Okabe and Ito reach 21, 12, 11 and 10.
    assert min(distances) > at_least


def test_every_colour_is_bright_enough_for_a_dark_image() -> None:
    lightness = seen(PALETTE, "normal")[:, 0]
    assert lightness.min() > 54
    assert lightness.max() < 90


def voronoi(n: int, size: int, seed: int) -> np.ndarray:
    """Cells without a gap, ids in no order: the crowd that is hardest to colour."""
    points = np.random.default_rng(seed).random((n, 2)) * size
    rows, cols = np.mgrid[:size, :size]
    distance = (rows[..., None] - points[:, 0]) ** 2 + (cols[..., None] - points[:, 1]) ** 2
    return np.asarray(distance.argmin(axis=2) + 1)


@pytest.mark.parametrize("seed", range(3))
def test_no_two_neighbours_share_a_colour(seed: int) -> None:
    labels = voronoi(300, 160, seed)
    picture = label_colors(labels)
    assert picture.shape == (160, 160, 4)
    colors = {int(id_): tuple(picture[labels == id_][0]) for id_ in np.unique(labels)}
    pairs = neighbour_pairs(labels, distance=3)
    assert len(pairs) > 700
    assert all(colors[a] != colors[b] for a, b in pairs)
    assert {color[:3] for color in colors.values()} <= set(map(tuple, PALETTE.tolist()))


def test_a_cell_is_of_one_colour_and_background_is_clear() -> None:
    labels = np.zeros((20, 20), np.uint16)
    labels[2:8, 2:8], labels[2:8, 12:18] = 5, 4_000
    picture = label_colors(labels)
    assert (picture[labels == 0] == 0).all()
    assert (picture[labels == 5] == [*PALETTE[5], 255]).all()
    assert (picture[labels == 4_000] == [*PALETTE[0], 255]).all()


def test_a_cell_that_keeps_its_id_keeps_its_colour() -> None:
    labels = voronoi(60, 90, seed=5)
    fewer = np.where(labels > 30, 0, labels)
    kept = fewer > 0
    # Cells of higher ids never change those of lower ids, unless colours run out.
    np.testing.assert_array_equal(label_colors(fewer)[kept], label_colors(labels)[kept])


def test_neighbours_agree_with_every_pair_of_pixels_tried() -> None:
    rng = np.random.default_rng(4)
    labels = np.zeros((16, 18), int)
    for id_ in range(1, 9):
        row, col = rng.integers(0, 14, 2)
        labels[row : row + 3, col : col + 3] = 10 * id_
    pixels = [(labels[row, col], row, col) for row, col in np.argwhere(labels)]
    for distance in (1, 2, 3, 5):
        expected = {
            (min(a, b), max(a, b))
            for (a, i, j), (b, k, m) in itertools.combinations(pixels, 2)
            if a != b and (i - k) ** 2 + (j - m) ** 2 <= distance**2
        }
        assert neighbour_pairs(labels, distance=distance) == sorted(expected)
        assert expected


def test_wanted_colours_are_given_where_they_can_be() -> None:
    assert assign([2, 1, 2], [], n_colors=3) == [2, 1, 2]
    # First come, first served; then the next colour, round the end of the palette.
    assert assign([2, 2, 2], [(0, 1), (1, 2)], n_colors=3) == [2, 0, 2]


def test_room_is_made_where_all_colours_are_taken() -> None:
    # Node 2 sees both colours; node 0 can change its own to make room for it.
    assert assign([0, 1, 0], [(0, 2), (1, 2)], n_colors=2) == [1, 1, 0]


def test_too_few_colours_are_shared_and_do_not_fail() -> None:
    triangle = [(0, 1), (0, 2), (1, 2)]
    assert assign([0, 0, 0], triangle, n_colors=2) == [0, 1, 0]


def test_no_cells_and_bad_input() -> None:
    assert not label_colors(np.zeros((4, 5), int)).any()
    with pytest.raises(ValueError, match="labels has dtype float64"):
        label_colors(np.zeros((4, 5)))


def crowd(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Markers that keep some distance, in no order, and the cell of each: what is nearest."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.mgrid[5:160:10, 5:160:10], axis=-1).reshape(-1, 2)
    points = rng.permutation(grid + rng.uniform(-3, 3, grid.shape))
    rows, cols = np.mgrid[:160, :160]
    distance = (rows[..., None] - points[:, 0]) ** 2 + (cols[..., None] - points[:, 1]) ** 2
    return points, np.asarray(distance.argmin(axis=2) + 1)


@pytest.mark.parametrize("seed", range(3))
def test_a_cell_keeps_its_colour_whatever_becomes_of_the_others(seed: int) -> None:
    points, labels = crowd(seed)
    colors = marker_colors(points)
    rng = np.random.default_rng(seed)
    for epoch in range(4):
        # Some cells are gone, others have grown into their place.
        gone = rng.permutation(len(points))[: 40 * epoch] + 1
        then = np.where(np.isin(labels, gone), np.roll(labels, 7 * epoch, axis=1), labels)
        painted = label_colors(then, colors=colors)
        ids, first = np.unique(then, return_index=True)
        there = PALETTE[colors[ids - 1]]
        np.testing.assert_array_equal(painted.reshape(-1, 4)[first, :3], there)
        assert (painted[..., 3] == 255).all()


@pytest.mark.parametrize("seed", range(3))
def test_cells_around_markers_hardly_ever_share_a_colour_with_a_neighbour(seed: int) -> None:
    points, labels = crowd(seed)
    colors = marker_colors(points)
    pairs = neighbour_pairs(labels, distance=3)
    assert len(pairs) > 700
    assert sum(colors[a - 1] == colors[b - 1] for a, b in pairs) < 0.02 * len(pairs)


@pytest.mark.parametrize(
    "points", [[], [(3.0, 3.0)], [(1.0, 1.0)] * 3, [(0.0, k) for k in range(9)]]
)
def test_markers_in_odd_places_have_colours_too(points: list[tuple[float, float]]) -> None:
    colors = marker_colors(np.array(points))
    assert len(colors) == len(points)
    assert len(set(colors.tolist())) == min(len(points), len(PALETTE))


def test_a_cell_of_a_new_id_gets_a_colour_that_its_neighbours_do_not_have() -> None:
    labels = np.repeat([[1, 2, 9, 3]], 4, axis=1)
    labels = np.repeat(labels, 4, axis=0)
    painted = label_colors(labels, colors=[9 % len(PALETTE), 2, 3])
    colors = {cell: tuple(painted[labels == cell][0, :3]) for cell in (1, 2, 3, 9)}
    assert [colors[cell] for cell in (1, 2, 3)] == [tuple(PALETTE[k]) for k in (1, 2, 3)]
    assert colors[9] not in (colors[2], colors[3])


def test_two_cells_of_one_colour_that_touch_have_a_white_line_between_them() -> None:
    labels = np.repeat([[0, 1, 1, 1, 2, 2, 2, 3, 3, 3]], 5, axis=0)
    picture = overlay(np.full((5, 10, 3), 90, np.uint8), labels, colors=[4, 4, 5])
    white = (picture == 255).all(axis=-1)
    assert white.any(axis=0).tolist() == [False] * 3 + [True, True] + [False] * 5
