"""The same network with less arithmetic.

*Upsampling and the next convolution in one.* Nearest upsampling repeats every pixel in 2 × 2. So of
the nine products of a following 3 × 3 convolution, only four have different factors. Together, both
are a transposed convolution of stride 2, whose 4 × 4 kernel is the 3 × 3 kernel summed over 2 × 2
windows. The channels that are concatenated to the upsampled ones get a separate convolution. The
sum of both equals the original convolution:

    conv(concat(up(x), skip), K) = conv_transpose(x, K₄) + conv(skip, K₂),  K = concat(K₁, K₂)

In UNet4 this saves a fifth of all products, and no memory is needed for the upsampled and the
concatenated pixels.

*Group normalisation in two sums and one product.* Mean and variance of a group are computed from
the sums of each channel and of its squares. Then each pixel needs only one factor and one summand.
The layer of Keras reshapes all pixels into groups and passes over them several times.

Both use few operations, because the user waits while the first step of a training is built from
them, and again for the first prediction.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

# Which of the nine factors of the 3 × 3 kernel, in reading order, are summed in each of the sixteen
# factors of the 4 × 4 kernel. A transposed convolution flips its kernel.
_ALONG = np.array([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]], np.float32)
WINDOWS = np.kron(_ALONG, _ALONG)


class UpConvolution(keras.layers.Layer):  # type: ignore[misc]
    """A 3 × 3 convolution of a tensor that is upsampled and concatenated to a skip connection.

    Parameters
    ----------
    convolution : keras.layers.Conv2D
        The convolution after the concatenation; its variables are used, not copied.
    """

    def __init__(self, convolution: Any) -> None:
        super().__init__(dtype=convolution.dtype_policy)
        self.convolution = convolution
        self.built = True

    def compute_output_shape(
        self, below_shape: tuple[Any, ...], skip_shape: tuple[Any, ...]
    ) -> tuple[Any, ...]:
        """Return the shape of the skip connection with the new number of channels."""
        del below_shape
        return (*skip_shape[:-1], self.convolution.filters)

    def call(self, below: Any, skip: Any) -> Any:
        """(N, H, W, A) from below and (N, 2H, 2W, B) from the skip → (N, 2H, 2W, F)."""
        kernel = ops.convert_to_tensor(self.convolution.kernel)
        n_below = below.shape[-1]
        factors = ops.reshape(kernel[:, :, :n_below], (9, -1))
        windows = ops.matmul(ops.convert_to_tensor(WINDOWS, factors.dtype), factors)
        # A transposed convolution has input and output channels exchanged.
        transposed = ops.transpose(ops.reshape(windows, (4, 4, n_below, -1)), (0, 1, 3, 2))
        return (
            ops.conv_transpose(below, transposed, strides=2, padding="same")
            + ops.conv(skip, kernel[:, :, n_below:], padding="same")
            + ops.convert_to_tensor(self.convolution.bias)
        )


class GroupNormalization(keras.layers.Layer):  # type: ignore[misc]
    """The group normalisation of Keras, for channels in the last axis.

    Parameters
    ----------
    normalisation : keras.layers.GroupNormalization
        Its variables are used, not copied.
    """

    def __init__(self, normalisation: Any) -> None:
        super().__init__(dtype=normalisation.dtype_policy)
        self.normalisation = normalisation
        self.built = True

    def compute_output_shape(self, shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the shape of the input."""
        return shape

    def call(self, x: Any) -> Any:
        """(N, H, W, C) → (N, H, W, C)."""
        n_channels, n_groups = x.shape[-1], self.normalisation.groups
        in_groups = (-1, n_groups, n_channels // n_groups)
        # Sums of many squares need more digits than bfloat16 has.
        exact = ops.cast(x, "float32")

        def of_group(image: Any) -> Any:
            channels = ops.reshape(ops.mean(image, axis=(1, 2)), in_groups)
            return ops.mean(channels, axis=2, keepdims=True)

        mean = of_group(exact)
        # Rounding may make it slightly negative.
        variance = ops.relu(of_group(ops.square(exact)) - ops.square(mean))
        gamma, beta = (
            ops.reshape(ops.cast(ops.convert_to_tensor(v), "float32"), in_groups[1:])
            for v in (self.normalisation.gamma, self.normalisation.beta)
        )
        factor = gamma * ops.rsqrt(variance + self.normalisation.epsilon)
        summand = beta - mean * factor
        factor, summand = (ops.reshape(v, (-1, 1, 1, n_channels)) for v in (factor, summand))
        return ops.cast(exact * factor + summand, self.compute_dtype)


def faster_model(model: Any) -> Any:
    """Return a faster model with the same variables and, up to rounding, the same output.

    Parameters
    ----------
    model : keras.Model
        Layers with one output each, as from `UNet`. It does not change.

    Returns
    -------
    keras.Model
        For training and prediction; weights are saved and set through `model`.
    """
    # For each tensor of the model its replacement: a tensor, or the pair (upsampled, skip) that the
    # next convolution joins.
    instead: dict[int, Any] = {id(model.input): model.input}
    for layer in model.layers[1:]:
        given = layer.input
        if isinstance(layer, keras.layers.UpSampling2D):
            result = instead[id(given)]
        elif isinstance(layer, keras.layers.Concatenate):
            result = tuple(instead[id(tensor)] for tensor in given)
        elif isinstance(layer, keras.layers.GroupNormalization):
            result = GroupNormalization(layer)(instead[id(given)])
        elif isinstance(instead[id(given)], tuple):
            result = UpConvolution(layer)(*instead[id(given)])
        else:
            result = layer(instead[id(given)])
        instead[id(layer.output)] = result
    return keras.Model(model.input, instead[id(model.output)], name=model.name)
