"""The published way of doing the same work, written anew, for measuring ours beside it.

What each function does, and in which order and with which temporaries, follows the authors' code
of Din & Yu, Sci. Rep. 11, 23995 (2021), https://github.com/jiyuuchc/cellcutter; none of it is
copied. It is here for its time and memory alone, and checks nothing that it is given.

All patches are copied when the dataset is made; networks run eagerly in float32, on all crops at
once; each crop is padded to the area of its step before the crops are added up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

CROP = 64
"""Side of a crop in pixels."""
AREA = 640
"""Side of the square in which the crops of one step begin, in pixels."""
BETA = -20.0
"""Log-penalty of a background pixel."""


def graph_cut(
    image: NDArray[Any],
    *,
    prior: float,
    max_weight: float,
    sigma: float,
    both_ways: bool = False,
) -> NDArray[np.bool_]:
    """(H, W) mask by a minimum cut: a graph of floats, one pass over the image a direction.

    Neighbours are joined in one direction as published, or `both_ways` as our energy has it.
    """
    import maxflow

    scaled = (image - image.min()) / np.ptp(image)
    tiny = np.finfo(float).eps
    cell = -np.log(np.maximum(scaled, tiny)) - np.log(prior)
    background = -np.log(np.maximum(1.0 - scaled, tiny)) - np.log(1.0 - prior)
    graph = maxflow.GraphFloat()
    nodes = graph.add_grid_nodes(scaled.shape)
    graph.add_grid_tedges(nodes, cell, background)
    for row, col in ((-1, 1), (0, 1), (1, 1), (1, 0)):
        structure = np.zeros((3, 3))
        structure[row + 1, col + 1] = 1
        step = scaled - np.roll(scaled, (-row, -col), axis=(0, 1))
        weights = max_weight * np.exp(-(step**2) / (2 * sigma**2))
        graph.add_grid_edges(nodes, weights, structure, symmetric=both_ways)
    graph.maxflow()
    return np.asarray(graph.get_grid_segments(nodes), bool)


class Dataset:
    """All crops of an image, copied into one array.

    Parameters
    ----------
    image : (H, W) array
    points : (N, 2) int
        (row, col) of each marker; every crop must lie within the image.
    background : (H, W) bool
        True where there is no cell.
    """

    def __init__(
        self, image: NDArray[Any], points: NDArray[np.intp], background: NDArray[np.bool_]
    ) -> None:
        pixels = image.astype(np.float32)
        pixels -= pixels.mean()
        pixels /= pixels.std()
        self.shape = image.shape
        self.background = background.astype(np.float32)
        self.corners = points - CROP // 2
        views = np.lib.stride_tricks.sliding_window_view(pixels, (CROP, CROP))
        # The published embedding is centred between pixels, ours on the marker's; the work is that.
        d = np.arange(CROP, dtype=np.float32) - CROP // 2
        embedding = np.exp(-(d[:, None] ** 2 + d**2) / (2 * 15.0**2))
        rows, cols = self.corners.T
        everywhere = np.repeat(embedding[None, ..., None], len(points), axis=0)
        self.patches = np.concatenate([views[rows, cols][..., None], everywhere], axis=-1)

    def inside(self, corner: NDArray[np.intp]) -> NDArray[np.intp]:
        """Which crops begin in the square of side `AREA` at a corner (row, col)."""
        after = self.corners >= corner
        before = self.corners < corner + AREA
        return np.flatnonzero(np.all(after & before, axis=1))


class UNet4:
    """Widths 32, 64, 128, 256, 256 and back; batch normalisation ends each block.

    No `keras.Model`: like the published subclass of it, what a block no longer needs is let go.
    """

    def __init__(self, channels: int = 32) -> None:
        from keras import layers

        widths = [channels * factor for factor in (1, 2, 4, 8, 8)]
        self._encoder = [_block(width) for width in widths]
        self._decoder = [_block(width) for width in widths[-2::-1]]
        self._pool = layers.MaxPooling2D()
        self._up = layers.UpSampling2D()
        self._join = layers.Concatenate()
        self._logits = layers.Conv2D(1, 1, padding="same", kernel_initializer="he_normal")

    def __call__(self, crops: Any, *, training: bool = False) -> Any:
        """(N, S, S, 2) crops → (N, S, S, 1) logits."""
        skips: list[Any] = []
        x = crops
        for level, block in enumerate(self._encoder):
            x = _through(block, self._pool(x) if level else x, training=training)
            skips.append(x)
        for block, skip in zip(self._decoder, skips[-2::-1], strict=True):
            x = _through(block, self._join([self._up(x), skip]), training=training)
        return self._logits(x)

    @property
    def trainable_variables(self) -> list[Any]:
        """What the optimiser moves."""
        return [v for layer in self._layers() for v in layer.trainable_variables]

    @property
    def weights(self) -> list[NDArray[Any]]:
        """All arrays, in the order in which a Keras model of the same layers has them."""
        return [w for layer in self._layers() for w in layer.get_weights()]

    def _layers(self) -> Iterator[Any]:
        for block in (*self._encoder, *self._decoder):
            yield from block
        yield self._logits


def _block(width: int) -> list[Any]:
    from keras import layers

    convolutions = [
        layers.Conv2D(width, 3, activation="relu", padding="same", kernel_initializer="he_normal")
        for _ in range(2)
    ]
    return [*convolutions, layers.BatchNormalization()]


def _through(block: list[Any], x: Any, *, training: bool) -> Any:
    convolution, other, normalisation = block
    return normalisation(other(convolution(x)), training=training)


def loss(logits: Any, corners: NDArray[np.intp], background: NDArray[np.float32]) -> Any:
    """The loss of the crops of one area: each is padded to all of it before they are summed.

    Parameters
    ----------
    logits : (N, S, S) float32
    corners : (N, 2) int
        Where each crop begins in the area.
    background : (A + S, A + S) float32
        1 where there is no cell.
    """
    import tensorflow as tf

    p = tf.sigmoid(logits)
    log_q = tf.math.log(1.0 - p + tf.keras.backend.epsilon())
    padded = [
        tf.pad(crop, [[row, AREA - row], [col, AREA - col]])
        for crop, (row, col) in zip(tf.unstack(log_q), corners.tolist(), strict=True)
    ]
    total = tf.reduce_sum(tf.stack(padded), axis=0) + BETA * background
    seen = [total[row : row + CROP, col : col + CROP] for row, col in corners.tolist()]
    others = log_q - tf.stack(seen)
    return (-tf.reduce_sum(p) + tf.reduce_sum(p * others)) / len(corners)


def training_step(
    model: UNet4, optimizer: Any, data: Dataset, corner: NDArray[np.intp], *, flips: int
) -> float:
    """One step on the crops of one area; bit 1 of `flips` mirrors columns, bit 2 rows."""
    import tensorflow as tf

    cells = data.inside(corner)
    row, col = corner
    side = AREA + CROP
    background = data.background[row : row + side, col : col + side]
    crops = _flipped(data.patches[cells], flips)
    with tf.GradientTape() as tape:
        logits = _flipped(model(crops, training=True), flips)
        value = loss(tf.squeeze(logits, -1), data.corners[cells] - corner, background)
    variables = model.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(value, variables), variables, strict=True))
    return float(value)


def _flipped(images: Any, flips: int) -> Any:
    import tensorflow as tf

    if flips & 1:
        images = tf.image.flip_left_right(images)
    if flips & 2:
        images = tf.image.flip_up_down(images)
    return images


def draw_label(model: UNet4, data: Dataset) -> NDArray[np.int32]:
    """(H, W) label image: predict everything, then one pass for the maximum, one to draw."""
    probabilities = _predicted(model, data)
    best = np.zeros(data.shape, np.float32)
    for place, p in zip(_places(data), probabilities, strict=True):
        best[place] = np.maximum(best[place], p)
    labels = np.zeros(data.shape, np.int32)
    for label, (place, p) in enumerate(zip(_places(data), probabilities, strict=True), start=1):
        p[p < best[place]] = 0
        labels[place] = np.maximum(labels[place], (p > 0.5) * label)
    return labels


def draw_border(model: UNet4, data: Dataset) -> NDArray[np.uint8]:
    """(H, W) count of outlines: predict everything again, then erode crop by crop."""
    from scipy.ndimage import binary_erosion

    # A rim of nothing, so that a cell cut by its crop's edge has its outline there.
    probabilities = np.pad(_predicted(model, data), ((0, 0), (1, 1), (1, 1)))
    borders = np.zeros(data.shape, np.uint8)
    for place, p in zip(_places(data), probabilities, strict=True):
        inside = (p > 0.5).astype(np.uint8)
        outline = inside - binary_erosion(inside, border_value=1)
        borders[place] += outline[1:-1, 1:-1]
    return borders


def _predicted(model: UNet4, data: Dataset) -> NDArray[np.float32]:
    import tensorflow as tf

    return np.asarray(tf.sigmoid(model(data.patches)).numpy().squeeze(-1), np.float32)


def _places(data: Dataset) -> Iterator[tuple[slice, slice]]:
    for row, col in data.corners.tolist():
        yield slice(row, row + CROP), slice(col, col + CROP)
