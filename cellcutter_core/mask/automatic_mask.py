"""The automatic mask: a graph cut of a foreground probability that is found from the image itself.

The published graph cut uses brightness as the probability of cell. A prior that suits one image
then calls all of another image cell. Here the probability depends on what the image shows:

- *Background is where the image is smoothest.* In fluorescence these are its darkest pixels, in a
  stained section its brightest. Where medium brightnesses are smoothest, with rough pixels on both
  sides, as in phase contrast, roughness replaces brightness.
- *Uneven illumination* is the lower envelope of the image, a surface of second order.
- *The level that divides cell from background* is the one whose contour runs along the strongest
  edges. It is searched from Li's threshold of the logarithm, which includes dim cells, to Li's
  threshold of the brightness itself. The part below must be smooth: where it is structured like
  cells, as in tissue without gaps, it is divided again.
- *Where only outlines are bright*, as with a membrane stain, they are filled.

The mask is `cellcutter_core.mask.graph_cut` of it, with the settings that come with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from cellcutter_core.config import MaskSettings
from cellcutter_core.images.guesses.clipping import at_top
from cellcutter_core.images.local_contrast import AFTER_SMOOTHING, Floats, blurred, noise_level
from cellcutter_core.images.scaling import imaged_plane
from cellcutter_core.label_image import along_border, check_labels
from cellcutter_core.mask.background import (
    Kind,
    appearance,
    dividing_level,
    level_above_background,
    roughness,
    shading,
    stabilised,
)
from cellcutter_core.mask.graph_cut import arguments_of, cell_stack, cut
from cellcutter_core.mask.small_cells import SMALL, levels_of_small_cells, typical_width

Bools = NDArray[np.bool_]

STEEPNESS = 3.0
"""Difference in log-odds between the average pixel of cells and that of background."""

MAX_WEIGHT, SIGMA = 1.5, 0.08
"""Cost of an outline, in the same unit, and the step in probability that makes it cheap."""

CERTAIN = 0.95
"""Foreground probability of pixels known to be cell: nuclei, and what outlines enclose."""


@dataclass(frozen=True, eq=False)
class Foreground:
    """The foreground probability, and how it was found.

    Attributes
    ----------
    image : (H, W) float64
        Foreground probability, from 0 to 1, both included.
    settings : MaskSettings
        The settings with which the graph cut of `image` is the automatic mask.
    kinds : tuple of str
        How cells look in every channel: "bright" or "dark" against the background, or told by
        their "texture".
    filled : bool
        Whether the image showed only outlines of cells, which were filled.
    """

    image: NDArray[np.float64]
    settings: MaskSettings
    kinds: tuple[Kind, ...]
    filled: bool


def automatic_mask(
    cell: ArrayLike, nucleus: ArrayLike | None = None, *, nuclei: ArrayLike | None = None
) -> tuple[NDArray[np.bool_], Foreground]:
    """The mask without settings, in fluorescence, phase contrast or bright field.

    The graph cut runs on the foreground probability (`find_foreground`) instead of on brightness.

    Parameters
    ----------
    cell : (H, W) or (H, W, K) array
        One or more cell channels, on any scale.
    nucleus : (H, W) array, optional
        Nucleus channel. Nuclei in it are part of the mask.
    nuclei : (H, W) bool or label image, optional
        Regions of nuclei, if known. Better than the channel.

    Returns
    -------
    mask : (H, W) bool
        True where there are cells.
    foreground : Foreground
        The foreground probability: ``mask`` is ``graph_cut(foreground.image, **arguments)`` with
        the prior, max_weight, sigma and scaling of ``foreground.settings``.

    Raises
    ------
    ValueError
        If the image is constant, not finite, the shapes do not fit together, or channels seem to
        come first.
    """
    found = find_foreground(cell, nucleus, nuclei=nuclei)
    return cut(found.image, **arguments_of(found.settings)), found


def find_foreground(
    cell: ArrayLike, nucleus: ArrayLike | None = None, *, nuclei: ArrayLike | None = None
) -> Foreground:
    """Find the foreground probability of every pixel from the image itself.

    Parameters
    ----------
    cell : (H, W) or (H, W, K) array
        Cell channels, on any scale. A pixel that is cell in one of them is cell.
    nucleus : (H, W) array, optional
        Nucleus channel, used as one more cell channel.
    nuclei : (H, W) bool or label image, optional
        Where nuclei are; taken as certain. Better than `nucleus` where known.

    Returns
    -------
    Foreground

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
            "cell is constant, or differs only in single pixels, so it does not show cells; "
            "choose another cell channel"
        )
    log_odds = np.max([odds for odds, _ in judged], axis=0).astype(np.float64)
    image = 1 / (1 + np.exp(-log_odds))
    inside = _enclosed(image > 0.5)
    known = inside if regions is None else inside | regions
    if known.all():
        raise ValueError("nuclei cover every pixel, so there is no background; check the nuclei")
    image[known] = np.maximum(image[known], CERTAIN)
    # The graph cut scales by minimum and maximum, as published. That moves the probability 0.5, so
    # the prior moves with it.
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
    return Foreground(image, settings, tuple(kind for _, kind in judged), bool(inside.any()))


def _channels(cell: ArrayLike, nucleus: ArrayLike | None) -> list[Floats]:
    channels = list(np.moveaxis(np.atleast_3d(cell_stack(cell)), -1, 0))
    if nucleus is not None:
        channels.append(np.asarray(nucleus))
        if channels[-1].shape != channels[0].shape:
            raise ValueError(
                f"nucleus has the shape {channels[-1].shape} and cell {channels[0].shape}; give "
                "one channel of the same pixels"
            )
    return [imaged_plane(channel, "cell") for channel in channels]


def _cleaned(channel: Floats) -> Floats:
    """The channel after a 3 x 3 median, which removes hot pixels and salt noise."""
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
    """Log-odds of cell in one channel, 0 at the level that divides cell from background."""
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
    # Noise is measured only where brightness was not cut off, and not next to such pixels.
    seen = None if clipped is None else ~ndimage.binary_dilation(clipped, iterations=2)
    noise = 0.0 if kind == "texture" else noise_level(channel, where=seen)
    level = dividing_level(smooth, noise)
    if kind != "texture":
        level = level_above_background(smooth, level, noise, nuclei, clipped=clipped)
    above = smooth > level
    width = typical_width(above) if kind != "texture" else np.inf
    if kind != "texture":
        contrast = float(np.median(smooth[above]) - np.median(smooth[~above]))
        # The least smoothing that brings the noise down to a tenth of the contrast.
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
    """Insides of cells where only outlines are bright; all False where cells are solid.

    Cells are outlines if they enclose many pieces of background of about the size of a cell, with
    a total area of more than half that of the outlines. A piece at the border of the image is an
    inside too unless it is much larger than the others.
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
