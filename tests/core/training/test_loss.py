"""The loss against the formula in plain loops, its gradient against differences, its backends."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from one_step import dataset, loss_results, network, step_results
from patience import LONGEST

import cellcutter_core
from cellcutter_core.config import TrainingSettings
from cellcutter_core.training.loss import read_crops, self_supervised_loss

LAM, BETA = 0.8, -6.0


def loss_by_loops(
    logits: np.ndarray,
    pixels: np.ndarray,
    background: np.ndarray,
    *,
    lam: float = LAM,
    beta: float = BETA,
) -> float:
    """(1/N) Σ_i Σ_x [-p_i + λ·p_i·(log(1 - p_i) - S)], S = Σ_j log(1 - p_j) + β·bg, as it reads."""
    p = 1 / (1 + np.exp(-logits))
    total = 0.0
    for i, row, col in np.ndindex(p.shape):
        s = beta * background[i, row, col]
        for j in range(len(p)):
            for there in np.argwhere(pixels[j] == pixels[i, row, col]):
                s += np.log(1 - p[j][tuple(there)])
        own = p[i, row, col]
        total += -own + lam * own * (np.log(1 - own) - s)
    return float(total / len(p))


def overlapping(n: int = 4, side: int = 3, *, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Logits, pixels and background of crops of a 5 × 5 image, float64."""
    rng = np.random.default_rng(seed)
    image = np.arange(25).reshape(5, 5)
    corners = rng.integers(0, 6 - side, (n, 2))
    pixels = np.stack([image[r : r + side, c : c + side] for r, c in corners]).astype(np.int32)
    # One flipped, as in training.
    pixels[1] = pixels[1, ::-1]
    background = (rng.random(25) < 0.3).astype(float)[pixels]
    return rng.normal(0, 2, pixels.shape), pixels, background


def loss_and_terms(
    *crops: Any, lam: float = LAM, beta: float = BETA, n_pixels: int = 25, **options: Any
) -> tuple[Any, dict[str, Any]]:
    read = read_crops(*crops, n_pixels=n_pixels, **options)
    return self_supervised_loss(read, TrainingSettings(lam=lam, beta=beta))


def loss_and_gradient(logits: np.ndarray, *others: Any, **options: Any) -> tuple[float, np.ndarray]:
    import tensorflow as tf

    variable = tf.Variable(logits)
    with tf.GradientTape() as tape:
        loss, _ = loss_and_terms(variable, *others, **options)
    return float(loss), tape.gradient(loss, variable).numpy()


def differences(function: Callable[[np.ndarray], float], at: np.ndarray) -> np.ndarray:
    """Gradient of `function` by central differences."""
    found = np.zeros(at.shape)
    for index in np.ndindex(at.shape):
        step = np.zeros(at.shape)
        step[index] = 1e-5
        found[index] = (function(at + step) - function(at - step)) / 2e-5
    return found


@pytest.mark.parametrize("seed", range(3))
def test_the_loss_and_its_gradient_are_those_of_the_formula(seed: int) -> None:
    logits, pixels, background = overlapping(seed=seed)
    loss, gradient = loss_and_gradient(logits, pixels, background)
    assert loss == pytest.approx(loss_by_loops(logits, pixels, background), rel=1e-12)
    expected = differences(lambda z: loss_by_loops(z, pixels, background), logits)
    np.testing.assert_allclose(gradient, expected, rtol=1e-7, atol=1e-8)


def test_the_published_lambda_and_beta_are_the_defaults() -> None:
    logits, pixels, background = overlapping()
    crops = read_crops(logits, pixels, background, n_pixels=25)
    loss, _ = self_supervised_loss(crops, TrainingSettings())
    expected = loss_by_loops(logits, pixels, background, lam=1, beta=-20)
    assert float(loss) == pytest.approx(expected, rel=1e-12)


def test_the_terms_by_hand() -> None:
    # Two crops of two pixels that share pixel 1; pixel 2 is background. p = 1/2 everywhere.
    loss, terms = loss_and_terms(
        np.zeros((2, 1, 2)),
        np.array([[[0, 1]], [[1, 2]]], np.int32),
        np.array([[[0.0, 0]], [[0, 1]]]),
        n_pixels=3,
        lam=2,
        beta=-10,
    )
    found = {name: float(value) for name, value in terms.items()}
    # No nucleus was given.
    assert found.pop("certain") == 0
    assert found == pytest.approx(
        {
            "area": -4 * 0.5 / 2,
            # At the shared pixel each of the two pays for the other: -λ·p·log(1/2).
            "overlap": 2 * 2 * 0.5 * np.log(2) / 2,
            "background": 2 * 10 * 0.5 / 2,
        }
    )
    assert float(loss) == pytest.approx(sum(found.values()))


def test_the_published_terms_sum_to_the_loss() -> None:
    logits, pixels, background = overlapping(6, seed=8)
    loss, terms = loss_and_terms(logits, pixels, background)
    published = [float(terms[name]) for name in ("area", "overlap", "background")]
    assert float(loss) == pytest.approx(sum(published), rel=1e-12)
    assert all(published)


def test_a_crop_that_only_fills_the_batch_counts_for_nothing() -> None:
    logits, pixels, background = overlapping(4, seed=4)
    alone, gradient = loss_and_gradient(logits[:3], pixels[:3], background[:3])
    valid = np.array([1.0, 1, 1, 0])
    filled, gradient_filled = loss_and_gradient(logits, pixels, background, valid=valid)
    assert filled == pytest.approx(alone, rel=1e-12)
    np.testing.assert_allclose(gradient_filled[:3], gradient, rtol=1e-12)
    assert not gradient_filled[3].any()
    everything, _ = loss_and_gradient(logits, pixels, background, valid=np.ones(4))
    assert everything == pytest.approx(loss_by_loops(logits, pixels, background), rel=1e-12)


def test_batches_that_know_of_each_other_add_up_to_one() -> None:
    logits, pixels, background = overlapping(7, seed=2)
    loss, gradient = loss_and_gradient(logits, pixels, background)
    p = 1 / (1 + np.exp(-logits))
    parts = [np.arange(3), np.arange(3, 7)]
    losses, gradients = [], []
    for own, others in (parts, parts[::-1]):
        sums = np.zeros((25, 2))
        np.add.at(sums[:, 0], pixels[others], np.log(1 - p[others]))
        np.add.at(sums[:, 1], pixels[others], p[others])
        # One crop more that only fills: no term of it may reach the gradient either.
        padded = np.append(own, others[0])
        valid = (np.arange(len(padded)) < len(own)).astype(float)
        value, found = loss_and_gradient(
            logits[padded], pixels[padded], background[padded],
            valid=valid, outside=sums[pixels[padded]],
        )  # fmt: skip
        # Each batch's loss is a mean over its own crops.
        losses.append(value * len(own) / 7)
        gradients.append(found[:-1] * len(own) / 7)
        assert not found[-1].any()
    assert sum(losses) == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(np.concatenate(gradients), gradient, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("logit", [-1000.0, -100.0, 100.0, 1000.0])
def test_certainty_gives_no_nan(logit: float) -> None:
    _, pixels, background = overlapping()
    logits = np.full(pixels.shape, logit, np.float32)
    logits[0, 0, 0] = -logit
    loss, gradient = loss_and_gradient(logits, pixels, background.astype(np.float32))
    assert np.isfinite(loss)
    assert np.isfinite(gradient).all()


def test_empty_crops_lose_nothing() -> None:
    # The collapse that training has to notice: all cells empty is a loss of exactly 0.
    _, pixels, background = overlapping()
    logits = np.full(pixels.shape, -1000, np.float32)
    loss, gradient = loss_and_gradient(logits, pixels, background.astype(np.float32))
    assert loss == 0
    assert not gradient.any()


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_loss_and_training_step_are_the_same_on_every_backend(backend: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    import keras

    keras.utils.set_random_seed(0)
    unet = network()
    unet.model(dataset().n_channels)
    np.savez(tmp_path / "weights.npz", **{str(i): w for i, w in enumerate(unet.weights)})
    home = Path(cellcutter_core.__file__).parents[1]
    with subprocess.Popen(
        [
            sys.executable,
            Path(__file__).with_name("one_step.py"),
            tmp_path / "weights.npz",
            tmp_path / "results.npz",
        ],
        # Compiling thoroughly would take longer than all else here.
        env=os.environ
        | {
            "KERAS_BACKEND": backend,
            "PYTHONPATH": str(home),
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": "--xla_backend_optimization_level=0",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        # Ours, while the other is at work.
        ours = loss_results() | step_results(unet.weights)
        output, _ = process.communicate(timeout=LONGEST)
    assert process.returncode == 0, output
    with np.load(tmp_path / "results.npz") as file:
        theirs = {name: file[name] for name in file.files}
    assert theirs.pop("backend") == backend
    assert theirs.keys() == ours.keys()
    for name, value in ours.items():
        difference = np.abs(theirs[name] - value)
        if "_weight_" in name:
            # Adam's first step has the sign of the gradient and the length of the learning rate,
            # 2e-3: where a gradient is all but zero its sign is chance.
            # Of how many depends on the processor.
            assert (difference > 1e-4).sum() <= max(1, 0.03 * difference.size), name
        elif "_optimiser_" in name:
            # The gradients. The kinks of rectifiers make differences larger, on some processors.
            assert np.linalg.norm(difference) <= 0.25 * np.linalg.norm(value), name
        else:
            np.testing.assert_allclose(theirs[name], value, rtol=1e-4, atol=5e-3, err_msg=name)
    # The steps did something.
    moved = [np.abs(ours[f"whole_weight_{i}"] - w).max() for i, w in enumerate(unet.weights)]
    assert min(moved) > 1e-3
    assert np.abs(ours["after"] - ours["before"]).max() > 1e-3
