"""Teaching on simulated cells: batches, the recipe, and the weights that the package ships."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cellcutter_core.config import QUICK, TAUGHT
from cellcutter_core.network import taught_weights
from cellcutter_core.network.taught_weights import N_CHANNELS, read_taught, write_taught
from cellcutter_core.network.unet import UNet
from cellcutter_core.simulation.curriculum import fingerprint
from cellcutter_core.training.teaching import (
    Picture,
    Recipe,
    _n_lessons,
    batch,
    picture,
    teach,
    varied,
)

TINY = Recipe(steps=3, lessons=2, first_lessons=1, kept_lessons=2, crops=4, pictures=2)


@pytest.fixture(scope="module")
def lesson() -> Picture:
    """One that no network was taught on."""
    return picture(90_000)


def test_a_batch_shows_markers_and_asks_for_their_cells(lesson: Picture) -> None:
    plain = TINY.replace(crops=8, without_paths=0, alone=0)
    x, y = batch([lesson], plain, np.random.default_rng(0))
    side = QUICK.crops.size
    assert x.shape == (8, side, side, N_CHANNELS)
    assert y.shape == (8, side, side)
    assert set(np.unique(y)) <= {0, 1}
    own, others, paths = (x[..., channel] > 0 for channel in (1, 2, 3))
    # A marker is in its own cell and in the middle of its crop, other markers never are.
    assert (y[own] == 1).all()
    assert (y[others] == 0).all()
    assert own.any(axis=(1, 2)).all()
    # Paths are right about most of a cell.
    assert np.mean(y[paths] == 1) > 0.6
    assert np.mean(y == 1) > 0.02


def test_some_pictures_show_no_paths_and_a_few_no_other_markers(lesson: Picture) -> None:
    rng = np.random.default_rng(0)
    without, _ = batch([lesson], TINY.replace(without_paths=1, alone=0), rng)
    assert not without[..., 3].any()
    assert without[..., 2].any()
    alone, y = batch([lesson], TINY.replace(without_paths=1, alone=1), rng)
    assert not alone[..., 2:4].any()
    assert y.any()


def test_varied_pictures_are_standardised_and_differ() -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(size=(40, 50)).astype(np.float32)
    made = [varied(image, rng) for _ in range(20)]
    for one in made:
        assert one.dtype == np.float32
        assert one.mean() == pytest.approx(0, abs=1e-4)
        assert one.std() == pytest.approx(1, rel=1e-4)
    assert len({one.tobytes() for one in made}) > 15


def test_lessons_come_evenly_and_all_of_them_come() -> None:
    recipe = Recipe(steps=100, lessons=50, first_lessons=8)
    counts = [_n_lessons(recipe, step) for step in range(100)]
    assert counts[0] == 8
    assert counts == sorted(counts)
    assert max(np.diff(counts)) <= 1
    assert counts[70:] == [50] * 30


def test_the_same_recipe_gives_the_same_weights(tmp_path: Path) -> None:
    lines: list[str] = []
    for name in ("one.npz", "two.npz"):
        teach(tmp_path / name, TINY, report=lines.append)
    (one, recipe), (two, _) = (read_taught(tmp_path / name) for name in ("one.npz", "two.npz"))
    assert recipe == {**TINY.model_dump(), "fingerprint": fingerprint()}
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-3)
    assert lines[0].startswith("step 3 of 3, 2 lessons, loss ")


def test_the_shipped_weights_come_from_the_recipe_in_the_repository() -> None:
    """Settings, version and content of the lessons: a change of any asks for teaching anew."""
    _, recipe = read_taught()
    found = recipe.pop("fingerprint")
    assert recipe == Recipe().model_dump()
    assert found == pytest.approx(fingerprint(), rel=1e-3)


def test_the_shipped_weights_are_small_and_fit_the_network() -> None:
    file = Path(taught_weights.__file__).with_name("taught.npz")
    assert file.stat().st_size < 5_000_000
    network = UNet(TAUGHT)
    network.set_weights(list(read_taught()[0]), N_CHANNELS)
    assert sum(weight.size for weight in network.weights) > 1_000_000


def test_weights_are_written_and_read_in_their_order(tmp_path: Path) -> None:
    weights = [np.full((2, 3), 0.1), np.array([1.0, -2]), np.zeros(1)]
    write_taught(tmp_path / "w.npz", weights, {"steps": 3})
    found, recipe = read_taught(tmp_path / "w.npz")
    assert recipe == {"steps": 3}
    for a, b in zip(found, weights, strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=1e-3)


def test_the_shipped_network_finds_cells_it_was_not_taught_on(lesson: Picture) -> None:
    network = UNet(TAUGHT)
    network.set_weights(list(read_taught()[0]), N_CHANNELS)
    cells = np.arange(len(lesson.data))
    p = network.probabilities(lesson.data.crops(cells)) > 0.5
    own = lesson.data.windows(lesson.cells, cells) == cells[:, None, None] + 1
    iou = (p & own).sum((1, 2)) / (p | own).sum((1, 2))
    assert np.median(iou) > 0.8
