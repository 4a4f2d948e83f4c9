"""The app as a visitor uses it, in a real browser on a real server."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import without_spare
from patience import ANSWERED, LONGEST
from scipy import ndimage
from serving import LINKS, ROOT, Server, serving

from cellcutter_core.runs.store import Run

# Milliseconds; these machines may be busy with other things.
SOON, TRAINED = 1000 * ANSWERED, 1000 * LONGEST
# After this a click is taken to be lost.
CLICKED = 60_000
REAL = ROOT.parent / "shared" / "data" / "bbbc018_ht29" / "00733.npz"
PAGES = (
    *("data", "mask", "cells", "train", "compare", "results", "runs", "sweep", "apply"),
    *("classroom", "server"),
)


def settled(page: Any) -> None:
    """Wait until the page has been run to its end."""
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]", timeout=SOON)


def visit(page: Any, server: Server, path: str = "") -> None:
    page.goto(f"{server.url}/{path}")
    page.get_by_role("heading", level=1).wait_for(timeout=SOON)
    settled(page)


def go(page: Any, name: str) -> None:
    """To another page by the row of links at the top.

    On a busy machine a link can move between the press and the release of the button, and the
    browser then makes no click of it. A visitor clicks again, and so does this.
    """
    from playwright.sync_api import TimeoutError

    heading = page.get_by_role("heading", name=name, level=1)
    end = time.monotonic() + ANSWERED
    while not heading.count():
        assert time.monotonic() < end, f"clicks on {name} lead nowhere"
        page.locator(LINKS).filter(has_text=name).click()
        with suppress(TimeoutError):
            heading.wait_for(timeout=CLICKED)
    settled(page)


def metric(page: Any, label: str) -> str:
    found = page.get_by_test_id("stMetric").filter(has_text=label)
    return found.get_by_test_id("stMetricValue").inner_text(timeout=SOON)


def no_trouble(page: Any) -> None:
    assert page.get_by_test_id("stException").count() == 0
    assert page.get_by_test_id("stAlertContentError").count() == 0


def results_by_hand(page: Any, run: Run) -> None:
    """Click the largest cell, delete it, and take the table of the others home."""
    go(page, "Results")
    labels = run.epoch(run.epochs[-1]).labels
    ids, areas = np.unique(labels[labels > 0], return_counts=True)
    cell = int(ids[areas.argmax()])
    depth = ndimage.distance_transform_edt(np.pad(labels == cell, 1))[1:-1, 1:-1]
    row, col = np.unravel_index(depth.argmax(), depth.shape)
    stage = page.locator(".viewer .stage").first
    stage.wait_for(timeout=SOON)
    stage.scroll_into_view_if_needed()
    x, y, pixel = map(float, stage.get_attribute("data-view").split())
    stage.click(position={"x": (col + 0.5 - x) * pixel, "y": (row + 0.5 - y) * pixel})
    page.get_by_text(f"Cell {cell}: {areas.max()} px").wait_for(timeout=SOON)
    page.get_by_role("button", name="Delete").click()
    page.get_by_text("1 correction, kept with the run").wait_for(timeout=SOON)
    settled(page)
    with page.expect_download(timeout=SOON) as download:
        page.get_by_role("button", name="Table of cells").click()
    heads, *rows = Path(download.value.path()).read_text("utf-8").splitlines()
    # Measured in what the network does not see as well.
    assert "mean_nucleus" in heads.split(",")
    assert [int(line.split(",")[0]) for line in rows] == [i for i in ids if i != cell]
    no_trouble(page)


def test_the_whole_way_on_the_sample(page: Any, server: Server) -> None:
    visit(page, server)
    page.get_by_role("button", name="Run the sample").click()
    page.get_by_role("heading", name="Train", level=1).wait_for(timeout=SOON)
    # What the network says before it is trained on this image comes first.
    page.get_by_text("Epoch 0: before training").first.wait_for(timeout=TRAINED)
    # On a fast machine the page may show the second one first.
    page.get_by_text(re.compile(r"Cells after epoch \d")).first.wait_for(timeout=TRAINED)
    run_id = re.search(r"run=([\w-]+)", page.url)[1]
    run = Run(server.runs / run_id)
    assert run.progress.status == "running"

    # Reloaded in the middle: it goes on and is found again, also from another page.
    page.reload()
    page.get_by_role("button", name="Stop").click(timeout=SOON)
    page.get_by_text(re.compile("Stopped after")).first.wait_for(timeout=SOON)
    assert run.progress.status == "stopped"
    done = run.progress.epochs_done
    go(page, "Mask")
    assert f"run={run_id}" in page.url
    go(page, "Train")

    page.get_by_label("More epochs").fill("1")
    page.get_by_label("More epochs").press("Enter")
    page.get_by_role("button", name="Continue with 1 more epoch").click(timeout=SOON)
    page.get_by_text(re.compile(f"Finished: {done + 1} epoch")).first.wait_for(timeout=TRAINED)
    no_trouble(page)

    go(page, "Compare")
    for mode in ("Side by side", "Baselines", "Truth", "Two runs", "Epochs"):
        page.get_by_role("radio", name=mode).or_(
            page.get_by_role("button", name=mode)
        ).first.click()
        settled(page)
        no_trouble(page)
    page.get_by_role("heading", name="Scores").wait_for(timeout=SOON)

    results_by_hand(page, run)

    # What it was made from has changed: it is called out of date, and still shown.
    go(page, "Mask")
    page.get_by_test_id("stCheckbox").get_by_text("Automatic").click()
    # On a busy machine the page is still settled from before when it is asked.
    page.get_by_text("Nothing to set").wait_for(state="hidden", timeout=SOON)
    settled(page)
    go(page, "Train")
    page.get_by_text("This run is out of date").wait_for(timeout=SOON)


@pytest.mark.skipif(not REAL.exists(), reason="needs real images beside the checkout")
def test_a_real_image_by_upload(page: Any, server: Server) -> None:
    visit(page, server, "data")
    page.get_by_text("Your own image", exact=True).click()
    page.locator("input[type=file]").first.set_input_files(REAL)
    page.get_by_text("In use: 00733.npz").wait_for(timeout=SOON)
    settled(page)
    no_trouble(page)
    go(page, "Mask")
    assert float(metric(page, "IoU with the truth")) > 0.9
    go(page, "Cells")
    assert 80 < int(metric(page, "Markers")) < 105
    # A file that is none: it is told, and what was there stays.
    go(page, "Data")
    page.get_by_text("Your own image", exact=True).click()
    page.locator("input[type=file]").first.set_input_files(
        {"name": "broken.tif", "mimeType": "image/tiff", "buffer": b"II*\0rubbish"}
    )
    page.get_by_test_id("stAlertContentError").wait_for(timeout=SOON)
    page.get_by_text("In use: 00733.npz").wait_for(timeout=SOON)
    assert page.get_by_test_id("stException").count() == 0
    page.reload()
    page.get_by_text("In use: 00733.npz").wait_for(timeout=SOON)


def test_two_visitors_do_not_disturb_each_other(
    new_page: Callable[..., Any], server: Server
) -> None:
    one, other = new_page(), new_page()
    visit(one, server, "mask")
    visit(other, server, "mask")
    before = metric(other, "Mask area")
    one.get_by_test_id("stCheckbox").get_by_text("Automatic").click()
    one.get_by_role("button", name="As published").click()
    one.get_by_text("the mask covers every pixel").wait_for(timeout=SOON)
    other.reload()
    other.get_by_role("heading", level=1).wait_for(timeout=SOON)
    settled(other)
    assert metric(other, "Mask area") == before
    # And one's own choice survives a reload.
    one.reload()
    one.get_by_text("the mask covers every pixel").wait_for(timeout=SOON)


def test_markers_are_edited_by_clicking(page: Any, server: Server) -> None:
    visit(page, server, "cells")
    n = int(metric(page, "Markers"))
    page.get_by_role("button", name="Edit", exact=True).click()
    canvas = page.get_by_role("img", name=re.compile("markers on the image"))
    box = canvas.bounding_box()
    # On a marker it is removed, on free ground one is added.
    page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 0.62 * box["height"])
    values = page.get_by_test_id("stMetricValue")
    values.filter(has_text=re.compile(f"^({n - 1}|{n + 1})$")).first.wait_for(timeout=SOON)
    page.get_by_role("button", name="Undo").click()
    values.filter(has_text=re.compile(f"^{n}$")).first.wait_for(timeout=SOON)
    no_trouble(page)


@pytest.mark.parametrize("path", PAGES)
def test_a_cold_deep_link(path: str, tmp_path: Path, page: Any) -> None:
    """The first visitor of a server opens a page directly."""
    program = [str(Path(without_spare.__file__))]
    with serving(ROOT / "app.py", folder=tmp_path, streamlit=program) as server:
        visit(page, server, path)
        page.get_by_role("heading", name=path.capitalize(), level=1).wait_for(timeout=SOON)
        no_trouble(page)
        assert page.locator(LINKS).count() == len(PAGES) + 1
        page.goto("about:blank")
