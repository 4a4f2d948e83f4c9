"""The rearranged network against the plain one, whose layers are Keras's own."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from cellcutter_core.config import NetworkSettings
from cellcutter_core.network.less_arithmetic import GroupNormalization, UpConvolution, faster_model
from cellcutter_core.network.unet import UNet


def network(**settings: Any) -> UNet:
    """Every weight moved from where it began, biases and moving averages too."""
    unet = UNet(NetworkSettings(channels=4, **settings))
    unet.model(2)
    rng = np.random.default_rng(0)
    moved = [w + rng.uniform(-0.1, 0.2, w.shape).astype(np.float32) for w in unet.weights]
    unet.set_weights(moved, 2)
    return unet


def crops(side: int = 32) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(3, side, side, 2)).astype(np.float32)


def test_one_pixel_is_spread_by_the_kernels_sums() -> None:
    convolution = keras.layers.Conv2D(1, 3, padding="same")
    convolution.build((None, 2, 2, 2))
    kernel = np.arange(1, 10, dtype=np.float32).reshape(3, 3)
    both = np.stack([kernel, np.zeros((3, 3))], axis=-1)[..., None]
    convolution.set_weights([both, np.array([100.0])])
    found = UpConvolution(convolution)(np.ones((1, 1, 1, 1)), np.ones((1, 2, 2, 1)))
    # Upsampled: 2 × 2 ones. Keras's convolution is a correlation: the first pixel sees the kernel's
    # lower right four numbers.
    expected = [
        [100 + 5 + 6 + 8 + 9, 100 + 4 + 5 + 7 + 8],
        [100 + 2 + 3 + 5 + 6, 100 + 1 + 2 + 4 + 5],
    ]
    np.testing.assert_allclose(np.asarray(found)[0, ..., 0], expected)


@pytest.mark.parametrize(
    "settings",
    [
        {"depth": 3, "normalisation": "batch"},
        {"depth": 4, "normalisation": "group"},
        {"depth": 3, "normalisation": "none", "stem": 2},
    ],
)
@pytest.mark.parametrize("training", [False, True])
def test_it_gives_the_same(settings: dict[str, Any], training: bool) -> None:
    plain = network(**settings).model(2)
    expected = np.asarray(plain(crops(), training=training))
    found = np.asarray(faster_model(plain)(crops(), training=training))
    assert expected.std() > 0
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_its_variables_are_those_of_the_plain_model_in_their_order() -> None:
    plain = network(depth=3, normalisation="batch").model(2)
    faster = faster_model(plain)
    assert [id(v) for v in faster.trainable_variables] == [id(v) for v in plain.trainable_variables]
    assert [id(v) for v in faster.variables] == [id(v) for v in plain.variables]


def test_it_has_the_same_gradient() -> None:
    tensorflow = pytest.importorskip("tensorflow")
    plain = network(depth=3, normalisation="batch").model(2)
    gradients = []
    for model in (plain, faster_model(plain)):
        with tensorflow.GradientTape() as tape:
            value = ops.sum(ops.sigmoid(model(crops(), training=True)))
        gradients.append(tape.gradient(value, model.trainable_variables))
    for expected, found in zip(*gradients, strict=True):
        scale = max(float(np.abs(expected).max()), 1e-2)
        np.testing.assert_allclose(found, expected, rtol=1e-2, atol=1e-3 * scale)


def test_neither_upsampled_nor_concatenated_pixels_are_left() -> None:
    kinds = [type(layer).__name__ for layer in faster_model(network(depth=3).model(2)).layers]
    assert kinds.count("UpConvolution") == 3
    assert not {"UpSampling2D", "Concatenate"} & set(kinds)


def test_the_plain_model_can_be_rearranged_again_and_is_left_as_it_was(tmp_path: Any) -> None:
    unet = network(depth=3, normalisation="group")
    before = [type(layer).__name__ for layer in unet.model(2).layers]
    first = faster_model(unet.model(2))(crops())
    np.testing.assert_array_equal(first, faster_model(unet.model(2))(crops()))
    assert [type(layer).__name__ for layer in unet.model(2).layers] == before
    unet.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(crops()), unet.model(2)(crops()), rtol=1e-5, atol=1e-5)


def test_group_normalisation_is_that_of_keras() -> None:
    """Far from 0 and in groups of different spread, where digits are lost first."""
    plain = keras.layers.GroupNormalization(4)
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(3, 6, 5, 16)) * np.arange(1, 17) + 50).astype(np.float32)
    plain.build(x.shape)
    plain.set_weights([rng.normal(size=16), rng.normal(size=16)])
    found = np.asarray(GroupNormalization(plain)(x))
    np.testing.assert_allclose(found, np.asarray(plain(x)), atol=2e-3)
    # By hand: the second group of the first image.
    group = x[0, ..., 4:8]
    expected = (group - group.mean()) / np.sqrt(group.var() + plain.epsilon)
    gamma, beta = (w[4:8] for w in plain.get_weights())
    np.testing.assert_allclose(found[0, ..., 4:8], expected * gamma + beta, atol=2e-3)
