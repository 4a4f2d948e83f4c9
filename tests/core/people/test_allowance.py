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
    seconds_of,
)
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


def trained(run, *, seconds, ago=0.0):
    event = {"kind": "epoch", "epoch": 1, "time": time.time() - ago, "seconds": seconds}
    with (run.path / "events.jsonl").open("a") as stream:
        stream.write(json.dumps(event) + "\n")


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
    # The queue asks.
    with pytest.raises(ValueError, match="CELLCUTTER_PERSON_TIME sets it"):
        Jobs().submit(new_run("a"))
    check_time_for("")
