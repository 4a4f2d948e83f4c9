import json
import os
import re
import socket
import time

import numpy as np
import pytest

from cellcutter_core.config import QUICK, Config
from cellcutter_core.runs.deleted import (
    KEPT_DAYS,
    delete_run,
    deleted_runs,
    remove_run,
    restore_run,
)
from cellcutter_core.runs.folder import (
    find_run,
    list_runs,
    new_run_id,
    new_run_path,
    runs_folder,
    valid_id,
)
from cellcutter_core.runs.lock import held
from cellcutter_core.runs.store import Run
from cellcutter_core.training.inputs import Inputs


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLCUTTER_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def new_run(folder, name, config=QUICK, created=None):
    image = np.arange(6, dtype=np.uint16).reshape(2, 3, 1)
    inputs = Inputs(image, np.eye(2, 3, dtype=bool), np.array([[0.0, 1.5]]))
    run = Run.create(folder / name, inputs, config, description={"image": f"{name}.tif"})
    if created is not None:
        file = run.path / "run.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "created": created}))
    return run


def test_where_runs_are(monkeypatch, tmp_path):
    assert runs_folder() == tmp_path / "runs"
    monkeypatch.setenv("CELLCUTTER_RUNS", "")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert runs_folder().name == "runs"
    assert "cellcutter" in runs_folder().parts


def test_ids_sort_by_time_and_differ(monkeypatch, folder):
    ids = {new_run_id() for _ in range(200)}
    assert len(ids) == 200
    assert all(re.fullmatch(r"\d{8}-\d{6}-[2-9a-z]{13}", run_id) for run_id in ids)
    monkeypatch.setattr("time.gmtime", lambda: (2026, 9, 3, 4, 5, 6, 0, 1, 0))
    earlier = new_run_id()
    assert earlier.startswith("20260903-040506-")
    monkeypatch.setattr("time.gmtime", lambda: (2026, 10, 1, 0, 0, 0, 0, 1, 0))
    assert earlier < new_run_id()
    assert new_run_path().parent == folder


def test_a_run_is_found_by_its_id(folder):
    run = new_run(folder, new_run_id())
    assert find_run(run.path.name).path == run.path


@pytest.mark.parametrize(
    "wrong",
    [
        "", ".", "..", "../secret", "a/b", "a\\b", "/etc", "~", "a\0", "a\n", "-rf", ".hidden",
        "a.b", "é", "١", "x" * 65, None, 7, ["a"],
    ],
)  # fmt: skip
def test_what_is_no_id_leads_nowhere(folder, wrong):
    outside = new_run(folder.parent, "secret")
    for function in (find_run, delete_run, valid_id):
        with pytest.raises(ValueError, match=r"is not the id of a run; .* Choose a run") as caught:
            function(wrong)
        assert "\n" not in str(caught.value)
    assert outside.path.exists()


def test_what_is_not_there(folder):
    with pytest.raises(ValueError, match="there is no run 20260101-000000-abcde; it"):
        find_run("20260101-000000-abcde")
    with pytest.raises(ValueError, match="there is no run gone"):
        delete_run("gone")
    assert list_runs() == ([], 0)


def test_the_list_is_newest_first_and_counts_what_is_damaged(folder):
    old = new_run(folder, "b-old", created=100.0)
    new = new_run(folder, "a-new", Config(), created=200.0)
    (folder / "torn").mkdir()
    (folder / "torn" / "run.json").write_text("{")
    (folder / "not-yet-a-run").mkdir()
    (folder / ".deleted-x").mkdir()
    (folder / "file.txt").write_text("")
    old.record("started", pid=os.getpid(), host=socket.gethostname(), epochs=3)
    old.record("step", epoch=1, step=1)
    old.record("epoch", epoch=1, seconds=2.5, collapsed=True, scores={"ap50": 0.5})
    runs, n_damaged = list_runs()
    assert [run.id for run in runs] == ["a-new", "b-old"]
    assert n_damaged == 1
    first, second = runs
    assert (first.status, first.description.config.preset, first.epochs_done, first.epochs) == (
        "queued",
        "paper",
        0,
        30,
    )
    assert (first.scores, first.description.image, first.description.created) == (
        None,
        "a-new.tif",
        200.0,
    )
    assert (second.status, second.description.config.preset) == ("running", "quick")
    assert (second.epochs_done, second.epochs) == (1, 3)
    assert (second.seconds, second.collapsed, second.scores) == (2.5, True, {"ap50": 0.5})
    # What is listed is what is now, whatever was listed before.
    old.record("finished")
    new.record("started", pid=2**22 + 1, host=socket.gethostname())
    assert [run.status for run in list_runs()[0]] == ["crashed", "finished"]


def test_a_run_at_epoch_0_has_no_epoch_and_no_score_in_the_list(folder):
    run = new_run(folder, "a")
    run.record("started", pid=os.getpid(), host=socket.gethostname(), epochs=3)
    run.record("epoch", epoch=0, miou=None, scores={"ap50": 0.9})
    (summary,), _ = list_runs()
    assert (summary.epochs_done, summary.seconds, summary.scores) == (0, 0, None)
    run.record("epoch", epoch=1, seconds=2.5, scores={"ap50": 0.5})
    (summary,), _ = list_runs()
    assert (summary.epochs_done, summary.scores) == (1, {"ap50": 0.5})


def test_a_process_that_ends_without_a_word_is_noticed(folder, monkeypatch):
    run = new_run(folder, "a")
    run.record("started", pid=os.getpid(), host=socket.gethostname())
    assert list_runs()[0][0].status == "running"
    monkeypatch.setattr("cellcutter_core.runs.lock.process_exists", lambda pid: False)
    assert list_runs()[0][0].status == "crashed"


def test_a_finished_run_is_read_once(folder, monkeypatch):
    run = new_run(folder, "a")
    run.record("finished")
    list_runs()
    monkeypatch.setattr(Run, "events", lambda self: pytest.fail("it was read again"))
    assert list_runs()[0][0].status == "finished"


def test_a_deleted_run_is_brought_back_with_all_that_was_in_it(folder):
    run = new_run(folder, "a")
    new_run(folder, "b")
    run.record("finished")
    before = {file: file.read_bytes() for file in run.path.rglob("*") if file.is_file()}
    delete_run("a")
    assert [one.id for one in list_runs()[0]] == ["b"]
    with pytest.raises(ValueError, match=r"run a was deleted; it can be brought back .* Runs"):
        find_run("a")
    with pytest.raises(ValueError, match="there is no run a; it has been deleted already"):
        delete_run("a")
    assert [one.id for one in deleted_runs()] == ["a"]
    restore_run("a")
    assert {one.id for one in list_runs()[0]} == {"a", "b"}
    after = {file: file.read_bytes() for file in run.path.rglob("*") if file.is_file()}
    assert after == before
    assert deleted_runs() == []
    with pytest.raises(ValueError, match="no longer exists"):
        restore_run("a")


def test_what_waited_for_its_turn_is_stopped_when_it_was_deleted(folder):
    run = new_run(folder, "a")
    run.record("queued", epochs=3)
    delete_run("a")
    restore_run("a")
    assert find_run("a").progress.status == "stopped"


def test_deleted_runs_are_removed_for_good_by_hand_and_after_some_days(folder):
    for name in ("a", "b", "c", "d"):
        new_run(folder, name)
    # A damaged one is deleted as well.
    (folder / "d" / "run.json").write_text("{")
    delete_run("d")
    delete_run("a")
    delete_run("b")
    assert [one.id for one in deleted_runs()] == ["b", "a"]
    remove_run("b")
    assert [one.id for one in deleted_runs()] == ["a"]
    for aside in (folder / ".deleted").iterdir():
        os.utime(aside, (0, time.time() - KEPT_DAYS * 86_400 - 60))
    delete_run("c")
    assert [file.name for file in (folder / ".deleted").iterdir()] == ["c"]


def test_a_run_is_not_brought_back_over_another_one(folder):
    new_run(folder, "a")
    delete_run("a")
    new_run(folder, "a")
    with pytest.raises(ValueError, match="there is already a run a"):
        restore_run("a")


def test_a_running_run_is_not_deleted(folder):
    run = new_run(folder, "a")
    run.record("started", pid=os.getpid(), host=socket.gethostname())
    with pytest.raises(ValueError, match="run a is still running; stop it first"):
        delete_run("a")
    # Nor one that is about to say that it has started.
    starting = new_run(folder, "b")
    with held(starting.path), pytest.raises(ValueError, match="is working on the run"):
        delete_run("b")
    assert find_run("a").inputs.mask.shape == find_run("b").inputs.mask.shape == (2, 3)
