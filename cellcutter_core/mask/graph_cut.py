"""The mask: the graph cut of the method, and an automatic choice of its settings."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage as ndi
from skimage.filters import threshold_otsu
from skimage.measure import label

from cellcutter_core.arguments import check_channels_last, check_planes_first
from cellcutter_core.config import MaskSettings
from cellcutter_core.images.scaling import Normalisation, imaged, limits_of
from cellcutter_core.mask.cut_solver import cut_of_pieces, minimum_cut
from cellcutter_core.mask.foreground import Foreground, find_foreground

# A graph cut of this size takes 0.1 s, or 0.3 s where labellings have nearly the same energy.
PREVIEW_PIXELS = 200 * 200
# The cuts that a preview compares: a factor of max_weight, a step in the log-odds of the prior, and
# the fraction of a block by which the blocks are moved.
PREVIEWED = (
    *((1, step, 0) for step in (-0.3, -0.1, 0, 0.1, 0.3)),
    *((factor, 0, 0) for factor in (0.5, 2)),
    *((1, 0, moved) for moved in (1 / 3, 2 / 3)),
)


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
    return _cut(_scaled(image, scaling), prior=prior, max_weight=max_weight, sigma=sigma)


def _cut(
    scaled: NDArray[np.float64], *, prior: float, max_weight: float, sigma: float
) -> NDArray[np.bool_]:
    return minimum_cut(*_problem(scaled, prior=prior, max_weight=max_weight, sigma=sigma))


def _problem(
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


def _scaled(
    image: ArrayLike, scaling: str, limits: tuple[float, float] | None = None
) -> NDArray[np.float64]:
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
    return graph_cut(found.image, **_arguments(found.settings)), found


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
    if normalisation is None:
        return graph_cut(_one_channel(cell, settings), **_arguments(settings))
    scaled = np.max(_scaled_channels(cell, settings.scaling, normalisation), axis=0)
    return _cut(scaled, **settings.model_dump(include={"prior", "max_weight", "sigma"}))


def preview_mask(cell: ArrayLike, settings: MaskSettings) -> NDArray[np.bool_]:
    """Nearly the mask of these settings, in a fraction of the time.

    The image is reduced to the means of blocks and cut with several settings around those chosen.
    These cuts show where outlines may run. A cut of the full image then decides on each pixel near
    such an outline, and on each piece between the outlines as a whole. Of all masks that leave
    these pieces whole, the result has the least energy.

    Parameters
    ----------
    cell, settings
        As for `mask_channels`; `settings.automatic` is taken as off.

    Returns
    -------
    (H, W) bool
    """
    scaled = _scaled(_one_channel(cell, settings), settings.scaling)
    values = settings.model_dump(include={"prior", "max_weight", "sigma"})
    side = min(math.ceil(math.sqrt(scaled.size / PREVIEW_PIXELS)), *scaled.shape)
    if side == 1:
        return _cut(scaled, **values)
    seen = np.zeros(scaled.shape, np.int32)
    for factor, step, moved in PREVIEWED:
        odds = log_odds(settings.prior) + step
        around = {**values, "prior": from_log_odds(odds)}
        around["max_weight"] *= factor
        seen = 2 * seen + _cut_of_blocks(scaled, side, round(moved * side), **around)
    near = ndi.maximum_filter(_edges(seen), 2 * side + 1)
    pieces = label(np.where(near, -1, seen), background=-1, connectivity=1)
    return cut_of_pieces(*_problem(scaled, **values), pieces)


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
    scaled = _scaled(_one_channel(cell, settings), settings.scaling)
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
    scaled = _scaled(_one_channel(cell, settings), settings.scaling)
    priors = prior_steps(cell, settings)
    if wanted is None:
        wanted = scaled > threshold_otsu(scaled)
    bright = [scaled > 1 - prior for prior in priors]
    agreements = [(m & wanted).sum() / max((m | wanted).sum(), 1) for m in bright]
    noise = _noise(scaled)
    return settings.replace(
        automatic=False,
        prior=priors[int(np.argmax(agreements))],
        max_weight=1.0,
        sigma=float(f"{min(max(2 * noise, 0.005), 0.3):.2g}"),
    )


def _noise(scaled: NDArray[np.float64]) -> float:
    """Estimate the standard deviation of the noise of a pixel."""
    # The difference of two independent neighbours has √2 times the noise of one pixel.
    steps = np.abs(np.diff(scaled, axis=int(scaled.shape[1] > 1)))
    return 1.4826 * float(np.median(steps)) / math.sqrt(2)


def _cut_of_blocks(
    scaled: NDArray[np.float64],
    side: int,
    moved: int,
    *,
    prior: float,
    max_weight: float,
    sigma: float,
) -> NDArray[np.bool_]:
    """The cut of the means of blocks; the first block begins `moved` pixels outside of the image.

    A block of side k holds k² pixels but has only k pairs of neighbours across each of its sides.
    So relative to the cost of pixels, an outline costs 1/k of what it costs in the full image.

    Means have less noise, so they would make outlines too expensive. A difference d with normal
    noise of variance v costs on average sigma / s * exp(-d² / 2s²), with s² = sigma² + v. Here v is
    the variance that the means have lost.
    """
    lost = 2 * _noise(scaled) ** 2 * (1 - 1 / side**2)
    noisy = math.sqrt(sigma**2 + lost)
    max_weight, sigma = max_weight * sigma / noisy, noisy
    height, width = scaled.shape
    padding = [(moved, -(n + moved) % side) for n in (height, width)]
    padded = np.pad(scaled, padding, mode="edge")
    blocks = padded.reshape(padded.shape[0] // side, side, padded.shape[1] // side, side)
    cut = _cut(blocks.mean(axis=(1, 3)), prior=prior, max_weight=max_weight / side, sigma=sigma)
    whole = cut.repeat(side, axis=0).repeat(side, axis=1)
    return whole[moved : moved + height, moved : moved + width]


def _edges(values: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Pixels that have a neighbour of another value."""
    return np.asarray(ndi.maximum_filter(values, 3) != ndi.minimum_filter(values, 3))


def log_odds(prior: float) -> float:
    """The log-odds of a probability above 0 and below 1."""
    return math.log(prior / (1 - prior))


def from_log_odds(odds: float) -> float:
    """The probability that has these log-odds."""
    return 1 / (1 + math.exp(-odds))


def _one_channel(cell: ArrayLike, settings: MaskSettings) -> NDArray[Any]:
    """(H, W): the channel, or the brightest of several at each pixel, each scaled to [0, 1]."""
    stack = _stack(cell)
    if stack.ndim == 3 and stack.shape[2] > 1:
        return np.asarray(np.max(_scaled_channels(stack, settings.scaling), axis=0))
    return imaged(stack.reshape(stack.shape[:2]))


def _stack(cell: ArrayLike) -> NDArray[Any]:
    stack = np.asarray(cell)
    if stack.ndim not in (2, 3) or stack.size == 0:
        raise ValueError(f"cell has the shape {stack.shape}; allowed is (H, W) or (H, W, K)")
    check_channels_last(stack, "cell")
    return stack


def _scaled_channels(
    cell: ArrayLike, scaling: str, normalisation: Normalisation | None = None
) -> list[NDArray[np.float64]]:
    channels = [imaged(one) for one in np.moveaxis(np.atleast_3d(_stack(cell)), -1, 0)]
    limits = [None] * len(channels) if normalisation is None else normalisation.limits(scaling)
    return [_scaled(c, scaling, ends) for c, ends in zip(channels, limits, strict=True)]


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


def _arguments(settings: MaskSettings) -> Mapping[str, Any]:
    return settings.model_dump(include={"prior", "max_weight", "sigma", "scaling"})
