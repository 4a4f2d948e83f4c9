"""Download the results, in the formats that other programs read."""

from __future__ import annotations

from functools import partial

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from cellcutter_core.export import FORMATS, IMAGE_FORMATS, content, file_name
from cellcutter_core.runs.store import Run
from pages.parts.results.measurements import Measured

COLUMNS = 3

# The formats that are also offered for the kept cells alone.
OF_KEPT = ("table", "labels", "rois", "geojson")


def downloads(run: Run, number: int, cells: Measured, kept: NDArray[np.bool_]) -> None:
    """Show a button for each format; a click makes the file."""
    st.subheader("Download", anchor=False)
    if not kept.all():
        only_kept(run, number, cells, kept)
    for start in range(0, len(FORMATS), COLUMNS):
        formats = list(FORMATS.values())[start : start + COLUMNS]
        for column, one in zip(st.columns(COLUMNS), formats, strict=False):
            with column, st.container(border=True, height="stretch"):
                # Only the network of the last epoch is stored.
                lost = one.name == "model" and number != run.epochs[-1]
                st.download_button(
                    one.title,
                    partial(content, run, one.name, number),
                    file_name(run, one.name, number),
                    icon=":material/download:",
                    type="primary" if one.name == "all" else "secondary",
                    on_click="ignore",
                    disabled=lost,
                    key=f"results_download_{one.name}",
                    width="stretch",
                )
                st.caption(
                    "Only the network of the last epoch is stored."
                    if lost
                    else f"{one.about[0].upper()}{one.about[1:]}. *{one.opens_with}*"
                )


def only_kept(run: Run, number: int, cells: Measured, kept: NDArray[np.bool_]) -> None:
    """Offer files that hold only the cells that the filters keep."""
    name = f"{run.path.name}-epoch{number}-kept"
    ids = cells.table["id"][kept]
    n = int(kept.sum())
    st.caption(f"The files below hold all {len(kept)} cells. Files with only the {n} kept cells:")
    with st.container(horizontal=True):
        for format in OF_KEPT:
            one = IMAGE_FORMATS[format]
            st.download_button(
                f"{one.title} ({n})",
                # It runs outside the visitor's session, so it cannot use the session's caches.
                partial(content, run, format, number, cells=ids),
                f"{name}-{one.file}",
                icon=":material/filter_alt:",
                on_click="ignore",
                disabled=not kept.any(),
                key=f"results_kept_{format}",
            )
