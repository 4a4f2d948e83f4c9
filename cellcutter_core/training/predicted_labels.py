"""Combine the predictions of all crops to the label image and border image of the whole image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.config import Config
from cellcutter_core.network.unet import UNet, check_network
from cellcutter_core.shortest_paths.watershed import filled_labels
from cellcutter_core.training.crops import Dataset, check_dataset
from cellcutter_core.training.inputs import Inputs

# Number of crops that pass through the network together. More need more memory and are not faster.
CROPS_AT_ONCE = 32
# If all cells together are less probable than this, the nearest cell is as good a guess.
LEAST_PROBABILITY = 0.05


@dataclass(frozen=True, eq=False)
class Prediction:
    """The prediction of a network for an image.

    Attributes
    ----------
    labels : (H, W) int32
        Each pixel's cell: the number of its marker, counted from 1; 0 if no cell has a probability
        above 0.5. With `labels.fill` of the settings, every pixel of the mask that a marker can
        reach has a cell.
    borders : (H, W) uint8
        Number of cells whose outline is at the pixel. Outlines are those of each cell by itself, so
        that overlaps show.
    probability : (H, W) float32
        Highest probability of any cell.
    """

    labels: NDArray[np.int32]
    borders: NDArray[np.uint8]
    probability: NDArray[np.float32]


def draw(
    network: UNet,
    data: Dataset,
    *,
    shape: tuple[int, ...] | None = None,
    at_least: float = 0.5,
) -> Prediction:
    """Predict all crops and combine them to a label image and a border image.

    Each pixel goes to the crop with the highest probability, if that is above 0.5; of equal ones,
    to the last. It needs memory for the image and a few crops.

    Parameters
    ----------
    network : UNet
    data : Dataset
    shape : (H, W), optional
        Size of the result, if the dataset was rescaled from it; default is the dataset's size.
        Probabilities are interpolated, so that outlines are as fine as the image.
    at_least : float
        A pixel whose highest probability is not above this belongs to no cell. Borders and
        probability do not depend on it.
    """
    check_dataset(data)
    check_network(network)
    shape = data.shape if shape is None else shape
    labels, best = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
    borders = np.zeros(shape, np.uint8)
    for cell, crop in probabilities(network, data):
        (row, col), probability = _placed(crop, data, cell, shape)
        height, width = probability.shape
        # The part of the crop that lies in the image.
        part = (
            slice(max(-row, 0), min(shape[0] - row, height)),
            slice(max(-col, 0), min(shape[1] - col, width)),
        )
        place = (slice(max(row, 0), row + height), slice(max(col, 0), col + width))
        inside = probability > 0.5
        borders[place] += _outline(inside)[part]
        probability, inside = probability[part], inside[part]
        labels[place][(probability >= best[place]) & (probability > at_least)] = cell + 1
        np.maximum(best[place], probability, out=best[place])
    return Prediction(labels, borders, best)


def predict_cells(network: UNet, data: Dataset, inputs: Inputs, config: Config) -> Prediction:
    """Predict the cells of the whole image, with the settings for labels applied."""
    shape = inputs.mask.shape
    if not config.labels.fill:
        return draw(network, data, shape=shape)
    # Where cells compete, none may be above 0.5; the most probable one is still the best guess.
    prediction = draw(network, data, shape=shape, at_least=LEAST_PROBABILITY)
    labels = np.where(inputs.mask, prediction.labels, 0).astype(np.int32)
    labels = filled_labels(
        labels,
        inputs.mask,
        inputs.points,
        inputs.nuclei,
        # A network that began with nothing is shown as it is, without help of the cost map.
        cost_map=inputs.cost_map if config.network.start == "simulated" else None,
    )
    return Prediction(labels, prediction.borders, prediction.probability)


def draw_label(data: Dataset, network: UNet) -> NDArray[np.int32]:
    """Return the (H, W) label image: each pixel's cell, 0 for background. See `draw`."""
    return draw(network, data).labels


def draw_border(data: Dataset, network: UNet) -> NDArray[np.uint8]:
    """Return the (H, W) number of cells whose outline is at each pixel. See `draw`."""
    return draw(network, data).borders


def probabilities(network: UNet, data: Dataset) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield every cell in order with its (S, S) probability."""
    for cells, crops in data.batches(min(CROPS_AT_ONCE, len(data))):
        yield from zip(cells.tolist(), network.probabilities(crops), strict=False)


def _placed(
    crop: NDArray[np.float32], data: Dataset, cell: int, shape: tuple[int, ...]
) -> tuple[tuple[int, int], NDArray[np.float32]]:
    """Return a crop in the pixels of the image: its first pixel, and its probabilities."""
    origin = data.origins[cell]
    if tuple(shape) == data.shape:
        return (int(origin[0]), int(origin[1])), crop
    first, placed = [], crop
    for axis in (0, 1):
        scale = data.shape[axis] / shape[axis]
        low = int(np.ceil((origin[axis] + 0.5) / scale - 0.5))
        high = int(np.floor((origin[axis] + data.crop_size - 0.5) / scale - 0.5))
        where = (np.arange(low, high + 1) + 0.5) * scale - 0.5 - origin[axis]
        left = np.clip(where.astype(int), 0, data.crop_size - 2)
        share = np.expand_dims((where - left).astype(np.float32), 1 - axis)
        # No product of matrices: on a busy machine its threads wait for each other, 10 ms a cell.
        before, after = (np.take(placed, at, axis=axis) for at in (left, left + 1))
        placed = (1 - share) * before + share * after
        first.append(low)
    return (first[0], first[1]), placed


def _outline(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels of a shape with a 4-neighbour outside it; beyond the crop is outside."""
    eroded: NDArray[np.bool_] = inside.copy()
    eroded[1:] &= inside[:-1]
    eroded[:-1] &= inside[1:]
    eroded[:, 1:] &= inside[:, :-1]
    eroded[:, :-1] &= inside[:, 1:]
    eroded[[0, -1]] = False
    eroded[:, [0, -1]] = False
    return inside & ~eroded
