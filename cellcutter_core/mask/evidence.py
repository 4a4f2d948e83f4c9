"""How much every pixel looks like cell: a number from 0 to 1, on any scale of brightness.

The published graph cut takes brightness itself for the probability of cell, and a prior that suits
one image calls all of another one cell. Here the image says what cell means in it:

- *Background is where the image is smoothest.* In fluorescence that is the dark end of its
  brightnesses, in a stained section the bright end; where it is the middle, with rough pixels on
  both sides, as in phase contrast, roughness is the feature instead of brightness.
- *Uneven illumination* is the lower envelope of the image, a surface of second order.
- *The level that divides cell from background* is the one whose contour runs along the strongest
  edges, among all levels from Li's threshold of the logarithm, where dim cells are in, to Li's
  threshold of the brightness itself. What lies below has to be smooth: where it is structured
  like cells, as in tissue without gaps, it is divided again.
- *Outlines alone*, as of a membrane stain, are filled.

`cellcutter_core.mask.graph_cut` of the result, with the settings that come with it, is the mask.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from cellcutter_core.arguments import check_channels_last
from cellcutter_core.config import MaskSettings
from cellcutter_core.images.guesses.clipping import at_top
from cellcutter_core.images.guesses.gaps import filled_gaps
from cellcutter_core.images.local_contrast import AFTER_SMOOTHING, Floats, blurred, noise_level
from cellcutter_core.labels import along_border, check_labels
from cellcutter_core.mask.background import (
    Kind,
    appearance,
    dividing_level,
    level_above_background,
    roughness,
    shading,
    stabilised,
)
from cellcutter_core.mask.small_cells import SMALL, levels_of_small_cells, typical_width

Bools = NDArray[np.bool_]

STEEPNESS = 3.0
"""Log odds between the average pixel of cell and that of background."""

MAX_WEIGHT, SIGMA = 1.5, 0.08
"""Cost of an outline, in the same unit, and the step of evidence that makes it cheap."""

CERTAIN = 0.95
"""Evidence of pixels that are known to be cell: nuclei, and what outlines enclose."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What speaks for cell, and how it was found.

    Attributes
    ----------
    image : (H, W) float64
        From 0 to 1, both included.
    settings : MaskSettings
        Those with which the graph cut of `image` is the automatic mask.
    kinds : tuple of str
        For every cell channel what cells are there: "bright" or "dark" against the background, or
        known by their "texture".
    filled : bool
        Whether the image showed outlines of cells, and what they enclose was filled.
    """

    image: NDArray[np.float64]
    settings: MaskSettings
    kinds: tuple[Kind, ...]
    filled: bool


def evidence(
    cell: ArrayLike, nucleus: ArrayLike | None = None, *, nuclei: ArrayLike | None = None
) -> Evidence:
    """Judge every pixel by what the image itself shows of cells and background.

    Parameters
    ----------
    cell : (H, W) or (H, W, K) array
        Cell channels, on any scale. What is cell in one of them is cell.
    nucleus : (H, W) array, optional
        Nucleus channel: one more in which cells show.
    nuclei : (H, W) bool or label image, optional
        Where nuclei are; taken as certain. Better than `nucleus` where it is known.

    Returns
    -------
    Evidence

    Raises
    ------
    ValueError
        If the image is constant, not finite, the shapes do not fit together, channels seem to come
        first, or `nuclei` is neither a mask nor a label image.
    """
    channels = _channels(cell, nucleus)
    shape = channels[0].shape
    regions = _regions(nuclei, shape)
    judged = [_log_odds(channel, regions) for channel in channels if np.ptp(_cleaned(channel)) > 0]
    if not judged:
        raise ValueError(
            "cell is constant, but for single pixels at most, so nothing in it tells cell from "
            "background; choose another cell channel"
        )
    log_odds = np.max([odds for odds, _ in judged], axis=0).astype(np.float64)
    image = 1 / (1 + np.exp(-log_odds))
    inside = _enclosed(image > 0.5)
    known = inside if regions is None else inside | regions
    if known.all():
        raise ValueError("nuclei cover every pixel, so there is no background; check the nuclei")
    image[known] = np.maximum(image[known], CERTAIN)
    # The graph cut scales by minimum and maximum, as published. Evidence of 0.5 moves with that,
    # and the prior with it.
    low, high = float(image.min()), float(image.max())
    scaled_half = (0.5 - low) / (high - low)
    settings = MaskSettings(
        automatic=True,
        prior=float(np.clip(1 - scaled_half, 0.01, 0.99)),
        max_weight=MAX_WEIGHT,
        sigma=SIGMA,
        scaling="minmax",
    )
    image = (image - low) / (high - low)
    return Evidence(image, settings, tuple(kind for _, kind in judged), bool(inside.any()))


def _channels(cell: ArrayLike, nucleus: ArrayLike | None) -> list[Floats]:
    stack = np.asarray(cell)
    if stack.ndim not in (2, 3) or stack.size == 0:
        raise ValueError(f"cell has the shape {stack.shape}; allowed is (H, W) or (H, W, K)")
    check_channels_last(stack, "cell")
    stack = stack.reshape(*stack.shape[:2], -1)
    channels = [stack[..., k] for k in range(stack.shape[2])]
    if nucleus is not None:
        channels.append(np.asarray(nucleus))
        if channels[-1].shape != channels[0].shape:
            raise ValueError(
                f"nucleus has the shape {channels[-1].shape} and cell {channels[0].shape}; give "
                "one channel of the same pixels"
            )
    return [_in_unit_range(channel) for channel in channels]


def _in_unit_range(channel: NDArray[Any]) -> Floats:
    if not (np.issubdtype(channel.dtype, np.number) or channel.dtype == bool) or np.iscomplexobj(
        channel
    ):
        raise ValueError(f"cell holds {channel.dtype}; allowed are integers and floats")
    if not np.isfinite(channel).all():
        raise ValueError("cell has pixels that are NaN or infinite; replace them first")
    pixels = filled_gaps(channel).astype(np.float64)
    pixels -= pixels.min()
    return (pixels / max(float(pixels.max()), np.finfo(float).tiny)).astype(np.float32)


def _cleaned(channel: Floats) -> Floats:
    """Without hot pixels and salt noise, which the median of nine does not see."""
    return np.asarray(ndimage.median_filter(channel, 3), np.float32)


def _regions(nuclei: ArrayLike | None, shape: tuple[int, ...]) -> Bools | None:
    if nuclei is None:
        return None
    regions = np.asarray(nuclei)
    if regions.shape != shape:
        raise ValueError(
            f"nuclei has the shape {regions.shape} and cell {shape}; give one region image of the "
            "same pixels"
        )
    if regions.dtype != np.bool_:
        whole = regions.dtype.kind == "f" and bool((regions == np.round(regions)).all())
        check_labels(regions.astype(np.int64) if whole else regions, "nuclei")
    return np.asarray(regions > 0)


def _log_odds(channel: Floats, nuclei: Bools | None) -> tuple[Floats, Kind]:
    """Log odds of cell in one channel, 0 at the level that divides cell from background."""
    image = _cleaned(channel)
    kind = appearance(image, nuclei)
    if kind == "texture":
        brightness = roughness(image)
        brightness -= np.percentile(brightness, 0.1)
        smooth = brightness = np.maximum(brightness, 0)
    else:
        brightness = image.max() - image if kind == "dark" else image
        smooth = blurred(brightness, 1)
        surface = shading(smooth)
        surface += np.percentile(smooth - surface, 0.1)
        smooth = np.maximum(smooth - surface, 0)
        brightness = brightness - surface
    clipped = at_top(image)
    # Where nothing was cut off, nor beside it, there is noise to be seen.
    seen = None if clipped is None else ~ndimage.binary_dilation(clipped, iterations=2)
    noise = 0.0 if kind == "texture" else noise_level(channel, where=seen)
    level = dividing_level(smooth, noise)
    if kind != "texture":
        level = level_above_background(smooth, level, noise, nuclei, clipped=clipped)
    above = smooth > level
    width = typical_width(above) if kind != "texture" else np.inf
    if kind != "texture":
        contrast = float(np.median(smooth[above]) - np.median(smooth[~above]))
        # As little smoothing as brings the noise down to a tenth of the contrast.
        wanted = AFTER_SMOOTHING * noise / (0.1 * max(contrast, 1e-12))
        most = 2.0 if width > SMALL else 0.8
        brightness = np.maximum(blurred(brightness, float(np.clip(wanted, 0.5, most))), 0)
    scale = stabilised(brightness, noise)
    spread = float(scale[above].mean() - scale[~above].mean())
    limit = np.asarray(level, np.float32)
    if width <= SMALL:
        limit = levels_of_small_cells(brightness, above, level, width=width)
    middle = stabilised(limit, noise)
    return STEEPNESS * (scale - middle) / max(spread, 1e-12), kind


def _enclosed(bright: Bools) -> Bools:
    """Insides of cells of which only the outlines are bright; nothing where cells are solid.

    Outlines enclose many pieces of background of about the size of a cell, together larger than
    half of themselves. Pieces at the border of the image are insides too if they are not larger.
    """
    pieces, n = ndimage.label(~ndimage.binary_closing(np.pad(bright, 2), iterations=2)[2:-2, 2:-2])
    if n == 0:
        return np.zeros_like(bright)
    size = np.bincount(pieces.ravel(), minlength=n + 1)
    size[0] = 0
    at_border = np.zeros(n + 1, bool)
    at_border[along_border(pieces)] = True
    whole = (size >= 30) & ~at_border
    n_whole = int(whole.sum())
    typical = float(np.median(size[whole])) if n_whole else 0.0
    if n_whole < 10 or 2 * n_whole * typical < bright.sum():
        return np.zeros_like(bright)
    is_inside = (size > 0) & (~at_border | (size < 4 * typical))
    return np.asarray(is_inside[pieces], bool)
