"""From crop probabilities to the label image and the border image of the whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.config import Config
from cellcutter_core.network.unet import UNet, check_network
from cellcutter_core.paths.watershed import filled_labels
from cellcutter_core.training.crops import Dataset, check_dataset
from cellcutter_core.training.inputs import Inputs

# Crops that pass through the network together. More need more memory and are no faster.
CROPS_AT_ONCE = 32
# Where all cells together are less probable than this, the nearest is as good a guess.
LEAST_PROBABILITY = 0.05


@dataclass(frozen=True, eq=False)
class Drawing:
    """What one prediction of all crops says of the image.

    Attributes
    ----------
    labels : (H, W) int32
        Each pixel's cell, the number of its marker counted from 1; 0 where no cell has more than
        half.
    borders : (H, W) uint8
        How many cells have their outline there; each cell's own, so that overlaps show.
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
) -> Drawing:
    """Label image and border image from one prediction of all crops.

    Each pixel goes to the crop with the highest probability, if that is over 0.5; of equal ones
    to the last. Memory is that of the image and of a few crops.

    Parameters
    ----------
    network : UNet
    data : Dataset
    shape : (H, W), optional
        Size of the drawing, where that of the dataset was rescaled from it. Probabilities are
        interpolated, so that outlines are as fine as the image; default is the dataset's size.
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
        # What of the crop lies in the drawing.
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
    return Drawing(labels, borders, best)


def draw_cells(network: UNet, data: Dataset, inputs: Inputs, config: Config) -> Drawing:
    """The labels of the whole image as the settings want them drawn."""
    shape = inputs.mask.shape
    if not config.labels.fill:
        return draw(network, data, shape=shape)
    # Where cells compete nobody may have more than half; the most probable still is the best guess.
    drawing = draw(network, data, shape=shape, at_least=LEAST_PROBABILITY)
    labels = np.where(inputs.mask, drawing.labels, 0).astype(np.int32)
    labels = filled_labels(
        labels,
        inputs.mask,
        inputs.points,
        inputs.nuclei,
        # What began with nothing is shown as it is, without what the image says by other means.
        guidance=inputs.guidance if config.network.start == "simulated" else None,
    )
    return Drawing(labels, drawing.borders, drawing.probability)


def draw_label(data: Dataset, network: UNet) -> NDArray[np.int32]:
    """(H, W) label image: each pixel's cell, 0 where there is none. See `draw`."""
    return draw(network, data).labels


def draw_border(data: Dataset, network: UNet) -> NDArray[np.uint8]:
    """(H, W) count of the cells that have their outline at a pixel. See `draw`."""
    return draw(network, data).borders


def probabilities(network: UNet, data: Dataset) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Every cell in order with its (S, S) probability."""
    for cells, crops in data.batches(min(CROPS_AT_ONCE, len(data))):
        yield from zip(cells.tolist(), network.probabilities(crops), strict=False)


def _placed(
    crop: NDArray[np.float32], data: Dataset, cell: int, shape: tuple[int, ...]
) -> tuple[tuple[int, int], NDArray[np.float32]]:
    """A crop in the pixels of the drawing: its first pixel there, and its probabilities."""
    origin = data.origins[cell]
    if tuple(shape) == data.shape:
        return (int(origin[0]), int(origin[1])), crop
    first, weights = [], []
    for axis in (0, 1):
        scale = data.shape[axis] / shape[axis]
        low = int(np.ceil((origin[axis] + 0.5) / scale - 0.5))
        high = int(np.floor((origin[axis] + data.crop_size - 0.5) / scale - 0.5))
        where = (np.arange(low, high + 1) + 0.5) * scale - 0.5 - origin[axis]
        left = np.clip(where.astype(int), 0, data.crop_size - 2)
        share = (where - left).astype(np.float32)
        matrix = np.zeros((len(where), data.crop_size), np.float32)
        matrix[np.arange(len(where)), left] = 1 - share
        matrix[np.arange(len(where)), left + 1] = share
        first.append(low)
        weights.append(matrix)
    return (first[0], first[1]), np.asarray(weights[0] @ crop @ weights[1].T, np.float32)


def _outline(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of a shape with a 4-neighbour outside of it; the crop's edge is outside."""
    eroded: NDArray[np.bool_] = inside.copy()
    eroded[1:] &= inside[:-1]
    eroded[:-1] &= inside[1:]
    eroded[:, 1:] &= inside[:, :-1]
    eroded[:, :-1] &= inside[:, 1:]
    eroded[[0, -1]] = False
    eroded[:, [0, -1]] = False
    return inside & ~eroded
