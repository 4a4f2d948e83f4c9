"""Find the markers that have a cell of their own, with the taught network before training."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.config import Config, NetworkSettings
from cellcutter_core.network.backend import backend
from cellcutter_core.network.taught_weights import N_CHANNELS, read_taught
from cellcutter_core.network.unet import UNet
from cellcutter_core.training.datasets import make_dataset
from cellcutter_core.training.inputs import Inputs
from cellcutter_core.training.predicted_labels import predict_cells

# A marker has no cell of its own if the ratio of its cell's area to the area of its region is below
# the first number, and below this share of the median ratio. If a nucleus is found in two parts,
# the second one has only its own pixels as cell in the lessons. On nine images of BBBC018 one of 32
# cells below 1.6 was right, and 0.83 of those from 2 to 3; the median was 3.5 to 13.
LEAST_SPREAD, LEAST_SHARE = 1.6, 0.45
# If more than this share of the markers would be dropped, the network does not fit the image, and
# all of them stay.
MOST_DROPPED = 0.2


def is_checked(config: Config) -> bool:
    """Return whether the taught network checks the found markers."""
    return config.training.check_markers and config.network.start == "simulated"


def checked_markers(inputs: Inputs, config: Config) -> Inputs:
    """Drop the markers that have no cell of their own according to the taught network.

    Parameters
    ----------
    inputs : Inputs
    config : Config
        Nothing is dropped unless `is_checked`.

    Returns
    -------
    Inputs
        The same inputs if nothing is checked; final markers stay.

    Raises
    ------
    ValueError
        As `make_dataset`.
    """
    if inputs.final or not is_checked(config):
        return inputs
    return inputs.only(markers_with_cells(inputs, config))


def markers_with_cells(inputs: Inputs, config: Config) -> NDArray[np.bool_]:
    """Return (N,) bool: which markers have a cell of their own in the taught network's prediction.

    Markers that are only points always count as having one.

    Raises
    ------
    ValueError
        As `make_dataset`.
    """
    if inputs.nuclei is None:
        return np.ones(len(inputs.points), bool)
    backend()  # It loads the framework and suppresses what that writes to the terminal.
    data = make_dataset(inputs, config)
    cells = predict_cells(taught_network(config.network), data, inputs, config).labels
    n = len(inputs.points) + 1
    areas, regions = (np.bincount(of.ravel(), minlength=n)[1:] for of in (cells, inputs.nuclei))
    return have_cells(areas, regions)


@lru_cache(maxsize=1)
def taught_network(settings: NetworkSettings) -> UNet:
    """Return the taught network, made once for all images that are checked: it takes seconds.

    It is shared, so nobody may train it.
    """
    network = UNet(settings)
    network.set_weights(list(read_taught()[0]), N_CHANNELS)
    return network


def have_cells(
    areas: NDArray[np.integer[Any]], regions: NDArray[np.integer[Any]]
) -> NDArray[np.bool_]:
    """Return (N,) bool: which markers have a cell of their own, from areas of cells and markers."""
    spread = areas / np.maximum(regions, 1)
    kept = np.asarray(spread >= min(LEAST_SPREAD, LEAST_SHARE * float(np.median(spread))))
    return kept if kept.mean() >= 1 - MOST_DROPPED else np.ones(len(kept), bool)
