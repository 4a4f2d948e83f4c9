"""Where there are cells: the graph cut of the method, and an automatic choice of its settings."""

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
from cellcutter_core.images.guesses.gaps import filled_gaps, frame
from cellcutter_core.mask.evidence import Evidence, evidence
from cellcutter_core.mask.min_cut import cut_of_pieces, minimum_cut

ROBUST_PERCENTILES = (0.1, 99.9)
# A graph cut of this size takes a tenth of a second, a third where labellings compete closely.
PREVIEW_PIXELS = 200 * 200
# What a preview looks at: factors of max_weight, steps in the log-odds of prior, and by which part
# of a block the blocks are moved.
PREVIEWED = ((1, -0.1, 0), (1, 0, 0), (1, 0.1, 0), (0.5, 0, 0), (1, 0, 1 / 3), (1, 0, 2 / 3))


def graph_cut(
    image: ArrayLike,
    prior: float = 0.5,
    max_weight: float = 5,
    sigma: float = 0.1,
    *,
    scaling: Literal["minmax", "robust"] = "minmax",
) -> NDArray[np.bool_]:
    """Divide an image into cells and background by the graph cut of Din & Yu.

    With I the image scaled to [0, 1], the mask is the labelling of least energy, the sum of

    - ``-log(I) - log(prior)`` for every pixel that is cell,
    - ``-log(1 - I) - log(1 - prior)`` for every pixel that is background,
    - ``max_weight * exp(-(I_p - I_q)**2 / (2 * sigma**2))`` for every two neighbouring pixels p and
      q of which one is cell and one background. A pixel has 8 neighbours in the plane, 26 in
      space; those at the border of the image have fewer.

    So a pixel alone is cell where I > 1 - `prior`, and outlines are cheapest along steps of
    brightness. The minimum is exact, see `cellcutter_core.mask.min_cut`.

    Parameters
    ----------
    image : (H, W) or (D, H, W) array of integers or floats
        Cells are bright.
    prior : float
        Prior probability of cell, above 0 and below 1; higher calls dimmer pixels cell.
    max_weight : float
        Cost of an outline, per pair of neighbours, where the image is flat; at least 0. Higher
        gives smoother, less fragmented cell area.
    sigma : float
        How large a step of I makes an outline cheap; above 0.
    scaling : {"minmax", "robust"}
        Scale by minimum and maximum, as published, or by the percentiles 0.1 and 99.9, so that hot
        pixels change nothing.

    Returns
    -------
    bool array in the shape of `image`
        True where there are cells.

    Raises
    ------
    ValueError
        If a parameter is out of bounds, or the image is empty, constant, not finite, has not 2 or
        3 dimensions, or has 3 and the last one is as short as that of colours.

    Notes
    -----
    The authors' code (cellcutter.utils.graph_cut) joins two neighbours in one direction only, so
    that of two opposite sides of a cell just one costs anything. Here both cost the same, as the
    energy above says: an outline costs twice as much on average, and a cell turned round stays the
    same cell. Logarithms are cut off at the precision of float64, as they are there.

    References
    ----------
    .. [1] Din, N. U. & Yu, J. (2021). Training a deep learning model for single-cell segmentation
       without manual annotation. Scientific Reports 11, 23995.

    Examples
    --------
    A dim gap of one pixel within a cell is bridged, as two outlines would cost more.

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
    """Cost, image and weight as `minimum_cut` takes them."""
    tiny = np.finfo(float).eps
    cost = np.log(np.maximum(1 - scaled, tiny) / np.maximum(scaled, tiny))
    cost += np.log((1 - prior) / prior)

    def weight(step: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(max_weight * np.exp(step * step / (-2 * sigma * sigma)))

    return cost, scaled, weight


def _scaled(
    image: ArrayLike, scaling: str, *, like: NDArray[Any] | None = None
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
    judged = pixels if like is None else like.astype(np.float64)
    if scaling == "robust":
        low, high = np.percentile(judged, ROBUST_PERCENTILES)
        if low == high:
            # More than 99.8 % of the pixels are the same: the rest is all there is to see.
            low, high = judged.min(), judged.max()
    else:
        low, high = judged.min(), judged.max()
    if low == high:
        raise ValueError(f"image is constant (all pixels are {low:g}); choose another channel")
    return np.asarray(np.clip((pixels - low) / (high - low), 0, 1))


def automatic_mask(
    cell: ArrayLike, nucleus: ArrayLike | None = None, *, nuclei: ArrayLike | None = None
) -> tuple[NDArray[np.bool_], Evidence]:
    """Where there are cells, with nothing to set, in fluorescence, phase contrast or bright field.

    The graph cut runs on the `evidence` for cell instead of on brightness.

    Parameters
    ----------
    cell : (H, W) or (H, W, K) array
        One or more cell channels, on any scale.
    nucleus : (H, W) array, optional
        Nucleus channel: what is nucleus there is cell.
    nuclei : (H, W) bool or label image, optional
        Regions of nuclei, if they are known, which is better than the channel.

    Returns
    -------
    mask : (H, W) bool
        True where there are cells.
    evidence : Evidence
        What the mask was cut from: ``mask`` is ``graph_cut(evidence.image, **arguments)`` with the
        prior, max_weight, sigma and scaling of ``evidence.settings``.

    Raises
    ------
    ValueError
        If the image is constant, not finite, the shapes do not fit together, or channels seem to
        come first.
    """
    found = evidence(cell, nucleus, nuclei=nuclei)
    return graph_cut(found.image, **_arguments(found.settings)), found


def find_mask(
    cell: ArrayLike,
    settings: MaskSettings,
    *,
    nuclei: ArrayLike | None = None,
    like: ArrayLike | None = None,
) -> NDArray[np.bool_]:
    """The mask that the settings ask for.

    Parameters
    ----------
    cell : (H, W) or (H, W, K) array
        One or more cell channels. The graph cut with chosen settings, not automatic, sees for each
        pixel the brightest of the channels, each scaled to [0, 1].
    settings : MaskSettings
    nuclei : (H, W) bool or label image, optional
        Regions of nuclei; they are cell in the automatic mask. The published method leaves them to
        the graph cut.
    like : (h, w) or (h, w, K) array, optional
        Pixels of all of the image that this is a part of: with chosen settings, not automatic, each
        channel is scaled as it is there.

    Returns
    -------
    (H, W) bool
        True where there are cells.
    """
    if settings.automatic:
        return automatic_mask(cell, nuclei=nuclei)[0]
    if like is not None:
        return _cut(
            np.max(_scaled_channels(cell, settings.scaling, like), axis=0),
            prior=settings.prior,
            max_weight=settings.max_weight,
            sigma=settings.sigma,
        )
    return graph_cut(_one_channel(cell, settings), **_arguments(settings))


def preview_mask(cell: ArrayLike, settings: MaskSettings) -> NDArray[np.bool_]:
    """Nearly the mask that the chosen settings will give, in a fraction of the time.

    Cuts of the image reduced by whole blocks, with settings around those chosen, show where
    outlines may run. A cut of the image itself then decides on each pixel near one of them, and on
    what lies between them piece by piece. Of all masks that leave the pieces whole it has the least
    energy.

    Parameters
    ----------
    cell, settings
        As for `find_mask`; `settings.automatic` is taken as off.

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
    """Priors at which the mask of this image goes from hardly anything to nearly everything.

    Parameters
    ----------
    cell : (H, W) or (H, W, K) array
        As for `find_mask`.
    settings : MaskSettings
        Of these `scaling` counts.
    n_steps : int
        At least 2.

    Returns
    -------
    tuple of float
        Rising, in equal steps of log-odds, rounded; without outlines the first calls about 1 % of
        the pixels cell, the last about 99 %. Fewer than `n_steps` where some are the same.
    """
    scaled = _scaled(_one_channel(cell, settings), settings.scaling)
    levels = np.clip(np.quantile(scaled, (0.99, 0.01)), 1e-4, 1 - 1e-4)
    lowest, highest = (log_odds(1 - level) for level in levels)
    found = (from_log_odds(odds) for odds in np.linspace(lowest, highest, n_steps))
    # Three digits of what is further from 0.5: 0.985 and 0.0151.
    return tuple(
        sorted({float(f"{p:.3g}") if p < 0.5 else 1 - float(f"{1 - p:.3g}") for p in found})
    )


def suited_settings(
    cell: ArrayLike, settings: MaskSettings, *, like: NDArray[np.bool_] | None = None
) -> MaskSettings:
    """Values of the graph cut to start from on this image.

    The prior is the one of `prior_steps` whose threshold agrees best with a mask that is known.
    Sigma is twice the noise: steps at the border of a cell are larger, those of noise are not.
    Max_weight is 1, which smooths without closing the gaps between cells.

    Parameters
    ----------
    cell : (H, W) or (H, W, K) array
        As for `find_mask`.
    settings : MaskSettings
        Of these `scaling` counts.
    like : (H, W) bool, optional
        The mask to come near, as of `automatic_mask`; default what Otsu's threshold calls bright.

    Returns
    -------
    MaskSettings
        Not automatic.
    """
    scaled = _scaled(_one_channel(cell, settings), settings.scaling)
    priors = prior_steps(cell, settings)
    if like is None:
        like = scaled > threshold_otsu(scaled)
    bright = [scaled > 1 - prior for prior in priors]
    agreements = [(m & like).sum() / max((m | like).sum(), 1) for m in bright]
    # Of two neighbours, each with noise of its own, the difference has √2 times as much.
    steps = np.abs(np.diff(scaled, axis=int(scaled.shape[1] > 1)))
    noise = 1.4826 * float(np.median(steps)) / math.sqrt(2)
    return settings.replace(
        automatic=False,
        prior=priors[int(np.argmax(agreements))],
        max_weight=1.0,
        sigma=float(f"{min(max(2 * noise, 0.005), 0.3):.2g}"),
    )


def _cut_of_blocks(
    scaled: NDArray[np.float64],
    side: int,
    moved: int,
    *,
    prior: float,
    max_weight: float,
    sigma: float,
) -> NDArray[np.bool_]:
    """The cut of the means of blocks that begin `moved` pixels outside of the image.

    Blocks of side k hold k² pixels, and k pairs of neighbours lie across each of their sides: an
    outline costs 1/k of what it does in the image beside the pixels that it parts.
    """
    height, width = scaled.shape
    padding = [(moved, -(n + moved) % side) for n in (height, width)]
    padded = np.pad(scaled, padding, mode="edge")
    blocks = padded.reshape(padded.shape[0] // side, side, padded.shape[1] // side, side)
    cut = _cut(blocks.mean(axis=(1, 3)), prior=prior, max_weight=max_weight / side, sigma=sigma)
    whole = cut.repeat(side, axis=0).repeat(side, axis=1)
    return whole[moved : moved + height, moved : moved + width]


def _edges(values: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Pixels beside one of another value."""
    return np.asarray(ndi.maximum_filter(values, 3) != ndi.minimum_filter(values, 3))


def log_odds(prior: float) -> float:
    """Of a probability above 0 and below 1, its log-odds."""
    return math.log(prior / (1 - prior))


def from_log_odds(odds: float) -> float:
    """The probability of these log-odds."""
    return 1 / (1 + math.exp(-odds))


def _one_channel(cell: ArrayLike, settings: MaskSettings) -> NDArray[Any]:
    """(H, W), of several channels at each pixel the brightest, each scaled to [0, 1]."""
    stack = _stack(cell)
    if stack.ndim == 3 and stack.shape[2] > 1:
        return np.asarray(np.max(_scaled_channels(stack, settings.scaling), axis=0))
    return _imaged(stack.reshape(stack.shape[:2]))


def _stack(cell: ArrayLike) -> NDArray[Any]:
    stack = np.asarray(cell)
    if stack.ndim not in (2, 3) or stack.size == 0:
        raise ValueError(f"cell has the shape {stack.shape}; allowed is (H, W) or (H, W, K)")
    check_channels_last(stack, "cell")
    return stack


def _scaled_channels(
    cell: ArrayLike, scaling: str, like: ArrayLike | None = None
) -> list[NDArray[np.float64]]:
    channels, judged = (
        np.moveaxis(np.atleast_3d(_stack(stack)), -1, 0)
        for stack in (cell, cell if like is None else like)
    )
    return [
        _scaled(_imaged(c), scaling, like=_imaged(j)) for c, j in zip(channels, judged, strict=True)
    ]


def _imaged(channel: NDArray[Any]) -> NDArray[Any]:
    """With background in the frame around it, which is no part of the image."""
    return channel if frame(channel) is None else filled_gaps(channel)


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
        As for `find_mask`; `settings.automatic` is taken as off.
    names : (str, str)
        Settings that take the values of `rows` and `cols`.

    Returns
    -------
    (R, C, H, W) bool
    """
    chosen = settings.replace(automatic=False)
    return np.stack(
        [
            [find_mask(cell, chosen.replace(**{names[0]: row, names[1]: col})) for col in cols]
            for row in rows
        ]
    )


def _arguments(settings: MaskSettings) -> Mapping[str, Any]:
    return settings.model_dump(include={"prior", "max_weight", "sigma", "scaling"})
