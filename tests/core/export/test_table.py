"""Measurements against scikit-image's, against a loop, and against forms known beforehand."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from label_forms import IMAGES
from numpy.typing import NDArray
from skimage.measure import regionprops_table

from cellcutter_core.export.formats.table import cell_table, table_file
from cellcutter_core.simulation.sample import sample


@pytest.fixture(scope="module")
def table_and_image() -> tuple[
    dict[str, NDArray[np.generic]], NDArray[np.int32], NDArray[np.generic]
]:
    image = sample((256, 256), seed=1)
    assert image.truth is not None
    labels = np.where(image.truth % 3 == 1, image.truth * 5, image.truth).astype(np.int32)
    table = cell_table(labels, image.pixels, channels=image.channels, pixel_size=0.5)
    return table, labels, image.pixels


def test_all_columns_against_scikit_image(table_and_image) -> None:
    table, labels, pixels = table_and_image
    names = (
        "label", "centroid", "area", "perimeter", "axis_major_length", "axis_minor_length",
        "eccentricity", "solidity", "intensity_mean", "intensity_min", "intensity_max",
    )  # fmt: skip
    theirs = regionprops_table(labels, pixels, properties=names)
    same = {
        "id": "label", "row": "centroid-0", "col": "centroid-1", "area": "area",
        "perimeter": "perimeter", "major_axis": "axis_major_length",
        "minor_axis": "axis_minor_length", "eccentricity": "eccentricity", "solidity": "solidity",
    }  # fmt: skip
    channels = sample((64, 64)).channels
    for number, channel in enumerate(channels):
        for statistic in ("mean", "min", "max"):
            same[f"{statistic}_{channel}"] = f"intensity_{statistic}-{number}"
    for ours, name in same.items():
        np.testing.assert_allclose(table[ours], theirs[name], rtol=1e-9, err_msg=ours)
    sums = {f"sum_{channel}" for channel in channels}
    for number, channel in enumerate(channels):
        expected = theirs["area"] * theirs[f"intensity_mean-{number}"]
        np.testing.assert_allclose(table[f"sum_{channel}"], expected)
    in_um = {name for name in table if name.endswith(("_um", "_um2"))}
    assert set(table) == set(same) | sums | in_um | {"touches_border"}
    assert {len(column) for column in table.values()} == {len(np.unique(labels)) - 1}


def test_micrometres(table_and_image) -> None:
    table, _, _ = table_and_image
    for name in ("row", "col", "perimeter", "major_axis", "minor_axis"):
        np.testing.assert_allclose(table[f"{name}_um"], 0.5 * table[name])
    np.testing.assert_allclose(table["area_um2"], 0.25 * table["area"])


def test_cells_at_the_edge_of_the_image(table_and_image) -> None:
    table, labels, _ = table_and_image
    inner = set(np.unique(labels)) - set(
        np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    )
    assert set(table["id"][~table["touches_border"]]) == inner
    assert 0 < table["touches_border"].sum() < len(labels)


def test_forms_known_beforehand() -> None:
    labels = np.zeros((60, 80), np.uint16)
    labels[10:20, 20:60] = 300
    rows, cols = np.mgrid[:60, :80]
    labels[(rows - 42) ** 2 + (cols - 30) ** 2 < 15**2] = 2
    table = cell_table(labels)
    assert table["id"].tolist() == [2, 300]
    np.testing.assert_allclose(table["row"], [42, 14.5])
    np.testing.assert_allclose(table["col"], [30, 39.5])
    np.testing.assert_allclose(table["area"], [np.pi * 15**2, 400], rtol=0.02)
    np.testing.assert_allclose(table["perimeter"], [2 * np.pi * 15, 100], rtol=0.07)
    # The ellipse with the moments of a rectangle is 2/sqrt(3) as long as that.
    np.testing.assert_allclose(table["major_axis"], [30, 40 * 2 / 3**0.5], rtol=0.02)
    np.testing.assert_allclose(table["minor_axis"], [30, 10 * 2 / 3**0.5], rtol=0.02)
    np.testing.assert_allclose(table["solidity"], [1, 1], atol=0.06)
    np.testing.assert_allclose(table["eccentricity"], [0, (1 - 1 / 16) ** 0.5], atol=0.06)
    assert "mean_channel 1" not in table


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
def test_sums_do_not_overflow(dtype: type) -> None:
    pixels = np.full((300, 300, 1), 120, dtype)
    labels = np.zeros((300, 300), int)
    labels[1:-1] = 4
    table = cell_table(labels, pixels)
    assert table["sum_channel 1"].tolist() == [120 * 298 * 300]
    assert table["max_channel 1"].dtype == dtype


@pytest.mark.parametrize("labels", IMAGES.values(), ids=IMAGES.keys())
def test_every_form_can_be_measured(labels: NDArray[np.int64]) -> None:
    """Down to a single pixel, without a warning."""
    table = cell_table(labels, labels[..., None] * 2.0, channels=["twice"])
    np.testing.assert_array_equal(table["mean_twice"], 2 * table["id"])
    for name in ("row", "col", "area", "perimeter"):
        assert np.isfinite(table[name]).all()


@pytest.mark.parametrize("size", [(3, 4), (0, 4)])
def test_no_cells(size: tuple[int, int]) -> None:
    table = cell_table(np.zeros(size, int), np.zeros((*size, 2)), pixel_size=2)
    full = cell_table(np.ones((2, 2), int), np.zeros((2, 2, 2)), pixel_size=2)
    assert list(table) == list(full)
    assert {column.shape for column in table.values()} == {(0,)}
    assert table_file(table).decode().count("\n") == 1


def test_the_csv_file_reads_back_equal(table_and_image) -> None:
    table, _, _ = table_and_image
    rows = list(csv.DictReader(table_file(table).decode("utf-8").splitlines()))
    assert list(rows[0]) == list(table)
    for name, column in table.items():
        np.testing.assert_array_equal(np.array([float(row[name]) for row in rows]), column)


@pytest.mark.parametrize(
    ("pixels", "options", "message"),
    [
        (np.zeros((2, 2)), {}, "must be .H, W, channels."),
        (np.zeros((3, 2, 1)), {}, "must be .H, W, channels."),
        (np.zeros((2, 2, 2)), {"channels": ["a", "a"]}, "2 different names"),
        (np.zeros((2, 2, 2)), {"channels": ["a"]}, "2 different names"),
        (None, {"pixel_size": 0.0}, "pixel_size is 0.0"),
    ],
)
def test_what_does_not_fit(pixels, options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cell_table(np.ones((2, 2), int), pixels, **options)
