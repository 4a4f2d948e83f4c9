"""The self-supervised loss: cover the mask, but neither the background nor other cells.

Din & Yu, Sci. Rep. 11, 23995 (2021), Methods. With p_i(x) the probability of crop i at pixel x,
bg the background mask and

    S(x) = Σ_j log(1 - p_j(x)) + β·bg(x),

the loss is

    (1/N) Σ_i Σ_x [ -p_i + λ·p_i·(log(1 - p_i) - S) ]

It is the sum of three parts, which the app shows:

    area reward   (1/N) Σ_i Σ_x -p_i
    overlap       (1/N) Σ_i Σ_x -λ·p_i·Σ_{j≠i} log(1 - p_j)
    background    (1/N) Σ_i Σ_x -λ·β·p_i·bg
"""

from __future__ import annotations

from typing import Any


def self_supervised_loss(
    logits: Any,
    pixels: Any,
    background: Any,
    *,
    n_pixels: int,
    lam: float = 1.0,
    beta: float = -20.0,
    valid: Any = None,
    outside: Any = None,
) -> tuple[Any, dict[str, Any]]:
    """Compute the loss of a set of overlapping crops, and its parts.

    Parameters
    ----------
    logits : (N, S, S) float32
        p = sigmoid(logits).
    pixels : (N, S, S) int32
        Number of the image pixel at each pixel of a crop, in 0..`n_pixels` - 1: crops that overlap
        share numbers. Any numbering will do; flipped crops have flipped numbers.
    background : (N, S, S) float32
        1 where a crop's pixel cannot belong to its cell, 0 elsewhere.
    n_pixels : int
        Number of image pixels.
    lam, beta : float
        λ and β of the formula.
    valid : (N,) float32, optional
        1 for a crop that counts, 0 for one that only fills the batch.
    outside : (N, S, S, 2) float32, optional
        At each pixel the sums of log(1 - p_j) and of p_j over crops of the same step in other
        batches. With it, the summed gradients of several batches equal the gradient of all their
        crops in one batch.

    Returns
    -------
    loss : scalar tensor
    parts : dict of scalar tensors
        ``area``, ``overlap`` and ``background``; `loss` is their sum.

    Notes
    -----
    log(1 - p) is taken as log_sigmoid(-logits), which is finite for any logit; the published code
    adds 1e-7 within the logarithm instead.
    """
    from keras import ops

    p = ops.sigmoid(logits)
    log_q = ops.log_sigmoid(-logits)
    if valid is not None:
        p = p * valid[:, None, None]
        log_q = log_q * valid[:, None, None]
        n = ops.maximum(ops.sum(valid), 1.0)
    else:
        n = ops.cast(ops.shape(logits)[0], logits.dtype)

    where = ops.reshape(pixels, (-1,))
    total = ops.segment_sum(ops.reshape(log_q, (-1,)), where, num_segments=n_pixels)
    others = ops.reshape(ops.take(total, where), ops.shape(log_q)) - log_q
    unseen = 0.0
    if outside is not None:
        others = others + outside[..., 0]
        # The effect of these crops on the loss of crops in other batches. It has a gradient here,
        # but its value is counted there.
        effect = -lam * ops.sum(log_q * outside[..., 1]) / n
        unseen = effect - ops.stop_gradient(effect)
    parts = {
        "area": -ops.sum(p) / n,
        "overlap": -lam * ops.sum(p * others) / n,
        "background": -lam * beta * ops.sum(p * background) / n,
    }
    return parts["area"] + parts["overlap"] + parts["background"] + unseen, parts
