"""Separates stains in colour pictures of sections: density and hematoxylin from red, green, blue.

The absorption of stains adds up in the logarithm of light (Beer and Lambert), so a linear
combination separates them: Ruifrok & Johnston, Anal. Quant. Cytol. Histol. 23, 291 (2001), with
their values for hematoxylin, eosin and DAB.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cellcutter_core.images.guesses.unimaged_gaps import gaps

Array = npt.NDArray[Any]

STAIN_CHANNELS = ("density", "hematoxylin", "red", "green", "blue")

# Rows processed at once. The separation works in 64-bit floats, which need much more memory than
# the picture.
ROWS = 256
# Larger pictures are sampled, so that they have at most this many pixels per side.
SIDE = 512
DENSEST = 1.2
"""The density that becomes the largest number: 6 % of the light passes. Higher densities are rare,
and 8 bits have few levels."""


def is_stained(rgb: Array) -> bool:
    """Whether a colour picture shows a stained section in transmitted light.

    Such a picture is mostly bright, and white where it is empty. Tissue is darker in all three
    colours, and in one of them clearly more than in another.

    Parameters
    ----------
    rgb : (H, W, 3) array of unsigned integers
    """
    if rgb.dtype not in (np.uint8, np.uint16):
        return False
    step = -(-max(rgb.shape[:2]) // SIDE)
    seen = rgb[::step, ::step]
    nothing = gaps(seen.max(axis=2))
    seen = seen.reshape(-1, 3) if nothing is None else seen[~nothing]
    density = _density(seen)
    lamp = np.percentile(density, 2, axis=0)
    white, usual = 10**-lamp, 10 ** -np.median(density, axis=0)
    if white.min() < 0.7 or usual.mean() < 0.4 or density.std(axis=0).min() == 0:
        return False
    together = np.corrcoef(density.T)
    # Without the colour of the light itself.
    mean = density.mean(axis=0) - lamp
    return bool(together.min() > 0.3 and mean.max() - mean.min() > 0.2 * mean.max())


def with_stains(rgb: Array, *, nothing: Sequence[float | None]) -> Array:
    """The channels of `STAIN_CHANNELS`.

    Parameters
    ----------
    rgb : (H, W, 3) array of uint8 or uint16
    nothing : sequence of one number or None
        The result of `unimaged_gaps.in_gaps` for the brightest colour of the whole picture.

    Returns
    -------
    (H, W, 5) array of the same data type
        Density is that of the luminance, from 0 for white to the largest value for `DENSEST`.
        Hematoxylin is on the same scale, with 0 for no stain. Both are 0 in gaps where nothing was
        imaged, see `cellcutter_core.images.guesses.unimaged_gaps`.
    """
    from skimage.color import rgb2gray, rgb2hed

    limit = np.iinfo(rgb.dtype).max
    found = np.empty((*rgb.shape[:2], 5), rgb.dtype)
    found[..., 2:] = rgb
    for top in range(0, len(rgb), ROWS):
        part = rgb[top : top + ROWS]
        gray = _density(rgb2gray(part) * limit, limit=limit) / DENSEST
        # Scikit-image gives stains as logarithms to the base of one millionth.
        stain = rgb2hed(part)[..., 0] * 6 / DENSEST
        for channel, values in enumerate((gray, stain)):
            found[top : top + ROWS, :, channel] = np.clip(values * limit + 0.5, 0, limit)
    brightest = rgb.max(axis=2)
    (number,) = nothing
    where = None if number is None else gaps(brightest, nothing=number)
    if where is not None:
        found[where, :2] = 0
    return found


def _density(light: Array, *, limit: int | None = None) -> npt.NDArray[np.float64]:
    """Optical density: minus the decadic logarithm of the share of light, at most log10(256)."""
    limit = limit or int(np.iinfo(light.dtype).max)
    share = light.astype(np.float64) / limit
    density: npt.NDArray[np.float64] = -np.log10(np.clip(share, 1 / 256, 1))
    return density
