"""Everything to take home, in the formats of the programs that go on with it."""

from __future__ import annotations

from functools import partial

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from cellcutter_core.export import FORMATS, IMAGE_FORMATS, content, file_name
from cellcutter_core.runs.store import Run
from pages.parts.results.measured import Measured

COLUMNS = 3

# In which one goes on with some of the cells.
OF_KEPT = ("table", "labels", "rois", "geojson")


def downloads(run: Run, number: int, cells: Measured, kept: NDArray[np.bool_]) -> None:
    """A button for each format; the file is made when it is clicked."""
    st.subheader("Download", anchor=False)
    if not kept.all():
        only_kept(run, number, cells, kept)
    for start in range(0, len(FORMATS), COLUMNS):
        formats = list(FORMATS.values())[start : start + COLUMNS]
        for column, one in zip(st.columns(COLUMNS), formats, strict=False):
            with column, st.container(border=True, height="stretch"):
                # The network of an earlier epoch was not kept.
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
                    "Kept of the last epoch alone."
                    if lost
                    else f"{one.about[0].upper()}{one.about[1:]}. *{one.opens_with}*"
                )


def only_kept(run: Run, number: int, cells: Measured, kept: NDArray[np.bool_]) -> None:
    """What programs go on with, without what the filters leave out."""
    name = f"{run.path.name}-epoch{number}-kept"
    ids = cells.table["id"][kept]
    n = int(kept.sum())
    st.caption(f"The files below hold all {len(kept)} cells. The {n} that are not left out, alone:")
    with st.container(horizontal=True):
        for format in OF_KEPT:
            one = IMAGE_FORMATS[format]
            st.download_button(
                f"{one.title} ({n})",
                # Made outside of the visitor's session, whose caches it cannot ask.
                partial(content, run, format, number, cells=ids),
                f"{name}-{one.file}",
                icon=":material/filter_alt:",
                on_click="ignore",
                disabled=not kept.any(),
                key=f"results_kept_{format}",
            )
