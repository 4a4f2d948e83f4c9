"""The page Results: its table, choosing, filters, corrections and files."""

import csv
import io
import json
import zipfile
from typing import Any

import numpy as np
import pytest
import tifffile
from made_runs import as_of_before, asked, make_run, open_page, shown, words
from streamlit.testing.v1 import AppTest

from cellcutter_core.choices.choices import Choices
from cellcutter_core.export import FORMATS, Result, content
from cellcutter_core.runs.corrections import Correction, corrections_of, keep_corrections
from cellcutter_core.runs.description import Before
from cellcutter_core.runs.folder import find_run
from cellcutter_core.runs.names import run_name
from cellcutter_core.runs.store import Run, State
from pages.parts.results.downloads import OF_KEPT
from pages.shared.viewer.picture import Pick

__all__ = ["asked"]

pytestmark = pytest.mark.usefixtures("asked")
LAST = 60


@pytest.fixture
def run() -> Run:
    return make_run("r1", epochs=(0, 1, LAST))


def table(app: AppTest) -> Any:
    """The long one; that of the chosen cells is above it where there are some."""
    return app.dataframe[-1].value


def chosen(app: AppTest) -> list[int]:
    return app.session_state[f"results_chosen_r1_{LAST}"]


def pick(app: AppTest, run: Run, cell: int, *, more: bool = False) -> AppTest:
    """As a person who clicks into the middle of a cell."""
    rows, cols = np.nonzero(Result(run, LAST).labels == cell)
    middle = len(rows) // 2
    app.session_state["results_cells-edit"] = Pick((rows[middle], cols[middle]), more)
    return shown(app.run())


def press(app: AppTest, name: str) -> AppTest:
    return shown(app.button(key=f"results_{name}").click().run())


def test_without_cells_it_says_where_to_get_them():
    assert "no run is open" in open_page("results").info[0].value
    app = open_page("results", make_run("r0", epochs=(), end=None))
    assert "has no epoch" in app.info[0].value
    assert not app.dataframe


def test_cells_of_epoch_0_can_be_looked_at(run):
    app = open_page("results", run)
    slider = app.select_slider(key="results_r1")
    assert slider.options == ["0", "1", str(LAST)]
    app = shown(slider.set_value(0).run())
    # In this run there is none.
    assert "no cell in this epoch" in words(app)


def test_an_old_run_begins_at_epoch_1():
    app = open_page("results", make_run("r1", epochs=(1, LAST), old=True))
    assert app.select_slider(key="results_r1").options == ["1", str(LAST)]
    assert not app.error


def test_every_cell_is_a_row(run):
    app = open_page("results", run)
    labels = run.epoch(LAST).labels
    ids, areas = np.unique(labels[labels > 0], return_counts=True)
    assert len(ids) > 3
    assert table(app)["id"].tolist() == ids.tolist()
    assert table(app)["area"].tolist() == areas.tolist()
    assert f"{len(ids)} of {len(ids)} cells" in words(app)


def test_a_click_chooses_a_cell_and_its_row(run):
    app = open_page("results", run)
    first, second = table(app)["id"][1], table(app)["id"][3]
    app = pick(app, run, first)
    assert chosen(app) == [first]
    # It has a row of its own, whose place in the long list does not matter.
    assert app.dataframe[0].value["id"].tolist() == [first]
    app = pick(app, run, second, more=True)
    assert app.dataframe[0].value["id"].tolist() == sorted([first, second])
    assert sorted(chosen(app)) == sorted([first, second])
    # With shift again: not any more. Without: this one alone. On nothing: none.
    assert chosen(pick(app, run, second, more=True)) == [first]
    assert chosen(pick(app, run, second)) == [second]
    app.session_state["results_cells-edit"] = Pick(None, more=False)
    assert chosen(shown(app.run())) == []
    assert len(app.dataframe) == 1
    assert "Chosen cells are listed here" in words(app)


def test_what_filters_leave_out_is_counted(run):
    app = open_page("results", run)
    n = len(table(app))
    inside = n - int(table(app)["touches_border"].sum())
    assert 0 < inside < n
    app = shown(app.toggle(key="results_whole").set_value(True).run())
    assert len(table(app)) == inside
    assert f"{inside} of {n} cells; {n - inside} left out" in words(app)
    areas = sorted(table(app)["area"])
    app = shown(app.number_input(key="results_largest").set_value(areas[-2]).run())
    assert sorted(table(app)["area"]) == areas[:-1]
    app = shown(app.number_input(key="results_smallest").set_value(1e6).run())
    assert f"0 of {n} cells" in words(app)


def test_some_cells_alone_are_taken_home(run):
    result = Result(run)
    ids = result.table["id"][[1, 3]]

    def some(format: str) -> bytes:
        return content(run, format, LAST, cells=ids)

    with tifffile.TiffFile(io.BytesIO(some("labels"))) as tif:
        labels = tif.asarray()
    np.testing.assert_array_equal(labels, np.where(np.isin(result.labels, ids), result.labels, 0))
    rows = list(csv.DictReader(io.StringIO(some("table").decode())))
    assert [int(row["id"]) for row in rows] == ids.tolist()
    features = json.loads(some("geojson"))["features"]
    assert [int(one["properties"]["name"]) for one in features] == ids.tolist()
    with zipfile.ZipFile(io.BytesIO(some("rois"))) as archive:
        assert len(archive.namelist()) == 2
    assert len(result.table["id"]) > 2


def test_deleted_and_merged_cells_are_taken_back_and_done_again(run):
    app = open_page("results", run)
    ids = table(app)["id"].tolist()
    app = press(pick(app, run, ids[0]), "delete")
    assert table(app)["id"].tolist() == ids[1:]
    app = press(pick(pick(app, run, ids[1]), run, ids[3], more=True), "merge")
    assert table(app)["id"].tolist() == [ids[1], ids[2], *ids[4:]]
    assert "2 corrections" in words(app)
    # Another visit finds them; the epoch itself is as it was.
    again = open_page("results", run)
    assert table(again)["id"].tolist() == [ids[1], ids[2], *ids[4:]]
    assert set(ids) == set(np.unique(run.epoch(LAST).labels)) - {0}
    app = press(press(again, "undo"), "undo")
    assert table(app)["id"].tolist() == ids
    app = press(app, "redo")
    assert table(app)["id"].tolist() == ids[1:]


def test_clicks_on_a_page_that_is_out_of_date_lose_no_correction(run):
    app = open_page("results", run)
    ids = table(app)["id"].tolist()
    app = pick(app, run, ids[0])
    # In another tab.
    one = Correction(kind="delete", cells=(ids[1],))
    keep_corrections(run, LAST, [one])
    app = press(app, "delete")
    assert corrections_of(run, LAST) == [one, Correction(kind="delete", cells=(ids[0],))]
    app = press(app, "undo")
    keep_corrections(run, LAST, [])
    app = press(app, "undo")
    assert corrections_of(run, LAST) == []
    # As after the first half of a double click.
    app = pick(open_page("results", run), run, ids[1])
    keep_corrections(run, LAST, [one])
    app = press(app, "delete")
    assert corrections_of(run, LAST) == [one]
    app = press(app, "undo")
    app.session_state[f"results_redo_r1_{LAST}"].clear()
    press(app, "redo")
    assert corrections_of(run, LAST) == []


def split_of(app: AppTest) -> Any:
    key = f"results_split_r1_{LAST}"
    if key not in app.session_state:
        return None
    return app.session_state[key]


def test_a_cell_is_split_between_two_points_that_a_click_moves(run):
    app = open_page("results", run)
    ids = table(app)["id"].tolist()
    largest = ids[table(app)["area"].argmax()]
    assert app.button(key="results_split").disabled
    app = press(pick(app, run, largest), "split")
    first, second = split_of(app)
    labels = Result(run, LAST).labels
    assert labels[first] == labels[second] == largest
    # A click beside the cell moves nothing, one in it the nearer point.
    app.session_state["results_cells-edit"] = Pick(tuple(np.argwhere(labels == 0)[0]), more=False)
    app = shown(app.run())
    assert split_of(app) == (first, second)
    near = next(
        (int(row), int(col))
        for row, col in np.argwhere(labels == largest)
        if 0 < np.hypot(row - second[0], col - second[1]) < 3
    )
    app.session_state["results_cells-edit"] = Pick(near, more=False)
    app = shown(app.run())
    assert split_of(app) == (first, near)
    assert chosen(app) == [largest]

    app = press(app, "split_here")
    assert split_of(app) is None
    new = max(*ids, len(run.inputs.points)) + 1
    assert table(app)["id"].tolist() == [*ids, new]
    after = Result(run, LAST).labels
    assert after[first] == largest
    assert after[near] == new
    assert ((after == new) | (after == largest)).sum() == (labels == largest).sum()
    assert "1 correction" in words(app)
    assert sorted(chosen(app)) == [largest, new]
    app = press(app, "undo")
    assert table(app)["id"].tolist() == ids
    assert table(press(app, "redo"))["id"].tolist() == [*ids, new]


def test_a_split_is_given_up_by_escape_and_by_choosing_another_cell(run):
    app = open_page("results", run)
    ids = table(app)["id"].tolist()
    app = press(pick(app, run, ids[0]), "split")
    app.session_state["results_cells-edit"] = Pick(None, more=False)
    app = shown(app.run())
    assert split_of(app) is None
    assert chosen(app) == [ids[0]]
    app = press(press(app, "split"), "leave_whole")
    assert split_of(app) is None
    app = press(app, "split")
    app.session_state[f"results_chosen_r1_{LAST}"] = [ids[2]]
    app.session_state["results_picked"] = True
    app = shown(app.run())
    assert split_of(app) is None
    assert table(app)["id"].tolist() == ids


def test_training_again_makes_a_run_of_the_corrected_cells(run, asked):
    run.save_state(State(LAST, [np.ones(3)], [], []))
    app = open_page("results", run)
    ids = table(app)["id"].tolist()
    app = press(press(pick(app, run, ids[0]), "split"), "split_here")
    app = shown(app.number_input(key=f"results_again_r1_{LAST}").set_value(5).run())
    app = press(app, "again")
    (new,) = [name for kind, name, _ in asked if kind == "submit"]
    made = find_run(new)
    assert made.description.before == Before(run="r1", epoch=LAST, corrections=1)
    assert made.config.training.epochs == 5
    assert len(made.inputs.points) == len(run.inputs.points) + 1
    assert app.session_state["run"] == new
    assert f"Trained again from run r1, epoch {LAST} with 1 correction" in words(app)
    assert "(again from r1)" in run_name(made)
    # The markers on the page Cells are those of the run; the settings are the usual ones.
    assert not [warning for warning in app.warning if "out of date" in warning.value]
    assert len(app.session_state["edits"].points) == len(made.inputs.points)
    assert app.session_state["choices"].config == Choices(**run.description.choices).config


def test_training_again_without_a_network_is_told(run, asked):
    app = open_page("results", run)
    app = press(pick(app, run, table(app)["id"][0]), "delete")
    app = press(app, "again")
    assert "no network to begin with" in app.error[0].value
    assert not asked


def test_a_run_of_before_is_corrected_and_taken_home_but_not_trained_again(run):
    old = as_of_before(run)
    app = open_page("results", old)
    assert len([info for info in app.info if "earlier version" in info.value]) == 1
    app = press(pick(app, run, table(app)["id"][0]), "delete")
    assert not app.error
    assert "1 correction" in words(app)
    popovers = {one.proto.popover.label: one.proto.popover for one in app.get("popover")}
    assert popovers["Train again from here"].disabled
    with zipfile.ZipFile(io.BytesIO(content(old, "all", LAST))) as archive:
        assert "recipe/recipe.py" not in archive.namelist()
        assert "earlier version" in archive.read("README.md").decode()


def test_what_speaks_against_the_cells_is_said_once():
    nothing = np.zeros((128, 160), bool)
    app = open_page("results", make_run("r2", claimed=nothing))
    (warning,) = [one.value for one in app.warning if "Look closely" in one.value]
    assert "the page Compare" in warning


def test_when_every_cell_is_deleted_it_can_be_taken_back(run):
    app = open_page("results", run)
    ids = table(app)["id"].tolist()
    for cell in ids:
        app = press(pick(app, run, cell), "delete")
    assert "no cell" in app.warning[0].value
    assert table(press(app, "undo"))["id"].tolist() == ids[-1:]


def test_damaged_corrections_are_told(run):
    keep_corrections(run, LAST, [])
    (run.path / "corrections" / f"{LAST:04d}.json").write_text("{")
    app = open_page("results", run)
    assert "is damaged" in app.error[0].value


def test_the_code_of_the_page_gives_its_table_and_files(run, tmp_path, monkeypatch):
    app = open_page("results", run)
    app = press(pick(app, run, table(app)["id"][0]), "delete")
    names: dict[str, Any] = {}
    monkeypatch.chdir(tmp_path)
    exec(next(code.value for code in app.code if "Result" in code.value), names)
    for name, column in names["table"].items():
        assert np.array_equal(column, table(app)[name])
    assert np.array_equal(tifffile.imread("labels.tif"), Result(run, LAST).labels)


def test_there_is_a_button_for_every_format_and_its_file_holds_the_corrections(run):
    app = open_page("results", run)
    ids = table(app)["id"].tolist()
    app = press(pick(app, run, ids[0]), "delete")
    buttons = {button.proto.label: button.proto for button in app.get("download_button")}
    assert set(buttons) == {one.title for one in FORMATS.values()}
    lines = content(run, "table", LAST).decode().splitlines()
    assert [int(line.split(",")[0]) for line in lines[1:]] == ids[1:]
    with zipfile.ZipFile(io.BytesIO(content(run, "all", LAST))) as archive:
        assert f"corrected by hand: delete {ids[0]};" in archive.read("README.md").decode()
    app = shown(app.toggle(key="results_whole").set_value(True).run())
    more = {button.proto.label for button in app.get("download_button")} - set(buttons)
    assert more == {f"{FORMATS[name].title} ({len(table(app))})" for name in OF_KEPT}


def test_the_buttons_of_all_cells_and_of_those_that_pass_the_filters_are_told_apart(run):
    app = open_page("results", run)
    n = len(table(app))
    assert f"All {n} cells:" not in words(app)
    app = shown(app.toggle(key="results_whole").set_value(True).run())
    n_kept = len(table(app))
    assert n_kept < n
    told = [
        one.proto.label if one.type == "download_button" else one.value
        for one in app.main
        if one.type in ("caption", "download_button")
    ]
    first = told.index(f"Only the {n_kept} cells that pass the filters:")
    then = told.index(f"All {n} cells:")
    assert told[first + 1 : then] == [f"{FORMATS[name].title} ({n_kept})" for name in OF_KEPT]
    assert told[then + 1] == next(iter(FORMATS.values())).title
