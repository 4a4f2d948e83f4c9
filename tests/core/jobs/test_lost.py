"""What a fault leaves is gone on with: each case here was found by `tests/bench/faults.py`."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from test_queue import TINY, left_lock, losses, new_run, status

from cellcutter_core import results
from cellcutter_core.__main__ import main
from cellcutter_core.apply.application_folder import Application
from cellcutter_core.files import _host
from cellcutter_core.jobs import queue
from cellcutter_core.jobs.estimate import speed_of
from cellcutter_core.jobs.kinds import job_at
from cellcutter_core.jobs.training import work
from cellcutter_core.runs import lock
from cellcutter_core.runs.job_folder import NotWritten
from cellcutter_core.runs.store import Run

HERE = socket.gethostname()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    run = new_run(tmp_path_factory.mktemp("finished"), "a")
    work(run)
    return run


@pytest.fixture
def gone():
    """The id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def cut_events(run, gone, *, after):
    """Let the events end with the first for which `after` is true, of a process that is gone."""
    kept = []
    for event in run.events():
        if event["kind"] == "started":
            event["pid"] = gone
        kept.append(json.dumps(event) + "\n")
        if after(event):
            break
    (run.path / "events.jsonl").write_text("".join(kept), "utf-8")


def copy_of(finished, folder):
    subprocess.run(["cp", "-r", str(finished.path), str(folder / "copy")], check=True)
    return Run(folder / "copy")


def test_an_epoch_whose_event_is_lost_is_told_again(finished, tmp_path, gone):
    run = copy_of(finished, tmp_path)
    cut_events(run, gone, after=lambda e: (e.get("epoch"), e.get("step")) == (2, 2))
    with (run.path / "events.jsonl").open("a") as stream:
        stream.write('{"kind": "epoch", "epoch": 2, "lo')
    assert (status(run), run.progress.epochs_done, run.load_state().epochs_done) == (
        "crashed",
        1,
        2,
    )
    work(run)
    ends = [[e["loss"] for e in one.progress.trained_events] for one in (run, finished)]
    assert ends[0] == ends[1]
    assert losses(run) == losses(finished)
    np.testing.assert_array_equal(run.epoch(2).labels, finished.epoch(2).labels)
    assert run.load_state().unfinished == []


def test_a_run_killed_after_its_last_epoch_is_finished_by_going_on(finished, tmp_path, gone):
    run = copy_of(finished, tmp_path)
    cut_events(run, gone, after=lambda e: (e["kind"], e.get("epoch")) == ("epoch", 2))
    assert (status(run), run.progress.n_left) == ("crashed", 0)
    with pytest.raises(ValueError, match="already has 2 epochs"):
        job_at(run.path, epochs=1).check()
    assert job_at(run.path).check() == {"epochs": 2}
    work(run)
    assert (status(run), losses(run)) == ("finished", losses(finished))
    with pytest.raises(ValueError, match="already has 2 epochs"):
        job_at(run.path).check()


def test_what_a_process_left_that_was_killed_at_its_very_end_is_removed(finished, tmp_path, gone):
    run = copy_of(finished, tmp_path)
    before = {file.name for file in run.path.iterdir()}
    part = f".part-{gone}-{_host()}-{'0' * 12}.npz"
    (run.path / part).write_bytes(b"half")
    (run.path / "epochs" / part).write_bytes(b"half")
    (run.path / "lock").write_text(json.dumps({"pid": gone, "host": HERE}))
    run.is_read_only = True
    run.tidy()
    assert {file.name for file in run.path.iterdir()} == before | {part, "lock"}
    run.is_read_only = False
    run.tidy()
    assert {file.name for file in run.path.iterdir()} == before
    assert not (run.path / "epochs" / part).exists()
    with lock.held(run.path):
        run.tidy()
        assert (run.path / "lock").exists()


def test_a_crashed_run_stays_crashed_for_every_machine(finished, tmp_path, gone, monkeypatch):
    run = copy_of(finished, tmp_path)
    cut_events(run, gone, after=lambda e: (e.get("epoch"), e.get("step")) == (2, 2))
    (run.path / "lock").write_text(json.dumps({"pid": gone, "host": HERE}))
    run.tidy()
    assert status(run) == "crashed"
    then = time.time() - 2 * lock.FORGOTTEN_AFTER
    os.utime(run.path / "lock", (then, then))
    os.utime(run.path / "events.jsonl", (then, then))
    monkeypatch.setattr(socket, "gethostname", lambda: "another")
    assert status(run) == "crashed"
    # A copy may come without its lock.
    (run.path / "lock").unlink()
    assert status(run) == "crashed"


def test_what_an_attempt_left_that_was_killed_does_not_enter_the_next_run(finished, tmp_path):
    out = tmp_path / "out"
    (out / "others").mkdir(parents=True)
    for name in ("truth.npz", "start.npz", "others/0001.npz"):
        (out / name).write_bytes(b"of before")
    # Without the inputs and epochs of an attempt, these are somebody's own files.
    Run.create(out, finished.inputs, finished.config)
    assert (out / "others" / "0001.npz").exists()
    (out / "run.json").unlink()
    run = Run.create(out, finished.inputs, finished.config)
    assert (run.truth, run.start, run.others) == (None, None, [])


def test_results_that_were_not_written_are_written_by_continue(finished, tmp_path, capsys):
    run = copy_of(finished, tmp_path)
    assert main(["continue", str(run.path)]) == 0
    assert (run.path / "result.json").exists()
    assert main(["continue", str(run.path)]) == 2
    assert "already has 2 epochs" in capsys.readouterr().err


def test_an_application_killed_after_its_last_image_can_be_finished(tmp_path, gone):
    run = new_run(tmp_path, "a")
    made = Application.create(run, {"x": tmp_path / "x.npz"})
    made.record("started", pid=gone, host=HERE)
    made.record("image", outcome={"name": "x", "image": "x.npz", "seconds": 1.0})
    assert (made.progress.status, made.progress.n_left) == ("crashed", 0)
    assert job_at(made.path).check() == {}
    made.record("finished")
    with pytest.raises(ValueError, match="already done"):
        job_at(made.path).check()


def test_a_run_whose_server_ended_before_it_queued_it_is_left_behind(tmp_path):
    run = new_run(tmp_path, "a")
    assert queue.is_left_behind(run)
    with lock.held(run.path):
        assert not queue.is_left_behind(run)


@pytest.fixture
def fill(monkeypatch):
    """Let every event meet a full disk from now on."""

    def refuse(file, mode="r", **how):
        if file.name == "events.jsonl" and mode == "a":
            raise OSError(28, "No space left on device")
        return usual(file, mode, **how)

    usual = Path.open
    return lambda: monkeypatch.setattr(Path, "open", refuse)


def test_an_event_that_cannot_be_written_is_said_in_one_line(tmp_path, fill):
    run = new_run(tmp_path, "a")
    fill()
    with pytest.raises(NotWritten, match=r"cannot write .*events.jsonl: No space left") as caught:
        work(run)
    assert "\n" not in str(caught.value)
    assert not (run.path / "lock").exists()


def test_the_first_reason_is_told_if_the_failure_cannot_be_recorded(tmp_path, fill):
    run = new_run(tmp_path, "a")

    def fail():
        with run.worked_on():
            fill()
            raise ValueError("the first reason")

    with pytest.raises(ValueError, match="the first reason"):
        fail()


def test_a_lock_that_cannot_be_written_keeps_nobody_out(tmp_path, monkeypatch):
    run = new_run(tmp_path, "a")

    def refuse(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(lock.os, "fdopen", refuse)
        with pytest.raises(ValueError, match="No space left"), lock.held(run.path):
            pass
    with lock.held(run.path):
        pass


def test_a_lock_that_cannot_be_removed_hides_no_error(tmp_path, monkeypatch):
    run = new_run(tmp_path, "a")

    def refuse(*_, **__):
        raise OSError(30, "Read-only file system")

    def fail():
        with lock.held(run.path):
            monkeypatch.setattr(lock.Path, "unlink", refuse)
            raise ValueError("the reason")

    with pytest.raises(ValueError, match="the reason"):
        fail()


def test_a_lock_of_before_the_clock_was_set_back_is_forgotten(tmp_path):
    run = new_run(tmp_path, "a")
    run.record("started", pid=os.getpid(), host=HERE, epochs=2)
    left_lock(run, os.getpid(), HERE, age=-lock.FORGOTTEN_AFTER / 2)
    assert status(run) == "running"
    left_lock(run, os.getpid(), HERE, age=-2 * lock.FORGOTTEN_AFTER)
    assert status(run) == "crashed"
    with lock.held(run.path):
        pass


def test_no_time_is_negative_when_the_clock_is_set_back(tmp_path, monkeypatch):
    run = new_run(tmp_path, "a", TINY)
    clock = iter([1000.0, 1001.0, 500.0, 501.0, 100.0, 50.0])
    monkeypatch.setattr(time, "time", lambda: next(clock))
    run.record("started", pid=os.getpid(), host=HERE, epochs=2)
    run.record("device", device="CPU", n_cells=9)
    for step in (1, 2):
        run.record("step", epoch=1, step=step, seconds=1.0, n_crops=4)
    run.record("epoch", epoch=1, seconds=2.0, n_cells=9)
    monkeypatch.undo()
    assert min(speed_of(run)) >= 0
    assert results.summarise(run)["seconds"] == 2


def test_the_time_between_a_stop_and_the_next_start_is_not_time_of_work(tmp_path, monkeypatch):
    run = new_run(tmp_path, "a", TINY)
    clock = iter([0.0, 5.0, 6.0, 15.0, 15.0, 1000.0, 1010.0, 1020.0])
    monkeypatch.setattr(time, "time", lambda: next(clock))
    run.record("queued", ticket="a")
    run.record("started", pid=os.getpid(), host=HERE, epochs=2)
    run.record("device", device="CPU", n_cells=9)
    run.record("epoch", epoch=1, seconds=2.0, n_cells=9)
    run.record("stopped")
    run.record("queued", ticket="b")
    run.record("started", pid=os.getpid(), host=HERE, epochs=2)
    run.record("finished")
    monkeypatch.undo()
    assert results.summarise(run)["seconds"] == 20
