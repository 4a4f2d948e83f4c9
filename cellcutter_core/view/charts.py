"""Parts that all charts share: axes, frame, and shaded ranges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cellcutter_core.view.figure_style import GREY, MARGIN, SHADE, TITLE_HEIGHT, axis, styled

PANEL_HEIGHT = 210
AXIS: Mapping[str, Any] = {"fixedrange": True, "zeroline": False, "title_standoff": 6}


def charted(figure: Any, *, height: float, legend: bool = False) -> Any:
    """Apply the common look, with room for ticks, a title and optionally a legend."""
    above = TITLE_HEIGHT if legend else 0
    styled(figure, height=height + TITLE_HEIGHT + 48 + above, legend=legend)
    margin = {"t": TITLE_HEIGHT + above + MARGIN, "l": 52, "r": 2 * MARGIN, "b": 48}
    figure.update_layout(hovermode="x unified" if legend else "x", dragmode=False, margin=margin)
    return figure


def shade(span: tuple[float, float], *, panel: int, edges: bool = False) -> dict[str, Any]:
    """Return a grey band over the full height of a panel."""
    return {
        "type": "rect",
        "xref": axis("x", panel),
        "yref": axis("y", panel) + " domain",
        "x0": span[0],
        "x1": span[1],
        "y0": 0,
        "y1": 1,
        "layer": "below",
        "fillcolor": SHADE,
        "line": {"color": GREY, "width": 1.5, "dash": "dot"} if edges else {"width": 0},
    }
