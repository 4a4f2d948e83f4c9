"""A sweep is written, stopped, continued and compared."""

import csv
import io
import json
import shutil
import socket
import subprocess
import sys
import time

import pytest
from patience import LONGEST

from cellcutter_core.config import FROM_NOTHING, QUICK, NetworkSettings
from cellcutter_core.images.regions import cut_out
from cellcutter_core.jobs.queue import Jobs
from cellcutter_core.runs.store import Run
from cellcutter_core.simulation.sample import sample
from cellcutter_core.sweeps.running import digest_of, execute, writer
from cellcutter_core.sweeps.sweep import FILE, REFUSED, Sweep
from cellcutter_core.sweeps.variations import Variation

VARIED = [Variation.parse("training.lam=0.5,1"), Variation.parse("training.seed=0,1")]
BASE = QUICK.replace(training=QUICK.training.replace(epochs=1, steps=1, precision="float32"))


@pytest.fixture(scope="module")
def image():
    return cut_out(sample(), (0, 0, 128, 128))


@pytest.fixture
def sweep(tmp_path, image):
    made = Sweep.create(tmp_path / "sweep", BASE, VARIED, image=image.name)
    list(made.write_runs(writer(image)))
    return made


def trained(run, *, ap75):
    """Write what a training of one epoch says."""
    run.record("started", pid=1, host="here", epochs=1)
    scores = {"ap50": 0.9, "ap75": ap75}
    run.record("epoch", epoch=1, seconds=2.0, loss=-3.0, n_cells=5, scores=scores)
    run.record("finished")


def test_each_combination_has_a_run_with_its_settings(sweep):
    found = [Run(sweep.path_of(member)).config.training for member in sweep.about.members]
    assert [(one.lam, one.seed) for one in found] == [(0.5, 0), (0.5, 1), (1, 0), (1, 1)]
    assert {row.status for row in sweep.rows()} == {"queued"}


def test_mask_and_markers_are_found_once_for_settings_of_training(tmp_path, image, monkeypatch):
    from cellcutter_core import pipeline

    found, prepare = [], pipeline.prepare

    def counted(*given, **more):
        found.append(given)
        return prepare(*given, **more)

    monkeypatch.setattr(pipeline, "prepare", counted)
    made = Sweep.create(tmp_path / "sweep", BASE, VARIED)
    assert len(list(made.write_runs(writer(image)))) == 4
    assert len(found) == 1
    masks = Variation.parse("mask.prior=0.85,0.9")
    base = BASE.replace(mask=BASE.mask.replace(automatic=False))
    made = Sweep.create(tmp_path / "masks", base, [masks, VARIED[1]])
    runs = list(made.write_runs(writer(image)))
    assert len(found) == 3
    areas = [run.inputs.mask.mean() for run in runs]
    assert areas[0] == areas[1] < areas[2] == areas[3]


def test_settings_that_make_no_run_are_refused_and_the_others_are_made(tmp_path, image):
    base = BASE.replace(mask=BASE.mask.replace(automatic=False))
    made = Sweep.create(tmp_path / "sweep", base, [Variation.parse("mask.prior=0.9,0.999999")])
    assert len(list(made.write_runs(writer(image)))) == 1
    good, bad = Sweep(made.folder).rows()
    assert (good.status, bad.status) == ("queued", "refused")
    assert "the mask covers every pixel" in bad.message
    assert "refused: the mask covers" in made.line_of(bad)
    assert list(csv.DictReader(io.StringIO(made.as_csv())))[1]["message"] == bad.message


@pytest.mark.parametrize("damage", ["[1, 2]", '["a"]', "null", "{"])
def test_a_damaged_list_of_what_was_refused_hides_no_run(sweep, damage):
    (sweep.folder / REFUSED).write_text(damage)
    assert [row.status for row in sweep.rows()] == ["queued"] * 4


def test_a_lost_run_is_written_again_and_the_others_stay(sweep, image):
    lost = sweep.path_of(sweep.about.members[2])
    shutil.rmtree(lost)
    assert [row.status for row in sweep.rows()][2] == "missing"
    kept = [(sweep.path_of(m) / "inputs.npz").stat().st_mtime_ns for m in sweep.about.members[:2]]
    list(sweep.write_runs(writer(image)))
    assert (lost / "run.json").exists()
    after = [(sweep.path_of(m) / "inputs.npz").stat().st_mtime_ns for m in sweep.about.members[:2]]
    assert after == kept


def test_the_table_has_a_line_for_each_run_and_the_best_is_that_with_the_highest_score(sweep):
    for member, ap75 in zip(sweep.about.members[:3], (0.4, 0.6, 0.5), strict=True):
        trained(Run(sweep.path_of(member)), ap75=ap75)
    lines = list(csv.DictReader(io.StringIO(sweep.as_csv())))
    assert [line["training.lam"] for line in lines] == ["0.5", "0.5", "1", "1"]
    assert [line["ap75"] for line in lines] == ["0.4", "0.6", "0.5", ""]
    assert [line["status"] for line in lines] == ["finished"] * 3 + ["queued"]
    assert lines[0]["loss"] == "-3.0"
    assert lines[0]["seconds"] == "2.0"
    best = sweep.best()
    assert best is not None
    assert best.values == (0.5, 1)
    assert "lam 0.5, seed 1: AP50 0.900, AP75 0.600" in sweep.line_of(best)


def test_without_truth_there_is_no_best_because_losses_cannot_be_compared(sweep):
    run = Run(sweep.path_of(sweep.about.members[0]))
    run.record("epoch", epoch=1, seconds=2.0, loss=-3.0, n_cells=5)
    run.record("finished")
    assert sweep.best() is None


def test_another_sweep_is_not_continued_in_the_same_folder(sweep):
    name = sweep.about.image
    sweep.check_same(BASE, VARIED, image=name, inputs="")
    with pytest.raises(ValueError, match="other settings or other values"):
        sweep.check_same(BASE, VARIED[:1], image=name, inputs="")
    small = sample((64, 64), seed=1).with_roles(nucleus="none")
    known = digest_of(small)
    other = Sweep.create(sweep.folder / "of", BASE, VARIED, image=name, inputs=known)
    other.check_same(BASE, VARIED, image=name, inputs=known)
    for another in (cut_out(small, (0, 0, 32, 64)), small.with_roles(nucleus=1)):
        with pytest.raises(ValueError, match="has another image, region, channels, pixel size"):
            other.check_same(BASE, VARIED, image=name, inputs=digest_of(another))
    with pytest.raises(ValueError, match="already a sweep"):
        Sweep.create(sweep.folder, BASE, VARIED)


def test_a_folder_without_a_sweep_a_damaged_and_a_newer_one_say_so(tmp_path, sweep):
    with pytest.raises(ValueError, match="is not a sweep"):
        Sweep(tmp_path)
    file = sweep.folder / FILE
    said = json.loads(file.read_text())
    file.write_text(json.dumps({**said, "format": 99}))
    with pytest.raises(ValueError, match="newer version"):
        Sweep(sweep.folder)
    file.write_text("{")
    with pytest.raises(ValueError, match="cannot be read"):
        Sweep(sweep.folder)


def test_the_id_of_a_run_cannot_lead_out_of_the_folder(sweep):
    file = sweep.folder / FILE
    said = json.loads(file.read_text())
    said["members"][0]["run"] = "../../elsewhere"
    file.write_text(json.dumps(said))
    with pytest.raises(ValueError, match="is not the id of a run"):
        Sweep(sweep.folder).rows()


@pytest.mark.parametrize("is_taken_over", [True, False])
def test_a_crashed_run_is_waited_for_while_it_has_a_task(sweep, is_taken_over):
    """Another worker of a cluster takes it over, unless the task is lost as well."""
    lost, *others = [Run(sweep.path_of(member)) for member in sweep.about.members]
    for run in others:
        trained(run, ap75=0.5)
    ended_before = subprocess.Popen([sys.executable, "-c", ""])
    ended_before.wait()
    lost.record("started", pid=ended_before.pid, host=socket.gethostname(), epochs=1)
    assert lost.progress.status == "crashed"
    n_asked = 0

    class OneTask:
        def position(self, run):
            return 1

        def has_task(self, run):
            nonlocal n_asked
            n_asked += 1
            if n_asked == 2 and is_taken_over:
                trained(run, ap75=0.6)
            return n_asked < 3

        def cancel(self, run):
            raise AssertionError("it hangs")

    ended, end = [], time.monotonic() + LONGEST
    execute(sweep, OneTask(), ended=ended.append, stop=lambda: time.monotonic() > end)
    assert [row.status for row in ended] == ["finished" if is_taken_over else "crashed"]
    assert n_asked == (2 if is_taken_over else 3)


def test_a_stopped_sweep_goes_on_where_it_was(tmp_path, image, monkeypatch):
    """With a network that is as small as can be; each run has a process of its own."""
    base = FROM_NOTHING.replace(
        crops=FROM_NOTHING.crops.replace(size=32, cell_size=16),
        network=NetworkSettings(depth=3, channels=4, normalisation="none"),
        training=BASE.training.replace(check_markers=False, crops=8, crops_at_once=8),
    )
    sweep = Sweep.create(tmp_path / "sweep", base, [Variation.parse("training.seed=0,1,2")])
    list(sweep.write_runs(writer(image)))
    monkeypatch.setenv("CELLCUTTER_RUNS", str(sweep.folder))
    ended, jobs = [], Jobs()
    # Stopped as soon as the first run has ended.
    execute(sweep, jobs, ended=ended.append, stop=lambda: bool(ended))
    statuses = [row.status for row in sweep.rows()]
    assert statuses[0] == "finished"
    assert statuses[-1] == "stopped"
    assert len(ended) == 3
    first = (sweep.path_of(sweep.about.members[0]) / "events.jsonl").read_text()
    end = time.monotonic() + LONGEST
    execute(Sweep(sweep.folder), jobs, ended=ended.append, stop=lambda: time.monotonic() > end)
    rows = sweep.rows()
    assert [row.status for row in rows] == ["finished"] * 3
    assert all(row.ap75 is not None and row.epochs_done == 1 for row in rows)
    assert (sweep.path_of(sweep.about.members[0]) / "events.jsonl").read_text() == first
