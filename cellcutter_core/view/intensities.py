"""The histogram of a channel in plain HTML, where a Plotly chart would be too slow.

A browser draws it in a millisecond. The first Plotly chart takes a second or two, and each further
one a tenth of a second.
"""

from __future__ import annotations

import html

import numpy as np
import numpy.typing as npt

from cellcutter_core.view.figure_style import BLUE, FONT_SIZE, GREY, SHADE, css
from cellcutter_core.view.histogram import log_span

HEIGHT = 110
"""Height of the highest bar in pixels."""

_EXPONENTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


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
        What `histogram.counted_in_bars` returns.
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
    low, high = log_span(int(counts.max()))
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
