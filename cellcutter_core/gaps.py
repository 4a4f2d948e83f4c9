"""Where nothing was imaged: the empty parts of a mosaic, which are one number throughout.

The step from them to the background of the image is no structure of it, and what is dark or noisy
cannot be judged by them. So whatever finds something automatically fills them with background.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cellcutter_core.nuclei.local_contrast import noise_level

LEAST_SHARE = 0.01
"""Gaps that are a smaller share of the image do no harm."""

SPECK = 15
"""What is narrower than so many pixels is no gap."""

SMALLEST_SIDE = 64
"""No mosaic is narrower than so many pixels."""

STRAIGHT, STRAIGHT_SHARE = 48, 0.8
"""The rim of a gap runs for so many pixels along rows or columns at least, in so large a share: it
is that of a camera's field. Where dark background was cut off at zero it follows the cells."""

BACKGROUND, DARK = 10, 30
"""Percentiles of the image: a usual pixel of its background, and what is certainly dark."""


def gaps(
    channel: npt.NDArray[Any], *, nothing: float | None = None
) -> npt.NDArray[np.bool_] | None:
    """Where nothing was imaged.

    Parameters
    ----------
    channel : (H, W) array
        Nothing is the smallest number in it.
    nothing : number, optional
        What it is in the gaps of the image that this is a part of, where that has some: it is one
        here too, whatever its share and form.

    Returns
    -------
    (H, W) bool or None
        None where there is no gap.
    """
    if nothing is not None:
        opened = _opened(channel == nothing)
        return opened if opened.any() else None
    if min(channel.shape) < SMALLEST_SIDE:
        return None
    empty = channel == channel.min()
    if not LEAST_SHARE <= empty.mean() < 1:
        return None
    opened = _opened(empty)
    if opened.mean() < LEAST_SHARE:
        return None
    sides = (opened[1:] != opened[:-1], (opened[:, 1:] != opened[:, :-1]).T)
    n_sides = sum(int(np.count_nonzero(side)) for side in sides)
    straight = sum(_in_long_runs(side) for side in sides)
    return opened if n_sides and straight >= STRAIGHT_SHARE * n_sides else None


def in_gaps(pixels: npt.NDArray[Any]) -> tuple[float | None, ...]:
    """For each channel of (H, W, C) what stands where nothing was imaged; None where all was."""
    channels = np.moveaxis(pixels, -1, 0)
    return tuple(None if gaps(channel) is None else float(channel.min()) for channel in channels)


def filled_gaps(
    channel: npt.NDArray[Any], *, like: npt.NDArray[Any] | None = None
) -> npt.NDArray[Any]:
    """A channel with background where nothing was imaged; itself where there is no gap.

    Parameters
    ----------
    channel : (H, W) array
    like : (h, w) array, optional
        Pixels of all of the image that this is a part of, with its background.

    Returns
    -------
    (H, W) array of the same data type
        In a gap it is background with the noise of the dark, always the same.
    """
    background = Background(channel if like is None else like)
    return background.filled(
        channel, background.gaps if like is None else background.in_part(channel)
    )


class Background:
    """The background of an image, found once for all parts of it.

    Parameters
    ----------
    image : (H, W) array
        Pixels of all of it.
    """

    def __init__(self, image: npt.NDArray[Any]) -> None:
        self.image = image

    @cached_property
    def gaps(self) -> npt.NDArray[np.bool_] | None:
        """Where nothing was imaged."""
        return gaps(self.image)

    def in_part(self, part: npt.NDArray[Any]) -> npt.NDArray[np.bool_] | None:
        """Where nothing was imaged in a part of it."""
        return gaps(part, nothing=None if self.gaps is None else float(self.image.min()))

    def filled(
        self, part: npt.NDArray[Any], where: npt.NDArray[np.bool_] | None
    ) -> npt.NDArray[Any]:
        """A part with background in its gaps, see `filled_gaps`."""
        # What there is nothing of but a gap says no more with noise in it.
        if where is None or where.all():
            return part
        values = np.random.default_rng(0).normal(*self._level, int(np.count_nonzero(where)))
        if part.dtype.kind in "iu":
            limits = np.iinfo(part.dtype)
            values = np.clip(np.round(values), limits.min, limits.max)
        filled = part.copy()
        filled[where] = values
        return filled

    @cached_property
    def _level(self) -> tuple[float, float]:
        """A usual pixel of it, and the noise of the dark."""
        imaged = np.ones(self.image.shape, bool) if self.gaps is None else ~self.gaps
        usual, dark = np.percentile(self.image[imaged], (BACKGROUND, DARK))
        noise = noise_level(self.image.astype(np.float32), where=imaged & (self.image <= dark))
        return float(usual), float(noise)


def _opened(empty: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Without what is narrower than `SPECK`."""
    # The image is taken to go on in the same way beyond its edge.
    padded = np.pad(empty, SPECK, mode="edge")
    inner = ndimage.minimum_filter(padded, SPECK)
    opened = ndimage.maximum_filter(inner, SPECK)[SPECK:-SPECK, SPECK:-SPECK]
    return np.asarray(opened & empty)


def _in_long_runs(sides: npt.NDArray[np.bool_]) -> int:
    """How many of the sides lie in a row of at least `STRAIGHT`."""
    steps = np.diff(np.pad(sides, ((0, 0), (1, 1))).astype(np.int8).ravel())
    lengths = np.flatnonzero(steps < 0) - np.flatnonzero(steps > 0)
    return int(lengths[lengths >= STRAIGHT].sum())
