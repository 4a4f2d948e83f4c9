"""Everything to take home, in the formats of the programs that go on with it."""

from __future__ import annotations

from functools import partial

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from cellcutter_core.export import FORMATS, content, file_name, label_file, table_file
from cellcutter_core.runs.store import Run
from pages.shared.measured import Measured

COLUMNS = 3


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
    """Table and label image without what the filters leave out."""
    size = run.description.get("pixel_size")
    name = f"{run.path.name}-epoch{number}-kept"

    def labels() -> bytes:
        inside = np.isin(cells.labels, cells.table["id"][kept])
        return label_file(np.where(inside, cells.labels, 0), pixel_size=size)

    def rows() -> bytes:
        return table_file({column: values[kept] for column, values in cells.table.items()})

    n = int(kept.sum())
    st.caption(f"The files below hold all {len(kept)} cells. Without those that are left out:")
    with st.container(horizontal=True):
        for title, make, ending in (
            (f"Table of {n} cells", rows, "cells.csv"),
            (f"Label image of {n} cells", labels, "labels.tif"),
        ):
            st.download_button(
                title,
                make,
                f"{name}-{ending}",
                icon=":material/filter_alt:",
                on_click="ignore",
                key=f"results_kept_{ending}",
            )
