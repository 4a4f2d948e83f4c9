"""Many small pictures in one figure: a gallery of crops, a grid of masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from PIL import Image
from skimage.measure import find_contours

from cellcutter_core.view.figure_style import (
    AMBER,
    BLUE,
    FONT_SIZE,
    MARGIN,
    PAGE_WIDTH,
    TITLE_HEIGHT,
    check_picture,
    css,
    data_uri,
    styled,
)
from cellcutter_core.view.render import MASK_COLOR, Rgb, composite

TILE_SIDE = 128
"""Longer side of a tile of `parameter_grid` in pixels."""

ROW = 8
"""Number of crops in a row of `crop_gallery`."""

_EMBEDDING_LEVELS = (0.25, 0.5, 0.75)
# Space for the values and the name of a parameter, in pixels.
_GRID_LABELS = 56


def crop_gallery(
    crops: npt.NDArray[np.floating[Any]],
    embedding: npt.NDArray[np.floating[Any]],
    ids: Sequence[int],
    *,
    others: npt.NDArray[np.floating[Any]] | None = None,
    paths: npt.NDArray[np.floating[Any]] | None = None,
) -> go.Figure:
    """Draw crops with their position embedding, each below the number of its cell.

    Parameters
    ----------
    crops : (N, S, S, C) float array
        The image channels of N crops: cells in grey and a second channel, if there is one, as
        nuclei in blue. All crops share one brightness.
    embedding : (S, S) float array
        In [0, 1]; drawn as dotted contours at 0.25, 0.5 and 0.75.
    ids : sequence of N int
        Cell numbers.
    others : (N, S, S) float array, optional
        1 on the markers of other cells, 0 elsewhere; their outlines are drawn.
    paths : (N, S, S) float array, optional
        Path log-odds of the crop's cell; the outline of their positive part is drawn.

    Returns
    -------
    go.Figure
        To be shown with `STILL_CONFIG`.

    Raises
    ------
    ValueError
        If the shapes do not fit each other, or there is no crop.
    """
    n, side = _check_crops(crops, embedding, ids)
    n_columns = min(ROW, n)
    n_rows = -(-n // n_columns)
    # Room for the number above each crop, in the crop's pixels, so it scales with the crop.
    room, gap = max(2, round(side * 0.17)), max(1, round(side * 0.06))
    corners = np.array(
        [
            (room + (i // n_columns) * (side + room), (i % n_columns) * (side + gap))
            for i in range(n)
        ]
    )
    tall = composite(
        crops.reshape(n * side, side, -1), nucleus=1 if crops.shape[3] > 1 else None, gamma=1
    )
    shape = (n_rows * (side + room), n_columns * (side + gap) - gap)
    # Transparent where there is no crop, so that the page shows through.
    montage = np.zeros((*shape, 4), np.uint8)
    for (row, col), crop in zip(corners, tall.reshape(n, side, side, 3), strict=True):
        montage[row : row + side, col : col + side, :3] = crop
        montage[row : row + side, col : col + side, 3] = 255
    figure = go.Figure(_picture(montage))
    rings = [c for level in _EMBEDDING_LEVELS for c in find_contours(embedding, level)]
    figure.add_trace(
        _contours(
            "position embedding 0.25, 0.5, 0.75",
            [ring[::2] + corner for corner in corners for ring in rings],
            {"color": css(BLUE), "width": 1.5, "dash": "dot"},
        )
    )
    for name, fields, level, style in (
        ("other markers", others, 0.5, {"color": css(BLUE), "width": 1}),
        ("cheapest paths", paths, 0.0, {"color": css(AMBER), "width": 1}),
    ):
        if fields is not None:
            lines = _outlines(name, fields, (n, side, side), level=level, corners=corners)
            figure.add_trace(_contours(name, lines, style, shift=-1))
    figure.add_trace(
        go.Scatter(
            x=corners[:, 1] - 0.5,
            y=corners[:, 0] - 0.5,
            text=[str(number) for number in ids],
            mode="text",
            textposition="top right",
            textfont={"size": FONT_SIZE - 1},
            showlegend=False,
            hoverinfo="skip",
        )
    )
    _still(figure, shape)
    height = min(PAGE_WIDTH * shape[0] / shape[1], 900) + TITLE_HEIGHT + 2 * MARGIN
    return figure.update_layout(height=round(height))


def _check_crops(
    crops: npt.NDArray[Any],
    embedding: npt.NDArray[Any],
    ids: Sequence[int],
) -> tuple[int, int]:
    if crops.ndim != 4 or crops.size == 0 or crops.shape[1] != crops.shape[2]:
        raise ValueError(
            f"crops has shape {crops.shape}, but must be (crops, rows, cols, channels) of square "
            "crops with at least one crop"
        )
    n, side = crops.shape[:2]
    if embedding.shape != (side, side):
        raise ValueError(
            f"embedding has shape {embedding.shape}, but the crops are {side} × {side} pixels"
        )
    if len(ids) != n:
        raise ValueError(f"ids has {len(ids)} numbers for {n} crops; give each crop one")
    return n, side


def _outlines(
    name: str,
    fields: npt.NDArray[np.floating[Any]],
    shape: tuple[int, int, int],
    *,
    level: float,
    corners: npt.NDArray[np.intp],
) -> list[npt.NDArray[Any]]:
    """Return the outlines of each crop's field at a level, in pixels of the gallery plus one."""
    if fields.shape != shape:
        raise ValueError(
            f"{name} has shape {fields.shape}, but must be {shape}, one value for each pixel of "
            "the crops"
        )
    return [
        outline + corner
        for corner, field in zip(corners, fields, strict=True)
        for outline in find_contours(np.pad(field, 1, constant_values=level - 1), level)
    ]


def _contours(
    name: str, lines: Sequence[npt.NDArray[Any]], style: Mapping[str, Any], *, shift: float = 0
) -> Any:
    """Return one trace of many (row, col) lines, with a gap after each."""
    gap = np.full((1, 2), np.nan)
    points = np.concatenate([part for line in lines for part in (line + shift, gap)] or [gap])
    # A tenth of a pixel is fine enough for every screen and keeps the figure small.
    points = np.round(points, 1).astype(np.float32)
    return go.Scatter(
        x=points[:, 1], y=points[:, 0], name=name, mode="lines", line=style, hoverinfo="skip"
    )


def parameter_grid(
    masks: npt.NDArray[np.bool_],
    picture: Rgb,
    row_values: Sequence[float],
    col_values: Sequence[float],
    *,
    names: tuple[str, str],
    current: tuple[float, float] | None,
) -> go.Figure:
    """Draw masks over a range of two parameters at once.

    Parameters
    ----------
    masks : (R, C, h, w) bool array
        True on cells. If h × w is smaller than the picture, the picture is shrunk.
    picture : (H, W, 3) uint8 array
        The image that the masks belong to.
    row_values, col_values : sequence of R and of C float
        Values of the two parameters, which label the rows and columns.
    names : (str, str)
        Names of the parameters of the rows and of the columns.
    current : (float, float) or None
        The current row and column value; its tile is framed if it is in the grid.

    Returns
    -------
    go.Figure
        To be shown with `STILL_CONFIG`. Its last trace has one invisible point for each tile,
        whose ``customdata`` is [row value, column value]: a click anywhere on a tile selects it.

    Raises
    ------
    ValueError
        If the shapes do not fit each other.
    """
    array = np.asarray(masks)
    if array.dtype != bool or array.shape[:2] != (len(row_values), len(col_values)):
        raise ValueError(
            f"masks is {array.dtype} of shape {array.shape}, but must be bool of shape "
            f"({len(row_values)}, {len(col_values)}, rows, cols), a mask for each pair of values"
        )
    check_picture(picture)
    n_rows, n_cols, h, w = array.shape
    factor = min(1.0, TILE_SIDE / max(h, w))
    height, width = max(1, round(h * factor)), max(1, round(w * factor))
    small = np.asarray(
        Image.fromarray(np.ascontiguousarray(picture)).resize((width, height), Image.Resampling.BOX)
    )
    gap = max(2, round(0.05 * max(height, width)))
    shape = (n_rows * (height + gap) - gap, n_cols * (width + gap) - gap)
    montage = np.zeros((*shape, 4), np.uint8)
    for i in range(n_rows):
        for j in range(n_cols):
            row, col = i * (height + gap), j * (width + gap)
            tile = montage[row : row + height, col : col + width]
            tile[..., :3] = _masked_tile(small, array[i, j])
            tile[..., 3] = 255
    figure = go.Figure(_picture(montage))
    row_at = np.arange(n_rows) * (height + gap) + height / 2 - 0.5
    col_at = np.arange(n_cols) * (width + gap) + width / 2 - 0.5
    figure.add_trace(
        go.Scatter(
            x=np.tile(col_at, n_rows).tolist(),
            y=np.repeat(row_at, n_cols).tolist(),
            customdata=[[float(r), float(c)] for r in row_values for c in col_values],
            text=[f"{share:.0%}" for share in array.mean(axis=(2, 3)).ravel()],
            mode="markers",
            marker={"size": 40, "opacity": 0},
            hovertemplate=(
                f"{names[0]} %{{customdata[0]}}<br>{names[1]} %{{customdata[1]}}<br>"
                "%{text} mask area<extra></extra>"
            ),
        )
    )
    _still(figure, shape)
    label = {"visible": True, "showline": False, "ticks": "", "title_standoff": 6}
    figure.update_layout(
        showlegend=False,
        # A click anywhere on a tile counts, because the nearest point takes it.
        hovermode="closest",
        hoverdistance=-1,
        clickmode="event+select",
        height=round(min(PAGE_WIDTH * shape[0] / shape[1] * 0.6, 560) + _GRID_LABELS + MARGIN),
        margin={"t": _GRID_LABELS, "l": _GRID_LABELS, "b": MARGIN},
        xaxis={**label, "side": "top", "title_text": names[1]},
        yaxis={**label, "title_text": names[0]},
    )
    figure.layout.xaxis.update(tickvals=col_at, ticktext=_texts(col_values))
    figure.layout.yaxis.update(tickvals=row_at, ticktext=_texts(row_values))
    if current is not None:
        _frame_current(figure, (row_values, col_values), current, tile=(height, width), gap=gap)
    return figure


def _masked_tile(picture: Rgb, mask: npt.NDArray[np.bool_]) -> Rgb:
    """Tint the picture in the mask's colour and darken the rest; an outline would fill the tile."""
    rows, cols = picture.shape[:2]
    shrunk = Image.fromarray(mask.astype(np.uint8) * 255).resize((cols, rows), Image.Resampling.BOX)
    share = np.asarray(shrunk, np.float32)[..., None] / 255
    lit = 0.65 * picture + 0.35 * np.array(MASK_COLOR, np.float32)
    return np.asarray(share * lit + (1 - share) * 0.5 * picture + 0.5).astype(np.uint8)


def _texts(values: Sequence[float]) -> list[str]:
    return [f"{value:.3g}" for value in values]


def _frame_current(
    figure: Any,
    values: tuple[Sequence[float], Sequence[float]],
    current: tuple[float, float],
    *,
    tile: tuple[int, int],
    gap: int,
) -> None:
    """Frame the tile of the current values if they are in the grid."""
    found = []
    for grid, value in zip(values, current, strict=True):
        near = np.flatnonzero(np.isclose(np.asarray(grid, float), value))
        if len(near) == 0:
            return
        found.append(int(near[0]))
    row, col = found[0] * (tile[0] + gap), found[1] * (tile[1] + gap)
    edge = gap / 2
    figure.add_shape(
        type="rect",
        x0=col - 0.5 - edge / 2,
        x1=col + tile[1] - 0.5 + edge / 2,
        y0=row - 0.5 - edge / 2,
        y1=row + tile[0] - 0.5 + edge / 2,
        line={"color": css(AMBER), "width": 4},
    )


def _still(figure: Any, shape: tuple[int, int]) -> None:
    """Lay a figure out as one picture without zoom, with the traces over it."""
    rows, cols = shape
    bare = {"visible": False, "showgrid": False, "zeroline": False, "fixedrange": True}
    x = {**bare, "constrain": "domain", "range": [-0.5, cols - 0.5]}
    # Row 0 is on top.
    y = {**bare, "constrain": "domain", "constraintoward": "top", "range": [rows - 0.5, -0.5]}
    styled(figure, height=PAGE_WIDTH, legend=True)
    figure.update_layout(
        xaxis=x,
        yaxis={**y, "scaleanchor": "x"},
        hovermode=False,
        dragmode=False,
        margin_t=MARGIN + TITLE_HEIGHT,
    )


def _picture(picture: Rgb) -> Any:
    """Return an image trace whose coordinates are the pixels of the picture.

    Parameters
    ----------
    picture : (H, W, 3) or (H, W, 4) uint8 array
    """
    # Smoothed: in a panel with fewer pixels than the picture, thin outlines would break.
    source = data_uri(Image.fromarray(np.ascontiguousarray(picture)))
    return go.Image(source=source, zsmooth="fast", hoverinfo="skip")
