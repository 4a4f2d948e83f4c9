"""The frame of every picture that can be touched: panes, zoom, scale bar, legend; see `frame.js`.

For Streamlit, a Plotly chart with other contents is a new chart: it is removed and drawn again, and
its zoom is lost. This widget stays, so a slider over epochs shows a film of one place. The module
`picture` has the tools: region, markers and cells.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from PIL import Image

from cellcutter_core.images.pixel_size import PixelSize, height_and_width
from cellcutter_core.view.figure_style import LARGEST_SIDE, check_pictures, css
from cellcutter_core.view.render import Color, Rgb
from pages.shared.viewer.views import ZOOMS

_HTML = """
<div class="viewer" role="group">
  <div class="bar">
    <div class="group tools" role="group" aria-label="Tool" hidden>
      <button type="button" data-tool="select">Select</button>
      <button type="button" data-tool="edit">Edit</button>
    </div>
    <div class="legend"></div>
    <div class="group zoom" role="group" aria-label="Zoom">
      <button type="button" data-zoom="out" aria-label="Zoom out" title="Zoom out">−</button>
      <button type="button" data-zoom="reset" class="level" title="Show all"></button>
      <button type="button" data-zoom="in" aria-label="Zoom in" title="Zoom in">+</button>
    </div>
  </div>
  <div class="panes"></div>
  <div class="status" role="status"></div>
  <p class="hints" id="hints"></p>
</div>
"""
_HERE = Path(__file__).parent
# One module: the files use what is at the top level of the first.
_JS = "\n".join(
    (_HERE / f"{name}.js").read_text("utf-8") for name in ("frame", "region", "markers", "cells")
)
_CSS = (_HERE / "viewer.css").read_text("utf-8")
_viewer = st.components.v2.component("cellcutter_viewer", html=_HTML, css=_CSS, js=_JS)
# The pixels are in separate elements, because Streamlit does not send an unchanged one again.
_pixels = st.components.v2.component("cellcutter_pixels", js=_JS)


def linked_panes(
    pictures: Mapping[str, Rgb],
    *,
    n_columns: int,
    key: str,
    place: str,
    alt: str,
    legend: Mapping[str, Color] | None = None,
    pixel_size: PixelSize | None = None,
) -> None:
    """Show pictures side by side; zooming or moving one applies to all.

    Parameters
    ----------
    pictures : mapping of str to (H, W, 3) uint8 array
        Title and picture, in the order of reading. All of one size; shrunk above 1024 pixels.
    n_columns : int
        Panes in a row if there is room for them; fewer on a narrow page.
    key : str
        Key of the widget.
    place : str
        Identifies what is shown, such as the id of a run: the zoom is kept as long as this is the
        same, also on another page.
    alt : str
        Description of the pictures, for those who cannot see them.
    legend : mapping of str to colour, optional
        Meaning of colours in the pictures; red, green and blue from 0 to 255.
    pixel_size : float or (float, float), optional
        Micrometres per pixel of the pictures, or (height, width) of a pixel, for a scale bar in
        the first picture.

    Raises
    ------
    ValueError
        If there is no picture, or sizes differ.
    """
    mount(
        pictures,
        {"mode": "look"},
        key=key,
        alt=alt,
        shape=check_pictures(pictures),
        place=place,
        n_columns=n_columns,
        legend=legend,
        pixel_size=pixel_size,
        shrink=True,
    )


def mount(
    pictures: Mapping[str, Rgb],
    data: Mapping[str, Any],
    *,
    key: str,
    alt: str,
    shape: tuple[int, int],
    place: str | None = None,
    n_columns: int = 1,
    legend: Mapping[str, Color] | None = None,
    pixel_size: PixelSize | None = None,
    shrink: bool = False,
    on_edit: Callable[[], None] | None = None,
) -> None:
    """Put the widget on the page. Parameters that are not here are as for `linked_panes`.

    Parameters
    ----------
    data : mapping
        "mode", the name of the tool, and what else this tool needs.
    shape : (H, W)
        Size of the image in px; the pictures may be smaller.
    place : str, optional
        By default the key.
    shrink : bool
        Whether to send large pictures at a reduced size.
    on_edit : callable, optional
        Called when a person has used the tool.
    """
    with st.container(gap=None):  # Without a gap, because elements with pixels have no height.
        panes = [
            {"title": title, "picture": _send(rgb, key=f"{key}-pixels-{number}", shrink=shrink)}
            for number, (title, rgb) in enumerate(pictures.items())
        ]
        contents = {
            **data,
            "place": place or key,
            "shape": list(shape),
            "alt": alt,
            "columns": min(n_columns, len(panes)),
            "panes": panes,
            "legend": [{"name": name, "color": css(one)} for name, one in (legend or {}).items()],
            "zoom": st.session_state.get(ZOOMS, {}).get(place or key),
            "pixelSize": pixel_size and height_and_width(pixel_size)[1],
        }
        # In a list, because for a dict Streamlit loads pandas to look for data frames in it.
        _viewer(key=key, data=[contents], **({"on_edit_change": on_edit} if on_edit else {}))


def _send(rgb: Rgb, *, key: str, shrink: bool) -> str:
    """Put the pixels of a picture on the page; return the digest that the viewer finds them by."""
    rgb = np.ascontiguousarray(rgb)
    # Streamlit hashes only a sample of a large array, and would confuse similar pictures.
    kind = np.array([*rgb.shape, shrink]).tobytes()
    digest = hashlib.blake2b(rgb, digest_size=16, key=kind).hexdigest()
    _pixels(key=key, data=digest.encode() + _encoded(digest, rgb, shrink))
    return digest


@st.cache_data(max_entries=32, show_spinner=False)
def _encoded(digest: str, _rgb: Rgb, _shrink: bool) -> bytes:
    """Return the picture as lossless WebP: smaller than a PNG in half the time."""
    del digest
    image, file = Image.fromarray(_rgb), io.BytesIO()
    if _shrink:
        image.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.BOX)
    image.save(file, "WEBP", lossless=True, quality=0, method=0)
    return file.getvalue()
