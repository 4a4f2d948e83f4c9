"""Histograms of pixels or cells."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from cellcutter_core.view.charts import AXIS, PANEL_HEIGHT, charted, shade
from cellcutter_core.view.figure_style import line_style

MOST_BARS = 256
"""The largest number of bars in a histogram."""

CELL_BARS = 40
"""The same for a histogram of cells, of which there are hundreds."""


def histogram(
    channel: npt.NDArray[Any],
    window: tuple[float, float] | None = None,
    *,
    name: str,
    counted: str = "pixels",
    most_bars: int = MOST_BARS,
    log: bool = True,
) -> go.Figure:
    """Draw a histogram of the intensities of a channel, or of other values.

    Parameters
    ----------
    channel : array
        Intensities of shape (H, W), or other values in any shape; integers or finite floats.
    window : (float, float), optional
        Intensities that are displayed as black and as white; the range between is shaded.
    name : str
        Name of the channel.
    counted : str
        What is counted, such as "cells".
    most_bars : int
        The largest number of bars; there are fewer for few different values.
    log : bool
        Whether counts are on a logarithmic scale.

    Returns
    -------
    go.Figure
        To be shown with `STILL_CONFIG`. A bar of integers spans a whole number of values, so that
        no bar is empty just because no integer falls into it.

    Raises
    ------
    ValueError
        If the channel has no pixels, or pixels that are not finite.
    """
    edges, counts = counted_in_bars(channel, name=name, most_bars=most_bars)
    middles = (edges[1:] + edges[:-1]) / 2
    # One outline, because a browser takes ten times as long for hundreds of bars. The last step
    # ends at the last edge. On a logarithmic axis an empty bar ends below the axis, as 0 is not on
    # it.
    last = [*range(len(counts)), len(counts) - 1]
    figure = go.Figure(
        go.Scatter(
            x=edges.tolist(),
            y=np.maximum(counts, 0.1 if log else 0)[last].tolist(),
            customdata=np.stack([middles, counts], axis=1)[last].tolist(),
            mode="lines",
            line={**line_style(0, markers=False)["line"], "width": 1, "shape": "hv"},
            fill="tozeroy",
            hovertemplate="%{customdata[0]:.5g}: %{customdata[1]:,} " + counted + "<extra></extra>",
        )
    )
    if window is not None:
        figure.update_layout(shapes=[shade(window, panel=1, edges=True)])
    figure.update_layout(
        xaxis={**AXIS, "title_text": name, "range": [float(edges[0]), float(edges[-1])]},
        yaxis={**AXIS, "title_text": counted.capitalize(), **_counts(int(counts.max()), log)},
    )
    return charted(figure, height=PANEL_HEIGHT - 60)


def counted_in_bars(
    channel: npt.NDArray[Any], *, name: str, most_bars: int = MOST_BARS
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """Compute the bars of a histogram: their edges, and the number of values in each.

    Parameters
    ----------
    channel : array
        Integers or finite floats, in any shape.
    name : str
        Name of the channel.
    most_bars : int
        The largest number of bars. A bar of integers spans a whole number of values, so there may
        be fewer.

    Returns
    -------
    edges : (N + 1,) float64
    counts : (N,) int

    Raises
    ------
    ValueError
        If the channel has no pixels, or pixels that are not finite.
    """
    pixels = np.asarray(channel)
    if pixels.size == 0 or not np.isfinite(pixels).all():
        raise ValueError(
            f"channel {name} has {'no pixels' if pixels.size == 0 else 'infinite or NaN pixels'}"
            ", but a histogram counts finite intensities; replace or crop them"
        )
    edges = _edges(pixels, most_bars)
    return edges, np.histogram(pixels, edges)[0]


def log_span(most: int) -> tuple[float, float]:
    """Return the range of a logarithmic axis of counts up to `most`, as decimal logarithms.

    It begins at 0.5, so that a bar with the count 1 can be seen.
    """
    return math.log10(0.5), math.log10(2 * most)


def _counts(most: int, log: bool) -> dict[str, Any]:
    if not log:
        return {"range": [0, 1.05 * most]}
    return {"type": "log", "dtick": 1, "exponentformat": "power", "range": list(log_span(most))}


def _edges(pixels: npt.NDArray[Any], most: int) -> npt.NDArray[np.float64]:
    low, high = float(pixels.min()), float(pixels.max())
    if np.issubdtype(pixels.dtype, np.integer):
        width = math.ceil((high - low + 1) / most)
        return np.asarray(low - 0.5 + width * np.arange(math.ceil((high - low + 1) / width) + 1))
    if high == low:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, most + 1)
