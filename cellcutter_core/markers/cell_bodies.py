"""Finds one region in each cell, from a channel that shows cells and not their nuclei.

Such a channel says less than a nucleus channel, so more is guessed. The search depends on what
cells look like: bright bodies; dark insides where outlines are stained; or busy texture in
transmitted light, where a cell is no brighter than its surroundings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellcutter_core.config import SMALLEST_DIAMETER
from cellcutter_core.images.local_contrast import (
    Floats,
    Labels,
    blurred,
    compressed,
    noise_level,
    weighted_median,
)
from cellcutter_core.images.scaling import checked_plane, imaged_plane
from cellcutter_core.label_image import compact
from cellcutter_core.markers.cell_outlines import outline_diameter
from cellcutter_core.markers.nucleus_regions import (
    blob_diameter,
    nucleus_regions,
    reduced,
)
from cellcutter_core.mask.small_cells import diameter_of_small_cells

Look = Literal["bodies", "outlines", "texture"]

# Texture: sigma of its fine structure, and sigma of the average over it, in diameters of a patch of
# busy texture.
GRAIN, GATHER = 0.045, 0.11

# The diameter of patches is estimated this many times, in an image reduced until they measure
# about this many pixels.
SETTLES_IN, WORKING_PATCH = 4, 30.0

# Diameter of a cell for each look, in diameters of a busy patch. In transmitted light it is right
# within a third at every magnification. Where bodies are stained it is right only within a factor
# of two, and cells of more than about 60 pixels are estimated too small: give the diameter there.
# For stained outlines `outline_diameter` usually finds the diameter instead.
CELL_PER_PATCH: dict[Look, float] = {"bodies": 1.0, "outlines": 1.8, "texture": 1.0}

# Ratio of structure as wide as a quarter of a patch to structure as wide as 1.7 patches, on the
# compressed scale: 0.5 to 0.9 where bodies are stained, 0.9 to 2.1 for outlines, 3 and more in
# transmitted light.
FINE_OF_OUTLINES, FINE_OF_TEXTURE = 1.0, 2.5

# In transmitted light debris is textured too. Area times texture of a cell is at least this share
# of that of a typical cell.
LIGHTEST = 0.4

# Least share of a region that lies in the mask. It is low because blur widens regions beyond cells.
IN_MASK = 0.25


def cell_regions(
    cell: ArrayLike,
    *,
    mask: NDArray[np.bool_] | None = None,
    diameter: float | None = None,
) -> Labels:
    """Find one region in each cell.

    Parameters
    ----------
    cell : (H, W) array, integer or float
    mask : (H, W) bool, optional
        True where there are cells. A region with less than a quarter inside the mask is dropped.
    diameter : float, optional
        Typical diameter of a cell in pixels. The default is a rough estimate. Give a larger value
        if cells are found in pieces, a smaller one if several cells are found as one.

    Returns
    -------
    (H, W) int32
        0 for background, 1..N for cells. A region marks its cell but is not its outline.

    Raises
    ------
    ValueError
        If `cell` is not a finite (H, W) image, `mask` is not a mask of its shape, or `diameter`
        is below 6 pixels.
    """
    image = imaged_plane(cell, "cell")
    if mask is not None and (mask.shape != image.shape or mask.dtype != np.bool_):
        raise ValueError(
            f"mask is {mask.dtype} of shape {mask.shape}, but has to be bool of the image's shape "
            f"{image.shape}, True where there are cells"
        )
    log = _logarithm(image)
    look, patch, guessed = _look_and_size(image, log, mask)
    diameter = diameter or guessed
    if look == "texture":
        texture = _texture(image, patch)
        regions = nucleus_regions(texture, diameter=diameter, linear_below=0.1)
        regions = _heavy(regions, texture)
    else:
        shown = log if look == "bodies" else -log
        regions = nucleus_regions(shown, diameter=diameter, linear_below=1.0)
    if mask is not None:
        area = np.bincount(regions.ravel())
        inside = np.bincount(regions[mask], minlength=len(area))
        regions = np.where((inside >= IN_MASK * area)[regions], regions, 0)
        if diameter_of_small_cells(mask) is not None:
            # In small cells one extra pixel all round doubles the area.
            regions = np.where(mask, regions, 0)
    return compact(regions)[0]


def cell_diameter(cell: ArrayLike, *, mask: NDArray[np.bool_] | None = None) -> float:
    """Typical diameter of the cells in pixels: the default of `cell_regions`."""
    image = imaged_plane(cell, "cell")
    return _look_and_size(image, _logarithm(image), mask)[2]


def _look_and_size(
    image: Floats, log: Floats, mask: NDArray[np.bool_] | None
) -> tuple[Look, float, float]:
    """What cells look like, and the diameters of a busy patch and of a cell."""
    patch = _patch_diameter(image)
    if mask is not None and (small := diameter_of_small_cells(mask)) is not None:
        # Rely on the mask: gaps between small cells look like the inside of large ones.
        return "bodies", patch, max(small, SMALLEST_DIAMETER)
    look = _look(log, _texture(image, patch), patch)
    if look == "texture":
        patch = _settled(image, patch)
    elif (lines := outline_diameter(log, mask)) is not None:
        return "outlines", patch, lines
    return look, patch, max(CELL_PER_PATCH[look] * patch, SMALLEST_DIAMETER)


def _logarithm(image: Floats) -> Floats:
    height = np.maximum(image - np.float32(np.percentile(image, 1)), 0)
    return compressed(height, noise=noise_level(image), linear_below=0.05)


def _texture(image: Floats, patch: float) -> Floats:
    """Local standard deviation of the fine structure."""
    return _local_deviation(image, max(GRAIN * patch, 0.8), max(GATHER * patch, 2.0))


def _patch_diameter(
    image: Floats, looks: Sequence[tuple[float, float]] = ((0.8, 2.0), (2.0, 5.0))
) -> float:
    """Diameter in pixels of the patches of busy texture.

    A coarser scale finds larger patches. So this is the geometric mean over several scales, each a
    pair of sigmas in pixels: that of the fine structure, and that of the average over it.
    """
    found = [
        blob_diameter(_local_deviation(image, grain, gather), linear_below=0.1)
        for grain, gather in looks
    ]
    return float(np.exp(np.mean(np.log(found))))


def _settled(image: Floats, patch: float) -> float:
    """The diameter of patches, measured again at scales in proportion to it until it settles."""
    for _ in range(SETTLES_IN):
        factor = max(1, int(patch / WORKING_PATCH))
        small = reduced(image, factor)
        grains = (max(share * patch / factor, 0.6) for share in (0.02, 0.06))
        patch = factor * _patch_diameter(small, [(g, max(2.5 * g, 1.5)) for g in grains])
    return patch


def _local_deviation(image: Floats, grain: float, gather: float) -> Floats:
    fine = image - blurred(image, 2 * grain)
    return checked_plane(np.sqrt(np.maximum(blurred(fine**2, gather), 0)), "cell")


def _look(log: Floats, texture: Floats, patch: float) -> Look:
    busy = texture > np.percentile(texture, 50)
    if not busy.any():
        return "bodies"
    fine, coarse = (_bright_structure(log, share * patch)[busy].mean() for share in (0.25, 1.7))
    ratio = np.sqrt(fine / max(coarse, 1e-30))
    if ratio > FINE_OF_TEXTURE:
        return "texture"
    return "outlines" if ratio > FINE_OF_OUTLINES else "bodies"


def _bright_structure(image: Floats, diameter: float) -> Floats:
    """Energy of structures about `diameter` wide that are brighter than their surroundings."""
    sigma = diameter / (2 * 2**0.5)
    band = blurred(image, sigma / 2**0.25) - blurred(image, sigma * 2**0.25)
    return np.asarray(np.maximum(band, 0) ** 2, np.float32)


def _heavy(regions: Labels, texture: Floats) -> Labels:
    """Drop regions whose area times texture is small compared with the others."""
    area = np.bincount(regions.ravel()).astype(np.float64)
    area[0] = 0
    if not area.any():
        return regions
    calm = float(np.percentile(texture, 20))
    weight = np.bincount(regions.ravel(), np.maximum(texture - calm, 0).ravel()).astype(np.float64)
    weight[0] = 0
    keep = weight >= LIGHTEST * weighted_median(weight, weight)
    keep[0] = False
    return np.where(keep[regions], regions, 0).astype(np.int32)
