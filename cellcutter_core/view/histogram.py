"""Histograms: of values of cells as a chart, of the intensities of a channel in plain HTML.

A browser draws the plain one in a millisecond. The first Plotly chart takes a second or two, and
each further one a tenth of a second.
"""

from __future__ import annotations

import html
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from cellcutter_core.view.figure_style import (
    AXIS,
    BLUE,
    FONT_SIZE,
    GREY,
    PANEL_HEIGHT,
    SHADE,
    charted,
    css,
    line_style,
)

MOST_BARS = 256
"""The largest number of bars in a histogram of pixels."""

CELL_BARS = 40
"""The same for a histogram of cells, of which there are hundreds."""

HEIGHT = 110
"""Height of the highest bar of `intensities` in pixels."""

_EXPONENTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def histogram(values: npt.NDArray[Any], *, name: str) -> go.Figure:
    """Draw a histogram of cells.

    Parameters
    ----------
    values : array
        A value for each cell; integers or finite floats.
    name : str
        What the values are.

    Returns
    -------
    go.Figure
        To be shown with `STILL_CONFIG`. A bar of integers spans a whole number of values, so that
        no bar is empty just because no integer falls into it.

    Raises
    ------
    ValueError
        If there are no values, or some are not finite.
    """
    edges, counts = counted_in_bars(values, name=name, most_bars=CELL_BARS)
    middles = (edges[1:] + edges[:-1]) / 2
    # One outline, because a browser takes ten times as long for many bars. The last step ends at
    # the last edge.
    last = [*range(len(counts)), len(counts) - 1]
    figure = go.Figure(
        go.Scatter(
            x=edges.tolist(),
            y=counts[last].tolist(),
            customdata=np.stack([middles, counts], axis=1)[last].tolist(),
            mode="lines",
            line={**line_style(0, markers=False)["line"], "width": 1, "shape": "hv"},
            fill="tozeroy",
            hovertemplate="%{customdata[0]:.5g}: %{customdata[1]:,} cells<extra></extra>",
        )
    )
    figure.update_layout(
        xaxis={**AXIS, "title_text": name, "range": [float(edges[0]), float(edges[-1])]},
        yaxis={**AXIS, "title_text": "Cells", "range": [0, 1.05 * int(counts.max())]},
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


def _edges(pixels: npt.NDArray[Any], most: int) -> npt.NDArray[np.float64]:
    low, high = float(pixels.min()), float(pixels.max())
    if np.issubdtype(pixels.dtype, np.integer):
        width = math.ceil((high - low + 1) / most)
        return np.asarray(low - 0.5 + width * np.arange(math.ceil((high - low + 1) / width) + 1))
    if high == low:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, most + 1)


def intensities(
    bars: tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]],
    window: tuple[float, float],
    *,
    span: tuple[float, float],
    alt: str,
) -> str:
    """Draw a histogram with a logarithmic scale, as wide as the space it gets.

    Parameters
    ----------
    bars : edges, counts
        What `counted_in_bars` returns.
    window : (float, float)
        Intensities that are displayed as black and as white; the range between is shaded.
    span : (float, float)
        Lowest and highest intensity.
    alt : str
        Description of the histogram, for those who cannot see it.

    Returns
    -------
    str
        HTML without script, style sheet or SVG. A bar shows its count under the pointer.
    """
    edges, counts = bars
    # The scale begins at 0.5, so that a bar with the count 1 can be seen.
    low, high = math.log10(0.5), math.log10(2 * int(counts.max()))
    with np.errstate(divide="ignore"):
        heights = 100 * np.maximum((np.log10(counts) - low) / (high - low), 0)
    places = np.linspace(0, 100, len(counts) + 1)
    outline = ["0 100%"]
    for left, right, height in zip(places[:-1], places[1:], heights, strict=True):
        outline += [f"{x:.2f}% {100 - height:.1f}%" for x in (left, right)]
    decades = "".join(
        _decade(exponent, 100 * (exponent - low) / (high - low))
        for exponent in range(int(high) + 1)
    )
    shown = 100 * (np.clip(window, edges[0], edges[-1]) - edges[0]) / (edges[-1] - edges[0])
    under_pointer = "".join(
        f'<div title="{middle:.5g}: {count:,} pixels" style="flex:1"></div>'
        for middle, count in zip((edges[1:] + edges[:-1]) / 2, counts, strict=True)
    )
    line = f"1.5px dotted {GREY}"
    return (
        f'<div role="img" aria-label="{html.escape(alt)}" style="font-size:{FONT_SIZE - 1}px">'
        f'<div style="position:relative;height:{HEIGHT}px;margin-left:2.6em;'
        f'border-bottom:1px solid {GREY}">{decades}'
        f'<div style="{_OVER_ALL};background:{css(BLUE)};'
        f'clip-path:polygon({",".join(outline)},100% 100%)"></div>'
        f'<div style="position:absolute;top:0;bottom:0;left:{shown[0]:.2f}%;'
        f"right:{100 - shown[1]:.2f}%;background:{SHADE};border-left:{line};"
        f'border-right:{line}"></div>'
        f'<div style="{_OVER_ALL};display:flex">{under_pointer}</div></div>'
        '<div style="display:flex;justify-content:space-between;margin:2px 0 0 2.6em">'
        f"<span>{span[0]:.5g}</span><span>Pixels of each intensity</span>"
        f"<span>{span[1]:.5g}</span></div></div>"
    )


_OVER_ALL = "position:absolute;top:0;bottom:0;left:0;right:0"


def _decade(exponent: int, height: float) -> str:
    """Return a line at a power of ten, with its label."""
    label = f"10{str(exponent).translate(_EXPONENTS)}"
    return (
        f'<div style="position:absolute;left:0;right:0;bottom:{height:.1f}%;'
        f'border-top:1px solid {SHADE}"></div>'
        f'<div style="position:absolute;right:100%;bottom:{height:.1f}%;margin-right:4px;'
        f'line-height:1;transform:translateY(50%)">{label}</div>'
    )
