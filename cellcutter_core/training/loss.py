"""The loss, and every term that it is made of.

Din & Yu, Sci. Rep. 11, 23995 (2021), Methods. With p_i(x) the probability of crop i at pixel x,
bg the background mask and

    S(x) = Σ_j log(1 - p_j(x)) + β·bg(x),

the loss is

    (1/N) Σ_i Σ_x [ -p_i + λ·p_i·(log(1 - p_i) - S) ]

It is the sum of the published ones of `LOSS_TERMS`. Events of a training, curves, results and
explanations take names and words from there. To add a term, write one function and list it.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cellcutter_core.config import TrainingSettings


@dataclass(frozen=True)
class Crops:
    """What the network says of a batch of N crops, and what is known of their pixels.

    Attributes
    ----------
    p, log_p, log_q : (N, S, S) tensor
        Probability of the crop's cell, log(p) and log(1 - p). In crops that only fill the batch
        `p` and `log_q` are 0.
    others : (N, S, S) tensor
        Σ_{j≠i} log(1 - p_j): the other crops of the step at the same image pixel.
    background, nucleus : (N, S, S) tensor
        1 where a pixel cannot belong to the crop's cell; 1 on the nucleus of the crop's cell.
    valid : (N, 1, 1) tensor
        1 for a crop that counts, 0 for one that only fills the batch.
    n : scalar tensor
        Number of crops that count.
    p_outside : (N, S, S) tensor or None
        Sum of p_j over crops of the same step in other batches, if there are any.
    """

    p: Any
    log_p: Any
    log_q: Any
    others: Any
    background: Any
    nucleus: Any
    valid: Any
    n: Any
    p_outside: Any


@dataclass(frozen=True)
class LossTerm:
    """One term of the loss.

    Attributes
    ----------
    name : str
        Its key in events, `Step.losses` and `Epoch.losses`.
    title : str
        Its name on pages and in figures.
    compute : callable
        `compute(crops, settings)` → scalar tensor, a mean over the crops that count.
    formula, explanation : str
        LaTeX, and Markdown that goes on after the title and a colon.
    weight : str, optional
        Name of the training setting that weighs it, for a term beside the published ones: training
        minimises it too, but `loss` is without it, and it is shown only where it is not 0.
    """

    name: str
    title: str
    compute: Callable[[Crops, TrainingSettings], Any]
    formula: str
    explanation: str
    weight: str | None = None


def _area(crops: Crops, settings: TrainingSettings) -> Any:
    from keras import ops

    del settings
    return -ops.sum(crops.p) / crops.n


def _overlap(crops: Crops, settings: TrainingSettings) -> Any:
    from keras import ops

    lam, n = settings.lam, crops.n
    value = -lam * ops.sum(crops.p * crops.others) / n
    if crops.p_outside is None:
        return value
    # The effect of these crops on the loss of crops in other batches. It has a gradient here, but
    # its value is counted there.
    effect = -lam * ops.sum(crops.log_q * crops.p_outside) / n
    return value + (effect - ops.stop_gradient(effect))


def _background(crops: Crops, settings: TrainingSettings) -> Any:
    from keras import ops

    return -settings.lam * settings.beta * ops.sum(crops.p * crops.background) / crops.n


def _nuclei(crops: Crops, settings: TrainingSettings) -> Any:
    from keras import ops

    share = crops.valid / crops.n
    return -settings.nucleus_weight * ops.sum(crops.nucleus * crops.log_p * share)


LOSS_TERMS = (
    LossTerm(
        "area",
        "Area reward",
        _area,
        r"-\frac1N\sum_{i,x}p_i",
        "every pixel that a cell covers counts 1. On its own it would make every cell fill its "
        "crop.",
    ),
    LossTerm(
        "overlap",
        "Overlap",
        _overlap,
        r"-\frac{\lambda}{N}\sum_{i,x}p_i\sum_{j\neq i}\log(1-p_j)",
        "a pixel that crop $j$ claims too costs more the surer $j$ is. Two cells cannot both have "
        "it, so they settle on a border.",
    ),
    LossTerm(
        "background",
        "Background",
        _background,
        r"-\frac{\lambda\beta}{N}\sum_{i,x}p_i\,\mathrm{bg}",
        r"$\mathrm{bg}$ is 1 outside of the mask. A pixel there costs $-\lambda\beta$, 20 with the "
        "paper's values.",
    ),
    LossTerm(
        "certain",
        "Nuclei",
        _nuclei,
        r"-\frac{w}{N}\sum_i\sum_{x\in\mathrm{nucleus}\,i}\log p_i",
        "the pixels of a nucleus belong to its own cell. $w$ is the setting *nucleus weight*, 0 in "
        "the paper. Training minimises this term too, but the loss that is shown is without it.",
        weight="nucleus_weight",
    ),
)
"""All terms, in the order in which they are added and shown."""


def published_terms() -> list[LossTerm]:
    """Return the terms whose sum is `loss`."""
    return [term for term in LOSS_TERMS if term.weight is None]


def weighted_terms(settings: TrainingSettings | None = None) -> list[LossTerm]:
    """Return the terms beside the loss; with settings, only those that have a weight there."""
    return [
        term
        for term in LOSS_TERMS
        if term.weight and (settings is None or getattr(settings, term.weight) > 0)
    ]


def loss_names() -> list[str]:
    """Return the names of all losses of an event: ``loss`` and each of the `LOSS_TERMS`."""
    return ["loss", *(term.name for term in LOSS_TERMS)]


def loss_explained() -> dict[str, str]:
    """Return what an explanation says of the loss: LaTeX of all formulas, Markdown of all terms."""
    formulas = [rf"\text{{{one.title.lower()}}}&={one.formula}" for one in LOSS_TERMS]
    terms = [f"- **{one.title}**: {one.explanation}" for one in LOSS_TERMS]
    return {
        "formulas of the loss": "\\\\\n".join(formulas),
        "terms of the loss": "\n".join(terms),
    }


def read_crops(
    logits: Any,
    pixels: Any,
    background: Any,
    *,
    n_pixels: int,
    nucleus: Any = 0.0,
    valid: Any = None,
    outside: Any = None,
) -> Crops:
    """Compute what the terms of the loss need from a set of overlapping crops.

    Parameters
    ----------
    logits : (N, S, S) float32
        p = sigmoid(logits).
    pixels : (N, S, S) int32
        Number of the image pixel at each pixel of a crop, in 0..`n_pixels` - 1: crops that overlap
        share numbers. Any numbering will do; flipped crops have flipped numbers.
    background, nucleus : (N, S, S) float32
        1 where a crop's pixel cannot belong to its cell, and where it lies on the nucleus of its
        cell; 0 elsewhere.
    n_pixels : int
        Number of image pixels.
    valid : (N,) float32, optional
        1 for a crop that counts, 0 for one that only fills the batch.
    outside : (N, S, S, 2) float32, optional
        At each pixel the sums of log(1 - p_j) and of p_j over crops of the same step in other
        batches. With it, the summed gradients of several batches equal the gradient of all their
        crops in one batch.

    Notes
    -----
    log(1 - p) is taken as log_sigmoid(-logits), which is finite for any logit; the published code
    adds 1e-7 within the logarithm instead.
    """
    from keras import ops

    p, log_q = ops.sigmoid(logits), ops.log_sigmoid(-logits)
    if valid is not None:
        n = ops.maximum(ops.sum(valid), 1.0)
        valid = valid[:, None, None]
        p, log_q = p * valid, log_q * valid
    else:
        n, valid = ops.cast(ops.shape(logits)[0], logits.dtype), 1.0
    where = ops.reshape(pixels, (-1,))
    total = ops.segment_sum(ops.reshape(log_q, (-1,)), where, num_segments=n_pixels)
    others = ops.reshape(ops.take(total, where), ops.shape(log_q)) - log_q
    p_outside = None
    if outside is not None:
        others, p_outside = others + outside[..., 0], outside[..., 1]
    log_p = ops.log_sigmoid(logits)
    return Crops(p, log_p, log_q, others, background, nucleus, valid, n, p_outside)


def self_supervised_loss(crops: Crops, settings: TrainingSettings) -> tuple[Any, dict[str, Any]]:
    """Compute the loss of crops as a scalar tensor, and each of the `LOSS_TERMS` by its name."""
    terms = {term.name: term.compute(crops, settings) for term in LOSS_TERMS}
    return functools.reduce(operator.add, (terms[one.name] for one in published_terms())), terms


def target_loss(crops: Crops, target: Any) -> Any:
    """Compute the cross-entropy with given cells, which a warm-up minimises instead of the loss.

    `target` is (N, S, S), 1 where the pixel belongs to the crop's cell and 0 elsewhere. As in the
    loss, the result is a mean over the crops that count.
    """
    from keras import ops

    entropy = target * crops.log_p + (1 - target) * crops.log_q
    return -ops.sum(entropy * (crops.valid / crops.n))
