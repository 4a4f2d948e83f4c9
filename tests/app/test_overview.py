"""The overview, with runs written by hand: it never shows cells that no training has made."""

import pytest
from made_runs import asked, make_run, open_page, shown, words

from cellcutter_core.choices.choices import Choices

__all__ = ["asked"]

pytestmark = pytest.mark.usefixtures("asked")


def pictures(app):
    """What is written beneath the illustrations, the large one first."""
    return [one.caption for block in app.get("image") for one in block.proto.imgs]


def links(app):
    return [link.proto.label for link in app.get("page_link")]


def train_link(app):
    return "Train to see the cells" in links(app)


def test_without_a_run_no_picture_shows_finished_cells():
    app = open_page("overview")
    assert pictures(app)[1:] == [
        "**1** Image →", "**2** Mask →", "**3** Markers and crops →",
        "**4** Markers to become cells",
    ]  # fmt: skip
    assert "Training finds one cell for each marker" in words(app)
    assert train_link(app)


@pytest.mark.parametrize("epochs", [(), (0,)])
def test_a_run_that_has_not_trained_yet_shows_no_cells_either(epochs):
    app = open_page("overview", make_run("r1", epochs=epochs, end=None))
    assert pictures(app)[-1] == "**4** Markers to become cells"
    assert train_link(app)


@pytest.mark.parametrize("old", [False, True])
def test_a_trained_run_shows_its_last_epoch_and_says_which(old):
    app = open_page("overview", make_run("r1", epochs=(1, 2) if old else (0, 1, 2), old=old))
    assert pictures(app)[-2:] == ["**4** Probabilities, epoch 2 →", "**5** Cells, epoch 2"]
    assert "run r1, epoch 2" in pictures(app)[0]
    assert "come from run r1, epoch 2." in words(app)
    assert not train_link(app)


def test_a_run_of_other_settings_is_still_one_of_this_image_and_that_is_said():
    app = open_page("overview", make_run("r1"))
    now = app.session_state["choices"]
    app.session_state["choices"] = now.with_setting("mask", "automatic", False)
    app = shown(app.run())
    assert pictures(app)[-1] == "**5** Cells, epoch 3"
    assert "You have changed the mask since then" in words(app)
    app.session_state["choices"] = now.with_setting("training", "lam", 2.0)
    assert "since then" not in words(shown(app.run()))


def test_a_run_of_another_image_shows_nothing_here():
    app = open_page("overview", make_run("r1"))
    app.session_state["choices"] = app.session_state["choices"].replace(region=(0, 0, 128, 128))
    app = shown(app.run())
    assert pictures(app)[-1] == "**4** Markers to become cells"


def test_the_sample_is_run_beside_the_choices_which_can_be_brought_back(asked):
    app = open_page("overview")
    mine = app.session_state["choices"].with_setting("training", "seed", 7)
    app.session_state["draft"].save(mine)
    app.session_state["choices"] = mine
    app = shown(app.run())
    run_sample = next(button for button in app.button if button.label == "Run the sample")
    app = shown(run_sample.click().run())
    assert [note[0] for note in asked] == ["submit"]
    assert app.session_state["choices"] == Choices()
    app = shown(app.switch_page("pages/train.py").run())
    app = shown(app.button(key="train_choices_back").click().run())
    assert app.session_state["choices"] == mine
