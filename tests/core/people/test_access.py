"""On a server for many, a person changes their own runs and looks at those of opened links."""

import numpy as np
import pytest

from cellcutter_core.apply.application_folder import Application
from cellcutter_core.config import QUICK
from cellcutter_core.people.access import (
    forget_opened,
    is_own,
    note_opened,
    open_run,
    visible,
)
from cellcutter_core.people.person import noted, person_of
from cellcutter_core.runs.corrections import Correction, keep_corrections
from cellcutter_core.runs.folder import list_runs, new_run_path
from cellcutter_core.runs.store import Run
from cellcutter_core.training.inputs import Inputs


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLCUTTER_RUNS", str(tmp_path))
    return tmp_path


@pytest.fixture
def people():
    return person_of("one"), person_of("other")


def new_run(owner):
    image = np.zeros((16, 16, 1), np.float32)
    inputs = Inputs(image, np.ones((16, 16), bool), np.array([[8.0, 8.0]]))
    return Run.create(new_run_path(), inputs, QUICK, description={"owner": owner})


def ids(runs):
    return {run.id for run in runs}


def test_a_person_sees_their_own_runs_and_those_whose_link_they_opened(people):
    one, other = people
    mine, theirs, nobodys = new_run(one), new_run(other), new_run("")
    runs = list_runs()[0]
    assert ids(visible(runs, one)) == {mine.id}
    assert ids(visible(runs, "")) == {mine.id, theirs.id, nobodys.id}
    opened = open_run(theirs.id, one)
    note_opened(opened, one)
    note_opened(open_run(mine.id, one), one)
    assert noted(one, "opened") == [theirs.id]
    assert ids(visible(runs, one)) == {mine.id, theirs.id}
    assert ids(run for run in runs if is_own(run.owner, one)) == {mine.id}
    assert ids(visible(runs, other)) == {theirs.id}
    forget_opened(theirs.id, one)
    forget_opened(theirs.id, one)
    assert ids(visible(list_runs()[0], one)) == {mine.id}


def test_a_server_for_one_person_may_do_everything(people):
    assert is_own(people[0], "")
    assert is_own("", "")
    assert not is_own("", people[0])
    run = open_run(new_run(people[0]).id, "")
    assert not run.is_read_only
    run.describe(name="mine now")
    note_opened(run, "")


CHANGES = {
    "describe": lambda run: run.describe(name="taken"),
    "record": lambda run: run.record("stopped"),
    "stop": lambda run: run.ask_to_stop(),
    "forget the stop": lambda run: run.forget_stop(),
    "correct": lambda run: keep_corrections(run, 0, [Correction(kind="delete", cells=(1,))]),
    "apply": lambda run: Application.create(run, {"a": run.path / "a.tif"}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_run_of_another_person_does_not_change(people, change):
    one, other = people
    run = open_run(new_run(other).id, one)
    before = {file: file.read_bytes() for file in run.path.rglob("*") if file.is_file()}
    with pytest.raises(ValueError, match="belongs to another person"):
        CHANGES[change](run)
    after = {file: file.read_bytes() for file in run.path.rglob("*") if file.is_file()}
    assert after == before
    # Its owner may.
    CHANGES[change](open_run(run.id, other))
