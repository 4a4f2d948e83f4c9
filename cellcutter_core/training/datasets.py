"""From inputs to a dataset: the image in the size and intensities in which the network sees it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cellcutter_core.config import Config, check_current
from cellcutter_core.images.scaling import logarithms, nearest, resized
from cellcutter_core.training.crops import Dataset
from cellcutter_core.training.inputs import Inputs, Truth
from cellcutter_core.training.loop import Validation

# An image is never enlarged or reduced by more than this to bring its cells to the wanted size.
LARGEST_SCALE = 4.0
# Radius in crop pixels at which the network sees a marker of which only the point is known.
POINT_RADIUS = 3


def make_dataset(inputs: Inputs, config: Config) -> Dataset:
    """The crops of an image, in the size and intensities in which the network sees them.

    Raises
    ------
    ValueError
        If the mask is empty or full, the settings are of an earlier version, or for what `Dataset`
        refuses.
    """
    check_current(config)
    if not inputs.mask.any():
        raise ValueError(
            "the mask has no cell area at all; raise prior, or choose the automatic mask"
        )
    # A part may well lie in the middle of cells.
    if inputs.mask.all() and inputs.like is None:
        raise ValueError(
            "the mask has no background at all; lower prior, or choose the automatic mask"
        )
    scale = scale_for(inputs, config)
    image, like = inputs.image.astype(np.float32), inputs.like
    if config.crops.intensity == "log":
        image = logarithms(image, like=like)
        like = None if like is None else logarithms(like)
    mask, nuclei = inputs.mask, inputs.nuclei
    taught = config.network.start == "simulated"
    if taught:
        # One channel, however many there are: it was taught with one.
        image = image.mean(axis=-1, keepdims=True)
        like = None if like is None else like.mean(axis=-1, keepdims=True)
    territory = inputs.territory if taught else None
    shape = tuple(round(n * scale) for n in mask.shape)
    if 2 * min(shape) < config.crops.size:
        rows, cols = mask.shape
        # None is made smaller than that.
        larger = f", enlarged {scale:.2g} times for its cells to have the wanted size,"
        so = larger if scale > 1 else ""
        raise ValueError(
            f"the image of {rows}×{cols} pixels{so} is smaller than half of one crop of "
            f"{config.crops.size}×{config.crops.size}; choose a smaller crop size or a larger image"
        )
    if scale != 1:
        image = np.stack([resized(image[..., c], shape) for c in range(image.shape[-1])], axis=-1)
        mask = resized(mask.astype(np.float32), shape) > 0.5
        nuclei = None if nuclei is None else nearest(nuclei, shape)
        territory = None if territory is None else territory.resized(shape)
    factors = np.array(mask.shape) / inputs.mask.shape
    points = np.clip((inputs.points + 0.5) * factors - 0.5, 0, np.array(mask.shape) - 1)
    if taught:
        nuclei = shown_markers(nuclei, points, mask.shape)
    return Dataset(
        image,
        points,
        ~mask,
        crop_size=config.crops.size,
        sigma=config.crops.sigma,
        nuclei=nuclei,
        territory=territory,
        like=like,
    )


def shown_markers(
    regions: NDArray[np.int32] | None, points: NDArray[np.float64], shape: tuple[int, ...]
) -> NDArray[np.int32]:
    """(H, W) region of each marker that the network sees: a small disc where it is a point.

    Regions that hardly have a pixel left after rescaling are points too.
    """
    from skimage.segmentation import expand_labels

    shown = np.zeros(shape, np.int32) if regions is None else regions.copy()
    area = np.bincount(shown.ravel(), minlength=len(points) + 1)[1:]
    small = area < 4
    rows, cols = np.round(points[small]).astype(int).T
    alone = np.zeros(shape, np.int32)
    alone[rows, cols] = np.flatnonzero(small) + 1
    discs = expand_labels(alone, POINT_RADIUS)
    return np.where((discs > 0) & ((shown == 0) | (alone > 0)), discs, shown).astype(np.int32)


def scale_for(inputs: Inputs, config: Config) -> float:
    """Crop pixels for each pixel of the image."""
    # Without a marker there is no size of a cell; `Dataset` says so.
    if not len(inputs.points):
        return 1.0
    return scale_of_cells(inputs.cell_diameter, inputs.mask.shape, config)


def scale_of_cells(diameter: float, shape: tuple[int, ...], config: Config) -> float:
    """Crop pixels for each pixel of an image of that shape whose cells have that diameter."""
    wanted = config.crops.cell_size
    if wanted is None:
        return 1.0
    scale = float(np.clip(wanted / diameter, 1 / LARGEST_SCALE, LARGEST_SCALE))
    # An image that was large enough for crops shall be so still.
    return float(max(scale, min(1.0, config.crops.size / 2 / min(shape))))


def validation_crops(
    truth: Truth | None, inputs: Inputs, data: Dataset, config: Config
) -> Validation | None:
    """The validation crops of a file as crops of the dataset, or None where there are none."""
    if truth is None or truth.crop_cells is None:
        return None
    assert truth.crop_points is not None
    assert truth.crop_corners is not None
    distances, cells = cKDTree(inputs.points).query(truth.crop_points)
    # A marker that is not where the file had one has no true cell.
    known = distances < config.crops.sigma
    if not known.any():
        return None
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
