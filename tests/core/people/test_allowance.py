"""How much each person may have on a server for many."""

import json
import time

import numpy as np
import pytest

from cellcutter_core.config import QUICK
from cellcutter_core.jobs.queue import Jobs
from cellcutter_core.people.allowance import (
    DAY,
    check_room_for,
    check_time_for,
    path_for,
    remove_for_good,
    seconds_of,
)
from cellcutter_core.people.person import folder_of
from cellcutter_core.runs.deleted import delete_run, remove_run
from cellcutter_core.runs.folder import new_run_path
from cellcutter_core.runs.store import Run
from cellcutter_core.training.inputs import Inputs

LIMITS = ("CELLCUTTER_PERSON_RUNS", "CELLCUTTER_PERSON_DISK", "CELLCUTTER_PERSON_TIME")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLCUTTER_RUNS", str(tmp_path))
    for name in LIMITS:
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def new_run(owner):
    image = np.zeros((16, 16, 1), np.float32)
    inputs = Inputs(image, np.ones((16, 16), bool), np.array([[8.0, 8.0]]))
    return Run.create(new_run_path(), inputs, QUICK, description={"owner": owner})


def trained(run, *, seconds, ago=0.0, to_the_end=True):
    """Write two steps of an epoch, and its end."""
    about = {"epoch": 1, "time": time.time() - ago}
    events = [{"kind": "step", **about, "step": n, "seconds": seconds / 2} for n in (1, 2)]
    if to_the_end:
        events.append({"kind": "epoch", **about, "seconds": seconds})
    with (run.path / "events.jsonl").open("a") as stream:
        stream.writelines(json.dumps(event) + "\n" for event in events)


def test_the_runs_of_a_person_are_limited_and_those_of_others_do_not_count(monkeypatch):
    monkeypatch.setenv("CELLCUTTER_PERSON_RUNS", "2")
    new_run("a")
    new_run("b")
    path_for("a")
    check_room_for("a", 1)
    with pytest.raises(ValueError, match=r"you have 1 runs, 2 more would be over the 2"):
        check_room_for("a", 2)
    new_run("a")
    with pytest.raises(ValueError, match="CELLCUTTER_PERSON_RUNS sets it"):
        path_for("a")
    path_for("b")
    check_room_for("", 100)
    monkeypatch.setenv("CELLCUTTER_RUN_LIMIT", "4")
    check_room_for("", 1)
    with pytest.raises(ValueError, match="CELLCUTTER_RUN_LIMIT sets it"):
        check_room_for("", 2)


def test_deleted_runs_take_a_persons_disk_until_they_are_removed(monkeypatch):
    run = new_run("a")
    (run.path / "large").write_bytes(bytes(2_000_000))
    monkeypatch.setenv("CELLCUTTER_PERSON_DISK", "2MB")
    with pytest.raises(
        ValueError, match=r"your runs take 2 MB and your uploads 0 bytes of the 2 MB"
    ):
        path_for("a")
    path_for("b")
    delete_run(run.id)
    with pytest.raises(ValueError, match="remove them for good"):
        path_for("a")
    remove_run(run.id)
    path_for("a")


def test_the_training_time_of_the_last_day_is_limited(monkeypatch):
    monkeypatch.setenv("CELLCUTTER_PERSON_TIME", "100")
    run = new_run("a")
    trained(run, seconds=70.0)
    trained(run, seconds=500.0, ago=DAY + 60)
    trained(new_run("b"), seconds=400.0)
    assert seconds_of("a") == 70
    check_time_for("a")
    trained(new_run("a"), seconds=40.0)
    with pytest.raises(ValueError, match=r"24 hours took 110 s, and each person may have 100 s"):
        check_time_for("a")
    # No run is written that could not be queued.
    with pytest.raises(ValueError, match="CELLCUTTER_PERSON_TIME sets it"):
        path_for("a")
    # The queue asks.
    with pytest.raises(ValueError, match="CELLCUTTER_PERSON_TIME sets it"):
        Jobs().submit(new_run("a"))
    check_time_for("")


def test_the_time_of_a_run_counts_after_it_was_stopped_deleted_and_removed(folder):
    run = new_run("a")
    trained(run, seconds=40.0)
    trained(run, seconds=30.0, to_the_end=False)
    run.record("stopped")
    assert seconds_of("a") == 70
    delete_run(run.id)
    assert seconds_of("a") == 70
    remove_for_good(run.id)
    assert not (folder / ".deleted" / run.id).exists()
    assert seconds_of("a") == 70
    assert seconds_of("b") == 0
    trained(new_run("a"), seconds=5.0)
    assert seconds_of("a") == 75


def test_the_time_of_a_removed_run_is_forgotten_after_a_day():
    def removed(seconds):
        run = new_run("a")
        trained(run, seconds=seconds)
        run.record("stopped")
        delete_run(run.id)
        remove_for_good(run.id)
        return run.id

    notes, first = folder_of("a", "removed"), removed(70.0)
    last, seconds = json.loads((notes / first).read_text())
    (notes / first).write_text(json.dumps([last - DAY, seconds]))
    assert seconds_of("a") == 0
    second = removed(20.0)
    assert seconds_of("a") == 20
    assert not (notes / first).exists()
    # A note that is being written counts nothing yet, and a damaged one nothing.
    (notes / f".part-{second}").write_text((notes / second).read_text())
    assert seconds_of("a") == 20
    (notes / second).write_text("{")
    assert seconds_of("a") == 0


def test_a_run_that_was_not_trained_leaves_no_note():
    run = new_run("a")
    delete_run(run.id)
    remove_for_good(run.id)
    assert not folder_of("a", "removed").exists()


def test_steps_of_a_clock_that_was_wrong_do_not_keep_a_person_out():
    run = new_run("a")
    trained(run, seconds=70.0, ago=-400 * DAY)
    trained(run, seconds=30.0, ago=-60)
    assert seconds_of("a") == 30
