"""One optimiser step: what is gathered, what is made small, and in how many batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cellcutter_core.config import NetworkSettings, TrainingSettings
from cellcutter_core.network.backend import backend
from cellcutter_core.network.unet import UNet
from cellcutter_core.shortest_paths.path_labels import PathLabels
from cellcutter_core.training.crops import Dataset
from cellcutter_core.training.loss import loss_names
from cellcutter_core.training.optimiser import Optimiser, _gathered

SIDE = 16
# Two of the image, three that show markers and paths, the position embedding.
N_CHANNELS = 6


def dataset(n: int = 13, *, seed: int = 0) -> Dataset:
    """Overlapping crops, some at the border, each with a nucleus of 3 × 3 pixels or less."""
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 32, (n, 2))
    nuclei = np.zeros((32, 32), np.int32)
    for label, (row, col) in enumerate(points.tolist(), start=1):
        nuclei[max(row - 1, 0) : row + 2, max(col - 1, 0) : col + 2] = label
    log_odds = rng.uniform(0, 2, (32, 32)).astype(np.float32)
    path_labels = PathLabels(rng.integers(0, n + 1, (32, 32), dtype=np.int32), log_odds)
    data = Dataset(
        rng.normal(size=(32, 32, 2)),
        points,
        rng.random((32, 32)) < 0.3,
        crop_size=SIDE,
        sigma=5,
        nuclei=nuclei,
        path_labels=path_labels,
    )
    data.set_targets(data.discs(4))
    return data


def network(normalisation: str = "group") -> UNet:
    unet = UNet(NetworkSettings(depth=3, channels=4, normalisation=normalisation))
    unet.model(N_CHANNELS)
    # Away from the initial zeros, so that biases and scales have a gradient too.
    rng = np.random.default_rng(1)
    unet.set_weights(
        [w + rng.normal(0, 0.05, w.shape).astype(np.float32) for w in unet.weights], N_CHANNELS
    )
    return unet


def optimiser_for(unet: UNet, **settings: Any) -> Optimiser:
    return Optimiser(unet.model(N_CHANNELS), TrainingSettings(**settings), backend())


@pytest.fixture(scope="module")
def data() -> Dataset:
    return dataset()


@pytest.fixture(scope="module")
def trained() -> tuple[UNet, Optimiser, list[np.ndarray], list[np.ndarray]]:
    """One network and its optimiser for all tests, since compiling takes most of the time."""
    unet = network()
    optimiser = optimiser_for(unet, lam=0.6, beta=-4, nucleus_weight=0.25, crops_at_once=16)
    return unet, optimiser, unet.weights, optimiser.state


@pytest.fixture
def unet(trained: tuple[UNet, Optimiser, list[np.ndarray], list[np.ndarray]]) -> UNet:
    """As it was at first."""
    trained[0].set_weights(trained[2], N_CHANNELS)
    return trained[0]


@pytest.fixture
def optimiser(unet: UNet, trained: tuple[Any, Optimiser, Any, list[np.ndarray]]) -> Optimiser:
    """The optimiser of `unet`, as it was at first."""
    trained[1].restore(trained[3])
    return trained[1]


def turned(crop: np.ndarray, turn: int) -> np.ndarray:
    """(S, S, ...) under one of the eight symmetries of the square."""
    if turn & 2:
        crop = crop[::-1]
    if turn & 1:
        crop = crop[:, ::-1]
    if turn & 4:
        crop = crop.swapaxes(0, 1)
    return crop


def gathered(
    optimiser: Optimiser, data: Dataset, cells: list[int], turns: list[int]
) -> list[np.ndarray]:
    places = np.array(cells)
    shape, fields = optimiser._on_device(data)
    x = {
        "cells": places.astype(np.int32),
        "origins": (data.origins[places] + SIDE // 2).astype(np.int32),
        "turns": np.array(turns, np.int32),
    }
    return [np.asarray(field) for field in _gathered(shape, fields, x)]


@pytest.mark.parametrize("turn", range(8))
def test_gathering_is_cropping_and_turning(turn: int, data: Dataset, optimiser: Optimiser) -> None:
    cells = list(range(len(data)))
    pixels, crops, background, nucleus = gathered(optimiser, data, cells, [turn] * 13)
    half = SIDE // 2
    numbers = np.arange(48 * 48).reshape(48, 48)
    for cell in cells:
        expected = turned(data.crops([cell])[0], turn)
        np.testing.assert_allclose(crops[cell], expected, rtol=1e-6)
        row, col = data.origins[cell] + half
        window = (slice(row, row + SIDE), slice(col, col + SIDE))
        np.testing.assert_array_equal(pixels[cell], turned(numbers[window], turn))
        regions = data.padded_nuclei[window]
        own, other = regions == cell + 1, (regions > 0) & (regions != cell + 1)
        nowhere = (data.padded_background[window] | other) & ~own
        np.testing.assert_array_equal(nucleus[cell], turned(own, turn))
        np.testing.assert_array_equal(background[cell], turned(nowhere, turn))


def test_the_eight_symmetries_are_eight_and_may_differ_in_a_batch(
    data: Dataset, optimiser: Optimiser
) -> None:
    _, crops, _, _ = gathered(optimiser, data, [4] * 8, list(range(8)))
    assert len({crop.tobytes() for crop in crops}) == 8
    for turn, crop in enumerate(crops):
        np.testing.assert_allclose(crop, turned(data.crops([4])[0], turn), rtol=1e-6)


def test_own_nucleus_other_nucleus_and_background_by_hand(optimiser: Optimiser) -> None:
    image = np.random.default_rng(0).normal(size=(16, 16, 2))
    nuclei, background = np.zeros((16, 16), int), np.zeros((16, 16), bool)
    nuclei[8, 7:9] = 1
    nuclei[8, 10] = 2
    background[8, 6:9] = True  # The own nucleus is no background, whatever the mask says.
    background[8, 12] = True
    data = Dataset(image, [[8, 8], [8, 10]], background, crop_size=16, sigma=5, nuclei=nuclei)
    _, _, nowhere, own = gathered(optimiser, data, [0, 1], [0, 0])
    #                               columns 5  6  7  8  9 10 11 12
    assert nowhere[0, 8, 5:13].tolist() == [0, 1, 0, 0, 0, 1, 0, 1]
    assert own[0, 8, 5:13].tolist() == [0, 0, 1, 1, 0, 0, 0, 0]
    # The second crop begins two columns further right, and is padded there.
    assert nowhere[1, 8, 3:].tolist() == [0, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0, 1, 1]
    assert own[1, 8].nonzero()[0].tolist() == [8]


def parts_by_numpy(data: Dataset, cells: np.ndarray, p: np.ndarray, s: TrainingSettings) -> Any:
    """The losses of crops as they are, on the whole image."""
    half = SIDE // 2
    windows = [
        (slice(row, row + SIDE), slice(col, col + SIDE)) for row, col in data.origins[cells] + half
    ]
    p = p.astype(np.float64)
    log_q = np.zeros((len(cells), *data.padded_background.shape))
    for one, window, own in zip(log_q, windows, p, strict=True):
        one[window] = np.log(1 - own)
    area = overlap = background = certain = 0.0
    for i, (cell, window) in enumerate(zip(cells, windows, strict=True)):
        regions = data.padded_nuclei[window]
        own = regions == cell + 1
        nowhere = (data.padded_background[window] | (regions > 0)) & ~own
        area -= p[i].sum()
        others = np.delete(log_q, i, axis=0).sum(axis=0)[window]
        overlap -= s.lam * (p[i] * others).sum()
        background -= s.lam * s.beta * p[i][nowhere].sum()
        certain -= s.nucleus_weight * np.log(p[i][own]).sum()
    parts = np.array([area + overlap + background, area, overlap, background, certain])
    return dict(zip(loss_names(), parts / len(cells), strict=True))


def test_a_step_records_the_loss_that_the_network_had(
    data: Dataset, unet: UNet, optimiser: Optimiser
) -> None:
    # Nine crops fill a batch of sixteen; what fills it counts for nothing.
    cells = np.array([0, 1, 2, 4, 5, 7, 8, 11, 12])
    expected = parts_by_numpy(
        data, cells, unet.probabilities(data.crops(cells)), optimiser.settings
    )
    before = unet.weights
    found = optimiser.step(data, cells, np.zeros(9, int), learning_rate=1e-3, target_weight=0)
    assert found == pytest.approx(expected, rel=1e-3)
    assert all(abs(part) > 0.1 for part in found.values())
    # The first step of Adam is as long as its learning rate for every weight with a gradient.
    optimiser.write_back()
    moves = [np.abs(a - b).max() for a, b in zip(unet.weights, before, strict=True)]
    assert max(moves) == pytest.approx(1e-3, rel=1e-2)
    assert np.median(moves) == pytest.approx(1e-3, rel=1e-2)


def test_the_objective_lies_between_the_loss_and_the_targets(optimiser: Optimiser) -> None:
    rng = np.random.default_rng(0)
    background, nuclei = np.zeros((16, 16), bool), np.zeros((16, 16), int)
    background[:7] = True
    nuclei[8, 8:14] = 1
    data = Dataset(
        rng.normal(size=(16, 16, 2)),
        [[8, 8], [8, 14]],
        background,
        crop_size=16,
        sigma=5,
        nuclei=nuclei,
    )
    # Whatever it is shown, this network says the same.
    logits = rng.normal(size=(1, 16, 16, 1)).astype(np.float32)
    p = 1 / (1 + np.exp(-logits[0, ..., 0].astype(float)))

    def objective(target_weight: float, turn: int = 0) -> float:
        shape, fields = optimiser._on_device(data)
        x = {
            "cells": np.array([0], np.int32),
            "origins": np.array([[8, 8]], np.int32),
            "turns": np.array([turn], np.int32),
            "valid": np.ones(1, np.float32),
            "share": np.float32(0.5),
            "target_weight": np.float32(target_weight),
        }
        return float(optimiser._objective(lambda _: logits, shape, fields, x, None)[0])

    loss = -p.sum() + 0.6 * 4 * p[background].sum()
    certain = -0.25 * np.log(p[nuclei == 1]).sum()
    # Before any targets are set there are none; then they may change from step to step.
    for targets in (np.zeros((16, 16), int), *rng.integers(0, 3, (2, 16, 16))):
        if targets.any():
            data.set_targets(targets)
        aimed = -np.log(np.where(targets == 1, p, 1 - p)).sum()
        assert objective(0) == pytest.approx(0.5 * (loss + certain), rel=1e-5)
        assert objective(1) == pytest.approx(0.5 * aimed, rel=1e-5)
        between = 0.25 * aimed + 0.75 * (loss + certain)
        assert objective(0.25) == pytest.approx(0.5 * between, rel=1e-5)
        # Targets are turned with their crop.
        aimed = -np.log(np.where(turned(targets == 1, 5), p, 1 - p)).sum()
        assert objective(1, turn=5) == pytest.approx(0.5 * aimed, rel=1e-5)


@pytest.mark.parametrize("normalisation", ["group", "none"])
def test_crops_that_pass_in_several_batches_move_the_network_as_all_at_once(
    normalisation: str, data: Dataset
) -> None:
    unet = network(normalisation)
    start = unet.weights
    cells, turns = np.arange(13), np.arange(13) % 8
    found = []
    # Thirteen in one batch of sixteen; and in three of five, the last two of which are filled.
    for crops_at_once in (16, 5):
        unet.set_weights(start, N_CHANNELS)
        optimiser = optimiser_for(
            unet, crops_at_once=crops_at_once, nucleus_weight=0.5, clip_norm=1e4, beta=-5
        )
        record = optimiser.step(data, cells, turns, learning_rate=1e-3, target_weight=0.3)
        optimiser.write_back()
        found.append((list(record.values()), unet.weights, optimiser.state))
    (record, weights, state), *others = found
    moved = [a - b for a, b in zip(weights, start, strict=True)]
    assert np.median([np.abs(m).max() for m in moved]) > 5e-4
    for other_record, other_weights, other_state in others:
        np.testing.assert_allclose(other_record, record, rtol=1e-4)
        # Adam's averages are the gradient itself after one step.
        for a, b in zip(other_state, state, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * np.abs(b).max())
        # Its first step is as long for the least gradient as for the largest, so where rounding is
        # a good part of the gradient it is of the step of 1e-3 as well.
        for a, b in zip(other_weights, weights, strict=True):
            np.testing.assert_allclose(a, b, atol=5e-4)
            assert np.mean(np.abs(a - b) > 1e-5) < 0.01


@pytest.fixture(scope="module", params=["group", "batch"])
def moved(
    request: pytest.FixtureRequest, data: Dataset
) -> tuple[UNet, Optimiser, list[np.ndarray], list[np.ndarray]]:
    """After a whole step, when moving averages and optimiser are not what they begin with."""
    unet = network(request.param)
    optimiser = optimiser_for(unet, crops_at_once=5)
    cells = np.arange(13)
    assert optimiser.step(data, cells, 0 * cells, learning_rate=1e-3, target_weight=0) is not None
    optimiser.write_back()
    return unet, optimiser, unet.weights, optimiser.state


@pytest.mark.parametrize("n_batches", range(6))
def test_a_step_is_given_up_between_batches(
    moved: tuple[UNet, Optimiser, list[np.ndarray], list[np.ndarray]],
    data: Dataset,
    n_batches: int,
) -> None:
    """Thirteen crops in three batches, each of which passes twice."""
    unet, optimiser, before, state = moved
    unet.set_weights(before, N_CHANNELS)
    optimiser.restore(state)
    cells, values = np.arange(13), {"learning_rate": 1e-3, "target_weight": 0.0}
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > n_batches

    assert optimiser.step(data, cells, 0 * cells, **values, stop=stop) is None
    assert asked == n_batches + 1
    optimiser.write_back()
    np.testing.assert_equal(unet.weights, before)
    np.testing.assert_equal(optimiser.state, state)


def test_an_optimiser_goes_on_where_it_was(data: Dataset, unet: UNet, optimiser: Optimiser) -> None:
    def step(learning_rate: float) -> None:
        optimiser.step(
            data, np.arange(13), np.zeros(13, int), learning_rate=learning_rate, target_weight=0
        )
        optimiser.write_back()

    step(3e-3)
    step(3e-3)
    weights, state = unet.weights, optimiser.state
    assert int(state[0]) == 2
    step(1e-3)
    expected = unet.weights
    # Something else in between.
    step(1e-1)

    unet.set_weights(weights, N_CHANNELS)
    optimiser.restore(state)
    np.testing.assert_equal(optimiser.state, state)
    step(1e-3)
    np.testing.assert_equal(unet.weights, expected)


def test_an_update_is_that_of_adam_with_each_gradient_shortened() -> None:
    """Algorithm 1 of Kingma & Ba (ICLR 2015) in float64, ε beside the uncorrected average."""
    from keras import ops

    clip_norm, epsilon = 0.5, 1e-7
    unet = network()
    optimiser = optimiser_for(unet, clip_norm=clip_norm)
    weights = [w.astype(float) for w in unet.weights]
    rng = np.random.default_rng(2)
    m, v = ([np.zeros_like(w) for w in weights] for _ in range(2))
    for step, learning_rate in enumerate((1e-2, 1e-3, 3e-2), 1):
        # A quarter of them are short enough to stay as they are.
        lengths = rng.uniform(0, 4 * clip_norm, len(weights))
        gradients = [rng.normal(size=w.shape) for w in weights]
        gradients = [
            g / np.linalg.norm(g) * length for g, length in zip(gradients, lengths, strict=True)
        ]
        optimiser._run.apply(
            [ops.convert_to_tensor(g, "float32") for g in gradients], learning_rate
        )
        rate = learning_rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        for k, (g, length) in enumerate(zip(gradients, lengths, strict=True)):
            short = g * min(1, clip_norm / length)
            m[k] = 0.9 * m[k] + 0.1 * short
            v[k] = 0.999 * v[k] + 0.001 * short**2
            weights[k] -= rate * m[k] / (np.sqrt(v[k]) + epsilon)
    optimiser.write_back()
    assert int(optimiser.state[0]) == 3
    for found, expected in zip(unet.weights, weights, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_the_state_of_another_network_is_refused(optimiser: Optimiser) -> None:
    state = optimiser_for(network("none")).state
    with pytest.raises(ValueError, match="this optimiser state belongs to another network"):
        optimiser.restore(state)


def test_images_of_many_sizes_lie_in_one_and_are_the_same(unet: UNet, optimiser: Optimiser) -> None:
    """What is added to the smaller ones is in no crop; a step is compiled once for all."""
    rows, cols = dataset().padded_background.shape
    settings, cells = optimiser.settings, np.arange(12)
    large = Optimiser(unet.model(N_CHANNELS), settings, backend(), (rows + 9, cols + 30))
    for seed in (1, 2):
        data = dataset(12, seed=seed)
        steps = [
            one.step(data, cells, cells % 8, learning_rate=1e-9, target_weight=0.5)
            for one in (optimiser, large)
        ]
        assert steps[0] == pytest.approx(steps[1], rel=1e-4)


def test_several_images_train_one_network(unet: UNet, optimiser: Optimiser) -> None:
    cells = np.arange(12)
    for seed in range(1, 4):
        # Each is gone when the next comes, which may then lie in the same place in memory.
        data = dataset(12, seed=seed)
        p = unet.probabilities(data.crops(cells))
        expected = parts_by_numpy(data, cells, p, optimiser.settings)
        found = optimiser.step(data, cells, 0 * cells, learning_rate=1e-9, target_weight=0)
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-6)
        del data
