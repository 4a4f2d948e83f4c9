"""The position embedding, which tells the network that the cell at a crop's centre is meant."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def position_embedding(size: int, sigma: float) -> NDArray[np.float32]:
    """Return the last channel of every crop: a Gaussian around the crop's marker (Din & Yu, 2021).

    Parameters
    ----------
    size : int
        Side of a crop in pixels; even.
    sigma : float
        Width in pixels.

    Returns
    -------
    (size, size) float32
        exp(-d²/2σ²), d the distance to the pixel at (size / 2, size / 2), where the marker is.
    """
    d = np.arange(size, dtype=np.float32) - size // 2
    return np.asarray(np.exp(-(d[:, None] ** 2 + d**2) / (2 * sigma**2)), np.float32)
