"""Where there are cells: the graph cut of the method, and an automatic choice of its settings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellcutter_core.config import MaskSettings
from cellcutter_core.foreground.evidence import Evidence, evidence
from cellcutter_core.foreground.min_cut import minimum_cut
from cellcutter_core.gaps import filled_gaps, frame
from cellcutter_core.shapes import check_channels_last, check_planes_first

ROBUST_PERCENTILES = (0.1, 99.9)
# A graph cut of this size takes a tenth of a second, a third where labellings compete closely.
PREVIEW_PIXELS = 200 * 200


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
    brightness. The minimum is exact, see `cellcutter_core.foreground.min_cut`.

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
    tiny = np.finfo(float).eps
    cost = np.log(np.maximum(1 - scaled, tiny) / np.maximum(scaled, tiny))
    cost += np.log((1 - prior) / prior)

    def weight(step: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(max_weight * np.exp(step * step / (-2 * sigma * sigma)))

    return minimum_cut(cost, scaled, weight)


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
    """About the mask that the chosen settings will give, in a fraction of the time.

    The graph cut of the image reduced to at most `PREVIEW_PIXELS` pixels by whole blocks. Blocks of
    side k hold k² pixels, and k pairs of neighbours lie across each of their sides, so that an
    outline costs 1/k of what it does there beside the pixels that it parts.

    Parameters
    ----------
    cell, settings
        As for `find_mask`; `settings.automatic` is taken as off.

    Returns
    -------
    (H, W) bool
    """
    scaled = _scaled(_one_channel(cell, settings), settings.scaling)
    height, width = scaled.shape
    side = min(math.ceil(math.sqrt(height * width / PREVIEW_PIXELS)), height, width)
    n_rows, n_cols = height // side, width // side
    blocks = scaled[: n_rows * side, : n_cols * side].reshape(n_rows, side, n_cols, side)
    mask = _cut(
        blocks.mean(axis=(1, 3)),
        prior=settings.prior,
        max_weight=settings.max_weight / side,
        sigma=settings.sigma,
    )
    # A rest at the bottom and at the right, less than a block, goes with the last one.
    rows = np.minimum(np.arange(height) // side, n_rows - 1)
    cols = np.minimum(np.arange(width) // side, n_cols - 1)
    return mask[np.ix_(rows, cols)]


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
