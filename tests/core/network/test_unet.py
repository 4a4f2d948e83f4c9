"""UNet3 and UNet4: their layers, their precision, their weights, and the file they go into."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from patience import LONGEST

from cellcutter_core.config import NetworkSettings
from cellcutter_core.network.unet import UNet, UNet3, UNet4

TINY = NetworkSettings(depth=3, channels=4, normalisation="group")


def crops(n: int = 2, size: int = 16, channels: int = 2) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, size, size, channels)).astype(np.float32)


def trained_looking(network: UNet, n_inputs: int = 2) -> UNet:
    """Every weight moved from where it began, the moving averages and biases too."""
    rng = np.random.default_rng(1)
    network.model(n_inputs)
    moved = [w + rng.uniform(0.02, 0.04, w.shape).astype(np.float32) for w in network.weights]
    network.set_weights(moved, n_inputs)
    return network


@pytest.fixture(scope="module")
def tiny() -> UNet:
    network = UNet(TINY)
    network.model(2)
    return network


def kernels(network: UNet, n_inputs: int) -> list[tuple[int, ...]]:
    model = network.model(n_inputs)
    return [layer.kernel.shape for layer in model.layers if hasattr(layer, "kernel")]


def test_unet4_has_the_published_convolutions() -> None:
    # Widths 32, 64, 128, 256, 256 and back, two 3 × 3 convolutions each; going up, what comes from
    # below is joined by what was there on the way down.
    assert kernels(UNet4(bn=True), 2) == [
        (3, 3, 2, 32), (3, 3, 32, 32),
        (3, 3, 32, 64), (3, 3, 64, 64),
        (3, 3, 64, 128), (3, 3, 128, 128),
        (3, 3, 128, 256), (3, 3, 256, 256),
        (3, 3, 256, 256), (3, 3, 256, 256),
        (3, 3, 256 + 256, 256), (3, 3, 256, 256),
        (3, 3, 256 + 128, 128), (3, 3, 128, 128),
        (3, 3, 128 + 64, 64), (3, 3, 64, 64),
        (3, 3, 64 + 32, 32), (3, 3, 32, 32),
        (1, 1, 32, 1),
    ]  # fmt: skip


def test_unet3_is_one_level_shallower() -> None:
    assert kernels(UNet3(channels=8), 3) == [
        (3, 3, 3, 8), (3, 3, 8, 8),
        (3, 3, 8, 16), (3, 3, 16, 16),
        (3, 3, 16, 32), (3, 3, 32, 32),
        (3, 3, 32, 32), (3, 3, 32, 32),
        (3, 3, 32 + 32, 32), (3, 3, 32, 32),
        (3, 3, 32 + 16, 16), (3, 3, 16, 16),
        (3, 3, 16 + 8, 8), (3, 3, 8, 8),
        (1, 1, 8, 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("normalisation", "block"),
    [
        ("none", ["Conv2D", "Activation", "Conv2D", "Activation"]),
        ("batch", ["Conv2D", "Activation", "Conv2D", "Activation", "BatchNormalization"]),
        ("group", ["Conv2D", "GroupNormalization", "Activation"] * 2),
    ],
)
def test_the_order_of_layers(normalisation: str, block: list[str]) -> None:
    network = UNet(NetworkSettings(depth=3, channels=4, normalisation=normalisation))
    layers = network.model(2).layers
    down, up = ["MaxPooling2D", *block], ["UpSampling2D", "Concatenate", *block]
    assert [type(layer).__name__ for layer in layers] == [
        "InputLayer", *block, *down, *down, *down, *up, *up, *up, "Conv2D",
    ]  # fmt: skip
    for layer in layers:
        match type(layer).__name__:
            case "Activation":
                assert layer.activation.__name__ == "relu"
            case "UpSampling2D":
                assert (layer.interpolation, layer.size) == ("nearest", (2, 2))
            case "MaxPooling2D":
                assert layer.pool_size == (2, 2)
    assert layers[-1].activation.__name__ == "linear"


def test_batch_normalisation_is_off_unless_asked_for_as_in_the_notebook() -> None:
    assert UNet4().settings.normalisation == "none"
    assert UNet4(bn=True).settings.normalisation == "batch"
    assert UNet3(bn=True, normalisation="group").settings.normalisation == "group"
    assert (UNet4().settings.depth, UNet3().settings.depth) == (4, 3)
    assert UNet4().settings.channels == UNet3().settings.channels == 32


def test_what_does_not_exist_is_refused_before_anything_is_built() -> None:
    with pytest.raises(ValueError, match=r"channels should be .* a multiple of 4, got 6"):
        UNet4(channels=6)
    with pytest.raises(ValueError, match="normalisation should be"):
        UNet3(normalisation="layer")  # type: ignore[arg-type]


@pytest.mark.parametrize("channels", [4, 12, 20, 28])
def test_any_number_of_channels_can_be_group_normalised(channels: int) -> None:
    model = UNet3(channels=channels, normalisation="group").model(2)
    groups = [
        (layer.groups, layer.gamma.shape[0]) for layer in model.layers if "norm" in layer.name
    ]
    assert len(groups) == 14
    # Never a group of one channel: that would be rid of all that the channel says.
    assert all(width % n == 0 and 1 <= n <= width // 2 for n, width in groups)


@pytest.mark.parametrize(
    ("depth", "stem", "stride"), [(3, 1, 8), (4, 1, 16), (3, 2, 16), (4, 2, 32)]
)
def test_the_stride_is_the_smallest_crop(depth: int, stem: int, stride: int) -> None:
    network = UNet(NetworkSettings(depth=depth, channels=4, normalisation="none", stem=stem))
    assert network.stride == stride
    for factor in (1, 3):
        size = factor * stride
        assert network.model(2)(crops(1, size)).shape == (1, size, size, 1)


def test_probabilities_are_those_of_the_logits(tiny: UNet) -> None:
    logits = np.asarray(tiny.model(2)(crops(), training=False), np.float64)[..., 0]
    found = tiny.probabilities(crops())
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-logits)), rtol=1e-4, atol=1e-6)
    assert found.std() > 0


@pytest.mark.parametrize(("bias", "expected"), [(-1e4, 0.0), (1e4, 1.0)])
def test_extreme_logits_are_certain_and_warn_of_nothing(bias: float, expected: float) -> None:
    network = UNet(TINY)
    network.model(2)
    network.set_weights([*network.weights[:-1], np.array([bias], np.float32)], 2)
    assert (network.probabilities(crops()) == expected).all()


def test_mixed_precision_keeps_weights_and_logits_in_float32(tiny: UNet) -> None:
    network = UNet(TINY, precision="mixed_bfloat16")
    model = network.model(2)
    assert {w.dtype for w in network.weights} == {np.dtype(np.float32)}
    assert model.get_layer("encoder1_conv_a").compute_dtype == "bfloat16"
    assert model.layers[-1].compute_dtype == "float32"
    assert model.output.dtype == "float32"
    network.set_weights(tiny.weights, 2)
    found = network.probabilities(crops())
    assert found.dtype == np.float32
    # bfloat16 has eight bits; the same network all the same, but not the same arithmetic.
    difference = np.abs(found - tiny.probabilities(crops())).max()
    assert 0 < difference < 0.05


def test_a_network_is_made_for_its_number_of_channels(tiny: UNet) -> None:
    assert tiny.model(2) is tiny.model(2)
    message = "made for 2 input channels .* the crops have 3; choose"
    with pytest.raises(ValueError, match=message) as caught:
        tiny.probabilities(crops(channels=3))
    assert "\n" not in str(caught.value)


def test_weights_go_from_one_network_to_another(tiny: UNet) -> None:
    other = UNet(TINY)
    assert other.weights == []
    other.set_weights(tiny.weights, 2)
    np.testing.assert_array_equal(other.probabilities(crops()), tiny.probabilities(crops()))
    with pytest.raises(ValueError, match="these weights belong to another network; use"):
        UNet(TINY).set_weights(tiny.weights, 3)
    with pytest.raises(ValueError, match="belong to another network"):
        UNet(TINY).set_weights(tiny.weights[:-1], 2)


def test_weights_hold_the_moving_averages() -> None:
    shapes = UNet3(bn=True, channels=4)
    shapes.model(2)
    # Seven blocks: two convolutions with bias, and scale, shift, mean and variance; then the last.
    assert len(shapes.weights) == 7 * (2 * 2 + 4) + 2


def test_a_network_without_weights_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no weights yet; train it"):
        UNet(TINY).save(tmp_path / "model.keras")
    assert not list(tmp_path.iterdir())


# What anybody can do with the file, where this package is not there.
PLAIN_KERAS = """
import sys
sys.modules["cellcutter_core"] = None
import keras, numpy as np
folder = sys.argv[1]
model = keras.saving.load_model(folder + "/model.keras")
np.save(folder + "/logits.npy", model(np.load(folder + "/crops.npy"), training=False))
"""


def test_a_saved_model_loads_in_plain_keras_and_here(tmp_path: Path) -> None:
    settings = NetworkSettings(depth=3, channels=4, normalisation="batch", stem=2)
    network = trained_looking(UNet(settings))
    network.save(tmp_path / "model.keras")
    np.save(tmp_path / "crops.npy", crops())
    plain = [sys.executable, "-c", PLAIN_KERAS, str(tmp_path)]
    with subprocess.Popen(
        plain, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        again = UNet.load(tmp_path / "model.keras", settings)
        output, _ = process.communicate(timeout=LONGEST)
    assert process.returncode == 0, output
    ours = np.asarray(network.model(2)(crops(), training=False))
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), ours, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(again.probabilities(crops()), network.probabilities(crops()))
    np.testing.assert_equal(again.weights, network.weights)
    # The old file stays where a new one cannot be written.
    with pytest.raises(ValueError, match="cannot write"):
        network.save(tmp_path / "nowhere" / "model.keras")


@pytest.mark.parametrize("content", [None, b"no model"])
def test_a_file_that_is_no_model_is_said_in_one_line(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.keras") as caught:
        UNet.load(path, TINY)
    assert "\n" not in str(caught.value)


LAZY = """
import sys
from cellcutter_core import pipeline
from cellcutter_core.training import crops, loss, predicted_labels
from cellcutter_core.network.unet import UNet4
from cellcutter_core.training.loop import Training
import numpy as np
UNet4(bn=True).stride
Training(crops.Dataset(np.eye(64), [[3, 3]]), UNet4())
assert not {"keras", "tensorflow", "jax", "torch"} & set(sys.modules)
"""


def test_a_network_and_a_training_can_be_named_without_a_framework() -> None:
    home = Path(__file__).parents[3]
    result = subprocess.run(
        [sys.executable, "-c", LAZY], cwd=home, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
