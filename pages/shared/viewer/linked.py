"""Pictures of the same pixels side by side, whose zoom stays while the pictures change.

A Plotly chart with other contents is a new chart to Streamlit: it is taken off the page and drawn
anew, and its zoom is lost. This widget stays, so a slider over epochs is a film of one place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import streamlit as st
from PIL import Image

from cellcutter_core.view.look import LARGEST_SIDE, check_pictures, css, data_uri
from cellcutter_core.view.render import Color, Rgb

__all__ = ["linked_panes"]

_HTML = """
<div class="viewer linked" role="group">
  <div class="bar">
    <div class="legend"></div>
    <div class="group zoom" role="group" aria-label="Zoom">
      <button type="button" data-zoom="out" aria-label="Zoom out" title="Zoom out">−</button>
      <button type="button" data-zoom="reset" class="level" title="Show all"></button>
      <button type="button" data-zoom="in" aria-label="Zoom in" title="Zoom in">+</button>
    </div>
  </div>
  <div class="panes"></div>
</div>
"""
_HERE = Path(__file__).parent
_viewer = st.components.v2.component(
    "cellcutter_linked",
    html=_HTML,
    css="".join((_HERE / name).read_text("utf-8") for name in ("viewer.css", "linked.css")),
    js=(_HERE / "linked.js").read_text(encoding="utf-8"),
)


def linked_panes(
    pictures: Mapping[str, Rgb],
    *,
    n_columns: int,
    key: str,
    place: str,
    alt: str,
    legend: Mapping[str, Color] | None = None,
) -> None:
    """Show pictures side by side; zooming or moving one does it to all.

    Parameters
    ----------
    pictures : mapping of str to (H, W, 3) uint8 array
        Title and picture, in the order of reading. All of one size; shrunk above 1024 pixels.
    n_columns : int
        Panes in a row where there is room for them; fewer on a narrow page.
    key : str
        Of the widget.
    place : str
        What is looked at, such as the id of a run: the zoom is kept as long as this is the same,
        on another page too.
    alt : str
        What is to be seen, for those who cannot see it.
    legend : mapping of str to colour, optional
        What colours in the pictures mean; red, green and blue from 0 to 255.

    Raises
    ------
    ValueError
        If there is no picture, or sizes differ.
    """
    rows, cols = check_pictures(pictures)
    data = {
        "columns": min(n_columns, len(pictures)),
        "shape": [rows, cols],
        "place": place,
        "alt": alt,
        "panes": [{"title": title, "source": _source(one)} for title, one in pictures.items()],
        "legend": [{"name": name, "color": css(color)} for name, color in (legend or {}).items()],
    }
    # In a list: Streamlit loads pandas to look whether a dict holds data frames.
    _viewer(key=key, data=[data])


def _source(picture: Rgb) -> str:
    # Streamlit samples large arrays when it hashes them and would mix up similar pictures.
    picture = np.ascontiguousarray(picture)
    shape = np.array(picture.shape).tobytes()
    return _encoded(hashlib.blake2b(picture, digest_size=16, key=shape).hexdigest(), picture)


@st.cache_data(max_entries=24, scope="session", show_spinner=False)
def _encoded(digest: str, _picture: Rgb) -> str:
    del digest
    image = Image.fromarray(_picture)
    image.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.BOX)
    return data_uri(image)
