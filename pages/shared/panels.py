"""Pieces that several pages use: the pipeline bar, messages, explanations, code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import streamlit as st

from cellcutter_core.training.loss import loss_explained
from cellcutter_core.view.figure_style import still_config
from pages.shared import state, steps
from pages.shared.caching import cached_steps
from pages.shared.caching.in_child import Cancelled, ask_again
from pages.shared.page_list import GROUPS, TITLES

EXPLAINED = Path(__file__).parent.parent / "explained"


def head(page: str) -> None:
    """Show the pipeline with a link to each page, the title, and the last error message."""
    title, _, line = TITLES[page]
    _pipeline()
    st.title(title, anchor=False)
    st.caption(line)
    if message := st.session_state.pop(state.COMPLAINT, None):
        st.error(message, icon=":material/error:")


def _pipeline() -> None:
    """Show a link to each page in its group, with the status of its step as in `steps.MARKS`."""
    standing = steps.status()
    with st.container(horizontal=True, gap="small", key="pipeline"):
        for group, names in GROUPS.items():
            with st.container(gap=None, width="content"):
                st.caption(group)
                with st.container(horizontal=True, gap="xsmall", width="content"):
                    for name in names:
                        _step(name, standing.get(name))


def _step(name: str, status: str | None) -> None:
    if status is None:
        return link(name)
    icon, color, word = steps.MARKS[status]
    return link(name, f":{color}[{TITLES[name][0]} · {word}]", icon)


@contextmanager
def show_errors() -> Iterator[None]:
    """Show the core's error message on the page; the rest of the page stays."""
    try:
        yield
    except Cancelled as error:
        ask_again(error)
    except ValueError as error:
        st.error(str(error), icon=":material/error:")


@contextmanager
def complaints() -> Iterator[None]:
    """In a callback: keep the core's error message for the page to show."""
    try:
        yield
    except ValueError as error:
        state.complain(str(error))


def needs(compute: Callable[[], Any]) -> Any:
    """Compute a result that the page needs. If it fails, show the error and stop the page."""
    with show_errors():
        return compute()
    with st.container(horizontal=True):
        for name in ("data", "mask", "cells"):
            link(name)
    st.stop()


def link(page: str, label: str | None = None, icon: str | None = None) -> None:
    """Show a link to another page that keeps the draft and the run."""
    title, usual, _ = TITLES[page]
    script = f"pages/{page}.py"
    st.page_link(script, label=label or title, icon=icon or usual, query_params=state.url())


def go(page: str) -> None:
    """Go to another page now."""
    st.switch_page(f"pages/{page}.py", query_params=state.url())


def wait_for_consent(step: str) -> None:
    """On a large region, stop the page until the user asks to compute this step."""
    key = cached_steps.step_keys()[step]
    asked = st.session_state.setdefault("asked", {})
    if not cached_steps.is_large() or asked.get(step) == key:
        return
    top, left, bottom, right = cached_steps.region()
    st.warning(
        f"The region has {bottom - top} × {right - left} pixels. Computing this step takes some "
        "seconds, so it starts when you click.",
        icon=":material/update:",
    )
    st.button(
        "Compute",
        key=f"compute_{step}",
        type="primary",
        on_click=asked.__setitem__,
        args=(step, key),
    )
    st.stop()


# Explanations -------------------------------------------------------------------------------------


def next_step(page: str) -> None:
    """Show the button that leads to the next page."""
    title, icon, _ = TITLES[page]
    if st.button(f"Next: {title}", icon=icon, type="primary"):
        go(page)


def footer(page: str, code: str) -> None:
    """Show the explanation of this page, and the code that does the same."""
    steps.looked_at(page)
    left, right = st.columns(2)
    with left:
        explain(page)
    with right, st.expander("The code", icon=":material/code:"):
        st.caption(
            "This script does the same as the page, with the current choices. Install the package "
            "first: `pip install .` in the folder of the program. Then run the script in any "
            "folder that holds the files you uploaded."
        )
        st.code(code, language="python")


def explain(page: str) -> None:
    """Show the explanation of a page: idea, formula, parameters."""
    text = (EXPLAINED / f"{page}.md").read_text("utf-8")
    for place, told in loss_explained().items():
        text = text.replace(f"<!-- {place} -->", told)
    with st.expander("What happens here", icon=":material/school:"):
        st.markdown(text)


def chart(figure: Any, *, key: str, alt: str, **more: Any) -> Any:
    """Show a Plotly figure; `alt` describes it in words.

    Its camera button saves it under the name of the key.
    """
    config = still_config(f"cellcutter-{key.replace('_', '-')}")
    return st.plotly_chart(figure, key=key, alt=alt, width="stretch", config=config, **more)


@contextmanager
def wide() -> Iterator[None]:
    """Show what is in it 900 pixels wide on a narrow screen, where it is scrolled sideways."""
    st.html(
        "<style>.st-key-wide {overflow-x: auto} "
        "@media (max-width: 700px) {.st-key-wide > div {min-width: 900px}}</style>"
    )
    with st.container(key="wide"):
        yield


def chart_to_choose(figure: Any, *, key: str, alt: str) -> Any:
    """Show a figure with points to click. Return `customdata` of the clicked point, or None."""
    event = chart(figure, key=key, alt=alt, on_select="rerun", selection_mode="points")
    points = event["selection"]["points"]
    return points[0].get("customdata") if points else None
