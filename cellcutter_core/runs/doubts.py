"""Reasons to doubt the cells of a run, as far as they show without the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cellcutter_core.runs.store import Run
from cellcutter_core.training.predicted_labels import Prediction

# A pixel is claimed if some cell has a probability above 0.5 there. Claimed shares of the mask:
# - taught network at epoch 0: 0.70 to 0.94 on the nine images of BBBC018 (the one with 0.70 has
#   AP50 0.91 in the end), 0.80 on a sample of EBImage, 0.95 on the built-in sample, 0.61 and 0.78
#   on two images of phase contrast (AP50 0.06 and 0.29);
# - after training: 0.81 to 0.94, and no cell is lost. So the share alone does not reveal phase
#   contrast, but the lack of nuclei does, see `doubts`;
# - network that began with nothing, built-in sample: 0.28 after 2 epochs, 0.43 after 10, 0.64 after
#   20, 0.75 after 28.
LEAST_CLAIMED_AT_FIRST = 0.65  # share of the mask, by the taught network at epoch 0
LEAST_CLAIMED_AT_LAST = 0.4  # share of the mask, by any network after training
LESS_CLAIMED = 0.1  # share of the mask that training may lose
CELLS_LOST = 0.1  # share of the cells that training may lose
FULL_MASK = 0.95  # share of the image
LOOSE_MASK = 0.3  # share of the mask that lies in pieces without a marker
CLAIMED = 0.5  # probability above which a pixel is claimed

_PATHS = "them with the cheapest paths on the page Compare, and trust those more"


@dataclass(frozen=True)
class Signs:
    """Measures of a run that need no truth.

    Attributes
    ----------
    full : float
        Share of the image that the mask covers.
    loose : float
        Share of the mask that lies in pieces without a marker.
    claimed_first, claimed_last : float
        Share of the mask that is claimed at epoch 0 and at the end, see `claimed`. The first is
        None if the run began with nothing or has no epoch 0.
    n_first, n_last : int
        Number of cells that claim at least one pixel, likewise.
    """

    full: float
    loose: float
    claimed_first: float | None
    claimed_last: float
    n_first: int | None
    n_last: int


def claimed(drawing: Prediction, mask: NDArray[np.bool_]) -> float:
    """Return the share of the mask that is claimed: where some cell's probability is above 0.5.

    Parameters
    ----------
    drawing : Prediction
    mask : (H, W) bool

    Returns
    -------
    float in 0..1
        0 if the mask is empty.
    """
    inside = drawing.probability[mask]
    return float((inside > CLAIMED).mean()) if inside.size else 0.0


def n_claiming(drawing: Prediction) -> int:
    """Count the cells that claim at least one pixel."""
    found = np.unique(drawing.labels[drawing.probability > CLAIMED])
    return int((found > 0).sum())


def loose_share(mask: NDArray[np.bool_], points: NDArray[np.float64]) -> float:
    """Return the share of the mask that lies in connected parts without a marker.

    Parameters
    ----------
    mask : (H, W) bool
    points : (N, 2) float
        (row, col) of the markers.

    Returns
    -------
    float in 0..1
    """
    pieces, n = ndimage.label(mask, np.ones((3, 3)))
    areas = np.bincount(pieces.ravel(), minlength=n + 1)
    rows, cols = np.round(points).astype(int).T
    areas[0] = 0
    total = areas.sum()
    areas[pieces[rows, cols]] = 0
    return float(areas.sum() / total) if total else 0.0


def signs(run: Run) -> Signs | None:
    """Compute the signs of a run; None before its first trained epoch."""
    if not any(run.epochs):
        return None
    inputs, last = run.inputs, run.epoch(run.epochs[-1])
    first = None
    if run.config.network.start == "simulated" and 0 in run.epochs:
        first = run.epoch(0)
    return Signs(
        full=float(inputs.mask.mean()),
        loose=loose_share(inputs.mask, inputs.points),
        claimed_first=None if first is None else claimed(first, inputs.mask),
        claimed_last=claimed(last, inputs.mask),
        n_first=None if first is None else n_claiming(first),
        n_last=n_claiming(last),
    )


def about_dropped(run: Run) -> str | None:
    """Say how many markers were dropped before training, and why; None if none was."""
    n = len(run.dropped_markers)
    if not n:
        return None
    before = n + len(run.inputs.points)
    return (
        f"{n} of {before} markers {'was' if n == 1 else 'were'} dropped before training: the "
        "taught network sees no separate cell there, for example if a nucleus was found in two "
        "parts."
    )


def doubts(run: Run) -> list[str]:
    """Return reasons to doubt the cells of a run, each with what to do about it.

    Returns
    -------
    list of str
        Empty if there is none, and before the first trained epoch.
    """
    if run.progress.collapsed:
        return [
            "The training collapsed: all its cells are empty. Try another seed, or the settings of "
            "the quick preset."
        ]
    found = signs(run)
    if found is None:
        return []
    said = [*_about_crops(run), *doubts_of(found)]
    if run.description.nucleus == "none" and not run.description.markers:
        said.append(
            "There is no nucleus channel, so the markers were found in the cells themselves. "
            "That works if outlines are stained. With stained cell bodies and in phase contrast "
            "many markers are wrong. Check them on the page Cells, and add or remove markers there."
        )
    return said


def _about_crops(run: Run) -> list[str]:
    """Say if the cells are larger than the crops that the network sees."""
    device: dict[str, Any] = next((e for e in reversed(run.events()) if e["kind"] == "device"), {})
    across = device.get("cell_diameter", 0) * device.get("scale", 1)
    size = run.config.crops.size
    if across <= size:
        return []
    return [
        f"The cells are {across:.0f} pixels across and a crop has {size}, so cells are cut off. "
        "Train with a larger crops.size or a smaller crops.cell_size."
    ]


def doubts_of(found: Signs) -> list[str]:
    """Return the sentences of `doubts` for these signs; a pure function."""
    said = []
    if found.full > FULL_MASK:
        said.append(
            f"The mask covers {found.full:.0%} of the image. If the image has background, choose "
            "another mask."
        )
    if found.loose > LOOSE_MASK:
        said.append(
            f"{found.loose:.0%} of the mask lies in parts without a marker. That happens in phase "
            "contrast, where edges are bright and cells are not. Check mask and markers, or choose "
            "another channel for the cells."
        )
    first, last = found.claimed_first, found.claimed_last
    if first is not None and first < LEAST_CLAIMED_AT_FIRST:
        said.append(
            f"Before training on this image, the taught network filled only {first:.0%} of the "
            "mask with cells: these cells are unlike those it was taught on. Check mask and "
            "markers, or choose another channel for the cells."
        )
    worse = first is not None and last < first - LESS_CLAIMED
    if worse:
        said.append(
            f"Training made it worse: the cells fill {last:.0%} of the mask; at epoch 0 they "
            f"filled {first:.0%}. Compare {_PATHS}."
        )
    if found.n_first and found.n_last < (1 - CELLS_LOST) * found.n_first:
        said.append(
            f"Training lost cells: {found.n_last} cells are left, at epoch 0 there were "
            f"{found.n_first}. Compare {_PATHS}."
        )
    if not worse and last < LEAST_CLAIMED_AT_LAST:
        said.append(
            f"The cells fill only {last:.0%} of the mask. Train for more epochs; if that does not "
            f"help, compare {_PATHS}."
        )
    return said
