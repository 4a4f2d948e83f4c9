"""Channels without names: whether their content tells which shows nuclei."""

import numpy as np
import pytest
from scipy import ndimage as ndi

from cellcutter_core.config import QUICK
from cellcutter_core.images.image import Image
from cellcutter_core.images.read_image import read_image
from cellcutter_core.markers import nucleus_channel
from cellcutter_core.markers.editing import add_marker, remove_marker
from cellcutter_core.markers.nucleus_channel import area_of_nuclei
from cellcutter_core.pipeline import find_markers, find_mask
from cellcutter_core.simulation.sample import sample

NAMES = sample((256, 256)).channels


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_of_the_sample_only_the_nuclei_are_nuclei(seed):
    image = sample((320, 320), seed=seed)
    found = [area_of_nuclei(image.channel(name)) is not None for name in NAMES]
    assert found == [False, False, True]


@pytest.mark.parametrize("smooth", [0, 2, 5, 10])
def test_noise_shows_none(smooth):
    noise = np.random.default_rng(0).normal(100, 10, (300, 300))
    assert area_of_nuclei(ndi.gaussian_filter(noise, smooth)) is None


def test_a_channel_that_was_looked_at_is_not_looked_at_again(monkeypatch):
    monkeypatch.setattr(nucleus_channel, "_known", {})
    looked, find = [], nucleus_channel.nucleus_regions
    monkeypatch.setattr(
        nucleus_channel, "nucleus_regions", lambda window: (looked.append(1), find(window))[1]
    )
    nuclei = sample((320, 320), seed=0).channel("nucleus")
    area = area_of_nuclei(nuclei)
    assert area is not None
    assert (area_of_nuclei(nuclei.copy()), len(looked)) == (area, 1)
    nuclei = nuclei.copy()
    nuclei[:160] = 0
    assert area_of_nuclei(nuclei) != area
    assert len(looked) == 2


def test_few_objects_say_nothing():
    rows, cols = np.indices((200, 200))
    assert area_of_nuclei((np.hypot(rows - 100, cols - 100) < 20) * 100) is None


def test_a_large_image_is_looked_at_where_it_varies():
    nuclei = sample((400, 400)).channel("nucleus").astype(float)
    background = np.percentile(nuclei, 5)
    noise = np.random.default_rng(0).normal(0, 1, (1500, 1300))
    channel = background + noise * np.std(nuclei[nuclei < background])
    assert area_of_nuclei(channel) is None
    channel[900:1300, 800:1200] = nuclei
    assert area_of_nuclei(channel) is not None


def without_names(tmp_path, *channels):
    """A file of these channels of the sample that says nothing of what they are."""
    image = sample((320, 320))
    file = tmp_path / "image.npy"
    np.save(file, np.dstack([image.channel(name) for name in channels]))
    return read_image(file)


@pytest.mark.parametrize(
    ("channels", "cell", "nucleus"),
    [
        (["nucleus"], (0,), 0),
        (["fluorescence"], (0,), None),
        # By convention the second; here the first is.
        (["nucleus", "fluorescence"], (1,), 0),
        (["fluorescence", "nucleus"], (0,), 1),
        # Both: content decides nothing.
        (["nucleus", "nucleus"], (0,), 1),
        (["nucleus", "fluorescence", "bright field", "bright field"], (1,), 0),
    ],
)
def test_roles_by_content(tmp_path, channels, cell, nucleus):
    image = without_names(tmp_path, *channels)
    assert (image.cell, image.nucleus) == (cell, nucleus)


CENTRES = [(r, c) for r in range(30, 240, 60) for c in range(30, 240, 60)]


def bright_and_dim_discs() -> tuple[Image, np.ndarray]:
    """Nuclei alone, one in three brighter than the others, and where they are."""
    rows, cols = np.indices((240, 240))
    discs = np.zeros((240, 240))
    truth = np.zeros((240, 240), bool)
    for number, (r, c) in enumerate(CENTRES):
        inside = np.hypot(rows - r, cols - c) < 12
        truth |= inside
        discs += (4 if number % 3 == 0 else 1) * inside
    blurred = ndi.gaussian_filter(discs, 3) * 1000 + 50
    pixels = blurred + np.random.default_rng(0).normal(0, 5, discs.shape)
    return Image(pixels[..., None], ("DNA",), cell=(0,), nucleus=0), truth


def test_where_nuclei_alone_are_cells_the_mask_is_what_they_cover():
    """The glow of a bright disc is as bright as a dim one; the mask leaves it out."""
    image, truth = bright_and_dim_discs()
    pixels = image.pixels[..., 0]
    nuclei = find_markers(image, QUICK)
    assert len(nuclei.points) == len(CENTRES)
    found = find_mask(image, QUICK, nuclei)
    overlap = (found & truth).sum() / (found | truth).sum()
    assert overlap > 0.85
    other = find_mask(Image(pixels[..., None], ("DNA",), cell=(0,)), QUICK, nuclei)
    assert overlap > (other & truth).sum() / (other | truth).sum() + 0.1
    # A graph cut with chosen settings stays one.
    chosen = QUICK.replace(mask=QUICK.mask.replace(automatic=False, prior=0.9))
    assert not np.array_equal(find_mask(image, chosen, nuclei), nuclei.regions > 0)


def test_a_marker_by_hand_changes_one_nucleus_and_leaves_the_others():
    image, _ = bright_and_dim_discs()
    found = find_markers(image, QUICK)
    before = found.regions > 0
    without = find_mask(image, QUICK, remove_marker(found, 5), given=True)
    np.testing.assert_array_equal(without, before & (found.regions != 6))
    # Anywhere in a nucleus that is found, it stands for all of it.
    row, col = found.points[5].astype(int)
    again = add_marker(remove_marker(found, 5), (row + 3, col - 3))
    np.testing.assert_array_equal(find_mask(image, QUICK, again, given=True), before)
    # Two in one nucleus divide it.
    two = add_marker(add_marker(remove_marker(found, 5), (row, col - 6)), (row, col + 6))
    np.testing.assert_array_equal(find_mask(image, QUICK, two, given=True), before)


def test_a_marker_by_hand_where_nothing_was_found_stands_for_what_is_there():
    image, _ = bright_and_dim_discs()
    rows, cols = np.indices(image.shape)
    # Too dim beside the others to be taken for one of them.
    dim = np.hypot(rows - 60, cols - 60) < 10
    pixels = image.pixels + (90 * ndi.gaussian_filter(dim.astype(float), 1))[..., None]
    image = Image(pixels, ("DNA",), cell=(0,), nucleus=0)
    found = find_markers(image, QUICK)
    assert not found.regions[dim].any()
    area = find_mask(image, QUICK, add_marker(found, (60, 60)), given=True)
    more = area & (found.regions == 0)
    assert (more & dim).sum() / (more | dim).sum() > 0.7
    np.testing.assert_array_equal(area & ~more, found.regions > 0)
