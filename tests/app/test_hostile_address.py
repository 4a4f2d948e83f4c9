"""What stands in the address of a page, or in its state, leads to no other folder."""

import pytest
from made_runs import asked, make_run
from opening import at_page

from cellcutter_core.runs.folder import runs_folder
from pages.shared import state

__all__ = ["asked"]

pytestmark = pytest.mark.usefixtures("asked")

WRONG = ["../outside", "/etc/passwd", "..", "a\0b", "．．/outside", "%2e%2e%2foutside", ".deleted"]


@pytest.fixture(autouse=True)
def outside(asked, tmp_path):
    """A run beside the folder of runs, which nobody may open."""
    made = make_run("r1")
    made.path.rename(tmp_path / "outside")
    (runs_folder() / "link").symlink_to(tmp_path / "outside", target_is_directory=True)
    return tmp_path / "outside"


@pytest.mark.parametrize("wrong", [*WRONG, "link"])
def test_no_run_is_opened_by_a_path(outside, wrong):
    app = at_page("server")
    app.query_params["run"] = wrong
    app.run()
    assert not app.exception
    assert state.RUN not in app.session_state
    said = [error.value for error in app.error]
    assert len(said) == 1
    assert "is not the id of a run" in said[0] or "is a link to another place" in said[0]
    assert str(outside) not in said[0]


@pytest.mark.parametrize("wrong", WRONG)
def test_no_draft_is_opened_by_a_path(outside, wrong):
    app = at_page("server")
    app.query_params["draft"] = wrong
    app.run()
    assert not app.exception
    assert app.session_state[state.DRAFT].id != wrong
    assert ["is not the id of a run" in error.value for error in app.error] == [True]


def test_a_path_in_the_state_of_a_page_opens_nothing(outside):
    app = at_page("server")
    app.session_state[state.RUN] = "../outside"
    app.run()
    assert not app.exception
    assert app.session_state[state.RUN] is None
