"""A real server and a real Chromium for every test in this folder."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from patience import ANSWERED
from serving import CHROMIUM_ARGS, ROOT, Server, chromium, serving

VIEWPORT = {"width": 1280, "height": 900}
FAILED = pytest.StashKey[bool]()
FORGET = "() => { try { localStorage.clear(); sessionStorage.clear() } catch {} }"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run a browser test that fails again, twice at most.

    On a busy machine Chromium now and then makes nothing of a click, and the test waits in vain.
    """
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.flaky(reruns=2))


@pytest.fixture(scope="session")
def serve(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[Path], Any]:
    """Start a server for a script: ``with serve(path) as server``."""
    return lambda script: serving(script, folder=tmp_path_factory.mktemp("server"))


@pytest.fixture(scope="session")
def server(serve: Callable[[Path], Any]) -> Iterator[Server]:
    """The app, with an empty folder of runs."""
    with serve(ROOT / "app.py") as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium, the one that is installed on the machine."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if chromium() is None:
        pytest.skip("there is no chromium on the PATH")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_ARGS)
        yield running
        running.close()


@pytest.fixture
def new_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a page as a visitor of its own; errors in any console fail the test at its end.

    Keyword arguments go to `browser.new_context`: ``color_scheme="dark"``, ``viewport=...``.
    """
    contexts, errors = [], []

    def open_page(**options: Any) -> Any:
        page = _open_page(browser, **options)
        contexts.append(page.context)
        _keep_errors(page, errors)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not errors, f"the browser's console has errors: {errors}"


@pytest.fixture(scope="session")
def tab() -> list[Any]:
    """The page that tests have one after the other, where there is one."""
    return []


@pytest.fixture
def page(browser: Any, tab: list[Any], request: pytest.FixtureRequest) -> Iterator[Any]:
    """One page, 1280 px wide, light, for a test that leaves no listener or script on it.

    Tests get the same one, because a browser that has compiled the scripts of Streamlit before
    opens a page in a third of the time. It is a new visitor to the server all the same.
    """
    errors: list[str] = []
    page = tab.pop() if tab else _open_page(browser, color_scheme="light")
    listeners = _keep_errors(page, errors)
    yield page
    if request.node.stash.get(FAILED, False):
        page.context.close()
    else:
        page.evaluate(FORGET)
        page.goto("about:blank")
        page.mouse.move(0, 0)
        page.set_viewport_size(VIEWPORT)
        for event, listener in listeners.items():
            page.remove_listener(event, listener)
        tab.append(page)
    assert not errors, f"the browser's console has errors: {errors}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Note for the fixture above that a test has failed."""
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


def _open_page(browser: Any, **options: Any) -> Any:
    context = browser.new_context(**{"viewport": VIEWPORT} | options)
    context.set_default_timeout(1000 * ANSWERED)
    return context.new_page()


def _keep_errors(page: Any, errors: list[str]) -> dict[str, Callable[..., None]]:
    """Keep the errors of the page's console, and return the listeners that do so."""
    listeners = {
        "console": lambda message: _keep_error(message, errors),
        "pageerror": lambda error: errors.append(str(error)),
    }
    for event, listener in listeners.items():
        page.on(event, listener)
    return listeners


def _keep_error(message: Any, errors: list[str]) -> None:
    """Keep what is an error, but for one that belongs to how Streamlit starts.

    Opened at /train it does not know whether the app lives at / or at /train, and asks both.
    """
    probing = re.search(r"/\w+/_stcore/(health|host-config)$", message.location.get("url", ""))
    if message.type == "error" and not probing:
        errors.append(f"{message.text} {message.location}")
