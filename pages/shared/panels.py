"""Pieces that several pages use: where one is in the pipeline, messages, explanations, code."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import streamlit as st

from cellcutter_core.view import figures
from pages.shared import state, steps
from pages.shared.caching import cached
from pages.shared.caching.in_child import Cancelled, ask_again

EXPLAINED = Path(__file__).parent.parent / "explained"

# Title, icon and one line for each page, in the order of the pipeline.
TITLES = {
    "overview": ("Overview", ":material/home:", "The whole way from image to cells, in one look."),
    "data": ("Data", ":material/image:", "Choose an image, its channels and the part to work on."),
    "mask": ("Mask", ":material/content_cut:", "Where there are cells: the graph cut."),
    "cells": ("Cells", ":material/scatter_plot:", "Where each cell is: markers and crops."),
    "train": ("Train", ":material/model_training:", "Train the network on this very image."),
    "compare": ("Compare", ":material/compare:", "Epochs, runs, baselines and the truth."),
    "results": (
        "Results",
        ":material/table_view:",
        "Your cells one by one, and files to take.",
    ),
    "apply": ("Apply", ":material/photo_library:", "The same network on other images."),
}

# Endings of the files that a person may upload as an image.
PICTURE_FILES = ["tif", "tiff", "png", "bmp", "gif", "webp", "jp2", "j2k", "jpx", "jpf"]
IMAGE_FILES = [
    *PICTURE_FILES,
    *("jpg", "jpeg", "npy", "npz", "h5", "hdf5", "mat", "zip", "nd2", "czi", "lif"),
]
IMAGE_FORMATS = (
    "TIFF, PNG, JPEG, BMP, GIF, WebP, JPEG 2000, npy, npz, HDF5, zipped OME-Zarr, ND2, CZI or LIF"
)
OUTLINE_FILES = ["roi", "geojson", "json"]
MARKER_FILES = [
    *("csv", "txt", "tsv", "zip", "npy", "npz", "h5", "hdf5"),
    *OUTLINE_FILES,
    *PICTURE_FILES,
]


def head(page: str) -> None:
    """Where one is in the pipeline, with a link to each page; title, and what went wrong last."""
    title, _, line = TITLES[page]
    _pipeline()
    st.title(title, anchor=False)
    st.caption(line)
    if message := st.session_state.pop(state.COMPLAINT, None):
        st.error(message, icon=":material/error:")


def _pipeline() -> None:
    """A link to each page, with where its step stands, in the words of `steps.MARKS`."""
    standing = steps.status()
    with st.container(horizontal=True, gap="small", key="pipeline"):
        for name, (title, icon, _) in TITLES.items():
            label = title
            if name in standing:
                icon, color, word = steps.MARKS[standing[name]]
                label = f":{color}[{title} · {word}]"
            st.page_link(f"pages/{name}.py", label=label, icon=icon, query_params=state.url())


@contextmanager
def show_errors() -> Iterator[None]:
    """What the core refuses is said in its own words, on the page; the rest of the page stays."""
    try:
        yield
    except Cancelled as error:
        ask_again(error)
    except ValueError as error:
        st.error(str(error), icon=":material/error:")


@contextmanager
def complaints() -> Iterator[None]:
    """In a callback: keep what the core refuses for the page to tell."""
    try:
        yield
    except ValueError as error:
        state.complain(str(error))


def needs(compute: Callable[[], Any]) -> Any:
    """A result that the page cannot do without: the core's message and nothing else if it fails."""
    try:
        return compute()
    except ValueError as error:
        if isinstance(error, Cancelled):
            ask_again(error)
        else:
            st.error(str(error), icon=":material/error:")
        with st.container(horizontal=True):
            for name in ("data", "mask", "cells"):
                link(name)
        st.stop()


def link(page: str, label: str | None = None) -> None:
    """A link to another page that takes draft and run with it."""
    title, icon, _ = TITLES[page]
    st.page_link(f"pages/{page}.py", label=label or title, icon=icon, query_params=state.url())


def go(page: str) -> None:
    """Go to another page now."""
    st.switch_page(f"pages/{page}.py", query_params=state.url())


def wait_for_consent(step: str) -> None:
    """Stop here on a large region until somebody asks to compute this step again."""
    key = cached.step_keys()[step]
    asked = st.session_state.setdefault("asked", {})
    if not cached.is_large() or asked.get(step) == key:
        return
    top, left, bottom, right = cached.region()
    st.warning(
        f"The region has {bottom - top} × {right - left} pixels. Computing this step takes some "
        "seconds, so it waits for you.",
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


def explanation(page: str) -> str:
    """The idea of a page, its formula and its parameters, as Markdown."""
    return (EXPLAINED / f"{page}.md").read_text("utf-8")


def next_step(page: str) -> None:
    """Where to go from here."""
    title, icon, _ = TITLES[page]
    if st.button(f"Next: {title}", icon=icon, type="primary"):
        go(page)


def footer(page: str, code: str) -> None:
    """What happens on this page, and the code that does the same."""
    steps.looked_at(page)
    left, right = st.columns(2)
    with left, st.expander("What happens here", icon=":material/school:"):
        st.markdown(explanation(page))
    with right, st.expander("The code", icon=":material/code:"):
        st.caption(
            "The same with the package, with the values chosen now. It runs as it is, in any "
            "folder, once the package is installed: `pip install .` in the folder of the program. "
            "Files that you uploaded have to be in that folder."
        )
        st.code(code, language="python")


def chart(figure: Any, *, key: str, alt: str, zoom: bool = False) -> None:
    """A Plotly figure as all pages show it; `alt` says in words what is in it."""
    config = figures.PANES_CONFIG if zoom else figures.STILL_CONFIG
    st.plotly_chart(figure, key=key, alt=alt, width="stretch", config=_config(config, key))


def _config(config: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The camera of a chart saves it under the name of page and chart."""
    return dict(figures.named_config(config, f"cellcutter-{key.replace('_', '-')}"))


def chart_to_choose(figure: Any, *, key: str, alt: str) -> Any:
    """A figure with points to click; what `customdata` says of the one clicked last, or None."""
    event = st.plotly_chart(
        figure,
        key=key,
        alt=alt,
        width="stretch",
        on_select="rerun",
        selection_mode="points",
        config=_config(figures.STILL_CONFIG, key),
    )
    points = event["selection"]["points"]
    return points[0].get("customdata") if points else None
