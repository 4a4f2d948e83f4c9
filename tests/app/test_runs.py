"""The page Runs: found, opened, named, compared, deleted and brought back."""

import json
import time
from pathlib import Path

import pytest
from made_runs import asked, make_run, open_page, shown, words

from cellcutter_core.apply.application_folder import Application
from cellcutter_core.config import PAPER
from cellcutter_core.runs.deleted import delete_run
from cellcutter_core.runs.folder import find_run, list_runs
from pages.parts.runs.run_table import PER_PAGE, matching
from pages.shared.caching import cached_runs

__all__ = ["asked"]

pytestmark = pytest.mark.usefixtures("asked")


def rows(app):
    """The table as a list of dictionaries."""
    return app.dataframe[0].value.to_dict("records")


def search(app, text):
    return shown(app.text_input(key="runs_search").set_value(text).run())


def has(app, key):
    return bool([one for one in app.button if one.key == key])


def test_without_runs_the_page_says_where_to_start_one():
    app = open_page("runs")
    assert "There is no run yet" in app.info[0].value
    assert not app.dataframe


def test_each_run_has_a_line_with_picture_settings_status_and_scores():
    make_run("r1")
    make_run("r2", config=PAPER, end="failed")
    found = {row["run"][:2]: row for row in rows(open_page("runs"))}
    assert found["r1"]["settings"].startswith("quick, 3 epochs")
    assert found["r2"]["settings"].startswith("paper, 3 epochs")
    assert (found["r1"]["status"], found["r2"]["status"]) == ("finished", "failed")
    assert found["r1"]["ap75"] == pytest.approx(list_runs()[0][0].scores["ap75"])
    assert all(row["picture"].startswith("data:image/jpeg") for row in found.values())


def test_another_run_is_opened():
    first, second = make_run("r1"), make_run("r2")
    app = search(open_page("runs", first), "r2")
    app = shown(app.button(key="runs_open").click().run())
    assert app.session_state["run"] == second.path.name
    assert "Run r2" in words(app)


def test_a_run_gets_a_name_a_note_and_a_star_which_can_be_searched():
    make_run("r1")
    make_run("r2")
    app = search(open_page("runs"), "r1")
    app = shown(app.text_input(key="runs_name_r1").set_value("Strong overlap").run())
    app = shown(app.text_input(key="runs_note_r1").set_value("too many cells").run())
    app = shown(app.toggle(key="runs_star_r1").set_value(True).run())
    about = find_run("r1").description
    assert (about.name, about.note, about.starred) == ("Strong overlap", "too many cells", True)
    (row,) = rows(search(app, "OVERLAP many"))
    assert (row["name"], row["note"], row["starred"]) == ("Strong overlap", "too many cells", "★")
    app = search(app, "")
    assert len(rows(app)) == 2
    app = shown(app.toggle(key="runs_starred").set_value(True).run())
    assert len(rows(app)) == 1
    assert "No run matches" in search(app, "nothing like it").info[0].value


def test_what_another_tab_wrote_of_a_run_stays():
    make_run("r1")
    make_run("r2")
    one, other = search(open_page("runs"), "r1"), search(open_page("runs"), "r1")
    shown(other.text_input(key="runs_name_r1").set_value("Named elsewhere").run())
    one = shown(one.toggle(key="runs_star_r1").set_value(True).run())
    about = find_run("r1").description
    assert (about.name, about.starred) == ("Named elsewhere", True)
    assert one.text_input(key="runs_name_r1").value == "Named elsewhere"


def test_the_order_is_by_score_and_the_status_filters():
    make_run("r1", epochs=(0, 1))
    make_run("r2", epochs=(0, 1, 2, 3))
    make_run("r3", end="failed")
    app = open_page("runs")
    app = shown(app.selectbox(key="runs_order").set_value("highest AP75 first").run())
    scores = [row["ap75"] for row in rows(app)]
    assert scores == sorted(scores, reverse=True)
    app = shown(app.selectbox(key="runs_status").set_value("failed").run())
    assert [row["run"][:2] for row in rows(app)] == ["r3"]


def test_a_duplicate_takes_the_choices_of_a_run_to_the_page_train():
    run = make_run("r1", config=PAPER)
    app = open_page("runs", make_run("r2"))
    app = shown(search(app, "r1").button(key="runs_duplicate").click().run())
    assert app.session_state["choices"].config == run.config
    assert app.title[0].value == "Train"


def test_the_open_run_is_what_is_deleted_and_undo_brings_it_back():
    run = make_run("r1")
    make_run("r2")  # By somebody else, and newer.
    app = open_page("runs", run)
    assert app.button(key="runs_delete").label == "Delete the open run"
    app = shown(app.button(key="runs_delete").click().run())
    assert [summary.id for summary in list_runs()[0]] == ["r2"]
    assert app.session_state["run"] is None
    assert not app.error
    app = shown(app.button(key="runs_undelete").click().run())
    assert {summary.id for summary in list_runs()[0]} == {"r1", "r2"}
    assert app.session_state["run"] == "r1"
    assert not has(app, "runs_undelete")


def test_another_run_is_deleted_and_brought_back_on_a_later_visit():
    make_run("r1")
    app = search(open_page("runs", make_run("r2")), "r1")
    assert app.button(key="runs_delete").label == "Delete this run"
    app = shown(app.button(key="runs_delete").click().run())
    assert app.session_state["run"] == "r2"
    later = open_page("runs", find_run("r2"))
    assert not has(later, "runs_undelete")
    later = shown(later.button(key="runs_restore").click().run())
    assert {summary.id for summary in list_runs()[0]} == {"r1", "r2"}
    assert later.session_state["run"] == "r2"


def test_the_run_that_was_shown_is_deleted_although_another_one_came_before_the_click(asked):
    make_run("r1")
    app = search(open_page("runs", make_run("r2")), "r1")
    make_run("r1b")
    waits = Application.create(find_run("r1"), {"a": Path("a.npz")})
    app = shown(app.button(key="runs_delete").click().run())
    assert {summary.id for summary in list_runs()[0]} == {"r1b", "r2"}
    assert app.session_state["run"] == "r2"
    # What waited in it would otherwise wait for ever, once it is brought back.
    assert asked == [("cancel", waits.path.name, {})]


def test_the_only_run_is_deleted_and_removed_for_good():
    app = open_page("runs", make_run("r1"))
    app = shown(app.button(key="runs_delete").click().run())
    app = shown(app.button(key="runs_remove").click().run())
    assert not has(app, "runs_undelete")
    assert not has(app, "runs_restore")
    assert not app.error


def test_a_run_that_somebody_else_deleted_says_so():
    run = make_run("r1")
    app = open_page("runs", run)
    delete_run("r1")
    app = shown(app.run())
    assert "run r1 was deleted" in app.error[0].value
    assert has(app, "runs_restore")


def test_a_page_of_runs_is_shown_before_all_pictures_are_drawn(monkeypatch):
    for number in range(3):
        make_run(f"r{number}")
    monkeypatch.setattr(cached_runs, "DRAWING_TIME", 0.0)
    runs = list_runs()[0]
    cached_runs._thumbnails().clear()
    assert [len(cached_runs.thumbnails(runs)) for _ in range(4)] == [1, 2, 3, 3]
    cached_runs._thumbnails().clear()
    # It is shown again until it has all of them.
    assert all(isinstance(row["picture"], str) for row in rows(open_page("runs")))


def test_five_thousand_runs_are_listed_in_pages_and_searched(tmp_path):
    run = make_run("r1")
    about = json.loads((run.path / "run.json").read_text("utf-8"))
    events = (run.path / "events.jsonl").read_text("utf-8")
    for number in range(5000):
        folder = run.path.with_name(f"n{number:04d}")
        folder.mkdir()
        (folder / "run.json").write_text(json.dumps({**about, "note": f"number {number:04d}"}))
        (folder / "events.jsonl").write_text(events)
    runs = list_runs()[0]
    assert len(runs) == 5001
    assert len(matching(runs, text="number 0042", status="any", starred=False)) == 1
    start = time.process_time()
    list_runs()
    again = time.process_time() - start
    cached = time.process_time()
    assert len(rows(open_page("runs"))) == PER_PAGE
    # Not a bound in seconds: the list is read from memory, far faster than the page is drawn.
    assert again < max(time.process_time() - cached, 0.5)
