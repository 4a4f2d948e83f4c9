"""The table of cells: filters on it, and the choice of cells in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

Table = Mapping[str, NDArray[Any]]

# Height of the list in pixels, so that list and picture fill the window side by side.
HEIGHT = 560
# The part of it for the chosen cells: a header and two rows; more by scrolling.
CHOSEN_HEIGHT = 124


def column_title(column: str) -> str:
    """Return the title of a column on the page."""
    name, _, unit = column.rpartition("_")
    units = {"um": "µm", "um2": "µm²"}
    return (
        f"{name.replace('_', ' ')} in {units[unit]}" if unit in units else column.replace("_", " ")
    )


def filters(table: Table) -> NDArray[np.bool_]:
    """Show the filters and return which cells they keep, as an (N,) bool array.

    Parameters
    ----------
    table : dict of (N,) arrays
        The table that `cellcutter_core.export.formats.table.cell_table` returns.
    """
    unit, column = ("µm²", "area_um2") if "area_um2" in table else ("pixels", "area")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        # Not a slider: corrections change the range of cell areas.
        least, most = (
            st.number_input(
                f"{which} area in {unit}",
                min_value=0.0,
                value=None,
                step=10.0,
                format="%g",
                placeholder="no limit",
                width=220,
                key=f"results_{which.lower()}",
                persist_state="session",
            )
            for which in ("Smallest", "Largest")
        )
        whole = st.toggle(
            "Only whole cells",
            key="results_whole",
            persist_state="session",
            help="Leave out cells at the border of the region, which may be cut off.",
        )
    area = table[column]
    kept = (area >= (least or 0)) & (area <= (np.inf if most is None else most))
    if whole:
        kept &= ~table["touches_border"]
    n_out = int((~kept).sum())
    st.caption(
        f"{kept.sum()} of {len(kept)} cells"
        + (f"; {n_out} left out, grey in the picture" if n_out else "")
    )
    return np.asarray(kept, bool)


def cell_list(table: Table, kept: NDArray[np.bool_], *, key: str) -> list[int]:
    """Show the table of the kept cells. Return the ids of the cells chosen in it or in the picture.

    The chosen cells are listed in a separate table above it. Streamlit cannot scroll to a row, and
    a cell that was clicked in the picture may be anywhere in a long list.
    """
    shown = np.flatnonzero(kept)
    ids = table["id"][shown].tolist()
    # A selection is stored as row numbers, which depend on the filters: so does the key.
    widget = f"results_table_{key}_{hash(kept.tobytes())}"
    wanted = st.session_state.setdefault(f"results_chosen_{key}", [])
    rows = [ids.index(cell) for cell in wanted if cell in ids]
    if st.session_state.pop("results_picked", False) or widget not in st.session_state:
        st.session_state[widget] = {"selection": {"rows": rows, "columns": [], "cells": []}}
    above = st.container()
    event = st.dataframe(
        {name: column[shown] for name, column in table.items()},
        height=HEIGHT - CHOSEN_HEIGHT,
        hide_index=True,
        key=widget,
        on_select="rerun",
        selection_mode="multi-row",
        column_config=_columns(table),
        alt=f"A table of {len(ids)} cells with their measurements",
    )
    chosen = [ids[row] for row in event["selection"]["rows"] if row < len(ids)]
    st.session_state[f"results_chosen_{key}"] = chosen
    with above:
        _chosen_rows(table, chosen)
    return chosen


def _chosen_rows(table: Table, chosen: list[int]) -> None:
    """Show only the chosen cells. The height never changes, so that nothing on the page moves."""
    rows = np.flatnonzero(np.isin(table["id"], chosen))
    with st.container(height=CHOSEN_HEIGHT, border=False):
        if not chosen:
            st.caption("Chosen cells are listed here.")
            return
        st.dataframe(
            {name: column[rows] for name, column in table.items()},
            height=CHOSEN_HEIGHT - 16,
            hide_index=True,
            key="results_chosen_rows",
            column_config=_columns(table),
            alt=f"The measurements of {len(chosen)} chosen cells",
        )


def _columns(table: Table) -> dict[str, Any]:
    """Return how each column is shown."""
    columns = {
        "id": st.column_config.NumberColumn("cell", pinned=True),
        "touches_border": st.column_config.CheckboxColumn(column_title("touches_border")),
    }
    for name, column in table.items():
        if column.dtype.kind == "f":
            columns[name] = st.column_config.NumberColumn(column_title(name), format="%.4g")
    return columns


def choose(cell: int, before: list[int], *, key: str) -> None:
    """Add a cell to those chosen before, or remove it if it was chosen; 0 is no cell."""
    chosen = [other for other in before if other != cell]
    if cell and cell not in before:
        chosen.append(cell)
    st.session_state[f"results_chosen_{key}"] = chosen
    st.session_state["results_picked"] = True


def chosen_cells(table: Table, chosen: list[int]) -> str:
    """Say in words which cells are chosen."""
    if not chosen:
        return "No cell chosen"
    if len(chosen) > 1:
        return f"{len(chosen)} cells chosen"
    (row,) = np.flatnonzero(table["id"] == chosen[0])
    size = f"{table['area'][row]:.0f} px"
    if "area_um2" in table:
        size += f", {table['area_um2'][row]:.0f} µm²"
    return f"Cell {chosen[0]}: {size}"
