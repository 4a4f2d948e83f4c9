"""A computation that takes long is cancelled, and made after all."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import slow_masks
from patience import LONGEST
from serving import ROOT, Server, serving
from test_app import SOON, go, metric, no_trouble, settled


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Server]:
    """A server of its own, where a mask waits for a file."""
    program = [str(Path(slow_masks.__file__))]
    with serving(ROOT / "app.py", folder=tmp_path, streamlit=program) as running:
        yield running


def cancel(page: Any) -> Any:
    """The button that ends the computation of the mask; on a cold server others come before it."""
    return page.locator("[class*=cancel_aside_mask_]").get_by_role("button", name="Cancel")


def computations(folder: Path) -> list[int]:
    """The processes that have begun with a mask, in this order."""
    files = slow_masks.begun(folder).glob("*")
    return [int(file.name) for file in sorted(files, key=lambda file: file.stat().st_mtime_ns)]


def wait_until_ended(process: int) -> None:
    end = time.monotonic() + LONGEST
    while time.monotonic() < end:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError(f"process {process} still computes what nobody wants")


def test_a_mask_is_cancelled_and_computed_after_all(slow: Server, page: Any) -> None:
    folder = slow.runs.parent
    page.goto(f"{slow.url}/mask")
    cancel(page).click(timeout=SOON)
    page.get_by_text("Cancelled.").wait_for(timeout=SOON)
    settled(page)
    no_trouble(page)
    assert page.get_by_test_id("stMetric").count() == 0
    (first,) = computations(folder)
    wait_until_ended(first)

    # Other controls work, also those that would begin with the automatic mask.
    page.get_by_test_id("stCheckbox").get_by_text("Try a range of parameters").click()
    page.get_by_text("Choose one to take its values").wait_for(timeout=SOON)
    settled(page)
    no_trouble(page)
    page.get_by_test_id("stPlotlyChart").wait_for(timeout=SOON)
    page.get_by_test_id("stCheckbox").get_by_text("Try a range of parameters").click()
    page.get_by_text("Choose one to take its values").wait_for(state="hidden", timeout=SOON)
    # So do the other pages: what they need of the mask is not there, which they say.
    for name in ("Cells", "Train", "Data"):
        go(page, name)
        no_trouble(page)
    assert len(computations(folder)) == 1
    go(page, "Mask")

    page.get_by_role("button", name="Compute").click()
    cancel(page).wait_for(timeout=SOON)
    assert len(computations(folder)) == 2
    slow_masks.go_on(folder).touch()
    page.get_by_test_id("stMetric").filter(has_text="Mask area").wait_for(timeout=SOON)
    settled(page)
    no_trouble(page)
    assert page.get_by_text("Cancelled.").count() == 0
    assert float(metric(page, "Mask area").rstrip("%")) > 10


def test_automatic_is_switched_off_while_its_mask_is_computed(slow: Server, page: Any) -> None:
    page.goto(f"{slow.url}/mask")
    cancel(page).wait_for(timeout=SOON)
    page.get_by_test_id("stCheckbox").get_by_text("Automatic").click()
    page.get_by_role("button", name="Suit this image").wait_for(timeout=SOON)
    # The cut by hand waits as well; a preview is there, and it can be cancelled.
    page.get_by_test_id("stMetric").filter(has_text="preview").wait_for(timeout=SOON)
    cancel(page).click(timeout=SOON)
    page.get_by_text("Cancelled.").wait_for(timeout=SOON)
    settled(page)
    no_trouble(page)
    slow_masks.go_on(slow.runs.parent).touch()
    page.get_by_role("button", name="Compute").click()
    page.get_by_test_id("stMetric").filter(has_text=re.compile(r"\d s$")).wait_for(timeout=SOON)
    settled(page)
    no_trouble(page)
