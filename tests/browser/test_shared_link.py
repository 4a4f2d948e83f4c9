"""A link to an experiment in a real browser: made by one visitor, opened by another."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from serving import Server
from test_app import SOON, go, no_trouble, settled, visit
from test_following import add, going

from cellcutter_core.runs.store import Run

__all__ = ["going"]

# Zoom, and row and column in the middle, of the first pane.
SHOWN = """(stage) => {
    const [x, y, pixel] = stage.dataset.view.split(" ").map(Number);
    return [y + stage.clientHeight / pixel / 2, x + stage.clientWidth / pixel / 2, pixel];
}"""


@pytest.fixture
def run(going: tuple[Run, NDArray[np.int32]]) -> Run:
    """A run of three epochs that has ended."""
    made, truth = going
    cells = np.unique(truth)[1:]
    for number in range(4):
        add(made, number, np.where(np.isin(truth, cells[: number + 1]), truth, 0), truth)
    made.record("finished")
    return made


def link(page: Any) -> str:
    """The link that the page offers, as a visitor reads it."""
    settled(page)
    page.get_by_role("button", name="Share").click()
    text = page.get_by_label("Link", exact=True)
    text.wait_for(timeout=SOON)
    return str(text.input_value())


def shows(page: Any, zoom: str) -> list[float]:
    """What the first picture shows, once it is drawn with this zoom."""
    page.get_by_role("button", name=f"Zoom {zoom}, show all", exact=True).first.wait_for(
        timeout=SOON
    )
    found: list[float] = page.locator(".stage").first.evaluate(SHOWN)
    return found


def test_a_link_opens_with_the_epoch_and_the_zoom_that_it_was_made_with(
    new_page: Callable[..., Any], server: Server, run: Run
) -> None:
    one = new_page()
    visit(one, server, f"compare?run={run.id}")
    one.get_by_text("Cells, epoch 3", exact=True).wait_for(timeout=SOON)
    one.get_by_role("slider").first.press("ArrowLeft")
    one.get_by_text("Cells, epoch 2", exact=True).wait_for(timeout=SOON)
    settled(one)
    stage = one.locator(".stage").first
    box = stage.bounding_box()
    one.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 0.75 * box["height"])
    one.mouse.wheel(0, -300)
    before = shows(one, "1.8")
    told = link(one)
    assert "&epoch=2&" in told
    assert run.id not in told
    # The link follows the pictures while it is open, and no run of the page is needed.
    assert re.search(r"&zoom=1\.822,[\d.]+,[\d.]+$", told)

    # Another visitor, whose window has another size.
    other = new_page(viewport={"width": 1000, "height": 900})
    other.goto(told)
    other.get_by_text("Cells, epoch 2", exact=True).wait_for(timeout=SOON)
    assert shows(other, "1.8")[:2] == pytest.approx(before[:2], abs=0.2)
    assert f"run={run.id}" in other.url
    other.reload()
    other.get_by_text("Cells, epoch 2", exact=True).wait_for(timeout=SOON)
    assert shows(other, "1.8")[:2] == pytest.approx(before[:2], abs=0.2)
    # The same place on the next pages; then the visitor's own zoom counts.
    go(other, "Results")
    assert shows(other, "1.8")[:2] == pytest.approx(before[:2], abs=0.2)
    other.get_by_role("button", name="Zoom 1.8, show all", exact=True).click()
    go(other, "Train")
    shows(other, "1.0")
    assert "zoom" not in link(other)
    no_trouble(other)


def test_a_link_is_copied_with_a_click(new_page: Callable[..., Any], server: Server) -> None:
    page = new_page(permissions=["clipboard-read", "clipboard-write"])
    visit(page, server, "mask?image=sample-3&training.seed=7&region=0,0,128,160")
    told = link(page)
    assert told == (
        f"{server.url}/mask?image=sample-3&region=0,0,128,160&preset=quick&training.seed=7"
    )
    page.get_by_role("button", name="Copy", exact=True).click()
    page.get_by_role("button", name="Copied", exact=True).wait_for(timeout=SOON)
    assert page.evaluate("navigator.clipboard.readText()") == told
    # With another zoom it is another link, which has not been copied.
    pinched = {"deltaY": -50, "ctrlKey": True, "clientX": 400, "clientY": 400}
    page.locator(".stage").first.dispatch_event("wheel", pinched)
    page.get_by_role("button", name="Copy", exact=True).wait_for(timeout=SOON)
    assert "&zoom=" in page.get_by_label("Link").input_value()


def test_an_experiment_that_has_not_been_run_is_offered_after_a_reload_too(
    page: Any, server: Server
) -> None:
    query = "image=sample-3&preset=quick&training.seed=8&region=0,0,128,160&epoch=2"
    visit(page, server, f"compare?{query}")
    page.get_by_text("This experiment has not been run here.").wait_for(timeout=SOON)
    page.reload()
    page.get_by_text("This experiment has not been run here.").wait_for(timeout=SOON)
    assert page.url == f"{server.url}/compare?{query}"
    go(page, "Train")
    page.get_by_text("This experiment has not been run here.").wait_for(timeout=SOON)
    seed = page.get_by_role("spinbutton", name="Seed")
    page.wait_for_function("seed => seed.value === '8'", arg=seed.element_handle())
    page.reload()
    page.get_by_text("This experiment has not been run here.").wait_for(timeout=SOON)
    page.get_by_role("button", name="Start training").wait_for(timeout=SOON)
    no_trouble(page)
