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
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "browser")]

from playwright.sync_api import sync_playwright  # noqa: E402
from serving import CHROMIUM_ARGS, LINKS, chromium, serving  # noqa: E402

STOPS = 8
ROUNDS = 4
# When the first picture was there, in milliseconds after the visitor asked for the page.
PICTURED = """const look = () => {
  const pictures = [...document.querySelectorAll('[data-testid=stImage] img')];
  if (pictures.some(picture => picture.naturalWidth > 0)) window.pictured = performance.now();
  else requestAnimationFrame(look);
};
requestAnimationFrame(look);"""
# What any page of Streamlit costs on this machine.
BARE = """import streamlit as st
st.set_page_config(layout="wide")
st.title("One picture")
st.image({picture!r})
"""
VISITS = 9
# Seconds until the process that waits for a training has been loaded, after the first visitor.
LOADING = 15
# From the click on a link to the frame after the page's script has ended. Measured by the browser
# itself: asking it again and again would take a good part of what is measured.
SWITCH = """([name, links]) => new Promise(done => {
  const app = () => document.querySelector('[data-testid=stApp]');
  const has = selector => [...document.querySelectorAll(selector)]
    .find(element => element.innerText.includes(name));
  const start = performance.now();
  const observer = new MutationObserver(() => {
    if (app().dataset.testScriptState !== 'notRunning' || !has('h1')) return;
    observer.disconnect();
    requestAnimationFrame(() => setTimeout(() => done((performance.now() - start) / 1000)));
  });
  observer.observe(document.body, {
    subtree: true, childList: true, attributes: true, attributeFilter: ['data-test-script-state'],
  });
  has(links).click();
})"""
# Notes when a key is pressed, and when other numbers stand below the mask.
WATCH = """() => {
  const numbers = () => [...document.querySelectorAll('[data-testid=stMetricValue]')]
    .map(element => element.innerText).join(' ');
  window.noted = {key: 0, before: numbers(), masks: []};
  addEventListener('keydown', () => { noted.key = performance.now(); }, true);
  new MutationObserver(() => {
    const now = numbers();
    if (now !== (noted.masks.at(-1)?.numbers ?? noted.before))
      noted.masks.push({numbers: now, at: performance.now()});
  }).observe(document.body, {subtree: true, childList: true, characterData: true});
}"""
# From the last key to the last preview, or where there was none to the mask itself. Masks of
# strokes on the way are seen before.
ANSWERED = """() => {
  const mask = noted.masks.findLast(mask => mask.numbers.includes('preview')) ?? noted.masks.at(-1);
  return Math.max(mask.at - noted.key, 0) / 1000;
}"""
PAGES = ("Data", "Mask", "Cells", "Train", "Compare", "Overview")


def main() -> None:
    """Measure and print the table."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_ARGS)
        with serving(ROOT / "app.py", folder=Path(folder)) as server:
            # What is loaded once for all visitors is not what one of them waits for.
            first = _visit(browser, server.url)
            first.close()
            time.sleep(LOADING)
            print("| what | measured | bar |\n| --- | --- | --- |")
            bare = Path(folder) / "bare.py"
            bare.write_text(BARE.format(picture=str(ROOT / "docs" / "app.png")), "utf-8")
            with serving(bare, folder=Path(folder)) as other:
                _visit(browser, other.url).close()
                # In turn: the machine is not as fast in one minute as in the next.
                firsts = [
                    (_first_picture(browser, server.url), _first_picture(browser, other.url))
                    for _ in range(VISITS)
                ]
            ours, floor = (statistics.median(times) for times in zip(*firsts, strict=True))
            _row("first picture of a new visitor", f"{ours:.2f} s", "2 s")
            _row("the same of a bare Streamlit page with one picture", f"{floor:.2f} s", "")
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            received = _count_bytes(page)
            page.goto(server.url)
            _settled(page)
            switches = {}
            weights = {}
            for round_ in range(ROUNDS):
                for name in PAGES:
                    before = sum(received)
                    switches[name, round_] = _switch(page, name)
                    weights[name] = max(weights.get(name, 0), sum(received) - before)
            again = [switches[name, n] for name in PAGES for n in range(1, ROUNDS)]
            _row("page switch, median", f"{statistics.median(again):.2f} s", "0.5 s")
            of_page = {
                name: statistics.median(switches[name, n] for n in range(1, ROUNDS))
                for name in PAGES
            }
            slowest = max(of_page, key=lambda name: of_page[name])
            _row(f"the slowest of them, {slowest}", f"{of_page[slowest]:.2f} s", "0.5 s")
            heaviest = max(weights, key=lambda name: weights[name])
            _row(f"heaviest page, {heaviest}", f"{weights[heaviest] / 1e6:.2f} MB", "3 MB")
            _switch(page, "Mask")
            slider = _slider(page)
            for name, seconds in (("one stroke", slider[::2]), ("ten strokes", slider[1::2])):
                value = f"{statistics.median(seconds):.2f} s (slowest {max(seconds):.2f} s)"
                _row(f"new mask after {name}, median", value, "0.4 s")
            _row("server, one visitor on 512²", f"{_memory(server.pid):.0f} MB", "250 MB")
            page.close()
            _row(
                "from Run the sample to the cells of epoch 0",
                f"{_cells(browser, server.url):.1f} s",
                "8 s",
            )
        large = Path(folder) / "large"
        large.mkdir()
        with serving(ROOT / "app.py", folder=large) as server:
            os.environ["CELLCUTTER_RUNS"] = str(server.runs)
            for visitor in range(3):
                page = _visit(browser, f"{server.url}/data?draft={_large_draft()}")
                for name in ("Mask", "Cells", "Data", "Overview"):
                    _switch(page, name)
                if not visitor:
                    _row("server, one visitor on 1750²", f"{_memory(server.pid):.0f} MB", "250 MB")
                page.close()
            # What was computed for a visitor is handed back a few seconds after they left.
            time.sleep(20)
            _row("server, after three such visitors", f"{_memory(server.pid):.0f} MB", "")
        browser.close()


def _row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def _visit(browser: Any, url: str) -> Any:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(url)
    page.get_by_role("heading", level=1).wait_for(timeout=60_000)
    _settled(page)
    return page


def _cells(browser: Any, url: str) -> float:
    """Seconds from the click of somebody who has looked at the page for a while."""
    page = _visit(browser, url)
    page.wait_for_timeout(10_000)
    start = time.perf_counter()
    page.get_by_role("button", name="Run the sample").click()
    page.get_by_text("Epoch 0: before training").first.wait_for(timeout=180_000)
    seconds = time.perf_counter() - start
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("Stopped after").first.wait_for(timeout=60_000)
    page.close()
    return seconds


def _settled(page: Any) -> None:
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]", timeout=60_000)


def _first_picture(browser: Any, url: str) -> float:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.add_init_script(PICTURED)
    page.goto(url, wait_until="commit")
    # Nobody asks the page meanwhile: that would take a good part of what is measured.
    page.wait_for_timeout(6000)
    page.wait_for_function("window.pictured", timeout=60_000)
    seconds = float(page.evaluate("pictured")) / 1000
    page.close()
    return seconds


def _switch(page: Any, name: str) -> float:
    page.locator(LINKS).first.wait_for(timeout=60_000)
    seconds = float(page.evaluate(SWITCH, [name, LINKS]))
    page.wait_for_timeout(700)
    return seconds


def _slider(page: Any) -> list[float]:
    """Seconds from the last of some strokes on the slider's arrow key to the mask it asks for.

    One stroke and ten in turn, from a mask that is nearly all of the sample to one that is nearly
    nothing. What comes so soon may be the preview; the exact mask follows.
    """
    page.get_by_test_id("stCheckbox").get_by_text("Automatic").click()
    thumb = page.get_by_role("slider").first
    thumb.wait_for(timeout=60_000)
    _settled(page)
    thumb.press("End")
    found = []
    for n_strokes in (1, 10) * (STOPS // 2):
        _settled(page)
        thumb.focus()
        page.evaluate(WATCH)
        for _ in range(n_strokes):
            thumb.press("ArrowLeft")
        page.wait_for_timeout(1500)
        _settled(page)
        found.append(float(page.evaluate(ANSWERED)))
    return found


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
    from cellcutter_core.choices.choices import Choices
    from cellcutter_core.choices.draft import Draft
    from cellcutter_core.choices.uploads import store_upload
    from cellcutter_core.simulation.sample import sample, save

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "large.npz"
        save(sample((1750, 1750)), file)
        source = store_upload(file.name, file.read_bytes())
    draft = Draft()
    draft.save(Choices(source=source))
    return draft.id


if __name__ == "__main__":
    main()
