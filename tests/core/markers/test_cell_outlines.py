"""Cells whose outlines alone are stained are found without nuclei, at any magnification."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from cellcutter_core.markers.cell_bodies import cell_regions
from cellcutter_core.markers.cell_outlines import outline_diameter
from cellcutter_core.markers.finding import find_cells, marker_points
from cellcutter_core.mask.automatic_mask import automatic_mask
from cellcutter_core.simulation.sample import sample

Cells = tuple[NDArray[np.float32], NDArray[np.int32]]


def epithelium(diameter: float, *, noise: float = 0.05, seed: int = 0) -> Cells:
    """Cells of about a diameter that fill the middle of an image, with bright outlines."""
    side = int(np.clip(16 * diameter, 200, 400))
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:side, :side]
    # The middles of cells, each moved off its place on a grid.
    at = np.arange(diameter / 2, side, diameter)
    points = np.stack(np.meshgrid(at, at, indexing="ij"), axis=-1).reshape(-1, 2)
    points = points + rng.uniform(-0.3, 0.3, points.shape) * diameter
    owner = cKDTree(points).query(np.stack([rows, cols], axis=-1))[1]
    tissue = np.hypot(rows - side / 2, cols - side / 2) < 0.46 * side
    truth = np.where(tissue, owner + 1, 0).astype(np.int32)
    edge = ndimage.maximum_filter(truth, 3) != ndimage.minimum_filter(truth, 3)
    lines = ndimage.gaussian_filter(edge * rng.uniform(0.5, 1.5, edge.shape), max(1, diameter / 40))
    image = lines / lines.max() + 0.08 * tissue + 0.1
    return (image + noise * rng.normal(size=image.shape) / 3).astype(np.float32), truth


def f1(points: NDArray[np.int32], truth: NDArray[np.int32]) -> float:
    """Of markers; one cell is found by one of them."""
    sizes = np.bincount(truth.ravel())[1:]
    # What the rim of the tissue leaves of a cell need not be found.
    whole = np.flatnonzero(sizes > 0.4 * np.median(sizes[sizes > 0])) + 1
    found = truth[tuple(points.T)]
    right = len(set(found.tolist()) & set(whole.tolist()))
    return 2 * right / (len(points) + len(whole))


@pytest.mark.parametrize("diameter", [13, 20, 36, 60, 90])
@pytest.mark.parametrize("noise", [0.0, 0.15])
def test_lines_tell_how_large_cells_are(diameter: float, noise: float) -> None:
    image, truth = epithelium(diameter, noise=noise)
    log = np.log(image - image.min() + 0.05)
    assert outline_diameter(log, truth > 0) == pytest.approx(diameter, rel=0.45)
    # And roughly where nobody says where there are cells.
    found = outline_diameter(log)
    assert found is not None
    assert diameter / 2 < found < 2 * diameter


@pytest.mark.parametrize("diameter", [13, 20, 36, 60])
def test_each_cell_gets_a_marker(diameter: float) -> None:
    image, truth = epithelium(diameter)
    mask, _ = automatic_mask(image[..., None])
    nuclei = find_cells(image[..., None], mask=mask)
    assert f1(nuclei.points, truth) > 0.85


def test_what_has_no_outlines_has_no_diameter_of_them() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(1, 0.1, (300, 300)).astype(np.float32)
    assert outline_diameter(noise) is None
    assert outline_diameter(np.zeros((300, 300), np.float32)) is None
    image = sample((320, 320))
    for channel in ("fluorescence", "nucleus", "bright field"):
        plane = image.channel(channel).astype(np.float32)
        assert outline_diameter(np.log(plane - plane.min() + 20)) is None


def test_a_diameter_that_is_given_counts() -> None:
    image, truth = epithelium(36)
    numbers = [
        len(marker_points(cell_regions(image, mask=truth > 0, diameter=d))) for d in (18, 72)
    ]
    assert numbers[0] > 2 * numbers[1]
    # They are looked for as what they are, dark within bright outlines.
    regions = cell_regions(image, mask=truth > 0, diameter=36)
    assert f1(marker_points(regions), truth) > 0.85
