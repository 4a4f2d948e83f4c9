"""The command line as a user runs it: in processes of its own, on files, with mistakes."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from patience import LONGEST
from PIL import Image as Picture
from small_files import hdf5

from cellcutter_core import results
from cellcutter_core.__main__ import _config, _other_images, _parser, main
from cellcutter_core.export.formats.geojson import geojson
from cellcutter_core.jobs import progress_bar as bar
from cellcutter_core.runs.store import Run
from cellcutter_core.simulation.sample import sample, save
from cellcutter_core.training.events import EpochZero

TINY = [
    "--start", "nothing",
    "--set", "network.channels=4", "--set", "network.depth=3",
    "--set", "network.normalisation=none", "--set", "training.steps=4",
    "--set", "training.warm_up=4", "--set", "training.crops=8",
    "--set", "training.precision=float32",
]  # fmt: skip


def command(*arguments, cwd=None, **environment):
    return subprocess.run(
        [sys.executable, "-m", "cellcutter_core", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
        capture_output=True,
        text=True,
        timeout=LONGEST,
    )


def refused(capsys, *arguments):
    """The one line that a wrong command ends with."""
    assert main(list(map(str, arguments))) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1, err
    assert err.startswith("cellcutter_core: ")
    return err


@pytest.fixture(scope="module")
def image_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("image") / "small.npz"
    save(sample((160, 160), seed=3), file)
    return file


@pytest.fixture(scope="module")
def finished(image_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("results") / "run"
    done = command("segment", image_file, "--out", out, "--epochs", 2, *TINY)
    assert done.returncode == 0, done.stderr
    return out, done


def test_segment_leaves_everything_that_it_promises(finished, image_file):
    out, done = finished
    assert "Epoch 0/2: before training" in done.stdout
    # What TensorFlow says of the machine is not among it.
    assert done.stderr == ""
    assert "Epoch 2/2: loss" in done.stdout
    assert "Against the truth: AP50" in done.stdout
    labels = tifffile.imread(out / "labels.tif")
    assert labels.shape == (160, 160)
    assert labels.max() > 5
    for name in ("overlay.png", "borders.png"):
        with Picture.open(out / name) as picture:
            assert picture.size == (160, 160)
    result = json.loads((out / "result.json").read_text())
    assert result["cells"] == len(np.unique(labels[labels > 0]))
    assert result["epochs"] == 2
    assert [entry["epoch"] for entry in result["losses"]] == [1, 2]
    assert result["seconds"] > result["training_seconds"] > 0
    assert "CPU" in result["device"] or result["device"]
    assert result["settings"]["network"]["channels"] == 4
    assert 0 <= result["scores"]["ap50"] <= 1
    assert 0 <= result["scores_of_epoch_0"]["ap50"] <= 1
    for name in ("paths", "watershed"):
        assert 0 < result["scores_of_baselines"][name]["ap50"] <= 1
    assert "epoch 0: " in done.stdout
    assert "cheapest paths: " in done.stdout
    assert "watershed: " in done.stdout
    run = Run(out)
    assert run.progress.status == "finished"
    assert run.epochs == [0, 1, 2]
    np.testing.assert_array_equal(run.epoch(2).labels, labels)


def test_truth_does_not_enter_training(finished, image_file, tmp_path, capsys):
    out, _ = finished
    with np.load(image_file) as archive:
        np.savez(tmp_path / "blind.npz", image=archive["image"], channels=archive["channels"])
    blind = tmp_path / "run"
    given = ["segment", str(tmp_path / "blind.npz"), "--out", str(blind), "--epochs", "2", *TINY]
    assert main(given) == 0
    assert "Against the truth" not in capsys.readouterr().out
    np.testing.assert_array_equal(
        tifffile.imread(blind / "labels.tif"), tifffile.imread(out / "labels.tif")
    )
    assert json.loads((blind / "result.json").read_text())["scores"] is None


@pytest.mark.parametrize("epoch", [0, 1])
def test_a_killed_run_is_read_back_and_gone_on_with(epoch, finished, image_file, tmp_path):
    """Kill it in the middle; what it leaves is a run, and going on gives what it would have."""
    out, _ = finished
    killed = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-m", "cellcutter_core", "segment", str(image_file), "--out", str(killed),
         "--epochs", "2", *TINY],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + LONGEST
    while time.monotonic() < deadline and process.poll() is None:
        if (killed / "run.json").exists() and epoch in Run(killed).epochs:
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.01)
    process.wait()
    run = Run(killed)
    # It may have been faster than we; then there is nothing to go on with.
    if run.progress.status != "finished":
        assert run.progress.status == "crashed"
        assert main(["continue", str(killed)]) == 0
    assert Run(killed).progress.status == "finished"
    assert Run(killed).epochs == [0, 1, 2]
    whole = [event["loss"] for event in Run(out).progress.trained_events]
    assert [event["loss"] for event in Run(killed).progress.trained_events] == whole
    np.testing.assert_array_equal(
        tifffile.imread(killed / "labels.tif") if (killed / "labels.tif").exists()
        else Run(killed).epoch(2).labels,
        tifffile.imread(out / "labels.tif"),
    )  # fmt: skip


def test_ctrl_c_keeps_all_steps_and_continue_goes_on(
    finished, image_file, tmp_path, capsys, monkeypatch
):
    out, stopped = finished[0], tmp_path / "run"
    usual = signal.getsignal(signal.SIGINT)

    @contextlib.contextmanager
    def interrupting(*_):
        def show(event):
            if (event.epoch, getattr(event, "step", None)) == (2, 3):
                signal.raise_signal(signal.SIGINT)

        yield show

    given = ["segment", str(image_file), "--out", str(stopped), "--epochs", "2", *TINY]
    with monkeypatch.context() as patched:
        patched.setattr(bar, "progress_bar", interrupting)
        assert main(given) == 130
    said = capsys.readouterr()
    assert said.err == "cellcutter_core: interrupted\n"
    line = "Stopped after 1 of 2 epochs and 3 of 4 steps of epoch 2. To go on: python -m "
    assert f"{line}cellcutter_core continue {stopped}\n" in said.out
    # What was found by then is there.
    assert "cells after 1 epoch, " in said.out
    assert (stopped / "labels.tif").exists()
    assert signal.getsignal(signal.SIGINT) is usual

    assert main(["continue", str(stopped)]) == 0
    assert "Stopped" not in capsys.readouterr().out
    losses = [
        [event["loss"] for event in run.events() if "loss" in event]
        for run in (Run(stopped), Run(out))
    ]
    assert losses[0] == losses[1]
    np.testing.assert_array_equal(
        tifffile.imread(stopped / "labels.tif"), tifffile.imread(out / "labels.tif")
    )


def test_ctrl_c_before_there_is_anything(image_file, tmp_path, capsys, monkeypatch):
    def interrupted(*_):
        signal.raise_signal(signal.SIGINT)
        return {}

    monkeypatch.setattr("cellcutter_core.jobs.training.baselines", interrupted)
    assert main(["segment", str(image_file), "--out", str(tmp_path / "run"), *TINY]) == 130
    said = capsys.readouterr()
    assert "Stopped after 0 of 30 epochs. To go on: " in said.out
    assert said.err == "cellcutter_core: interrupted\n"
    assert Run(tmp_path / "run").progress.status == "stopped"


def test_no_second_run_in_a_folder(finished, image_file, capsys):
    out, _ = finished
    message = refused(capsys, "segment", image_file, "--out", out)
    assert "already a run" in message
    assert "continue" in message


def test_continue_needs_something_to_do(finished, tmp_path, capsys):
    out, _ = finished
    assert "larger number" in refused(capsys, "continue", out)
    assert "is not a run" in refused(capsys, "continue", tmp_path)


@pytest.mark.parametrize("written", ['{"epochs": 1}', '{"epochs":', None])
def test_continue_writes_results_that_are_not_of_the_last_epoch(
    written, finished, tmp_path, monkeypatch
):
    run = tmp_path / "run"
    shutil.copytree(finished[0], run)
    if written is None:
        (run / "result.json").unlink()
    else:
        (run / "result.json").write_text(written)
    trained = []
    monkeypatch.setattr("cellcutter_core.__main__._train", lambda *given: trained.append(given))
    assert main(["continue", str(run)]) == 0
    assert [(one.path, epochs) for one, epochs in trained] == [(run, None)]


def test_progress_counts_to_where_the_run_was_last_to_go(finished, tmp_path, capsys):
    shutil.copytree(finished[0], tmp_path / "run")
    run = Run(tmp_path / "run")
    run.record("started", pid=1, host="elsewhere", epochs=10)
    run.record("stopped")
    with bar.progress_bar(run) as show:
        show(EpochZero("CPU", None))
    assert capsys.readouterr().out == "Epoch 0/10: before training\n"


def test_a_collapsed_run_gets_its_advice_once(finished):
    summary = json.loads((finished[0] / "result.json").read_text())
    said = results.format_summary({**summary, "collapsed": True})
    assert said == results.format_summary(summary)


@pytest.mark.parametrize("epochs", [20_000, 0, -1])
def test_continue_takes_only_as_many_epochs_as_are_allowed(finished, capsys, epochs):
    out, _ = finished
    before = Run(out).events()
    said = refused(capsys, "continue", out, "--epochs", epochs)
    assert "at least 1 and at most 10000" in said
    assert Run(out).events() == before


def test_apply_says_nothing_but_what_it_did(finished, image_file, tmp_path):
    done = command("apply", finished[0], image_file, "--out", tmp_path / "applied")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("1/1 ")


def test_apply_says_what_to_know_of_each_image(finished, tmp_path, capsys, monkeypatch):
    out, _ = finished
    pixels = sample((160, 160), seed=3).pixels[..., [0, 2]]
    top = int(np.percentile(pixels[..., 0], 75))
    white = np.dstack([np.minimum(pixels[..., 0], top), pixels[..., 1]])
    framed = np.pad(pixels, ((9, 0), (0, 7), (0, 0)), constant_values=60_000)
    for name, image in (("framed", framed), ("usual", pixels), ("white", white)):
        np.savez(tmp_path / f"{name}.npz", image=image, channels=["fluorescence", "nucleus"])
    files = [str(tmp_path / f"{name}.npz") for name in ("framed", "usual", "white")]

    def told(to):
        assert main(["apply", str(out), *files, "--out", str(tmp_path / to)]) == 0
        lines = capsys.readouterr().out.splitlines()
        return [line for line in lines if line[:4] in ("1/3 ", "2/3 ", "3/3 ", "Look")]

    lines = told("at-once")
    starts = ["1/3 ", "Look closely at framed.npz. ", "2/3 ", "3/3 ", "Look closely at white.npz. "]
    assert all(line.startswith(start) for line, start in zip(lines, starts, strict=True))
    assert "(pixels: 9 above, 7 right)" in lines[1]
    assert f"of fluorescence have its highest value, {top}:" in lines[4]
    # Also of those that are worked on in blocks.
    monkeypatch.setattr("cellcutter_core.apply.applying.AT_ONCE", 1000)
    in_blocks = told("in-blocks")
    assert [in_blocks[1], in_blocks[4]] == [lines[1], lines[4]]


def test_evaluate(finished, image_file, capsys):
    out, _ = finished
    assert main(["evaluate", str(out / "labels.tif"), str(image_file)]) == 0
    scores = json.loads(capsys.readouterr().out)
    result = json.loads((out / "result.json").read_text())
    assert scores["ap50"] == pytest.approx(result["scores"]["ap50"])
    assert main(["evaluate", str(out / "labels.tif"), str(out / "labels.tif")]) == 0
    assert json.loads(capsys.readouterr().out)["ap50"] == 1


def test_evaluate_leaves_out_what_the_truth_leaves_out(tmp_path, capsys):
    truth = np.zeros((40, 60), np.int32)
    truth[5:15, 5:15], truth[25:35, 30:50] = 1, 2
    image = np.arange(truth.size, dtype=np.uint16).reshape(truth.shape)
    np.savez(tmp_path / "truth.npz", image=image, cells=truth, ignore=truth == 2)
    tifffile.imwrite(tmp_path / "labels.tif", np.where(truth == 1, truth, 0))
    assert main(["evaluate", str(tmp_path / "labels.tif"), str(tmp_path / "truth.npz")]) == 0
    assert json.loads(capsys.readouterr().out)["ap50"] == 1


def test_evaluate_prints_nothing_but_scores_to_stdout(tmp_path, capsys):
    truth = np.zeros((40, 60), np.int32)
    truth[5:15, 5:15], truth[25:35, 30:50] = 1, 2
    tifffile.imwrite(tmp_path / "labels.tif", truth)
    drawn = geojson(truth)
    # QuPath's own selection of the region, which is left out with a message.
    region = {**drawn["features"][0], "properties": {"objectType": "annotation"}}
    drawn["features"].append(region)
    (tmp_path / "truth.geojson").write_text(json.dumps(drawn))
    files = [str(tmp_path / "labels.tif"), str(tmp_path / "truth.geojson")]
    assert main(["evaluate", *files]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["n_true"] == 2
    assert err.startswith("truth.geojson: ")


def test_teach_needs_a_folder_to_write_to(tmp_path, capsys):
    said = refused(capsys, "teach", "--out", tmp_path / "missing" / "weights.npz")
    assert f"there is no folder {tmp_path / 'missing'}; make it first" in said


@pytest.mark.parametrize(
    ("option", "name"),
    [
        (["--z", "0"], "--z"),
        (["--t", "0"], "--t"),
        (["--scene", "a"], "--scene"),
        (["--no-inverted"], "--inverted"),
        (["--stained"], "--stained"),
    ],
)
def test_how_a_file_is_read_can_not_be_said_of_the_sample(option, name, capsys):
    assert f"{name} can only go with IMAGE" in refused(capsys, "segment", *option)


def test_sample(tmp_path, capsys):
    file = tmp_path / "s.npz"
    assert main(["sample", "--out", str(file), "--size", "128", "--seed", "5"]) == 0
    with np.load(file) as archive:
        np.testing.assert_array_equal(archive["image"], sample((128, 128), seed=5).pixels)
    assert "128×128" in capsys.readouterr().out


def test_info_says_backend_and_device():
    done = command("info")
    assert done.returncode == 0
    assert "tensorflow" in done.stdout or os.environ.get("KERAS_BACKEND", "") in done.stdout
    assert "device" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    "name", ["segment", "continue", "apply", "export", "sample", "evaluate", "settings", "info"]
)
def test_every_command_explains_itself(name, capsys):
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    assert len(capsys.readouterr().out) > 150


def test_what_was_cut_off_is_said(tmp_path, monkeypatch, capsys):
    def find(image, config, **others):
        raise ValueError("enough")

    monkeypatch.setattr("cellcutter_core.pipeline.prepare", find)
    pixels = sample((160, 160), seed=3).pixels[..., 0].astype(np.uint16)
    tifffile.imwrite(tmp_path / "usual.tif", pixels)
    top = int(np.percentile(pixels, 75))
    tifffile.imwrite(tmp_path / "white.tif", np.minimum(pixels, top))
    for name, said in (("usual", False), ("white", True)):
        assert main(["segment", str(tmp_path / f"{name}.tif"), "--out", str(tmp_path / name)]) == 2
        out = capsys.readouterr().out
        assert ("cut off" in out) is said
        assert (f"highest value, {top}:" in out) is said


def test_true_cells_in_another_plane_are_said(tmp_path, monkeypatch, capsys):
    def find(image, config, **others):
        raise ValueError(f"{len(np.unique(image.truth)) - 1} true cells")

    monkeypatch.setattr("cellcutter_core.pipeline.prepare", find)
    image = sample((160, 160), seed=3)
    drawn = geojson(image.truth)
    n = len(drawn["features"])
    for number, cell in enumerate(drawn["features"]):
        cell["geometry"]["plane"] = {"z": 1 if number < 3 else 0}
    (tmp_path / "truth.geojson").write_text(json.dumps(drawn))
    stack = np.stack([image.pixels[..., 0]] * 2)
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    options = ["--z", "0", "--truth", str(tmp_path / "truth.geojson"), "--out", str(tmp_path / "r")]
    assert main(["segment", str(tmp_path / "a.tif"), *options]) == 2
    out, err = capsys.readouterr()
    line = f"truth.geojson: 3 of {n} areas are left out: they do not lie in the plane z = 0"
    assert line in out.splitlines()
    assert f"{n - 3} true cells" in err


def test_what_kind_of_picture_it_is_can_be_said(monkeypatch, capsys):
    said = []

    def read(path, *, inverted, stained, **others):
        said.append((inverted, stained))
        raise ValueError("enough")

    monkeypatch.setattr("cellcutter_core.images.read_image.read_image", read)
    assert "enough" in refused(capsys, "segment", "x.tif")
    assert "enough" in refused(capsys, "segment", "x.tif", "--inverted", "--no-stained")
    assert said == [(None, None), (True, False)]


def test_which_image_plane_and_time_point_can_be_said(monkeypatch, capsys):
    said = []

    def read(path, *, z, t, scene, **others):
        said.append((z, t, scene))
        raise ValueError("enough")

    monkeypatch.setattr("cellcutter_core.images.read_image.read_image", read)
    assert "enough" in refused(capsys, "segment", "x.czi")
    assert "enough" in refused(capsys, "segment", "x.czi", "--scene", 2, "--z", "max", "--t", 0)
    assert said == [(None, None, None), ("max", 0, 2)]


def test_one_of_several_images_and_then_all_of_them(tmp_path, capsys):
    file, out = tmp_path / "two.ome.tif", tmp_path / "run"
    with tifffile.TiffWriter(file, ome=True) as tif:
        for seed in range(2):
            pixels = np.moveaxis(sample((160, 160), seed=seed).pixels[..., [0, 2]], 2, 0)
            tif.write(pixels, metadata={"axes": "CYX"})
    options = ["--out", str(out), "--scene", "1", "--epochs", "1", *TINY]
    assert main(["segment", str(file), *options]) == 0
    assert Run(out).description.reading == {"scene": 1}
    # A file with one image needs none chosen, of one with several all are taken.
    save(sample((160, 160), seed=2), tmp_path / "one.npz")
    to = tmp_path / "applied"
    images = [str(file), str(tmp_path / "one.npz")]
    assert main(["apply", str(out), *images, "--out", str(to), "--format", "labels"]) == 0
    assert "two.ome.tif (scene 1): " in capsys.readouterr().out
    names = ["two.ome-scene0", "two.ome-scene1", "one"]
    labels = [tifffile.imread(to / f"{name}-labels.tif") for name in names]
    np.testing.assert_array_equal(labels[1], tifffile.imread(out / "labels.tif"))
    assert not np.array_equal(labels[0], labels[1])
    to = tmp_path / "first"
    command = ["apply", str(out), str(file), "--out", str(to), "--format", "labels", "--scene", "0"]
    assert main(command) == 0
    np.testing.assert_array_equal(tifffile.imread(to / "two.ome-labels.tif"), labels[0])


def test_the_other_images_of_its_file_need_the_number_of_the_own_one(tmp_path):
    file = tmp_path / "two.h5"
    image = sample((64, 64))
    file.write_bytes(hdf5(one=image.pixels[..., 0], two=image.pixels[..., 2]))

    def others(scene):
        given = ["segment", str(file), "--with", str(file), "--scene", scene]
        chosen = _parser().parse_args(given)
        own = image.with_roles(cell=["fluorescence"], nucleus="none")
        return next(_other_images(chosen, _config(chosen), own, []))

    with pytest.raises(ValueError, match=r"all 2 images of two\.h5, .*give --scene as its number"):
        others("two")
    assert others("1").name == "two-scene0.h5"


def test_a_region_of_the_image(image_file, tmp_path, capsys):
    """The network sees the pixels of the region and no others."""
    out = tmp_path / "run"
    part = ["--region", "20,10,100,120"]
    assert main(["segment", str(image_file), "--out", str(out), "--epochs", "1", *part, *TINY]) == 0
    with np.load(image_file) as archive:
        expected = archive["image"][20:120, 10:130]
    run = Run(out)
    assert run.inputs.image.shape[:2] == (100, 120)
    # It is taken home where it lies in the whole image.
    labels = tifffile.imread(out / "labels.tif")
    assert labels.shape == np.load(image_file)["image"].shape[:2]
    np.testing.assert_array_equal(labels[20:120, 10:130], run.epoch(1).labels)
    assert np.count_nonzero(labels) == np.count_nonzero(run.epoch(1).labels)
    cell = run.description.channels[0]
    assert cell == "fluorescence"
    np.testing.assert_array_equal(run.inputs.image[..., 0], expected[..., 0])
    assert run.description.region == (20, 10, 120, 130)
    for wrong, message in [
        ("0,0,9", "takes ROW,COL,HEIGHT,WIDTH"),
        ("a,b,c,d", "takes ROW,COL,HEIGHT,WIDTH"),
        ("100,0,100,50", "rows 100 to 200 and columns 0 to 50 is not inside"),
    ]:
        assert message in refused(capsys, "segment", image_file, "--region", wrong)


def test_an_export_of_what_was_segmented(finished, tmp_path, capsys):
    """What the command line knows of an image, its channels have their names."""
    out, _ = finished
    file = tmp_path / "cells.csv"
    assert main(["export", str(out), "--format", "table", "--out", str(file)]) == 0
    header, *rows = file.read_text().splitlines()
    assert "mean_fluorescence" in header.split(",")
    assert len(rows) == json.loads((out / "result.json").read_text())["cells"]
    assert "is not a run" in refused(capsys, "export", tmp_path, "--format", "table")


def test_an_export_takes_another_pixel_size(finished, tmp_path, capsys):
    out, _ = finished

    def exported(name, *options):
        file = tmp_path / name
        assert main(["export", str(out), "--format", file.stem, "--out", str(file), *options]) == 0
        return file

    def column(file, name):
        return np.genfromtxt(file, delimiter=",", names=True)[name]

    plain = exported("table.csv")
    assert "area_um2" not in plain.read_text().splitlines()[0].split(",")
    area = column(plain, "area")
    sized = exported("table.csv", "--pixel-size", "x=0.5,y=0.25")
    np.testing.assert_allclose(column(sized, "area_um2"), area * 0.125, rtol=1e-3)
    with tifffile.TiffFile(exported("labels.tif", "--pixel-size", "0.5")) as tif:
        pixels, units = tif.pages[0].tags["XResolution"].value
        assert (tif.imagej_metadata["unit"], pixels / units) == ("um", 2)
    # The run stays as it was.
    assert exported("table.csv").read_text().splitlines()[0].count("_um") == 0
    options = ["export", out, "--format", "table", "--out", tmp_path / "no.csv", "--pixel-size"]
    assert "is not a pixel size" in refused(capsys, *options, "0")
    assert not (tmp_path / "no.csv").exists()


def test_settings_lists_bounds(capsys):
    assert main(["settings"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if line.startswith("mask.prior")]
    assert "greater than 0 and less than 1" in line
    # Values are those that --set takes.
    (line,) = [line for line in lines if line.startswith("training.area")]
    assert line.startswith("training.area  |  null  |  640  |")
    (line,) = [line for line in lines if line.startswith("mask.automatic")]
    assert line.startswith("mask.automatic  |  true  |  true  |")


def test_import_is_light():
    program = (
        "import sys, cellcutter_core, cellcutter_core.__main__\n"
        "heavy = {'tensorflow', 'keras', 'jax', 'torch', 'streamlit', 'skimage', 'scipy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_the_core_never_imports_streamlit():
    core = Path(__file__).parents[2] / "cellcutter_core"
    for file in core.rglob("*.py"):
        assert "import streamlit" not in file.read_text("utf-8"), file


# Bad input: one line, exit code 2, nothing half-written -----------------------------------------


def flat(tmp_path, value):
    file = tmp_path / "flat.npy"
    np.save(file, np.full((100, 100), value, np.float32))
    return file


def bad_files(tmp_path):
    """Name of the mistake → (file, part of the message)."""
    rng = np.random.default_rng(0)
    noise = rng.normal(100, 10, (100, 100)).astype(np.float32)
    cases = {"missing": (tmp_path / "nowhere.tif", "no such file")}

    def array(name, values, message, **options):
        np.save(tmp_path / f"{name}.npy", values, **options)
        cases[name] = (tmp_path / f"{name}.npy", message)

    array("pickled", np.array([{}]), "", allow_pickle=True)
    array("nan", np.where(noise > 120, np.nan, noise), "NaN")
    array("infinite", np.where(noise > 120, np.inf, noise), "")
    array("constant", np.full((100, 100), 7.0), "constant")
    array("empty", np.zeros((0, 10)), "")
    array("line", np.arange(100.0), "")
    array("five", np.zeros((2, 2, 2, 40, 40)), "")
    array("complex", noise.astype(complex), "")
    array("text", np.array(["a", "b"]), "")
    rows, cols = np.mgrid[:10, :10]
    spot = 1000 * np.exp(-((rows - 5) ** 2 + (cols - 5) ** 2) / 10) + rng.normal(0, 1, (10, 10))
    array("tiny", spot, "an image needs at least half of that")
    (tmp_path / "text.tif").write_text("no image at all")
    cases["no image"] = (tmp_path / "text.tif", "")
    tifffile.imwrite(tmp_path / "whole.tif", noise)
    (tmp_path / "cut.tif").write_bytes((tmp_path / "whole.tif").read_bytes()[:2000])
    cases["truncated"] = (tmp_path / "cut.tif", "")
    return cases


MISTAKES = [
    "missing", "pickled", "nan", "infinite", "constant", "empty", "line", "five", "complex", "text",
    "no image", "truncated", "tiny",
]  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_bad_files(tmp_path, capsys, mistake):
    file, message = bad_files(tmp_path)[mistake]
    out = tmp_path / "out"
    assert message in refused(capsys, "segment", file, "--out", out)
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "crops.size=512", "--preset", "paper"], "an image needs at least half of that"),
        (["--set", "network.channels=8"], "let it start from nothing"),
        (["--epochs", "0"], "at least 1"),
        (["--set", "training.learning_rate=5"], "at most 1"),
        (["--set", "mask.nothing=5"], "no setting called mask.nothing"),
        (["--set", "mask.nothing=null"], "no setting called mask.nothing"),
        (["--set", "training.epochs=null"], "epochs"),
        (["--set", "nonsense"], "NAME=VALUE"),
        (["--cell-channel", "actin"], "fluorescence"),
        (["--nucleus-channel", "17"], "17"),
        (["--set", "mask.automatic=false", "--set", "mask.prior=0.9999999"], "prior"),
        (["--set", "mask.automatic=false", "--set", "mask.prior=0.0000001"], "prior"),
    ],
)
def test_bad_settings(tmp_path, image_file, capsys, arguments, message):
    out = tmp_path / "out"
    assert message in refused(capsys, "segment", image_file, "--out", out, *arguments)
    assert not out.exists()


def test_a_setting_can_be_set_to_none():
    def settings(*given):
        return _config(_parser().parse_args(["segment", *given])).training

    assert settings("--preset", "paper").area == 640
    assert settings("--preset", "paper", "--set", "training.area=null").area is None
    assert settings("--set", "training.clip_norm=null").clip_norm is None


def test_an_output_folder_that_cannot_be_written(tmp_path, image_file, capsys):
    (tmp_path / "file").write_text("")
    message = refused(capsys, "segment", image_file, "--out", tmp_path / "file" / "run")
    assert "cannot write" in message
