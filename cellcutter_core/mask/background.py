"""Finds the background of an image and the brightness level that divides it from cells.

All results are independent of scale: an image multiplied by a number gives the same answer.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cellcutter_core.images.guesses.clipping import bright_is_cell, middle_of_two
from cellcutter_core.images.local_contrast import Floats, blurred

Kind = Literal["bright", "dark", "texture"]
Bools = NDArray[np.bool_]

ROUGHER = 1.0
"""Cells are told by texture where both the darkest and the brightest pixels are rougher than the
smoothest ones by more than this, as a logarithm. The dark end of fluorescence has less than 0.4,
that of phase contrast more than 2."""

SURELY_DARK = 0.3
"""Cells are dark where the dark end is rougher than the bright end by this, as a logarithm."""

STRUCTURED = 1 / 3
STRUCTURED_WITH_NUCLEI = 0.1
"""Ratio of the gradient below the level to that above it. At a higher ratio the part below is not
just background. Between cells it was at most 0.3; the lower bound holds where nuclei lie below."""


FLAT = 1e-3
"""Cells are flat up to this gradient inside them, relative to their contrast."""

MOST_STEPS = 1000
"""Most steps of `li_threshold`. All go in one direction; a few dozen are usual."""


def appearance(image: Floats, nuclei: Bools | None = None) -> Kind:
    """How cells differ from the background, which is where the image is smoothest.

    Cells in an overexposed or computer-made image are flat and so as smooth as background. Their
    shape then shows that they are bright, see `cellcutter_core.images.guesses.clipping`.

    Parameters
    ----------
    image : (H, W) float32
        Without hot pixels, not constant.
    nuclei : (H, W) bool, optional
        Where nuclei are, if known.

    Returns
    -------
    "bright", "dark" or "texture"
    """
    gradient = ndimage.gaussian_gradient_magnitude(image, 1, truncate=3.0)
    # With integer grey levels, flat areas have gradient 0; smaller gradients than this don't count.
    grain = max(
        float(np.percentile(gradient, 20)),
        0.1 * _grey_step(image),
        1e-6 * float(image.max() - image.min()),
    )
    rough = np.log(blurred(gradient, 3) + grain)
    order = np.argsort(blurred(image, 1.5), axis=None, kind="stable")
    by_brightness = [
        float(rough.flat[part].mean()) for part in np.array_split(order, min(20, order.size))
    ]
    dark, bright = (by_brightness[end] - min(by_brightness) for end in (0, -1))
    if min(dark, bright) > ROUGHER:
        return "texture"
    # Where noise hides everything, both ends are alike; then fluorescence is the better guess.
    if dark > bright + SURELY_DARK and bright_is_cell(image, nuclei) is not True:
        return "dark"
    return "bright"


def _grey_step(image: Floats) -> float:
    """The smallest difference between two brightnesses that occur in the image."""
    levels = np.unique(image)
    return float(np.diff(levels).min())


def roughness(image: Floats) -> Floats:
    """Geometric mean of the gradient nearby, which a few strong edges do not dominate."""
    gradient = ndimage.gaussian_gradient_magnitude(image, 1, truncate=3.0)
    grain = 0.2 * np.median(gradient) + 1e-6 * np.float32(np.ptp(image))
    return np.exp(blurred(np.log(gradient + grain), 3))


def shading(image: Floats) -> Floats:
    """Slowly varying background: a lower envelope of the 10th percentiles of tiles.

    Parameters
    ----------
    image : (H, W) float32

    Returns
    -------
    (H, W) float32
        A surface of second order, fitted by asymmetric least squares: tiles above it have a
        twentieth of the weight of tiles below. 0 if the image is too small to tell shading from
        cells.
    """
    n_tiles = min(16, min(image.shape) // 16)
    if n_tiles < 4:
        return np.zeros_like(image)
    bands = [np.array_split(np.arange(n), n_tiles) for n in image.shape]
    low = np.array([[np.percentile(image[np.ix_(r, c)], 10) for c in bands[1]] for r in bands[0]])
    terms = _second_order(np.linspace(-1, 1, n_tiles), np.linspace(-1, 1, n_tiles))
    columns = np.stack([np.broadcast_to(term, low.shape).ravel() for term in terms], axis=1)
    weight = np.ones(low.size)
    for _ in range(20):
        root = np.sqrt(weight)
        factors = np.linalg.lstsq(columns * root[:, None], low.ravel() * root, rcond=None)[0]
        weight = np.where(low.ravel() > columns @ factors, 0.05, 1.0)
    rows, cols = (np.linspace(-1, 1, n, dtype=np.float32) for n in image.shape)
    surface = np.zeros_like(image)
    for factor, term in zip(factors, _second_order(rows, cols), strict=True):
        surface += np.float32(factor) * term
    return surface


def _second_order(rows: NDArray[Any], cols: NDArray[Any]) -> list[NDArray[Any]]:
    y, x = rows[:, None], cols[None, :]
    return [np.ones_like(y), x, y, x * x, x * y, y * y]


def level_above_background(
    brightness: Floats,
    level: float,
    noise: float,
    nuclei: Bools | None,
    *,
    clipped: Bools | None = None,
) -> float:
    """Lower the level until the part below it is smooth compared with the part above.

    Parameters
    ----------
    brightness : (H, W) float32
        The image after a 3 x 3 median, a Gaussian of sigma 1 and the removal of `shading`.
    level : float
        A `dividing_level`.
    noise : float
        Standard deviation of the noise of the image before these steps.
    nuclei : (H, W) bool or None
        Where nuclei are, if known.
    clipped : (H, W) bool, optional
        Where brightness was cut off at the top, see `clipping.at_top`. These pixels are ignored,
        because cells are flat there whatever their structure.

    Returns
    -------
    float
        At most `level`.
    """
    gradient = ndimage.gaussian_gradient_magnitude(brightness, 2, truncate=3.0)
    # The gradient of white noise alone, after a 3 x 3 median and a Gaussian of sigma 1.
    from_noise = 0.05 * noise
    for _ in range(4):
        below = brightness < level
        # Keep away from the edges of cells, whose blur the gradient picks up.
        background = ndimage.binary_erosion(below, iterations=3, border_value=1)
        if background.mean() < 0.01:
            break
        cells = ~below if clipped is None else ~(below | clipped)
        if not cells.any():
            break
        here, there = (float(np.median(gradient[part])) for part in (background, cells))
        if there <= FLAT * float(np.median(brightness[~below]) - np.median(brightness[below])):
            break
        nuclei_below = nuclei is not None and nuclei.any() and below[nuclei].mean() > 0.25
        allowed = STRUCTURED_WITH_NUCLEI if nuclei_below else STRUCTURED
        if here <= max(allowed * there, 2 * from_noise):
            break
        lower = dividing_level(brightness, noise, below=level)
        if not 0 < lower < level:
            break
        level = lower
    return level


def stabilised(brightness: NDArray[Any], noise: float) -> NDArray[Any]:
    """Brightness on a scale on which noise is about the same everywhere.

    The square root evens out photon noise. Adding `noise` first keeps camera noise, which is also
    there in the dark, from being blown up.
    """
    return np.asarray(np.sqrt(brightness + np.asarray(noise, brightness.dtype)))


def li_threshold(values: NDArray[Any]) -> float:
    """Li's threshold: the level at which the means of the two sides describe the values best [1]_.

    Scikit-image's `threshold_li` compares every value at every step and stops when a step is
    smaller than a tolerance. With 32-bit floats it may swing between two neighbours for ever. Here
    the values are sorted once, sums are in 64 bits, and it stops when a step moves no value to the
    other side, or after `MOST_STEPS`.

    Parameters
    ----------
    values : (N,) array of finite numbers
        At least one.

    Returns
    -------
    float
        Between the smallest and the largest value.

    References
    ----------
    .. [1] Li, C. H. & Tam, P. K. S. (1998). An iterative algorithm for minimum cross entropy
       thresholding. Pattern Recognition Letters 19, 771-776.
    """
    ordered = np.sort(values, axis=None).astype(np.float64)
    lowest = float(ordered[0])
    ordered -= lowest
    sums = np.cumsum(ordered)
    level, n_below = float(ordered.mean()), -1
    for _ in range(MOST_STEPS):
        before, n_below = n_below, int(np.searchsorted(ordered, level, side="right"))
        # The mean below must be positive for its logarithm, and some values must lie above.
        if n_below in (before, len(ordered)) or sums[n_below - 1] == 0:
            break
        below = float(sums[n_below - 1]) / n_below
        above = float(sums[-1] - sums[n_below - 1]) / (len(ordered) - n_below)
        level = (below - above) / (math.log(below) - math.log(above))
    return level + lowest


def dividing_level(brightness: Floats, noise: float, *, below: float = np.inf) -> float:
    """The brightness whose contour runs along the strongest edges.

    Parameters
    ----------
    brightness : (H, W) float32
        Above the background, at least 0, smoothed a little, not constant.
    noise : float
        Standard deviation of the noise.
    below : float
        Use only pixels less bright than this.

    Returns
    -------
    float
        Between Li's threshold of the logarithm and that of the brightness itself. If most of what
        is above is at the top of the scale, half way between the two groups.
    """
    every = brightness.ravel()[:: max(1, brightness.size // 500_000)]
    every = every[every < below]
    offset = np.float32(0.02 * np.percentile(every, 99.9) + 1e-6 * every.max())
    bounds = (
        float(np.exp(li_threshold(np.log(every + offset))) - offset),
        li_threshold(every),
    )
    n_levels = 64
    root = stabilised(brightness, noise)
    low, high = stabilised(np.clip(sorted(bounds), 0, None), noise)
    levels = np.linspace(float(low), float(high), n_levels + 1)
    edges = ndimage.gaussian_gradient_magnitude(root, 1.5, truncate=3.0)
    position = np.searchsorted(levels, blurred(root, 1.5), side="right") - 1
    on = (position >= 0) & (position < n_levels)
    count = np.bincount(position[on], minlength=n_levels).astype(float)
    total = np.bincount(position[on], weights=edges[on], minlength=n_levels)
    count, total = (ndimage.gaussian_filter1d(a, 2, mode="nearest") for a in (count, total))
    # A contour of only a few pixels proves nothing, however sharp.
    strength = total / (count + 0.002 * root.size / n_levels)
    best = int(np.argmax(strength))
    level = float((0.5 * (levels[best] + levels[best + 1])) ** 2) - noise
    return level if below < np.inf else middle_of_two(brightness, level) or level
