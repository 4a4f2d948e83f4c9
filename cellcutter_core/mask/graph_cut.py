"""The graph cut of Din & Yu, which divides an image into cells and background."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellcutter_core.arguments import check_channels_last, check_planes_first
from cellcutter_core.config import MaskSettings
from cellcutter_core.images.scaling import Normalisation, imaged, limits_of
from cellcutter_core.mask.cut_solver import minimum_cut


def graph_cut(
    image: ArrayLike,
    prior: float = 0.5,
    max_weight: float = 5,
    sigma: float = 0.1,
    *,
    scaling: Literal["minmax", "robust"] = "minmax",
) -> NDArray[np.bool_]:
    """Divide an image into cells and background by the graph cut of Din & Yu.

    With I the image scaled to [0, 1], the mask is the labelling of least energy. The energy is the
    sum of

    - ``-log(I) - log(prior)`` for every pixel that is cell,
    - ``-log(1 - I) - log(1 - prior)`` for every pixel that is background,
    - ``max_weight * exp(-(I_p - I_q)**2 / (2 * sigma**2))`` for every pair of neighbouring pixels
      p and q of which one is cell and one background. A pixel has 8 neighbours in the plane and
      26 in space, fewer at the border of the image.

    Without the last term a pixel is cell where I > 1 - `prior`. With it, outlines are cheapest
    along steps of brightness. The minimum is exact, see `cellcutter_core.mask.cut_solver`.

    Parameters
    ----------
    image : (H, W) or (D, H, W) array of integers or floats
        Cells are bright.
    prior : float
        Prior probability of cell, above 0 and below 1. Higher values call dimmer pixels cell.
    max_weight : float
        Cost of an outline per pair of neighbours where the image is flat, at least 0. Higher
        values give a smoother, less fragmented mask.
    sigma : float
        The step of I that makes an outline cheap, above 0.
    scaling : {"minmax", "robust"}
        Scale by minimum and maximum, as published, or by the percentiles 0.1 and 99.9, which hot
        pixels do not shift.

    Returns
    -------
    bool array in the shape of `image`
        True where there are cells.

    Raises
    ------
    ValueError
        If a parameter is out of bounds; if the image is empty, constant, not finite, or does not
        have 2 or 3 axes; or if it has 3 axes and the last one is so short that it holds colours.

    Notes
    -----
    The authors' code (cellcutter.utils.graph_cut) connects two neighbours in one direction only, so
    only one of two opposite sides of a cell has a cost. Here both sides cost the same, as in the
    energy above. An outline costs twice as much on average, and a rotated image gives a rotated
    mask. Logarithms are cut off at the precision of float64, as in the authors' code.

    References
    ----------
    .. [1] Din, N. U. & Yu, J. (2021). Training a deep learning model for single-cell segmentation
       without manual annotation. Scientific Reports 11, 23995.

    Examples
    --------
    A dim gap of one pixel within a cell is bridged, because two outlines would cost more.

    >>> graph_cut([[0, 9, 9, 4, 9, 9, 0]]).astype(int)
    array([[0, 1, 1, 1, 1, 1, 0]])
    """
    MaskSettings(prior=prior, max_weight=max_weight, sigma=sigma, scaling=scaling)
    return cut(scaled_image(image, scaling), prior=prior, max_weight=max_weight, sigma=sigma)


def cut(
    scaled: NDArray[np.float64], *, prior: float, max_weight: float, sigma: float
) -> NDArray[np.bool_]:
    """The mask of a scaled image, see `graph_cut`."""
    return minimum_cut(*cut_problem(scaled, prior=prior, max_weight=max_weight, sigma=sigma))


def cut_problem(
    scaled: NDArray[np.float64], *, prior: float, max_weight: float, sigma: float
) -> tuple[
    NDArray[np.float64],
    NDArray[np.float64],
    Callable[[NDArray[np.float64]], NDArray[np.float64]],
]:
    """The arguments `cost`, `image` and `weight` of `minimum_cut`."""
    tiny = np.finfo(float).eps
    cost = np.log(np.maximum(1 - scaled, tiny) / np.maximum(scaled, tiny))
    cost += np.log((1 - prior) / prior)

    def weight(step: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(max_weight * np.exp(step * step / (-2 * sigma * sigma)))

    return cost, scaled, weight


def scaled_image(
    image: ArrayLike, scaling: str, limits: tuple[float, float] | None = None
) -> NDArray[np.float64]:
    """The image scaled to [0, 1], by `limits` or else those of `scaling`; checked."""
    pixels = np.asarray(image)
    if pixels.ndim not in (2, 3) or pixels.size == 0:
        raise ValueError(f"image has the shape {pixels.shape}; allowed is (H, W) or (D, H, W)")
    check_planes_first(pixels, "image")
    if not (np.issubdtype(pixels.dtype, np.number) or pixels.dtype == bool) or np.iscomplexobj(
        pixels
    ):
        raise ValueError(f"image holds {pixels.dtype}; allowed are integers and floats")
    pixels = pixels.astype(np.float64)
    if not np.isfinite(pixels).all():
        raise ValueError("image has pixels that are NaN or infinite; replace them first")
    low, high = limits or limits_of(pixels, scaling)
    if low == high:
        raise ValueError(f"image is constant (all pixels are {low:g}); choose another channel")
    return np.asarray(np.clip((pixels - low) / (high - low), 0, 1))


def scaled_cell(
    cell: ArrayLike, settings: MaskSettings, normalisation: Normalisation | None = None
) -> NDArray[np.float64]:
    """(H, W): the brightest channel at each pixel, each scaled to [0, 1].

    A channel is scaled by a normalisation or else by itself. The result is not scaled again, so a
    part of an image gets the same values as the whole.
    """
    channels = [imaged(one) for one in np.moveaxis(np.atleast_3d(cell_stack(cell)), -1, 0)]
    scaling = settings.scaling
    limits = [None] * len(channels) if normalisation is None else normalisation.limits(scaling)
    scaled = [scaled_image(c, scaling, ends) for c, ends in zip(channels, limits, strict=True)]
    return np.asarray(np.max(scaled, axis=0))


def cell_stack(cell: ArrayLike) -> NDArray[Any]:
    """Cell channels as an array (H, W) or (H, W, K); a ValueError if it cannot be that."""
    stack = np.asarray(cell)
    if stack.ndim not in (2, 3) or stack.size == 0:
        raise ValueError(f"cell has the shape {stack.shape}; allowed is (H, W) or (H, W, K)")
    check_channels_last(stack, "cell")
    return stack


def arguments_of(settings: MaskSettings) -> Mapping[str, Any]:
    """The arguments of `cut` that settings stand for."""
    return settings.model_dump(include={"prior", "max_weight", "sigma"})


def noise_of(scaled: NDArray[np.float64]) -> float:
    """Estimate the standard deviation of the noise of a pixel."""
    # The difference of two independent neighbours has √2 times the noise of one pixel.
    steps = np.abs(np.diff(scaled, axis=int(scaled.shape[1] > 1)))
    return 1.4826 * float(np.median(steps)) / math.sqrt(2)


def log_odds(prior: float) -> float:
    """The log-odds of a probability above 0 and below 1."""
    return math.log(prior / (1 - prior))


def from_log_odds(odds: float) -> float:
    """The probability that has these log-odds."""
    return 1 / (1 + math.exp(-odds))
