"""The network of a run on other images: the same labels on its own, and what other images need."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from patience import LONGEST
from PIL import Image as Picture
from small_files import zipped_zarr

from cellcutter_core import limits
from cellcutter_core.__main__ import main
from cellcutter_core.apply.application_folder import Application, applications, standing, work
from cellcutter_core.apply.applying import Trained, apply_run
from cellcutter_core.apply.outcomes import Outcome, summary_file
from cellcutter_core.choices.sources import channel_names_of
from cellcutter_core.config import FROM_NOTHING
from cellcutter_core.images.file_sets.given_files import image_files, named_images, names_for
from cellcutter_core.images.image import Image
from cellcutter_core.images.read_image import read_image
from cellcutter_core.images.regions import cut_out
from cellcutter_core.jobs.queue import Jobs
from cellcutter_core.jobs.training import work as train
from cellcutter_core.network.unet import UNet
from cellcutter_core.pipeline import prepare
from cellcutter_core.runs.deleted import delete_run
from cellcutter_core.runs.lock import held
from cellcutter_core.runs.store import Run
from cellcutter_core.simulation.sample import sample, save
from cellcutter_core.training.datasets import scale_for

TINY = FROM_NOTHING.replace(
    network=FROM_NOTHING.network.replace(channels=4, depth=3, normalisation="none"),
    training=FROM_NOTHING.training.replace(
        epochs=2, steps=4, crops=8, crops_at_once=8, seed=7, precision="float32"
    ),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an image and the run that was trained on it, by the command line."""
    folder = tmp_path_factory.mktemp("place")
    save(sample((160, 160), seed=3), folder / "own.npz")
    small = [
        *("--start", "nothing"),
        *("--set", "network.channels=4", "--set", "network.depth=3"),
        *("--set", "network.normalisation=none", "--set", "training.steps=4"),
        *("--set", "training.crops=8", "--set", "training.precision=float32", "--epochs", "2"),
    ]
    assert main(["segment", str(folder / "own.npz"), "--out", str(folder / "run"), *small]) == 0
    return folder


@pytest.fixture(scope="module")
def run(place: Path) -> Run:
    return Run(place / "run")


@pytest.fixture(scope="module")
def trained(run: Run) -> Trained:
    return Trained(run)


@pytest.fixture
def copy(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run to write into."""
    monkeypatch.setenv("CELLCUTTER_RUNS", str(tmp_path))
    shutil.copytree(run.path, tmp_path / "copy")
    return Run(tmp_path / "copy")


def test_its_own_image_gets_the_labels_of_its_last_epoch(place: Path, run: Run) -> None:
    last = run.epoch(2)
    applied = apply_run(run, read_image(place / "own.npz"))
    np.testing.assert_array_equal(applied.labels, last.labels)
    np.testing.assert_array_equal(applied.drawing.borders, last.borders)
    np.testing.assert_array_equal(
        np.round(applied.drawing.probability * 255), np.round(last.probability * 255)
    )
    assert len(np.unique(last.labels)) > 5


def test_it_is_the_trained_network_that_draws(place: Path, run: Run) -> None:
    """Of the labels above a good part is guidance; the probabilities come from the network."""
    trained = Trained(run)
    trained.network = UNet(run.config.network)
    applied = trained.apply(trained.read(place / "own.npz"))
    assert np.abs(applied.drawing.probability - run.epoch(2).probability).max() > 0.1


def test_edited_markers_do_not_carry_over(place: Path, tmp_path: Path) -> None:
    """They belong to the run's own image; applied, it is found anew with the settings."""
    image = read_image(place / "own.npz")
    found, _ = prepare(image, TINY)
    tifffile.imwrite(tmp_path / "m.tif", np.where(found.nuclei <= 3, found.nuclei, 0))
    inputs, _ = prepare(image, TINY, markers=tmp_path / "m.tif")
    assert len(inputs.points) == 3
    once = TINY.replace(training=TINY.training.replace(epochs=1, steps=1))
    edited = Run.create(tmp_path / "run", inputs, once)
    train(edited)
    assert len(apply_run(edited, image).inputs.points) == len(found.points) > 3


def test_the_scale_is_that_of_the_other_image(trained: Trained) -> None:
    """An image magnified twice has cells twice as large, and crops of half the scale."""
    image = trained.in_roles(sample((160, 160), seed=4))
    double = Image(
        image.pixels.repeat(2, axis=0).repeat(2, axis=1), image.channels, **_roles(image)
    )
    scales = [scale_for(trained.apply(one).inputs, trained.config) for one in (image, double)]
    assert scales[0] / scales[1] == pytest.approx(2, rel=0.15)


def _roles(image: Image) -> dict[str, Any]:
    return {"cell": image.cell, "nucleus": image.nucleus}


# Channels -----------------------------------------------------------------------------------------


def test_channels_are_found_by_name(trained: Trained) -> None:
    image = sample((160, 160), seed=4)
    cell, nucleus = (image.channels[i] for i in (image.cell[0], image.nucleus or 0))
    assert trained.channels == [cell]
    turned = Image(
        image.pixels[..., ::-1], tuple(name.upper() for name in image.channels[::-1]), cell=(1,)
    )
    there = trained.in_roles(turned)
    assert there.roles == {"cell": [cell.upper()], "nucleus": nucleus.upper()}
    np.testing.assert_array_equal(
        trained.apply(there).labels, trained.apply(trained.in_roles(image)).labels
    )


def test_without_the_names_roles_stay_as_they_were_guessed(trained: Trained) -> None:
    image = Image(sample((160, 160)).pixels[..., :2], ("actin", "DNA"), cell=(1,), nucleus=0)
    assert trained.in_roles(image).roles == image.roles


def test_a_run_without_nuclei_looks_for_none(copy: Run) -> None:
    trained = Trained(copy)
    copy.describe(cell=["A"], nucleus="none")
    image = Image(sample((160, 160)).pixels, ("a", "dna", "b"), cell=(2,), nucleus=1)
    assert trained.in_roles(image).roles == {"cell": ["a"], "nucleus": "none"}


def test_another_number_of_channels_is_refused(trained: Trained) -> None:
    image = sample((160, 160)).with_roles(cell=[0, 1])
    with pytest.raises(
        ValueError, match=r"on 1 channel \(\w+\), but would see 2 channels"
    ) as error:
        trained.apply(image)
    assert "\n" not in str(error.value)


def test_planes_are_read_as_those_of_the_run(copy: Run, tmp_path: Path) -> None:
    pixels = np.moveaxis(sample((96, 96)).pixels[..., :2], -1, 0)
    stack = np.stack([pixels // 4, pixels])
    file = tmp_path / "stack.tif"
    tifffile.imwrite(file, stack, imagej=True, metadata={"axes": "ZCYX"})
    trained = Trained(copy)
    with pytest.raises(ValueError, match="is a stack"):
        trained.read(file)
    copy.describe(reading={"z": 1})
    np.testing.assert_array_equal(trained.read(file).pixels, pixels.transpose(1, 2, 0))
    np.testing.assert_array_equal(trained.read(file, z=0).pixels, stack[0].transpose(1, 2, 0))


def test_a_run_without_network_is_refused(copy: Run) -> None:
    copy.model_file.write_bytes(b"no network")
    with pytest.raises(ValueError, match=r"model.keras cannot be read"):
        Trained(copy)
    copy.model_file.unlink()
    with pytest.raises(ValueError, match="has no model"):
        Trained(copy)
    shutil.rmtree(copy.path / "epochs")
    with pytest.raises(ValueError, match="has not completed an epoch yet"):
        Trained(copy)


# Names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["b.tif", "a.tif"], ["b", "a"]),
        (["x/a.tif", "y/a.tif", "y/b.tif"], ["x-a", "y-a", "b"]),
        (["a.tif", "a.png", "A.npy"], ["a", "a-2", "A-3"]),
        (["x/a.tif", "x/a.png", "z/x/a.tif", "x-a.tif"], ["x-a-2", "x-a-3", "x-a-4", "x-a"]),
        (["a.tif", "a.tif"], ["a", "a-2"]),
        (["a.ome.zarr", "b.zarr", "c.OME.zarr.zip", "d.zip"], ["a", "b", "c", "d"]),
        (["x/a.zarr", "y/a.ome.zarr.zip"], ["x-a", "y-a"]),
    ],
)
def test_no_two_images_have_the_same_name(paths: list[str], names: list[str]) -> None:
    assert names_for([Path(path) for path in paths]) == names


def test_a_region_lies_where_it_is_in_the_whole(
    place: Path, trained: Trained, tmp_path: Path
) -> None:
    out = tmp_path / "applied"
    command = ["apply", str(place / "run"), str(place / "own.npz"), "--out", str(out)]
    formats = ["--format", "labels", "--format", "geojson"]
    assert main([*command, *formats, "--region", "30,20,100,120"]) == 0
    whole = tifffile.imread(out / "own-labels.tif")
    labels = whole[30:130, 20:140]
    assert np.count_nonzero(whole) == np.count_nonzero(labels)
    part = cut_out(read_image(place / "own.npz"), (30, 20, 130, 140))
    np.testing.assert_array_equal(labels, trained.apply(trained.in_roles(part)).labels)
    (written,) = out.glob("*.geojson")
    found = json.loads(written.read_text())["features"]
    assert len(found) == len(np.unique(labels[labels > 0]))
    # What began with nothing may draw a cell in several pieces.
    shapes = [one["geometry"] for one in found]
    pieces = [
        piece
        for one in shapes
        for piece in ([one["coordinates"]] if one["type"] == "Polygon" else one["coordinates"])
    ]
    corners = np.concatenate([np.reshape(ring, (-1, 2)) for piece in pieces for ring in piece])
    assert corners.min(axis=0).tolist() == [20, 30]
    assert corners.max(axis=0).tolist() == [140, 130]


def test_of_a_file_with_several_images_all_have_a_name(tmp_path: Path) -> None:
    for file in ("a/b.tif", "c/b.tif", "c/d.tif"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        with tifffile.TiffWriter(tmp_path / file, ome=True) as tif:
            for _ in range(1 if file == "c/d.tif" else 2):
                tif.write(np.eye(20, dtype=np.uint8))
    (tmp_path / "e.tif").write_bytes(b"no image")
    files = [tmp_path / file for file in ("a/b.tif", "c/b.tif", "c/d.tif", "e.tif")]
    named, scenes = named_images(files)
    assert list(named) == [*(f"{place}-b-scene{n}" for place in "ac" for n in (0, 1)), "d", "e"]
    assert list(named.values()) == [*files[:1] * 2, *files[1:2] * 2, *files[2:]]
    assert scenes == {f"{place}-b-scene{n}": n for place in "ac" for n in (0, 1)}
    named, scenes = named_images(files, scene=1, with_folders=False)
    assert (list(named), scenes) == (["b", "b-2", "d", "e"], {})


def test_a_folder_stands_for_its_images(tmp_path: Path) -> None:
    for name in ("b.tif", "a.npz", "B.TIF"):
        save(sample((64, 64)), tmp_path / "x.npz")
        (tmp_path / name).write_bytes((tmp_path / "x.npz").read_bytes())
    # A TIFF is known by how it begins, another archive by its ending; what is called as an image
    # is none to be passed over in silence.
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((4, 4), np.uint8))
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.tif").write_bytes((tmp_path / "b.tif").read_bytes())
    (tmp_path / "inner.tif").mkdir()
    assert [file.name for file in image_files([tmp_path])] == [
        "B.TIF", "a.npz", "b.tif", "x.npz",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no image file in the folder"):
        image_files([tmp_path / "inner.tif"])
    gone = Path("no.tif")
    assert image_files([tmp_path / "x.npz", gone, gone]) == [tmp_path / "x.npz", gone]


def test_an_ome_zarr_is_an_image_and_no_folder_of_images(run: Run, tmp_path: Path) -> None:
    pixels = np.moveaxis(read_image_of(run), -1, 0)
    archive = tmp_path / "b.ome.zarr.zip"
    archive.write_bytes(zipped_zarr(pixels))
    folder = tmp_path / "a.ome.zarr"
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    for name, content in (("c.zip", b"PK\3\4 and no archive"), ("d.zarr", None)):
        if content is None:
            (tmp_path / name).mkdir()
        else:
            (tmp_path / name).write_bytes(content)
    with zipfile.ZipFile(tmp_path / "e.zip", "w") as other:
        other.writestr("notes.txt", "no image")
    assert image_files([tmp_path]) == [folder, archive]
    assert image_files([folder, archive]) == [folder, archive]

    command = ["apply", str(run.path), str(folder), str(tmp_path), "--out", str(tmp_path / "out")]
    assert main([*command, "--cell-channel", "0", "--nucleus-channel", "1"]) == 0
    for name in ("a", "b"):
        labels = tifffile.imread(tmp_path / "out" / f"{name}-labels.tif")
        np.testing.assert_array_equal(labels, run.epoch(2).labels)


def read_image_of(run: Run) -> np.ndarray:
    """The run's image and its nuclei, as two channels."""
    return np.dstack([run.inputs.image, run.unseen["nucleus"]])


# The command line ---------------------------------------------------------------------------------


def test_the_command_line(place: Path, run: Run, capsys: Any) -> None:
    """Two images of the same name, and a bad one between them that does not stop the other."""
    folder = place / "others"
    folder.mkdir()
    save(sample((128, 160), seed=5), folder / "own.npz")
    (folder / "cut.tif").write_bytes(b"II*\0 and no more")
    out = place / "out"
    command = ["apply", str(run.path), str(place / "own.npz"), str(folder), "--out", str(out)]
    formats = [option for f in ("labels", "table", "rois") for option in ("--format", f)]
    assert main([*command, *formats]) == 2
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0].startswith(f"1/3 {place / 'own.npz'}: ")
    assert "2/3" in lines[1]
    assert "cut.tif: failed: is a TIFF" in lines[1]
    assert said.err == "cellcutter_core: 1 of 3 images failed; see the errors above\n"
    own, other = f"{place.name}-own", "others-own"
    assert {file.name for file in out.iterdir()} == {
        "summary.csv",
        *(f"{name}-{end}" for name in (own, other) for end in ("labels.tif", "cells.csv")),
        *(f"{name}-RoiSet.zip" for name in (own, other)),
    }
    labels = tifffile.imread(out / f"{own}-labels.tif")
    np.testing.assert_array_equal(labels, run.epoch(2).labels)
    first, bad, second = csv.DictReader((out / "summary.csv").read_text("utf-8").splitlines())
    areas = np.unique(labels[labels > 0], return_counts=True)[1]
    assert (first["name"], first["image"], int(first["cells"])) == (own, "own.npz", len(areas))
    assert float(first["mean_area"]) == pytest.approx(areas.mean())
    assert float(first["median_area"]) == pytest.approx(np.median(areas))
    assert float(first["mask_fraction"]) == pytest.approx(run.inputs.mask.mean())
    edges = (labels[0], labels[-1], labels[:, 0], labels[:, -1])
    assert int(first["cells_at_border"]) == len(set(np.concatenate(edges)) - {0})
    assert bad["cells"] == ""
    assert "is a TIFF" in bad["error"]
    assert (second["name"], second["error"]) == (other, "")
    with (out / f"{other}-cells.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert len(rows) == int(second["cells"])
    assert "mean_nucleus" in rows[0]

    # What is there is not written over.
    before = {file: file.stat().st_mtime_ns for file in out.iterdir()}
    assert main([*command, *formats]) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert "already has summary.csv and 6 more" in said.err
    assert {file: file.stat().st_mtime_ns for file in out.iterdir()} == before


@pytest.mark.parametrize(
    ("format", "message"),
    [
        ("film", "format film is only for runs; choose one of labels, rois, geojson, table"),
        ("model", "only for runs"),
        ("recipe", "only for runs"),
        ("all", "only for runs"),
        ("gif", "no format 'gif'; choose one of labels"),
    ],
)
def test_formats_that_make_no_sense(place: Path, format: str, message: str, capsys: Any) -> None:
    command = ["apply", str(place / "run"), str(place / "own.npz"), "--out", str(place / "none")]
    assert main([*command, "--format", format]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not (place / "none").exists()


def test_channels_are_said_on_the_command_line(place: Path, capsys: Any) -> None:
    command = ["apply", str(place / "run"), str(place / "own.npz")]
    two = ["--cell-channel", "0", "--cell-channel", "1"]
    assert main([*command, "--out", str(place / "two"), *two]) == 2
    assert "but would see 2 channels" in capsys.readouterr().out
    none = ["--nucleus-channel", "none", "--format", "labels"]
    assert main([*command, "--out", str(place / "none"), *none]) == 0
    labels = tifffile.imread(place / "none" / "own-labels.tif")
    assert not np.array_equal(labels, Run(place / "run").epoch(2).labels)


def test_channels_of_other_names_are_remarked_upon(
    place: Path, tmp_path: Path, capsys: Any
) -> None:
    image = sample((128, 128), seed=6)
    renamed = Image(image.pixels, ("tubulin", "DAPI", "other")[: image.pixels.shape[2]])
    save(renamed, tmp_path / "renamed.npz")
    command = ["apply", str(place / "run"), str(place / "own.npz"), str(tmp_path / "renamed.npz")]
    assert main([*command, "--out", str(tmp_path / "out"), "--format", "labels"]) == 0
    own, other = capsys.readouterr().out.splitlines()[:2]
    assert "in place of" not in own
    (saw,) = Trained(Run(place / "run")).channels
    assert other.endswith(f"; the network sees tubulin in place of {saw}")
    first, second = csv.DictReader((tmp_path / "out/summary.csv").read_text("utf-8").splitlines())
    assert (first["remark"], second["remark"]) == ("", f"sees tubulin in place of {saw}")


# In a process of its own --------------------------------------------------------------------------


def test_an_application_writes_everything_and_goes_on_where_it_was(
    place: Path, copy: Run, tmp_path: Path
) -> None:
    save(sample((96, 1000), seed=6), tmp_path / "long.npz")
    files = {n: (place if n == "own" else tmp_path) / f"{n}.npz" for n in ("own", "gone", "long")}
    made = Application.create(copy, files)
    assert made.progress.status == "queued"
    assert (made.progress.now, made.progress.n_left) == ("own", 3)
    # Asked to stop while it works on the second.
    work(made, stop=lambda: made.progress.n_left == 1)
    now = made.progress
    assert (now.status, now.now, now.n_left) == ("stopped", "long", 1)
    own, gone = now.outcomes
    assert own.cells == len(np.unique(copy.epoch(2).labels)) - 1
    assert "no such file" in gone.error
    # What went wrong is tried again, what is done is not.
    save(sample((96, 96), seed=6), tmp_path / "gone.npz")
    written = (made.results / "own-labels.tif").stat().st_mtime_ns
    made.record("queued")
    assert made.progress.n_left == 2
    work(made)
    assert made.progress.status == "finished"
    assert [one.error for one in made.progress.outcomes] == [""] * 3
    assert (made.results / "own-labels.tif").stat().st_mtime_ns == written
    np.testing.assert_array_equal(
        tifffile.imread(made.results / "own-labels.tif"), copy.epoch(2).labels
    )
    with (made.results / "summary.csv").open() as table:
        assert [row["name"] for row in csv.DictReader(table)] == ["own", "gone", "long"]
    for kind in ("image", "cells"):
        with Picture.open(made.preview("long", kind)) as picture:
            assert picture.size == (500, 48)
    with zipfile.ZipFile(io.BytesIO(made.download())) as archive:
        assert set(archive.namelist()) == {file.name for file in made.results.iterdir()}
        assert len(archive.namelist()) == 1 + 3 * 3
        assert archive.read("own-labels.tif") == (made.results / "own-labels.tif").read_bytes()
    assert [one.path for one in applications(copy)] == [made.path]
    assert made.run.path == copy.path


def test_the_queue_starts_a_process_for_it(place: Path, copy: Run) -> None:
    jobs = Jobs()
    made = Application.create(copy, {"own": place / "own.npz"})
    later = Application.create(copy, {"own": place / "own.npz"})
    jobs.submit(made)
    jobs.submit(later)
    with pytest.raises(ValueError, match=r"still running; stop it first|already in the queue"):
        jobs.submit(later)
    assert jobs.position(later) in (1, 2)
    jobs.cancel(later)
    assert later.progress.status == "stopped"
    end = time.monotonic() + LONGEST
    while made.progress.status in ("queued", "running"):
        assert time.monotonic() < end, made.log_file.read_text()
        time.sleep(0.1)
    assert made.progress.status == "finished", made.log_file.read_text()
    np.testing.assert_array_equal(
        tifffile.imread(made.results / "own-labels.tif"), copy.epoch(2).labels
    )
    with pytest.raises(ValueError, match="already done"):
        jobs.submit(made)
    time.sleep(0.3)
    assert not (later.path / "log.txt").exists()


def test_whoever_starts_and_watches_it_loads_no_framework() -> None:
    program = (
        "import sys, cellcutter_core.jobs.queue, pages.shared.panels\n"
        "import pages.parts.apply.application\n"
        "print(sorted({'tensorflow', 'keras', 'jax', 'torch'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=root, check=True
    )
    assert done.stdout.strip() == "[]"


def test_what_stops_all_of_it_is_recorded(copy: Run, place: Path) -> None:
    copy.model_file.unlink()
    made = Application.create(copy, {"own": place / "own.npz"})
    with pytest.raises(ValueError, match="has no model"):
        work(made)
    now = made.progress
    assert (now.status, now.n_left) == ("failed", 1)
    assert "has no model" in now.message
    with pytest.raises(ValueError, match="no image"):
        Application.create(copy, {})


def test_an_application_stops_at_the_time_limit_and_says_so(
    copy: Run, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELLCUTTER_TIME_LIMIT", "1")
    times = iter([0.0, *[2.0] * 100])
    monkeypatch.setattr(limits.TimeLimit.__init__, "__defaults__", (lambda: next(times),))
    made = Application.create(copy, dict.fromkeys("ab", place / "own.npz"))
    work(made)
    now = made.progress
    # The first one is done, however long it takes; so going on comes to an end.
    assert (now.status, now.n_left) == ("stopped", 1)
    assert "limit of 1 s for one job (CELLCUTTER_TIME_LIMIT sets it)" in now.message


def test_a_run_that_is_being_applied_is_not_deleted(copy: Run, place: Path) -> None:
    made = Application.create(copy, {"own": place / "own.npz"})
    with held(made.path):
        with pytest.raises(ValueError, match="is being applied to images"):
            delete_run("copy")
        # Nor if it is damaged.
        (copy.path / "run.json").write_text("{")
        with pytest.raises(ValueError, match="is being applied to images"):
            delete_run("copy")
    delete_run("copy")
    assert not copy.path.exists()


def test_standing() -> None:
    started = {"kind": "started", "pid": 1, "host": "here"}
    good, bad = {"name": "a", "cells": 3}, {"name": "b", "error": "is empty"}
    images = ({"kind": "image", "outcome": {"image": "", "seconds": 1, **o}} for o in (good, bad))
    events = [{"kind": "queued"}, started, *images]
    now = standing(events, ["a", "b", "c"])
    assert (now.status, now.now, now.n_left) == ("running", "c", 1)
    assert standing(events, ["a", "b", "c"], alive=lambda pid, host: False).status == "crashed"
    again = standing([*events, {"kind": "queued"}], ["a", "b", "c"])
    assert (again.status, again.now, again.n_left) == ("queued", "b", 2)


def test_the_summary_reads_back() -> None:
    outcomes = [
        Outcome("a", 'a, "b".tif', 1.5, cells=3, mean_area=0.1),
        Outcome("c", "c.tif", 0.0, "is empty; copy it, or save it again"),
    ]
    first, second = csv.DictReader(io.StringIO(summary_file(outcomes).decode()))
    assert (first["image"], first["cells"], first["mean_area"]) == ('a, "b".tif', "3", "0.1")
    assert (second["error"], second["cells"]) == (outcomes[1].error, "")


@pytest.fixture(scope="module")
def in_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run on an image whose channels lie in two files, and with two such images."""
    folder = tmp_path_factory.mktemp("files")
    for name, seed in (("A", 3), ("B1", 4), ("B2", 5)):
        place = folder if name == "A" else folder / "more"
        place.mkdir(exist_ok=True)
        image = sample((160, 160), seed=seed)
        for title, channel in (("cyto", "fluorescence"), ("dna", "nucleus")):
            tifffile.imwrite(place / f"{name}_{title}.tif", image.channel(channel))
    command = ["segment", str(folder / "A_cyto.tif"), "--nucleus-file", str(folder / "A_dna.tif")]
    small = [
        *("--start", "nothing"),
        *("--set", "network.channels=4", "--set", "network.depth=3"),
        *("--set", "network.normalisation=none", "--set", "training.steps=4"),
        *("--set", "training.crops=8", "--set", "training.precision=float32", "--epochs", "1"),
    ]
    assert main([*command, "--out", str(folder / "run"), *small]) == 0
    return folder


def test_channels_in_files_of_their_own_are_found_by_their_names(
    in_files: Path, tmp_path: Path, capsys: Any
) -> None:
    command = ["apply", str(in_files / "run"), str(in_files / "more"), "--out", str(tmp_path)]
    assert main([*command, "--nucleus-channel", "dna"]) == 0
    said = capsys.readouterr().out
    assert f"1/2 {in_files / 'more' / 'B1_cyto.tif with B1_dna.tif'}: " in said
    assert "in place of" not in said
    trained = Trained(Run(in_files / "run"))
    for name, seed in (("B1", 4), ("B2", 5)):
        image = sample((160, 160), seed=seed).with_roles(cell="fluorescence", nucleus="nucleus")
        labels = tifffile.imread(tmp_path / f"{name}-labels.tif")
        np.testing.assert_array_equal(labels, trained.apply(image).labels)
        with (tmp_path / f"{name}-cells.csv").open(newline="") as file:
            columns = next(csv.reader(file))
        assert {"mean_cyto", "mean_dna"} <= set(columns)
    own = (in_files / "A_cyto.tif", in_files / "A_dna.tif")
    np.testing.assert_array_equal(
        trained.apply(trained.read(own)).labels, trained.run.epoch(1).labels
    )
    # A merged file is as good.
    merged = tmp_path / "merged.tif"
    channels = {"Name": ["A_dna", "A_cyto"]}
    pixels = np.stack([sample((160, 160), seed=4).channel(c) for c in ("nucleus", "fluorescence")])
    about = {"axes": "CYX", "Channel": channels}
    tifffile.imwrite(merged, pixels, ome=True, metadata=about)
    np.testing.assert_array_equal(
        trained.apply(trained.read(merged)).labels, tifffile.imread(tmp_path / "B1-labels.tif")
    )


def test_an_image_without_all_its_files_is_said_and_the_others_go_on(
    in_files: Path, tmp_path: Path, capsys: Any
) -> None:
    more, here = in_files / "more", tmp_path / "here"
    here.mkdir()
    for name in ("B1_cyto", "B1_dna", "B2_dna"):
        shutil.copy(more / f"{name}.tif", here)
    shutil.copy(more / "B2_dna.tif", here / "B3_dna.tif")
    shutil.copy(more / "B2_dna.tif", here / "B3_dna.tiff")
    tifffile.imwrite(here / "B1_cells.tif", np.asarray(sample((160, 160), seed=4).truth))
    out = tmp_path / "out"
    assert main(["apply", str(in_files / "run"), str(here), "--out", str(out)]) == 2
    said = capsys.readouterr()
    assert "B2_dna.tif: failed: the file of the channel cyto is missing" in said.out
    assert "failed: B3_dna.tiff: B3_dna.tif is the same channel" in said.out
    assert "B1_cells.tif: failed: is a label image" in said.out
    assert "3 of 4 images failed" in said.err
    assert (out / "B1-labels.tif").exists()
    with (out / "summary.csv").open(newline="") as file:
        assert [row["name"] for row in csv.DictReader(file) if not row["error"]] == ["B1"]


def test_where_names_do_not_say_channels_it_is_told(in_files: Path, tmp_path: Path) -> None:
    shutil.copytree(in_files / "run", tmp_path / "run")
    file = tmp_path / "run" / "run.json"
    about = json.loads(file.read_text())
    about["files"] = ["img.tif", "img.tif"]
    file.write_text(json.dumps(about))
    run = Run(tmp_path / "run")
    assert run.description.files == tuple(about["files"])
    trained, more = Trained(run), in_files / "more"
    with pytest.raises(
        ValueError, match=r"^B1_cyto.tif: .* do not name the channels \(img.tif, img.tif\)"
    ):
        trained.read(more / "B1_cyto.tif")
    # In the order of the run's own they can be given all the same.
    image = trained.read([more / "B1_cyto.tif", more / "B1_dna.tif"], nucleus="B1_dna")
    whole = Trained(Run(in_files / "run"))
    expected = whole.apply(whole.read([more / "B1_cyto.tif", more / "B1_dna.tif"]))
    np.testing.assert_array_equal(trained.apply(image).labels, expected.labels)


def test_an_application_keeps_which_files_are_one_image(in_files: Path, tmp_path: Path) -> None:
    shutil.copytree(in_files / "run", tmp_path / "run")
    run = Run(tmp_path / "run")
    more = sorted((in_files / "more").iterdir())
    named, scenes = named_images(more, channels=channel_names_of(run))
    assert (list(named), scenes) == (["B1", "B2"], {})
    made = Application.create(run, named)
    assert Application(made.path).files == named
    work(made)
    assert [one.image for one in made.progress.outcomes] == [
        "B1_cyto.tif with B1_dna.tif",
        "B2_cyto.tif with B2_dna.tif",
    ]


@pytest.mark.parametrize("damage", [[], {"files": []}, {"files": {"a": 1}}])
def test_a_damaged_application_does_not_hide_the_others(
    in_files: Path, tmp_path: Path, damage: object
) -> None:
    shutil.copytree(in_files / "run", tmp_path / "run")
    run = Run(tmp_path / "run")
    made, whole = (Application.create(run, {"a": tmp_path / "a.tif"}) for _ in range(2))
    (made.path / "application.json").write_text(json.dumps(damage))
    assert [one.path for one in applications(run)] == [whole.path]
