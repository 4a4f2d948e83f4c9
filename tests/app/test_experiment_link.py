"""An experiment in the address of a page: opened, offered to be run, refused, and shared."""

import json
from urllib.parse import parse_qsl

import pytest
from made_runs import REGION, ROOT, asked, drawing, given, linked, make_run, shown, words
from opening import at_page
from samples import sample

from cellcutter_core.choices.choices import Choices, keys
from cellcutter_core.choices.draft import Draft
from cellcutter_core.choices.link import DEEPEST_ZOOM, parameters_of, parameters_of_run
from cellcutter_core.config import QUICK
from cellcutter_core.images.regions import cut_out
from cellcutter_core.markers.editing import remove_marker
from cellcutter_core.pipeline import find_markers
from cellcutter_core.runs.folder import find_run, list_runs, runs_folder
from pages.shared import state

__all__ = ["asked"]

pytestmark = pytest.mark.usefixtures("asked")

NOT_RUN = "**This experiment has not been run here.**"
SMALL = {"image": "sample-0", "region": ",".join(map(str, REGION))}


def opened(page, parameters):
    """The page as a visitor finds it who opens a link."""
    app = at_page(page)
    for name, value in parameters.items():
        app.query_params[name] = value
    return shown(app.run())


def test_no_link_says_a_deeper_zoom_than_may_be_opened():
    script = (ROOT / "pages" / "shared" / "sharing.js").read_text("utf-8")
    assert f"Math.min(zoom, {DEEPEST_ZOOM:g})" in script


def address(app):
    told = app.query_params.items()
    return {name: value if isinstance(value, str) else value[-1] for name, value in told}


def link_of(app):
    """The query parameters of the link that the page offers."""
    (told,) = (
        json.loads(one.proto.json)[0]
        for one in app.get("bidi_component")
        if "cellcutter_link" in one.proto.component_name
    )
    return dict(parse_qsl(told["link"].partition("?")[2])), told["place"]


def titles(app):
    return [pane["title"] for pane in linked(app)[1]["panes"]]


# The run is here ----------------------------------------------------------------------------------


def test_a_link_opens_the_stored_run_at_its_epoch_and_zoom():
    make_run("other", epochs=(0, 1, 2))
    run = make_run("r1")
    told = parameters_of_run(run.description) | {"epoch": "2", "zoom": "2.5,60,80.5"}
    app = opened("compare", told | {"compare": "film"})
    assert not app.error
    assert app.session_state[state.RUN] == "r1"
    assert app.session_state[state.CHOICES] == Choices(**run.description.choices)
    assert "Cells, epoch 2" in titles(app)
    assert linked(app)[1]["zoom"] == [2.5, 60.0, 80.5]
    assert NOT_RUN not in words(app)
    assert list_runs()[0][0].id in ("r1", "other")
    assert len(list_runs()[0]) == 2


def test_the_address_is_then_that_of_the_run_and_a_reload_shows_the_same():
    run = make_run("r1")
    app = opened("compare", parameters_of_run(run.description) | {"epoch": "1", "zoom": "2,9,9"})
    now = address(app)
    draft = app.session_state[state.DRAFT].id
    assert now == {"epoch": "1", "zoom": "2,9,9", "run": "r1", "draft": draft}
    again = opened("compare", now)
    assert again.session_state[state.DRAFT].id == draft
    assert "Cells, epoch 1" in titles(again)
    assert linked(again)[1]["zoom"] == [2.0, 9.0, 9.0]
    # A moved slider stays where it is.
    again.select_slider(key="compare_film_r1").set_value(3)
    assert "Cells, epoch 3" in titles(shown(again.run()))


@pytest.mark.parametrize(
    ("view", "panes"),
    [
        ({"compare": "film", "epoch": "3", "with": "1"}, "Difference to epoch 1"),
        ({"compare": "epochs", "epoch": "2", "with": "1"}, "Epoch 2"),
        ({"compare": "baselines", "epoch": "1"}, "Epoch 1"),
        ({"compare": "truth", "epoch": "1"}, "Epoch 1"),
        (
            {
                "compare": "runs",
                "epoch": "3",
                "with.preset": "quick",
                "with.training.epochs": "2",
                "with.training.steps": "2",
                "with.training.warm_up": "2",
            },
            "The other, epoch 2",
        ),
    ],
)
def test_the_link_of_a_comparison_opens_the_comparison(view, panes):
    make_run("r2", epochs=(0, 1, 2))
    make_run("r3", epochs=(0, 1))
    run = make_run("r1")
    told = parameters_of_run(run.description) | view
    app = opened("compare", told)
    assert not app.error
    assert panes in titles(app)
    assert link_of(app) == (told, "r1")


def test_a_moved_slider_is_in_the_link():
    run = make_run("r1")
    app = opened("compare", {"run": "r1"})
    app.select_slider(key="compare_film_r1").set_value(1)
    found, _ = link_of(shown(app.run()))
    assert found == parameters_of_run(run.description) | {"epoch": "1", "compare": "film"}


def test_the_link_of_results_opens_its_epoch():
    run = make_run("r1")
    told = parameters_of_run(run.description) | {"epoch": "2"}
    app = opened("results", told)
    assert app.select_slider(key="results_r1").value == 2
    assert link_of(app) == (told, "r1")


def test_the_link_of_the_page_train_names_the_last_epoch():
    run = make_run("r1", epochs=(0, 1), end="stopped")
    app = opened("train", {"run": "r1"})
    found, _ = link_of(app)
    assert found == parameters_of_run(run.description) | {"epoch": "1"}
    assert opened("train", found).session_state[state.RUN] == "r1"


def test_a_run_that_is_no_experiment_is_compared_with_by_its_id():
    make_run("r2", known=False)
    make_run("r3", epochs=(0, 1))
    run = make_run("r1")
    told = parameters_of_run(run.description) | {"epoch": "3", "compare": "runs", "with": "r2"}
    app = opened("compare", told)
    assert app.selectbox(key="compare_other").value == "r2"
    assert link_of(app)[0] == told


def test_a_comparison_of_experiments_is_the_same_after_a_reload():
    make_run("r3", epochs=(0, 1))
    make_run("r2", epochs=(0, 1, 2))
    run = make_run("r1")
    told = parameters_of_run(run.description) | {"compare": "runs", "with.training.epochs": "1"}
    told |= {"with.training.steps": "2", "with.training.warm_up": "2"}
    app = opened("compare", told)
    assert app.selectbox(key="compare_other").value == "r3"
    again = opened("compare", address(app))
    assert again.session_state[state.RUN] == "r1"
    assert again.selectbox(key="compare_other").value == "r3"


def test_an_experiment_to_compare_with_that_has_not_been_run_is_told():
    run = make_run("r1")
    make_run("r2", epochs=(0, 1))
    told = parameters_of_run(run.description) | {"compare": "runs", "with.training.seed": "9"}
    app = opened("compare", told)
    assert [error.value for error in app.error] == [
        "the experiment that this link compares with has not been run here"
    ]
    assert "This run, epoch 3" in titles(app)


def test_a_run_to_compare_with_that_is_not_here_is_told():
    run = make_run("r1")
    make_run("r2")
    told = parameters_of_run(run.description) | {"compare": "runs", "with": "gone"}
    app = opened("compare", told)
    assert ["there is no run gone" in error.value for error in app.error] == [True]
    assert "This run, epoch 3" in titles(app)


@pytest.mark.parametrize("other", ["r1", "empty"])
def test_a_run_that_cannot_be_compared_with_gives_way_to_one_that_can(other):
    run = make_run("r1")
    make_run("empty", epochs=())
    make_run("r2", epochs=(0, 1))
    told = parameters_of_run(run.description) | {"compare": "runs", "with": other}
    assert "The other, epoch 1" in titles(opened("compare", told))


def test_a_wrong_epoch_of_a_run_is_told_and_the_run_is_open():
    make_run("r1")
    app = opened("compare", {"run": "r1", "epoch": "last"})
    assert ["epoch should be" in error.value for error in app.error] == [True]
    assert "Cells, epoch 3" in titles(app)


# It is not here -----------------------------------------------------------------------------------


@pytest.mark.parametrize("page", ["compare", "results", "train"])
def test_an_experiment_that_has_not_been_run_can_be_started(page, asked):
    make_run("r1")
    told = SMALL | {"training.seed": "7", "epoch": "8", "zoom": "2,60,80"}
    app = opened(page, told)
    assert not app.error
    assert NOT_RUN in words(app)
    assert "continue it with 2 more" in words(app)
    assert "About" in words(app)
    # Nothing is written, and a reload says the same.
    assert not (runs_folder() / ".drafts").exists()
    assert address(app) == told
    assert NOT_RUN in words(shown(app.run()))
    app = shown(app.button(key="train_start").click().run())
    (new,) = (one for one in list_runs()[0] if one.id != "r1")
    assert asked == [("submit", new.id, {})]
    run = find_run(new.id)
    assert run.config.training.seed == 7
    assert parameters_of_run(run.description) == SMALL | {"preset": "quick", "training.seed": "7"}
    assert NOT_RUN not in words(app)
    assert address(app) == {"run": new.id}
    # The pictures of the new run begin with the zoom of the link.
    assert linked(app)[1]["zoom"] == [2.0, 60.0, 80.0]
    # The link leads to the run now, although it has no epoch yet.
    again = opened("train", {name: value for name, value in told.items() if name != "epoch"})
    assert again.session_state[state.RUN] == new.id
    assert len(asked) == 1
    # When the run has ended with the epoch of the link, that is shown, once.
    _, truth = given()
    for number in (7, 8, 9):
        run.add_epoch(number, drawing(truth.labels))
    run.record("finished")
    app = shown(app.switch_page("pages/results.py").run())
    slider = app.select_slider(key=f"results_{run.id}")
    assert slider.value == 8
    assert shown(slider.set_value(9).run()).select_slider(key=slider.key).value == 9


def test_changed_choices_are_no_longer_those_of_the_link():
    app = opened("train", SMALL | {"training.seed": "7"})
    app = shown(app.number_input(key="training_seed").set_value(8).run())
    assert NOT_RUN not in words(app)
    assert address(app) == {"draft": app.session_state[state.DRAFT].id}
    again = opened("train", address(app))
    assert again.session_state[state.CHOICES].config.training.seed == 8


def test_links_to_other_pages_carry_the_experiment():
    app = opened("mask", SMALL | {"training.seed": "7", "zoom": "2,60,80"})
    assert linked(app)[1]["zoom"] == [2.0, 60.0, 80.0]
    found = {one.proto.label: one.proto.query_string for one in app.get("page_link")}
    (query,) = (query for label, query in found.items() if "Train" in label)
    assert dict(parse_qsl(query)) == SMALL | {"preset": "quick", "training.seed": "7"}


# What is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"training.lam": "1000"}, "training: lam should be"),
        ({"image": "../../etc/passwd"}, "image is ../../etc/passwd; give sample-0"),
        ({"epoch": "last"}, "epoch should be"),
        ({"zoom": "1,2"}, "zoom is 1,2; give 3 numbers"),
        ({"with.training.lam": "1000"}, "training: lam should be"),
    ],
)
def test_a_bad_link_is_one_message_and_opens_nothing(wrong, said):
    make_run("r1")
    app = opened("mask", SMALL | wrong)
    (error,) = app.error
    assert said in error.value
    assert app.session_state[state.CHOICES] == Choices()
    assert state.RUN not in app.session_state
    # It is told once.
    assert not shown(app.run()).error


@pytest.mark.parametrize("page", ["overview", "data", "mask", "cells", "train", "compare"])
def test_a_channel_that_the_image_lacks_is_told_on_every_page(page):
    app = opened(page, SMALL | {"cell": "gold"})
    assert any("gold" in error.value for error in app.error)


@pytest.mark.parametrize("page", ["overview", "mask", "cells", "train", "compare"])
def test_a_region_outside_the_image_is_told(page):
    app = opened(page, SMALL | {"region": "-5,0,9,9"})
    assert any("does not lie in the image" in error.value for error in app.error)


def test_on_the_page_data_a_region_outside_the_image_is_moved_into_it_and_that_is_said():
    app = opened("data", SMALL | {"region": "-5,0,9,9"})
    assert not app.error
    assert [warning.value for warning in app.warning] == [
        "The region of rows -5 to 8 and columns 0 to 8 is too small or does not lie in this image. "
        "It is now that of rows 0 to 63 and columns 0 to 63."
    ]
    assert app.session_state[state.CHOICES].region == (0, 0, 64, 64)
    assert not shown(app.run()).warning


def test_a_draft_or_run_in_the_address_counts_before_the_experiment():
    run = make_run("r1")
    app = opened("compare", SMALL | {"training.seed": "7", "run": "r1"})
    assert app.session_state[state.CHOICES] == Choices(**run.description.choices)
    assert "training.seed" not in address(app)


# What is shared -----------------------------------------------------------------------------------


@pytest.mark.parametrize("page", ["mask", "cells", "train"])
def test_without_a_run_the_choices_are_shared(page):
    told = parameters_of(Choices(region=REGION).with_setting("training", "seed", 7))
    app = opened(page, told)
    assert link_of(app)[0] == told
    assert link_of(app)[1] == keys(app.session_state[state.CHOICES])["image"]


def test_a_run_of_an_uploaded_image_is_shared_by_its_id():
    run = make_run("r1")
    told = run.description.choices | {"source": {"kind": "file", "name": "a.tif", "digest": "a1"}}
    run.describe(choices=told)
    app = opened("results", {"run": "r1"})
    assert link_of(app)[0] == {"run": "r1", "epoch": "3"}
    assert "because a link cannot hold an uploaded image" in words(app)


def test_edited_markers_are_shared_by_the_draft():
    choices, draft = Choices(region=REGION), Draft()
    draft.save(choices)
    found = find_markers(cut_out(sample(seed=0), REGION), QUICK)
    draft.save_markers(choices, remove_marker(found, 0))
    app = opened("cells", {"draft": draft.id})
    assert link_of(app)[0] == {"draft": draft.id}
    assert (
        "opens these choices here, and not elsewhere, because a link cannot hold markers"
        in words(app)
    )
