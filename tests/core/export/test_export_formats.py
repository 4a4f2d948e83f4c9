"""A run comes home in every format, and each opens with the library that its users use."""

from __future__ import annotations

import ast
import csv
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roifile
import tifffile
import zarr
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageSequence
from shapely.geometry import shape
from small_files import blank

from cellcutter_core.__main__ import main
from cellcutter_core.config import FROM_NOTHING
from cellcutter_core.export import FORMATS, content, export, file_name
from cellcutter_core.export.formats.labels import label_file
from cellcutter_core.export.formats.table import cell_table
from cellcutter_core.export.result import Result
from cellcutter_core.jobs.training import work
from cellcutter_core.label_image import markers_from_points
from cellcutter_core.markers.given_markers import read_markers
from cellcutter_core.pipeline import prepare
from cellcutter_core.runs.store import Run
from cellcutter_core.simulation.sample import sample
from cellcutter_core.training.inputs import Inputs
from cellcutter_core.training.predicted_labels import Prediction

TINY = FROM_NOTHING.replace(
    network=FROM_NOTHING.network.replace(channels=4, depth=3, normalisation="none"),
    training=FROM_NOTHING.training.replace(
        epochs=3, steps=2, crops=8, crops_at_once=8, warm_up=2, seed=7, precision="float32"
    ),
)


def drawing(labels: NDArray[np.int32]) -> Prediction:
    return Prediction(labels, (labels > 0).astype(np.uint8), np.zeros(labels.shape, np.float32))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Three epochs of the truth's cells, more of them each time, without any training."""
    image = sample((96, 120))
    assert image.truth is not None
    inputs = Inputs(image.pixels[..., [0, 2]], image.truth > 0, np.zeros((3, 2)), image.truth)
    about = {"image": "my cells.tif", "pixel_size": 0.5, "channels": ["actin", "DAPI"]}
    unseen = {"phase": image.pixels[..., 1]}
    made = Run.create(tmp_path / "run", inputs, TINY, unseen=unseen, description=about)
    made.record("started", pid=1, host="here", epochs=3, python="3.11.9", numpy="2.1.0")
    made.record("device", name="tensorflow", version="2.20", device="CPU", precision="float32")
    for epoch in (1, 2, 3):
        labels = np.where(image.truth <= 2 * epoch, image.truth, 0).astype(np.int32)
        made.add_epoch(epoch, drawing(labels))
    made.model_file.write_bytes(b"a network")
    return made


def unzipped(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def check_labels(data: bytes, labels: NDArray[np.int32], run: Run) -> None:
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(data)), labels)


def check_rois(data: bytes, labels: NDArray[np.int32], run: Run) -> None:
    names = [roifile.ImagejRoi.frombytes(roi).name for roi in unzipped(data).values()]
    assert names == [str(cell) for cell in np.unique(labels)[1:]]


def check_geojson(data: bytes, labels: NDArray[np.int32], run: Run) -> None:
    features = json.loads(data)["features"]
    areas = {int(f["properties"]["name"]): shape(f["geometry"]).area for f in features}
    assert areas == {cell: (labels == cell).sum() for cell in np.unique(labels)[1:]}
    assert features[0]["properties"]["measurements"]["mean_actin"] > 0


def check_table(data: bytes, labels: NDArray[np.int32], run: Run) -> None:
    rows = list(csv.DictReader(data.decode().splitlines()))
    # The channel that the network does not see is measured as well.
    pixels = np.dstack([run.inputs.image, run.unseen["phase"]])
    table = cell_table(labels, pixels, channels=["actin", "DAPI", "phase"], pixel_size=0.5)
    assert list(rows[0]) == list(table)
    assert [float(row["max_DAPI"]) for row in rows] == table["max_DAPI"].tolist()
    assert [float(row["sum_phase"]) for row in rows] == table["sum_phase"].tolist()


def check_ome_zarr(data: bytes, labels: NDArray[np.int32], run: Run) -> None:
    folder = run.path.parent / "unpacked"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(folder)
    group = zarr.open_group(folder / "image.ome.zarr", mode="r", zarr_format=2)
    np.testing.assert_array_equal(group["labels/cells/0"][:], labels)
    pixels = np.dstack([run.inputs.image, run.unseen["phase"]])
    np.testing.assert_array_equal(group["0"][:], np.moveaxis(pixels, -1, 0))
    assert [c["label"] for c in group.attrs["omero"]["channels"]] == ["actin", "DAPI", "phase"]


def check_overlay(data: bytes, labels: NDArray[np.int32], run: Run) -> None:
    with Picture.open(io.BytesIO(data)) as picture:
        colored = np.ptp(np.asarray(picture), axis=-1) > 0
    # Where there is no cell it is the image in grey.
    assert not colored[labels == 0].any()
    assert colored[labels > 0].mean() > 0.9


def check_borders(data: bytes, labels: NDArray[np.int32], run: Run) -> None:
    with Picture.open(io.BytesIO(data)) as picture:
        # Above the scale bar.
        drawn = np.asarray(picture).any(axis=-1)[:50]
        np.testing.assert_array_equal(drawn, labels[:50] > 0)


def check_film(data: bytes, labels: NDArray[np.int32], run: Run) -> None:
    until = [epoch for epoch in run.epochs if run.epoch(epoch).labels.max() <= labels.max()]
    with Picture.open(io.BytesIO(data)) as film:
        assert len(list(ImageSequence.Iterator(film))) == len(until)


def check_figures(data: bytes, labels: NDArray[np.int32], run: Run) -> None:
    # Area and the mean in each channel; no epoch of this run was recorded.
    assert data.count(b"Plotly.newPlot(") - data.count(b"Plotly.newPlot(this") == 4
    assert f"{len(np.unique(labels)) - 1} cells after epoch".encode() in data


def check_recipe(data: bytes, labels: NDArray[np.int32], run: Run) -> None:
    files = unzipped(data)
    assert set(files) == {f"recipe/{name}" for name in RECIPE}
    with np.load(io.BytesIO(files["recipe/inputs.npz"])) as arrays:
        np.testing.assert_array_equal(arrays["image"], run.inputs.image)


def check_model(data: bytes, labels: NDArray[np.int32], run: Run) -> None:
    assert data == run.model_file.read_bytes()


def check_all(data: bytes, labels: NDArray[np.int32], run: Run) -> None:
    files = unzipped(data)
    check_labels(files["labels.tif"], labels, run)
    check_table(files["cells.csv"], labels, run)
    assert {name.split("/")[0] for name in files} == {
        "README.md", "labels.tif", "RoiSet.zip", "cells.geojson", "cells.csv", "image.ome.zarr",
        "overlay.png", "borders.png", "film.gif", "figures.html", "recipe", "model.keras",
    }  # fmt: skip


RECIPE = ("settings.json", "inputs.npz", "recipe.py", "recipe.ipynb")
CHECKS: dict[str, Callable[[bytes, NDArray[np.int32], Run], None]] = {
    name.removeprefix("check_").replace("_", "-"): check
    for name, check in list(globals().items())
    if name.startswith("check_")
}


def test_every_format_is_checked() -> None:
    assert set(CHECKS) == set(FORMATS)
    assert list(FORMATS) == [one.name for one in FORMATS.values()]
    assert len({one.file for one in FORMATS.values()}) == len(FORMATS)
    for one in FORMATS.values():
        for words in (one.title, one.about, one.opens_with):
            assert words
            assert "\n" not in words


@pytest.mark.parametrize("name", CHECKS)
def test_the_command_writes_what_its_readers_read(
    name: str, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.file"
    assert main(["export", str(run.path), "--format", name, "--out", str(out)]) == 0
    assert str(out) in capsys.readouterr().out
    CHECKS[name](out.read_bytes(), run.epoch(3).labels, run)


@pytest.mark.parametrize("name", [name for name in CHECKS if name not in ("model", "all")])
def test_an_earlier_epoch(name: str, run: Run) -> None:
    CHECKS[name](content(run, name, 2), run.epoch(2).labels, run)


@pytest.fixture
def with_epoch_0(run: Run) -> Run:
    """As runs are by now: the network said something of the image before it was trained on it."""
    run.add_epoch(0, drawing(np.where(run.epoch(1).labels == 1, 1, 0).astype(np.int32)))
    return run


@pytest.mark.parametrize("name", [name for name in CHECKS if name not in ("model", "all")])
def test_epoch_0_is_taken_home_like_any_other(name: str, with_epoch_0: Run) -> None:
    labels = with_epoch_0.epoch(0).labels
    CHECKS[name](content(with_epoch_0, name, 0), labels, with_epoch_0)


def test_the_command_writes_the_labels_of_epoch_0(
    with_epoch_0: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["export", str(with_epoch_0.path), "--format", "labels", "--epoch"]
    assert main([*command, "0"]) == 0
    np.testing.assert_array_equal(
        tifffile.imread(tmp_path / "run-epoch0-labels.tif"), with_epoch_0.epoch(0).labels
    )


def test_an_epoch_that_is_not_there_is_told_beside_those_that_are(with_epoch_0: Run) -> None:
    with pytest.raises(ValueError, match="no epoch 9; it has 0 to 3"):
        content(with_epoch_0, "labels", 9)


def test_the_film_begins_at_epoch_0(with_epoch_0: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    named: list[str] = []
    monkeypatch.setattr(
        "cellcutter_core.export.registry.film",
        lambda frames: named.extend(name for name, _ in frames) or b"",
    )
    content(with_epoch_0, "film")
    assert named == ["epoch 0", "epoch 1", "epoch 2", "epoch 3"]


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_bytes_every_time(name: str, run: Run) -> None:
    assert content(run, name) == content(Run(run.path), name)


def test_names_of_files(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert file_name(run, "labels") == "run-labels.tif"
    assert file_name(run, "rois", 2) == "run-epoch2-RoiSet.zip"
    assert file_name(run, "rois", 2, kept=True) == "run-epoch2-kept-RoiSet.zip"
    assert export(run, "table", tmp_path) == tmp_path / "cells.csv"
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(run.path), "--format", "labels", "--epoch", "2"]) == 0
    np.testing.assert_array_equal(
        tifffile.imread(tmp_path / "run-epoch2-labels.tif"), run.epoch(2).labels
    )


def test_without_a_format_they_are_listed(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(run.path)]) == 0
    said = capsys.readouterr().out
    for one in FORMATS.values():
        assert one.about in said
        assert one.opens_with in said


def test_the_archive_explains_itself(run: Run) -> None:
    files = unzipped(content(run, "all"))
    readme = files["README.md"].decode()
    for one in FORMATS.values():
        assert one.name == "all" or (one.about in readme and one.opens_with in readme)
    for fact in (
        "my cells.tif", "96 × 120", "0.5 µm", "actin, DAPI, phase", "network: actin, DAPI\n",
        "- cells: ", "3 of 3", "- seed: 7",
        "- tensorflow: 2.20", "- numpy: 2.1.0", "- training.steps: 2", "CPU, float32",
    ):  # fmt: skip
        assert fact in readme, fact
    assert "here" not in readme.split(), "the name of the machine is nobody's business"
    assert "Not included" not in readme
    assert list(files)[:3] == ["README.md", "labels.tif", "RoiSet.zip"]


def test_the_archive_says_what_is_not_in_it(run: Run) -> None:
    files = unzipped(content(run, "all", 1))
    assert "model.keras" not in files
    assert (
        "a run keeps only the network of its last epoch, which is 3" in files["README.md"].decode()
    )


def test_a_run_that_says_nothing_of_its_image(run: Run, tmp_path: Path) -> None:
    """Neither channels nor pixel size nor events, as of a run by another program."""
    bare = Run.create(tmp_path / "bare", run.inputs, TINY)
    bare.add_epoch(1, run.epoch(1))
    table = content(bare, "table").decode().splitlines()[0].split(",")
    assert "mean_channel 2" in table
    assert not [name for name in table if name.endswith("um")]
    assert "pixel size: not known" in unzipped(content(bare, "all"))["README.md"].decode()


def test_no_cells(run: Run, tmp_path: Path) -> None:
    """A collapsed run: everything can be written but ROIs; this one has no model either."""
    bare = Run.create(tmp_path / "bare", run.inputs, TINY)
    bare.add_epoch(1, drawing(np.zeros((96, 120), np.int32)))
    readme = unzipped(content(bare, "all"))["README.md"].decode()
    (_, missing) = readme.split("Not included")
    assert "no cell in the labels" in missing
    assert missing.split("\n\n")[1].startswith("- ImageJ ROI set: ")
    assert missing.split("\n\n")[1].count("\n- Trained network: ") == 1
    assert str(tmp_path) not in readme, "where a run lies is nobody's business"


def test_what_a_file_is_called_is_no_code(run: Run, tmp_path: Path) -> None:
    name = 'a.tif\n"""\nimport os\r\nos.abort()  # "\u2028raise SystemExit'
    evil = Run.create(tmp_path / "evil", run.inputs, TINY, description={"image": name})
    evil.add_epoch(1, run.epoch(1))
    code = unzipped(content(evil, "recipe"))["recipe/recipe.py"].decode()
    plain = unzipped(content(run, "recipe", 1))["recipe/recipe.py"].decode()
    assert ast.dump(ast.parse(code)) == ast.dump(ast.parse(plain.replace("0.5", "None")))


# Mistakes: one line each -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "tiff"], "no format 'tiff'; choose one of labels, rois, geojson"),
        (["--format", "labels", "--epoch", "9"], "no epoch 9; it has 1 to 3"),
        (["--format", "labels", "--epoch", "0"], "no epoch 0; it has 1 to 3"),
        (["--format", "model", "--epoch", "2"], "network of its last epoch, which is 3"),
        (["--format", "table", "--out", "nowhere/cells.csv"], "cannot write nowhere"),
    ],
)
def test_mistakes(
    run: Run, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["export", str(run.path), *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", FORMATS)
def test_a_run_without_epochs(name: str, run: Run) -> None:
    for file in (run.path / "epochs").iterdir():
        file.unlink()
    with pytest.raises(ValueError, match="has not completed an epoch yet"):
        content(run, name)


def test_a_missing_package_and_a_missing_model(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "roifile", None)
    with pytest.raises(ValueError, match="rois needs the package roifile; install it with pip"):
        content(run, "rois")
    run.model_file.unlink()
    with pytest.raises(ValueError, match="has no model"):
        content(run, "model")


# The recipe makes the same labels ---------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    config = TINY.replace(training=TINY.training.replace(epochs=2))
    inputs, _ = prepare(sample((96, 96), seed=3), config)
    run = Run.create(tmp_path_factory.mktemp("trained") / "run", inputs, config)
    work(run)
    assert run.epochs == [0, 1, 2]
    assert (run.epoch(0).labels != run.epoch(1).labels).any()
    assert (run.epoch(1).labels != run.epoch(2).labels).any()
    return run


def test_everything_unpacked_and_the_script_run_gives_the_same_labels(
    trained: Run, tmp_path: Path
) -> None:
    file = export(trained, "all", tmp_path)
    with zipfile.ZipFile(file) as archive:
        archive.extractall(tmp_path)
    done = subprocess.run(
        [sys.executable, "recipe.py"],
        cwd=tmp_path / "recipe",
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    again = tifffile.imread(tmp_path / "recipe" / "labels.tif")
    np.testing.assert_array_equal(again, trained.epoch(2).labels)
    np.testing.assert_array_equal(again, tifffile.imread(tmp_path / "labels.tif"))


@pytest.mark.parametrize("epoch", [0, 1])
def test_the_notebook_gives_the_labels_of_an_earlier_epoch(
    epoch: int, trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, data in unzipped(content(trained, "recipe", epoch)).items():
        (tmp_path / Path(name).name).write_bytes(data)
    notebook = json.loads((tmp_path / "recipe.ipynb").read_text("utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    np.testing.assert_array_equal(names["drawing"].labels, trained.epoch(epoch).labels)
    np.testing.assert_array_equal(tifffile.imread("labels.tif"), trained.epoch(epoch).labels)


def test_the_recipe_keeps_what_the_run_decided_when_it_started(run: Run) -> None:
    """Precision of its machine, and epochs that it was continued to."""
    run.record("queued", epochs=5)
    run.record("device", precision="mixed_bfloat16")
    settings = json.loads(unzipped(content(run, "recipe", 2))["recipe/settings.json"])
    assert settings["training"]["precision"] == "mixed_bfloat16"
    assert settings["training"]["epochs"] == 5
    assert settings["training"]["seed"] == 7


def test_the_recipe_says_where_it_cannot_be_exact(run: Run) -> None:
    def script() -> str:
        return unzipped(content(run, "recipe"))["recipe/recipe.py"].decode()

    run.record("started", epochs=3)
    assert "continued" not in script()
    run.record("started", epochs=6)
    assert "continued for more epochs" in script()


def of_region(run: Run, **more: object) -> Run:
    """The same run, its image a region of a larger one."""
    file = run.path / "run.json"
    about = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps(about | {"region": [200, 300, 296, 420], **more}), "utf-8")
    return Run(run.path)


@pytest.mark.parametrize("whole", [[500, 600], None])
def test_a_region_is_put_where_it_was_cut_out(run: Run, whole: list[int] | None) -> None:
    """One frame for everything that leaves, that of the whole image."""
    labels = run.epoch(3).labels
    again = of_region(run, whole=whole, pixel_size=[0.4, 0.2])
    rows, cols = np.nonzero(labels == 1)
    box = (rows.min() + 200, cols.min() + 300, rows.max() + 201, cols.max() + 301)
    centre = (rows.mean() + 200, cols.mean() + 300)
    roi = roifile.ImagejRoi.frombytes(unzipped(content(again, "rois"))["1.roi"])
    assert (roi.top, roi.left, roi.bottom, roi.right) == box
    cells = json.loads(content(again, "geojson"))
    feature = cells["features"][0]
    assert shape(feature["geometry"]).bounds == (box[1], box[0], box[3], box[2])
    measured = feature["properties"]["measurements"]
    assert (measured["row"], measured["col"]) == pytest.approx(centre)
    assert cells["cellcutter"]["region"] == {"row": 200, "col": 300}
    assert cells["cellcutter"]["pixel_height_um"] == 0.4
    first = next(csv.DictReader(content(again, "table").decode().splitlines()))
    assert (float(first["row"]), float(first["col"])) == pytest.approx(centre)
    assert (float(first["row_um"]), float(first["col_um"])) == pytest.approx(
        (0.4 * centre[0], 0.2 * centre[1])
    )
    assert (first["region_row"], first["region_col"]) == ("200", "300")
    assert (first["pixel_height_um"], first["pixel_width_um"]) == ("0.4", "0.2")
    with tifffile.TiffFile(io.BytesIO(content(again, "labels"))) as tif:
        written, about = tif.asarray(), tif.imagej_metadata or {}
    assert (about["region_row"], about["region_col"]) == (200, 300)
    if whole is None:
        # It is not known how large the whole is: ImageJ's coordinates say where it lies.
        np.testing.assert_array_equal(written, labels)
        assert (about["xorigin"], about["yorigin"]) == (-300, -200)
    else:
        assert written.shape == (500, 600)
        np.testing.assert_array_equal(written[200:296, 300:420], labels)
        assert np.count_nonzero(written) == np.count_nonzero(labels)
    zarr = unzipped(content(again, "ome-zarr"))
    scales = json.loads(zarr["image.ome.zarr/.zattrs"])["multiscales"][0]["datasets"][0]
    assert scales["coordinateTransformations"] == [
        {"type": "scale", "scale": [1.0, 0.4, 0.2]},
        {"type": "translation", "translation": [0.0, 80.0, 60.0]},
    ]
    readme = unzipped(content(again, "all"))["README.md"].decode()
    assert "begins at row 200, column 300" in readme
    assert "0.4 µm high and 0.2 µm wide" in readme
    script = unzipped(content(again, "recipe"))["recipe/recipe.py"].decode()
    place = f"origin=(200, 300), whole_shape={None if whole is None else tuple(whole)}"
    assert f"pixel_size=(0.4, 0.2), {place})" in script


def test_of_two_channels_of_cells_none_is_shown_as_nuclei(run: Run) -> None:
    crops = TINY.crops.replace(with_nucleus=True)
    run.describe(config=TINY.replace(crops=crops), cell=["actin"], nucleus="DAPI")
    assert Result(Run(run.path)).nucleus == 1
    run.describe(cell=["actin", "DAPI"], nucleus="none")
    assert Result(Run(run.path)).nucleus is None


def test_the_archive_says_that_a_region_in_the_corner_is_one(run: Run) -> None:
    again = of_region(run, region=[0, 0, 96, 120], whole=[500, 600])
    readme = unzipped(content(again, "all"))["README.md"].decode()
    assert "those of a region that begins at row 0, column 0 of the image" in readme


def test_a_whole_image_says_nothing_of_a_region(run: Run) -> None:
    assert "begins at row" not in unzipped(content(run, "all"))["README.md"].decode()
    assert "region" not in json.loads(content(run, "geojson"))["cellcutter"]
    assert "region_row" not in content(run, "table").decode()
    assert "origin=" not in unzipped(content(run, "recipe"))["recipe/recipe.py"].decode()


def test_what_leaves_comes_in_at_the_same_place(run: Run, tmp_path: Path) -> None:
    """Labels, ROIs and points of a region are its markers again, also at another region."""
    again = of_region(run, whole=[500, 600])
    labels = run.epoch(3).labels
    for format in ("labels", "rois", "table"):
        file = tmp_path / f"{format}{'.zip' if format == 'rois' else ''}"
        file.write_bytes(content(again, format))
        where = {"whole_shape": (500, 600)}
        found = read_markers(file, blank(labels.shape, origin=(200, 300), **where))
        if format == "table":
            centres = [np.argwhere(labels == cell).mean(0) for cell in np.unique(labels)[1:]]
            points = np.floor(np.array(centres) + 0.5)
            np.testing.assert_array_equal(found, markers_from_points(points, labels.shape))
            moved = points - (20, 10)
            inside = ((moved >= 0) & (moved < (60, 80))).all(axis=1)
            expected = markers_from_points(moved[inside], (60, 80)) > 0
        else:
            np.testing.assert_array_equal(found > 0, labels > 0)
            expected = found[20:80, 10:90] > 0
        # A region that begins elsewhere has those that lie in it, moved.
        other = read_markers(file, blank((60, 80), origin=(220, 310), **where))
        np.testing.assert_array_equal(other > 0, expected)
        with pytest.raises(ValueError, match=f"^{file.name}: "):
            read_markers(file, blank((50, 50), origin=(0, 0), **where))
    # A label image of the region alone is told by its size.
    (tmp_path / "part.tif").write_bytes(label_file(labels))
    found = read_markers(tmp_path / "part.tif", blank(labels.shape, origin=(200, 300), **where))
    np.testing.assert_array_equal(found > 0, labels > 0)
    with pytest.raises(ValueError, match=r"or, in the whole image, \(500, 600\)"):
        read_markers(tmp_path / "part.tif", blank((50, 50), origin=(200, 300), **where))
    # What is wrong with points is said, wherever it is.
    (tmp_path / "far.csv").write_text("row,col\n210,310\n20,590\n590,20\n")
    with pytest.raises(ValueError, match=r"1 of 3 lie outside of the image of shape \(500, 600\)"):
        read_markers(tmp_path / "far.csv", blank(labels.shape, origin=(200, 300), **where))
