"""Scales images, masks and labels to the size and intensities that the network sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellcutter_core.images.guesses.unimaged_gaps import filled_gaps, frame

ROBUST_PERCENTILES = (0.1, 99.9)

T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Normalisation:
    """Statistics that intensities are scaled by; all parts of an image are scaled by the same.

    Each statistic is computed once, when it is first needed.

    Attributes
    ----------
    pixels : (h, w, C) array
        All pixels of the whole image, or evenly spaced ones.
    """

    pixels: NDArray[Any]
    _of: dict[tuple[int, ...], Normalisation] = field(default_factory=dict, init=False)
    _limits: dict[str, list[tuple[float, float]]] = field(default_factory=dict, init=False)

    @classmethod
    def fit(cls, image: ArrayLike) -> Normalisation:
        """Return the normalisation of a whole image: (H, W) or (H, W, C)."""
        return cls(np.atleast_3d(np.asarray(image)))

    def of(self, channels: Sequence[int]) -> Normalisation:
        """Return the normalisation of some of the channels."""
        chosen = tuple(channels)
        if chosen not in self._of:
            self._of[chosen] = Normalisation(self.pixels[..., list(chosen)])
        return self._of[chosen]

    @cached_property
    def mean(self) -> NDArray[np.float64]:
        """(C,) mean of each channel."""
        return np.asarray(self.pixels.mean(axis=(0, 1), dtype=np.float64))

    @cached_property
    def deviation(self) -> NDArray[np.float64]:
        """(C,) standard deviation of each channel."""
        return np.asarray(self.pixels.std(axis=(0, 1), dtype=np.float64))

    @cached_property
    def spread(self) -> NDArray[Any]:
        """(C,) range from the 1st to the 99th percentile of each channel; 1 where it is 0."""
        low, high = np.percentile(self.pixels, [1, 99], axis=(0, 1))
        return np.where(high > low, high - low, 1)

    def plane(self, image: NDArray[Any]) -> NDArray[np.float64]:
        """Return (H, W), the sum of all channels of (H, W, C), each divided by its spread."""
        channels = np.moveaxis(image.astype(np.float64), -1, 0)
        return np.asarray(sum(c / s for c, s in zip(channels, self.spread, strict=True)))

    @cached_property
    def of_plane(self) -> Normalisation:
        """The normalisation of the image's `plane`; of a single channel, its own."""
        return self if self.pixels.shape[-1] == 1 else Normalisation.fit(self.plane(self.pixels))

    def limits(self, scaling: str) -> list[tuple[float, float]]:
        """Return the intensities of each channel that are scaled to 0 and 1, see `limits_of`."""
        if scaling not in self._limits:
            channels = (imaged(channel) for channel in np.moveaxis(self.pixels, -1, 0))
            self._limits[scaling] = [limits_of(c.astype(np.float64), scaling) for c in channels]
        return self._limits[scaling]

    @cached_property
    def darks(self) -> list[tuple[np.floating[Any], float]]:
        """The darkest intensity of each channel and the unit above it, see `logarithms`."""
        channels = np.moveaxis(self.pixels.astype(np.float32), -1, 0)
        return [_dark(filled_gaps(channel)) for channel in channels]

    @cached_property
    def of_logarithms(self) -> Normalisation:
        """The normalisation of the image's `logarithms`."""
        return Normalisation(logarithms(self.pixels, self))

    @cached_property
    def of_mean_channel(self) -> Normalisation:
        """The normalisation of the mean of all channels."""
        return Normalisation(self.pixels.mean(axis=-1, keepdims=True))


def limits_of(pixels: NDArray[np.float64], scaling: str) -> tuple[float, float]:
    """Return the intensities that are scaled to 0 and 1: percentiles if "robust", or the ends."""
    low, high = pixels.min(), pixels.max()
    if scaling == "robust":
        inner = np.percentile(pixels, ROBUST_PERCENTILES)
        # If more than 99.8 % of the pixels are equal, scale by the others.
        low, high = inner if inner[0] < inner[1] else (low, high)
    return low, high


def imaged(channel: NDArray[Any]) -> NDArray[Any]:
    """Return the channel, with an empty frame around the image filled as background."""
    return channel if frame(channel) is None else filled_gaps(channel)


def imaged_plane(image: ArrayLike, name: str) -> NDArray[np.float32]:
    """As `checked_plane`, with background in the gaps where nothing was imaged."""
    return checked_plane(filled_gaps(_checked(image, name)), name)


def checked_plane(image: ArrayLike, name: str) -> NDArray[np.float32]:
    """The image as float32 in [0, 1]. A ValueError says in one line why it cannot be used."""
    plane = _checked(image, name).astype(np.float64)
    low, high = plane.min(), plane.max()
    return np.asarray((plane - low) / max(high - low, np.finfo(float).tiny), np.float32)


def _checked(image: ArrayLike, name: str) -> NDArray[Any]:
    plane = np.asarray(image)
    if plane.ndim != 2 or plane.size == 0:
        raise ValueError(
            f"{name} has shape {plane.shape}, but one channel with axes (row, col) is needed; "
            "pass one plane, image[..., channel]"
        )
    if plane.dtype.kind not in "buif":
        raise ValueError(
            f"{name} has dtype {plane.dtype}, but intensities are integers or floats; convert it"
        )
    if not np.isfinite(float(plane.max()) - float(plane.min())):
        raise ValueError(
            f"{name} holds NaN or infinite pixels; replace them, for example with numpy.nan_to_num"
        )
    return plane


def logarithms(
    image: NDArray[Any], normalisation: Normalisation | None = None
) -> NDArray[np.float32]:
    """Return the logarithm of the intensity above the darkest pixels, linear below a unit.

    The unit is a tenth of the way from the darkest pixels to the median, about the noise of the
    dark; below it a logarithm would only amplify noise. Gaps where nothing was imaged count as
    background.

    Parameters
    ----------
    image : (H, W, C) array
    normalisation : Normalisation, optional
        That of the whole image, if `image` is a part of it.

    Returns
    -------
    (H, W, C) float32
    """
    channels = [filled_gaps(one) for one in np.moveaxis(image.astype(np.float32), -1, 0)]
    darks = [_dark(one) for one in channels] if normalisation is None else normalisation.darks
    logarithms = (
        np.asarray(np.log1p(np.maximum(channel - low, 0) / unit), np.float32)
        for channel, (low, unit) in zip(channels, darks, strict=True)
    )
    return np.stack(list(logarithms), axis=-1)


def _dark(channel: NDArray[np.float32]) -> tuple[np.floating[Any], float]:
    low, middle = np.percentile(channel, [0.1, 50])
    return low, max(0.1 * float(middle - low), 1e-3 * float(channel.max() - low), 1e-12)


def resized(channel: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    from skimage.transform import resize

    shrinks = shape[0] < channel.shape[0]
    return np.asarray(
        resize(channel, shape, order=1, anti_aliasing=shrinks, preserve_range=True), np.float32
    )


def nearest(field: NDArray[T], shape: tuple[int, ...]) -> NDArray[T]:
    rows, cols = (
        np.minimum(((np.arange(n) + 0.5) * old / n).astype(int), old - 1)
        for n, old in zip(shape, field.shape, strict=True)
    )
    return field[np.ix_(rows, cols)]
