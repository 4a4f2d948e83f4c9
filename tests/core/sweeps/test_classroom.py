"""A class: each person gets the next value of a setting, and the wall shows the runs by it."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cellcutter_core.choices.choices import Choices
from cellcutter_core.runs.folder import list_runs, new_run_path
from cellcutter_core.runs.store import Run
from cellcutter_core.sweeps.classroom import Classroom, find_class, list_classes
from cellcutter_core.sweeps.variations import Variation
from cellcutter_core.training.inputs import Inputs

VARIED = Variation.parse("training.lam=0.5,1,2")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLCUTTER_RUNS", str(tmp_path))
    return tmp_path


def new_run(config, classroom=""):
    inputs = Inputs(np.zeros((16, 16, 1), np.float32), np.ones((16, 16), bool), [[8.0, 8.0]])
    return Run.create(new_run_path(), inputs, config, description={"classroom": classroom})


def test_a_class_is_found_again_by_its_id():
    made = Classroom.create(Choices(), variation=VARIED, title=" Monday ", owner="teacher")
    assert find_class(made.id) == made
    assert (made.name, made.owner, made.n_people) == ("Monday", "teacher", 0)
    other = Classroom.create(Choices())
    assert [one.id for one in list_classes()] == [other.id, made.id]
    assert "simulated" in other.name.lower() or "sample" in other.name.lower()


def test_each_person_gets_the_next_value_and_keeps_it():
    made = Classroom.create(Choices(), variation=VARIED)
    values = [made.choices_for(person).config.training.lam for person in "abcd"]
    assert values == [0.5, 1.0, 2.0, 0.5]
    assert [made.choices_for(person).config.training.lam for person in "dcba"] == values[::-1]
    assert made.n_people == 4


def test_who_joined_in_two_tabs_at_once_keeps_the_first_seat():
    room = Classroom.create(Choices(), variation=VARIED)
    seats = room.folder / "seats"
    (seats / "0000").write_text("ann")
    (seats / "0001").write_text("ann")
    assert (room.seat_of("ann"), room.seat_of("ben")) == (0, 2)


def test_without_a_setting_that_varies_all_begin_alike():
    chosen = Choices().with_setting("training", "seed", 5)
    made = Classroom.create(chosen)
    assert made.choices_for("a") == made.choices_for("b") == chosen
    assert made.n_people == 2


def test_thirty_people_who_come_at_once_share_the_values_evenly():
    made = Classroom.create(Choices(), variation=VARIED)
    people = [f"person {number}" for number in range(30)]
    with ThreadPoolExecutor(16) as threads:
        seats = list(threads.map(made.seat_of, people))
    assert sorted(seats) == list(range(30))
    assert [made.seat_of(person) for person in people] == seats
    assert set(Counter(seat % 3 for seat in seats).values()) == {10}


def test_the_wall_has_the_runs_of_the_class_by_the_setting_and_then_by_age():
    made = Classroom.create(Choices(), variation=VARIED)
    lams = [2.0, 0.5, 3.0, 1.0, 0.5]
    runs = [new_run(Choices().with_setting("training", "lam", lam).config, made.id) for lam in lams]
    new_run(Choices().config)
    new_run(Choices().config, Classroom.create(Choices()).id)
    wall = made.wall(list_runs()[0])
    assert [made.value_of(run) for run in wall] == [0.5, 0.5, 1.0, 2.0, 3.0]
    assert [run.id for run in wall[:2]] == [runs[1].id, runs[4].id]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("training.lamb=1,2", "there is no setting called training.lamb"),
        ("training.lam=1,-2", "lam"),
    ],
)
def test_a_setting_that_cannot_vary_is_refused_before_anything_is_written(folder, given, message):
    with pytest.raises(ValueError, match=message):
        Classroom.create(Choices(), variation=Variation.parse(given))
    assert not list(folder.iterdir())


def test_what_is_no_class_is_said(folder):
    with pytest.raises(ValueError, match="is not the id of a run"):
        find_class("../..")
    with pytest.raises(ValueError, match="there is no class nowhere here; ask for its link again"):
        find_class("nowhere")
    made = Classroom.create(Choices())
    (made.folder / "class.json").write_text("{")
    with pytest.raises(ValueError, match="is damaged"):
        find_class(made.id)
    assert list_classes() == []
