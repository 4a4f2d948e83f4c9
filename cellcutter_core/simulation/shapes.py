"""Noise and distances from which simulated cells are made."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Labels = NDArray[np.int32]


def smooth_noise(
    shape: tuple[int, int], scale: float | tuple[float, float], *, rng: np.random.Generator
) -> Floats:
    """Random field, mean 0 and standard deviation about 1, that varies over `scale` pixels."""
    rows, cols = np.broadcast_to(scale, 2)
    coarse = rng.standard_normal(
        (int(np.ceil(shape[0] / rows)) + 3, int(np.ceil(shape[1] / cols)) + 3)
    )
    # A cubic B-spline with white noise as coefficients takes the same time at any scale.
    # It reduces the standard deviation to 0.479 along each axis.
    field = _b_spline(coarse, np.arange(shape[0]) / rows)
    return _b_spline(field.T, np.arange(shape[1]) / cols).T / 0.479


def _b_spline(coefficients: Floats, at: Floats) -> Floats:
    """Uniform cubic B-spline along the first axis."""
    first = at.astype(int)
    t = (at - first)[:, None]
    weights = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, 1 + 3 * t * (1 + t - t**2), t**3)
    total = np.zeros((len(at), coefficients.shape[1]))
    for k, weight in enumerate(weights):
        total += weight / 6 * coefficients[first + k]
    return total
