"""Build the dataset of crops: rescale the image and prepare its intensities for the network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cellcutter_core.config import Config, check_current
from cellcutter_core.images.scaling import Normalisation, logarithms, nearest, resized
from cellcutter_core.training.crops import Dataset
from cellcutter_core.training.inputs import Inputs, Truth, check_mask
from cellcutter_core.training.loop import Validation

LARGEST_SCALE = 4.0
"""Largest factor by which an image is enlarged or reduced."""

POINT_RADIUS = 3
"""Radius in crop pixels of the disc drawn for a marker that is only a point."""

SMALLEST_REGION = 4
"""Crop pixels of the smallest marker region that is shown as it is."""


class NoMarkerInMask(ValueError):
    """Raised if there is nothing to train on: no marker lies in the mask."""


def make_dataset(inputs: Inputs, config: Config) -> Dataset:
    """Return the crops of an image, scaled in size and intensities as the network sees them.

    Raises
    ------
    ValueError
        If the mask is empty or full, no marker lies in it, the image is too small for a crop, the
        settings are of an earlier version, or as `Dataset`.
    """
    check_current(config)
    # A part of an image may lie entirely within cells.
    if inputs.normalisation is None or not inputs.mask.any():
        check_mask(inputs.mask, config)
    scale = scale_for(inputs, config)
    shape = tuple(round(n * scale) for n in inputs.mask.shape)
    _check_size(inputs, shape, scale, config.crops.size)
    image, normalisation = _network_image(inputs, config)
    mask, nuclei = inputs.mask, inputs.nuclei
    taught = config.network.start == "simulated"
    path_labels = inputs.path_labels if taught else None
    if scale != 1:
        image = np.stack([resized(image[..., c], shape) for c in range(image.shape[-1])], axis=-1)
        mask = resized(mask.astype(np.float32), shape) > 0.5
        nuclei = None if nuclei is None else nearest(nuclei, shape)
        path_labels = None if path_labels is None else path_labels.resized(shape)
    # They differ a little from `scale`, because the shape is rounded.
    axis_scales = np.array(shape) / inputs.mask.shape
    # Pixel centres are at +0.5.
    points = np.clip((inputs.points + 0.5) * axis_scales - 0.5, 0, np.array(shape) - 1)
    rows, cols = np.round(points).astype(int).T
    # A single marker may have lost its few mask pixels when the mask was scaled down.
    if not mask.any() or (len(points) > 1 and not mask[rows, cols].any()):
        raise NoMarkerInMask(
            "no marker lies in the mask; check that the markers are of this image, or make the "
            "mask larger"
        )
    if taught:
        nuclei = shown_markers(nuclei, points, shape)
    return Dataset(
        image,
        points,
        ~mask,
        crop_size=config.crops.size,
        sigma=config.crops.sigma,
        nuclei=nuclei,
        path_labels=path_labels,
        normalisation=normalisation,
    )


def _check_size(inputs: Inputs, shape: tuple[int, ...], scale: float, size: int) -> None:
    """Raise an error if an image has less than half a crop of this size, rescaled to this shape."""
    if 2 * min(shape) >= size:
        return
    rows, cols = inputs.mask.shape
    # `scale_for_diameter` never reduces an image below this size, so only enlarging is mentioned.
    enlarged = f", enlarged {scale:.2g} times for its cells to have the wanted size"
    note = enlarged if scale > 1 else ""
    raise ValueError(
        f"the image has {rows}×{cols} pixels{note}. One crop has {size}×{size}, and an image needs "
        "at least half of that; choose a smaller crop size or a larger image"
    )


def _network_image(
    inputs: Inputs, config: Config
) -> tuple[NDArray[np.float32], Normalisation | None]:
    """Return the (H, W, C) image as the network gets it, not yet rescaled, and its statistics."""
    image, normalisation = inputs.image.astype(np.float32), inputs.normalisation
    if config.crops.intensity == "log":
        image = logarithms(image, normalisation)
        normalisation = normalisation and normalisation.of_logarithms
    if config.network.start == "simulated":
        # The mean of all channels, because the network was taught with one channel.
        image = image.mean(axis=-1, keepdims=True)
        normalisation = normalisation and normalisation.of_mean_channel
    return image, normalisation


def shown_markers(
    regions: NDArray[np.int32] | None, points: NDArray[np.float64], shape: tuple[int, ...]
) -> NDArray[np.int32]:
    """Return the (H, W) marker regions that the network sees.

    A point, or a region of fewer than 4 pixels, becomes a small disc.
    """
    from skimage.segmentation import expand_labels

    shown = np.zeros(shape, np.int32) if regions is None else regions.copy()
    area = np.bincount(shown.ravel(), minlength=len(points) + 1)[1:]
    small = area < SMALLEST_REGION
    alone = np.zeros(shape, np.int32)
    pixels = np.round(points[small]).astype(int).tolist()
    for number, pixel in zip(np.flatnonzero(small) + 1, pixels, strict=True):
        alone[_free_pixel(alone, tuple(pixel))] = number
    discs = expand_labels(alone, POINT_RADIUS)
    # A disc covers only background, and always its own centre.
    return np.where((discs > 0) & ((shown == 0) | (alone > 0)), discs, shown).astype(np.int32)


def _free_pixel(taken: NDArray[np.int32], pixel: tuple[int, int]) -> tuple[int, int]:
    """Return the nearest pixel that is 0, within the radius of a disc; else the pixel itself."""
    if not taken[pixel]:
        return pixel
    first = np.maximum(np.array(pixel) - POINT_RADIUS, 0)
    window = taken[
        tuple(slice(low, at + POINT_RADIUS + 1) for low, at in zip(first, pixel, strict=True))
    ]
    free = np.argwhere(window == 0) + first
    if not len(free):
        return pixel
    row, col = free[((free - pixel) ** 2).sum(axis=1).argmin()]
    return int(row), int(col)


def scale_for(inputs: Inputs, config: Config) -> float:
    """Return the scale of an image: crop pixels per image pixel."""
    # Without a marker there is no cell size; `Dataset` raises the error.
    if not len(inputs.points):
        return 1.0
    return scale_for_diameter(inputs.cell_diameter, inputs.mask.shape, config)


def scale_for_diameter(diameter: float, shape: tuple[int, ...], config: Config) -> float:
    """Return crop pixels per pixel of an image of that shape whose cells have that diameter."""
    wanted = config.crops.cell_size
    if wanted is None:
        return 1.0
    scale = float(np.clip(wanted / diameter, 1 / LARGEST_SCALE, LARGEST_SCALE))
    # Do not reduce an image below half a crop, the least that `make_dataset` accepts.
    return float(max(scale, min(1.0, config.crops.size / 2 / min(shape))))


def validation_crops(
    truth: Truth | None, inputs: Inputs, data: Dataset, config: Config
) -> Validation | None:
    """Map the file's validation crops to crops of the dataset. None if there are none."""
    if truth is None or truth.crop_cells is None:
        return None
    assert truth.crop_points is not None
    assert truth.crop_corners is not None
    distances, cells = cKDTree(inputs.points).query(truth.crop_points)
    # Skip a validation crop that has no marker near its centre, for example after an edit.
    near = np.flatnonzero(distances < inputs.cell_diameter / 2)
    if not len(near):
        return None
    # Of several crops with the same marker, the nearest is taken.
    nearest_crops = {cells[number]: number for number in near[np.argsort(-distances[near])]}
    known = np.sort(list(nearest_crops.values()))
    side, half = data.crop_size, data.crop_size // 2
    found = []
    for cell, corner, crop in zip(
        cells[known], truth.crop_corners[known], truth.crop_cells[known], strict=True
    ):
        whole = np.zeros(inputs.mask.shape, np.int32)
        whole[tuple(slice(c, c + n) for c, n in zip(corner, crop.shape, strict=True))] = crop
        padded = np.pad(nearest(whole, data.shape), half)
        row, col = data.origins[cell] + half
        found.append(padded[row : row + side, col : col + side] > 0)
    return Validation(cells[known], np.stack(found))
