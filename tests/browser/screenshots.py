"""Pictures of every page, as a visitor sees them.

    python tests/browser/screenshots.py FOLDER [--run RUN_FOLDER]

starts the app and a headless Chromium, runs the sample from the overview (or opens the run that is
given), and writes PAGE-THEME-WIDTH.png for each page, in both themes, 1280 and 400 pixels wide.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright
from serving import CHROMIUM_ARGS, ROOT, chromium, serving

PAGES = (
    "overview",
    "data",
    "mask",
    "cells",
    "train",
    "compare",
    "results",
    "runs",
    "sweep",
    "apply",
    "classroom",
    "server",
)
LONGEST_TRAINING = 600


def main() -> None:
    """Take them all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--run", type=Path, help="a finished run to show; default: train one")
    parser.add_argument("--pages", nargs="+", default=PAGES, choices=PAGES)
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(ROOT / "app.py", folder=Path(folder)) as server,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_ARGS)
        if chosen.run:
            shutil.copytree(chosen.run, server.runs / chosen.run.name)
            query = f"?run={chosen.run.name}"
        else:
            query = _run_the_sample(browser, server.url)
        for theme in ("light", "dark"):
            for width in (1280, 400):
                context = browser.new_context(
                    color_scheme=theme, viewport={"width": width, "height": 900}
                )
                page = context.new_page()
                for name in chosen.pages:
                    page.goto(f"{server.url}/{'' if name == 'overview' else name}{query}")
                    settled(page)
                    # As tall as what is in it: the page scrolls inside of the window.
                    page.set_viewport_size({"width": width, "height": _height(page)})
                    settled(page)
                    file = chosen.folder / f"{name}-{theme}-{width}.png"
                    page.screenshot(path=file)
                    page.set_viewport_size({"width": width, "height": 900})
                    print(file)
                context.close()
        browser.close()


def settled(page: Any, seconds: float = 60) -> None:
    """Wait until the app has finished a run of the page and drawn it."""
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]", timeout=60_000)
    end = time.monotonic() + seconds
    while time.monotonic() < end and page.locator("[data-testid=stSpinner]").count():
        time.sleep(0.2)
    time.sleep(1.5)


def _height(page: Any) -> int:
    inner = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    return min(max(int(inner), 600), 6000)


def _run_the_sample(browser: Any, url: str) -> str:
    page = browser.new_page()
    page.goto(url)
    page.get_by_role("button", name="Run the sample").click(timeout=60_000)
    page.get_by_text("Finished:").first.wait_for(timeout=LONGEST_TRAINING * 1000)
    query = "?" + page.url.partition("?")[2]
    page.close()
    return query


if __name__ == "__main__":
    main()
