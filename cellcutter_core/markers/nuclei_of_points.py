"""Finds the pixels of nuclei whose markers were set by hand or read from a file.

Such a marker lies somewhere in its nucleus. The extent of the nucleus is found in the image, so
adding or removing a marker changes one nucleus and leaves the others.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from cellcutter_core.images.local_contrast import Labels, LocalContrast
from cellcutter_core.markers.nucleus_regions import (
    OPENING,
    nucleus_diameter,
    nucleus_plane,
    nucleus_regions,
)
from cellcutter_core.markers.region_outlines import outlined, tidied

# If no nucleus was found at a marker, it is searched for up to this far from it, in diameters.
LOOKED_FOR = 0.35


def given_cover(
    nucleus: ArrayLike, given: Labels, *, diameter: float | None = None
) -> NDArray[np.bool_]:
    """The pixels of the nuclei in which markers lie.

    Parameters
    ----------
    nucleus : (H, W) array, integer or float
    given : (H, W) int32
        Regions of the markers, 1..N.
    diameter : float, optional
        As for `nucleus_regions`.

    Returns
    -------
    (H, W) bool
        The regions of the markers, every nucleus found there as a whole, and around a marker
        without such a nucleus the pixels that stand out.

    Raises
    ------
    ValueError
        As `nucleus_regions`.
    """
    if diameter is None:
        diameter = nucleus_diameter(nucleus)
    found = nucleus_regions(nucleus, diameter=diameter)
    hit = np.unique(found[given > 0])
    cover = (given > 0) | np.isin(found, hit[hit > 0])
    held = np.unique(given[(given > 0) & (found > 0)])
    lone = np.where(np.isin(given, held), 0, given)
    if not lone.any():
        return cover
    n_found = int(found.max())
    distance, where = ndimage.distance_transform_edt(lone == 0, return_indices=True)
    beside = (distance < LOOKED_FOR * diameter) & (found == 0)
    roughly = np.where(beside, lone[tuple(where)] + n_found, found).astype(np.int32)
    regions = outlined(roughly, LocalContrast(nucleus_plane(nucleus), diameter))
    regions = tidied(regions, max(1.0, OPENING * diameter))
    return np.asarray(cover | ((regions > n_found) & (found == 0)), np.bool_)
