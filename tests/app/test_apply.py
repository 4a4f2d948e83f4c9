"""The page Apply: choosing files, watching, looking at what was found, taking it home."""

import io
import json
import os
import socket
import zipfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from made_runs import as_of_before, asked, dead_process, linked, make_run, open_page, shown, words
from samples import sample
from streamlit.testing.v1 import AppTest

from cellcutter_core.apply.application_folder import Application, applications
from cellcutter_core.apply.outcomes import Outcome, summary_file
from cellcutter_core.export import png_file
from cellcutter_core.images.read_image import read_image
from cellcutter_core.jobs.queue import Jobs
from cellcutter_core.processes.threads import Threads
from cellcutter_core.runs.store import Run

__all__ = ["asked"]

pytestmark = pytest.mark.usefixtures("asked")

GOOD = Outcome("a", "a.tif", 2.0, cells=87, median_area=410.5, mask_fraction=0.5)
BAD = Outcome("b", "b.tif", 0.1, "is empty (0 bytes); copy or save it again")
LAST = Outcome("c", "c.tif", 3.0, cells=1, median_area=99.0, mask_fraction=0.25)


@pytest.fixture
def run() -> Run:
    return make_run("r1")


def applied(run: Run, *outcomes: Outcome, end: str | None, **values: Any) -> Application:
    """An application to three images with these outcomes; `end` is its last event."""
    made = Application.create(run, {name: Path(f"{name}.tif") for name in "abc"})
    host = socket.gethostname()
    made.record("started", **{"pid": os.getpid(), "host": host, **values})
    made.results.mkdir()
    for outcome in outcomes:
        made.record("image", outcome=asdict(outcome))
        for kind, level in (("image", 10), ("cells", 200)):
            picture = np.full((20, 30, 3), level, np.uint8)
            made.preview(outcome.name, kind).write_bytes(png_file(picture))
        (made.results / f"{outcome.name}-labels.tif").write_bytes(outcome.name.encode())
    (made.results / "summary.csv").write_bytes(summary_file(outcomes))
    if end is not None:
        made.record(end, message="the run has no model")
    return made


def upload(app: AppTest, *files: tuple[str, bytes]) -> AppTest:
    uploader = app.file_uploader[0]
    for name, content in files:
        uploader.upload(name, content)
    return shown(app.run())


def table(app: AppTest) -> Any:
    return app.dataframe[0].value


def titles(app: AppTest) -> list[str]:
    """Of the pictures on the page."""
    found = linked(app)
    return [pane["title"] for pane in found[1]["panes"]] if found else []


def test_without_a_network_it_says_where_to_get_one():
    assert "no run is open" in open_page("apply").info[0].value
    app = open_page("apply", make_run("r0", epochs=(), end=None))
    assert "has no epoch" in app.info[0].value
    assert not app.file_uploader


def test_of_a_file_with_several_images_all_are_taken(run, asked):
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, ome=True) as tif:
        for _ in range(2):
            tif.write(np.eye(20, dtype=np.uint8))
    app = upload(open_page("apply", run), ("two.ome.tif", buffer.getvalue()))
    # Each has a number and, as far as the file says, a name and a shape.
    scenes = app.selectbox(key="apply_scene_of_r1")
    assert scenes.value is None
    assert [one[:2] for one in scenes.options] == ["0:", "1:"]
    assert "20 × 20" in scenes.options[0]
    app = shown(app.text_input(key="apply_cell_r1").set_value(" 0 ").run())
    app = shown(app.button(key="apply_start").click().run())
    assert not app.error
    (made,) = applications(run)
    assert list(made.files) == ["two.ome-scene0", "two.ome-scene1"]
    assert made.scenes == {"two.ome-scene0": 0, "two.ome-scene1": 1}
    assert made.how == {"cell": "0"}


def test_on_a_cluster_it_is_executed_here_and_spreads_from_here(run, asked, monkeypatch):
    monkeypatch.setenv("CELLCUTTER_SCHEDULER", "tcp://127.0.0.1:1")
    executors, submit = [], Jobs.submit

    def watched(self, folder, **wanted):
        executors.append((type(self._executor), self.n_workers))
        submit(self, folder, **wanted)

    monkeypatch.setattr(Jobs, "submit", watched)
    app = upload(open_page("apply", run), ("a.png", b"any"))
    app = shown(app.button(key="apply_start").click().run())
    assert not app.error
    assert executors == [(Threads, 1)]


def test_files_are_given_to_a_process_of_their_own(run, asked):
    app = open_page("apply", run)
    assert app.button(key="apply_start").disabled
    assert not app.get("download_button")
    app = upload(app, ("one.tif", b"first"), ("ONE.png", b"second"), ("../two.tif", b"third"))
    assert not app.button(key="apply_start").disabled
    app = shown(app.number_input(key="apply_z_r1").set_value(2).run())
    app = shown(app.number_input(key="apply_scene_r1").set_value(1).run())
    app = shown(app.selectbox(key="apply_brightness_r1").select("Dark on bright").run())
    app = shown(app.multiselect(key="apply_formats").set_value(["labels", "rois"]).run())
    app = shown(app.button(key="apply_start").click().run())
    assert not app.error
    (made,) = applications(run)
    assert asked == [("submit", made.path.name, {})]
    assert {name: file.read_bytes() for name, file in made.files.items()} == {
        "one": b"first",
        "ONE-2": b"second",
        "two": b"third",
    }
    assert made.formats == ["labels", "rois"]
    assert made.how == {"scene": 1, "z": 2, "inverted": True}
    # The widget is empty again, and the page shows what is going on.
    assert app.button(key="apply_start").disabled
    assert "3 images" in words(app)
    assert app.button(key="apply_stop")


def test_how_images_are_read_is_said_for_each_run(run):
    make_run("r2")
    app = open_page("apply", run)
    app = shown(app.text_input(key="apply_cell_r1").set_value("2").run())
    app.query_params["run"] = "r2"
    app = shown(app.run())
    assert app.text_input(key="apply_cell_r2").value == ""
    app.query_params["run"] = "r1"
    assert shown(app.run()).text_input(key="apply_cell_r1").value == "2"


def test_a_run_of_before_is_not_applied(run, asked):
    made = applied(run, GOOD, end="stopped")
    app = upload(open_page("apply", as_of_before(run)), ("one.tif", b"first"))
    assert len([info for info in app.info if "earlier version" in info.value]) == 1
    assert app.button(key="apply_start").disabled
    assert app.button(key="apply_continue").disabled
    # What was found then is still there.
    assert titles(app)
    assert made.download
    assert not asked


def test_the_whole_image_of_a_run_on_a_part(run, asked):
    assert not [b for b in open_page("apply", run).button if b.key == "apply_whole"]
    run.describe(region=[0, 0, 128, 160], whole=[128, 160])
    assert not [b for b in open_page("apply", run).button if b.key == "apply_whole"]
    run.describe(whole=[512, 512])
    app = open_page("apply", run)
    app = shown(app.button(key="apply_whole").click().run())
    assert not app.error
    (made,) = applications(run)
    assert asked == [("submit", made.path.name, {})]
    assert list(made.files) == ["Built-in sample 0"]
    image = read_image(*made.files.values(), **made.how)
    np.testing.assert_array_equal(image.pixels, sample(seed=0).pixels)
    assert "1 image" in words(app)


def test_an_empty_file_is_told(run, asked):
    app = upload(open_page("apply", run), ("one.tif", b""))
    app = shown(app.button(key="apply_start").click().run())
    assert "one.tif is empty" in app.error[0].value
    assert asked == list(applications(run)) == []


def test_it_is_watched_and_found_again_after_a_reload(run, asked):
    made = applied(run, GOOD, end=None)
    for _ in range(2):
        app = open_page("apply", run)
        (bar,) = app.get("progress")
        assert bar.proto.value == 33
        assert bar.proto.text == "1 of 3 images; now b, about 4 s left"
        assert table(app)["image"].tolist() == ["a"]
    shown(app.button(key="apply_stop").click().run())
    assert asked == [("cancel", made.path.name, {})]
    made.ask_to_stop()
    (bar,) = open_page("apply", run).get("progress")
    assert bar.proto.text == "Stopping after this image …"


def test_one_that_cannot_be_stopped_is_told(run, monkeypatch):
    applied(run, GOOD, end=None)

    def full(self, folder):
        raise ValueError("cannot write")

    monkeypatch.setattr(Jobs, "cancel", full)
    app = shown(open_page("apply", run).button(key="apply_stop").click().run())
    assert app.error[0].value == "cannot write"


def test_every_image_is_a_row_with_its_cells_or_its_trouble(run):
    applied(run, GOOD, BAD, LAST, end="finished")
    app = open_page("apply", run)
    rows = table(app)
    assert rows["image"].tolist() == ["a", "b", "c"]
    assert rows["cells"].fillna(-1).tolist() == [87, -1, 1]
    assert rows["median area in pixels"].fillna(-1).tolist() == [410.5, -1, 99.0]
    assert rows["trouble"].tolist() == ["", BAD.error, ""]
    assert "1 of 3 images failed" in app.warning[0].value
    assert BAD.error in app.warning[0].value
    assert app.get("progress")[0].proto.text == "Finished: 3 of 3 images in 5 s, 1 without cells"
    assert not [b for b in app.button if b.key in ("apply_stop", "apply_continue")]
    assert not app.info


def test_another_stain_is_not_taken_without_a_word(run):
    remark = "sees tubulin in place of actin"
    stained = [replace(LAST, name=name, remark=remark) for name in "bc"]
    applied(run, GOOD, *stained, end="finished")
    app = open_page("apply", run)
    assert app.info[0].value.startswith(f"In `c.tif` and 1 more the network {remark}.")


def test_what_makes_cells_of_an_image_less_reliable_is_said(run):
    note = "12 % of actin are cut off at the top of the scale."
    applied(run, GOOD, replace(LAST, notes=note), end="finished")
    app = open_page("apply", run)
    assert [one.value for one in app.warning] == [f"Look closely at `c.tif`. {note}"]


def test_images_of_one_file_are_named_as_in_the_file(run, tmp_path):
    with tifffile.TiffWriter(tmp_path / "two.ome.tif", ome=True) as tif:
        for _ in range(2):
            tif.write(np.eye(20, dtype=np.uint8))
    named = {f"two-scene{i}": tmp_path / "two.ome.tif" for i in (0, 1)}
    made = Application.create(run, named, scenes={name: i for i, name in enumerate(named)})
    made.record("started", pid=os.getpid(), host=socket.gethostname())
    made.record("image", outcome=asdict(Outcome("two-scene1", "two.ome.tif", 2.0, "no cell")))
    app = open_page("apply", run)
    assert table(app)["in the file"][0].startswith("1: ")
    assert "20 × 20" in table(app)["in the file"][0]


def test_a_row_that_is_chosen_shows_its_picture(run):
    made = applied(run, BAD, GOOD, LAST, end="finished")
    app = open_page("apply", run)
    # In the order in which they were chosen; the first that went well.
    assert table(app)["image"].tolist() == ["a", "b", "c"]
    assert titles(app) == ["a.tif", "87 cells"]
    key = f"apply_table_{made.path.name}"
    selection = {"selection": {"rows": [2], "columns": [], "cells": []}}
    app.session_state[key] = selection
    assert titles(shown(app.run())) == ["c.tif", "1 cell"]
    app.session_state[key] = {"selection": {**selection["selection"], "rows": [1]}}
    app = shown(app.run())
    assert titles(app) == []
    assert "b.tif" in app.error[0].value
    assert BAD.error in app.error[0].value


def test_everything_is_taken_home_in_one_file(run):
    made = applied(run, GOOD, BAD, end="stopped")
    (button,) = open_page("apply", run).get("download_button")
    assert button.proto.label == "Download all"
    assert not button.proto.disabled
    with zipfile.ZipFile(io.BytesIO(made.download())) as archive:
        assert set(archive.namelist()) == {"a-labels.tif", "b-labels.tif", "summary.csv"}
        assert archive.read("summary.csv") == summary_file([GOOD, BAD])


@pytest.mark.parametrize("end", ["stopped", "failed", None])
def test_what_ended_too_early_is_gone_on_with(run, asked, end):
    gone = {"pid": dead_process()} if end is None else {}
    made = applied(run, GOOD, end=end, **gone)
    made.log_file.write_text("a last line")
    app = open_page("apply", run)
    if end != "stopped":
        message = {"failed": "has no model", None: "ended without a message"}[end]
        assert message in app.error[0].value
        assert "a last line" in words(app)
    app = shown(app.button(key="apply_continue").click().run())
    assert asked == [("submit", made.path.name, {})]


def test_what_was_left_behind_by_a_server_can_be_started(run, asked):
    made = Application.create(run, {"a": Path("a.tif")})
    made.record("queued", server="another", host=socket.gethostname(), pid=dead_process())
    app = open_page("apply", run)
    assert "closed before this application started" in app.warning[0].value
    shown(app.button(key="apply_continue").click().run())
    assert asked == [("submit", made.path.name, {})]


def test_earlier_ones_can_be_looked_at(run):
    first = applied(run, GOOD, end="stopped")
    # Newer by its name, which begins with its time.
    second = applied(run, LAST, end="stopped")
    later = second.path.with_name("99990101-000000-aaaaa")
    second.path.rename(later)
    app = open_page("apply", run)
    assert table(app)["image"].tolist() == ["c"]
    app = shown(app.selectbox(key="apply_shown_r1").select(first.path.name).run())
    assert table(app)["image"].tolist() == ["a"]


def test_a_damaged_one_does_not_hide_the_others(run):
    applied(run, GOOD, end="stopped")
    other = applied(run, LAST, end="stopped")
    (other.path / "application.json").write_text(json.dumps({"files": {}}))
    assert table(open_page("apply", run))["image"].tolist() == ["a"]


def test_where_it_stands_is_seen_on_every_page(run):
    def step(app: AppTest) -> str:
        links = [link.proto.label for link in app.get("page_link")]
        (found,) = [label for label in links if "[Apply" in label]
        return found

    assert "to do" in step(open_page("data", run))
    made = applied(run, GOOD, BAD, end=None)
    assert "running" in step(open_page("data", run))
    made.record("image", outcome=asdict(LAST))
    made.record("finished")
    assert "needs attention" in step(open_page("data", run))
    made.record("image", outcome=asdict(Outcome("b", "b.tif", 1.0, cells=2)))
    assert "done" in step(open_page("data", run))
