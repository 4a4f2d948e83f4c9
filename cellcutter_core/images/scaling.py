"""Scales images, masks and labels to the size and intensities that the network sees."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.images.guesses.gaps import filled_gaps

T = TypeVar("T", bound=np.generic)


def logarithm(
    channel: NDArray[np.float32], *, like: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Logarithm of the intensity above the darkest pixels, linear below a unit.

    The unit is a tenth of the way from the darkest pixels to the median, about the noise of the
    dark; below it a logarithm would only amplify noise. Gaps where nothing was imaged count as
    background. If `channel` is a part of an image, `like` is the whole of it, by which darkest
    pixels and unit are found.
    """
    channel = filled_gaps(channel)
    judged = channel if like is None else filled_gaps(like)
    low, middle = np.percentile(judged, [0.1, 50])
    unit = max(0.1 * float(middle - low), 1e-3 * float(judged.max() - low), 1e-12)
    return np.asarray(np.log1p(np.maximum(channel - low, 0) / unit), np.float32)


def logarithms(image: NDArray[Any], *, like: NDArray[Any] | None = None) -> NDArray[np.float32]:
    """(H, W, C): the `logarithm` of each channel."""
    channels = np.moveaxis(image.astype(np.float32), -1, 0)
    judged = channels if like is None else np.moveaxis(like.astype(np.float32), -1, 0)
    return np.stack([logarithm(c, like=j) for c, j in zip(channels, judged, strict=True)], axis=-1)


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
