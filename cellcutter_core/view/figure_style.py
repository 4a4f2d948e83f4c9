"""The look of all figures: colours, lines, axes and sizes, and pictures as data addresses.

Backgrounds are transparent and texts have no colour, so a figure takes both from its page, light or
dark. All colours that are used are readable on both.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from cellcutter_core.view.coloring import PALETTE
from cellcutter_core.view.render import Color, Rgb, overlay

FONT_SIZE = 13
"""Size of all texts in a figure in pixels, also of the titles of panels."""

GREY = "rgb(128, 128, 128)"
"""Colour of guides, baselines and frames."""

SHADE = "rgba(128, 128, 128, 0.18)"
"""Colour of ranges in the background: warm-up epochs, a display window."""

MARGIN = 8
"""Margin around a figure in pixels."""

TITLE_HEIGHT = 26
"""Height of the title of a panel in pixels."""

PAGE_WIDTH = 1040
"""Width in pixels that a figure is laid out for; it then fits any page of 700 to 1300 pixels."""

LARGEST_SIDE = 1024
"""In pixels. A larger picture is shrunk before it is sent; no screen shows the difference."""

PANEL_HEIGHT = 210
"""Usual height of the axes of a chart in pixels."""

AXIS: Mapping[str, Any] = {"fixedrange": True, "zeroline": False, "title_standoff": 6}
"""What all axes of charts have in common."""

_THUMBNAIL_SIDE = 256
# Of a large image only every n-th pixel is drawn; so many pixels a side are enough for a thumbnail.
_THUMBNAIL_DRAWN = 512

STILL_CONFIG: Mapping[str, Any] = {
    "displaylogo": False,
    "modeBarButtons": [["toImage"]],
    "scrollZoom": False,
    "toImageButtonOptions": {"format": "svg", "filename": "cellcutter"},
}
"""Plotly configuration of figures without zoom: curves, the strip, the gallery, the grid. Under the
pointer they show a camera button, which saves the figure as SVG."""


def still_config(name: str) -> dict[str, Any]:
    """Return `STILL_CONFIG` for a figure that is saved under this name (no extension)."""
    return {**STILL_CONFIG, "toImageButtonOptions": {"format": "svg", "filename": name}}


def css(color: Color) -> str:
    """Return a colour as a CSS string.

    Examples
    --------
    >>> css((240, 228, 66))
    'rgb(240, 228, 66)'
    """
    return f"rgb({color[0]}, {color[1]}, {color[2]})"


def _palette_color(index: int) -> Color:
    """Return a colour of `coloring.PALETTE`."""
    red, green, blue = PALETTE[index].tolist()
    return red, green, blue


CORAL, AQUA, BLUE, AMBER, LAVENDER, GREEN, MAUVE = (_palette_color(i) for i in range(7))
"""Colours of cells that are also used for other parts of figures."""

# Colours of the palette that also show on white. Lines also differ in dash and marker.
_COLORS = tuple(css(color) for color in (BLUE, CORAL, GREEN, MAUVE, AMBER))
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x")


def line_style(index: int, *, markers: bool) -> dict[str, Any]:
    """Return colour, dash and marker of a line of a figure, as arguments of a trace.

    Parameters
    ----------
    index : int
        Position of the line. After the fifth, colours repeat with other dashes.
    markers : bool
        Whether to mark the points; do not mark many points.
    """
    n = len(_COLORS)
    shift = index + index // n
    return {
        "mode": "lines+markers" if markers else "lines",
        "line": {"color": _COLORS[index % n], "dash": _DASHES[shift % n], "width": 2},
        "marker": {"symbol": _SYMBOLS[shift % n], "size": 6},
    }


def styled(figure: Any, *, height: float, legend: bool = False) -> Any:
    """Apply the common look to a figure."""
    figure.update_layout(
        height=round(height),
        margin={"l": MARGIN, "r": MARGIN, "t": MARGIN, "b": MARGIN},
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        font={"size": FONT_SIZE},
        modebar={"bgcolor": "rgba(0, 0, 0, 0)"},
        showlegend=legend,
        legend={
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            # Above the panels: there it stays next to them, whatever height the page gives them.
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "bgcolor": "rgba(0, 0, 0, 0)",
            "font": {"size": FONT_SIZE},
            "title": {"text": ""},
        },
    )
    return figure


def charted(figure: Any, *, height: float, legend: bool = False) -> Any:
    """Apply the look of charts, with room for ticks, a title and optionally a legend."""
    above = TITLE_HEIGHT if legend else 0
    styled(figure, height=height + TITLE_HEIGHT + 48 + above, legend=legend)
    margin = {"t": TITLE_HEIGHT + above + MARGIN, "l": 52, "r": 2 * MARGIN, "b": 48}
    figure.update_layout(hovermode="x unified" if legend else "x", dragmode=False, margin=margin)
    return figure


def axis(letter: str, number: int) -> str:
    """Return Plotly's name of an axis: x, x2, x3 ..."""
    return letter if number == 1 else f"{letter}{number}"


def panel_title(text: str, number: int) -> dict[str, Any]:
    """Return an annotation above the left end of the axes of that number."""
    return {
        "text": text,
        "x": 0,
        "y": 1,
        "xref": axis("x", number) + " domain",
        "yref": axis("y", number) + " domain",
        "xanchor": "left",
        "yanchor": "bottom",
        "showarrow": False,
        "font": {"size": FONT_SIZE},
    }


def data_uri(image: Image.Image) -> str:
    """Return a picture as a data URI with a lossless WebP.

    On micrographs it is a quarter smaller than a PNG and takes half the time.
    """
    return _address(image, "webp", lossless=True, quality=0, method=0, exact=True)


def illustration(picture: Rgb, *, largest: int) -> str:
    """Return a shrunk, lossy picture with a tenth of the bytes, for looking and not for measuring.

    Parameters
    ----------
    picture : (H, W, 3) uint8 array
    largest : int
        Longer side in pixels; a larger picture is shrunk to it.

    Returns
    -------
    str
        A data URI that holds it as a WebP.
    """
    # An array that is not contiguous, such as a view of a region, is copied only here.
    small = Image.fromarray(np.ascontiguousarray(picture))
    small.thumbnail((largest, largest), Image.Resampling.BOX)
    return _address(small, "webp", quality=90, method=1)


def thumbnail(
    picture: Rgb, labels: npt.NDArray[np.int32] | None, *, colors: npt.ArrayLike | None = None
) -> str:
    """Draw an image with its cells, small.

    Parameters
    ----------
    picture : (H, W, 3) uint8 array
        For example from `composite`.
    labels : (H, W) int32 or None
        Its cells; None shows the image alone.
    colors : (N,) array of integers, optional
        The colour of each cell, see `label_colors`.

    Returns
    -------
    str
        A JPEG as a data address, for `<img>` and the image columns of tables; about 10 kB.
    """
    step = max(1, min(picture.shape[:2]) // _THUMBNAIL_DRAWN)
    shown = np.ascontiguousarray(picture[::step, ::step])
    if labels is not None:
        cells = np.ascontiguousarray(labels[::step, ::step])
        shown = overlay(shown, cells, colors=colors, outlines=False, alpha=0.6)
    small = Image.fromarray(shown)
    small.thumbnail((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE))
    return _address(small, "jpeg", quality=80)


def _address(image: Image.Image, kind: str, **options: Any) -> str:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"


def check_pictures(pictures: Mapping[str, Rgb]) -> tuple[int, int]:
    """Return the (H, W) of the pictures, which must be the same for all.

    Raises
    ------
    ValueError
        If there is none, one is not uint8 (H, W, 3), or their sizes differ.
    """
    if not pictures:
        raise ValueError("pictures is empty, but a figure shows at least one; pass one by its name")
    first = next(iter(pictures))
    for name, picture in pictures.items():
        check_picture(picture, name)
        if picture.shape != pictures[first].shape:
            raise ValueError(
                f"{name} is {_size(picture)} and {first} {_size(pictures[first])} pixels, but "
                "linked panes show the same pixels; crop both to one region"
            )
    return pictures[first].shape[0], pictures[first].shape[1]


def check_picture(picture: Rgb, name: str = "picture") -> None:
    """Raise a ValueError that says why an array is no picture."""
    array = np.asarray(picture)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
        raise ValueError(
            f"{name} is {array.dtype} of shape {array.shape}, but a picture is uint8 of shape "
            "(H, W, 3); make it with view.render"
        )


def _size(picture: Rgb) -> str:
    return f"{picture.shape[0]} × {picture.shape[1]}"
