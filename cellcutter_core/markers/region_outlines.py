"""Refines the outlines of found regions, and keeps those that stand out from their surroundings.

These steps are shared by the searches for nuclei and for cells.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cellcutter_core.images.local_contrast import Labels, LocalContrast, weighted_median
from cellcutter_core.label_image import along_border, at_edges, compact, largest_parts

# The surroundings of a region, as a range of distances from its outline in diameters of a nucleus.
RING = (0.08, 0.3)

# Where an outline lies between the surroundings (0) and the plateau (1): half way for a sharp edge
# blurred by the optics, a little lower for a round nucleus, which is dimmer where it is thin.
OUTLINE_AT = 0.45

# Bumps of noise rise less than this many standard deviations of the noise. In images of pure noise
# the highest was 5.0.
NOISE_REACHES = 6.0

# The most that an outline is moved outwards, in diameters.
FARTHEST = 0.15

NONE_FAINT = np.empty((2, 0))
"""No regions that did not stand out, see `standing_out`."""


def outlined(labels: Labels, contrast: LocalContrast) -> Labels:
    """Put the outline of each region half way between its plateau and its own surroundings.

    Parameters
    ----------
    labels : (H, W) int32
        Approximate regions.
    contrast : LocalContrast
        Of the same image.

    Returns
    -------
    (H, W) int32
        With the same ids. A region may be in several parts; `tidied` keeps one.
    """
    distance, nearest = _nearest(labels)
    plateau, around = _plateau_and_surroundings(labels, contrast, distance, nearest)
    limit = (around + OUTLINE_AT * (plateau - around)).astype(np.float32)
    inside = (distance < FARTHEST * contrast.diameter) & (contrast.height > limit[nearest])
    return np.where(inside & (nearest > 0), nearest, 0).astype(np.int32)


def standing_out(
    labels: Labels,
    contrast: LocalContrast,
    *,
    smallest: float,
    between: tuple[float, float],
    faint: NDArray[np.float64] = NONE_FAINT,
) -> tuple[Labels, NDArray[np.float64]]:
    """Keep the regions that stand out from their surroundings as nuclei do.

    Haze, cytoplasm and debris differ from nuclei in brightness by far more than nuclei from each
    other. By how much depends on the image, so the limit is the brightness with the fewest regions
    near it, `between` two shares of the typical brightness.

    Parameters
    ----------
    labels : (H, W) int32
    contrast : LocalContrast
    smallest : float
        Drop regions of a smaller diameter, in diameters of a nucleus.
    between : (float, float)
        Lower and upper bound of the limit, as shares of the typical height above the surroundings.
        Half of all light is in regions above the typical height.
    faint : (2, F) float, optional
        The logarithm of the rise, and the weight, of regions that an earlier call dropped. They
        still count when the limit is searched.

    Returns
    -------
    labels : (H, W) int32
        Renumbered 1..N.
    faint : (2, F) float
        The same of all regions dropped so far.
    """
    if not labels.any():
        return labels, faint
    rise, area = rises(labels, contrast)
    large = area >= np.pi / 4 * (smallest * contrast.diameter) ** 2
    ids = np.flatnonzero(large & (rise > 0))
    clear = rise[ids] > NOISE_REACHES * contrast.noise_left
    keep = np.zeros(len(rise), dtype=bool)
    if clear.any():
        kept, faint = brighter_than_haze(rise[ids], area[ids], clear, between=between, faint=faint)
        keep[ids[kept]] = True
    return compact(np.where(keep[labels], labels, 0))[0], faint


def rises(
    labels: Labels, contrast: LocalContrast
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each label from 0: how high it rises above its surroundings, and its area in pixels."""
    plateau, around = _plateau_and_surroundings(labels, contrast, *_nearest(labels))
    area = np.bincount(labels.ravel(), minlength=len(plateau)).astype(np.float64)
    area[0] = 0
    return plateau - around, area


def brighter_than_haze(
    rise: NDArray[np.float64],
    area: NDArray[np.float64],
    clear: NDArray[np.bool_],
    *,
    between: tuple[float, float],
    faint: NDArray[np.float64] = NONE_FAINT,
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which regions are above the limit that `standing_out` describes.

    Parameters
    ----------
    rise, area : (N,) float
        Above 0.
    clear : (N,) bool
        Whether a region rises above the noise; True for at least one.
    between, faint
        As for `standing_out`.

    Returns
    -------
    kept : (N,) bool
    faint : (2, F) float
    """
    log_rise = np.log(rise)
    weight = np.sqrt(np.minimum(area, np.median(area[clear])))
    typical = weighted_median(log_rise[clear], (area * rise)[clear])
    lowest, highest = np.log(between)
    limits = typical + np.linspace(float(lowest), float(highest), 60)
    crowd = sum(
        np.exp(-0.5 * ((limits[:, None] - where) / 0.25) ** 2) @ how_much
        for where, how_much in ((log_rise, weight), (faint[0], faint[1]))
    )
    kept = clear & (log_rise > limits[np.argmin(crowd)])
    return kept, np.hstack([faint, [log_rise[~kept], weight[~kept]]])


def tidied(labels: Labels, radius: float) -> Labels:
    """Open each region by a disc, keep its largest part, fill its holes.

    Parameters
    ----------
    labels : (H, W) int32
    radius : float
        Radius of the disc in pixels. Regions that can't hold the disc are dropped. Regions are
        taken to continue beyond the edge of the image, so they are not rounded off there.

    Returns
    -------
    (H, W) int32
        With the same ids, each a single 4-connected part.
    """
    width = int(np.ceil(radius)) + 2
    padded = np.pad(labels, width, mode="edge")
    inner = (padded > 0) & ~at_edges(padded)
    # `inner` already lacks the outermost pixels of each region.
    core = ndimage.distance_transform_edt(inner) > max(radius - 1, 0)
    if not core.any():
        return np.zeros_like(labels)
    distance, where = ndimage.distance_transform_edt(~core, return_indices=True)
    own = padded[tuple(where)] == padded
    opened = np.where(own & (distance <= radius + 0.5), padded, 0)
    return _without_holes(largest_parts(opened[width:-width, width:-width]))


def _without_holes(labels: Labels) -> Labels:
    """Fill background that is enclosed by a single region."""
    holes, n_holes = ndimage.label(labels == 0)
    lowest = np.full(n_holes + 1, np.iinfo(np.int32).max)
    highest = np.zeros(n_holes + 1, np.int32)
    for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        for hole, beside in ((holes[one], labels[other]), (holes[other], labels[one])):
            touch = (hole > 0) & (beside > 0)
            np.minimum.at(lowest, hole[touch], beside[touch])
            np.maximum.at(highest, hole[touch], beside[touch])
    fill = lowest == highest
    fill[along_border(holes)] = False
    return np.where(fill[holes] & (holes > 0), highest[holes], labels).astype(np.int32)


def _nearest(labels: Labels) -> tuple[NDArray[np.float64], Labels]:
    """For each pixel the distance to the nearest region, and the id of that region."""
    if not labels.any():
        return np.full(labels.shape, np.inf), labels
    distance, where = ndimage.distance_transform_edt(labels == 0, return_indices=True)
    return distance, labels[tuple(where)]


def _plateau_and_surroundings(
    labels: Labels,
    contrast: LocalContrast,
    distance: NDArray[np.float64],
    nearest: Labels,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each label from 0: the height of its inside, and that of the background around it."""
    start, end = (share * contrast.diameter for share in RING)
    ring = (distance > max(1.0, start)) & (distance < max(end, 2.5))
    plateau = contrast.plateaus(labels)
    around = contrast.quantiles(nearest, 0.25, where=ring)
    return plateau, np.minimum(around, plateau)
