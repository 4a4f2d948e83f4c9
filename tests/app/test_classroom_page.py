"""A class: the teacher makes it, students join by its link, and the wall shows their runs."""

import pytest
from made_runs import asked, make_run, open_page, shown, words
from opening import at_page

from cellcutter_core.choices.choices import Choices
from cellcutter_core.people.person import person_of
from cellcutter_core.runs.folder import list_runs
from cellcutter_core.sweeps.classroom import Classroom, list_classes
from cellcutter_core.sweeps.variations import Variation
from pages.shared import person, state

__all__ = ["asked"]

pytestmark = pytest.mark.usefixtures("asked")

VARIED = Variation.parse("training.lam=0.5,2")


@pytest.fixture(autouse=True)
def for_many(monkeypatch):
    monkeypatch.setenv("CELLCUTTER_PEOPLE", "many")


def a_class(variation=VARIED):
    choices = Choices(region=(0, 0, 128, 160)).with_setting("training", "epochs", 3)
    return Classroom.create(choices, variation=variation, title="Monday", owner="teacher")


def join(room, page="train"):
    app = at_page(page)
    app.query_params["class"] = room.id
    return shown(app.run())


def test_a_server_for_one_person_says_what_a_class_needs(monkeypatch):
    monkeypatch.setenv("CELLCUTTER_PEOPLE", "one")
    app = open_page("classroom")
    assert "CELLCUTTER_PEOPLE=many" in app.info[0].value
    assert not app.button


def test_the_teacher_makes_a_class_from_the_current_choices():
    app = open_page("classroom")
    app.text_input(key="classroom_title").set_value("Tuesday")
    app.selectbox(key="classroom_setting_1").set_value("training.lam").run()
    app.text_input(key="classroom_values_1_training.lam").set_value("1, 3, 9")
    app = shown(app.button(key="class_make").click().run())
    [room] = list_classes()
    assert (room.title, room.variation.values) == ("Tuesday", (1, 3, 9))
    assert room.choices.region == (0, 0, 128, 160)
    assert room.owner == person_of(app.session_state[person.SECRET])
    assert app.code[0].value.endswith(f"/data?class={room.id}")
    assert "0 so far. They get lam 1, 3, 9 in turn" in words(app)
    assert "Nobody in this class has started a run yet" in words(app)


def test_values_that_are_not_allowed_make_no_class():
    app = open_page("classroom")
    app.selectbox(key="classroom_setting_1").set_value("training.lam").run()
    app.text_input(key="classroom_values_1_training.lam").set_value("1, -3")
    app = shown(app.button(key="class_make").click().run())
    assert "lam" in app.error[0].value
    assert list_classes() == []


def test_each_student_who_joins_gets_the_next_value_and_trains_for_the_wall():
    room = a_class()
    students = [join(room) for _ in range(3)]
    lams = [app.session_state[state.CHOICES].config.training.lam for app in students]
    assert lams == [0.5, 2.0, 0.5]
    assert "Yours: lam **0.5**" in words(students[0])
    students[1].text_input(key="class_name").set_value("Ada").run()
    for app in students:
        shown(app.button(key="train_start").click().run())
    runs = list_runs()[0]
    assert {run.description.classroom for run in runs} == {room.id}
    assert [run.description.config.training.lam for run in room.wall(runs)] == [0.5, 0.5, 2.0]
    assert room.wall(runs)[2].description.name == "Ada"
    assert len({run.owner for run in runs}) == 3


def test_a_student_without_a_seat_is_told_and_can_use_the_page(monkeypatch):
    room = a_class()

    def full(self, person):
        raise ValueError("this class is full")

    monkeypatch.setattr(Classroom, "choices_for", full)
    app = join(room)
    assert "this class is full" in [error.value for error in app.error]
    assert app.button(key="train_start")


def test_a_reload_keeps_what_a_student_has_changed_since():
    room = a_class()
    app = join(room)
    changed = app.session_state[state.CHOICES].with_setting("training", "seed", 9)
    app.session_state[state.DRAFT].save(changed)
    again = at_page("train")
    again.session_state[person.SECRET] = app.session_state[person.SECRET]
    for name, value in app.query_params.items():
        again.query_params[name] = value
    shown(again.run())
    training = again.session_state[state.CHOICES].config.training
    assert (training.seed, training.lam) == (9, 0.5)
    assert room.n_people == 1


def test_the_wall_shows_all_runs_and_only_the_teacher_may_open_them():
    room = a_class()
    for name, lam in (("r1", 2.0), ("r2", 0.5)):
        config = room.choices.with_setting("training", "lam", lam).config
        make_run(name, config=config).describe(classroom=room.id, owner="a student")
    student = join(room, "classroom")
    assert "2 of 2 runs finished" in student.get("progress")[0].proto.text
    said = words(student)
    assert said.index("lam 0.5") < said.index("lam 2")
    assert "r2: AP75" in said
    links = {link.label for link in student.get("page_link")}
    assert not [label for label in links if "AP75" in label]
    teacher = open_page("classroom")
    file = room.folder / "class.json"
    mine = room.replace(owner=person_of(teacher.session_state[person.SECRET]))
    file.write_text(mine.model_dump_json())
    shown(teacher.run())
    links = {link.label for link in teacher.get("page_link")}
    assert len([label for label in links if "AP75" in label]) == 2


def test_a_link_to_a_class_that_is_gone_says_so():
    room = a_class()
    (room.folder / "class.json").unlink()
    app = join(room)
    assert f"there is no class {room.id} here" in words(app)
    assert app.session_state[state.CHOICES] == Choices()
