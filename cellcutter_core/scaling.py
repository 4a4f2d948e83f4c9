"""An image, its mask and its labels in the size and intensities in which the network sees them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def logarithm(channel: NDArray[np.float32]) -> NDArray[np.float32]:
    """log of the intensity above the darkest, with the noise of the dark as its unit.

    Where most of an image is dark the noise of the dark is what small differences have to be
    held against; below it the logarithm would only blow up noise.
    """
    low, middle = np.percentile(channel, [0.1, 50])
    unit = max(0.1 * float(middle - low), 1e-3 * float(channel.max() - low), 1e-12)
    return np.asarray(np.log1p(np.maximum(channel - low, 0) / unit), np.float32)


def resized(channel: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    from skimage.transform import resize

    shrinks = shape[0] < channel.shape[0]
    return np.asarray(
        resize(channel, shape, order=1, anti_aliasing=shrinks, preserve_range=True), np.float32
    )


def nearest(labels: NDArray[np.int32], shape: tuple[int, ...]) -> NDArray[np.int32]:
    rows, cols = (
        np.minimum(((np.arange(n) + 0.5) * old / n).astype(int), old - 1)
        for n, old in zip(shape, labels.shape, strict=True)
    )
    return labels[np.ix_(rows, cols)]
