"""Everything to take home, in the formats of the programs that go on with it."""

from __future__ import annotations

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from cellcutter_core.export import label_file
from cellcutter_core.export.table import table_file
from cellcutter_core.runs.store import Run
from pages.shared.measured import Measured


def downloads(run: Run, number: int, cells: Measured, kept: NDArray[np.bool_]) -> None:
    """Files of the cells that the filters keep."""
    st.subheader("Download", anchor=False)
    name, size = run.path.name, run.description.get("pixel_size")

    def labels() -> bytes:
        labels = np.where(np.isin(cells.labels, cells.table["id"][kept]), cells.labels, 0)
        return label_file(labels, pixel_size=size)

    def rows() -> bytes:
        return table_file({column: values[kept] for column, values in cells.table.items()})

    with st.container(horizontal=True):
        st.download_button("Table (CSV)", rows, f"{name}-cells.csv", "text/csv")
        st.download_button("Label image (TIFF)", labels, f"{name}-labels.tif", "image/tiff")
