"""Lessons of simulated cells: what holds for every one, and how different they are."""

import numpy as np
import pytest

from cellcutter_core import sample
from cellcutter_core.label_image import distance_inside
from cellcutter_core.simulation.curriculum import Lesson, lesson
from cellcutter_core.simulation.stains import light_of, seen_through
from cellcutter_core.simulation.tissue import Growth, Tissue, grow_tissue

SHAPE = (160, 192)


@pytest.fixture(scope="module")
def lessons() -> list[Lesson]:
    return [lesson(seed, SHAPE) for seed in range(40)]


@pytest.fixture(scope="module")
def tissue() -> Tissue:
    return grow_tissue(SHAPE, rng=np.random.default_rng(3))


def test_the_same_seed_gives_the_same_lesson_and_another_seed_another() -> None:
    one, again, other = lesson(5, SHAPE), lesson(5, SHAPE), lesson(6, SHAPE)
    for name in ("image", "mask", "points", "markers", "cells"):
        np.testing.assert_array_equal(getattr(one, name), getattr(again, name))
    assert not np.array_equal(one.cells, other.cells)


def test_a_lesson_is_not_the_built_in_sample() -> None:
    for seed in range(3):
        cells = sample(SHAPE, seed=seed).truth > 0
        assert np.mean(cells == (lesson(seed, SHAPE).cells > 0)) < 0.9


def test_every_lesson_holds_intensities_and_a_mask_of_its_size(lessons: list[Lesson]) -> None:
    for one in lessons:
        assert one.image.shape == one.mask.shape == one.markers.shape == one.cells.shape == SHAPE
        assert one.image.dtype == np.float32
        assert np.isfinite(one.image).all()
        assert one.image.min() >= 0
        assert np.ptp(one.image) > 0
        assert one.mask.any()


def test_markers_are_numbered_like_points_and_cells(lessons: list[Lesson]) -> None:
    for one in lessons:
        n = len(one.points)
        np.testing.assert_array_equal(np.unique(one.markers[one.markers > 0]), np.arange(1, n + 1))
        inside = one.markers > 0
        np.testing.assert_array_equal(one.cells[inside], one.markers[inside])
        for k, point in enumerate(one.points, 1):
            rows, cols = np.nonzero(one.markers == k)
            np.testing.assert_allclose(point, (rows.mean(), cols.mean()))


def test_markers_are_missing_and_doubled_as_by_detection(lessons: list[Lesson]) -> None:
    """A marker too many has no cell but itself; a cell without marker is nobody's."""
    too_many = [
        np.sum(np.bincount(one.cells.ravel())[1:] == np.bincount(one.markers.ravel())[1:])
        for one in lessons
    ]
    nobodys = [np.mean(one.cells[one.mask] == 0) for one in lessons]
    assert 0 < np.sum(too_many) < 0.1 * sum(len(one.points) for one in lessons)
    assert sum(share > 0.02 for share in nobodys) > 5
    assert np.median(nobodys) < 0.2


def test_lessons_are_wider_than_the_sample(lessons: list[Lesson]) -> None:
    covered = [np.mean(one.cells > 0) for one in lessons]
    assert min(covered) < 0.35
    assert max(covered) > 0.8
    sizes = [np.sqrt(np.median(np.bincount(one.cells.ravel())[1:])) for one in lessons]
    assert max(sizes) > 1.8 * min(sizes)
    # Inside against rim, in the logarithm: bodies are brighter inside, outlines are darker.
    contrast = []
    for one in lessons:
        depth = distance_inside(one.cells)
        level = np.log1p(one.image)
        contrast.append(level[depth > 6].mean() - level[(depth > 0) & (depth < 3)].mean())
    assert min(contrast) < -0.2
    assert max(contrast) > 0.2


def test_a_membrane_stain_shines_at_the_outlines(tissue: Tissue) -> None:
    depth = distance_inside(tissue.cells)
    for seed in range(6):
        light = light_of(tissue, "membrane", rng=np.random.default_rng(seed))
        assert light[(depth > 0) & (depth < 4)].mean() > 1.5 * light[depth > 7].mean()


@pytest.mark.parametrize("stain", ["cytoplasm", "cortex", "membrane", "nuclei"])
def test_stained_cells_are_bright_and_empty_ground_is_dark(stain, tissue: Tissue) -> None:
    light = light_of(tissue, stain, rng=np.random.default_rng(0))
    assert light[tissue.cells == 0].max() == 0
    assert light[tissue.cells > 0].mean() > 0.05


def test_a_camera_records_counts_that_follow_the_light(tissue: Tissue) -> None:
    for seed in range(8):
        image = seen_through((tissue.cells > 0) * 1.0, rng=np.random.default_rng(seed))
        assert image.dtype == np.float32
        assert image.min() >= 0
        assert image[tissue.cells > 0].mean() > 1.1 * image[tissue.cells == 0].mean()


def test_growth_is_followed() -> None:
    few, many = (
        grow_tissue(SHAPE, Growth(empty=empty), rng=np.random.default_rng(1)).cells
        for empty in (0.85, 0.05)
    )
    assert np.mean(few > 0) < 0.6 * np.mean(many > 0)
    small, large = (
        grow_tissue(SHAPE, Growth(radius=r, radii=(0.7 * r, 1.3 * r)), rng=np.random.default_rng(1))
        for r in (11, 24)
    )
    assert small.cells.max() > 2 * large.cells.max()
