"""A loss and two training steps on the backend that KERAS_BACKEND names, for test_loss.

``python one_step.py WEIGHTS.npz RESULTS.npz`` starts from the weights in the one file and writes
what came of them into the other.
"""

from __future__ import annotations

import os
import sys

import numpy as np

from cellcutter_core.config import NetworkSettings, TrainingSettings
from cellcutter_core.network.unet import UNet
from cellcutter_core.shortest_paths.path_labels import PathLabels
from cellcutter_core.training.crops import Dataset
from cellcutter_core.training.loss import read_crops, self_supervised_loss


def network() -> UNet:
    """Batch normalisation: it has a state of its own that a step must move on."""
    return UNet(NetworkSettings(depth=3, channels=4, normalisation="batch"))


def dataset() -> Dataset:
    """Eleven overlapping cells, some at the border."""
    rng = np.random.default_rng(17)
    points = rng.uniform(0, 31, (11, 2))
    nuclei = np.zeros((32, 32), np.int32)
    rows, cols = np.round(points).astype(int).T
    nuclei[rows, cols] = np.arange(1, 12)
    data = Dataset(
        rng.normal(size=(32, 32)),
        points,
        rng.random((32, 32)) < 0.3,
        crop_size=16,
        sigma=5,
        nuclei=nuclei,
        path_labels=PathLabels(
            rng.integers(0, 12, (32, 32), dtype=np.int32),
            rng.uniform(0, 1, (32, 32)).astype(np.float32),
        ),
    )
    data.set_targets(data.discs(4))
    return data


def loss_results() -> dict[str, np.ndarray]:
    """The loss and its terms on fixed logits."""
    from keras import ops

    rng = np.random.default_rng(12)
    logits = rng.normal(0, 3, (5, 8, 8)).astype(np.float32)
    crops = read_crops(
        ops.convert_to_tensor(logits),
        ops.convert_to_tensor(rng.integers(0, 100, (5, 8, 8)), dtype="int32"),
        ops.convert_to_tensor(rng.random((5, 8, 8)) < 0.2, dtype="float32"),
        n_pixels=100,
        valid=ops.convert_to_tensor(np.array([1, 1, 1, 1, 0], np.float32)),
        outside=ops.convert_to_tensor(rng.normal(size=(5, 8, 8, 2)).astype(np.float32)),
    )
    loss, terms = self_supervised_loss(crops, TrainingSettings(lam=0.7, beta=-3))
    return {
        name: np.asarray(ops.convert_to_numpy(v)) for name, v in (terms | {"all": loss}).items()
    }


def step_results(weights: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Losses of two steps, of all crops at once and of a few at a time, and what they left."""
    from cellcutter_core.network.backend import backend
    from cellcutter_core.training.optimiser import Optimiser

    data, unet = dataset(), network()
    unet.set_weights(weights, data.n_channels)
    results = {"before": unet.probabilities(data.crops(range(8)))}
    cells, turns = np.arange(11), np.arange(11) % 8
    for name, crops_at_once in (("whole", 16), ("parts", 4)):
        settings = TrainingSettings(
            nucleus_weight=0.5, clip_norm=10.0, crops_at_once=crops_at_once, learning_rate=1e-3
        )
        unet.set_weights(weights, data.n_channels)
        optimiser = Optimiser(unet.model(data.n_channels), settings, backend())
        record = optimiser.step(data, cells, turns, learning_rate=2e-3, target_weight=0.25)
        results[f"{name}_record"] = np.array(list(record.values()))
        optimiser.write_back()
        results |= {f"{name}_weight_{i}": w for i, w in enumerate(unet.weights)}
        results |= {f"{name}_optimiser_{i}": v for i, v in enumerate(optimiser.state)}
    results["after"] = unet.probabilities(data.crops(range(8)))
    return results


if __name__ == "__main__":
    with np.load(sys.argv[1]) as file:
        initial = [file[str(i)] for i in range(len(file.files))]
    found = loss_results() | step_results(initial)
    np.savez(sys.argv[2], backend=os.environ["KERAS_BACKEND"], **found)
