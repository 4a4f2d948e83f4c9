"""Images, the roles of their channels, and the layouts of .npz files."""

import dataclasses
import pickle

import numpy as np
import pytest

from cellcutter_core.images.image import Image
from cellcutter_core.images.read_image import read_image


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def pixels(rng):
    """Three channels, none of them constant."""
    return rng.integers(0, 4000, (20, 30, 3), dtype=np.uint16)


def save(folder, **arrays):
    path = folder / "file.npz"
    np.savez_compressed(path, **arrays)
    return path


# The image itself


def test_an_image_cannot_be_changed(pixels):
    truth = np.ones((20, 30), np.uint8)
    image = Image(pixels, ("a", "b", "c"), truth=truth)
    with pytest.raises(dataclasses.FrozenInstanceError):
        image.cell = (1,)
    for array in (image.pixels, image.truth, image.channel("b")):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    pixels[0, 0, 0] = 1  # the caller's own array stays the caller's


def test_planes_get_their_data_types(pixels):
    ones = np.ones((20, 30), np.float64)
    image = Image(pixels, ("a", "b", "c"), truth=ones, markers=3 * ones, ignore=ones)
    assert image.truth.dtype == image.markers.dtype == np.int32
    assert image.ignore.dtype == bool
    assert image.markers.max() == 3
    assert image.shape == (20, 30)


def test_bool_pixels_become_uint8():
    image = Image(np.eye(4, dtype=bool)[..., None], ("mask",))
    assert image.pixels.dtype == np.uint8
    assert image.pixels.max() == 1


def test_an_image_survives_pickling(pixels):
    image = Image(pixels, ("a", "b", "c"), name="x.tif")
    copy = pickle.loads(pickle.dumps(image))
    np.testing.assert_array_equal(copy.pixels, pixels)
    assert copy.name == "x.tif"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixels": np.zeros((4, 4))}, r"shape \(4, 4\)"),
        ({"pixels": np.zeros((0, 4, 1))}, r"shape \(0, 4, 1\)"),
        ({"pixels": np.zeros((4, 4, 2), complex)}, "complex128"),
        ({"channels": ("a",)}, "one name for each"),
        ({"channels": ("a", "a")}, "all different"),
        ({"cell": ()}, "at least one"),
        ({"cell": (2,)}, "0 to 1"),
        ({"nucleus": -1}, "0 to 1"),
        ({"truth": np.zeros((3, 4), int)}, r"truth has shape \(3, 4\)"),
        ({"markers": np.full((4, 4), -1)}, "markers has values from -1"),
        ({"markers": np.full((4, 4), 0.5)}, "whole numbers"),
        ({"markers": np.full((4, 4), np.nan)}, "whole numbers"),
        ({"truth": np.full((4, 4), 2**31)}, "2147483648"),
        ({"truth": np.full((4, 4), "1")}, "<U1"),
    ],
)
def test_what_does_not_fit_together_is_refused(change, message):
    fields = {"pixels": np.zeros((4, 4, 2)), "channels": ("a", "b"), "name": "x"} | change
    with pytest.raises(ValueError, match=f"^x: .*{message}"):
        Image(**fields)


def test_channels_are_found_by_index_or_name(pixels):
    image = Image(pixels, ("actin (phalloidin)", "DNA", "0"))
    for which in (1, "1", "DNA", "dna", " dna ", np.int64(1)):
        assert image.channel_index(which) == 1
    # A name comes before an index.
    assert image.channel_index("0") == 2
    assert image.channel_index(0) == 0
    np.testing.assert_array_equal(image.channel("DNA"), pixels[..., 1])


@pytest.mark.parametrize("which", [3, -1, "3", "-1", "actin", "", True, "²", 1.5, None])
def test_a_channel_that_does_not_exist(pixels, which):
    image = Image(pixels, ("actin (phalloidin)", "DNA", "c"), name="x.tif")
    message = r"^x.tif: there is no channel .*0 \(actin \(phalloidin\)\), 1 \(DNA\), 2 \(c\)$"
    with pytest.raises(ValueError, match=message):
        image.channel_index(which)


def test_roles_can_be_changed(pixels):
    image = Image(pixels, ("a", "b", "c"), cell=(0,), nucleus=2)
    assert image.with_roles(cell="b").cell == (1,)
    assert image.with_roles(cell="b").nucleus == 2
    assert image.with_roles(cell=["c", 0]).cell == (2, 0)
    assert image.with_roles(nucleus="b").nucleus == 1
    assert image.with_roles(nucleus="none").nucleus is None
    assert image.with_roles(nucleus=0).cell == (0,)
    assert (image.cell, image.nucleus) == ((0,), 2)


def test_roles_that_make_no_sense(pixels):
    pixels[..., 1] = 7
    image = Image(pixels, ("a", "b", "c"), name="x.tif")
    constant = r"^x.tif: channel 1 \(b\) is constant, every pixel is 7"
    with pytest.raises(ValueError, match=constant):
        image.with_roles(cell=[0, 1])
    with pytest.raises(ValueError, match=constant):
        image.with_roles(nucleus="b")
    for cell in ([], ["a", 0]):
        with pytest.raises(ValueError, match="one or more different channels"):
            image.with_roles(cell=cell)
    with pytest.raises(ValueError, match="no channel 'z'"):
        image.with_roles(cell=["a", "z"])
    for role in ({"cell": 1.5}, {"cell": ["a", 1.5]}, {"nucleus": 1.5}):
        with pytest.raises(ValueError, match=r"^x.tif: there is no channel 1.5; the channels are"):
            image.with_roles(**role)


# Guessing the roles


@pytest.mark.parametrize(
    ("names", "cell", "nucleus"),
    [
        (["Hoechst"], 0, 0),
        (["DNA fluorescence"], 0, 0),
        (["phase contrast"], 0, None),
        (["actin (phalloidin)", "DNA"], 0, 1),
        (["DAPI", "FITC"], 1, 0),
        (["H2B-mCherry", "phase", "x"], 1, 0),
        (["cell body", "membrane", "DRAQ5"], 0, 2),
        (["x", "Nuclei", "y", "z"], 0, 1),
        (["x", "siR-DNA"], 0, 1),
        # A name inside another word is not that name.
        (["GFP", "pDNAse"], 0, None),
        # Names that tell something, but nothing of a nucleus.
        (["GFP", "phase"], 0, None),
        # Names that tell nothing leave it to convention.
        (["Channel:0:0", "Channel:0:1"], 0, 1),
        (["c:1/2 - DAPI.tif", "c:2/2 - DAPI.tif"], 0, 1),
        (["C1", "C2", "C3"], 0, 2),
        (["1", "2", "3", "4"], 0, None),
    ],
)
def test_roles_by_name(tmp_path, rng, names, cell, nucleus):
    pixels = rng.integers(0, 4000, (20, 30, len(names)), dtype=np.uint16)
    image = read_image(save(tmp_path, image=pixels, channels=np.array(names)))
    assert (image.cell, image.nucleus) == ((cell,), nucleus)
    assert image.channels == tuple(names)


@pytest.mark.parametrize(
    ("n_channels", "arguments", "cell", "nucleus"),
    [
        (1, {}, 0, None),
        (2, {}, 0, 1),
        (3, {}, 0, 2),
        (4, {}, 0, None),
        (2, {"cell": 1}, 1, 0),
        (2, {"cell": "1"}, 1, 0),
        (2, {"nucleus": 0}, 1, 0),
        (2, {"nucleus": "none"}, 0, None),
        (3, {"cell": 2}, 2, None),
        (1, {"nucleus": 0}, 0, 0),
    ],
)
def test_roles_by_convention(tmp_path, rng, n_channels, arguments, cell, nucleus):
    pixels = rng.integers(0, 4000, (20, 30, n_channels), dtype=np.uint16)
    image = read_image(save(tmp_path, image=pixels), **arguments)
    assert (image.cell, image.nucleus) == ((cell,), nucleus)


def test_several_cell_channels(tmp_path, pixels):
    image = read_image(save(tmp_path, image=pixels), cell=["channel 1", 0])
    assert (image.cell, image.nucleus) == ((1, 0), 2)


@pytest.mark.parametrize(
    ("heights", "cell", "nucleus"),
    [
        ((50, 200, 90), 1, 2),
        ((200, 50, 90), 0, 2),
        ((50, 0, 200), 0, 2),
        ((0, 90, 0), 1, None),
        ((200, 90, 0), 0, None),
        # Only blue: a picture of nuclei.
        ((0, 0, 90), 2, 2),
    ],
)
def test_roles_of_a_colour_picture(tmp_path, rng, heights, cell, nucleus):
    noise = rng.random((40, 40, 3)) * heights
    image = read_image(save(tmp_path, image=noise.astype(np.uint8)))
    assert image.channels == ("red", "green", "blue")
    assert (image.cell, image.nucleus) == ((cell,), nucleus)


def test_blue_that_follows_another_channel_is_no_nucleus(tmp_path, rng):
    gray = rng.integers(40, 200, (40, 40)).astype(np.uint8)
    tinted = np.stack([gray, gray, gray // 2], axis=-1)
    image = read_image(save(tmp_path, image=tinted))
    assert (image.cell, image.nucleus) == ((0,), None)


def test_gray_saved_as_colour_is_one_channel(tmp_path, rng):
    gray = rng.integers(0, 200, (40, 40)).astype(np.uint8)
    image = read_image(save(tmp_path, image=np.stack([gray] * 3, axis=-1)))
    assert image.channels == ("gray",)
    np.testing.assert_array_equal(image.pixels[..., 0], gray)


def test_names_are_made_different(tmp_path, pixels):
    names = np.array(["DNA", "DNA", " "])
    image = read_image(save(tmp_path, image=pixels, channels=names))
    assert image.channels == ("DNA", "DNA (1)", "channel 2")


# The layouts of .npz files


def paper_file(tmp_path, rng, **change):
    """A file as the paper's, with crops of 8 pixels."""
    data = rng.random((40, 50, 6))
    data[..., 3] = 0
    # Label 2 is too near the first row for a crop, label 5 is a 2 by 2 block, and the crop of
    # label 9 ends one before the last column: the original leaves out those that reach it.
    data[2, 20, 3] = 2
    data[10:12, 30:32, 3] = 5
    data[20, 45, 3] = 9
    data[20, 46, 3] = 0
    data[30, 46, 3] = 11
    data[..., 4:] = 255
    crops = np.zeros((2, 8, 8), np.uint8)
    crops[0, 2:6, 2:6] = 1
    arrays = {"data": data, "test_id": np.array([1, 0]), "test_label": crops} | change
    return save(tmp_path, **arrays), data


def test_the_papers_layout(tmp_path, rng):
    path, data = paper_file(tmp_path, rng)
    image = read_image(path)
    assert image.channels == ("fluorescence", "bright field", "nucleus")
    assert (image.cell, image.nucleus) == ((0,), 2)
    np.testing.assert_array_equal(image.pixels, data[..., :3])
    np.testing.assert_array_equal(image.markers, data[..., 3])
    assert image.truth is None


def test_the_papers_validation(tmp_path, rng):
    path, _ = paper_file(tmp_path, rng)
    validation = read_image(path).validation
    # The crops of the original, by hand: label 2 begins at row -2 and label 11 at column 42, from
    # where 8 pixels reach the last column. Left are label 5, its centre (10.5, 30.5) rounded to
    # even (10, 30), and label 9.
    assert validation.crop_size == 8
    np.testing.assert_array_equal(validation.markers, [9, 5])
    np.testing.assert_array_equal(validation.corners, [[16, 41], [6, 26]])
    assert validation.crops.dtype == bool
    assert validation.crops.sum() == 16


@pytest.mark.parametrize(
    "change",
    [
        {"test_id": np.array([0, 2])},
        {"test_id": np.array([-1, 0])},
        {"test_id": np.array([0.0, 1.0])},
        {"test_id": np.array([0])},
        {"test_label": np.zeros((2, 8, 9))},
    ],
)
def test_validation_that_does_not_fit(tmp_path, rng, change):
    path, _ = paper_file(tmp_path, rng, **change)
    with pytest.raises(ValueError, match=r"^file\.npz: test_id "):
        read_image(path)


def test_the_layout_with_truth(tmp_path, pixels, rng):
    cells, nuclei = rng.integers(0, 9, (2, 20, 30)).astype(np.uint16)
    ignore = rng.random((20, 30)) > 0.5
    channels = np.array(["actin", "x", "DNA"])
    path = save(
        tmp_path,
        image=pixels,
        channels=channels,
        cells=cells,
        nuclei=nuclei,
        ignore=ignore,
        markers=np.zeros((5, 2), np.int32),
        source=np.array("somewhere"),
    )
    image = read_image(path)
    np.testing.assert_array_equal(image.pixels, pixels)
    np.testing.assert_array_equal(image.truth, cells)
    np.testing.assert_array_equal(image.truth_nuclei, nuclei)
    np.testing.assert_array_equal(image.ignore, ignore)
    assert image.truth.dtype == np.int32
    assert image.name == "file.npz"
    # The points are truth, never an input.
    assert image.markers is None


def test_true_nuclei_are_the_truth_where_there_is_no_other(tmp_path, pixels):
    nuclei = np.arange(600, dtype=np.uint16).reshape(20, 30)
    image = read_image(save(tmp_path, image=pixels, nuclei=nuclei))
    np.testing.assert_array_equal(image.truth, nuclei)
    np.testing.assert_array_equal(image.truth_nuclei, nuclei)
    image = read_image(save(tmp_path, image=pixels, cells=nuclei))
    assert image.truth_nuclei is None


def test_channel_names_tell_the_channel_axis(tmp_path, rng):
    pixels = rng.integers(0, 9, (2, 20, 3))
    image = read_image(save(tmp_path, image=pixels, channels=np.array(["a", "b"])))
    np.testing.assert_array_equal(image.pixels, np.moveaxis(pixels, 0, 2))
    plane = read_image(save(tmp_path, image=pixels[0], channels=np.array(["DNA"])))
    assert plane.channels == ("DNA",)


def test_the_one_image_in_a_file(tmp_path, pixels):
    extra = {"points": np.zeros((30, 2)), "note": np.array("text"), "scale": np.array(0.5)}
    image = read_image(save(tmp_path, anything=pixels, **extra))
    np.testing.assert_array_equal(image.pixels, pixels)


def test_two_images_in_a_file(tmp_path, pixels):
    path = save(tmp_path, first=pixels, second=pixels[..., 0])
    message = r"first \(20, 30, 3\) uint16, second \(20, 30\) uint16, of which 2 can .*'image'"
    with pytest.raises(ValueError, match=message):
        read_image(path)
    with pytest.raises(ValueError, match="none can be the image"):
        read_image(save(tmp_path, points=np.zeros((30, 2)), note=np.array("text")))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": np.array(["a", "b"])}, "2 channel name"),
        ({"channels": np.array(["a", "b", "c"], object)}, "'channels' is stored as pickled"),
        ({"cells": np.zeros((20, 31), int)}, r"truth has shape \(20, 31\)"),
        ({"cells": np.array([[None]])}, "'cells' is stored as pickled"),
        ({"nuclei": np.zeros((20, 30), complex)}, "'nuclei' holds complex"),
        ({"image": np.zeros((20, 30), "datetime64[s]")}, "datetime64"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path, pixels, change, message):
    path = save(tmp_path, **({"image": pixels} | change))
    with pytest.raises(ValueError, match=f"^file.npz: .*{message}"):
        read_image(path)


def test_real_images(shared_data):
    files = sorted(shared_data.glob("*/*.npz"))
    assert len(files) == 25
    for file in files:
        image = read_image(file)
        with np.load(file, allow_pickle=False) as stored:
            np.testing.assert_array_equal(image.pixels, stored["image"])
            truth = "cells" if "cells" in stored else "nuclei"
            if truth in stored:
                np.testing.assert_array_equal(image.truth, stored[truth])
            else:
                assert image.truth is None
        expected = {
            "bbbc018_ht29": ((0,), 1),
            "ebimage_demo": ((0,), 1),
            "usiigaci_t98g": ((0,), None),
        }.get(file.parent.name, ((0,), 0))
        assert (image.cell, image.nucleus) == expected
        assert image.markers is None
