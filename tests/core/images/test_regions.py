"""Parts of images: what belongs to a pixel stays with it."""

from __future__ import annotations

import numpy as np
import pytest

from cellcutter_core.images.formats.validation import Validation
from cellcutter_core.images.image import Image
from cellcutter_core.images.regions import cut_out, interesting_region
from cellcutter_core.simulation.sample import sample


def image_with_everything() -> Image:
    rng = np.random.default_rng(0)
    corners = np.array([[0, 0], [10, 12], [30, 30]], np.int32)
    crops = rng.random((3, 8, 8)) > 0.5
    return Image(
        rng.integers(0, 999, (40, 50, 2), dtype=np.uint16),
        ("actin", "DNA"),
        cell=(0,),
        nucleus=1,
        markers=np.arange(2000).reshape(40, 50),
        truth=np.arange(2000).reshape(40, 50)[::-1].copy(),
        ignore=rng.random((40, 50)) > 0.9,
        validation=Validation(corners, crops, np.array([1, 2, 3], np.int32)),
        pixel_size=0.5,
    )


def test_every_plane_is_cut_alike() -> None:
    image = image_with_everything()
    part = cut_out(image, (8, 10, 28, 40))
    assert part.shape == (20, 30)
    np.testing.assert_array_equal(part.pixels, image.pixels[8:28, 10:40])
    np.testing.assert_array_equal(part.truth, image.truth[8:28, 10:40])
    np.testing.assert_array_equal(part.markers, image.markers[8:28, 10:40])
    np.testing.assert_array_equal(part.ignore, image.ignore[8:28, 10:40])
    assert (part.nucleus, part.pixel_size, part.channels) == (1, 0.5, ("actin", "DNA"))


def test_validation_crops_move_with_the_box_and_stay_only_whole() -> None:
    image = image_with_everything()
    part = cut_out(image, (8, 10, 28, 40))
    # The first begins outside of the box, the third ends outside of it.
    np.testing.assert_array_equal(part.validation.corners, [[2, 2]])
    np.testing.assert_array_equal(part.validation.crops, image.validation.crops[1:2])
    assert cut_out(image, (0, 9, 9, 40)).validation is None


def test_the_whole_is_the_image_itself() -> None:
    image = image_with_everything()
    assert cut_out(image, (0, 0, 40, 50)) is image


@pytest.mark.parametrize("box", [(0, 0, 41, 50), (-1, 0, 5, 5), (5, 5, 5, 9), (9, 0, 3, 5)])
def test_a_box_that_is_not_in_the_image_is_refused(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="does not lie in the image of 40×50 pixels"):
        cut_out(image_with_everything(), box)


def test_a_region_without_anything_in_it_is_refused() -> None:
    pixels = np.zeros((40, 40, 1))
    pixels[30:, 30:] = np.arange(100).reshape(10, 10, 1)
    with pytest.raises(ValueError, match="is constant"):
        cut_out(Image(pixels, ("cell",)), (0, 0, 20, 20))


def test_the_interesting_region_is_where_the_cells_are() -> None:
    tissue = sample((256, 256)).pixels
    pixels = np.random.default_rng(0).normal(100, 2, (1000, 800, tissue.shape[2]))
    pixels[600:856, 300:556] = tissue
    top, left, bottom, right = interesting_region(Image(pixels, sample((64, 64)).channels), 256)
    assert (bottom - top, right - left) == (256, 256)
    assert abs(top - 600) <= 16
    assert abs(left - 300) <= 16


def test_it_is_found_on_a_smaller_version_as_well() -> None:
    tissue = sample((256, 256)).pixels
    pixels = np.random.default_rng(0).normal(100, 2, (1002, 801, tissue.shape[2]))
    pixels[600:856, 300:556] = tissue
    seen = Image(pixels[::4, ::4], sample((64, 64)).channels, full_shape=(1002, 801))
    top, left, bottom, right = interesting_region(seen, 256)
    assert (bottom - top, right - left) == (256, 256)
    assert abs(top - 600) <= 24
    assert abs(left - 300) <= 24
    assert interesting_region(seen, 5000) == (0, 0, 1002, 801)


def test_a_small_image_is_taken_whole_along_its_short_side() -> None:
    pixels = np.random.default_rng(0).random((100, 700, 1))
    top, left, bottom, right = interesting_region(Image(pixels, ("cell",)))
    assert (top, bottom) == (0, 100)
    assert right - left == 512
    assert interesting_region(Image(pixels[:, :300], ("cell",))) == (0, 0, 100, 300)
