"""What the row of links at the top says of each step: never done what is not."""

import io
import os
import socket
import time

import numpy as np
import pytest
from made_runs import REGION, asked, dead_process, make_run, open_page, shown, words
from samples import sample
from streamlit.testing.v1 import AppTest

from cellcutter_core.apply.application_folder import Application
from cellcutter_core.choices.choices import Choices, Source
from cellcutter_core.choices.draft import Draft
from cellcutter_core.choices.uploads import store_upload
from cellcutter_core.config import PAPER
from cellcutter_core.images.regions import cut_out
from cellcutter_core.pipeline import find_markers
from cellcutter_core.runs.folder import find_run

__all__ = ["asked"]

pytestmark = pytest.mark.usefixtures("asked")


def standing(app):
    """Page and what is said of it, as it is read at the top."""
    found = {}
    for link in app.get("page_link"):
        name, dot, word = link.proto.label.rpartition("[")[2].rstrip("]").partition(" · ")
        if dot:
            found.setdefault(name, word)
    return found


def n_markers(app):
    """How many markers the page counts."""
    return int(next(one.value for one in app.metric if one.label == "Markers"))


def go(app, page):
    return shown(app.switch_page(f"pages/{page}.py").run())


def said(app, *pages):
    """What is said of these pages, after the page was drawn again."""
    found = standing(shown(app.run()))
    return [found[page] for page in pages]


def test_nothing_is_done_on_the_first_visit():
    app = open_page("overview")
    assert standing(app) == {
        "Data": "next", "Mask": "to do", "Cells": "to do", "Train": "to do",
        "Compare": "to do", "Results": "to do", "Apply": "to do",
    }  # fmt: skip


def test_a_step_is_done_when_it_was_looked_at():
    app = go(open_page("overview"), "data")
    assert said(go(app, "mask"), "Data", "Mask", "Cells", "Train") == [
        "done", "done", "next", "to do",
    ]  # fmt: skip
    assert said(go(app, "cells"), "Data", "Mask", "Cells", "Train") == ["done"] * 3 + ["next"]
    # Another image has another mask.
    app.session_state["choices"] = Choices(region=REGION, source=Source(seed=1))
    assert said(app, "Data", "Mask", "Cells") == ["next", "to do", "to do"]


def test_what_was_looked_at_is_known_after_a_reload():
    app = open_page("data")
    draft = Draft()
    draft.save(app.session_state["choices"])
    app.session_state["draft"] = draft
    go(app, "mask")
    again = AppTest.from_file(app._script_path, default_timeout=60)
    again.query_params["draft"] = draft.id
    assert standing(shown(again.run()))["Mask"] == "done"


def test_a_mask_of_everything_needs_attention():
    app = go(open_page("overview"), "mask")
    now = app.session_state["choices"].with_setting("mask", "automatic", False)
    app.session_state["choices"] = now.with_setting("mask", "prior", 0.999)
    shown(app.run())
    assert said(app, "Mask") == ["needs attention"]
    app.session_state["choices"] = now.with_setting("mask", "automatic", True)
    assert said(app, "Mask") == ["done"]


def test_what_the_open_run_was_made_from_is_done():
    app = open_page("train", make_run("r1"))
    assert list(standing(app).values()) == ["done"] * 4 + ["next", "next", "to do"]


@pytest.mark.parametrize("epochs", [(), (0,)])
def test_a_training_that_was_stopped_at_0_of_3_epochs_is_not_done(epochs):
    app = open_page("train", make_run("r1", epochs=epochs, end="stopped"))
    assert said(app, "Train", "Compare", "Results") == ["stopped", "to do", "to do"]


def test_a_training_that_was_stopped_early_is_not_done():
    run = make_run("r1", epochs=(0, 1, 2), end=None)
    run.record("started", pid=os.getpid(), host=socket.gethostname(), epochs=6)
    app = open_page("train", run)
    assert said(app, "Train") == ["running"]
    run.record("stopped")
    assert said(app, "Train", "Compare") == ["stopped", "next"]


def test_a_run_that_waits_is_not_called_running():
    run = make_run("r1", epochs=(), end=None)
    run.record("queued", epochs=3, server="x", pid=os.getpid(), host="another")
    assert said(open_page("train", run), "Train") == ["waiting"]
    run.record("queued", epochs=3, server="x", pid=dead_process(), host=socket.gethostname())
    assert said(open_page("train", run), "Train") == ["needs attention"]


def test_a_collapsed_run_needs_attention():
    assert said(open_page("train", make_run("r1", collapsed=True)), "Train") == ["needs attention"]


def test_a_run_is_up_to_date_after_going_back_to_the_same_mask():
    app = open_page("train", make_run("r1"))
    now = app.session_state["choices"].with_setting("mask", "automatic", False)
    app.session_state["choices"] = now.with_setting("mask", "prior", 0.7)
    assert said(app, "Train", "Compare", "Results") == ["out of date"] * 3
    now = app.session_state["choices"].with_setting("mask", "automatic", True)
    app.session_state["choices"] = now
    assert said(app, "Train", "Compare", "Results") == ["done", "next", "next"]


def test_a_preset_for_the_next_run_says_nothing_of_this_one():
    app = open_page("train", make_run("r1"))
    app = shown(app.segmented_control(key="train_preset").set_value("paper").run())
    assert said(app, "Train", "Compare", "Results") == ["done", "next", "next"]
    assert not app.warning
    assert "The next run differs from the open one: crops size 64 instead of 96" in words(app)
    # The next one is what is offered.
    assert app.button(key="train_start").proto.type == "primary"


def test_an_old_run_that_is_opened_brings_its_image_and_settings_and_one_can_go_back():
    old = make_run("r1", region=(0, 0, 128, 128), config=PAPER)
    app = open_page("train", make_run("r2"))
    before = app.session_state["choices"].with_setting("mask", "automatic", False)
    app.session_state["draft"].save(before)
    app.session_state["choices"] = before
    app = shown(app.switch_page("pages/runs.py").run())
    app.text_input(key="runs_search").set_value("r1").run()
    app = shown(app.button(key="runs_open").click().run())
    # The test stays on the page that it has switched to itself.
    app = shown(app.switch_page("pages/train.py").run())
    assert list(standing(app).values())[:5] == ["done"] * 4 + ["next"]
    assert not app.warning
    assert app.session_state["choices"] == Choices(**find_run("r1").description.choices)
    assert app.session_state["choices"].config.mask == old.config.mask
    app = shown(app.button(key="train_choices_back").click().run())
    assert app.session_state["choices"] == before
    assert app.session_state["run"] == "r1"
    assert said(app, "Train") == ["out of date"]
    assert not [one for one in app.button if one.key == "train_choices_back"]


def test_roles_that_are_as_they_were_are_the_same_image():
    app = open_page("data")
    usual = app.session_state["choices"]
    app.selectbox(key="data_nucleus").select("none").run()
    assert app.session_state["choices"].nucleus == "none"
    app.selectbox(key="data_nucleus").select("nucleus").run()
    assert app.session_state["choices"] == usual


def test_a_region_and_a_brightness_that_are_as_they_were_are_the_same_image():
    file = io.BytesIO()
    np.save(file, sample((96, 120)).pixels[..., 0])
    app = open_page("data")
    app.segmented_control(key="data_kind").set_value("file")
    app.session_state["choices"] = usual = Choices(source=store_upload("a.npy", file.getvalue()))
    app = shown(app.run())
    app.session_state["data_region-edit"] = (0, 0, 64, 70)
    app = shown(app.run())
    assert app.session_state["choices"].region == (0, 0, 64, 70)
    # Of a small image all is taken, unless somebody chooses a part.
    app = shown(next(one for one in app.button if one.label == "Whole image").click().run())
    assert app.session_state["choices"] == usual
    judged = app.toggle(key="data_inverted").value
    app = shown(app.toggle(key="data_inverted").set_value(not judged).run())
    assert app.session_state["choices"].source.inverted is not judged
    app = shown(app.toggle(key="data_inverted").set_value(judged).run())
    assert app.session_state["choices"] == usual


def test_without_a_nucleus_channel_another_mask_is_another_search_for_markers():
    choices = Choices(region=REGION, nucleus="none")
    app = open_page("cells")
    app.session_state["choices"] = choices
    before = n_markers(shown(app.run()))
    by_hand = choices.with_setting("mask", "automatic", False).with_setting("mask", "prior", 0.8)
    app.session_state["choices"] = by_hand
    after = n_markers(shown(app.run()))
    image = cut_out(sample(), REGION).with_roles(nucleus="none")
    expected = [len(find_markers(image, one.config).points) for one in (choices, by_hand)]
    assert expected[0] != expected[1]
    assert [before, after] == expected


def test_an_application_of_a_network_that_was_trained_on_is_out_of_date(tmp_path):
    run = make_run("r1", epochs=(0, 1))
    made = Application.create(run, {"a": tmp_path / "a.npz"})
    made.record("queued", server="x", pid=os.getpid(), host="another")
    app = open_page("overview", run)
    assert said(app, "Apply") == ["waiting"]
    made.record("started", pid=os.getpid(), host=socket.gethostname())
    assert said(app, "Apply") == ["running"]
    made.record("stopped")
    assert said(app, "Apply") == ["stopped"]
    outcome = {"name": "a", "image": "a.npz", "seconds": 1.0, "error": ""}
    made.record("image", outcome=outcome)
    made.record("finished")
    assert said(app, "Apply") == ["done"]
    run.add_epoch(2, run.epoch(1))
    event = {**run.progress.epoch_events[-1], "epoch": 2}
    del event["kind"], event["time"]
    time.sleep(0.01)  # Clocks have a grain.
    run.record("epoch", **event)
    assert said(app, "Apply") == ["out of date"]
