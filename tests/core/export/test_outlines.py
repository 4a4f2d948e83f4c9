"""Outlines enclose exactly the pixels of their cell, whatever its form."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
import roifile
from label_forms import IMAGES, filled
from numpy.typing import NDArray
from shapely.geometry import Polygon

from cellcutter_core.export.formats.rois import roi_set
from cellcutter_core.export.outlines import Ring, cell_outlines
from cellcutter_core.simulation.sample import sample


def doubled_area(ring: Ring) -> int:
    """Positive where the ring runs clockwise on a screen."""
    rows, cols = ring.astype(np.int64).T
    return int((cols * np.roll(rows, -1) - np.roll(cols, -1) * rows).sum())


@pytest.mark.parametrize("labels", IMAGES.values(), ids=IMAGES.keys())
def test_outlines_filled_again_are_the_cells(labels: NDArray[np.int64]) -> None:
    found = cell_outlines(labels)
    assert list(found) == np.unique(labels[labels > 0]).tolist()
    for cell, pieces in found.items():
        rings = [ring for piece in pieces for ring in piece]
        np.testing.assert_array_equal(filled(rings, labels.shape), labels == cell)


@pytest.mark.parametrize("labels", IMAGES.values(), ids=IMAGES.keys())
def test_every_piece_is_a_valid_polygon_with_its_holes_the_other_way_round(
    labels: NDArray[np.int64],
) -> None:
    for pieces in cell_outlines(labels).values():
        for outer, *holes in pieces:
            assert Polygon(outer, holes).is_valid
            assert doubled_area(outer) > 0
            assert all(doubled_area(hole) < 0 for hole in holes)


def test_pieces_and_holes_are_told_apart() -> None:
    def count(name: str) -> list[list[int]]:
        found = cell_outlines(IMAGES[name])
        return [[len(piece) - 1 for piece in pieces] for pieces in found.values()]

    assert count("holes that touch at a corner") == [[2]]
    assert count("ring closed by corners alone") == [[0, 0, 0, 0]]
    assert count("piece in a hole") == [[1, 0]]
    assert count("cell in a hole") == [[1], [1]]


def test_nothing_has_no_outline() -> None:
    assert cell_outlines(np.zeros((4, 5), int)) == {}
    assert cell_outlines(np.zeros((0, 5), int)) == {}


@pytest.mark.parametrize("labels", IMAGES.values(), ids=IMAGES.keys())
def test_rois_are_read_by_roifile_and_filled_again_are_the_cells(
    labels: NDArray[np.int64], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("rois") / "RoiSet.zip"
    file.write_bytes(roi_set(labels))
    rois = roifile.roiread(file)
    assert [int(roi.name) for roi in rois] == np.unique(labels[labels > 0]).tolist()
    for roi in rois:
        rings = [np.asarray(path)[:, ::-1] for path in roi.coordinates(multi=True)]
        # A path that roifile closed repeats its first corner, which is no edge.
        rings = [ring[:-1] if (ring[0] == ring[-1]).all() else ring for ring in rings]
        rings = [ring.astype(np.int32) for ring in rings]
        cell = labels == int(roi.name)
        np.testing.assert_array_equal(filled(rings, labels.shape), cell)
        rows, cols = np.nonzero(cell)
        assert (roi.top, roi.left) == (rows.min(), cols.min())
        assert (roi.bottom, roi.right) == (rows.max() + 1, cols.max() + 1)


def test_simple_cells_are_polygons_as_of_the_wand_and_others_composites() -> None:
    with zipfile.ZipFile(io.BytesIO(roi_set(IMAGES["piece in a hole"] + 1))) as archive:
        assert archive.namelist() == ["1.roi", "2.roi"]
        composites = [
            roifile.ImagejRoi.frombytes(archive.read(name)) for name in ("1.roi", "2.roi")
        ]
    assert [roi.composite for roi in composites] == [True, True]
    with zipfile.ZipFile(io.BytesIO(roi_set(IMAGES["bar"]))) as archive:
        roi = roifile.ImagejRoi.frombytes(archive.read("1.roi"))
    assert roi.roitype == roifile.ROI_TYPE.TRACED
    assert roi.coordinates().tolist() == [[1, 0], [3, 0], [3, 1], [1, 1]]


def test_rois_far_from_the_origin(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Coordinates are 16 bits wide in the file."""
    labels = np.zeros((2, 50_000), np.int32)
    labels[0, 40_000:40_003] = 7
    file = tmp_path_factory.mktemp("rois") / "RoiSet.zip"
    file.write_bytes(roi_set(labels))
    roi = roifile.roiread(file)[0]
    assert roi.coordinates().tolist() == [[40_000, 0], [40_003, 0], [40_003, 1], [40_000, 1]]


def test_what_has_no_rois() -> None:
    with pytest.raises(ValueError, match="no cell in the labels"):
        roi_set(np.zeros((4, 4), int))
    with pytest.raises(ValueError, match="ends at pixel 60535"):
        roi_set(np.zeros((1, 60_536), int))


def test_the_cells_of_the_sample() -> None:
    truth = sample((256, 256)).truth
    assert truth is not None
    for cell, pieces in cell_outlines(truth).items():
        rings = [ring for piece in pieces for ring in piece]
        np.testing.assert_array_equal(filled(rings, truth.shape), truth == cell)


def test_a_set_of_rois_is_the_same_bytes_every_time() -> None:
    labels = IMAGES["noise of 9"]
    assert roi_set(labels) == roi_set(labels.copy())
