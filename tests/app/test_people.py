"""A server for many people: each session without a cookie is a person of its own."""

import pytest
from made_runs import asked, make_run, open_page, shown, words
from opening import at_page

from cellcutter_core.choices.link import parameters_of_run
from cellcutter_core.people.access import note_opened, open_run
from cellcutter_core.people.person import is_secret, person_of
from cellcutter_core.runs.folder import find_run, list_runs
from cellcutter_core.runs.names import run_name
from pages.shared import person, state

__all__ = ["asked"]

pytestmark = pytest.mark.usefixtures("asked")

TAKE_OFF = "runs_take_off"
NOT_RUN = "**This experiment has not been run here.**"


@pytest.fixture(autouse=True)
def for_many(monkeypatch):
    monkeypatch.setenv("CELLCUTTER_PEOPLE", "many")


def keys_of(app):
    return {button.key for button in app.button}


def visitor(app):
    """Who the visitor of a session is."""
    secret = app.session_state[person.SECRET]
    assert is_secret(secret)
    return person_of(secret)


def run_of(owner, name):
    run = make_run(name)
    run.describe(owner=owner)
    return run


def test_two_visitors_are_two_people_and_see_their_own_runs_alone():
    one, other = open_page("runs"), open_page("runs")
    assert visitor(one) != visitor(other)
    run_of(visitor(one), "r1")
    run_of("", "r2")
    assert len(shown(one.run()).dataframe[0].value) == 1
    assert "There is no run yet" in shown(other.run()).info[0].value


def test_a_run_of_another_person_is_opened_by_its_link_and_cannot_be_changed():
    owner = open_page("runs")
    run = run_of(visitor(owner), "r1")
    app = open_page("train", run)
    assert "belongs to another person" in words(app)
    assert "train_stop" not in keys_of(app)
    assert "train_continue" not in keys_of(app)
    assert "train_duplicate" in keys_of(app)
    results = open_page("results", run)
    assert "belongs to another person" in words(results)
    assert "results_delete" not in keys_of(results)
    applied = open_page("apply", run)
    assert "apply_start" not in keys_of(applied)


def test_a_run_opened_by_its_link_is_in_the_list_until_it_is_taken_off():
    owner = open_page("runs")
    run = run_of(visitor(owner), "r1")
    app = open_page("runs", run)
    assert len(app.dataframe[0].value) == 1
    assert "runs_delete" not in keys_of(app)
    assert not app.text_input(key="runs_search").value
    assert not [one for one in app.text_input if one.key.startswith("runs_name")]
    app = shown(app.button(key=TAKE_OFF).click().run())
    assert "There is no run yet" in app.info[0].value
    assert find_run(run.id).id == run.id
    assert len(shown(owner.run()).dataframe[0].value) == 1


def test_a_new_run_belongs_to_the_visitor_who_starts_it(monkeypatch):
    app = open_page("train")
    app = shown(app.button(key="train_start").click().run())
    [summary] = list_runs()[0]
    assert summary.owner == visitor(app)
    assert not find_run(summary.id).is_read_only
    assert app.session_state[state.RUN] == summary.id


def test_an_experiment_of_another_person_opens_for_whoever_has_seen_its_run():
    owner = open_page("runs")
    run = run_of(visitor(owner), "r1")
    told = parameters_of_run(run.description)
    app = at_page("compare")
    app.query_params.update(told)
    assert NOT_RUN in words(shown(app.run()))
    assert state.RUN not in app.session_state
    note_opened(open_run(run.id, visitor(app)), visitor(app))
    again = at_page("compare")
    again.session_state[person.SECRET] = app.session_state[person.SECRET]
    again.query_params.update(told)
    assert "belongs to another person" in words(shown(again.run()))
    assert again.session_state[state.RUN] == run.id
    for_owner = at_page("compare")
    for_owner.session_state[person.SECRET] = owner.session_state[person.SECRET]
    for_owner.query_params.update(told)
    assert "belongs to another person" not in words(shown(for_owner.run()))
    assert for_owner.session_state[state.RUN] == run.id


def test_the_draft_of_another_person_is_copied_when_its_link_is_opened():
    one = shown(at_page("data").run())
    one.session_state[state.DRAFT].save(
        one.session_state[state.CHOICES].with_setting("training", "seed", 7)
    )
    draft = one.session_state[state.DRAFT]
    assert draft.is_own
    other = at_page("data")
    other.query_params["draft"] = draft.id
    shown(other.run())
    copied = other.session_state[state.DRAFT]
    assert other.session_state[state.CHOICES].config.training.seed == 7
    assert copied.id != draft.id
    assert copied.is_own
    assert copied.load().config.training.seed == 7
    assert other.query_params["draft"] == copied.id


def test_a_wrong_word_for_whom_the_server_is_stops_the_app(monkeypatch):
    monkeypatch.setenv("CELLCUTTER_PEOPLE", "few")
    app = open_page("runs")
    assert "CELLCUTTER_PEOPLE is 'few'" in app.error[0].value


def test_where_people_log_in_nothing_is_shown_before(monkeypatch):
    user = {"is_logged_in": False}
    monkeypatch.setattr(person.st, "user", user)
    app = open_page("runs")
    assert [button.label for button in app.button] == ["Log in"]
    user.update(is_logged_in=True, iss="https://id.example", sub="ada")
    app = open_page("runs")
    assert "There is no run yet" in app.info[0].value
    assert app.session_state[person.SECRET] == "https://id.example ada"


def test_a_link_to_a_comparison_shows_both_runs_of_another_person():
    owner = open_page("runs")
    names = ("r1", "r2", "r3")
    first, _, _ = (run_of(visitor(owner), name) for name in names)
    app = at_page("compare")
    app.query_params.update({"run": first.id, "compare": "runs", "with": "r2"})
    app = shown(app.run())
    assert app.selectbox(key="compare_other").value == "r2"
    assert app.selectbox(key="compare_other").options == [run_name(find_run("r2"))]
