"""The mask of given settings, automatic or by hand, and of a grid of settings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellcutter_core.config import MaskSettings
from cellcutter_core.images.scaling import Normalisation
from cellcutter_core.mask.automatic_mask import automatic_mask
from cellcutter_core.mask.graph_cut import arguments_of, cut, scaled_cell


def mask_channels(
    cell: ArrayLike,
    settings: MaskSettings,
    *,
    nuclei: ArrayLike | None = None,
    normalisation: Normalisation | None = None,
) -> NDArray[np.bool_]:
    """Find the mask with the given settings.

    Parameters
    ----------
    cell : (H, W) or (H, W, K) array
        One or more cell channels. If the settings are not automatic, each channel is scaled to
        [0, 1], and the graph cut uses the brightest one at each pixel.
    settings : MaskSettings
    nuclei : (H, W) bool or label image, optional
        Regions of nuclei. The automatic mask takes them as certain; the published method does not
        use them.
    normalisation : Normalisation, optional
        That of the whole image, if `cell` is a part of it. If the settings are not automatic, each
        channel is scaled by it.

    Returns
    -------
    (H, W) bool
        True where there are cells.
    """
    if settings.automatic:
        return automatic_mask(cell, nuclei=nuclei)[0]
    return cut(scaled_cell(cell, settings, normalisation), **arguments_of(settings))


def mask_grid(
    cell: ArrayLike,
    settings: MaskSettings,
    names: tuple[str, str],
    rows: Sequence[float],
    cols: Sequence[float],
) -> NDArray[np.bool_]:
    """The mask for every pair of values of two settings.

    Parameters
    ----------
    cell, settings
        As for `mask_channels`; `settings.automatic` is taken as off.
    names : (str, str)
        The two settings; the first takes the values of `rows`, the second those of `cols`.

    Returns
    -------
    (R, C, H, W) bool
    """
    chosen = settings.replace(automatic=False)
    return np.stack(
        [
            [mask_channels(cell, chosen.replace(**{names[0]: row, names[1]: col})) for col in cols]
            for row in rows
        ]
    )
