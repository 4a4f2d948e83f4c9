"""Show pictures of a run side by side, and what their colours mean."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.runs.store import Run
from cellcutter_core.view.render import Color, Rgb
from cellcutter_core.view.truth import DIFFERENCE_COLORS, difference_picture
from pages.shared.caching import cached_runs
from pages.shared.viewer.frame import linked_panes


def show(
    run: Run, pictures: Mapping[str, Rgb], *, n_columns: int, legend: Mapping[str, Color]
) -> None:
    """Show linked panes; the zoom stays while epochs, modes and pictures change."""
    linked_panes(
        pictures,
        n_columns=n_columns,
        key="compare_panes",
        place=run.path.name,
        alt="Pictures of the same pixels side by side: " + ", ".join(pictures),
        legend=legend,
        pixel_size=run.description.pixel_size,
    )


def since(epoch: str) -> dict[str, Color]:
    """Return the legend of a difference to an earlier epoch."""
    return _explained(f"since {epoch}", "since then")


def against(what: str) -> dict[str, Color]:
    """Return the legend of a difference to something else, such as a baseline."""
    return _explained(f"against {what}", "against it")


def _explained(first: str, then: str) -> dict[str, Color]:
    return {
        f"{name} {then if number else first}": color
        for number, (name, color) in enumerate(DIFFERENCE_COLORS.items())
    }


def difference(run: Run, before: NDArray[np.int32], after: NDArray[np.int32]) -> Rgb:
    """Draw the difference between two label images on the image of the run."""
    return difference_picture(before, after, cached_runs.run_picture(run.path.name))


def labels_of(run: Run, number: int) -> NDArray[np.int32]:
    """Return the (H, W) label image of an epoch."""
    return cached_runs.epoch_of(run, number).labels
