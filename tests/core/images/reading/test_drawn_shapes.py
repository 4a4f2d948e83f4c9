"""GeoJSON as markers, outlines (ROIs of ImageJ, GeoJSON) as truth, and planes that they lie in."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from roifile import ROI_TYPE, ImagejRoi
from small_files import blank

from cellcutter_core.__main__ import main
from cellcutter_core.choices.sources import read_source
from cellcutter_core.choices.uploads import as_channels, store_upload
from cellcutter_core.export.formats.geojson import geojson, geojson_file
from cellcutter_core.export.formats.rois import roi_set
from cellcutter_core.images.image import Image
from cellcutter_core.images.read_image import read_image, read_labels, read_truth
from cellcutter_core.label_image import markers_from_points
from cellcutter_core.markers.given_markers import read_markers
from cellcutter_core.simulation.sample import sample

SHAPE = (60, 80)
TRUTH = np.asarray(sample((128, 160), seed=2).truth)
IN_ORDER = np.searchsorted(np.unique(TRUTH)[1:], TRUTH, side="left") + (TRUTH > 0)


def written(folder: Path, content: Any, name: str = "a.geojson") -> Path:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    (folder / name).write_bytes(data)
    return folder / name


def square(top: int, left: int, size: int = 5, **more: Any) -> dict[str, Any]:
    ring = [[left, top], [left + size, top], [left + size, top + size], [left, top + size]]
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]], **more}


def feature(geometry: Any, sort: str = "detection", **more: Any) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": {"objectType": sort}, **more}


def archive(content: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, data in content.items():
            file.writestr(f"{name}.roi", data)
    return stream.getvalue()


def roi(top: int, left: int, size: int = 5, **planes: int) -> bytes:
    made = ImagejRoi(
        roitype=ROI_TYPE.RECT, top=top, left=left, bottom=top + size, right=left + size
    )
    for name, value in planes.items():
        setattr(made, name, value)
    return made.tobytes()


# Truth and markers


@pytest.mark.parametrize("name", ["a.geojson", "a.zip", "a.anything"])
def test_outlines_are_exactly_the_cells_as_truth_and_as_markers(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, roi_set(TRUTH) if name == "a.zip" else geojson_file(TRUTH), name)
    np.testing.assert_array_equal(read_labels(path, shape=TRUTH.shape), IN_ORDER)
    np.testing.assert_array_equal(read_markers(path, blank(TRUTH.shape)), IN_ORDER)
    # Of a region those in it, at their places in the whole image.
    part = Image(np.arange(70 * 110).reshape(70, 110, 1), ("a",), origin=(30, 40))
    found = read_truth(path, part)
    inside = TRUTH[30:100, 40:150]
    expected = np.searchsorted(np.unique(inside)[1:], inside, side="left") + (inside > 0)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(read_markers(path, blank(part.shape, origin=(30, 40))), expected)
    with pytest.raises(ValueError, match=rf"^{name}: holds outlines, .*; give a label image"):
        read_labels(path)
    with pytest.raises(ValueError, match=rf"^{name}: holds points, outlines or other JSON"):
        read_image(path)


def test_a_label_image_as_truth_of_a_region_is_cut_out(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", TRUTH.astype(np.float32))
    part = Image(
        np.arange(70 * 110).reshape(70, 110, 1), ("a",), origin=(30, 40), whole_shape=(128, 160)
    )
    found = read_truth(tmp_path / "a.tif", part)
    np.testing.assert_array_equal(found, TRUTH[30:100, 40:150])
    assert part.with_truth(found).truth is not None
    # One of the region alone is told by its size; one of another size does not fit.
    tifffile.imwrite(tmp_path / "a.tif", TRUTH[30:100, 40:150].astype(np.float32))
    np.testing.assert_array_equal(read_truth(tmp_path / "a.tif", part), found)
    tifffile.imwrite(tmp_path / "a.tif", TRUTH[:110].astype(np.float32))
    with pytest.raises(ValueError, match=r"truth has shape \(110, 160\)"):
        part.with_truth(read_truth(tmp_path / "a.tif", part))


def test_of_a_stack_of_labels_the_plane_of_the_image_is_read(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.stack([TRUTH[::-1], TRUTH]), metadata={"axes": "ZYX"})
    image = blank(TRUTH.shape, z=1)
    np.testing.assert_array_equal(read_truth(tmp_path / "a.tif", image), TRUTH)
    np.testing.assert_array_equal(read_markers(tmp_path / "a.tif", image), IN_ORDER)
    for z in ("max", None):
        with pytest.raises(ValueError, match=r"^a\.tif: is a stack .*; save the labels of that"):
            read_truth(tmp_path / "a.tif", blank(TRUTH.shape, z=z))


def test_points_in_other_planes_or_beside_the_region_are_left_out(tmp_path: Path) -> None:
    """Both at once; of points in another plane nothing is asked."""
    lines = ["z,row,col", "1,35,45", "1,60,90", "2,35,45", "1,5,5"]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    points = [
        feature(
            {"type": "Point", "coordinates": [col + 0.5, row + 0.5], "plane": {"z": z}},
            "annotation",
        )
        for z, row, col in ((1, 35, 45), (1, 60, 90), (2, 35, 45), (1, 5, 5))
    ]
    written(tmp_path, points)
    expected = markers_from_points([(5, 5), (30, 50)], (70, 110))
    where = {"origin": (30, 40), "whole_shape": (128, 160), "z": 1}
    for name in ("a.csv", "a.geojson"):
        report: list[str] = []
        found = read_markers(tmp_path / name, blank((70, 110), **where), report=report.append)
        np.testing.assert_array_equal(found, expected)
        assert report == [f"{name}: 1 of 4 points are left out: they do not lie in the plane z = 1"]


@pytest.mark.parametrize(
    "content",
    [
        geojson(TRUTH),
        geojson(TRUTH)["features"],
        {
            "type": "GeometryCollection",
            "geometries": [f["geometry"] for f in geojson(TRUTH)["features"]],
        },
        {"features": geojson(TRUTH)["features"], "bbox": [0, 0, 9, 9], "type": "FeatureCollection"},
    ],
    ids=["collection", "list", "geometries", "other order"],
)
def test_geojson_in_every_form(tmp_path: Path, content: Any) -> None:
    found = read_markers(written(tmp_path, content), blank(TRUTH.shape))
    np.testing.assert_array_equal(found, IN_ORDER)
    for encoding in ("utf-16", "utf-8-sig"):
        path = written(tmp_path, json.dumps(content).encode(encoding))
        np.testing.assert_array_equal(read_markers(path, blank(TRUTH.shape)), IN_ORDER)


def test_points_of_geojson_are_those_of_the_pixels_they_lie_in(tmp_path: Path) -> None:
    pixels = np.array([[10, 20], [33, 5], [59, 79]])
    places = (pixels[:, ::-1] + 0.5).tolist()
    several = feature({"type": "MultiPoint", "coordinates": places}, "annotation")
    each = [feature({"type": "Point", "coordinates": [*place, 7]}) for place in places]
    for content in (several, each):
        path = written(tmp_path, content)
        found = read_markers(path, blank(SHAPE))
        np.testing.assert_array_equal(found, markers_from_points(pixels, SHAPE))
        with pytest.raises(
            ValueError, match=r"^a\.geojson: holds points, which do not say how far"
        ):
            read_labels(path, shape=SHAPE)


def test_cells_of_qupath_give_their_nuclei_as_markers_and_themselves_as_truth(
    tmp_path: Path,
) -> None:
    cells = [
        feature(square(at, at, 15), "cell", nucleusGeometry=square(at + 4, at + 4))
        for at in (5, 30)
    ]
    # Drawn around all of them, to find them in; it is no cell.
    around = feature(square(0, 0, 58), "annotation")
    path = written(tmp_path, [around, *cells])
    line = r"^a\.geojson: 1 annotations are left out; the 2 detections are used"
    for size, first, read in (
        (15, 5, lambda: read_labels(path, shape=SHAPE)),
        (5, 9, lambda: read_markers(path, blank(SHAPE))),
    ):
        expected = np.zeros(SHAPE, int)
        for number, at in enumerate((first, first + 25), 1):
            expected[at : at + size, at : at + size] = number
        with pytest.warns(UserWarning, match=line):
            np.testing.assert_array_equal(read(), expected)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"type": "FeatureColl', "begins like GeoJSON, but is damaged"),
        (b"[" * 100_000 + b"{", "begins like GeoJSON|neither an image nor text"),
        ({"settings": 3}, "is JSON, but not GeoJSON of points or areas"),
        ([{"type": "Feature", "geometry": 3}], "is JSON, but not GeoJSON"),
        ({"type": "LineString", "coordinates": [[1, 2], [3, 4]]}, "is a LineString; save points"),
        ({"type": "Topology"}, "holds a Topology, which is not GeoJSON"),
        ({"type": "Point", "coordinates": [1e9, 4]}, "beyond any image; give them in pixels"),
        ({"type": "Point", "coordinates": [float("nan"), 4]}, "beyond any image"),
        ({"type": "Point", "coordinates": ["a", "b"]}, "not GeoJSON of points or areas"),
        ({"type": "Point", "coordinates": [5]}, "not GeoJSON of points or areas"),
        ({"type": "Polygon", "coordinates": [[[1], [2], [3]]]}, "not GeoJSON of points or areas"),
        ({"type": "Point", "coordinates": [5, 5], "plane": {"z": None}}, "not GeoJSON of points"),
        ({"type": "Point", "coordinates": [5, 5], "plane": [1]}, "not GeoJSON of points or areas"),
        (square(100, 100), "has no pixel of its own in the image of 60 × 80"),
        ({"type": "FeatureCollection", "features": []}, "at least one marker is needed"),
    ],
)
def test_json_that_holds_no_markers(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(ValueError, match=rf"^a\.geojson: .*({message})"):
        read_markers(written(tmp_path, content), blank(SHAPE))


# Planes


def test_rois_of_another_plane_are_left_out_and_told(tmp_path: Path) -> None:
    """ImageJ counts from 1; 0 is in all planes."""
    expected = np.zeros(SHAPE, int)
    for number, at in enumerate((5, 35), 1):
        expected[at : at + 5, at : at + 5] = number
    for key in ("position", "z_position"):
        content = {
            "a": roi(5, 5, **{key: 3}), "b": roi(20, 20, **{key: 5}), "c": roi(35, 35)
        }  # fmt: skip
        path = written(tmp_path, archive(content), "a.zip")
        report: list[str] = []
        found = read_markers(path, blank(SHAPE, z=2), report=report.append)
        np.testing.assert_array_equal(found, expected)
        assert report == ["a.zip: 1 of 3 areas are left out: they do not lie in the plane z = 2"]
        truth = read_labels(path, shape=SHAPE, z=2, report=report.append)
        np.testing.assert_array_equal(truth, expected)
        assert read_markers(path, blank(SHAPE, z="max")).max() == 3
    with pytest.raises(
        ValueError, match=r"has areas in several planes, z = 2 to 4, .*give z of the"
    ):
        read_markers(path, blank(SHAPE))
    # One number may be that of a channel, of an image that has no planes.
    path = written(
        tmp_path, archive({"a": roi(5, 5, position=1), "b": roi(9, 50, position=2)}), "c.zip"
    )
    assert read_markers(path, blank(SHAPE)).max() == 2


def test_points_set_one_by_one_in_a_stack_have_a_plane_each(tmp_path: Path) -> None:
    made = ImagejRoi.frompoints(np.array([[20, 10], [5, 33], [79, 59]]))
    made.roitype = ROI_TYPE.POINT
    made.counters = np.zeros(3, np.uint8)
    made.counter_positions = np.array([2, 4, 2], np.uint32)
    path = written(tmp_path, made.tobytes(), "a.roi")
    assert ImagejRoi.fromfile(path).counter_positions.tolist() == [2, 4, 2]
    with pytest.warns(UserWarning, match=r"a\.roi: 1 of 3 points are left out"):
        found = read_markers(path, blank(SHAPE, z=1))
    np.testing.assert_array_equal(found, markers_from_points([(10, 20), (59, 79)], SHAPE))


def test_geojson_of_another_plane_is_left_out_and_told(tmp_path: Path) -> None:
    """QuPath does not write the first plane."""
    shapes = [square(5, 5), square(20, 20, plane={"c": -1, "z": 2, "t": 0}), square(35, 35)]
    path = written(tmp_path, [feature(one, "annotation") for one in shapes])
    for z, places in ((0, (5, 35)), (2, (20,))):
        with pytest.warns(UserWarning, match=rf"{3 - len(places)} of 3 areas .*z = {z}"):
            found = read_markers(path, blank(SHAPE, z=z))
        assert [tuple(np.argwhere(found == n + 1)[0]) for n in range(found.max())] == [
            (at, at) for at in places
        ]
    # Where none says a plane, all lie in that of the image.
    path = written(tmp_path, [feature(square(5, 5)), feature(square(20, 20))])
    assert read_markers(path, blank(SHAPE, z=4)).max() == 2


# Where they are given


def test_the_command_takes_the_plane_of_the_stack(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = sample((96, 96), seed=3)
    pixels, truth = image.channel("fluorescence"), np.asarray(image.truth)
    stack = np.stack([pixels[::-1], pixels, pixels[:, ::-1]])
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, stack, metadata={"axes": "ZYX"}, imagej=True)
    assert (read_image(path, z=1).z, read_image(path, z="max").z) == (1, "max")
    points = [
        (int(rows.mean()), int(cols.mean()))
        for rows, cols in (np.nonzero(truth == n) for n in np.unique(truth)[1:])
    ]
    lines = [f"{n},1,{row},{col}" for n, (row, col) in enumerate(points)]
    lines += ["99,2,3,3", "100,0,4,4"]
    (tmp_path / "points.csv").write_text("index,axis-0,axis-1,axis-2\n" + "\n".join(lines))
    cells = {str(n): roi(row, col, 2, position=2) for n, (row, col) in enumerate(points)}
    written(tmp_path, archive(cells | {"other": roi(80, 80, position=1)}), "truth.zip")
    command = ["segment", str(path), "--z", "1", "--markers", str(tmp_path / "points.csv")]
    command += ["--truth", str(tmp_path / "truth.zip"), "--start", "nothing", "--epochs", "1"]
    for setting in (
        *("network.channels=4", "network.depth=3", "network.normalisation=none"),
        *("training.steps=2", "training.warm_up=1"),
        *("training.crops=8", "training.precision=float32"),
    ):
        command += ["--set", setting]
    assert main([*command, "--out", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    assert f"points.csv: 2 of {len(points) + 2} points are left out" in said
    assert f"truth.zip: 1 of {len(points) + 1} areas are left out" in said
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["scores"]["n_true"] == len(points)


def test_evaluate_takes_outlines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tifffile.imwrite(tmp_path / "labels.tif", TRUTH.astype(np.uint16))
    files = [str(tmp_path / "labels.tif"), str(written(tmp_path, roi_set(TRUTH), "truth.zip"))]
    for order in (files, files[::-1]):
        assert main(["evaluate", *order]) == 0
        assert json.loads(capsys.readouterr().out)["ap50"] == 1
    assert main(["evaluate", files[1], str(written(tmp_path, geojson(TRUTH)))]) == 2
    assert "do not say how large their image is" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["truth.zip", "truth.geojson", "one.roi"])
def test_among_uploaded_files_outlines_are_the_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("CELLCUTTER_RUNS", str(tmp_path / "runs"))
    labels = TRUTH if name != "one.roi" else np.where(TRUTH == 1, 1, 0)
    content = {
        "truth.zip": lambda: roi_set(labels),
        "truth.geojson": lambda: geojson_file(labels),
        "one.roi": lambda: zipfile.ZipFile(io.BytesIO(roi_set(labels))).read("1.roi"),
    }[name]()
    stream = io.BytesIO()
    tifffile.imwrite(stream, sample((128, 160), seed=2).channel("fluorescence"))
    source = as_channels(
        [store_upload(name, content), store_upload("cells.tif", stream.getvalue())]
    )
    assert source.file_names == ["cells.tif"]
    assert source.truth is not None
    assert source.truth.name == name
    found = np.asarray(read_source(source).truth)
    np.testing.assert_array_equal(found > 0, labels > 0)
    assert found.max() == len(np.unique(labels)) - 1
    # Also where none lies in a region.
    part = read_source(source, region=(30, 40, 100, 150))
    np.testing.assert_array_equal(np.asarray(part.truth) > 0, labels[30:100, 40:150] > 0)
