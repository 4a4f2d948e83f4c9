"""The height of every pixel above its local background, on any scale of brightness.

Nuclei are searched in this and never in raw intensities. So haze, uneven illumination and the
camera's offset drop out, and a dim nucleus counts as much as a bright one beside it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Labels = NDArray[np.int32]
Floats = NDArray[np.float32]

# Medians of regions are taken from this many levels of brightness; one is a step of about 2 %.
N_LEVELS = 256

# Below this share of the bright end, heights are not compressed.
LINEAR_BELOW = 0.02

# The share of white noise left by a Gaussian of `sigma` pixels is this over sigma: 1 / (2 √π).
AFTER_SMOOTHING = 0.28


def blurred(image: Floats, sigma: float) -> Floats:
    """The image after a Gaussian of `sigma` pixels; below 0.3, the image itself."""
    if sigma < 0.3:
        return image
    return np.asarray(ndimage.gaussian_filter(image, sigma, truncate=3.0), np.float32)


def noise_level(image: Floats, *, where: NDArray[np.bool_] | None = None) -> float:
    """Standard deviation of pixel noise, in the whole image or only in `where`.

    It comes from the median of second differences in both directions, which smooth structure does
    not affect [1]_.

    References
    ----------
    .. [1] Immerkær, J. (1996). Fast noise variance estimation. Computer Vision and Image
       Understanding 64, 300-302.
    """
    if min(image.shape) < 3:
        return 0.0
    rows = image[2:] + image[:-2] - 2 * image[1:-1]
    both = rows[:, 2:] + rows[:, :-2] - 2 * rows[:, 1:-1]
    differences = both.ravel() if where is None else both[where[1:-1, 1:-1]]
    if not differences.size:
        return 0.0
    every = max(1, differences.size // 200_000)
    return float(1.4826 * np.median(np.abs(differences[::every])) / 6)


def weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """The value below which half of the weight lies."""
    order = np.argsort(values)
    weight = np.cumsum(weights[order])
    return float(values[order[min(np.searchsorted(weight, weight[-1] / 2), len(order) - 1)]])


def compressed(height: Floats, *, noise: float, linear_below: float = LINEAR_BELOW) -> Floats:
    """Height above background on a scale that is linear at the noise level, logarithmic above.

    Parameters
    ----------
    height : (H, W) float32
    noise : float
        Standard deviation of the noise, in units of `height`.
    linear_below : float
        The scale is linear at least up to this share of the bright end.
    """
    unit = max(3 * noise, linear_below * bright_end(height), 1e-3 * float(height.max()), 1e-12)
    return np.asarray(np.arcsinh(height / np.float32(unit)), np.float32)


def bright_end(height: Floats) -> float:
    """The height that 99.5 % of the pixels lie below."""
    return float(np.percentile(height[::3, ::3], 99.5))


def background(image: Floats, diameter: float) -> Floats:
    """The background between nuclei: a low percentile of the surroundings, smoothed.

    Parameters
    ----------
    image : (H, W) float32
    diameter : float
        Typical diameter of a nucleus in pixels. The surroundings are three diameters wide.

    Returns
    -------
    (H, W) float32
    """
    tile = max(2, round(diameter))
    # About eight rows and columns of a tile are enough for a percentile.
    step = max(1, tile // 8)
    side = max(1, tile // step)
    coarse = image[::step, ::step]
    coarse = np.pad(coarse, [(0, -n % side) for n in coarse.shape], mode="symmetric")
    n_rows, n_cols = (n // side for n in coarse.shape)
    tiles = coarse.reshape(n_rows, side, n_cols, side).swapaxes(1, 2).reshape(n_rows, n_cols, -1)
    low = np.percentile(tiles, 5, axis=2).astype(np.float32)
    low = blurred(ndimage.minimum_filter(low, 3), 0.75)
    for axis, n in enumerate(image.shape):
        where = np.clip((np.arange(n) / step + 0.5) / side - 0.5, 0, low.shape[axis] - 1)
        before = where.astype(int)
        after = np.minimum(before + 1, low.shape[axis] - 1)
        share = (where - before).astype(np.float32).reshape((-1, 1) if axis == 0 else (1, -1))
        low = low.take(before, axis) * (1 - share) + low.take(after, axis) * share
    return np.asarray(low, np.float32)


class LocalContrast:
    """An image prepared for finding nuclei of a given size.

    Parameters
    ----------
    image : (H, W) float32
    diameter : float
        Typical diameter of a nucleus in pixels.
    linear_below : float
        See `compressed`.

    Attributes
    ----------
    height : (H, W) float32
        Height above the local background, smoothed a little, at least 0.
    scaled : (H, W) float32
        `height`, `compressed`.
    diameter, noise, bright : float
        The given diameter, the noise of the unsmoothed image, and the bright end of `height`.
    """

    def __init__(
        self, image: Floats, diameter: float, *, linear_below: float = LINEAR_BELOW
    ) -> None:
        self.diameter = diameter
        self.noise = noise_level(image)
        smooth = blurred(image, 0.1 * diameter)
        contrast = bright_end(smooth - background(smooth, diameter))
        # The least smoothing that brings the noise down to 1/40 of the contrast, within bounds.
        wanted = 40 * AFTER_SMOOTHING * self.noise / max(contrast, 1e-12)
        self.smoothing = float(np.clip(wanted, max(0.7, 0.04 * diameter), max(0.7, 0.1 * diameter)))
        smooth = blurred(image, self.smoothing)
        self.height = np.maximum(smooth - background(smooth, diameter), 0)
        self.bright = bright_end(self.height)
        self.scaled = compressed(self.height, noise=self.noise, linear_below=linear_below)
        # One level is a step of `_step` on the compressed scale.
        self._step = (float(self.scaled.max()) + 1e-6) / (N_LEVELS - 1)
        self._unit = float(self.height.max()) / max(float(np.sinh(self.scaled.max())), 1e-12)
        self._levels = (self.scaled / np.float32(self._step)).astype(np.uint8)

    @property
    def noise_left(self) -> float:
        """Standard deviation of the noise in `height`."""
        return AFTER_SMOOTHING * self.noise / self.smoothing

    def quantiles(
        self, labels: Labels, share: float, *, where: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float64]:
        """For each label from 0: the height that `share` of its pixels lie below; 0 for label 0.

        Only pixels in `where` count; a label without such pixels gets 0.
        """
        return self._quantiles(self._histograms(labels, where), share)

    def plateaus(
        self, labels: Labels, *, where: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float64]:
        """For each label from 0: the height of its inside, which is its median without the dim rim.

        The rim is all pixels below half of the region's 90th percentile.
        """
        counts = self._histograms(labels, where)
        half = np.arcsinh(self._quantiles(counts, 0.9) / 2 / max(self._unit, 1e-30)) / self._step
        counts[np.arange(N_LEVELS) < np.floor(half)[:, None]] = 0
        return self._quantiles(counts, 0.5)

    def _histograms(self, labels: Labels, where: NDArray[np.bool_] | None) -> NDArray[np.int64]:
        chosen = labels > 0 if where is None else (labels > 0) & where
        n = int(labels.max()) + 1
        cells = labels[chosen].astype(np.int64) * N_LEVELS + self._levels[chosen]
        return np.bincount(cells, minlength=n * N_LEVELS).reshape(n, N_LEVELS)

    def _quantiles(self, counts: NDArray[np.int64], share: float) -> NDArray[np.float64]:
        below = counts.cumsum(axis=1)
        total = below[:, -1]
        level = (below <= (total * share)[:, None]).sum(axis=1)
        height = self._unit * np.sinh((np.minimum(level, N_LEVELS - 1) + 0.5) * self._step)
        return np.where(total > 0, height, 0.0)
