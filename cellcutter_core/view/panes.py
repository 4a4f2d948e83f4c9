"""Pictures as figures: linked panes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from cellcutter_core.view.look import (
    MARGIN,
    PAGE_WIDTH,
    TITLE_HEIGHT,
    axis,
    check_pictures,
    css,
    panel_title,
    picture_axes,
    picture_trace,
    styled,
)
from cellcutter_core.view.render import Color, Rgb

PANES_CONFIG: Mapping[str, Any] = {
    "scrollZoom": True,
    "displaylogo": False,
    "doubleClick": "reset",
    "modeBarButtonsToRemove": ["autoScale2d", "select2d", "lasso2d", "zoom2d", "pan2d"],
}
"""Plotly configuration of `panes`: the wheel zooms, dragging moves, a double click shows all."""

TALLEST_PANE = 620
"""Largest height of a single pane in pixels, so that controls stay in sight."""

_GAP = 0.01


def panes(
    pictures: Mapping[str, Rgb],
    *,
    n_columns: int,
    height: int | None = None,
    legend: Mapping[str, Color] | None = None,
    uirevision: str = "panes",
) -> go.Figure:
    """Draw pictures of the same pixels side by side; zooming or moving one applies to all.

    Parameters
    ----------
    pictures : mapping of str to (H, W, 3) uint8 array
        Title and picture, in the order of reading. All of one size.
    n_columns : int
        Panes in a row, at least 1.
    height : int, optional
        Height of the whole figure in pixels; by default for square pixels on a page of usual width.
    legend : mapping of str to colour, optional
        Meaning of colours in the pictures, shown above them; red, green and blue from 0 to 255.
    uirevision : str
        The zoom is kept between reruns of the page as long as this stays the same, for example the
        name of the region.

    Returns
    -------
    go.Figure
        To be shown with `PANES_CONFIG`. Axes are in pixels, x is the column and y the row; the
        centre of pixel (0, 0) is at (0, 0).

    Raises
    ------
    ValueError
        If there is no picture, sizes differ, or `n_columns` is less than 1.
    """
    rows, cols = check_pictures(pictures)
    if n_columns < 1:
        raise ValueError(f"n_columns is {n_columns}, but a row has at least one pane")
    n_columns = min(n_columns, len(pictures))
    n_rows = -(-len(pictures) // n_columns)
    above = TITLE_HEIGHT if legend else 0
    if height is None:
        pane = min(PAGE_WIDTH * (1 / n_columns - _GAP) * rows / cols, TALLEST_PANE)
        height = round(n_rows * (pane + TITLE_HEIGHT) + above + 2 * MARGIN)
    plot = max(1, height - TITLE_HEIGHT - above - 2 * MARGIN)
    figure = go.Figure(
        [picture_trace(picture, panel=i) for i, picture in enumerate(pictures.values(), start=1)],
        _pane_layout(
            (rows, cols), list(pictures), (n_rows, n_columns), gap=(TITLE_HEIGHT / plot, _GAP)
        ),
    )
    for name, color in (legend or {}).items():
        figure.add_trace(_legend_entry(name, color))
    styled(figure, height=height, legend=bool(legend))
    figure.update_layout(
        dragmode="pan",
        hovermode=False,
        uirevision=uirevision,
        margin_t=TITLE_HEIGHT + above + MARGIN,
    )
    return figure


def _pane_layout(
    shape: tuple[int, int],
    titles: Sequence[str],
    grid: tuple[int, int],
    *,
    gap: tuple[float, float],
) -> dict[str, Any]:
    """Return the axes of a grid of panes, linked to the first; gaps are shares of the figure."""
    n_rows, n_columns = grid
    high = max((1 - gap[0] * (n_rows - 1)) / n_rows, 1e-3)
    wide = (1 - gap[1] * (n_columns - 1)) / n_columns
    x, y = picture_axes(shape)
    layout: dict[str, Any] = {"annotations": []}
    for i, title in enumerate(titles):
        row, col = divmod(i, n_columns)
        left, top = col * (wide + gap[1]), max(1 - row * (high + gap[0]), high)
        axes = {"anchor": axis("y", i + 1)}, {"anchor": axis("x", i + 1)}
        link: dict[str, Any] = {"matches": "x"} if i else {}
        link_y: dict[str, Any] = {"matches": "y"} if i else {"scaleanchor": "x"}
        layout[f"xaxis{i + 1}"] = {
            **x,
            **axes[0],
            **link,
            "domain": [left, left + wide],
            "minallowed": -0.5,
            "maxallowed": shape[1] - 0.5,
            # On a wide page the panes stay close to each other.
            "constraintoward": _toward_middle(col, n_columns),
        }
        layout[f"yaxis{i + 1}"] = {
            **y,
            **axes[1],
            **link_y,
            "domain": [top - high, top],
            "minallowed": -0.5,
            "maxallowed": shape[0] - 0.5,
        }
        layout["annotations"].append(panel_title(title, i + 1))
    return layout


def _toward_middle(col: int, n_columns: int) -> str:
    side = 2 * col - (n_columns - 1)
    return "center" if side == 0 else "right" if side < 0 else "left"


def _legend_entry(name: str, color: Color) -> Any:
    """Return a trace without points that only adds its line to the legend."""
    return go.Scatter(
        x=[None],
        y=[None],
        name=name,
        mode="markers",
        marker={"color": css(color), "symbol": "square", "size": 12},
        hoverinfo="skip",
    )
