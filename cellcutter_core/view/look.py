"""How every figure looks: colours, lines, sizes, and how a picture travels in one.

Backgrounds are transparent and texts have no colour of their own, so that a figure takes both from
the page it stands on, light or dark. What has a colour is readable on either.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from cellcutter_core.view.coloring import PALETTE
from cellcutter_core.view.render import Color, Rgb

FONT_SIZE = 13
"""Of everything in a figure, in pixels; titles of panes and panels too."""

GREY = "rgb(128, 128, 128)"
"""Guides, baselines and frames."""

SHADE = "rgba(128, 128, 128, 0.18)"
"""Ranges in the background: warm-up epochs, a display window."""

MARGIN = 8
"""Pixels around a figure."""

TITLE_HEIGHT = 26
"""Pixels for the title of a pane or panel."""

PAGE_WIDTH = 1040
"""Pixels that a figure is laid out for; it then fits any page of 700 to 1300 pixels."""

LARGEST_SIDE = 1024
"""Pixels; a larger picture is shrunk before it is sent, and no screen shows the difference."""


STILL_CONFIG: Mapping[str, Any] = {
    "displaylogo": False,
    "modeBarButtons": [["toImage"]],
    "scrollZoom": False,
    "toImageButtonOptions": {"format": "svg", "filename": "cellcutter"},
}
"""How figures without zoom behave: curves, the strip, the gallery, the grid. Under the pointer a
camera shows, which saves the figure as SVG."""


def still_config(name: str) -> Mapping[str, Any]:
    """`STILL_CONFIG` for a figure that is to be saved under a name."""
    return named_config(STILL_CONFIG, name)


def named_config(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A configuration whose camera saves an SVG under a name, without its ending."""
    return {**config, "toImageButtonOptions": {"format": "svg", "filename": name}}


def css(color: Color) -> str:
    """A colour as figures want it.

    Examples
    --------
    >>> css((240, 228, 66))
    'rgb(240, 228, 66)'
    """
    return f"rgb({color[0]}, {color[1]}, {color[2]})"


def _palette_color(index: int) -> Color:
    """A colour of `coloring.PALETTE`."""
    red, green, blue = PALETTE[index].tolist()
    return red, green, blue


CORAL, AQUA, BLUE, AMBER, LAVENDER, GREEN, MAUVE = (_palette_color(i) for i in range(7))
"""The colours of cells, for what is drawn beside them."""

# The colours of the palette that also show on white; beside them dash and marker tell lines apart.
_COLORS = tuple(css(color) for color in (BLUE, CORAL, GREEN, MAUVE, AMBER))
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x")


def line_style(index: int, *, markers: bool) -> dict[str, Any]:
    """Colour, dash and marker of the line at a position of a figure, as arguments of a trace.

    Parameters
    ----------
    index : int
        Position of the line; after the fifth the styles begin anew, in other pairs.
    markers : bool
        Whether to mark the points, which is too much where there are many.
    """
    n = len(_COLORS)
    shift = index + index // n
    return {
        "mode": "lines+markers" if markers else "lines",
        "line": {"color": _COLORS[index % n], "dash": _DASHES[shift % n], "width": 2},
        "marker": {"symbol": _SYMBOLS[shift % n], "size": 6},
    }


def styled(figure: Any, *, height: float, legend: bool = False) -> Any:
    """The figure in the look of all figures."""
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
            # On top: there it stays with the panels, however far down a page lets them reach.
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "bgcolor": "rgba(0, 0, 0, 0)",
            "font": {"size": FONT_SIZE},
            "title": {"text": ""},
        },
    )
    return figure


def axis(letter: str, number: int) -> str:
    """What figures call an axis: x, x2, x3 ..."""
    return letter if number == 1 else f"{letter}{number}"


def panel_title(text: str, number: int) -> dict[str, Any]:
    """An annotation above the left end of the axes of that number, wherever they come to lie."""
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


def picture_trace(picture: Rgb, *, largest: int = LARGEST_SIDE, panel: int = 1) -> Any:
    """An image trace in the pixels of the picture.

    Parameters
    ----------
    picture : (H, W, 3) or (H, W, 4) uint8 array
    largest : int
        A picture with a longer side is shrunk to it; coordinates stay those of the picture.
    panel : int
        Number of its axes.
    """
    rows, cols = picture.shape[:2]
    image = _shrunk(picture, largest)
    dx, dy = cols / image.size[0], rows / image.size[1]
    return go.Image(
        source=data_uri(image),
        xaxis=axis("x", panel),
        yaxis=axis("y", panel),
        x0=(dx - 1) / 2,
        y0=(dy - 1) / 2,
        dx=dx,
        dy=dy,
        # Smooth: where a pane has fewer pixels than the picture, thin outlines would else break.
        zsmooth="fast",
        hoverinfo="skip",
    )


def data_uri(image: Image.Image) -> str:
    """A picture as a WebP within a URI.

    Lossless, it is a quarter smaller than PNG on micrographs and takes half of its time.
    """
    return _webp(image, lossless=True, quality=0, method=0, exact=True)


def illustration(picture: Rgb, *, largest: int) -> str:
    """A picture to look at, not to measure in: shrunk, a tenth of the bytes, hardly different.

    Parameters
    ----------
    picture : (H, W, 3) uint8 array
    largest : int
        Pixels of the longer side; a larger picture is shrunk to it.

    Returns
    -------
    str
        A URI that holds it as a WebP.
    """
    return _webp(_shrunk(picture, largest), quality=90, method=1)


def _shrunk(picture: Rgb, largest: int) -> Image.Image:
    # A view that is not contiguous, such as a region, is copied here and nowhere else.
    image = Image.fromarray(np.ascontiguousarray(picture))
    cols, rows = image.size
    factor = min(1.0, largest / max(rows, cols))
    small = (max(1, round(cols * factor)), max(1, round(rows * factor)))
    return image.resize(small, Image.Resampling.BOX) if factor < 1 else image


def _webp(image: Image.Image, **options: Any) -> str:
    stream = io.BytesIO()
    image.save(stream, "WEBP", **options)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def picture_axes(shape: tuple[int, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two axes of a picture: no ticks, row 0 on top, nothing beyond its edge."""
    rows, cols = shape[:2]
    bare = {"visible": False, "showgrid": False, "zeroline": False, "constrain": "domain"}
    x = {**bare, "range": [-0.5, cols - 0.5]}
    y = {**bare, "range": [rows - 0.5, -0.5], "constraintoward": "top"}
    return x, y


def check_pictures(pictures: Mapping[str, Rgb]) -> tuple[int, int]:
    """(H, W) of the pictures, which is the same for all.

    Raises
    ------
    ValueError
        If there is none, or one is not uint8 (H, W, 3) or of another size than the first.
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
    """Say why an array is no picture."""
    array = np.asarray(picture)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
        raise ValueError(
            f"{name} is {array.dtype} of shape {array.shape}, but a picture is uint8 of shape "
            "(H, W, 3); make it with view.render"
        )


def _size(picture: Rgb) -> str:
    return f"{picture.shape[0]} × {picture.shape[1]}"
