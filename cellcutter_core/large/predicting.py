"""Predict the cells of a large image block by block."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cellcutter_core.config import Config
from cellcutter_core.images.blocks import blocks_of, lie_in, pixels_of, with_margin
from cellcutter_core.images.reading.parts import Region
from cellcutter_core.label_image import new_numbers
from cellcutter_core.large.block_tasks import Arrays, Block, Here
from cellcutter_core.large.large_image import LargeImage
from cellcutter_core.large.mask_and_markers import Found
from cellcutter_core.network.unet import UNet
from cellcutter_core.training.datasets import NoMarkerInMask, make_dataset, scale_for_diameter
from cellcutter_core.training.image_inputs import certain_regions, seen_channels
from cellcutter_core.training.inputs import Inputs
from cellcutter_core.training.marker_check import have_cells, taught_network
from cellcutter_core.training.predicted_labels import predict_cells

SMALL = 4096
"""Longest side of the pictures of a large image in pixels."""


@dataclass(frozen=True, eq=False)
class Reduced:
    """A large image and its cells at a reduced size, to look at.

    Attributes
    ----------
    every : int
        Distance between the rows and columns that are taken, in pixels.
    image : (h, w, C) array
        The channels that the network saw.
    labels : (h, w) int32
    borders : (h, w) uint8
        The highest value in each square of `every` pixels, so that thin outlines stay.
    """

    every: int
    image: NDArray[Any]
    labels: NDArray[np.int32]
    borders: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class PredictedCells:
    """The predicted cells of a large image.

    Attributes
    ----------
    boxes : (N, 4) int64
        First row and column of each cell, end row and column (excluded); all 0 if it has no pixel.
    areas : (N,) int64
        Areas in pixels.
    reduced : Reduced
    """

    boxes: NDArray[np.int64]
    areas: NDArray[np.int64]
    reduced: Reduced


def predict(
    network: UNet,
    large: LargeImage,
    found: Found,
    config: Config,
    labels: NDArray[np.integer[Any]],
    *,
    done: Callable[[], None] = lambda: None,
    where: Here | None = None,
) -> PredictedCells:
    """Predict every cell and write it into a label image.

    Parameters
    ----------
    network : UNet
    large : LargeImage
    found : Found
        Mask and markers of the image.
    config : Config
    labels : (H, W) array of integers
        All 0, possibly memory-mapped. The labels are written into it: a cell has the number of its
        marker, counted from 1.
    done : callable
        Called after every block.
    where : Here, optional
        Where the blocks are worked on; default in this process.
    """
    seen = seen_channels(large.sample, config)
    every = -(-max(large.shape) // SMALL)
    small = tuple(-(-n // every) for n in large.shape)
    reduced = Reduced(
        every,
        np.zeros((*small, len(seen)), large.sample.pixels.dtype),
        np.zeros(small, np.int32),
        np.zeros(small, np.uint8),
    )
    n = len(found.points)
    boxes = np.zeros((n, 4), np.int64)
    boxes[:, :2] = large.shape
    predicted = PredictedCells(boxes, np.zeros(n, np.int64), reduced)
    scale = scale_for_diameter(found.cell_diameter, large.shape, config)
    margin = math.ceil(config.crops.size / scale)
    cores = blocks_of(large.shape)
    blocks = (_block(core, margin, large, found, config, every) for core in cores)
    answers = (where or Here(large)).each(_predict_block, blocks, config, network)
    for core, answer in zip(cores, answers, strict=True):
        cells, block_labels = answer["cells"], answer["labels"]
        numbered = np.append(0, cells + 1)[block_labels]
        labels[pixels_of(core)] = numbered
        _measure(predicted, core, cells, block_labels)
        _reduce(reduced, core, answer["thin"], numbered, answer["borders"])
        done()
    predicted.boxes[predicted.areas == 0] = 0
    return predicted


def checked(
    large: LargeImage,
    found: Found,
    config: Config,
    labels: NDArray[np.integer[Any]],
    *,
    done: Callable[[], None] = lambda: None,
    where: Here | None = None,
) -> Found:
    """Drop the markers that have no cell of their own, like `pipeline.checked_markers`.

    Parameters
    ----------
    large, found, config, done, where
        As for `predict`.
    labels : (H, W) array of integers
        Scratch space: the prediction of the taught network is written into it.
    """
    network = taught_network(config.network)
    predicted = predict(network, large, found, config, labels, done=done, where=where)
    n = len(found.points) + 1
    regions = np.zeros(n, np.int64)
    for core in blocks_of(large.shape):
        certain = certain_regions(large.sample, config, found.nuclei(core))
        regions += np.bincount(certain.ravel(), minlength=n)
    return found.only(have_cells(predicted.areas, regions[1:]))


def _block(
    core: Region, margin: int, large: LargeImage, found: Found, config: Config, every: int
) -> Block:
    """Return a block with the cells that have their marker in it or in its margin."""
    around = with_margin(core, margin, large.shape)
    there = lie_in(found.points, around)
    cells = np.flatnonzero(there)
    extra = {
        "cells": cells,
        "points": found.points[cells] - np.array(around[:2]),
        "nuclei": new_numbers(there)[certain_regions(large.sample, config, found.nuclei(around))],
        "mask": found.mask(around),
        "cell_diameter": np.array(found.cell_diameter),
        "every": np.array(every),
    }
    return Block(core, around, extra)


def _predict_block(block: Block, large: LargeImage, config: Config, network: UNet | None) -> Arrays:
    """Predict the labels of a block, numbered among its cells, and its borders.

    The answer also has its cells, and under "thin" the pixels for the reduced image.
    """
    assert network is not None
    seen, extra = seen_channels(large.sample, config), block.extra
    pixels = large.read(block.around).pixels[..., seen]
    # Without a mask there are no cells; with `labels.fill` each marker is one all the same.
    labels = extra["nuclei"] if config.labels.fill else np.zeros_like(extra["nuclei"])
    borders = np.zeros(labels.shape, np.uint8)
    if len(extra["cells"]) and extra["mask"].any():
        inputs = Inputs(
            pixels,
            extra["mask"],
            extra["points"],
            extra["nuclei"],
            normalisation=large.normalisation.of(seen),
            whole_cell_diameter=float(extra["cell_diameter"]),
        )
        # A block without a marker in its mask is like one without a mask.
        with suppress(NoMarkerInMask):
            data = make_dataset(inputs, config)
            prediction = predict_cells(network, data, inputs, config)
            labels, borders = prediction.labels, prediction.borders
    part = pixels_of(block.core, block.around)
    return {
        "cells": extra["cells"],
        "labels": labels[part],
        "borders": borders[part],
        "thin": pixels[part][_thin(block.core, int(extra["every"]))],
    }


def _measure(
    predicted: PredictedCells, core: Region, cells: NDArray[np.intp], labels: NDArray[np.int32]
) -> None:
    """Add the pixels of a block to the boxes and areas of the cells."""
    predicted.areas[cells] += np.bincount(labels.ravel(), minlength=len(cells) + 1)[1:]
    top, left = core[:2]
    for cell, place in zip(cells, ndimage.find_objects(labels, len(cells)), strict=True):
        if place is not None:
            rows, cols = place
            box = predicted.boxes[cell]
            box[:2] = np.minimum(box[:2], (top + rows.start, left + cols.start))
            box[2:] = np.maximum(box[2:], (top + rows.stop, left + cols.stop))


def _thin(core: Region, every: int) -> tuple[slice, slice]:
    """Return which rows and columns of a block the reduced image takes."""
    rows, cols = (slice(-start % every, None, every) for start in core[:2])
    return rows, cols


def _reduce(
    reduced: Reduced,
    core: Region,
    thin: NDArray[Any],
    labels: NDArray[np.int32],
    borders: NDArray[np.uint8],
) -> None:
    """Write a block, whose thinned pixels are given, into the reduced image."""
    every = reduced.every
    place = tuple(
        slice(-(-start // every), -(-stop // every))
        for start, stop in zip(core[:2], core[2:], strict=True)
    )
    reduced.image[place] = thin
    reduced.labels[place] = labels[_thin(core, every)]
    # The squares that contain pixels of the block; those at its edge are shared with other blocks.
    squares, cuts = [], []
    for start, stop in zip(core[:2], core[2:], strict=True):
        number = np.arange(start, stop) // every
        cuts.append(np.flatnonzero(np.diff(number, prepend=-1)))
        squares.append(slice(int(number[0]), int(number[-1]) + 1))
    highest = np.maximum.reduceat(np.maximum.reduceat(borders, cuts[0], 0), cuts[1], 1)
    np.maximum(reduced.borders[tuple(squares)], highest, out=reduced.borders[tuple(squares)])
