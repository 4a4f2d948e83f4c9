"""The comparison page, with runs written by hand: nothing is trained here."""

import json
import os
import socket

import numpy as np
import pytest
from made_runs import (
    as_of_before,
    asked,
    given,
    labels_after,
    linked,
    make_run,
    open_page,
    sent,
    shown,
    words,
)
from patience import LONGEST
from streamlit.testing.v1 import AppTest

from cellcutter_core.config import FROM_NOTHING
from cellcutter_core.evaluation.metrics import score
from cellcutter_core.view.truth import compare_truth

__all__ = ["asked"]

pytestmark = pytest.mark.usefixtures("asked")


def charts(app):
    return {chart.proto.id.rsplit("-", 1)[-1]: chart for chart in app.get("plotly_chart")}


def titles(app):
    """What is written above the panes."""
    _, contents = linked(app)
    return [pane["title"] for pane in contents["panes"]]


def take(app, mode):
    return shown(app.segmented_control(key="compare_mode").set_value(mode).run())


def table(app, first):
    (found,) = (frame.value for frame in app.dataframe if first in frame.value.columns)
    return found.set_index(first)


def scored(app):
    """What has a column in the table of scores."""
    return [name for name in table(app, "score").columns if name != "what"]


def test_without_a_run_it_says_where_to_get_one():
    app = open_page("compare")
    assert "no run is open" in app.info[0].value
    assert not app.get("plotly_chart")


def test_a_run_without_epochs_says_so():
    app = open_page("compare", make_run("r1", epochs=(), end=None))
    assert "has no epoch" in app.info[0].value


def test_the_film_shows_the_last_epoch_and_goes_back():
    app = open_page("compare", make_run("r1"))
    assert titles(app) == [
        "Image", "Cells, epoch 3", "Borders", "Probability", "Difference to epoch 2", "True cells",
    ]  # fmt: skip
    assert app.select_slider(key="compare_film_r1").options == ["0", "1", "2", "3"]
    app = shown(app.select_slider(key="compare_film_r1").set_value(2).run())
    assert "Cells, epoch 2" in titles(app)
    assert "Difference to epoch 1" in titles(app)
    app = shown(app.selectbox(key="compare_to_r1").set_value(3).run())
    assert "Difference to epoch 3" in titles(app)


def test_the_film_begins_at_epoch_0():
    app = open_page("compare", make_run("r1"))
    app = shown(app.select_slider(key="compare_film_r1").set_value(0).run())
    assert "Cells, epoch 0" in titles(app)
    # There is none before it.
    assert "Difference to epoch 0" in titles(app)


def test_an_old_run_begins_at_epoch_1_and_has_one_baseline():
    app = open_page("compare", as_of_before(make_run("r1", epochs=(1, 2, 3), old=True)))
    assert app.select_slider(key="compare_film_r1").options == ["1", "2", "3"]
    assert scored(app) == ["Epoch 3", "Cheapest paths"]
    app = take(app, "baselines")
    assert titles(app) == ["Cheapest paths", "Epoch 3", "Difference to cheapest paths"]
    app = take(app, "truth")
    assert titles(app) == ["Epoch 3", "Cheapest paths"]
    app = take(app, "film")
    app = shown(app.get_by_key("compare_wanted_True_1").set_value(["Cheapest paths"]).run())
    assert titles(app) == ["Cheapest paths"]


def test_a_run_that_has_only_epoch_0_opens():
    app = open_page("compare", make_run("r1", epochs=(0,), end="stopped"))
    assert "Cells, epoch 0" in titles(app)
    assert scored(app) == ["Epoch 0", "Cheapest paths", "Watershed"]
    for mode in ("epochs", "baselines", "truth"):
        app = take(app, mode)
        assert not app.error


def test_the_widget_and_its_zoom_stay_while_epoch_and_mode_change():
    app = open_page("compare", make_run("r1", epochs=(1, 9)))
    before, contents = linked(app)
    app.select_slider(key="compare_film_r1").set_value(1).run()
    after, others = linked(app)
    assert after == before
    assert others["place"] == contents["place"] == "r1"
    assert others["panes"][1]["picture"] != contents["panes"][1]["picture"]
    assert linked(take(app, "baselines"))[0] == before


def test_colours_are_explained():
    app = take(open_page("compare", make_run("r1")), "truth")
    names = [entry["name"] for entry in linked(app)[1]["legend"]]
    assert names == ["Found", "Missed", "False", "Merged", "Split"]


def test_pictures_of_the_film_are_chosen():
    app = open_page("compare", make_run("r1"))
    chosen = "compare_wanted_True_2"
    app = shown(app.get_by_key(chosen).set_value(["Probability", "Watershed"]).run())
    assert titles(app) == ["Probability", "Watershed"]
    app = shown(app.get_by_key(chosen).set_value([]).run())
    assert "Choose at least one picture." in words(app)


def test_one_epoch_needs_no_slider():
    app = open_page("compare", make_run("r1", epochs=(1,)))
    for mode in ("film", "epochs", "baselines", "truth"):
        app = take(app, mode)
        assert not app.select_slider


@pytest.mark.parametrize(
    ("epochs", "usual"),
    [
        ((0, 1, 2, 3), ["Epoch 0", "Epoch 3"]),
        ((0, 1, 10, 20, 30, 31), ["Epoch 0", "Epoch 31"]),
        ((1, 2, 3), ["Epoch 1", "Epoch 3"]),
    ],
)
def test_the_first_epoch_is_beside_the_last_until_others_are_chosen(epochs, usual):
    app = take(open_page("compare", make_run("r1", epochs=epochs)), "epochs")
    assert titles(app) == [*usual, "Difference"]
    # A chart shows how much the cells changed from each epoch to the next.
    (chart,) = [one for one in app.get("plotly_chart") if "compare_changed" in one.proto.id]
    figure = json.loads(chart.proto.spec)
    assert figure["data"][0]["x"] == list(epochs[1:])
    (band,) = figure["layout"]["shapes"]
    assert [band["x0"], band["x1"]] == [epochs[0], epochs[-1]]


def test_two_runs_of_the_same_region():
    make_run("r1", epochs=(1, 2))
    app = open_page("compare", make_run("r2"))
    app = take(app, "runs")
    assert titles(app) == ["This run, epoch 3", "The other, epoch 2", "Difference"]
    assert scored(app)[:3] == ["Epoch 0", "Epoch 3", "Cheapest paths"]
    assert "The other, epoch 2" in scored(app)


def test_a_run_of_the_command_line_on_the_same_image_is_compared():
    make_run("r1", known=False)
    app = take(open_page("compare", make_run("r2")), "runs")
    assert "Difference" in titles(app)


def test_what_differs_between_two_runs_is_said():
    make_run("r1", config=FROM_NOTHING)
    app = take(open_page("compare", make_run("r2")), "runs")
    (name,) = app.selectbox(key="compare_other").options
    assert "quick from nothing" in name
    found = table(app, "What differs")
    row = found.loc["network start"].tolist()
    assert row == ["Taught on simulated cells", "Nothing, as published"]
    make_run("r3")
    app = take(open_page("compare", make_run("r4")), "runs")
    app = shown(app.selectbox(key="compare_other").set_value("r3").run())
    assert "Both runs have the same image, markers and settings" in words(app)


def test_a_difference_says_since_when():
    app = open_page("compare", make_run("r1"))
    meant = [entry["name"] for entry in linked(app)[1]["legend"]]
    assert meant == ["changed owner since epoch 2", "appeared since then", "vanished since then"]
    app = shown(app.selectbox(key="compare_to_r1").set_value(0).run())
    assert linked(app)[1]["legend"][0]["name"] == "changed owner since epoch 0"
    app = take(app, "baselines")
    meant = [entry["name"] for entry in linked(app)[1]["legend"]]
    assert meant[0] == "changed owner against cheapest paths"
    app = take(app, "epochs")
    assert linked(app)[1]["legend"][0]["name"] == "changed owner since epoch 0"


def test_a_cell_keeps_its_colour_from_epoch_to_epoch():
    run = make_run("r1", epochs=(60, 90, 170))
    app = open_page("compare", run)
    seen = {}
    for number in run.epochs:
        app = shown(app.select_slider(key="compare_film_r1").set_value(number).run())
        _, contents = linked(app)
        (pane,) = [one for one in contents["panes"] if one["title"].startswith("Cells")]
        picture = sent(app, pane).astype(int)
        for cell in np.unique(run.epoch(number).labels)[1:].tolist():
            # The tint is mixed with the image: what is left of that is as high in all channels.
            color = np.median(picture[run.epoch(number).labels == cell], axis=0)
            seen.setdefault(cell, []).append(color - color.min())
    there = [colors for colors in seen.values() if len(colors) > 1]
    assert len(there) > 5
    assert max(np.abs(one - colors[0]).max() for colors in there for one in colors) < 4


def grow(run, number):
    run.add_epoch(number, run.epoch(1))
    event = {**run.progress.epoch_events[-1], "epoch": number}
    del event["kind"], event["time"]
    run.record("epoch", **event)


def test_the_page_follows_a_run_that_goes_on_unless_another_epoch_is_looked_at():
    run = make_run("r1", end=None)
    run.record("started", pid=os.getpid(), host=socket.gethostname(), epochs=6)
    app = open_page("compare", run)
    assert "epoch 3 is the last one so far" in words(app)
    assert "Training: epoch 4 of 6" in words(app)
    grow(run, 4)
    app = shown(app.run())
    assert "Cells, epoch 4" in titles(app)
    assert "Epoch 4" in scored(app)
    app = shown(app.select_slider(key="compare_film_r1").set_value(1).run())
    grow(run, 5)
    app = shown(app.run())
    assert "Cells, epoch 1" in titles(app)
    assert app.select_slider(key="compare_film_r1").options[-1] == "5"


def test_the_page_says_which_run_and_image_it_shows():
    for page in ("compare", "results", "apply"):
        app = open_page(page, make_run(f"run-{page}", config=FROM_NOTHING))
        assert "Built-in sample 0 · quick from nothing, 3 epochs" in words(app)
        assert page[-5:] in words(app)
        assert "Finished: 3 epochs" in words(app)


def test_two_runs_of_different_regions_are_not_laid_over_each_other():
    make_run("r1", region=(0, 0, 128, 128))
    app = take(open_page("compare", make_run("r2")), "runs")
    assert "128 × 160 pixels and the other 128 × 128" in words(app)
    assert linked(app) is None


def test_two_runs_of_the_same_size_elsewhere_say_so():
    make_run("r1", region=(128, 0, 256, 160))
    app = take(open_page("compare", make_run("r2")), "runs")
    assert "different images or regions" in words(app)
    assert "Difference" not in titles(app)


def test_a_single_run_has_nothing_to_be_compared_with():
    app = take(open_page("compare", make_run("r1")), "runs")
    assert "no other run" in words(app)


def test_against_the_baselines():
    app = take(open_page("compare", make_run("r1")), "baselines")
    assert titles(app) == [
        "Cheapest paths", "Watershed", "Epoch 3", "Difference to cheapest paths",
    ]  # fmt: skip


def test_nothing_is_called_untrained():
    app = open_page("compare", make_run("r1"))
    for mode in ("film", "epochs", "runs", "baselines", "truth"):
        app = take(app, mode)
        said = (words(app) + str(titles(app) if linked(app) else "")).lower()
        for word in ("untrained", "without training", "no training"):
            assert word not in said, (mode, word)


def test_against_the_truth_counts_what_the_core_counts():
    app = take(open_page("compare", make_run("r1")), "truth")
    assert titles(app) == ["Epoch 0", "Epoch 3", "Cheapest paths", "Watershed"]
    _, truth = given()
    labels = labels_after(3, truth.labels)
    counts = compare_truth(labels, truth.labels, ignore=truth.ignore).counts
    shown_counts = table(app, "cells")["Epoch 3"]
    assert shown_counts["Found"] == counts["hit"]
    assert shown_counts["Missed"] == counts["missed"] > 0
    assert shown_counts["False"] == counts["false"] == 0


def test_without_truth_it_says_what_is_missing():
    app = open_page("compare", make_run("r1", with_truth=False))
    assert titles(app)[-1] == "Cheapest paths"
    assert "compare_ap" not in charts(app)
    app = take(app, "truth")
    assert "are not known" in words(app)


def test_scores_are_those_of_the_chosen_epoch():
    app = open_page("compare", make_run("r1", epochs=(1, 9)))
    _, truth = given()
    wanted = [score(labels_after(n, truth.labels), truth.labels).recall for n in (9, 1)]
    assert wanted[0] > wanted[1]
    assert np.isclose(table(app, "score")["Epoch 9"]["Recall"], wanted[0])
    # They follow the slider, in every way of comparing.
    app = shown(app.select_slider(key="compare_film_r1").set_value(1).run())
    assert np.isclose(table(app, "score")["Epoch 1"]["Recall"], wanted[1])
    assert scored(app) == ["Epoch 1", "Cheapest paths", "Watershed"]
    for mode, key in {"baselines": "baselines", "truth": "truth", "epochs": "right"}.items():
        app = take(app, mode)
        assert "Epoch 9" in scored(app), mode
        app = shown(app.select_slider(key=f"compare_{key}_r1").set_value(1).run())
        assert scored(app) == ["Epoch 1", "Cheapest paths", "Watershed"], mode
    assert all(table(app, "score")["what"].str.len() > 10)


def test_scores_of_epoch_0_and_of_the_baselines_are_beside_them():
    app = open_page("compare", make_run("r1"))
    found = table(app, "score")
    assert scored(app) == ["Epoch 0", "Epoch 3", "Cheapest paths", "Watershed"]
    given_inputs, truth = given()
    paths = score(given_inputs.nuclei, truth.labels, ignore=truth.ignore)
    assert np.isclose(found["Cheapest paths"]["Recall"], paths.recall)
    names = {trace["name"] for trace in json.loads(charts(app)["compare_ap"].proto.spec)["data"]}
    assert names == {"Epoch 0", "Epoch 3", "Cheapest paths", "Watershed"}
    app = shown(app.select_slider(key="compare_film_r1").set_value(0).run())
    assert scored(app) == ["Epoch 0", "Cheapest paths", "Watershed"]


def test_losses_of_several_runs_are_in_one_figure():
    make_run("r1")
    app = open_page("compare", make_run("r2"))
    app = shown(app.multiselect(key="compare_losses_r2").set_value(["r1", "r2"]).run())
    data = json.loads(charts(app)["compare_loss"].proto.spec)["data"]
    assert len({trace["name"] for trace in data}) == 2
    assert data[0]["x"] == [1, 2, 3]
    app = shown(app.multiselect(key="compare_losses_r2").set_value([]).run())
    assert "compare_loss" not in charts(app)


def test_the_code_of_the_page_gives_the_scores_of_the_page():
    run = make_run("r1")
    app = open_page("compare", run)
    source = next(code.value for code in app.code if "score" in code.value)
    names: dict = {}
    exec(source, names)
    assert np.array_equal(names["labels"][-1], run.epoch(3).labels)
    assert names["scores"][-1]["ap50"] == table(app, "score")["Epoch 3"]["AP at IoU 0.5"]


def test_a_run_of_other_choices_is_out_of_date():
    app = open_page("compare", make_run("r1"))
    now = app.session_state["choices"]
    app.session_state["choices"] = now.with_setting("mask", "automatic", False)
    app = shown(app.run())
    assert "out of date" in app.warning[0].value
    assert "Cells, epoch 3" in titles(app)
    # Settings of the next training say nothing of this one.
    app.session_state["choices"] = now.with_setting("training", "lam", 2.0)
    assert not shown(app.run()).warning


def page_of_a_run() -> None:
    """Keep how many markers and colours the run has, and the picture of its true cells."""
    import streamlit as st

    from pages.shared.caching import cached_runs

    given, _ = cached_runs.run_inputs("r1")
    st.session_state["counted"] = len(given.points), len(cached_runs.run_colors("r1"))
    st.session_state["truth"] = cached_runs.run_truth("r1")


def test_markers_that_a_run_drops_before_epoch_0_are_gone_from_colours_and_truth():
    run = make_run("r1", epochs=(), end=None)
    app = AppTest.from_function(page_of_a_run, default_timeout=LONGEST)
    app = shown(app.run())
    n, before = len(run.inputs.points), app.session_state["truth"]
    assert app.session_state["counted"] == (n, n)
    run.check_markers(lambda given: np.arange(n) != 0)
    app = shown(app.run())
    assert app.session_state["counted"] == (n - 1, n - 1)
    assert (app.session_state["truth"] != before).any()
