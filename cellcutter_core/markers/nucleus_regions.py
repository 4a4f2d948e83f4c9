"""Finds the regions of nuclei in a nucleus channel automatically.

The diameter of nuclei is estimated first. All other lengths are in units of it, so the same image
at another magnification gives the same nuclei. Then

1. the image is cut into pieces: at the valleys of a difference of Gaussians on a scale like the
   logarithm, which shows dim nuclei beside bright ones, and at the necks of the distance transform;
2. pieces are joined to nuclei (`cellcutter_core.markers.joining`);
3. regions that do not stand out like a nucleus are dropped, and each outline is put half way
   between the inside of its nucleus and the surroundings of that nucleus
   (`cellcutter_core.markers.region_outlines`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from cellcutter_core.config import SMALLEST_DIAMETER
from cellcutter_core.images.local_contrast import (
    LINEAR_BELOW,
    Floats,
    Labels,
    LocalContrast,
    blurred,
    compressed,
    noise_level,
    weighted_median,
)
from cellcutter_core.images.scaling import imaged_plane
from cellcutter_core.label_image import compact
from cellcutter_core.markers.joining import join_pieces
from cellcutter_core.markers.region_outlines import (
    outlined,
    rises,
    standing_out,
    tidied,
)

# Lengths, in diameters of a nucleus.
FINE, COARSE = 0.1, 0.5  # sigmas of the difference of Gaussians
SEED_SPACING = 0.12  # least distance between the starts of two pieces
REACH = 0.25  # how far a piece extends beyond the pixels of positive difference of Gaussians
OPENING = 0.13  # radius of the disc that smooths outlines
SMALLEST = 0.4  # diameter of the smallest nucleus

# Bounds of the limit between haze and nuclei, as shares of the typical height of nuclei, see
# `standing_out`.
NUCLEI_BETWEEN = (0.08, 0.35)

# A pixel is hot if it is above its neighbours by this many standard deviations of the noise.
HOT = 10.0

# While pieces are made, the outline of a piece is drawn at this share of its plateau.
PIECE_AT = 0.4

# An image with larger nuclei is reduced until they have about this diameter in pixels; while only
# their size is estimated, it is reduced to the second value.
WORKING_DIAMETER = 16.0
FIRST_DIAMETER = 9.0

# The diameter is estimated a second time, starting from this share of the first estimate.
LESS = 0.9

# The diameter is estimated on a window of this many diameters, but at least this many pixels.
WINDOW, LEAST_WINDOW = 25, 400

# The best diameter is this share of the typical diameter of the regions found, weighted by area.
DIAMETER_OF_REGIONS = 0.95


def nucleus_regions(
    nucleus: ArrayLike, *, diameter: float | None = None, linear_below: float = LINEAR_BELOW
) -> Labels:
    """Find the region of each nucleus.

    Nuclei may differ in brightness by a factor of twenty, touch, be saturated or out of focus, and
    lie on uneven background; debris much smaller than nuclei is left out.

    Parameters
    ----------
    nucleus : (H, W) array, integer or float
        Bright nuclei on a darker background.
    diameter : float, optional
        Typical diameter of a nucleus in pixels. By default it is estimated from the image. Give a
        larger value if nuclei are found in pieces, a smaller one if several are found as one.
    linear_below : float
        Intensities below this share of the bright end are compared by difference, those above by
        ratio. 1 for an image whose background is not at intensity zero.

    Returns
    -------
    (H, W) int32
        0 for background, 1..N for nuclei, each a single 4-connected part. All 0 if there are none.

    Raises
    ------
    ValueError
        If `nucleus` is not a finite (H, W) image, or `diameter` is below 6 pixels.

    Examples
    --------
    >>> rows, cols = np.mgrid[:40, :80]
    >>> discs = np.hypot(rows - 20, cols - 20) < 9
    >>> discs |= np.hypot(rows - 20, cols - 60) < 9
    >>> regions = nucleus_regions(discs * 100)
    >>> int(regions.max()), int(regions[20, 20]), int(regions[20, 60])
    (2, 1, 2)
    """
    image = nucleus_plane(nucleus)
    if diameter is None:
        diameter = region_diameter(image, linear_below=linear_below)
    elif not diameter >= SMALLEST_DIAMETER:
        raise ValueError(
            f"diameter is {diameter}, but nuclei need at least {SMALLEST_DIAMETER:g} pixels; "
            "enlarge the image, or leave the diameter out to have it estimated"
        )
    regions, factor = _reduced_regions(image, diameter, WORKING_DIAMETER, linear_below)
    if factor == 1:
        return regions
    rows, cols = image.shape
    regions = regions.repeat(factor, axis=0).repeat(factor, axis=1)[:rows, :cols]
    contrast = LocalContrast(image, diameter, linear_below=linear_below)
    return compact(tidied(outlined(regions, contrast), OPENING * diameter))[0]


def nucleus_diameter(nucleus: ArrayLike) -> float:
    """Typical diameter of the nuclei in pixels: the default of `nucleus_regions`.

    Half of the area of all nuclei is in nuclei larger than about this.

    Parameters
    ----------
    nucleus : (H, W) array, integer or float

    Returns
    -------
    float
        At least 6.
    """
    image = nucleus_plane(nucleus)
    return region_diameter(image, linear_below=LINEAR_BELOW)


def region_heights(
    nucleus: ArrayLike, regions: Labels, *, diameter: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How high each region rises above its surroundings, and its area.

    Parameters
    ----------
    nucleus : (H, W) array, integer or float
    regions : (H, W) int32
        As returned by `nucleus_regions`.
    diameter : float
        Typical diameter of a nucleus in pixels.

    Returns
    -------
    rise, area : (N,) float
        For the regions 1..N: the rise in the unit of the intensities, the area in pixels.
    """
    pixels = np.asarray(nucleus)
    unit = float(pixels.max()) - float(pixels.min())
    rise, area = rises(regions, LocalContrast(nucleus_plane(pixels), diameter))
    return unit * rise[1:], area[1:]


def nucleus_plane(nucleus: ArrayLike) -> Floats:
    """`checked_plane` of a nucleus channel, without hot pixels, with background in its gaps."""
    return _without_hot_pixels(imaged_plane(nucleus, "nucleus"))


def blob_diameter(image: Floats, *, linear_below: float = LINEAR_BELOW) -> float:
    """Diameter of the discs at whose scale the image has most bright structure.

    This is the scale at which the positive part of the difference of Gaussians has most energy,
    after subtracting that of the noise. A Gaussian of `sigma` responds most strongly to discs of
    diameter 2·√2·sigma.

    Parameters
    ----------
    image : (H, W) float32
    linear_below : float
        As for `nucleus_regions`.

    Returns
    -------
    float
        In pixels. For crowded nuclei it is between one and two of their diameters.
    """
    height = _levelled(image)
    height -= np.float32(np.percentile(height[::3, ::3], 5))
    level = blurred(compressed(height, noise=noise_level(image), linear_below=linear_below), 1.0)
    sigma, factor = 1.0, 1
    sigmas, energies = [], []
    while sigma * factor < min(min(image.shape) / 4, 100):
        wider = sigma * 2**0.5
        smoother = blurred(level, (wider**2 - sigma**2) ** 0.5)
        sigmas.append(factor * (sigma * wider) ** 0.5)
        energies.append(float(np.mean(np.maximum(level - smoother, 0) ** 2)))
        level, sigma = smoother, wider
        if sigma >= 4:
            level, sigma, factor = level[::2, ::2], sigma / 2, factor * 2
    if not sigmas:
        return SMALLEST_DIAMETER
    scales, energy = np.array(sigmas), np.array(energies)
    # White noise has most energy at the finest scale, and a quarter of that an octave above.
    energy = np.sqrt(np.maximum(energy - energy[0] * (scales[0] / scales) ** 2, 0))
    peak = int(energy.argmax())
    offset = 0.0
    if 0 < peak < len(energy) - 1:
        before, at, after = energy[peak - 1 : peak + 2]
        offset = (before - after) / (before - 2 * at + after) / 2
    return float(2 * 2**0.5 * scales[peak] * 2 ** (offset / 2))


def region_diameter(image: Floats, *, linear_below: float) -> float:
    """Estimate the diameter of regions: start from `blob_diameter`, correct it by regions found."""
    # Where nuclei are crowded, blobs are larger than nuclei. Starting too large does no harm.
    diameter = max(0.8 * blob_diameter(image, linear_below=linear_below), SMALLEST_DIAMETER)
    bright = image > np.percentile(image[::3, ::3], 80)
    image = image[busiest_window(bright, max(LEAST_WINDOW, round(WINDOW * diameter)))]
    # With too large a diameter, clumps pass for nuclei and confirm it. With a slightly too small
    # one, nuclei still stay whole. So the second round starts a little below the first result.
    for share in (1.0, LESS):
        regions, factor = _reduced_regions(image, share * diameter, FIRST_DIAMETER, linear_below)
        areas = np.bincount(regions.ravel())[1:].astype(np.float64)
        if not len(areas):
            break
        found = 2 * factor * np.sqrt(weighted_median(areas, areas) / np.pi)
        diameter = max(DIAMETER_OF_REGIONS * found, SMALLEST_DIAMETER)
    return float(diameter)


def reduced(image: Floats, factor: int) -> Floats:
    """The means of squares of `factor` by `factor` pixels; the image is padded at its edge."""
    if factor == 1:
        return image
    image = np.pad(image, [(0, -n % factor) for n in image.shape], mode="edge")
    rows, cols = (n // factor for n in image.shape)
    squares = image.reshape(rows, factor, cols, factor)
    return np.asarray(squares.mean(axis=(1, 3), dtype=np.float32))


def _levelled(image: Floats) -> Floats:
    """Remove a linear and a quadratic trend of brightness over the whole image."""
    rows, cols = (np.linspace(-1, 1, n, dtype=np.float32) for n in image.shape)
    y, x = np.meshgrid(rows[::8], cols[::8], indexing="ij")
    terms = np.stack([y, x, y * y, x * x, np.ones_like(y)], axis=-1).reshape(-1, 5)
    slope_y, slope_x, bow_y, bow_x, _ = np.linalg.lstsq(terms, image[::8, ::8].ravel())[0]
    along = slope_y * rows + bow_y * rows**2
    across = slope_x * cols + bow_x * cols**2
    return np.asarray(image - along[:, None] - across, np.float32)


def _without_hot_pixels(image: Floats) -> Floats:
    """Bring single pixels far above all of their neighbours down to the level of these."""
    # Structures removed by an opening of two pixels are narrower than any nucleus.
    opened = ndimage.maximum_filter(ndimage.minimum_filter(image, 2), 2, origin=-1)
    low = np.float32(np.percentile(image[::3, ::3], 5))
    hot = (image - opened > opened - low) & (image - opened > HOT * noise_level(image))
    return np.where(hot, opened, image)


def busiest_window(busy: NDArray[np.bool_], side: int) -> tuple[slice, slice]:
    """The window of this side with the most True pixels; the whole image if that is smaller."""
    rows, cols = (min(side, n) for n in busy.shape)
    # The sum over any window comes from four entries of the summed-area table.
    sums = np.pad(busy, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    inside = sums[rows:, cols:] - sums[:-rows, cols:] - sums[rows:, :-cols] + sums[:-rows, :-cols]
    row, col = (int(at) for at in np.unravel_index(inside.argmax(), inside.shape))
    return slice(row, row + rows), slice(col, col + cols)


def _reduced_regions(
    image: Floats, diameter: float, working_diameter: float, linear_below: float
) -> tuple[Labels, int]:
    """Regions in the image, reduced until nuclei have the working diameter, and the factor."""
    factor = max(1, int(diameter / working_diameter))
    image = reduced(image, factor)
    contrast = LocalContrast(image, diameter / factor, linear_below=linear_below)
    pieces, faint = standing_out(_pieces(contrast), contrast, smallest=0.05, between=(0.02, 0.15))
    regions = compact(join_pieces(pieces, contrast))[0]
    as_nuclei: dict[str, Any] = {"smallest": SMALLEST, "between": NUCLEI_BETWEEN}
    regions, faint = standing_out(regions, contrast, faint=faint, **as_nuclei)
    regions = tidied(outlined(regions, contrast), max(1.0, OPENING * contrast.diameter))
    return standing_out(compact(regions)[0], contrast, faint=faint, **as_nuclei)[0], factor


def _pieces(contrast: LocalContrast) -> Labels:
    """Cut the image into parts of nuclei: more than nuclei, and none that spans two of them."""
    from skimage.segmentation import watershed

    diameter = contrast.diameter
    bumps = blurred(contrast.scaled, FINE * diameter) - blurred(contrast.scaled, COARSE * diameter)
    lowest = max(4 * contrast.noise_left, 0.02 * contrast.bright)
    bright = (bumps > 0) & (contrast.height > lowest)
    if not bright.any():
        return np.zeros(bright.shape, np.int32)
    reach = ndimage.distance_transform_edt(~bright) < REACH * diameter
    basins = watershed(-bumps, _maxima(bumps, bright, SEED_SPACING * diameter), mask=reach)
    plateau = contrast.plateaus(basins, where=bright)
    limit = np.maximum(PIECE_AT * plateau, 0).astype(np.float32)
    inside = (basins > 0) & (contrast.height > limit[basins])
    inside &= (plateau > lowest)[basins]
    depth = blurred(
        ndimage.distance_transform_edt(inside).astype(np.float32), max(0.05 * diameter, 0.3)
    )
    lobes = watershed(-depth, _maxima(depth, inside, SEED_SPACING * diameter), mask=inside)
    # A piece is the intersection of one basin and one lobe.
    both = basins[inside].astype(np.int64) * (int(lobes.max()) + 1) + lobes[inside]
    pieces = np.zeros(inside.shape, np.int32)
    pieces[inside] = np.unique(both, return_inverse=True)[1] + 1
    return pieces


def _maxima(image: Floats, mask: NDArray[np.bool_], radius: float) -> Labels:
    """Number the pixels in `mask` that are the highest within `radius`."""
    size = 2 * max(1, round(radius)) + 1
    peaks = (image == ndimage.maximum_filter(image, size)) & mask
    # A flat top is one maximum.
    return np.asarray(ndimage.label(peaks, np.ones((3, 3)))[0], np.int32)
