"""The picture widgets under a real pointer: exact to the pixel, each edit once."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from patience import ANSWERED

START = "points 3 [(80, 100), (200, 280), (150, 20)]"


@pytest.fixture(scope="module")
def url(serve: Callable[[Path], Any]) -> Iterator[str]:
    with serve(Path(__file__).parent / "picture_page.py") as server:
        yield server.url


@pytest.fixture(scope="module")
def pages_url(serve: Callable[[Path], Any]) -> Iterator[str]:
    with serve(Path(__file__).parent / "fragment_page.py") as server:
        yield server.url


@pytest.fixture
def both(page: Any, url: str) -> Any:
    page.goto(url)
    ready(page)
    return page


def ready(page: Any) -> None:
    for name in ("Discs", "Discs with markers"):
        page.get_by_role("img", name=name, exact=True).wait_for()
    page.wait_for_function(PAINTED)


# Both stages have been painted with their picture: their middle is not transparent.
PAINTED = """() => {
    const hosts = document.querySelectorAll('[data-testid="stBidiComponentIsolated"]');
    const all = [...hosts].map((host) => host.shadowRoot?.querySelector("canvas")).filter(Boolean);
    const seen = (canvas) => canvas.width > 300 && canvas.getContext("2d")
        .getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data[3] === 255;
    return all.length === 2 && all.every(seen);
}"""


def canvas(page: Any, name: str) -> Any:
    return page.get_by_role("img", name=name, exact=True)


def at(page: Any, name: str, row: float, col: float) -> tuple[float, float]:
    """Where a position of the image is on the screen, once all is drawn."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    x, y, pixel = (
        float(value)
        for value in canvas(page, name).locator("..").get_attribute("data-view").split()
    )
    bounds = canvas(page, name).bounding_box()
    return bounds["x"] + (col - x) * pixel, bounds["y"] + (row - y) * pixel


def drag(page: Any, name: str, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*at(page, name, *start))
    page.mouse.down()
    page.mouse.move(*at(page, name, *end), steps=6)
    page.mouse.up()


def click(page: Any, row: int, col: int) -> None:
    page.mouse.click(*at(page, "Discs with markers", row + 0.5, col + 0.5))


def text(page: Any, content: str) -> None:
    page.get_by_text(content, exact=True).wait_for(timeout=1000 * ANSWERED)


def edit_mode(page: Any) -> None:
    page.get_by_role("button", name="Edit", exact=True).click()


def test_drag_outside_of_the_box_draws_a_new_one(both: Any) -> None:
    drag(both, "Discs", (210, 270), (290, 390))
    text(both, "box (210, 270, 290, 390)")


def test_a_small_drag_makes_the_smallest_box_inside_of_the_image(both: Any) -> None:
    drag(both, "Discs", (290, 390), (280, 380))
    text(both, "box (226, 326, 290, 390)")


def test_drag_inside_of_the_box_moves_it_as_far_as_the_image_goes(both: Any) -> None:
    drag(both, "Discs", (100, 100), (120, 130))
    text(both, "box (70, 90, 220, 290)")
    drag(both, "Discs", (100, 100), (299, 399))
    text(both, "box (150, 200, 300, 400)")


def test_drag_of_a_corner_resizes_the_box(both: Any) -> None:
    drag(both, "Discs", (200, 260), (240, 300))
    text(both, "box (50, 60, 240, 300)")
    drag(both, "Discs", (50, 60), (230, 290))
    text(both, "box (176, 236, 240, 300)")


def test_size_is_shown_only_while_dragging(both: Any) -> None:
    badge = both.locator(".badge").first
    assert badge.is_hidden()
    both.mouse.move(*at(both, "Discs", 200, 260))
    both.mouse.down()
    both.mouse.move(*at(both, "Discs", 240, 300), steps=4)
    assert badge.text_content() == "190 × 240 px"
    both.mouse.up()
    text(both, "box (50, 60, 240, 300)")
    assert badge.is_hidden()


def test_arrow_keys_move_and_resize_the_box(both: Any) -> None:
    both.locator(".stage").first.focus()
    both.keyboard.press("ArrowRight")
    text(both, "box (50, 68, 200, 268)")
    both.keyboard.press("Shift+ArrowDown")
    text(both, "box (50, 68, 208, 268)")


def test_edits_are_exact_to_the_pixel_after_zooming(both: Any) -> None:
    edit_mode(both)
    both.mouse.move(*at(both, "Discs with markers", 80, 100))
    for _ in range(8):
        both.mouse.wheel(0, -200)
    level = both.get_by_role("button", name="show all").nth(1)
    both.wait_for_function(
        "(level) => parseInt(level.textContent) >= 10", arg=level.element_handle()
    )
    click(both, 85, 107)
    text(both, "points 4 [(80, 100), (200, 280), (150, 20), (85, 107)]")
    drag(both, "Discs with markers", (80.5, 100.5), (77.5, 95.5))
    text(both, "points 4 [(77, 95), (200, 280), (150, 20), (85, 107)]")
    click(both, 85, 107)
    text(both, "points 3 [(77, 95), (200, 280), (150, 20)]")
    text(both, "log add move remove")


def test_no_edit_is_applied_twice(both: Any) -> None:
    edit_mode(both)
    click(both, 250, 50)
    text(both, "log add")
    both.get_by_role("button", name="Unrelated").click()
    text(both, "log add unrelated")
    both.get_by_role("button", name="Unrelated").click()
    text(both, "log add unrelated unrelated")
    text(both, "points 4 [(80, 100), (200, 280), (150, 20), (250, 50)]")


def test_fast_clicks_all_arrive_in_order(both: Any) -> None:
    edit_mode(both)
    for row, col in ((20, 200), (40, 300), (260, 60), (280, 360), (30, 30)):
        click(both, row, col)
    click(both, 150, 20)
    text(
        both,
        "points 7 [(80, 100), (200, 280), (20, 200), (40, 300), (260, 60), (280, 360), (30, 30)]",
    )
    text(both, "log add add add add add remove")


def test_second_half_of_a_double_click_takes_nothing_back(both: Any) -> None:
    edit_mode(both)
    both.mouse.dblclick(*at(both, "Discs with markers", 250.5, 50.5))
    text(both, "log add")
    both.get_by_role("button", name="Unrelated").click()
    text(both, "log add unrelated")


def test_select_mode_selects_and_changes_nothing_else(both: Any) -> None:
    click(both, 200, 280)
    text(both, "selected 1")
    both.keyboard.press("ArrowLeft")
    text(both, "selected 2")
    click(both, 20, 200)
    text(both, "selected None")
    text(both, START)
    text(both, "log select select select")


def test_delete_key_removes_the_selected_marker(both: Any) -> None:
    click(both, 200, 280)
    both.keyboard.press("Delete")
    text(both, "points 2 [(80, 100), (150, 20)]")


def test_dragging_empty_ground_pans_and_adds_nothing(both: Any) -> None:
    edit_mode(both)
    both.get_by_role("button", name="Zoom in").nth(1).click()
    before = at(both, "Discs with markers", 0, 0)
    drag(both, "Discs with markers", (150, 200), (150, 180))
    after = at(both, "Discs with markers", 0, 0)
    assert after[0] < before[0] - 10
    both.get_by_role("button", name="Unrelated").click()
    text(both, "log unrelated")
    assert at(both, "Discs with markers", 0, 0) == pytest.approx(after), "the zoom was lost"


def test_space_and_middle_button_pan_the_region_picture(both: Any) -> None:
    both.get_by_role("button", name="Zoom in").first.click()
    both.locator(".stage").first.focus()
    places = [at(both, "Discs", 0, 0)]
    both.keyboard.down(" ")
    drag(both, "Discs", (150, 200), (130, 180))
    both.keyboard.up(" ")
    places.append(at(both, "Discs", 0, 0))
    both.mouse.move(*at(both, "Discs", 150, 200))
    both.mouse.down(button="middle")
    both.mouse.move(*at(both, "Discs", 160, 210), steps=4)
    both.mouse.up(button="middle")
    places.append(at(both, "Discs", 0, 0))
    assert places[1][0] < places[0][0]
    assert places[2][0] > places[1][0]
    both.mouse.dblclick(*at(both, "Discs", 150, 200))
    both.wait_for_function(
        "(stage) => stage.dataset.view.startsWith('0 0 ')",
        arg=both.locator(".stage").first.element_handle(),
    )
    text(both, "box (50, 60, 200, 260)")


def test_touch_drags_the_box_and_pinch_zooms(new_page: Callable[..., Any], url: str) -> None:
    page = new_page(has_touch=True, viewport={"width": 1280, "height": 900})
    page.goto(url)
    ready(page)
    touch = page.context.new_cdp_session(page)

    def send(kind: str, *places: tuple[float, float]) -> None:
        points = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(places)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    start, end = at(page, "Discs", 100, 100), at(page, "Discs", 120, 130)
    send("touchStart", start)
    send("touchMove", end)
    send("touchEnd")
    text(page, "box (70, 90, 220, 290)")
    x, y = at(page, "Discs", 150, 200)
    send("touchStart", (x - 40, y))
    send("touchStart", (x - 40, y), (x + 40, y))
    send("touchMove", (x - 80, y), (x + 80, y))
    send("touchEnd")
    page.wait_for_function(
        "(button) => button.textContent === '2.0 ×'",
        arg=page.get_by_role("button", name="show all").first.element_handle(),
    )
    text(page, "box (70, 90, 220, 290)")


def test_a_third_finger_of_a_pinch_adds_no_marker(new_page: Callable[..., Any], url: str) -> None:
    page = new_page(has_touch=True, viewport={"width": 1280, "height": 900})
    page.goto(url)
    ready(page)
    edit_mode(page)
    touch = page.context.new_cdp_session(page)
    x, y = at(page, "Discs with markers", 150, 200)
    places = [{"x": x + 40 * i, "y": y, "id": i} for i in range(3)]
    for kind, n in (("Start", 1), ("Start", 2), ("Start", 3), ("End", 0)):
        points = {"type": f"touch{kind}", "touchPoints": places[:n]}
        touch.send("Input.dispatchTouchEvent", points)
    click(page, 220, 20)
    text(page, START.replace("points 3", "points 4").replace("]", ", (220, 20)]"))


def test_thousands_of_markers_stay_fluid(page: Any, url: str) -> None:
    page.goto(f"{url}/?many=1")
    ready(page)
    page.get_by_text("points 2300").wait_for()
    page.mouse.move(*at(page, "Discs with markers", 150, 200))
    page.mouse.wheel(0, -300)
    median = page.evaluate(
        """async () => {
            const hosts = document.querySelectorAll('[data-testid="stBidiComponentIsolated"]');
            const stage = [...hosts].map((h) => h.shadowRoot.querySelectorAll(".stage"))
                .flatMap((found) => [...found])[1];
            const bounds = stage.getBoundingClientRect();
            const next = () => new Promise((done) => requestAnimationFrame(done));
            const times = [];
            for (let i = 0; i < 30; i++) {
                const start = performance.now();
                stage.dispatchEvent(new WheelEvent("wheel", {
                    deltaY: i % 2 ? -30 : 30, clientX: bounds.x + 200, clientY: bounds.y + 150,
                    bubbles: true, cancelable: true,
                }));
                await next();
                await next();
                times.push((performance.now() - start) / 2);
            }
            return times.sort((a, b) => a - b)[15];
        }"""
    )
    assert median < 50, f"a frame takes {median:.0f} ms"


def test_focus_is_outlined_for_the_keyboard_and_not_for_the_pointer(both: Any) -> None:
    stage = both.locator(".stage").first
    outlined = "(stage) => stage.matches(':focus') && stage.matches(':focus-visible')"
    drag(both, "Discs", (100, 100), (120, 130))
    text(both, "box (70, 90, 220, 290)")
    assert stage.evaluate("(stage) => stage.matches(':focus')")
    assert not stage.evaluate(outlined)
    both.get_by_role("button", name="Zoom in").first.focus()
    both.keyboard.press("Tab")
    assert stage.evaluate(outlined)


def test_zoom_and_edits_survive_fragments_and_page_switches(page: Any, pages_url: str) -> None:
    page.goto(pages_url)
    page.get_by_role("img", name="Grey").wait_for()
    edit_mode(page)
    page.get_by_role("button", name="Zoom in").click()
    page.mouse.click(*at(page, "Grey", 120.5, 130.5))
    text(page, "points [(120, 130)], whole runs 1")
    stage = page.locator(".stage")
    zoomed = stage.get_attribute("data-view")
    assert not zoomed.startswith("0 0 ")
    page.get_by_role("link", name="Other").click()
    text(page, "The other page")
    assert page.evaluate("cellcutterPictures.pictures.size") == 0, "pixels are still held"
    page.get_by_role("link", name="Markers").click()
    text(page, "points [(120, 130)], whole runs 2")
    page.wait_for_function(
        "([stage, view]) => stage.dataset.view === view", arg=[stage.element_handle(), zoomed]
    )
    page.mouse.click(*at(page, "Grey", 150.5, 100.5))
    text(page, "points [(120, 130), (150, 100)], whole runs 2")


def test_pixels_are_sent_once(new_page: Callable[..., Any], url: str) -> None:
    page = new_page()
    received: list[int] = []
    page.on(
        "websocket",
        lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame))),
    )
    page.goto(url)
    ready(page)
    edit_mode(page)
    page.wait_for_timeout(500)
    assert sum(received) > 100_000
    del received[:]
    click(page, 250, 50)
    text(page, "log add")
    page.wait_for_timeout(300)
    assert sum(received) < 100_000, f"an edit costs {sum(received)} bytes"
