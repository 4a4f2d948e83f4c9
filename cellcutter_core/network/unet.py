"""UNet3 and UNet4: from a crop with its position embedding to the logits of its cell.

A `UNet` imports Keras only on first use. So a web server can make one without loading a
machine-learning framework.
"""

from __future__ import annotations

import json
import math
import zipfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from cellcutter_core.arguments import check_argument
from cellcutter_core.config import NetworkSettings
from cellcutter_core.files import atomic, own_temporary_files

LARGEST_DESCRIPTION = 16 * 1024**2
"""Most bytes of the description of a saved network that are read; ours have 40 KB."""


def check_network(network: Any) -> None:
    """Check that an object predicts like a `UNet`; the error says how to make one.

    Raises
    ------
    ValueError
        If it does not.
    """
    if isinstance(network, type) or not hasattr(network, "probabilities"):
        check_argument(network, UNet, "network", "make one with UNet4(bn=True)")


class UNet:
    """A UNet whose weights are created when the number of input channels is known.

    Parameters
    ----------
    settings : NetworkSettings
        Depth, width, normalisation and stem.
    precision : {"float32", "mixed_bfloat16"}
        Precision of its layers; weights and logits are float32 in both cases.

    Notes
    -----
    Blocks of two 3×3 convolutions with ReLU, 2×2 max pooling on the way down, nearest upsampling
    and concatenation on the way up, a 1×1 convolution to one logit per pixel: Din & Yu 2021,
    Methods, after Ronneberger et al., MICCAI 2015.
    """

    def __init__(
        self,
        settings: NetworkSettings,
        *,
        precision: Literal["float32", "mixed_bfloat16"] = "float32",
    ) -> None:
        self.settings = settings
        self.precision = precision
        self._model: Any = None
        # A faster model with the same variables; made on first use.
        self._faster: Any = None

    @property
    def stride(self) -> int:
        """Crop sides must be a multiple of this many pixels."""
        return int(2**self.settings.depth * self.settings.stem)

    def model(self, n_inputs: int) -> Any:
        """Return the `keras.Model`, (N, S, S, `n_inputs`) → float32 logits (N, S, S, 1); made once.

        Raises
        ------
        ValueError
            If it was made before for another number of channels.
        """
        if self._model is None:
            self._model = _build(self.settings, n_inputs, self.precision)
        made_for = self._model.input_shape[-1]
        if made_for != n_inputs:
            raise ValueError(
                f"this network was made for {made_for} input channels (the position embedding "
                f"included), but the crops have {n_inputs}; choose as many image channels as it "
                "was trained on, or make a new network"
            )
        return self._model

    def probabilities(self, crops: NDArray[np.float32]) -> NDArray[np.float32]:
        """Predict for each pixel the probability that it belongs to the crop's cell.

        Parameters
        ----------
        crops : (N, S, S, C) float32
            S a multiple of `stride`.

        Returns
        -------
        (N, S, S) float32 in 0..1
        """
        model = self.model(crops.shape[-1])
        if self._faster is None:
            from cellcutter_core.network.less_arithmetic import faster_model

            self._faster = faster_model(model)
        logits = self._faster.predict_on_batch(crops)[..., 0]
        return np.asarray(expit(np.asarray(logits, np.float32)), np.float32)

    @property
    def weights(self) -> list[NDArray[Any]]:
        """Return all variables in order, including the moving averages of batch normalisation."""
        return [] if self._model is None else list(self._model.get_weights())

    def set_weights(self, weights: list[NDArray[Any]], n_inputs: int) -> None:
        """Set the weights that `weights` returned.

        Raises
        ------
        ValueError
            If they belong to another network.
        """
        model = self.model(n_inputs)
        if [w.shape for w in weights] != [tuple(v.shape) for v in model.weights]:
            raise ValueError(
                "these weights belong to another network; use the settings and the channels that "
                "they were trained with"
            )
        model.set_weights(weights)

    def save(self, path: Path) -> None:
        """Write the Keras model; plain Keras can load it without this package.

        Raises
        ------
        ValueError
            If the network has not been trained yet, or the file cannot be written.
        """
        if self._model is None:
            raise ValueError("this network has no weights yet; train it before saving it")
        with atomic(Path(path)) as temporary, own_temporary_files(temporary):
            self._model.save(temporary)

    @classmethod
    def load(cls, path: Path, settings: NetworkSettings) -> UNet:
        """Read a model that `save` wrote; `settings` must be those it was made with.

        The network is made here and gets the weights in the file. The layers that the file
        describes are not made: a description can hold code, and a run may come from anybody.

        Raises
        ------
        ValueError
            If it is no such file, or one of a network with other settings.
        """
        try:
            n_inputs, precision = _saved_as(path)
            network = cls(settings, precision=precision)
            network.model(n_inputs).load_weights(path)
        except (OSError, LookupError, TypeError, ValueError, zipfile.BadZipFile) as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"{path} is no saved network of these settings: {reason}") from error
        return network


def _saved_as(path: Path) -> tuple[int, Literal["float32", "mixed_bfloat16"]]:
    """Return the number of input channels and the precision of a saved model."""
    with zipfile.ZipFile(path) as archive, archive.open("config.json") as file:
        layers = json.loads(file.read(LARGEST_DESCRIPTION))["config"]["layers"]
    mixed = layers[1]["config"]["dtype"]["config"]["name"] == "mixed_bfloat16"
    return int(layers[0]["config"]["batch_shape"][-1]), "mixed_bfloat16" if mixed else "float32"


def UNet4(
    *,
    bn: bool = False,
    channels: int = 32,
    normalisation: Literal["batch", "group", "none"] | None = None,
    stem: Literal[1, 2] = 1,
) -> UNet:
    """Make the published network: widths 32, 64, 128, 256, 256 and back.

    `bn=True` is batch normalisation, as in the paper's notebook; `normalisation` names another one.
    """
    return _unet(4, bn, channels, normalisation, stem)


def UNet3(
    *,
    bn: bool = False,
    channels: int = 32,
    normalisation: Literal["batch", "group", "none"] | None = None,
    stem: Literal[1, 2] = 1,
) -> UNet:
    """Make the shallower network of the paper: widths 32, 64, 128, 128 and back."""
    return _unet(3, bn, channels, normalisation, stem)


def _unet(
    depth: Literal[3, 4],
    bn: bool,
    channels: int,
    normalisation: Literal["batch", "group", "none"] | None,
    stem: Literal[1, 2],
) -> UNet:
    chosen = normalisation or ("batch" if bn else "none")
    return UNet(NetworkSettings(depth=depth, channels=channels, normalisation=chosen, stem=stem))


def _build(settings: NetworkSettings, n_inputs: int, precision: str) -> Any:
    import keras

    layers = keras.layers
    widths = [settings.channels * 2**level for level in range(settings.depth)]
    widths.append(widths[-1])

    inputs = keras.Input((None, None, n_inputs), dtype="float32", name="crops")
    x = inputs
    if settings.stem == 2:
        x = layers.Conv2D(
            widths[0], 4, strides=2, padding="same", kernel_initializer="he_normal",
            dtype=precision, name="stem",
        )(x)  # fmt: skip
    skips = []
    for level, width in enumerate(widths):
        if level:
            x = layers.MaxPooling2D(dtype=precision, name=f"pool{level}")(x)
        x = _block(x, width, settings.normalisation, precision, f"encoder{level + 1}")
        skips.append(x)
    for level, (width, skip) in enumerate(zip(widths[-2::-1], skips[-2::-1], strict=True)):
        name = f"decoder{level + 1}"
        x = layers.UpSampling2D(dtype=precision, name=f"{name}_up")(x)
        x = layers.Concatenate(dtype=precision, name=f"{name}_skip")([x, skip])
        x = _block(x, width, settings.normalisation, precision, name)
    # Logits are always float32, because the loss takes logarithms of the probabilities.
    if settings.stem == 2:
        x = layers.Conv2DTranspose(
            1, 4, strides=2, padding="same", kernel_initializer="he_normal",
            dtype="float32", name="logits",
        )(x)  # fmt: skip
    else:
        x = layers.Conv2D(1, 1, kernel_initializer="he_normal", dtype="float32", name="logits")(x)
    return keras.Model(inputs, x, name=f"unet{settings.depth}")


def _block(x: Any, width: int, normalisation: str, precision: str, name: str) -> Any:
    """Build two convolutions with ReLU; batch normalisation comes after both, as published.

    Group normalisation comes between convolution and ReLU, as in Wu & He (ECCV 2018).
    """
    from keras import layers

    for part in "ab":
        x = layers.Conv2D(
            width, 3, padding="same", kernel_initializer="he_normal",
            dtype=precision, name=f"{name}_conv_{part}",
        )(x)  # fmt: skip
        if normalisation == "group":
            # Eight groups, or as many as divide the width with at least two channels in each.
            x = layers.GroupNormalization(
                math.gcd(8, width // 2), dtype=precision, name=f"{name}_norm_{part}"
            )(x)
        x = layers.Activation("relu", dtype=precision, name=f"{name}_relu_{part}")(x)
    if normalisation == "batch":
        x = layers.BatchNormalization(dtype=precision, name=f"{name}_norm")(x)
    return x
