"""Which markers have a cell of their own, as the taught network sees it before training."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.config import Config
from cellcutter_core.network.backend import backend
from cellcutter_core.training.datasets import make_dataset
from cellcutter_core.training.inputs import Inputs
from cellcutter_core.training.loop import starting_network
from cellcutter_core.training.prediction import draw_cells

# A marker has no cell of its own where its cell is less than so many times as large as its region,
# and this share of what is usual: of a nucleus that was found in two parts the second has nothing
# but itself in the lessons. On nine images of BBBC018 one of 32 cells below 1.6 was right, and 0.83
# of those from 2 to 3; the median was 3.5 to 13.
LEAST_SPREAD, LEAST_SHARE = 1.6, 0.45
# Where more than this share of the markers had to go, the network knows nothing of such an image.
MOST_DROPPED = 0.2


def is_checked(config: Config) -> bool:
    """Whether the taught network checks the markers that were found."""
    return config.training.check_markers and config.network.start == "simulated"


def checked_markers(inputs: Inputs, config: Config) -> Inputs:
    """Without the markers of which the taught network says that they have no cell of their own.

    Parameters
    ----------
    inputs : Inputs
    config : Config
        Nothing is dropped unless `is_checked`.

    Returns
    -------
    Inputs
        The same where nothing is to be checked: markers that are final stay.

    Raises
    ------
    ValueError
        What `make_dataset` raises.
    """
    if inputs.final or not is_checked(config):
        return inputs
    return inputs.only(markers_with_cells(inputs, config))


def markers_with_cells(inputs: Inputs, config: Config) -> NDArray[np.bool_]:
    """(N,) bool: which markers have a cell of their own, as the taught network draws them.

    Markers of which only the point is known have one.

    Raises
    ------
    ValueError
        What `make_dataset` raises.
    """
    if inputs.nuclei is None:
        return np.ones(len(inputs.points), bool)
    backend()  # It loads the framework without what that writes on the terminal.
    data = make_dataset(inputs, config)
    cells = draw_cells(starting_network(config, data), data, inputs, config).labels
    n = len(inputs.points) + 1
    areas, regions = (np.bincount(of.ravel(), minlength=n)[1:] for of in (cells, inputs.nuclei))
    return have_cells(areas, regions)


def have_cells(
    areas: NDArray[np.integer[Any]], regions: NDArray[np.integer[Any]]
) -> NDArray[np.bool_]:
    """(N,) bool: which markers have a cell of their own, by the areas of cells and of markers."""
    spread = areas / np.maximum(regions, 1)
    kept = np.asarray(spread >= min(LEAST_SPREAD, LEAST_SHARE * float(np.median(spread))))
    return kept if kept.mean() >= 1 - MOST_DROPPED else np.ones(len(kept), bool)
