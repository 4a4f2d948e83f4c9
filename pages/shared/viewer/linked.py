"""Pictures of the same pixels side by side, whose zoom stays while the pictures change.

For Streamlit, a Plotly chart with other contents is a new chart: it is removed and drawn again, and
its zoom is lost. This widget stays, so a slider over epochs shows a film of one place.
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
    # In a list, because for a dict Streamlit loads pandas to look for data frames in it.
    _viewer(key=key, data=[data])


def _source(picture: Rgb) -> str:
    # Streamlit hashes only a sample of a large array, and would confuse similar pictures.
    picture = np.ascontiguousarray(picture)
    shape = np.array(picture.shape).tobytes()
    return _encoded(hashlib.blake2b(picture, digest_size=16, key=shape).hexdigest(), picture)


@st.cache_data(max_entries=24, scope="session", show_spinner=False)
def _encoded(digest: str, _picture: Rgb) -> str:
    del digest
    image = Image.fromarray(_picture)
    image.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.BOX)
    return data_uri(image)
