"""Linked pictures under a real pointer: all panes show the same part, through reruns and pages.

A view is (zoom, x, y): how many times larger than its pane a picture is, and which share of it is
beyond the left and upper edge of the pane.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROWS, COLS = 150, 200
WHOLE = (1, 0, 0)
MIDDLE = (1.5, 1 / 6, 1 / 6)  # What one click on "Zoom in" shows.

# Of each pane, as it is on the screen.
VIEWS = """(stages) => stages.map((stage) => {
    const [x, y, pixel] = stage.dataset.view.split(" ").map(Number);
    return [(pixel * 200) / stage.clientWidth, x / 200, y / 150];
})"""

PAINTED = """(canvas) => {
    const [x, y] = [canvas.width / 2, canvas.height / 2];
    return canvas.width > 200 && canvas.getContext("2d").getImageData(x, y, 1, 1).data[3] === 255;
}"""

# The colour that is painted at a place of the stage, both as shares of its size.
COLOR = """(stage, [u, v]) => {
    const canvas = stage.querySelector("canvas");
    const [x, y] = [Math.floor(u * canvas.width), Math.floor(v * canvas.height)];
    return [...canvas.getContext("2d").getImageData(x, y, 1, 1).data.slice(0, 3)];
}"""


@pytest.fixture(scope="module")
def url(serve: Callable[[Path], Any]) -> Iterator[str]:
    with serve(Path(__file__).parent / "linked_page.py") as server:
        yield server.url


@pytest.fixture
def panes(page: Any, url: str) -> Any:
    page.goto(url)
    painted(page, "Image", "Cells 1", "Probability")
    return page


def picture(seed: int) -> np.ndarray:
    """The noise that linked_page.py shows."""
    return np.random.default_rng(seed).integers(0, 256, (ROWS, COLS, 3), dtype=np.uint8)


def painted(page: Any, *titles: str) -> None:
    """Wait until the pictures of these titles, and no others, are there."""
    for title in titles:
        image = page.get_by_role("img", name=title, exact=True)
        page.wait_for_function(PAINTED, arg=image.element_handle())
    drawn(page)
    assert page.locator(".stage").count() == len(titles)


def drawn(page: Any) -> None:
    """Wait until what was changed is painted."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def views(page: Any) -> list[Any]:
    drawn(page)
    return page.locator(".stage").evaluate_all(VIEWS)


def all_show(page: Any, view: tuple[float, float, float], *, n: int = 3) -> None:
    # To a pixel of the screen: events come in whole ones.
    assert views(page) == [pytest.approx(view, abs=1 / 270)] * n


def at(page: Any, pane: int, u: float, v: float) -> tuple[float, float]:
    """Where a place of a pane is on the screen, both as shares of its size."""
    box = page.locator(".stage").nth(pane).bounding_box()
    return box["x"] + u * box["width"], box["y"] + v * box["height"]


def width(page: Any) -> float:
    return page.locator(".stage").first.bounding_box()["width"]


def drag(page: Any, pane: int, right: float, down: float) -> None:
    """From the middle of a pane, in shares of its size."""
    page.mouse.move(*at(page, pane, 0.5, 0.5))
    page.mouse.down()
    page.mouse.move(*at(page, pane, 0.5 + right, 0.5 + down), steps=5)
    page.mouse.up()


def press(page: Any, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def test_what_is_seen_is_also_said(panes: Any) -> None:
    panes.get_by_role("group", name="Noise of number 1", exact=True).wait_for()
    for title in ("Image", "Cells 1", "Probability"):
        panes.get_by_role("img", name=title, exact=True).wait_for()
    assert panes.locator("figcaption").all_inner_texts() == ["Image", "Cells 1", "Probability"]
    assert panes.locator(".legend").inner_text() == "added"
    color = panes.locator(".legend i").evaluate("(mark) => getComputedStyle(mark).backgroundColor")
    assert color == "rgb(240, 228, 66)"
    all_show(panes, WHOLE)


def test_the_wheel_zooms_all_panes_at_the_pointer(panes: Any) -> None:
    panes.mouse.move(*at(panes, 1, 0.25, 0.75))
    panes.mouse.wheel(0, -200)
    zoom = math.exp(0.4)
    panes.get_by_role("button", name="Zoom 1.5, show all", exact=True).wait_for()
    # What is under the pointer stays there.
    all_show(panes, (zoom, 0.25 - 0.25 / zoom, 0.75 - 0.75 / zoom))
    panes.mouse.wheel(0, 200)
    panes.get_by_role("button", name="Zoom 1.0, show all", exact=True).wait_for()
    all_show(panes, WHOLE)


def test_the_deepest_zoom_shows_single_pixels_as_squares(panes: Any) -> None:
    smooth = """(canvas) => canvas.getContext("2d").imageSmoothingEnabled"""
    image = panes.get_by_role("img", name="Probability")
    assert image.evaluate(smooth)
    panes.mouse.move(*at(panes, 0, 0.5, 0.5))
    for _ in range(12):
        panes.mouse.wheel(0, -300)
    deepest = 40 * COLS / width(panes)
    panes.get_by_role("button", name=f"Zoom {deepest:.1f}, show all", exact=True).wait_for()
    all_show(panes, (deepest, 0.5 - 0.5 / deepest, 0.5 - 0.5 / deepest))
    assert not image.evaluate(smooth)
    # The same pixel of the picture is in the middle of each pane, and fills it.
    for pane, seed in enumerate((0, 1, 999)):
        for u, v in ((0.49, 0.49), (0.51, 0.49)):
            row, col = (
                math.floor(length * (0.5 + (share - 0.5) / deepest))
                for length, share in ((ROWS, v), (COLS, u))
            )
            color = panes.locator(".stage").nth(pane).evaluate(COLOR, [u, v])
            assert color == picture(seed)[row, col].tolist()


def test_a_page_that_is_scrolled_is_not_zoomed(panes: Any) -> None:
    scrolled = "document.querySelector('[data-testid=stMain]').scrollTop"
    panes.mouse.move(*at(panes, 0, 0.5, 0.5))
    # Nothing is left to zoom out of: the wheel belongs to the page.
    panes.mouse.wheel(0, 60)
    panes.wait_for_function(f"{scrolled} === 60")
    # And it stays the page's until the pointer is moved, also on a pane and upwards.
    panes.mouse.wheel(0, -30)
    panes.wait_for_function(f"{scrolled} === 30")
    all_show(panes, WHOLE)
    panes.mouse.move(*at(panes, 0, 0.5, 0.6))
    panes.mouse.wheel(0, -200)
    panes.get_by_role("button", name="Zoom 1.5, show all", exact=True).wait_for()
    assert panes.evaluate(scrolled) == 30


def test_dragging_moves_all_panes_as_far_as_the_picture_goes(panes: Any) -> None:
    drag(panes, 0, -0.2, -0.2)
    all_show(panes, WHOLE)
    press(panes, "Zoom in")
    drag(panes, 2, -0.1, 0.05)
    all_show(panes, (1.5, 1 / 6 + 0.1 / 1.5, 1 / 6 - 0.05 / 1.5))
    drag(panes, 0, -0.9, -0.9)
    all_show(panes, (1.5, 1 / 3, 1 / 3))
    # Let go: the pointer alone moves nothing.
    panes.mouse.move(*at(panes, 1, 0.9, 0.9), steps=3)
    all_show(panes, (1.5, 1 / 3, 1 / 3))
    panes.mouse.dblclick(*at(panes, 1, 0.3, 0.3))
    all_show(panes, WHOLE)


def test_buttons_zoom_and_reset(panes: Any) -> None:
    press(panes, "Zoom in")
    all_show(panes, MIDDLE)
    press(panes, "Zoom in")
    all_show(panes, (2.25, 0.5 - 0.5 / 2.25, 0.5 - 0.5 / 2.25))
    press(panes, "Zoom out")
    all_show(panes, MIDDLE)
    level = panes.get_by_role("button", name="Zoom 1.5, show all", exact=True)
    assert level.inner_text() == "1.5 ×"
    level.click()
    all_show(panes, WHOLE)
    out = panes.get_by_role("button", name="Zoom out", exact=True)
    assert out.get_attribute("aria-disabled") == "true"
    out.click(force=True)
    all_show(panes, WHOLE)


def test_the_keyboard_zooms_moves_and_resets(panes: Any) -> None:
    panes.locator(".stage").nth(1).focus()
    panes.keyboard.press("ArrowRight")
    all_show(panes, WHOLE)
    panes.keyboard.press("+")
    all_show(panes, MIDDLE)
    panes.keyboard.press("ArrowRight")
    panes.keyboard.press("ArrowUp")
    all_show(panes, (1.5, 1 / 6 + 0.1 / 1.5, 1 / 6 - 0.1 / 1.5))
    panes.keyboard.press("-")
    all_show(panes, WHOLE)
    panes.keyboard.press("=")
    panes.keyboard.press("0")
    all_show(panes, WHOLE)
    # The keys of the browser stay its own.
    panes.keyboard.press("Control+ArrowRight")
    all_show(panes, WHOLE)


def test_every_pane_and_button_is_reached_by_the_keyboard(panes: Any) -> None:
    outlined = "(one) => one.matches(':focus-visible') && getComputedStyle(one).outlineStyle"
    # Nothing is left to zoom out of, and the button is still reached.
    order = [
        panes.get_by_role("button", name="Zoom out"),
        panes.locator(".level"),
        panes.get_by_role("button", name="Zoom in"),
        *panes.locator(".stage").all(),
    ]
    order[0].focus()
    for i, element in enumerate(order):
        if i:
            panes.keyboard.press("Tab")
        assert element.evaluate(outlined) == "solid"


def test_the_zoom_stays_when_the_pictures_change(panes: Any) -> None:
    press(panes, "Zoom in")
    drag(panes, 0, -0.1, -0.1)
    moved = (1.5, 1 / 6 + 0.1 / 1.5, 1 / 6 + 0.1 / 1.5)
    all_show(panes, moved)
    sources = "(stages) => stages.map((stage) => stage.dataset.picture)"
    before = panes.locator(".stage").evaluate_all(sources)
    kept = panes.locator(".stage").nth(1).element_handle()
    for number in (2, 3):
        press(panes, "Next")
        panes.get_by_text(f"number {number}, here").wait_for()
        panes.get_by_role("img", name=f"Cells {number}").wait_for()
        panes.get_by_role("group", name=f"Noise of number {number}").wait_for()
        all_show(panes, moved)
    panes.wait_for_function(
        "([stage, before]) => stage.dataset.picture !== before", arg=[kept, before[1]]
    )
    assert kept.evaluate("(stage) => stage.isConnected"), "the pane was made anew"
    after = panes.locator(".stage").evaluate_all(sources)
    assert after[0] == before[0]
    assert after[2] != before[2]
    # It can still be zoomed and is reset by the same buttons.
    panes.locator(".level").click()
    all_show(panes, WHOLE)


def test_another_place_begins_whole_and_each_keeps_its_zoom(panes: Any) -> None:
    press(panes, "Zoom in")
    all_show(panes, MIDDLE)
    press(panes, "Elsewhere")
    panes.get_by_role("button", name="Zoom 1.0, show all").wait_for()
    panes.get_by_text("number 1, elsewhere").wait_for()
    all_show(panes, WHOLE)
    drag(panes, 0, -0.2, -0.2)
    all_show(panes, WHOLE)
    press(panes, "Elsewhere")
    panes.get_by_role("button", name="Zoom 1.5, show all").wait_for()
    all_show(panes, MIDDLE)


def test_the_same_place_on_another_page_is_shown_alike(panes: Any) -> None:
    press(panes, "Zoom in")
    all_show(panes, MIDDLE)
    panes.get_by_role("link", name="Second").click()
    painted(panes, "Alone")
    all_show(panes, MIDDLE, n=1)
    press(panes, "Zoom in")
    panes.get_by_role("link", name="First").click()
    painted(panes, "Image", "Cells 1", "Probability")
    all_show(panes, (2.25, 0.5 - 0.5 / 2.25, 0.5 - 0.5 / 2.25))


def test_fingers_zoom_all_panes_move_them_and_scroll_the_page(
    new_page: Callable[..., Any], url: str
) -> None:
    page = new_page(has_touch=True, viewport={"width": 1280, "height": 900})
    page.goto(url)
    painted(page, "Image", "Cells 1", "Probability")
    touch = page.context.new_cdp_session(page)

    def send(kind: str, *places: tuple[float, float]) -> None:
        points = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(places)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    x, y = at(page, 1, 0.5, 0.5)
    send("touchStart", (x - 40, y))
    send("touchStart", (x - 40, y), (x + 40, y))
    send("touchMove", (x - 80, y), (x + 80, y))
    send("touchEnd")
    page.get_by_role("button", name="Zoom 2.0, show all", exact=True).wait_for()
    all_show(page, (2, 0.25, 0.25))
    send("touchStart", (x, y))
    send("touchMove", (x, y - 0.1 * width(page) * ROWS / COLS))
    send("touchEnd")
    all_show(page, (2, 0.25, 0.3))
    # A picture that is shown whole does not hold the page.
    page.locator(".level").click()
    all_show(page, WHOLE)
    send("touchStart", (x, y))
    for step in range(1, 8):
        send("touchMove", (x, y - 20 * step))
    send("touchEnd")
    page.wait_for_function("document.querySelector('[data-testid=stMain]').scrollTop > 50")
    all_show(page, WHOLE)
