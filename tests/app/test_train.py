"""The training page, with runs written by hand: nothing is trained here."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import streamlit as st
from made_runs import (
    ROOT,
    as_of_before,
    asked,
    dead_process,
    drawing,
    given,
    labels_after,
    linked,
    make_run,
    open_page,
    shown,
    words,
)
from opening import at_page
from patience import LONGEST
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.scriptrunner_utils.script_requests import RerunData

from cellcutter_core.apply.application_folder import Application
from cellcutter_core.choices.choices import keys
from cellcutter_core.choices.sources import markers_of
from cellcutter_core.choices.uploads import file_of
from cellcutter_core.config import PAPER, QUICK, Config, is_current, starting
from cellcutter_core.images.read_image import read_image
from cellcutter_core.jobs.queue import Jobs
from cellcutter_core.markers.editing import remove_marker
from cellcutter_core.runs.deleted import delete_run
from cellcutter_core.runs.folder import find_run, list_runs
from cellcutter_core.runs.store import Run
from pages.parts.apply import application
from pages.parts.train import run_progress
from pages.shared import open_run, run_words
from pages.shared.caching import cached_runs
from pages.shared.start import shorter

__all__ = ["asked"]

pytestmark = pytest.mark.usefixtures("asked")


def config_of(app):
    return app.session_state["choices"].config


def by_hand(app):
    """The choices with a mask that is not the automatic one."""
    return app.session_state["choices"].with_setting("mask", "automatic", False)


def charts(app):
    return {chart.proto.id.rsplit("-", 1)[-1] for chart in app.get("plotly_chart")}


def fixed_heights(block):
    """Those of the containers that have one, in order."""
    for child in getattr(block, "children", {}).values():
        height = getattr(getattr(child.proto, "height_config", None), "pixel_height", 0)
        if height and hasattr(child, "children"):
            yield height
        yield from fixed_heights(child)


def every_setting_open():
    """The page with the settings that are drawn only when somebody unfolds them."""
    app = open_page("train")
    assert not [one for one in app.number_input if one.key == "training_lam"]
    app.session_state["train_others"] = True
    return shown(app.run())


def test_without_a_run_the_settings_are_open_and_the_time_is_told():
    app = open_page("train")
    assert app.expander(key="train_settings_False").proto.expanded
    assert "CPU (test)" in words(app)
    assert "About" in words(app)
    assert not app.get("plotly_chart")
    assert not app.error


def test_on_a_cluster_the_page_names_its_scheduler_and_not_this_machine(asked, monkeypatch):
    monkeypatch.setenv("CELLCUTTER_SCHEDULER", "tcp://one:8786")
    app = open_page("train")
    assert "A worker of tcp://one:8786" in words(app)
    assert "About" in words(app)
    assert "CPU (test)" not in words(app)


def test_start_writes_a_run_of_the_choices_and_queues_it(asked):
    app = open_page("train")
    app.number_input(key="training_epochs").set_value(5).run()
    app = shown(app.button(key="train_start").click().run())
    (summary,), _ = list_runs()
    assert asked == [("submit", summary.id, {})]
    assert app.session_state["run"] == summary.id
    run = find_run(summary.id)
    assert run.config.training.epochs == 5
    assert run.description.region == (0, 0, 128, 160)
    assert list(run.unseen) == ["bright field", "nucleus"]
    assert run.inputs.image.shape[:2] == (128, 160)


def test_a_preset_keeps_mask_and_markers():
    app = open_page("train")
    now = app.session_state["choices"]
    app.session_state["choices"] = now.with_setting("mask", "prior", 0.5)
    app.run()
    app = shown(app.segmented_control(key="train_preset").set_value("paper").run())
    config = config_of(app)
    assert config == PAPER.replace(mask=PAPER.mask.replace(prior=0.5))
    app = shown(app.segmented_control(key="train_preset").set_value("quick").run())
    assert config_of(app).training == QUICK.training


def test_the_start_brings_what_suits_it_and_goes_back():
    app = open_page("train")
    assert app.segmented_control(key="network_start").value == "simulated"
    app = shown(app.segmented_control(key="network_start").set_value("nothing").run())
    assert config_of(app) == starting(QUICK, "nothing")
    # It is the quick preset with that start: nothing differs.
    assert app.button(key="train_reset").disabled
    app.number_input(key="training_epochs").set_value(3).run()
    app = shown(app.button(key="train_reset").click().run())
    assert config_of(app) == starting(QUICK, "nothing")
    app = shown(app.segmented_control(key="network_start").set_value("simulated").run())
    assert config_of(app) == QUICK


def test_a_preset_brings_its_own_start():
    app = open_page("train")
    app = shown(app.segmented_control(key="train_preset").set_value("paper").run())
    assert app.segmented_control(key="network_start").value == "nothing"


def test_what_belongs_to_the_taught_network_cannot_be_changed():
    def disabled(app):
        kinds = ("number_input", "selectbox", "toggle", "slider")
        return {one.key for kind in kinds for one in getattr(app, kind) if one.disabled}

    app = every_setting_open()
    fixed = {f"network_{name}" for name in ("depth", "channels", "normalisation", "stem")}
    assert disabled(app) == fixed | {"crops_intensity", "crops_with_nucleus"}
    app = shown(app.segmented_control(key="network_start").set_value("nothing").run())
    assert not disabled(app)
    app = shown(app.selectbox(key="network_normalisation").set_value("batch").run())
    assert config_of(app).network.normalisation == "batch"


def test_every_setting_can_be_changed_and_taken_back():
    app = every_setting_open()
    assert app.button(key="train_reset").disabled
    app.number_input(key="training_lam").set_value(2.5).run()
    app = shown(app.toggle(key="labels_fill").set_value(False).run())
    assert config_of(app).training.lam == 2.5
    assert not config_of(app).labels.fill
    assert "2 settings differ from quick." in words(app)
    app = shown(app.button(key="train_reset").click().run())
    assert config_of(app) == QUICK


@pytest.mark.parametrize(
    ("config", "base"),
    [(QUICK, "quick"), (PAPER, "paper"), (QUICK.replace(preset="custom"), "quick")],
)
def test_the_preset_that_settings_differ_from_is_named(config, base):
    app = open_page("train")
    own = config.replace(training=config.training.replace(lam=2.5))
    app.session_state["choices"] = app.session_state["choices"].replace(config=own)
    app = shown(app.run())
    assert f"1 setting differs from {base}." in words(app)
    assert app.button(key="train_reset").label == f"Back to {base}"
    app = shown(app.button(key="train_reset").click().run())
    assert config_of(app).preset == base
    assert config_of(app).training == config.training


def test_all_settings_of_the_four_groups_are_there():
    app = every_setting_open()
    keys = {
        widget.key
        for kind in ("number_input", "selectbox", "toggle", "slider", "segmented_control")
        for widget in getattr(app, kind)
    }
    for group in ("crops", "network", "training", "labels"):
        for name in type(getattr(QUICK, group)).model_fields:
            assert {f"{group}_{name}", f"{group}_{name}_given"} & keys, name


def test_what_the_core_refuses_is_told_and_changes_nothing():
    app = every_setting_open()
    # A stem of 2 and depth 4 need multiples of 32.
    app = shown(app.number_input(key="crops_size").set_value(80).run())
    assert any("crops.size is 80" in error.value for error in app.error)
    assert config_of(app).crops.size == QUICK.crops.size


def test_a_finished_run_shows_cells_loss_and_scores_and_goes_on(asked):
    run = make_run("20261122-100000-aaaaa")
    app = open_page("train", run)
    assert not app.expander(key="train_settings_True").proto.expanded
    assert charts(app) == {"train_loss", "train_scores"}
    titles = [pane["title"] for pane in linked(app)[1]["panes"]]
    assert titles == ["Image", "Cells after epoch 3", "Probability"]
    assert "CPU (test), float32" in words(app)
    app.number_input(key=f"train_more_{run.path.name}_3").set_value(4).run()
    app = shown(app.button(key="train_continue").click().run())
    assert asked == [("submit", run.path.name, {"epochs": 7})]


def test_a_run_that_was_stopped_after_its_last_epoch_can_be_finished(asked):
    """As while the cells of its other images were being found."""
    app = open_page("train", make_run("r1", end="stopped"))
    shown(app.button(key="train_finish").click().run())
    assert asked == [("submit", "r1", {})]
    app = open_page("train", make_run("r2"))
    assert not [button for button in app.button if button.key == "train_finish"]


def test_without_truth_there_are_no_scores():
    app = open_page("train", make_run("r1", with_truth=False))
    assert charts(app) == {"train_loss"}


def test_a_running_run_can_be_stopped(asked):
    run = make_run("r1", end=None, epochs=(1, 2))
    run.record("started", pid=1, host="elsewhere", epochs=9)
    run.record("step", epoch=3, step=1)
    app = open_page("train", run)
    assert "epoch 3 of 9" in app.get("progress")[0].proto.text
    assert app.get("progress")[0].proto.value == int(100 * 5 / 18)
    assert not [button for button in app.button if button.key == "train_continue"]
    shown(app.button(key="train_stop").click().run())
    assert asked == [("cancel", "r1", {})]


def test_a_run_that_cannot_be_stopped_is_told(asked, monkeypatch):
    run = make_run("r1", end=None, epochs=(1,))

    def full(self, folder):
        raise ValueError("cannot write")

    monkeypatch.setattr(Jobs, "cancel", full)
    app = shown(open_page("train", run).button(key="train_stop").click().run())
    assert app.error[0].value == "cannot write"


def test_when_a_job_is_deleted_whoever_watches_it_gets_the_page_anew(monkeypatch):
    class Rerun(BaseException):
        pass

    def rerun():
        raise Rerun

    monkeypatch.setattr(st, "rerun", rerun)
    run = make_run("r1", epochs=(), end=None)
    applied = Application.create(run, {"a": Path("a.tif")})
    run.record("queued", epochs=3, server="x", pid=os.getpid(), host="another")
    delete_run("r1")
    for watch in (
        lambda: run_progress.watch(run, 0, "queued"),
        lambda: open_run._standing(run, run.progress, []),
        lambda: application.watch(applied, 0, "queued"),
    ):
        with pytest.raises(Rerun):
            watch()


def test_who_waits_is_told_the_place_and_the_time(monkeypatch):
    going = make_run("r1", end=None, epochs=(0, 1))
    going.record("started", pid=os.getpid(), host=socket.gethostname(), epochs=9)
    for number in (1, 2):
        # A minute a step: 15 of 16 minutes are left, the first step says nothing.
        going.record("step", epoch=2, step=number, seconds=60.0, n_crops=4)
    between, mine = make_run("r2", epochs=(), end=None), make_run("r3", epochs=(), end=None)
    for run in (between, mine):
        run.record("queued", epochs=3, server="x", pid=os.getpid(), host="another")
    line = {"r1": (None, []), "r2": (1, [going]), "r3": (2, [going, between])}
    monkeypatch.setattr(Jobs, "position", lambda self, run: line[run.path.name][0])
    monkeypatch.setattr(
        Jobs, "ahead", lambda self, run=None, **_: line[run.path.name][1] if run else [going]
    )
    said = open_page("train", between).get("progress")[0].proto.text
    assert said == "Waiting: next in line behind 1 training. It starts in about 14 min"
    app = open_page("train", mine)
    said = app.get("progress")[0].proto.text
    before, minutes = re.fullmatch(r"(.*) in about (\d+) min", said).groups()
    assert before == "Waiting: number 2 in line behind 2 trainings. It starts"
    # And the whole of the one between.
    assert int(minutes) > 14
    assert "It would wait behind 1 training. It would start in about 14 min" in words(app)
    listed = open_page("runs", mine).dataframe[0].value["status"].tolist()
    assert "waiting" in listed
    assert "queued" not in listed


def test_stop_is_not_lost_when_an_epoch_ends_while_the_page_is_drawn(asked, monkeypatch):
    run = make_run("r1", end=None, epochs=(1, 2))
    run.record("started", pid=1, host="elsewhere", epochs=9)
    app = open_page("train", run)
    ended = []

    def epoch_ends(run, now):
        if not ended:
            ended.append(3)
            run.add_epoch(3, run.epoch(2))
            event = {**now.epoch_events[-1], "epoch": 3}
            run.record(event.pop("kind"), **event)

    # Drawn after the page has read where the run stands, and before its progress.
    monkeypatch.setattr("pages.parts.train.run_troubles.troubles", epoch_ends)
    app = shown(app.button(key="train_stop").click().run())
    assert ended
    assert asked == [("cancel", "r1", {})]
    assert "epoch 4 of 9" in app.get("progress")[0].proto.text


@pytest.mark.parametrize("epochs", [(), (0,)])
def test_before_the_first_epoch_everything_has_its_place(epochs):
    run = make_run("r1", end=None, epochs=epochs)
    app = open_page("train", run)
    # A place as high as each chart that will be there, and no chart yet.
    assert not charts(app)
    later = open_page("train", make_run("r2", epochs=(0, 1), certain=5.0))
    heights = [json.loads(one.proto.spec)["layout"]["height"] for one in later.get("plotly_chart")]
    assert len(heights) == 2
    assert [*fixed_heights(app.main)] == heights
    assert linked(app)[1]["panes"][0]["title"] == "Image"
    assert "Starting" in app.get("progress")[0].proto.text


def test_the_first_cells_on_the_page_are_those_of_epoch_0():
    run = make_run("r1", end=None, epochs=())
    app = open_page("train", run)
    titles = [pane["title"] for pane in linked(app)[1]["panes"]]
    before = [pane["picture"] for pane in linked(app)[1]["panes"]]
    assert titles == ["Image", "Cells", "Probability"]
    # Nothing is shown as cells: both pictures are the dark image.
    assert before[1] == before[2]
    run.add_epoch(0, run_drawing())
    run.record("epoch", epoch=0, device="CPU (test)", miou=None, n_cells=3, scores=None)
    app = shown(app.run())
    titles = [pane["title"] for pane in linked(app)[1]["panes"]]
    assert titles == ["Image", "Epoch 0: before training", "Probability"]
    assert linked(app)[1]["panes"][1]["picture"] != before[1]
    assert app.get("progress")[0].proto.value == 0


def run_drawing():
    _, truth = given()
    return drawing(labels_after(5, truth.labels))


def test_curves_of_scores_begin_at_epoch_0_and_those_of_losses_at_1():
    app = open_page("train", make_run("r1"))
    figures = {
        one.proto.id.rsplit("-", 1)[-1]: json.loads(one.proto.spec)["data"]
        for one in app.get("plotly_chart")
    }
    assert figures["train_loss"][0]["x"] == [1, 2, 3]
    assert figures["train_scores"][0]["x"] == [0, 1, 2, 3]
    names = {trace["name"] for trace in figures["train_scores"]}
    assert names == {"Network", "Cheapest paths", "Watershed"}


def test_an_old_run_shows_its_curves_from_epoch_1_on():
    app = open_page("train", make_run("r1", epochs=(1, 2), old=True))
    assert charts(app) == {"train_loss", "train_scores"}
    (scores,) = [one for one in app.get("plotly_chart") if "scores" in one.proto.id]
    assert json.loads(scores.proto.spec)["data"][0]["x"] == [1, 2]


@pytest.mark.parametrize("end", ["failed", "crashed"])
def test_a_run_that_ended_badly_says_why_and_can_go_on(asked, end):
    run = make_run("r1", end="failed" if end == "failed" else None)
    if end == "crashed":
        run.record("started", pid=dead_process(), host=socket.gethostname())
    run.log_file.write_text("first\n" + "line\n" * 100 + "Killed\n")
    app = open_page("train", run)
    (error,) = app.error
    assert end in error.value
    assert ("not enough memory" in error.value) == (end == "failed")
    log = next(code.value for code in app.code if "Killed" in code.value)
    assert "first" not in log
    shown(app.button(key="train_continue").click().run())
    assert asked[0][0] == "submit"


def test_a_collapsed_run_is_called_that_with_what_its_settings_lack():
    said = words(open_page("train", make_run("r1", collapsed=True, config=PAPER)))
    assert "has collapsed" in said
    assert "group normalisation" in said
    assert "clip norm" in said
    said = words(open_page("train", make_run("r2", collapsed=True)))
    assert "group normalisation" not in said.split("has collapsed")[1].split("\n")[0]


def test_duplicate_takes_the_choices_of_the_run():
    run = make_run("r1", config=QUICK.replace(training=QUICK.training.replace(lam=3.0)))
    app = open_page("train", run)
    app.session_state["choices"] = by_hand(app)
    app = shown(app.run())
    assert any("out of date" in warning.value for warning in app.warning)
    app = shown(app.button(key="train_duplicate").click().run())
    assert config_of(app) == run.config
    assert not app.warning


def test_a_run_of_before_is_looked_at_and_duplicated_with_current_settings():
    config = QUICK.replace(mask=QUICK.mask.replace(prior=0.5))
    run = as_of_before(make_run("r1", config=config))
    app = open_page("train", run)
    assert not app.error
    assert charts(app) == {"train_loss", "train_scores"}
    notes = [info.value for info in app.info if "earlier version" in info.value]
    assert len(notes) == 1
    assert app.button(key="train_continue").disabled
    app.session_state["choices"] = by_hand(app)
    app = shown(app.run())
    app = shown(app.button(key="train_duplicate").click().run())
    assert config_of(app) == config
    assert is_current(config_of(app))
    assert not app.error


def test_what_speaks_against_the_cells_is_said_when_training_has_ended():
    little = np.zeros((128, 160), bool)
    app = open_page("train", make_run("r1", claimed=little))
    (warning,) = [one.value for one in app.warning if "Look closely" in one.value]
    assert "filled only 0% of the mask" in warning
    going = make_run("r2", end=None, claimed=little)
    assert not [one for one in open_page("train", going).warning if "Look closely" in one.value]
    assert not open_page("train", make_run("r3")).warning


def test_a_run_from_the_command_line_brings_its_own_image():
    run = make_run("r1", known=False)
    app = open_page("train", run)
    assert not app.error
    app = shown(app.button(key="train_duplicate").click().run())
    assert not app.error
    chosen = app.session_state["choices"]
    assert chosen.source.kind == "file"
    assert config_of(app) == run.config
    pixels = read_image(file_of(chosen.source)).pixels
    np.testing.assert_array_equal(pixels, run.inputs.image)
    # With other settings it is out of date, as any run.
    app.session_state["choices"] = by_hand(app)
    app = shown(app.run())
    assert any("out of date" in warning.value for warning in app.warning)


def test_a_deep_link_brings_the_choices_of_the_run_back():
    run = make_run("r1", config=QUICK.replace(training=QUICK.training.replace(beta=-7.0)))
    app = at_page("train")
    app.query_params["run"] = run.path.name
    app = shown(app.run())
    assert config_of(app).training.beta == -7.0
    assert not app.warning


def test_the_code_of_the_page_makes_the_settings_of_the_choices():
    app = every_setting_open()
    app = shown(app.number_input(key="training_lam").set_value(2.5).run())
    source = next(code.value for code in app.code if "segment(" in code.value)
    # In a process of its own, as a reader runs it.
    program = source.split("drawing =")[0] + "\nprint(config.model_dump_json())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, cwd=ROOT)
    # It says first what it reads.
    assert Config.model_validate_json(done.stdout.splitlines()[-1]) == config_of(app)


def test_a_step_where_a_run_was_continued_is_explained():
    run = make_run("a")
    app = open_page("train", run)
    assert "continued" not in words(app)
    assert "learning rate" in app.button(key="train_continue").help
    run.record("started", pid=1, host="h", epochs=9)
    run.record("finished")
    text = words(open_page("train", run))
    assert "the run was continued after epoch 3" in text
    assert "the loss may jump" in text


def kept_line(run):
    return next(line for line in words(open_page("train", run)).splitlines() if "you stop" in line)


def test_before_a_stop_it_is_said_what_is_kept():
    run = make_run("a", epochs=(0, 1, 2), end=None)
    run.record("started", pid=os.getpid(), host=socket.gethostname(), epochs=9)
    goes_on = "are kept; *Continue* goes on from there."
    assert kept_line(run) == f"If you stop now, 2 of 9 epochs {goes_on}"
    run.record("step", epoch=3, step=1, seconds=0.5, n_crops=4, loss=1.0)
    kept = "2 of 9 epochs and 1 of 2 steps of epoch 3"
    assert kept_line(run) == f"If you stop now, {kept} {goes_on}"
    early = make_run("b", epochs=(), end=None)
    assert kept_line(early) == "If you stop now, nothing is kept yet: training has not begun."
    early = make_run("c", epochs=(0,), end=None)
    assert kept_line(early) == "If you stop now, epoch 0 is kept, from before training."
    early.record("step", epoch=1, step=1, seconds=0.5, n_crops=4, loss=1.0)
    kept = "0 of 3 epochs and 1 of 2 steps of epoch 1"
    assert kept_line(early) == f"If you stop now, {kept} {goes_on}"


def test_a_run_that_was_stopped_within_an_epoch_goes_on_from_there(asked):
    run = make_run("r1", epochs=(0, 1, 2), end=None)
    run.record("started", pid=os.getpid(), host=socket.gethostname(), epochs=9)
    run.record("step", epoch=3, step=1, seconds=0.5, n_crops=4, loss=1.0)
    run.record("saved", epoch=3, step=1)
    run.record("stopped")
    app = open_page("train", run)
    (bar,) = app.get("progress")
    kept = "2 of 9 epochs and 1 of 2 steps of epoch 3"
    assert bar.proto.text == f"Stopped after {kept}"
    assert bar.proto.value == int(100 * 5 / 18)
    button = app.button(key="train_continue")
    assert button.label == "Continue with 7 more epochs"
    assert button.help == f"Goes on after {kept}. Epoch 3 is the first of them."
    app = shown(app.number_input(key="train_more_r1_2").set_value(8).run())
    # With more epochs than it was to have the learning rate is another one.
    assert "learning rate" in app.button(key="train_continue").help
    shown(app.button(key="train_continue").click().run())
    assert asked == [("submit", "r1", {"epochs": 10})]
    # A crash leaves the same.
    run.record("started", pid=dead_process(), host=socket.gethostname(), epochs=9)
    run.record("step", epoch=3, step=2, seconds=0.5, n_crops=4, loss=1.0)
    app = open_page("train", run)
    assert app.get("progress")[0].proto.text == f"{kept} are kept"
    assert f"*Continue* resumes it after {kept}." in words(app)


def test_a_long_training_comes_with_a_way_to_a_short_one():
    assert shorter(1700, (0, 0, 512, 512), PAPER) == ""
    # 26 times as fast: a side 5.1 times as short.
    assert "one of 100 × 100 pixels takes about 10 min" in shorter(15_840, (0, 0, 512, 512), PAPER)
    # No step sees more than its area, so beyond it a larger region takes no longer.
    at_most = shorter(3600, (0, 0, 640, 640), PAPER)
    assert "260 × 260" in at_most
    assert shorter(3600, (0, 0, 2000, 2000), PAPER) == at_most
    # Where a step takes a fixed number of crops the region is not what it hangs on.
    assert shorter(3600, (0, 0, 512, 512), QUICK).startswith("Fewer epochs")
    app = open_page("train")
    assert "Time grows" not in words(app)


def test_the_server_never_imports_a_framework():
    program = (
        "import sys, json\n"
        f"sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'tests/app')!r}]\n"
        "from streamlit.testing.v1 import AppTest\n"
        f"app = AppTest.from_file({str(ROOT / 'app.py')!r}, default_timeout={LONGEST}).run()\n"
        "for page in ('train', 'compare'):\n"
        "    app.switch_page(f'pages/{page}.py').run()\n"
        "    assert not app.exception\n"
        "heavy = {'keras', 'tensorflow', 'jax', 'torch'}\n"
        "print(json.dumps(sorted(heavy & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []


def test_the_estimate_is_made_again_when_the_open_run_has_ended(monkeypatch):
    known = [(47.0, "a guess"), (8.0, "measured here")]
    monkeypatch.setattr(cached_runs, "estimate_seconds", lambda *_, **__: known.pop(0))
    run = make_run("r1", end=None)
    app = open_page("train", run)
    assert "About 47 s" in words(app)
    assert "About 47 s" in words(shown(app.run()))
    run.record("finished")
    assert "About 8 s" in words(shown(app.run()))
    assert not known


def test_who_starts_a_training_asks_again_for_what_was_cancelled(asked):
    app = open_page("train")
    key = keys(app.session_state["choices"])["mask"]
    st.cache_resource.clear()
    app.session_state["aside_mask_cancelled"] = f"mask {key}"
    app.session_state["aside_other_cancelled"] = "other b.tif"
    app = shown(app.run())
    assert sum("Cancelled" in info.value for info in app.info) == 1
    app = shown(app.button(key="train_start").click().run())
    assert [note[0] for note in asked] == ["submit"]
    assert "aside_other_cancelled" not in app.session_state


def test_a_click_while_a_run_is_written_leaves_no_run_out_of_the_queue(asked, monkeypatch):
    write = Run.of_image

    def then_a_click(*given, **known):
        run = write(*given, **known)
        get_script_run_ctx().script_requests.request_rerun(RerunData())
        return run

    app = open_page("train")
    monkeypatch.setattr(Run, "of_image", then_a_click)
    shown(app.button(key="train_start").click().run())
    (summary,), _ = list_runs()
    assert asked == [("submit", summary.id, {})]


def test_a_duplicate_has_the_markers_of_its_run_and_the_edited_ones_can_be_brought_back():
    run = make_run("r1")
    app = open_page("train", run)
    edited = remove_marker(markers_of(run), 0)
    app.session_state["draft"].save(app.session_state["choices"])
    app.session_state["draft"].save_markers(app.session_state["choices"], edited)
    app.session_state["edits"] = edited
    app = shown(app.run())
    assert any("you have changed the mask" in warning.value for warning in app.warning)
    app = shown(app.button(key="train_duplicate").click().run())
    assert not app.warning
    assert app.session_state["edits"] is None
    # Again changes nothing, and the way back stays.
    app = shown(app.button(key="train_duplicate").click().run())
    app = shown(app.button(key="train_choices_back").click().run())
    np.testing.assert_array_equal(app.session_state["edits"].points, edited.points)


def test_the_line_of_a_long_queue_reads_each_job_ahead_once(monkeypatch):
    read = []
    monkeypatch.setattr(run_words, "job_at", lambda path: SimpleNamespace(folder=path))
    monkeypatch.setattr(run_words, "seconds_left", lambda path, device: read.append(path) or 1.0)
    for _ in range(2):
        for number in range(100):
            run_words._waiting_needs(f"r{number}", 8)
    assert len(read) == 100
