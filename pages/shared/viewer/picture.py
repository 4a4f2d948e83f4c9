"""Pictures to touch: choose a region by dragging, edit markers or choose cells by clicking.

All widgets send the picture once and apart from what lies on it, so that an edit costs a few
kilobytes. A test plays the person by a value in the session state, before it runs the page::

    at.session_state["region-edit"] = (0, 0, 128, 128)
    at.session_state["markers-edit"] = Edit("add", None, (10, 20))
    at.session_state["cells-edit"] = Pick((10, 20), more=False)

where ``region``, ``markers`` and ``cells`` are the keys of the widgets.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import streamlit as st
from PIL import Image

from cellcutter_core.images.parts import Region
from cellcutter_core.images.pixel_size import PixelSize, height_and_width
from cellcutter_core.view.look import check_picture
from cellcutter_core.view.render import Rgb

__all__ = ["MIN_SIDE", "Edit", "Pick", "cell_picker", "marker_editor", "region_picker"]

MIN_SIDE = 64
"""Shortest side of a region in px: one crop of the default size."""

_HTML = """
<div class="viewer picture">
  <div class="stage" tabindex="0" role="application" aria-describedby="hints">
    <canvas role="img"></canvas>
    <div class="badge" hidden></div>
  </div>
  <div class="bar">
    <div class="group tools" role="group" aria-label="Tool" hidden>
      <button type="button" data-tool="select">Select</button>
      <button type="button" data-tool="edit">Edit</button>
    </div>
    <span class="status" role="status"></span>
    <div class="group zoom" role="group" aria-label="Zoom">
      <button type="button" data-zoom="out" aria-label="Zoom out" title="Zoom out">−</button>
      <button type="button" data-zoom="reset" class="level" title="Show the whole picture"></button>
      <button type="button" data-zoom="in" aria-label="Zoom in" title="Zoom in">+</button>
    </div>
  </div>
  <p class="hints" id="hints"></p>
</div>
"""
_HERE = Path(__file__).parent
_JS = (_HERE / "picture.js").read_text(encoding="utf-8")
_CSS = "".join((_HERE / name).read_text("utf-8") for name in ("viewer.css", "picture.css"))
_viewer = st.components.v2.component("cellcutter_picture", html=_HTML, css=_CSS, js=_JS)
# The pixels travel in an element of their own: Streamlit does not send an unchanged one again.
_pixels = st.components.v2.component("cellcutter_pixels", js=_JS)


@dataclass(frozen=True)
class Edit:
    """What a person did to the markers.

    Parameters
    ----------
    kind : {"add", "remove", "move", "select"}
    index : int or None
        Position in ``points`` of the marker that is removed, moved or selected. None where one
        is added or the selection is taken back.
    point : (row, col) or None
        Where the marker is added, or moved to, in px.
    origin : (row, col) or None
        Where the marker of that index was when the person touched it. An edit of a marker that
        is no longer there is dropped.
    """

    kind: Literal["add", "remove", "move", "select"]
    index: int | None
    point: tuple[int, int] | None
    origin: tuple[int, int] | None = None


@dataclass(frozen=True)
class Pick:
    """Where a person clicked to choose a cell.

    Parameters
    ----------
    point : (row, col) or None
        The pixel; None to choose nothing.
    more : bool
        Whether what was chosen before stays chosen.
    """

    point: tuple[int, int] | None
    more: bool


def region_picker(
    rgb: Rgb,
    box: Region,
    *,
    key: str,
    alt: str,
    scale: float = 1.0,
    shape: tuple[int, int] | None = None,
    pixel_size: PixelSize | None = None,
) -> Region:
    """Show a picture and let a person choose a rectangle on it.

    The page is the owner of the box: keep what comes back and hand it in on the next run.

    Parameters
    ----------
    rgb : (h, w, 3) uint8 array
        The whole image, perhaps shrunk.
    box : (row0, col0, row1, col1)
        The present region in px of the image, ends excluded.
    key : str
        Of the widget; ``key + "-edit"`` and ``key + "-seen"`` in the session state are its own.
    alt : str
        What the picture shows, for those who cannot see it.
    scale : float
        Pixels of the picture for one of the image: 0.5 for a picture of half the height.
    shape : (H, W), optional
        Size of the image in px, where h / scale and w / scale do not give it exactly.
    pixel_size : float or (float, float), optional
        Micrometres a pixel of the image, or its height and width, for a scale bar along its width.

    Returns
    -------
    (row0, col0, row1, col1)
        Inside of the image, each side at least 64 px or as long as the image.

    Raises
    ------
    ValueError
        If the picture is not (h, w, 3) uint8, or the scale is not above 0.
    """
    check_picture(rgb, "rgb")
    if not scale > 0:
        raise ValueError(f"scale must be above 0, got {scale}")
    rows, cols = shape or (round(rgb.shape[0] / scale), round(rgb.shape[1] / scale))
    box = _fit(st.session_state.pop(f"{key}-edit", box), shape=(rows, cols))
    seen = st.session_state.get(f"{key}-seen")
    data = {
        "mode": "region",
        "shape": [rows, cols],
        "alt": alt,
        "box": list(box),
        "minSide": MIN_SIDE,
        "pixelSize": pixel_size and height_and_width(pixel_size)[1],
        "seen": seen,
        "applied": seen,
    }
    _mount(rgb, data, key=key, read=_read_box)
    return box


def marker_editor(
    rgb: Rgb,
    points: npt.ArrayLike,
    *,
    key: str,
    alt: str,
    selected: int | None = None,
    radius: int = 6,
) -> Edit | None:
    """Show markers on a picture and let a person select, add, remove and move them.

    The page is the owner of the points. It applies the edit at once, before any other Streamlit
    call, and calls ``st.rerun()``: add at the end, remove by index, move in place. Each edit
    comes back exactly once, in the order in which it was made.

    Parameters
    ----------
    rgb : (H, W, 3) uint8 array
    points : (N, 2) int array
        (row, col) of the markers in px of the picture.
    key : str
        Of the widget; ``key + "-edit"``, ``key + "-seen"`` and ``key + "-applied"`` in the
        session state are its own.
    alt : str
        What the picture shows, for those who cannot see it.
    selected : int, optional
        Index of the marker that stands out.
    radius : int
        Of a marker, in px of the screen. Smaller where markers are many and the zoom is low.

    Returns
    -------
    Edit or None
        None on every run that no edit caused.

    Raises
    ------
    ValueError
        If the picture is not (H, W, 3) uint8, or the points are not (N, 2).
    """
    check_picture(rgb, "rgb")
    points = np.asarray(points, dtype=np.int64)
    if points.size and (points.ndim != 2 or points.shape[1] != 2):
        raise ValueError(f"points must be (N, 2), got shape {points.shape}")
    edit = st.session_state.pop(f"{key}-edit", None)
    seen = st.session_state.get(f"{key}-seen")
    # These points do not hold the edit yet: the browser goes on drawing it itself.
    applied = st.session_state.get(f"{key}-applied") if edit else seen
    st.session_state[f"{key}-applied"] = seen
    data = {
        "mode": "markers",
        "shape": list(rgb.shape[:2]),
        "alt": alt,
        "points": points.ravel().tolist(),
        "selected": selected,
        "radius": radius,
        "seen": seen,
        "applied": applied,
    }
    _mount(rgb, data, key=key, read=_read_edit)
    return edit and _locate(edit, points=points.reshape(-1, 2), shape=rgb.shape[:2])


def cell_picker(
    rgb: Rgb,
    outlines: Sequence[npt.NDArray[np.integer[Any]]],
    *,
    key: str,
    alt: str,
    status: str,
    points: Sequence[tuple[int, int]] = (),
    pixel_size: PixelSize | None = None,
) -> Pick | None:
    """Show cells and let a person choose some by clicking.

    The page is the owner of the choice: it takes the pick and calls ``st.rerun()``.

    Parameters
    ----------
    rgb : (H, W, 3) uint8 array
    outlines : sequence of (N, 2) int arrays
        Closed rings around what is chosen: (row, col) of corners of pixels.
    key : str
        Of the widget; ``key + "-edit"`` and ``key + "-seen"`` in the session state are its own.
    alt : str
        What the picture shows, for those who cannot see it.
    status : str
        What is chosen, in words.
    points : sequence of (row, col)
        Where a cell is to be split; a click then is to move one of them.
    pixel_size : float or (float, float), optional
        As for `region_picker`.

    Returns
    -------
    Pick or None
        None on every run that no click caused.

    Raises
    ------
    ValueError
        If the picture is not (H, W, 3) uint8.
    """
    check_picture(rgb, "rgb")
    pick = st.session_state.pop(f"{key}-edit", None)
    seen = st.session_state.get(f"{key}-seen")
    data = {
        "mode": "cells",
        "shape": list(rgb.shape[:2]),
        "alt": alt,
        "outlines": [ring.ravel().tolist() for ring in outlines],
        "status": status,
        "points": [[int(row), int(col)] for row, col in points],
        "pixelSize": pixel_size and height_and_width(pixel_size)[1],
        "seen": seen,
        "applied": seen,
    }
    _mount(rgb, data, key=key, read=_read_pick)
    return pick if pick is None or _inside(pick.point, rgb.shape[:2]) else None


def _mount(
    rgb: Rgb,
    data: dict[str, Any],
    *,
    key: str,
    read: Callable[[dict[str, Any]], Region | Edit | Pick],
) -> None:
    """Put the widget on the page, with its picture under the name of its digest."""
    rgb = np.ascontiguousarray(rgb)
    digest = hashlib.blake2b(rgb, digest_size=16, salt=str(rgb.shape[1]).encode()).hexdigest()
    # Without a gap: the element with the pixels has no height.
    with st.container(gap=None):
        _pixels(key=f"{key}-pixels", data=digest.encode() + _encoded(digest, rgb))
        _viewer(
            key=key,
            # In a list: Streamlit loads pandas to look whether a dict holds data frames.
            data=[data | {"name": key, "picture": digest}],
            on_edit_change=partial(_receive, key, read),
        )


# Streamlit samples large arrays when it hashes them and would mix up similar pictures.
@st.cache_data(max_entries=16, show_spinner=False)
def _encoded(digest: str, _rgb: Rgb) -> bytes:
    """The picture as lossless WebP: two thirds of a PNG in the same time."""
    file = io.BytesIO()
    Image.fromarray(_rgb).save(file, "WEBP", lossless=True, quality=20, method=1)
    return file.getvalue()


def _receive(key: str, read: Callable[[dict[str, Any]], Region | Edit | Pick]) -> None:
    """Put what the browser sent where the widget looks for it, the first time it comes."""
    sent = st.session_state[key]["edit"]
    client, number = str(sent["client"]), int(sent["number"])
    seen = st.session_state.get(f"{key}-seen")
    if seen and seen[0] == client and number <= seen[1]:
        return
    st.session_state[f"{key}-seen"] = [client, number]
    st.session_state[f"{key}-edit"] = read(sent)


def _read_box(sent: dict[str, Any]) -> Region:
    row0, col0, row1, col1 = (int(value) for value in sent["box"])
    return row0, col0, row1, col1


def _read_edit(sent: dict[str, Any]) -> Edit:
    point, origin = (
        None if pair is None else (int(pair[0]), int(pair[1]))
        for pair in (sent.get("point"), sent.get("origin"))
    )
    index = sent.get("index")
    return Edit(sent["kind"], None if index is None else int(index), point, origin)


def _read_pick(sent: dict[str, Any]) -> Pick:
    point = sent.get("point")
    return Pick(None if point is None else (int(point[0]), int(point[1])), bool(sent.get("more")))


def _fit(box: Region, *, shape: tuple[int, int]) -> Region:
    """The box moved and, where it must, resized to lie inside of the image."""
    row0, col0, row1, col1 = (int(value) for value in box)
    (row0, row1), (col0, col1) = (
        _fit_side(start, stop=stop, length=length)
        for start, stop, length in ((row0, row1, shape[0]), (col0, col1, shape[1]))
    )
    return row0, col0, row1, col1


def _fit_side(start: int, *, stop: int, length: int) -> tuple[int, int]:
    side = min(max(stop - start, MIN_SIDE), length)
    start = min(max(start, 0), length - side)
    return start, start + side


def _inside(point: tuple[int, int] | None, shape: tuple[int, ...]) -> bool:
    """Whether a point, if there is one, is a pixel of the picture."""
    return point is None or all(0 <= p < n for p, n in zip(point, shape, strict=True))


def _locate(edit: Edit, *, points: npt.NDArray[np.int64], shape: tuple[int, ...]) -> Edit | None:
    """The edit with the index its marker has now; None if marker or place do not exist."""
    if not _inside(edit.point, shape):
        return None
    if edit.index is None:
        return edit
    if edit.origin is None:
        return edit if 0 <= edit.index < len(points) else None
    if edit.index < len(points) and tuple(points[edit.index]) == edit.origin:
        return edit
    (matches,) = np.nonzero((points == edit.origin).all(axis=1))
    return replace(edit, index=int(matches[0])) if len(matches) else None
