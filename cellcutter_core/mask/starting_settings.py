"""Settings of the graph cut that suit an image, to start from by hand."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from skimage.filters import threshold_otsu

from cellcutter_core.config import MaskSettings
from cellcutter_core.mask.graph_cut import (
    from_log_odds,
    log_odds,
    noise_of,
    scaled_cell,
)


def prior_steps(cell: ArrayLike, settings: MaskSettings, n_steps: int = 61) -> tuple[float, ...]:
    """Priors that take the mask of this image from nearly empty to nearly full.

    Parameters
    ----------
    cell : (H, W) or (H, W, K) array
        As for `mask_channels`.
    settings : MaskSettings
        Only `scaling` is used.
    n_steps : int
        At least 2.

    Returns
    -------
    tuple of float
        Ascending, in equal steps of log-odds, rounded. If outlines cost nothing, the first calls
        about 1 % of the pixels cell, the last about 99 %. Fewer than `n_steps` if some are equal
        after rounding.
    """
    scaled = scaled_cell(cell, settings)
    levels = np.clip(np.quantile(scaled, (0.99, 0.01)), 1e-4, 1 - 1e-4)
    lowest, highest = (log_odds(1 - level) for level in levels)
    found = (from_log_odds(odds) for odds in np.linspace(lowest, highest, n_steps))
    # Three significant digits of the smaller of p and 1 - p: 0.9849 and 0.0151.
    return tuple(
        sorted({float(f"{p:.3g}") if p < 0.5 else 1 - float(f"{1 - p:.3g}") for p in found})
    )


def suited_settings(
    cell: ArrayLike, settings: MaskSettings, *, wanted: NDArray[np.bool_] | None = None
) -> MaskSettings:
    """Settings of the graph cut to start from on this image.

    The prior is the one of `prior_steps` whose threshold agrees best with `wanted`. Sigma is twice
    the noise: steps at the border of a cell are larger, steps of noise are smaller. Max_weight is
    1, which smooths without closing the gaps between cells.

    Parameters
    ----------
    cell : (H, W) or (H, W, K) array
        As for `mask_channels`.
    settings : MaskSettings
        The graph-cut values in it are replaced; `scaling` is kept.
    wanted : (H, W) bool, optional
        The mask to approximate, such as that of `automatic_mask`. Default: pixels above Otsu's
        threshold.

    Returns
    -------
    MaskSettings
        Not automatic.
    """
    scaled = scaled_cell(cell, settings)
    priors = prior_steps(cell, settings)
    if wanted is None:
        wanted = scaled > threshold_otsu(scaled)

    def agreement(prior: float) -> float:
        bright = scaled > 1 - prior
        either = int(np.count_nonzero(bright | wanted))
        return int(np.count_nonzero(bright & wanted)) / max(either, 1)

    noise = noise_of(scaled)
    return settings.replace(
        automatic=False,
        prior=max(priors, key=agreement),
        max_weight=1.0,
        sigma=float(f"{min(max(2 * noise, 0.005), 0.3):.2g}"),
    )
