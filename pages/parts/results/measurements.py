"""The corrected cells of an epoch: their measurements, outlines and picture."""

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
from pages.shared.caching import cached_runs, cached_steps


@dataclass(frozen=True, eq=False)
class Measured:
    """The cells of an epoch.

    Attributes
    ----------
    key : str
        Identifies these cells: the same for the same cells of the same run.
    labels : (H, W) int32
    table : dict of (N,) arrays
        The table that `cellcutter_core.export.formats.table.cell_table` returns.
    outlines : dict
        What `cellcutter_core.export.outlines.cell_outlines` returns.
    """

    key: str
    labels: NDArray[np.int32]
    table: dict[str, NDArray[Any]]
    outlines: dict[int, list[Piece]]


@st.cache_resource(max_entries=3, scope="session", show_spinner="Measuring the cells …")
def _measured(key: str, _result: Result) -> Measured:
    return Measured(key, _result.labels, _result.table, cell_outlines(_result.labels))


def measured(run: Run, epoch: int) -> Measured:
    """Return the cells of an epoch with their corrections.

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
    """Return an (H, W, 3) picture with the kept cells in colours and the others in grey.

    The cell with the id `bare`, if given, is shown without a colour.
    """

    def make() -> Rgb:
        image = cached_runs.run_picture(run.path.name)
        rgb = overlay(image, cells.labels, colors=cached_runs.run_colors(run.path.name))
        out = np.isin(cells.labels, cells.table["id"][~kept])
        # Lighter than the background, so that the cell can be seen.
        rgb[out] = 70 + image[out] // 4
        if bare is not None:
            inside = cells.labels == bare
            rgb[inside] = image[inside]
        return rgb

    return cached_steps.drawn(
        f"picture {cells.key} {bare} {np.packbits(kept).tobytes().hex()}", make
    )
