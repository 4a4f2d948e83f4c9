"""The cells of an epoch as they were corrected: measured, outlined, and in a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from cellcutter_core.export.outlines import Piece, cell_outlines
from cellcutter_core.export.result import Result
from cellcutter_core.runs.store import Run
from cellcutter_core.view.render import Rgb, overlay
from pages.shared.caching import cached, cached_runs


@dataclass(frozen=True, eq=False)
class Measured:
    """The cells of an epoch.

    Attributes
    ----------
    key : str
        The same for the same cells of the same run.
    labels : (H, W) int32
    table : dict of (N,) arrays
        As `cellcutter_core.export.cell_table` gives it.
    outlines : dict
        As `cellcutter_core.export.outlines.cell_outlines` gives it.
    """

    key: str
    labels: NDArray[np.int32]
    table: dict[str, NDArray[Any]]
    outlines: dict[int, list[Piece]]


@st.cache_resource(max_entries=3, scope="session", show_spinner="Measuring the cells …")
def _measured(key: str, _result: Result) -> Measured:
    return Measured(key, _result.labels, _result.table, cell_outlines(_result.labels))


def measured(run: Run, epoch: int) -> Measured:
    """The cells of an epoch with their corrections.

    Raises
    ------
    ValueError
        If there is no such epoch, or its corrections are damaged.
    """
    result = Result(run, epoch, inputs=cached_runs.run_inputs(run.path.name)[0])
    done = [(one.kind, one.cells, one.points) for one in result.corrections]
    key = f"cells {run.path.name} {epoch} {cached_runs.stamp(run, epoch)} {done}"
    return _measured(key, result)


def picture(run: Run, cells: Measured, kept: NDArray[np.bool_], *, bare: int | None = None) -> Rgb:
    """(H, W, 3) cells that are kept in colours, the others in grey; one perhaps as it is."""

    def make() -> Rgb:
        image = cached_runs.run_picture(run.path.name)
        rgb = overlay(image, cells.labels, colors=cached_runs.run_colors(run.path.name))
        out = np.isin(cells.labels, cells.table["id"][~kept])
        # Lighter than the background, so that a cell is seen there.
        rgb[out] = 70 + image[out] // 4
        if bare is not None:
            inside = cells.labels == bare
            rgb[inside] = image[inside]
        return rgb

    return cached.drawn(f"picture {cells.key} {bare} {np.packbits(kept).tobytes().hex()}", make)
