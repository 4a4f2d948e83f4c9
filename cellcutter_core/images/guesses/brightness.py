"""Judges whether an image shows dark cells on a bright background, and inverts images.

All later steps expect cells that are brighter than their surroundings, as in fluorescence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cellcutter_core.images.guesses.clipping import bright_is_cell
from cellcutter_core.images.guesses.unimaged_gaps import gaps

# Larger images are sampled, so that they have at most this many pixels per side.
SIDE = 512
# Smooths noise, which is stronger in the bright parts of a picture than in the dark ones.
SIGMA = 1.5

LARGEST_SKEWNESS = -0.5
SMALLEST_SHARE = 0.55
LARGEST_ROUGHNESS = 0.6


def dark_on_bright(pixels: npt.NDArray[Any], *, white_is_zero: bool = False) -> bool:
    """Whether a picture shows cells darker than their background.

    It does if three conditions hold: most of it is bright (Otsu's threshold), the long tail of its
    intensities is on the dark side, and its bright part is much smoother than its dark part.
    Fluorescence fails all three, even where cells fill the image, because they are bright but not
    smooth. Phase contrast fails the second, because its halos are the extremes. In doubt the answer
    is False. Overexposed cells pass all three; they are told by their shape, see `clipping.py`.

    Parameters
    ----------
    pixels : (H, W, C) array of finite numbers
        One channel, or the colours of one picture.
    white_is_zero : bool
        Whether smaller numbers are shown brighter.

    Returns
    -------
    bool
    """
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    step = -(-max(pixels.shape[:2]) // SIDE)
    sample = pixels[::step, ::step].mean(axis=2, dtype=np.float64)
    imaged = _imaged(sample)
    if white_is_zero:
        sample = -sample
    low, high = np.percentile(sample[imaged], [0.5, 99.5])
    if not low < high:
        return False
    scaled = np.clip((sample - low) / (high - low), 0, 1)
    smooth = ndimage.gaussian_filter(scaled, SIGMA)
    away = smooth[imaged] - smooth[imaged].mean()
    spread = float(np.sqrt((away**2).mean()))
    if spread == 0 or float((away**3).mean()) / spread**3 > LARGEST_SKEWNESS:
        return False
    bright = smooth > threshold_otsu(smooth[imaged])
    if not SMALLEST_SHARE < bright[imaged].mean() < 1:
        return False
    # Keep away from the border between the parts, which is steep on both sides.
    parts = (bright & imaged, ~bright & imaged)
    inside = [ndimage.binary_erosion(part, iterations=3) for part in parts]
    if not all(part.any() for part in inside):
        inside = list(parts)
    slope = ndimage.gaussian_gradient_magnitude(scaled, SIGMA)
    of_bright, of_dark = (float(np.median(slope[part])) for part in inside)
    if not of_bright < LARGEST_ROUGHNESS * of_dark:
        return False
    # Overexposed cells are flat too, like the background of dark cells.
    usual = np.where(imaged, sample, np.median(sample[imaged]))
    cleaned = ndimage.median_filter(usual, 3).astype(np.float32)
    return bright_is_cell(cleaned) is not True


def turned_over(
    pixels: npt.NDArray[Any],
    *,
    brightest: npt.NDArray[Any],
    nothing: Sequence[float | None],
) -> npt.NDArray[Any]:
    """Invert an image: how far each pixel is below the brightest of its channel.

    Parameters
    ----------
    pixels : (H, W, C) array of integers or floats
    brightest : (C,) array of the same data type
        The brightest number of each channel in the whole image. Brighter pixels count as this.
    nothing : sequence of C numbers or None
        The result of `cellcutter_core.images.guesses.unimaged_gaps.in_gaps` for the whole image.

    Returns
    -------
    array of the same shape
        Of the same data type; for signed, the unsigned type of the same size. It is also 0 in gaps
        where nothing was imaged (see `guesses.unimaged_gaps`).

    Examples
    --------
    >>> pixels = np.array([[[250], [10]]], np.uint8)
    >>> turned_over(pixels, brightest=pixels[0, 0], nothing=[None])[..., 0]
    array([[  0, 240]], dtype=uint8)
    """
    empty = [
        None if number is None else gaps(pixels[..., channel], nothing=number)
        for channel, number in enumerate(nothing)
    ]
    pixels = np.minimum(pixels, brightest)
    if pixels.dtype.kind == "i":
        # Differences of signed numbers fit into unsigned ones, and wrapping gives the right result.
        unsigned = np.dtype(f"u{pixels.dtype.itemsize}")
        brightest, pixels = brightest.view(unsigned), pixels.view(unsigned)
    with np.errstate(over="ignore"):
        turned = np.asarray(brightest - pixels)
    if pixels.dtype.kind == "f" and not np.isfinite(turned).all():
        turned = np.asarray(brightest / 2 - pixels / 2)
    for index, where in enumerate(empty):
        if where is not None:
            turned[where, index] = 0
    return turned


def _imaged(sample: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """All pixels but the gaps of a mosaic and those near them that smoothing mixes with gaps."""
    from scipy import ndimage

    nothing = gaps(sample)
    if nothing is None:
        return np.ones(sample.shape, np.bool_)
    imaged = ~ndimage.binary_dilation(nothing, iterations=math.ceil(3 * SIGMA))
    return imaged if imaged.any() else ~nothing
