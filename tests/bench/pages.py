"""How fast the app answers, what it sends, and what the server needs: a Markdown table.

    python tests/bench/pages.py

A real server and a real Chromium on the PATH, on the built-in sample (512²) and on a generated
image of 1750² pixels. Times are what a visitor waits, from the click to the new content.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "browser")]

from playwright.sync_api import sync_playwright  # noqa: E402
from serving import CHROMIUM_ARGS, chromium, serving  # noqa: E402

STOPS = 8
LOADED = "[...document.querySelectorAll('[data-testid=stImage] img')].some(i => i.naturalWidth > 0)"
PAGES = ("Data", "Mask", "Cells", "Train", "Compare", "Overview")


def main() -> None:
    """Measure and print the table."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_ARGS)
        with serving(ROOT / "app.py", folder=Path(folder)) as server:
            # What is loaded once for all visitors is not what one of them waits for.
            first = _visit(browser, server.url)
            first.close()
            print("| what | measured | bar |\n| --- | --- | --- |")
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            received = _count_bytes(page)
            seconds = _timed(lambda: page.goto(server.url), lambda: _has_picture(page))
            _row("first picture of a new visitor", f"{seconds:.2f} s", "2 s")
            _settled(page)
            switches = {}
            weights = {}
            for round_ in range(2):
                for name in PAGES:
                    before = sum(received)
                    switches[name, round_] = _switch(page, name)
                    weights[name] = max(weights.get(name, 0), sum(received) - before)
            again = [switches[name, 1] for name in PAGES]
            _row("page switch, median", f"{statistics.median(again):.2f} s", "0.5 s")
            slowest = max(PAGES, key=lambda name: switches[name, 1])
            _row(f"slowest switch, {slowest}", f"{switches[slowest, 1]:.2f} s", "0.5 s")
            heaviest = max(weights, key=lambda name: weights[name])
            _row(f"heaviest page, {heaviest}", f"{weights[heaviest] / 1e6:.2f} MB", "3 MB")
            _switch(page, "Mask")
            slider = _slider(page)
            for name, seconds in (("one stroke", slider[::2]), ("ten strokes", slider[1::2])):
                value = f"{statistics.median(seconds):.2f} s (slowest {max(seconds):.2f} s)"
                _row(f"new mask after {name}, median", value, "0.4 s")
            _row("server, one visitor on 512²", f"{_memory(server.pid):.0f} MB", "250 MB")
            page.close()
        large = Path(folder) / "large"
        large.mkdir()
        with serving(ROOT / "app.py", folder=large) as server:
            os.environ["CELLCUTTER_RUNS"] = str(server.runs)
            page = _visit(browser, f"{server.url}/data?draft={_large_draft()}")
            for name in ("Mask", "Cells", "Data", "Overview"):
                _switch(page, name)
            _row("server, one visitor on 1750²", f"{_memory(server.pid):.0f} MB", "250 MB")
            page.close()
            # Streamlit keeps a session for a while, should its visitor come back.
            for _ in range(40):
                time.sleep(5)
                after = _memory(server.pid)
            _row("the same, 200 s after they left", f"{after:.0f} MB", "")
        browser.close()


def _row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def _visit(browser: Any, url: str) -> Any:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(url)
    page.get_by_role("heading", level=1).wait_for(timeout=60_000)
    _settled(page)
    return page


def _settled(page: Any) -> None:
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]", timeout=60_000)


def _has_picture(page: Any) -> bool:
    return bool(page.evaluate(LOADED))


def _timed(act: Callable[[], Any], done: Callable[[], bool]) -> float:
    start = time.perf_counter()
    act()
    while not done():
        if time.perf_counter() - start > 60:
            raise SystemExit("it did not answer in a minute")
        time.sleep(0.01)
    return time.perf_counter() - start


def _switch(page: Any, name: str) -> float:
    link = page.get_by_test_id("stTopNavLink").filter(has_text=name)
    heading = page.get_by_role("heading", name=name, level=1)
    script = "document.querySelector('[data-testid=stApp]').dataset.testScriptState"

    def done() -> bool:
        return heading.count() > 0 and page.evaluate(script) == "notRunning"

    seconds = _timed(link.click, done)
    page.wait_for_timeout(700)
    return seconds


def _slider(page: Any) -> list[float]:
    """Seconds from the last of some strokes on the slider's arrow key to the new mask.

    One stroke and ten in turn, from a mask that is nearly all of the sample to one that is nearly
    nothing. What comes so soon may be the preview; the exact mask follows.
    """
    page.get_by_test_id("stCheckbox").get_by_text("Automatic").click()
    page.get_by_text("the mask calls every pixel cell").wait_for(timeout=60_000)
    block = page.get_by_test_id("stMainBlockContainer")
    thumb = page.get_by_role("slider").first
    found = []
    for n_strokes in (1, 10) * (STOPS // 2):
        _settled(page)
        thumb.focus()
        before = _metrics(block)
        for _ in range(n_strokes - 1):
            thumb.press("ArrowLeft")
        press = partial(thumb.press, "ArrowLeft")
        found.append(_timed(press, partial(_differs, block, before)))
        page.wait_for_timeout(1500)
    return found


def _differs(element: Any, before: list[str]) -> bool:
    now = _metrics(element)
    return len(now) == len(before) and now != before


def _metrics(element: Any) -> list[str]:
    return element.get_by_test_id("stMetricValue").all_inner_texts()


def _count_bytes(page: Any) -> list[int]:
    received: list[int] = []
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.on(
        "Network.webSocketFrameReceived",
        # Binary frames come as base64.
        lambda event: received.append(len(event["response"]["payloadData"]) * 3 // 4),
    )
    own: set[str] = set()

    def note(event: Any) -> None:
        # The program itself is kept by the browser from visit to visit.
        if "/static/" not in event["response"]["url"]:
            own.add(event["requestId"])

    def add(event: Any) -> None:
        if event["requestId"] in own:
            received.append(int(event["encodedDataLength"]))

    session.on("Network.responseReceived", note)
    session.on("Network.loadingFinished", add)
    return received


def _memory(pid: int) -> float:
    """Resident memory of a process in 10⁶ bytes."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) * 1.024e-3


def _large_draft() -> str:
    from cellcutter_core.runs.choices import Choices
    from cellcutter_core.runs.draft import Draft, keep_file
    from cellcutter_core.samples import sample, save

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "large.npz"
        save(sample((1750, 1750)), file)
        source = keep_file(file.name, file.read_bytes())
    draft = Draft()
    draft.save(Choices(source=source))
    return draft.id


if __name__ == "__main__":
    main()
