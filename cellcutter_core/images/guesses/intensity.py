"""Intensities on a common scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def normalise(
    channel: npt.NDArray[Any], *, low: float = 0.0, high: float = 100.0
) -> npt.NDArray[np.float32]:
    """Scale the pixels of a channel to [0, 1] by two percentiles.

    Parameters
    ----------
    channel : array of integers or floats
    low, high : float
        Percentiles that become 0 and 1; pixels beyond are clipped. The default is minimum and
        maximum.

    Returns
    -------
    array of float32, same shape

    Raises
    ------
    ValueError
        If the channel is empty or holds NaN or infinity, the percentiles are not
        0 <= `low` < `high` <= 100, or both have the same value, as in a constant image.

    Examples
    --------
    >>> normalise(np.array([[10, 20], [30, 50]]))
    array([[0.  , 0.25],
           [0.5 , 1.  ]], dtype=float32)
    """
    if not 0 <= low < high <= 100:
        raise ValueError(f"low is {low} and high is {high}; allowed is 0 <= low < high <= 100")
    channel = np.asarray(channel)
    if channel.size == 0 or channel.dtype.kind not in "biuf":
        raise ValueError(
            f"channel has shape {channel.shape} and dtype {channel.dtype}; give at least one pixel "
            "of an integer or float type"
        )
    if not np.all(np.isfinite(channel)):
        raise ValueError("channel holds NaN or infinite pixels; replace them by numbers")
    # Differences of 8- and 16-bit numbers are exact in 32-bit floats; larger types need 64 bits.
    small = channel.dtype.itemsize < 4
    work: npt.NDArray[Any] = channel.astype(np.float32 if small else np.float64)
    bottom = float(work.min() if low == 0 else np.percentile(work, low))
    top = float(work.max() if high == 100 else np.percentile(work, high))
    if not bottom < top:
        raise ValueError(
            f"channel cannot be scaled: its percentiles {low} and {high} are both {bottom}; "
            "choose a channel that is not constant, or percentiles further apart"
        )
    work -= bottom
    work /= top - bottom
    np.clip(work, 0, 1, out=work)
    return work.astype(np.float32, copy=False)
