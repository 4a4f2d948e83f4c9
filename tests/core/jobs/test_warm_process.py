"""The process that is ready before a training is started."""

import os
import subprocess
import sys

import numpy as np
import pytest
from patience import LONGEST, until

from cellcutter_core.config import QUICK
from cellcutter_core.jobs import job_task
from cellcutter_core.jobs import warm_process as spare
from cellcutter_core.jobs.queue import Jobs
from cellcutter_core.jobs.warm_process import Spare
from cellcutter_core.runs.store import Run
from cellcutter_core.training.inputs import Inputs

# Says what it runs on, and what it was told.
FAKE = """
import json, os, sys
from cellcutter_core.jobs.warm_process import wait_for_work
def load():
    print("noise")
    open(os.environ["LOADED"], "a").write("x")
    return "CPU (a, 1 core)"
told = wait_for_work(load)
print("told", told, flush=True)
print("trouble", file=sys.stderr)
"""


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    """A file with a letter for each process that was loaded."""
    monkeypatch.setenv("LOADED", str(tmp_path / "loaded"))
    monkeypatch.setattr(spare, "spare_command", lambda: [sys.executable, "-c", FAKE])
    return tmp_path / "loaded"


@pytest.fixture
def ready():
    """One that leaves no process behind."""
    made = Spare()
    yield made
    made.close()


def test_the_device_is_asked_for_once(loaded, ready):
    # It does not wait for the answer.
    assert ready.known() is None
    until(ready.known)
    assert [ready.known() for _ in range(3)] == ["CPU (a, 1 core)"] * 3
    assert loaded.read_text() == "x"
    assert ready.problem is None


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ([sys.executable, "-c", "import sys; sys.exit('a line\\nno module keras')"], "no module k"),
        ([sys.executable, "-c", ""], "exit code 0"),
        (["/nowhere/python"], "No such file"),
    ],
)
def test_a_device_that_cannot_be_found_out(monkeypatch, tmp_path, ready, command, reason):
    monkeypatch.setattr(spare, "spare_command", lambda: command)
    ready.known()
    until(lambda: ready.problem)
    assert reason in ready.problem
    assert "\n" not in ready.problem
    assert ready.known() is None
    assert ready.take("run", tmp_path / "log") is None


def test_a_process_that_takes_too_long_to_load_is_ended_and_that_is_said(monkeypatch, ready):
    sleeping = [sys.executable, "-c", f"import time; time.sleep({LONGEST})"]
    monkeypatch.setattr(spare, "spare_command", lambda: sleeping)
    monkeypatch.setattr(spare, "PATIENCE", 0.5)
    ready.known()
    until(lambda: ready.problem)
    said = "the device could not be found out: loading took more than 0.5 s; the machine is busy, "
    assert ready.problem == said + "trainings start all the same"


def test_a_device_that_was_not_found_out_is_known_when_the_next_process_is_loaded(
    monkeypatch, tmp_path, ready, loaded
):
    command = spare.spare_command
    monkeypatch.setattr(spare, "spare_command", lambda: [sys.executable, "-c", ""])
    ready.known()
    until(lambda: ready.problem)
    # A training takes it, in vain; when that has ended the next one is loaded.
    assert ready.take("run", tmp_path / "log") is None
    monkeypatch.setattr(spare, "spare_command", command)
    monkeypatch.setattr(spare, "PAUSE", 0.0)
    ready.done()
    until(ready.known)
    assert ready.problem is None


def test_it_is_told_once_and_prints_into_the_log(loaded, tmp_path, ready):
    log = tmp_path / "log.txt"
    log.write_text("before\n")
    assert ready.take("run", log) is None
    # Whoever comes before it is loaded waits for that, and not for the pause.
    ready.start(after=1000)
    child = ready.take("/a run", log)
    assert ready.take("/another", log) is None
    assert child.wait(LONGEST) == 0
    assert log.read_text().splitlines() == ["before", "told ['/a run']", "trouble"]


def test_none_is_loaded_while_the_last_one_trains(loaded, tmp_path, monkeypatch, ready):
    monkeypatch.setattr(spare, "PAUSE", 0.0)
    ready.done()
    ready.start()
    child = ready.take("run", tmp_path / "log")
    ready.start()
    assert ready.take("run", tmp_path / "log") is None
    child.wait(LONGEST)
    ready.done()
    assert ready.take("run", tmp_path / "log").wait(LONGEST) == 0
    assert loaded.read_text() == "xx"


def test_one_that_has_ended_is_replaced(loaded, tmp_path, ready):
    ready.start()
    until(ready.known)
    # As after a long time in which nobody needed it.
    ready._loading._process.kill()
    until(lambda: ready._loading.has_ended)
    assert ready.take("run", tmp_path / "log") is None
    ready.done()
    ready.start()
    assert ready.take("run", tmp_path / "log").wait(LONGEST) == 0


def test_it_ends_with_its_server(loaded):
    program = (
        "import time\n"
        "from cellcutter_core.jobs import warm_process as spare\n"
        f"spare.spare_command = lambda: {[sys.executable, '-c', FAKE]!r}\n"
        "spare.SPARE.start()\n"
        "while not spare.SPARE.known(): time.sleep(0.02)\n"
        "print(spare.SPARE._loading._process.pid)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    pid = int(done.stdout)

    def gone():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return False

    until(gone)


def test_a_run_is_trained_in_it(tmp_path, monkeypatch, ready):
    """The real process, which says what it runs on and becomes the worker of a run."""
    monkeypatch.setenv("CELLCUTTER_RUNS", str(tmp_path))
    monkeypatch.setattr(job_task, "SPARE", ready)
    monkeypatch.setattr(job_task, "child_command", lambda *_: ["/nowhere/python"])
    monkeypatch.setattr(spare, "PAUSE", 1000.0)
    config = QUICK.replace(
        crops=QUICK.crops.replace(size=16, sigma=5),
        network=QUICK.network.replace(start="nothing", channels=4, depth=3, normalisation="none"),
        training=QUICK.training.replace(epochs=1, steps=2, crops=4, precision="float32"),
    )
    image = np.random.default_rng(0).random((48, 48, 1), np.float32)
    points = np.stack(np.mgrid[8:40:14, 8:40:14], -1).reshape(-1, 2).astype(float)
    mask = np.ones((48, 48), bool)
    mask[:, :4] = False
    run = Run.create(tmp_path / "r", Inputs(image, mask, points), config)
    ready.start()
    Jobs().submit(run)
    until(lambda: run.progress.status not in ("queued", "running"))
    assert run.progress.status == "finished", run.progress.message
    # The process itself ends a little later.
    until(lambda: not job_task._running_here)
    assert list(run.epochs) == [0, 1]
    pids = {event["pid"] for event in run.events() if event["kind"] == "started"}
    assert len(pids) == 1
    assert ready.known() == next(e["device"] for e in run.events() if e["kind"] == "device")
