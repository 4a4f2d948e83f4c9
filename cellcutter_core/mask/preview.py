"""A fast preview of the mask of given settings."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage as ndi
from skimage.measure import label

from cellcutter_core.config import MaskSettings
from cellcutter_core.mask.cut_solver import cut_of_pieces
from cellcutter_core.mask.graph_cut import (
    arguments_of,
    cut,
    cut_problem,
    from_log_odds,
    log_odds,
    noise_of,
    scaled_cell,
)

# The sizes that an image is reduced to. A graph cut of the first takes 0.1 s, or 0.3 s where masks
# of nearly the same energy differ much.
PREVIEW_PIXELS = 200 * 200
ROUGH_PIXELS = 400 * 400
# The cuts that a preview compares: a factor of max_weight, a step in the log-odds of the prior, and
# the fraction of a block by which the blocks are moved. A rough one takes the first alone.
PREVIEWED = (
    (1, 0, 0),
    *((1, step, 0) for step in (-0.3, -0.1, 0.1, 0.3)),
    *((factor, 0, 0) for factor in (0.5, 2)),
    *((1, 0, moved) for moved in (1 / 3, 2 / 3)),
)


def preview_mask(
    cell: ArrayLike, settings: MaskSettings, *, rough: bool = False
) -> NDArray[np.bool_]:
    """Nearly the mask of these settings, in a fraction of the time.

    The image is reduced to the means of blocks and cut with several settings around those chosen.
    These cuts show where outlines may run. A cut of the full image then decides on each pixel near
    such an outline, and on each piece between the outlines as a whole. Of all masks that leave
    these pieces whole, the result has the least energy.

    Parameters
    ----------
    cell, settings
        As for `mask_channels`; `settings.automatic` is taken as off.
    rough : bool
        Cut the reduced image with the chosen settings only. On the sample, over a grid of settings,
        this takes a quarter of the time; where masks of nearly the same energy differ much, it is
        wrong in up to 10 % of the pixels instead of 3 %.

    Returns
    -------
    (H, W) bool
    """
    scaled, values = scaled_cell(cell, settings), arguments_of(settings)
    n_pixels = ROUGH_PIXELS if rough else PREVIEW_PIXELS
    side = min(math.ceil(math.sqrt(scaled.size / n_pixels)), *scaled.shape)
    if side == 1:
        return cut(scaled, **values)
    seen = np.zeros(scaled.shape, np.int32)
    for factor, step, moved in PREVIEWED[:1] if rough else PREVIEWED:
        odds = log_odds(settings.prior) + step
        around = {**values, "prior": from_log_odds(odds)}
        around["max_weight"] *= factor
        seen = 2 * seen + _cut_of_blocks(scaled, side, round(moved * side), **around)
    near = ndi.maximum_filter(_edges(seen), 2 * side + 1)
    pieces = label(np.where(near, -1, seen), background=-1, connectivity=1)
    return cut_of_pieces(*cut_problem(scaled, **values), pieces)


def _cut_of_blocks(
    scaled: NDArray[np.float64],
    side: int,
    moved: int,
    *,
    prior: float,
    max_weight: float,
    sigma: float,
) -> NDArray[np.bool_]:
    """The cut of the means of blocks; the first block begins `moved` pixels outside of the image.

    A block of side k holds k² pixels but has only k pairs of neighbours across each of its sides.
    So relative to the cost of pixels, an outline costs 1/k of what it costs in the full image.

    Means have less noise, so they would make outlines too expensive. A difference d with normal
    noise of variance v costs on average sigma / s * exp(-d² / 2s²), with s² = sigma² + v. Here v is
    the variance that the means have lost.
    """
    lost = 2 * noise_of(scaled) ** 2 * (1 - 1 / side**2)
    noisy = math.sqrt(sigma**2 + lost)
    max_weight, sigma = max_weight * sigma / noisy, noisy
    height, width = scaled.shape
    padding = [(moved, -(n + moved) % side) for n in (height, width)]
    padded = np.pad(scaled, padding, mode="edge")
    blocks = padded.reshape(padded.shape[0] // side, side, padded.shape[1] // side, side)
    of_blocks = cut(
        blocks.mean(axis=(1, 3)), prior=prior, max_weight=max_weight / side, sigma=sigma
    )
    whole = of_blocks.repeat(side, axis=0).repeat(side, axis=1)
    return whole[moved : moved + height, moved : moved + width]


def _edges(values: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Pixels that have a neighbour of another value."""
    return np.asarray(ndi.maximum_filter(values, 3) != ndi.minimum_filter(values, 3))
