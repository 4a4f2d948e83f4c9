"""What is written is what other programs read."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from cellcutter_core.export import label_file, png_file, write_labels
from cellcutter_core.export.files import json_file


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
def test_labels_are_read_back_by_tifffile_and_pillow(tmp_path: Path, dtype: type) -> None:
    labels = np.arange(12 * 9).reshape(12, 9).astype(dtype)
    path = tmp_path / "labels.tif"
    write_labels(path, labels)
    read = tifffile.imread(path)
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, labels)
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), labels)


def test_imagej_shows_the_labels_over_their_range_and_knows_the_scale(tmp_path: Path) -> None:
    path = tmp_path / "labels.tif"
    write_labels(path, np.array([[0, 1], [7, 0]]), pixel_size=0.325)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_imagej
        metadata = tiff.imagej_metadata
        assert metadata is not None
        assert (metadata["min"], metadata["max"], metadata["unit"]) == (0, 7, "um")
        tags = tiff.pages[0].tags  # type: ignore[union-attr]
        for name in ("XResolution", "YResolution"):
            numerator, denominator = tags[name].value
            assert denominator / numerator == pytest.approx(0.325, rel=1e-6)


def test_the_highest_16_bit_id_and_the_one_after(tmp_path: Path) -> None:
    path = tmp_path / "labels.tif"
    for highest, dtype in ((65535, np.uint16), (65536, np.uint32)):
        labels = np.array([[0, 1, highest]])
        write_labels(path, labels, pixel_size=0.5)
        read = tifffile.imread(path)
        assert read.dtype == dtype
        np.testing.assert_array_equal(read, labels)
        with Image.open(path) as image:
            np.testing.assert_array_equal(np.asarray(image), labels)
    with tifffile.TiffFile(path) as tiff:
        assert not tiff.is_imagej
        tags = tiff.pages[0].tags  # type: ignore[union-attr]
        numerator, denominator = tags["XResolution"].value
        assert tags["ResolutionUnit"].value == 3  # centimetre
        assert 1e4 * denominator / numerator == pytest.approx(0.5)


def test_an_image_without_cells_is_written_too(tmp_path: Path) -> None:
    write_labels(tmp_path / "labels.tif", np.zeros((3, 4), np.int32))
    assert not tifffile.imread(tmp_path / "labels.tif").any()


@pytest.mark.parametrize(
    ("labels", "pixel_size", "message"),
    [
        (np.zeros((2, 2)), None, "labels has dtype float64"),
        (np.zeros((2, 2, 2), int), None, "labels has shape"),
        (np.zeros((0, 2), int), None, "no pixel"),
        (np.array([[2**32]]), None, "id 4294967296"),
        (np.ones((2, 2), int), 0.0, "pixel_size is 0.0"),
        (np.ones((2, 2), int), float("nan"), "pixel_size is nan"),
    ],
)
def test_what_cannot_be_labels(
    tmp_path: Path, labels: np.ndarray, pixel_size: float | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        write_labels(tmp_path / "labels.tif", labels, pixel_size=pixel_size)
    assert list(tmp_path.iterdir()) == []


def test_a_picture_is_kept_without_loss() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    with Image.open(io.BytesIO(png_file(picture))) as image:
        assert image.format == "PNG"
        np.testing.assert_array_equal(np.asarray(image), picture)


@pytest.mark.parametrize(
    "picture",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((4, 4, 2), np.uint8)],
)
def test_what_is_no_picture(picture: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"rgb is .* but a picture is uint8"):
        png_file(picture)


def test_a_record_is_plain_json() -> None:
    record = {
        "n_cells": np.int64(3),
        "loss": [np.float32(0.5), float("nan"), np.inf],
        "shape": (512, np.uint16(512)),
        "array": np.array([[1, 2], [3, 4]]),
        "path": Path("a") / "b",
        "name": "Zellen µ",
        "settings": {"warm": np.True_, "nucleus": None},
    }
    text = json_file(record).decode("utf-8")
    assert "µ" in text
    assert json.loads(text, parse_constant=pytest.fail) == {
        "n_cells": 3,
        "loss": [0.5, None, None],
        "shape": [512, 512],
        "array": [[1, 2], [3, 4]],
        "path": str(Path("a") / "b"),
        "name": "Zellen µ",
        "settings": {"warm": True, "nucleus": None},
    }


def test_what_json_cannot_hold() -> None:
    with pytest.raises(ValueError, match="object"):
        json_file({"x": object()})


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot write .*; choose another folder") as caught:
        write_labels(tmp_path / "nowhere" / "a", np.ones((2, 2), int))
    assert "\n" not in str(caught.value)


def test_the_content_of_a_label_file_reads_back() -> None:
    labels = np.arange(12).reshape(3, 4)
    content = label_file(labels, pixel_size=0.5)
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        np.testing.assert_array_equal(file.asarray(), labels)
