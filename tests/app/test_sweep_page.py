"""The page Sweep: planned, started, watched, stopped, continued, and the best taken."""

import shutil

import numpy as np
import pytest
from made_runs import REGION, asked, open_page, shown, words
from samples import sample
from streamlit.runtime.scriptrunner import StopException

from cellcutter_core.choices.choices import Source
from cellcutter_core.choices.draft import Draft
from cellcutter_core.config import QUICK
from cellcutter_core.images.regions import cut_out
from cellcutter_core.jobs.queue import Jobs
from cellcutter_core.markers.editing import remove_marker
from cellcutter_core.pipeline import find_markers
from cellcutter_core.runs.folder import runs_folder
from cellcutter_core.runs.store import Run
from cellcutter_core.sweeps.sweep import Sweep, list_sweeps, new_sweep_path
from cellcutter_core.sweeps.variations import Variation
from pages.parts.sweep import planning
from pages.shared import state
from pages.shared.caching.in_child import Cancelled

__all__ = ["asked"]

pytestmark = pytest.mark.usefixtures("asked")


def planned(values="0.5, 1"):
    app = open_page("sweep")
    app = shown(app.selectbox(key="sweep_setting_1").set_value("training.lam").run())
    key = "sweep_values_1_training.lam"
    return shown(app.text_input(key=key).set_value(values).run())


def planned_masks(values):
    app = open_page("sweep")
    app.session_state["choices"] = app.session_state["choices"].with_setting(
        "mask", "automatic", False
    )
    app = shown(app.run())
    app = shown(app.selectbox(key="sweep_setting_1").set_value("mask.prior").run())
    return shown(app.text_input(key="sweep_values_1_mask.prior").set_value(values).run())


def links(app):
    """The words of all links to runs."""
    return [link.proto.label for link in app.get("page_link")]


def ended(member, sweep, *, ap75):
    run = Run(sweep.path_of(member))
    run.record("started", pid=1, host="here", epochs=1)
    scores = {"ap50": 0.9, "ap75": ap75}
    run.record("epoch", epoch=1, seconds=2.0, loss=-3.0, n_cells=5, scores=scores)
    run.record("finished")


def test_a_sweep_says_how_many_runs_it_is_before_it_starts():
    app = planned("0.5, 1, 2")
    assert any("**3 runs**, about" in one.value for one in app.markdown)
    assert app.button(key="sweep_start").label == "Train 3 runs"
    app = shown(app.selectbox(key="sweep_setting_2").set_value("training.seed").run())
    assert app.text_input(key="sweep_values_2_training.seed").value == "0..2"
    assert app.button(key="sweep_start").label == "Train 9 runs"


@pytest.mark.parametrize(
    ("values", "message"),
    [("1, x", "should be a valid number"), ("1, 1", "twice"), ("", "varies nothing")],
)
def test_values_that_make_no_sense_are_refused_before_anything_starts(values, message):
    app = planned(values)
    assert message in app.error[0].value
    assert not [one for one in app.button if one.key == "sweep_start"]


def test_a_started_sweep_queues_a_run_for_each_value_and_shows_them(asked):
    app = planned()
    app = shown(app.button(key="sweep_start").click().run())
    assert not app.error
    (sweep,) = list_sweeps()
    members = sweep.about.members
    assert [note[1] for note in asked if note[0] == "submit"] == [one.run for one in members]
    lams = [Run(sweep.path_of(member)).config.training.lam for member in members]
    assert lams == [0.5, 1]
    assert "lam 0.5: waiting" in links(app)
    assert app.session_state["choices"].config.training.lam != 0.5


def test_scores_are_shown_and_the_best_is_taken(asked):
    app = planned()
    app = shown(app.button(key="sweep_start").click().run())
    (sweep,) = list_sweeps()
    for member, ap75 in zip(sweep.about.members, (0.7, 0.6), strict=True):
        ended(member, sweep, ap75=ap75)
    app = shown(app.run())
    assert "lam 0.5: AP75 0.700" in links(app)
    assert "Best by AP75: lam 0.5" in words(app)
    assert len(app.get("plotly_chart")) == 1
    assert app.dataframe[0].value["AP75"].tolist() == [0.7, 0.6]
    app = shown(app.button(key="sweep_best").click().run())
    assert app.session_state["run"] == sweep.about.members[0].run
    assert app.session_state["choices"].config.training.lam == 0.5


def test_a_sweep_is_stopped_and_continued(asked):
    app = planned()
    app = shown(app.button(key="sweep_start").click().run())
    (sweep,) = list_sweeps()
    app = shown(app.button(key="sweep_stop").click().run())
    assert [note[1] for note in asked if note[0] == "cancel"] == [
        m.run for m in sweep.about.members
    ]
    for member in sweep.about.members:
        Run(sweep.path_of(member)).record("stopped")
    asked.clear()
    app = shown(app.run())
    app = shown(app.button(key="sweep_continue").click().run())
    assert [note[1] for note in asked if note[0] == "submit"] == [
        m.run for m in sweep.about.members
    ]


def test_a_run_that_cannot_be_stopped_is_told(asked, monkeypatch):
    app = planned()
    app = shown(app.button(key="sweep_start").click().run())

    def gone(self, folder):
        raise ValueError(f"there is no run {folder.id}")

    monkeypatch.setattr(Jobs, "cancel", gone)
    app = shown(app.button(key="sweep_stop").click().run())
    (sweep,) = list_sweeps()
    assert app.error[0].value == f"there is no run {sweep.about.members[0].run}"


def test_the_best_is_taken_with_the_markers_it_was_trained_with(asked):
    app = planned()
    found = find_markers(cut_out(sample(seed=0), REGION), QUICK)
    edited = remove_marker(found, 0)
    app.session_state[state.EDITS] = edited
    app = shown(app.run())
    app = shown(app.button(key="sweep_start").click().run())
    (sweep,) = list_sweeps()
    for member, ap75 in zip(sweep.about.members, (0.7, 0.6), strict=True):
        ended(member, sweep, ap75=ap75)
    # The visitor goes back to the found markers.
    app.session_state[state.EDITS] = None
    Draft(app.session_state["draft"].id).save_markers(app.session_state["choices"], None)
    app = shown(app.run())
    app = shown(app.button(key="sweep_best").click().run())
    np.testing.assert_array_equal(app.session_state[state.EDITS].points, edited.points)
    assert "out of date" not in words(app)


def test_the_table_has_a_column_for_each_setting_also_for_two_of_one_name():
    config = QUICK.replace(mask=QUICK.mask.replace(automatic=False))
    varied = [Variation.parse("mask.sigma=1,2"), Variation.parse("crops.sigma=8,9")]
    Sweep.create(new_sweep_path(), config, varied, runs=runs_folder())
    app = open_page("sweep")
    table = app.dataframe[0].value
    assert table["mask.sigma"].tolist() == [1, 1, 2, 2]
    assert table["crops.sigma"].tolist() == [8, 9, 8, 9]


def test_a_run_that_is_deleted_while_the_page_is_drawn_has_no_picture(asked, monkeypatch):
    app = planned()
    app = shown(app.button(key="sweep_start").click().run())
    (sweep,) = list_sweeps()
    read, n_read = Sweep.rows, 0

    def then_deleted(self):
        nonlocal n_read
        rows, n_read = read(self), n_read + 1
        # The page has read them once before it draws the pictures.
        if n_read == 2:
            shutil.rmtree(sweep.path_of(sweep.about.members[0]))
        return rows

    monkeypatch.setattr(Sweep, "rows", then_deleted)
    app = shown(app.run())
    assert n_read == 2
    assert {"lam 0.5: waiting", "lam 1: waiting"} <= set(links(app))
    app = shown(app.run())
    assert "lam 0.5: missing" in words(app)


def test_a_value_that_makes_no_run_is_said_and_the_others_start(asked):
    app = planned_masks("0.9, 0.999999")
    app = shown(app.button(key="sweep_start").click().run())
    assert len([note for note in asked if note[0] == "submit"]) == 1
    assert "prior 0.999999: " in app.warning[0].value


def test_other_images_are_left_out_of_a_sweep_and_the_page_says_so():
    app = open_page("sweep")
    other = Source(kind="file", name="other.tif", digest="ab")
    app.session_state["choices"] = app.session_state["choices"].replace(others=(other,))
    app = shown(app.run())
    assert "without the 1 other image chosen on Train" in app.info[0].value
    shown(app.button(key="sweep_start").click().run())
    (sweep,) = list_sweeps()
    assert sweep.about.choices["others"] == []
    assert not Run(sweep.path_of(sweep.about.members[0])).description.others


def test_a_cancelled_mask_ends_the_writing_and_refuses_no_setting(asked, monkeypatch):
    prepared = planning._prepared

    def cancelled(config):
        if config.mask.prior == 0.91:
            raise Cancelled("sweep")
        return prepared(config)

    monkeypatch.setattr(planning, "_prepared", cancelled)
    app = planned_masks("0.9, 0.91, 0.92")
    app = shown(app.button(key="sweep_start").click().run())
    (sweep,) = list_sweeps()
    assert [row.status for row in sweep.rows()] == ["queued", "missing", "missing"]


def test_mask_and_markers_are_found_once_for_all_values_of_a_training_setting(asked, monkeypatch):
    found, prepared = [], planning._prepared
    monkeypatch.setattr(
        planning, "_prepared", lambda config: found.append(config) or prepared(config)
    )
    shown(planned("0.5, 1, 2").button(key="sweep_start").click().run())
    assert len([note for note in asked if note[0] == "submit"]) == 3
    assert len(found) == 1


def test_a_sweep_whose_page_is_left_while_it_is_written_is_completed_later(asked, monkeypatch):
    app = planned("0.5, 1, 2")
    write_runs = Sweep.write_runs

    def left(self, write):
        runs = write_runs(self, write)
        yield next(runs)
        raise StopException  # What Streamlit raises in a page that is left.

    monkeypatch.setattr(Sweep, "write_runs", left)
    shown(app.button(key="sweep_start").click().run())
    monkeypatch.setattr(Sweep, "write_runs", write_runs)
    (sweep,) = list_sweeps()
    ids = [member.run for member in sweep.about.members]
    app = shown(app.run())
    assert "2 runs of this sweep are missing" in words(app)
    chosen = app.session_state["choices"]
    app.session_state["choices"] = chosen.with_setting("training", "epochs", 7)
    app = shown(app.run())
    app = shown(app.button(key="sweep_write").click().run())
    assert "open a run of this sweep and click Duplicate" in app.error[0].value
    app.session_state["choices"] = chosen
    app = shown(app.run())
    app = shown(app.button(key="sweep_write").click().run())
    assert [note[1] for note in asked if note[0] == "submit"] == ids
    assert [row.status for row in sweep.rows()] == ["queued"] * 3
    assert not [one for one in app.button if one.key == "sweep_write"]


def test_a_written_run_that_was_never_queued_is_continued(asked, monkeypatch):
    app = planned()
    monkeypatch.setattr(Jobs, "submit", lambda *_, **__: None)
    app = shown(app.button(key="sweep_start").click().run())
    (sweep,) = list_sweeps()
    again = []
    monkeypatch.setattr(Jobs, "submit", lambda self, run, **_: again.append(run.id))
    shown(app.button(key="sweep_continue").click().run())
    assert again == [member.run for member in sweep.about.members]
