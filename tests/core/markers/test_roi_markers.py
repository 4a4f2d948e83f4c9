"""ROIs of ImageJ as markers."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from roifile import ROI_TYPE, ImagejRoi
from small_files import blank

from cellcutter_core.export.formats.rois import roi_set
from cellcutter_core.label_image import markers_from_points
from cellcutter_core.markers.given_markers import read_markers
from cellcutter_core.simulation.sample import sample

SHAPE = (60, 80)


def roi(kind: ROI_TYPE, top: int, left: int, bottom: int, right: int) -> bytes:
    made = ImagejRoi(roitype=kind, top=top, left=left, bottom=bottom, right=right)
    return made.tobytes()


def archive(**content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, data in content.items():
            file.writestr(f"{name}.roi", data)
    return stream.getvalue()


def read(folder: Path, name: str, content: bytes, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    (folder / name).write_bytes(content)
    return read_markers(folder / name, blank(shape))


def test_a_set_of_cells_comes_back_as_it_was(tmp_path: Path) -> None:
    truth = np.array(sample((128, 160), seed=2).truth)
    # One has a hole, and one is in two pieces.
    truth[truth == 2] = 1
    rows, cols = np.nonzero(truth == truth.max())
    truth[int(rows.mean()), int(cols.mean())] = 0
    ids = np.unique(truth)[1:]
    found = read(tmp_path, "RoiSet.zip", roi_set(truth), truth.shape)
    np.testing.assert_array_equal(found, np.searchsorted(ids, truth, side="left") + (truth > 0))


@pytest.mark.parametrize("subpixel", [False, True])
def test_points_are_those_of_the_pixels_they_lie_in(tmp_path: Path, subpixel: bool) -> None:
    pixels = np.array([[10, 20], [33, 5], [59, 79]])
    xy = pixels[:, ::-1] + (0.5 if subpixel else 0)
    several = ImagejRoi.frompoints(xy)
    several.roitype = ROI_TYPE.POINT
    expected = markers_from_points(pixels, SHAPE)
    np.testing.assert_array_equal(read(tmp_path, "p.roi", several.tobytes()), expected)
    one_each = {}
    for number, point in enumerate(xy):
        one = ImagejRoi.frompoints(point[None])
        one.roitype = ROI_TYPE.POINT
        one_each[f"p{number}"] = one.tobytes()
    np.testing.assert_array_equal(read(tmp_path, "p.zip", archive(**one_each)), expected)


def test_of_a_region_those_beside_it_are_left_out(tmp_path: Path) -> None:
    """ROIs are drawn on the whole image, also those that a run on a region gives."""
    truth = np.asarray(sample((128, 160), seed=2).truth)
    region = truth[30:100, 40:150]
    ids = np.unique(region)[1:]
    for name, content in (
        ("whole.zip", roi_set(truth)),
        ("part.zip", roi_set(region, origin=(30, 40))),
    ):
        (tmp_path / name).write_bytes(content)
        found = read_markers(tmp_path / name, blank(region.shape, origin=(30, 40)))
        np.testing.assert_array_equal(found, np.searchsorted(ids, region) + (region > 0))
        with pytest.raises(ValueError, match="has no area in this region"):
            read_markers(tmp_path / name, blank((9, 9), origin=(500, 500)))
    points = ImagejRoi.frompoints(np.array([[50, 33], [2, 2]]))
    points.roitype = ROI_TYPE.POINT
    (tmp_path / "p.roi").write_bytes(points.tobytes())
    found = read_markers(tmp_path / "p.roi", blank(region.shape, origin=(30, 40)))
    np.testing.assert_array_equal(found, markers_from_points([(3, 10)], region.shape))
    with pytest.raises(ValueError, match="has no point in this region"):
        read_markers(tmp_path / "p.roi", blank((9, 9), origin=(500, 500)))


def test_rectangles_and_ovals(tmp_path: Path) -> None:
    two = archive(a=roi(ROI_TYPE.RECT, 5, 10, 15, 30), b=roi(ROI_TYPE.OVAL, 20, 40, 50, 60))
    found = read(tmp_path, "a.zip", two)
    expected = np.zeros(SHAPE, bool)
    expected[5:15, 10:30] = True
    np.testing.assert_array_equal(found == 1, expected)
    rows, cols = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
    inside = ((rows - 35) / 15) ** 2 + ((cols - 50) / 10) ** 2 < 1
    assert (inside != (found == 2)).sum() <= 0.05 * inside.sum()


POINT = ImagejRoi.frompoints(np.array([[3, 4]]))
POINT.roitype = ROI_TYPE.POINT
LINE = ImagejRoi(roitype=ROI_TYPE.LINE, x1=1, y1=2, x2=9, y2=9)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.roi", LINE.tobytes(), "which is a line; save points or areas"),
        (
            "a.zip",
            archive(p=POINT.tobytes(), a=roi(ROI_TYPE.RECT, 1, 1, 5, 5)),
            "only the ROIs that are",
        ),
        ("a.roi", roi(ROI_TYPE.RECT, 100, 100, 120, 120), r"no pixel of its own in the image of"),
        (
            "a.zip",
            archive(a=roi(ROI_TYPE.RECT, 1, 1, 9, 9), b=roi(ROI_TYPE.RECT, 2, 2, 5, 5)),
            r"ROI 2 \(b\) has no pixel of its own",
        ),
        ("a.roi", b"Iout" + b"\xff" * 90, "damaged|beyond any image|which is a"),
        ("a.zip", archive(a=b"no roi"), "holds the ROI 'a', which is damaged"),
        ("a.zip", archive(a=POINT.tobytes())[:-30], "neither an image nor text|damaged"),
    ],
)
def test_what_is_no_marker(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: .*({message})"):
        read(tmp_path, name, content)
