"""Interactive pictures: choose a region by dragging, edit markers or choose cells by clicking.

All widgets send the picture once, separately from what is drawn on it, so that an edit costs a few
kilobytes. A test simulates the user by a value in the session state before it runs the page::

    at.session_state["region-edit"] = (0, 0, 128, 128)
    at.session_state["markers-edit"] = Edit("add", None, (10, 20))
    at.session_state["cells-edit"] = Pick((10, 20), more=False)

where ``region``, ``markers`` and ``cells`` are the keys of the widgets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import streamlit as st

from cellcutter_core.images.pixel_size import PixelSize
from cellcutter_core.images.reading.parts import Region
from cellcutter_core.view.figure_style import check_picture
from cellcutter_core.view.render import Rgb
from pages.shared.viewer.frame import mount

MIN_SIDE = 64
"""Shortest side of a region in px: one crop of the default size."""


@dataclass(frozen=True)
class Edit:
    """An edit of the markers by the user.

    Parameters
    ----------
    kind : {"add", "remove", "move", "select"}
    index : int or None
        Position in ``points`` of the marker that is removed, moved or selected. None if a marker
        is added or the selection is cleared.
    point : (row, col) or None
        Where the marker is added, or moved to, in px.
    origin : (row, col) or None
        Where the marker of that index was when the user touched it. An edit of a marker that is no
        longer there is dropped.
    """

    kind: Literal["add", "remove", "move", "select"]
    index: int | None
    point: tuple[int, int] | None
    origin: tuple[int, int] | None = None


@dataclass(frozen=True)
class Pick:
    """A click that chooses a cell.

    Parameters
    ----------
    point : (row, col) or None
        The pixel; None clears the choice.
    more : bool
        Whether the cells chosen before stay chosen.
    """

    point: tuple[int, int] | None
    more: bool


Read = Callable[[dict[str, Any]], Region | Edit | Pick]


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
    """Show a picture and let the user choose a rectangle on it.

    The page owns the box: it keeps the result and passes it in the next run.

    Parameters
    ----------
    rgb : (h, w, 3) uint8 array
        The whole image, possibly shrunk.
    box : (row0, col0, row1, col1)
        The current region in px of the image, ends excluded.
    key : str
        Key of the widget, which also uses ``key + "-edit"`` and ``key + "-seen"`` in the session
        state.
    alt : str
        Description of the picture, for those who cannot see it.
    scale : float
        Pixels of the picture per pixel of the image: 0.5 for a picture of half the height.
    shape : (H, W), optional
        Size of the image in px, if h / scale and w / scale do not give it exactly.
    pixel_size : float or (float, float), optional
        Micrometres per pixel of the image, or (height, width) of a pixel, for a scale bar along the
        width.

    Returns
    -------
    (row0, col0, row1, col1)
        Inside the image; each side is at least 64 px or as long as the image.

    Raises
    ------
    ValueError
        If the picture is not (h, w, 3) uint8, or the scale is not above 0.
    """
    check_picture(rgb, "rgb")
    if not scale > 0:
        raise ValueError(f"scale must be above 0, got {scale}")
    rows, cols = shape or (round(rgb.shape[0] / scale), round(rgb.shape[1] / scale))
    box = fit_region(st.session_state.pop(f"{key}-edit", box), shape=(rows, cols))
    data = {"mode": "region", "box": list(box), "minSide": MIN_SIDE}
    _mount(rgb, data, key, _read_box, alt=alt, shape=(rows, cols), pixel_size=pixel_size)
    return box


def marker_editor(
    rgb: Rgb,
    points: npt.ArrayLike,
    *,
    key: str,
    alt: str,
    selected: int | None = None,
    place: str | None = None,
    pixel_size: PixelSize | None = None,
) -> Edit | None:
    """Show markers on a picture and let the user select, add, remove and move them.

    The page owns the points. It applies the edit at once, before any other Streamlit call, and
    calls ``st.rerun()``: add at the end, remove by index, move in place. Each edit is returned
    exactly once, in the order in which it was made.

    Parameters
    ----------
    rgb : (H, W, 3) uint8 array
    points : (N, 2) int array
        (row, col) of the markers in px of the picture.
    key : str
        Key of the widget, which also uses ``key + "-edit"``, ``key + "-seen"`` and
        ``key + "-applied"`` in the session state.
    alt : str
        Description of the picture, for those who cannot see it.
    selected : int, optional
        Index of the marker that is highlighted.
    place : str, optional
        As for `linked_panes`; by default the key.
    pixel_size : float or (float, float), optional
        As for `region_picker`.

    Returns
    -------
    Edit or None
        None in runs of the page that no edit caused.

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
    # These points do not contain the edit yet, so the browser keeps drawing it itself.
    applied = st.session_state.get(f"{key}-applied") if edit else seen
    st.session_state[f"{key}-applied"] = seen
    data = {
        "mode": "markers",
        "points": points.ravel().tolist(),
        "selected": selected,
        "applied": applied,
    }
    _mount(rgb, data, key, _read_edit, alt=alt, place=place, pixel_size=pixel_size)
    return edit and _locate(edit, points=points.reshape(-1, 2), shape=rgb.shape[:2])


def cell_picker(
    rgb: Rgb,
    outlines: Sequence[npt.NDArray[np.integer[Any]]],
    *,
    key: str,
    alt: str,
    status: str,
    points: Sequence[tuple[int, int]] = (),
    place: str | None = None,
    pixel_size: PixelSize | None = None,
) -> Pick | None:
    """Show cells and let the user choose some by clicking.

    The page owns the choice: it takes the pick and calls ``st.rerun()``.

    Parameters
    ----------
    rgb : (H, W, 3) uint8 array
    outlines : sequence of (N, 2) int arrays
        Closed rings around the chosen cells: (row, col) of pixel corners.
    key : str
        Key of the widget, which also uses ``key + "-edit"`` and ``key + "-seen"`` in the session
        state.
    alt : str
        Description of the picture, for those who cannot see it.
    status : str
        The chosen cells, in words.
    points : sequence of (row, col)
        The points that split a cell; with them a click moves one of the points.
    place : str, optional
        As for `linked_panes`; by default the key.
    pixel_size : float or (float, float), optional
        As for `region_picker`.

    Returns
    -------
    Pick or None
        None in runs of the page that no click caused.

    Raises
    ------
    ValueError
        If the picture is not (H, W, 3) uint8.
    """
    check_picture(rgb, "rgb")
    pick = st.session_state.pop(f"{key}-edit", None)
    data = {
        "mode": "cells",
        "outlines": [ring.ravel().tolist() for ring in outlines],
        "status": status,
        "points": [[int(row), int(col)] for row, col in points],
    }
    _mount(rgb, data, key, _read_pick, alt=alt, place=place, pixel_size=pixel_size)
    return pick if pick is None or _inside(pick.point, rgb.shape[:2]) else None


def _mount(rgb: Rgb, data: dict[str, Any], key: str, read: Read, **more: Any) -> None:
    """Put the picture with its tool on the page, and say which edits have arrived."""
    seen = st.session_state.get(f"{key}-seen")
    data = {"seen": seen, "applied": seen, **data}
    on_edit = partial(_receive, key, read)
    mount({"": rgb}, data, key=key, on_edit=on_edit, **{"shape": rgb.shape[:2], **more})


def _receive(key: str, read: Read) -> None:
    """Store what the browser sent where the widget looks for it; ignore repetitions."""
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


def fit_region(box: Region, *, shape: tuple[int, int]) -> Region:
    """Return a region as `region_picker` allows it: moved into the image, and not too small."""
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
    """Return whether a point, if there is one, is a pixel of the picture."""
    return point is None or all(0 <= p < n for p, n in zip(point, shape, strict=True))


def _locate(edit: Edit, *, points: npt.NDArray[np.int64], shape: tuple[int, ...]) -> Edit | None:
    """Return the edit with its marker's current index; None if marker or point do not exist."""
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
