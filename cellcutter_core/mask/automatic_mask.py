"""The automatic mask: a graph cut on the foreground probability, without settings."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellcutter_core.mask.foreground import Foreground, find_foreground
from cellcutter_core.mask.graph_cut import (
    arguments_of,
    graph_cut,
)


def automatic_mask(
    cell: ArrayLike, nucleus: ArrayLike | None = None, *, nuclei: ArrayLike | None = None
) -> tuple[NDArray[np.bool_], Foreground]:
    """The mask without settings, in fluorescence, phase contrast or bright field.

    The graph cut runs on the foreground probability (`find_foreground`) instead of on brightness.

    Parameters
    ----------
    cell : (H, W) or (H, W, K) array
        One or more cell channels, on any scale.
    nucleus : (H, W) array, optional
        Nucleus channel. Nuclei in it are part of the mask.
    nuclei : (H, W) bool or label image, optional
        Regions of nuclei, if known. Better than the channel.

    Returns
    -------
    mask : (H, W) bool
        True where there are cells.
    foreground : Foreground
        The foreground probability: ``mask`` is ``graph_cut(foreground.image, **arguments)`` with
        the prior, max_weight, sigma and scaling of ``foreground.settings``.

    Raises
    ------
    ValueError
        If the image is constant, not finite, the shapes do not fit together, or channels seem to
        come first.
    """
    found = find_foreground(cell, nucleus, nuclei=nuclei)
    return graph_cut(found.image, **arguments_of(found.settings)), found
