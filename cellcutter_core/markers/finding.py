"""Finds markers: one for each cell.

They come from the nucleus channel, automatically (`nucleus_regions`) or as in the paper
(`blob_detection`); from the cell channel if there is no nucleus channel; or from the user, as
points or as a label image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellcutter_core.arguments import check_channels_last
from cellcutter_core.config import Config, MarkerSettings
from cellcutter_core.images.guesses.unimaged_gaps import filled_gaps, frame
from cellcutter_core.images.image import Image
from cellcutter_core.images.scaling import Normalisation, checked_plane
from cellcutter_core.label_image import check_labels, compact, distance_inside
from cellcutter_core.markers.cell_bodies import cell_diameter, cell_regions
from cellcutter_core.markers.nucleus_regions import nucleus_regions

Labels = NDArray[np.int32]

DEFAULT = MarkerSettings()

# A marker from the cell channel is the inner part of the region that was found, down to this share
# of its depth. The network decides how far the cell reaches.
CORE = 0.5


@dataclass(frozen=True, eq=False)
class Nuclei:
    """The markers of an image, one for each cell.

    Attributes
    ----------
    regions : (H, W) int32
        0 for background, 1..N for markers. With a nucleus channel a marker is the nucleus of its
        cell, else some pixels inside the cell.
    points : (N, 2) int32
        (row, col) of a pixel inside each region, ``points[k - 1]`` for region k.
    """

    regions: Labels
    points: NDArray[np.int32]


def find_nuclei(
    nucleus: ArrayLike,
    settings: MarkerSettings = DEFAULT,
    *,
    normalisation: Normalisation | None = None,
) -> Nuclei:
    """Find markers in the nucleus channel.

    Parameters
    ----------
    nucleus : (H, W) array, integer or float
    settings : MarkerSettings
        Automatic: `nucleus_regions`. Otherwise `blob_detection`.
    normalisation : Normalisation, optional
        That of the whole image, if `nucleus` is a part of it; for `blob_detection`.

    Returns
    -------
    Nuclei

    Raises
    ------
    ValueError
        If none are found (the message says what to try), or `nucleus` is not a finite (H, W) image.
    """
    if not settings.automatic:
        return _blobs(nucleus, settings, normalisation)
    regions = nucleus_regions(nucleus, diameter=settings.diameter)
    return _found(regions, settings, "check that the nucleus channel is the right one")


def find_cells(
    cell: ArrayLike,
    settings: MarkerSettings = DEFAULT,
    *,
    mask: NDArray[np.bool_] | None = None,
    normalisation: Normalisation | None = None,
) -> Nuclei:
    """Find one marker in each cell without a nucleus channel.

    Parameters
    ----------
    cell : (H, W) or (H, W, C) array, integer or float
        One or several channels that show cells. Several are scaled to their own range each, and
        averaged.
    settings : MarkerSettings
        Automatic: `cell_regions`. Otherwise `blob_detection`.
    mask : (H, W) bool, optional
        True where there are cells; helps the automatic search.
    normalisation : Normalisation, optional
        That of the whole image, if `cell` is a part of it; for `blob_detection`.

    Returns
    -------
    Nuclei
        With automatic settings, each region is only the inner part of a cell, not its extent.

    Raises
    ------
    ValueError
        If none are found (the message says what to try), `cell` is not a finite image, or `mask`
        is not a mask of its shape.
    """
    if not settings.automatic:
        scale = normalisation and normalisation.of_plane
        return _blobs(_one_plane(cell, normalisation), settings, scale)
    image = _one_plane(cell)
    regions = cores(cell_regions(image, mask=mask, diameter=settings.diameter))
    return _found(regions, settings, "choose a nucleus channel, or give the diameter of a cell")


def cell_size(cell: ArrayLike, *, mask: NDArray[np.bool_] | None = None) -> float:
    """Diameter of cells in pixels: the one `find_cells` uses if the settings have none.

    Parameters
    ----------
    cell, mask
        As for `find_cells`.
    """
    return cell_diameter(_one_plane(cell), mask=mask)


def is_covered(image: Image, config: Config) -> bool:
    """Return whether the marker regions are the mask: if the nuclei themselves are segmented.

    This needs automatic markers and an automatic mask. The outline of an automatic marker lies half
    way between the intensity of its nucleus and that of its surroundings, so the glow around a
    bright nucleus is not taken for a dim one. Markers from blobs are only points in a nucleus, so
    with them the mask is found from the image.
    """
    automatic = config.markers.automatic and config.mask.automatic
    return automatic and image.cell == (image.nucleus,)


def blob_detection(
    nucleus: ArrayLike,
    max_sigma: float = 10,
    min_sigma: float = 3,
    threshold: float = 0.01,
    *,
    normalisation: Normalisation | None = None,
) -> Labels:
    """Mark each bright blob of the nucleus channel, as the paper does.

    The image is scaled to mean 0 and variance 1. Blobs are the maxima of the determinant of its
    Hessian over space and scale. Those on pixels darker than the mean are dropped. Each blob
    becomes a disc of radius ``max_sigma - 2``, cut half way to its neighbours.

    Parameters
    ----------
    nucleus : (H, W) array, integer or float
    max_sigma, min_sigma : float
        Largest and smallest blob to look for, as a Gaussian sigma in pixels. The radius of a blob
        is about its sigma.
    threshold : float
        How pronounced a blob must be; a lower threshold finds more.
    normalisation : Normalisation, optional
        That of the whole image, if `nucleus` is a part of it.

    Returns
    -------
    (H, W) int32
        0 for background, 1..N for markers. All 0 if there are no blobs.

    Raises
    ------
    ValueError
        If `nucleus` is not a finite (H, W) image, 0 < min_sigma <= max_sigma does not hold, or
        `threshold` is not positive.

    References
    ----------
    Din & Yu (2021), Scientific Reports 11, 23995, and their notebook.
    """
    from skimage.feature import blob_doh
    from skimage.filters import gaussian
    from skimage.segmentation import expand_labels

    MarkerSettings(automatic=False, min_sigma=min_sigma, max_sigma=max_sigma, threshold=threshold)
    image = checked_plane(nucleus, "nucleus").astype(np.float64)
    mean, spread = image.mean(), image.std()
    if normalisation is not None:
        # Scaled like the image, which is from 0 to 1 by now.
        low, high = (float(end(nucleus)) for end in (np.min, np.max))
        unit = max(high - low, np.finfo(float).tiny)
        mean, spread = (normalisation.mean[0] - low) / unit, normalisation.deviation[0] / unit
    standard = (image - mean) / (spread if spread > 0 else 1)
    blobs = blob_doh(standard, max_sigma=max_sigma, min_sigma=min_sigma, threshold=threshold)
    rows, cols = np.round(blobs[:, :2]).astype(int).T
    # The determinant is as large for a dark blob as for a bright one.
    bright = gaussian(standard)[rows, cols] > 0
    seeds = np.zeros(image.shape, np.int32)
    seeds[rows[bright], cols[bright]] = np.arange(1, np.count_nonzero(bright) + 1)
    return np.asarray(expand_labels(seeds, max(max_sigma - 2, 0)), np.int32)


def marker_points(labels: ArrayLike) -> NDArray[np.int32]:
    """A pixel inside each marker: the one farthest from the marker's outline.

    If there are several, it is the one nearest to the marker's centre of mass.

    Parameters
    ----------
    labels : (H, W) array of integers
        0 for background.

    Returns
    -------
    (N, 2) int32
        (row, col), in the order of the ids that occur.

    Examples
    --------
    >>> marker_points(np.array([[5, 5, 5, 0, 2], [5, 5, 5, 0, 2], [5, 5, 5, 0, 2]]))
    array([[1, 4],
           [1, 1]], dtype=int32)
    """
    regions, ids = compact(check_labels(labels, "markers"))
    pixels = np.argwhere(regions)
    owner = regions[tuple(pixels.T)]
    area = np.maximum(np.bincount(owner, minlength=len(ids) + 1), 1)
    middle = [np.bincount(owner, p, minlength=len(ids) + 1) / area for p in pixels.T]
    away = np.sum([(p - m[owner]) ** 2 for p, m in zip(pixels.T, middle, strict=True)], axis=0)
    order = np.lexsort((-away, _depth(regions)[tuple(pixels.T)]))
    deepest = np.zeros(len(ids) + 1, np.int64)
    # Where several values are written to one place, the last one stays: the deepest pixel.
    deepest[owner[order]] = order
    return pixels[deepest[1:]].astype(np.int32)


def cores(regions: Labels) -> Labels:
    """(H, W) int32: the inner part of each region, down to half of its depth."""
    depth = _depth(regions)
    deepest = np.zeros(int(regions.max()) + 1)
    np.maximum.at(deepest, regions.ravel(), depth.ravel())
    return np.where(depth >= CORE * deepest[regions], regions, 0).astype(np.int32)


def _depth(regions: Labels) -> NDArray[np.float64]:
    """Distance of each pixel of a region to the nearest one outside of it; 0 in the background."""
    # Outside of the image counts as outside of every region, so points stay away from its edge.
    return distance_inside(np.pad(regions, 1))[1:-1, 1:-1]


def _one_plane(cell: ArrayLike, normalisation: Normalisation | None = None) -> NDArray[Any]:
    """(H, W): the sum of all channels, each divided by the range from its 1st to 99th percentile.

    With a normalisation, the range is that of the whole image.
    """
    image: NDArray[Any] = np.asarray(cell)
    if image.ndim != 3 or image.size == 0:
        return image
    check_channels_last(image, "cell")
    if image.shape[2] == 1:
        return image[..., 0]
    if normalisation is not None:
        return normalisation.plane(image)
    planes = [checked_plane(channel, "cell") for channel in np.moveaxis(image, -1, 0)]
    spread = Normalisation(np.stack(planes, axis=-1)).spread
    return np.asarray(sum(p / s for p, s in zip(planes, spread, strict=True)))


def _blobs(
    image: ArrayLike, settings: MarkerSettings, normalisation: Normalisation | None
) -> Nuclei:
    plane = np.asarray(image)
    if plane.ndim == 2 and plane.size and frame(plane) is not None:
        plane = filled_gaps(plane)
    found = blob_detection(
        plane,
        settings.max_sigma,
        settings.min_sigma,
        settings.threshold,
        normalisation=normalisation,
    )
    if not found.any():
        raise ValueError(
            f"no markers found with threshold {settings.threshold:g} and sigmas "
            f"{settings.min_sigma:g} to {settings.max_sigma:g}; lower the threshold, or choose "
            "automatic markers"
        )
    return Nuclei(found, marker_points(found))


def _found(regions: Labels, settings: MarkerSettings, remedy: str) -> Nuclei:
    if not regions.any():
        size = "" if settings.diameter is None else f" of about {settings.diameter:g} pixels"
        raise ValueError(
            f"no markers found: nothing{size} stands out from background and noise; {remedy}, or "
            "give markers in a file"
        )
    return Nuclei(regions, marker_points(regions))
