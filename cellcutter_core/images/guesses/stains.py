"""Colour pictures of stained sections: the nuclear stain and the density, out of red, green, blue.

What a stain absorbs adds up in the logarithm of the light (Beer and Lambert), so the stains are
found by a linear combination: Ruifrok & Johnston, Anal. Quant. Cytol. Histol. 23, 291 (2001), with
their values for hematoxylin, eosin and DAB.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cellcutter_core.images.guesses.gaps import gaps, in_gaps

Array = npt.NDArray[Any]

STAIN_CHANNELS = ("density", "hematoxylin", "red", "green", "blue")

# Rows taken at once: the separation works in 64-bit floats, many times what a picture takes.
ROWS = 256
SIDE = 512
DENSEST = 1.2
"""The density of the largest number: 6 % of the light. More is rare, and 8 bits are few."""


def is_stained(rgb: Array) -> bool:
    """Whether a colour picture is that of a stained section, seen in transmitted light.

    Such a picture is bright, white where there is nothing, darkens in all three colours where
    there is tissue, and in one of them clearly more than in another.

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
    # Beside what the light itself lacks of one colour.
    mean = density.mean(axis=0) - lamp
    return bool(together.min() > 0.3 and mean.max() - mean.min() > 0.2 * mean.max())


def with_stains(rgb: Array, *, nothing: Sequence[float | None] | None = None) -> Array:
    """The channels of `STAIN_CHANNELS`.

    Parameters
    ----------
    rgb : (H, W, 3) array of uint8 or uint16
    nothing : sequence of one number or None, optional
        Of a part of a picture what `gaps.in_gaps` says of the brightest colour of
        all of it.

    Returns
    -------
    (H, W, 5) array of the same data type
        Density is that of the luminance, from 0 for white to the largest value for `DENSEST`.
        Hematoxylin is on the same scale as density, so that no stain is 0. Both are 0 where nothing
        was imaged, see `cellcutter_core.images.guesses.gaps`.
    """
    from skimage.color import rgb2gray, rgb2hed

    limit = np.iinfo(rgb.dtype).max
    found = np.empty((*rgb.shape[:2], 5), rgb.dtype)
    found[..., 2:] = rgb
    for top in range(0, len(rgb), ROWS):
        part = rgb[top : top + ROWS]
        gray = _density(rgb2gray(part) * limit, limit=limit) / DENSEST
        # Scikit-image measures stains in logarithms to the base of one millionth.
        stain = rgb2hed(part)[..., 0] * 6 / DENSEST
        for channel, values in enumerate((gray, stain)):
            found[top : top + ROWS, :, channel] = np.clip(values * limit + 0.5, 0, limit)
    brightest = rgb.max(axis=2)
    (number,) = in_gaps(brightest[..., None]) if nothing is None else nothing
    where = None if number is None else gaps(brightest, nothing=number)
    if where is not None:
        found[where, :2] = 0
    return found


def _density(light: Array, *, limit: int | None = None) -> npt.NDArray[np.float64]:
    """Minus the decadic logarithm of the share of light, up to that of black in 8 bits."""
    limit = limit or int(np.iinfo(light.dtype).max)
    share = light.astype(np.float64) / limit
    density: npt.NDArray[np.float64] = -np.log10(np.clip(share, 1 / 256, 1))
    return density
