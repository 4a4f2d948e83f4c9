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

# The formats that are also offered for only the cells that pass the filters.
OF_KEPT = ("table", "labels", "rois", "geojson")


def downloads(run: Run, epoch: int, cells: Measured, kept: NDArray[np.bool_]) -> None:
    """Show a button for each format; a click makes the file."""
    st.subheader("Download", anchor=False)
    if not kept.all():
        only_kept(run, epoch, cells, kept)
        st.caption(f"All {len(kept)} cells:")
    for start in range(0, len(FORMATS), COLUMNS):
        formats = list(FORMATS.values())[start : start + COLUMNS]
        for column, fmt in zip(st.columns(COLUMNS), formats, strict=False):
            with column, st.container(border=True, height="stretch"):
                unavailable = fmt.name == "model" and epoch != run.epochs[-1]
                st.download_button(
                    fmt.title,
                    partial(content, run, fmt.name, epoch),
                    file_name(run, fmt.name, epoch),
                    icon=":material/download:",
                    type="primary" if fmt.name == "all" else "secondary",
                    on_click="ignore",
                    disabled=unavailable,
                    key=f"results_download_{fmt.name}",
                    width="stretch",
                )
                st.caption(
                    "Only the network of the last epoch is stored."
                    if unavailable
                    else f"{fmt.about[0].upper()}{fmt.about[1:]}. *{fmt.opens_with}*"
                )


def only_kept(run: Run, epoch: int, cells: Measured, kept: NDArray[np.bool_]) -> None:
    """Offer files that hold only the cells that pass the filters."""
    ids = cells.table["id"][kept]
    n = int(kept.sum())
    st.caption(f"Only the {n} cells that pass the filters:")
    with st.container(horizontal=True):
        for name in OF_KEPT:
            st.download_button(
                f"{IMAGE_FORMATS[name].title} ({n})",
                # It runs outside the visitor's session, so it cannot use the session's caches.
                partial(content, run, name, epoch, cells=ids),
                file_name(run, name, epoch, kept=True),
                icon=":material/filter_alt:",
                on_click="ignore",
                disabled=not kept.any(),
                key=f"results_kept_{name}",
            )
