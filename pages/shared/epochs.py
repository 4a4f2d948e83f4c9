"""Epochs of the open run to look at: choosing one, and pictures of them side by side."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from cellcutter_core.runs.store import Run
from cellcutter_core.view.render import Color, Rgb
from cellcutter_core.view.truth import difference_picture
from pages.shared import cached_runs
from pages.shared.linked import linked_panes


def choose_epoch(label: str, run: Run, epochs: list[int], *, usual: int, key: str) -> int:
    """A slider over the stored epochs; where there is one, that."""
    if len(epochs) == 1:
        st.caption(f"{label}: {epochs[0]}, the only one")
        return epochs[0]
    return st.select_slider(
        label, epochs, usual, key=f"{key}_{run.path.name}", persist_state="session"
    )


def show(
    run: Run, pictures: Mapping[str, Rgb], *, n_columns: int, legend: Mapping[str, Color]
) -> None:
    """Linked panes; the zoom stays while epochs, modes and pictures change."""
    linked_panes(
        pictures,
        n_columns=n_columns,
        key="compare_panes",
        place=run.path.name,
        alt="Pictures of the same pixels side by side: " + ", ".join(pictures),
        legend=legend,
    )


def difference(run: Run, before: NDArray[np.int32], after: NDArray[np.int32]) -> Rgb:
    """What changed from some cells to others, on the image of the run."""
    return difference_picture(before, after, cached_runs.run_picture(run.path.name))


def labels_of(run: Run, number: int) -> NDArray[np.int32]:
    """(H, W) the cells after an epoch."""
    return cached_runs.epoch_of(run, number).labels
