"""The built-in sample: its truth is exact, its picture shows that truth, and it is not easy."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from skimage.filters import gaussian, sobel, threshold_li
from skimage.segmentation import watershed

from cellcutter_core.evaluation.metrics import score
from cellcutter_core.images.image import Image
from cellcutter_core.images.read_image import read_image
from cellcutter_core.simulation.sample import sample, save

# Of `sample()`, written down when its look was settled.
N_CELLS, N_FOREGROUND, MEANS = 171, 201968, (377.768, 1600.226, 338.441)

SHAPES = [(64, 64), (64, 301), (130, 64), (256, 200)]


@pytest.fixture(scope="module", params=[0, 1, 2])
def image(request: pytest.FixtureRequest) -> Image:
    return sample(seed=request.param)


def smooth_log(image: Image) -> np.ndarray:
    channel = image.pixels[..., 0].astype(float)
    return np.log(gaussian(channel, 1, preserve_range=True))


def parts(labels: np.ndarray) -> np.ndarray:
    """How many 4-connected parts each label from 1 has; a pixel-wise check, not our own code."""
    return np.array(
        [ndimage.label(labels == k)[1] for k in range(1, labels.max() + 1)],
    )


def test_it_is_an_image_with_roles_and_truth(image: Image) -> None:
    assert image.pixels.shape == (512, 512, 3)
    assert image.pixels.dtype == np.uint16
    assert image.channels == ("fluorescence", "bright field", "nucleus")
    assert image.cell == (0,)
    assert image.nucleus == 2
    assert image.truth.dtype == image.truth_nuclei.dtype == np.int32
    # The camera is neither blind nor blinded.
    assert image.pixels.min() > 100
    assert image.pixels.max() < 65535


def test_it_looks_like_crowded_cells(image: Image) -> None:
    area = np.bincount(image.truth.ravel())
    diameter = np.sqrt(4 * area[1:] / np.pi)
    assert 130 <= len(diameter) <= 180
    assert 0.1 <= area[0] / area.sum() <= 0.3
    assert 30 <= np.median(diameter) <= 45
    # Most touch: at a crowd's density, their outlines run along each other.
    spread = ndimage.maximum_filter(image.truth, 3)
    touching = np.unique(image.truth[(image.truth > 0) & (spread > image.truth)])
    assert len(touching) > 0.7 * len(diameter)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", [0, 1, 2, 6])
def test_truth_is_exact_at_any_size(shape: tuple[int, int], seed: int) -> None:
    image = sample(shape, seed=seed)
    cells, nuclei = image.truth, image.truth_nuclei
    assert image.shape == shape
    n = cells.max()
    assert n >= 1
    np.testing.assert_array_equal(np.unique(cells[cells > 0]), np.arange(1, n + 1))
    # The same ids, each nucleus inside its own cell, and large enough to be seen.
    np.testing.assert_array_equal(np.unique(nuclei[nuclei > 0]), np.arange(1, n + 1))
    np.testing.assert_array_equal(cells[nuclei > 0], nuclei[nuclei > 0])
    assert np.bincount(nuclei.ravel())[1:].min() >= 15
    assert (parts(cells) == 1).all()
    assert (parts(nuclei) == 1).all()


def test_the_same_seed_gives_the_same_image_and_another_another() -> None:
    first = sample((96, 128), seed=7)
    np.random.seed(1)  # noqa: NPY002  the global state must not matter
    again = sample((96, 128), seed=np.int64(7))
    np.testing.assert_array_equal(first.pixels, again.pixels)
    np.testing.assert_array_equal(first.truth, again.truth)
    np.testing.assert_array_equal(first.truth_nuclei, again.truth_nuclei)
    other = sample((96, 128), seed=8)
    assert (other.truth != first.truth).mean() > 0.1


def test_the_default_sample_stays_the_one_that_figures_are_reported_for() -> None:
    image = sample()
    # Counted, not hashed: another machine may round one pixel in a million differently.
    assert image.truth.max() == N_CELLS
    assert (image.truth > 0).sum() == pytest.approx(N_FOREGROUND, rel=1e-3)
    np.testing.assert_allclose(image.pixels.mean(axis=(0, 1)), MEANS, rtol=1e-3)


def test_cells_stand_out_from_empty_ground(image: Image) -> None:
    brightness = smooth_log(image)
    found = brightness > threshold_li(brightness)
    true = image.truth > 0
    assert (found & true).sum() / (found | true).sum() > 0.9


def test_nuclei_are_bright_and_off_the_middle_of_their_cells(image: Image) -> None:
    channel = image.pixels[..., 2].astype(float)
    ids = np.arange(1, image.truth.max() + 1)
    inside = ndimage.mean(channel, image.truth_nuclei, ids)
    around = ndimage.median(channel, np.where(image.truth_nuclei > 0, 0, image.truth), ids)
    empty = np.median(channel[image.truth == 0])
    assert (inside - empty > 3 * (around - empty)).mean() > 0.95
    middles = np.array(ndimage.center_of_mass(image.truth > 0, image.truth, ids))
    nuclei = np.array(ndimage.center_of_mass(image.truth > 0, image.truth_nuclei, ids))
    radius = np.sqrt(np.bincount(image.truth.ravel())[1:] / np.pi)
    off = np.hypot(*(nuclei - middles).T) / radius
    assert 0.2 < np.median(off) < 0.6


def test_borders_can_be_seen_and_distance_to_the_nucleus_does_not_find_them(image: Image) -> None:
    brightness = smooth_log(image)
    nuclei = image.truth_nuclei
    mask = (brightness > threshold_li(brightness)) | (nuclei > 0)
    distance = ndimage.distance_transform_edt(nuclei == 0)
    by_distance = score(watershed(distance, nuclei, mask=mask), image.truth)
    # The same nuclei and mask, but growing over what the channel shows.
    by_edges = score(watershed(sobel(brightness), nuclei, mask=mask), image.truth)
    assert 0.55 < by_distance.average_precision[0] < 0.85
    assert by_edges.average_precision[0] > by_distance.average_precision[0] + 0.02
    # At IoU 0.75 the distance fails, and the picture does not.
    assert by_distance.average_precision[5] < 0.25
    assert by_edges.average_precision[5] > by_distance.average_precision[5] + 0.2


def test_bright_field_shows_dark_bodies_in_bright_halos(image: Image) -> None:
    channel = image.pixels[..., 1].astype(float)
    # Against the neighbourhood, because the illumination is uneven.
    flat = channel / gaussian(channel, 40, preserve_range=True)
    ground = ndimage.distance_transform_edt(image.truth == 0)
    depth = ndimage.distance_transform_edt(image.truth > 0)
    body, halo, far = depth > 6, (ground > 1) & (ground < 6), ground > 15
    assert flat[body].mean() < flat[far].mean() < flat[halo].mean()


def test_a_saved_sample_reads_back_the_same(tmp_path: Path) -> None:
    image = sample((64, 80), seed=3)
    path = tmp_path / "cells.npz"
    save(image, path)
    back = read_image(path)
    np.testing.assert_array_equal(back.pixels, image.pixels)
    assert back.pixels.dtype == np.uint16
    assert (back.channels, back.cell, back.nucleus) == (image.channels, (0,), 2)
    np.testing.assert_array_equal(back.truth, image.truth)
    np.testing.assert_array_equal(back.truth_nuclei, image.truth_nuclei)
    assert back.ignore is None
    assert back.markers is None
    assert [file.name for file in tmp_path.iterdir()] == ["cells.npz"]


def test_what_an_image_lacks_is_not_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 99, (70, 65, 2)).astype(np.uint8)
    nuclei = np.zeros((70, 65), np.int32)
    nuclei[3:9, 4:8] = 1
    ignore = nuclei == 0
    path = tmp_path / "some.npz"
    save(Image(pixels, ("actin", "DNA"), nucleus=1, ignore=ignore), path)
    assert set(np.load(path)) == {"image", "channels", "ignore"}
    np.testing.assert_array_equal(read_image(path).ignore, ignore)
    # Truth that is nuclei only comes back as nuclei only, not as cells.
    save(Image(pixels, ("actin", "DNA"), nucleus=1, truth=nuclei, truth_nuclei=nuclei), path)
    assert set(np.load(path)) == {"image", "channels", "nuclei"}
    np.testing.assert_array_equal(read_image(path).truth, nuclei)


def test_a_sample_that_cannot_be_saved_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    image = sample((64, 64))
    with pytest.raises(ValueError, match=r"cannot write .*missing.*No such file"):
        save(image, tmp_path / "missing" / "cells.npz")
    with pytest.raises(ValueError, match=r"path is .*cells.tif.*end its name in .npz"):
        save(image, tmp_path / "cells.tif")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "shape", [(63, 512), (512, 0), (-64, 64), (512,), (64, 64, 3), (99.5, 99), 512, "64", None]
)
def test_a_wrong_shape_is_named(shape: object) -> None:
    with pytest.raises(ValueError, match=r"shape is .*at least 64 each") as error:
        sample(shape)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("seed", [-1, 1.5, "one", None])
def test_a_wrong_seed_is_named(seed: object) -> None:
    with pytest.raises(ValueError, match=r"seed is .*whole number of at least 0"):
        sample((64, 64), seed=seed)
