"""One optimiser step: gather crops, turn them, pass them through the network, compute the loss.

All of it happens inside the compiled step, from the padded image on the device. Only the numbers of
the crops, and how each is turned, are sent to the device for a step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.config import TrainingSettings
from cellcutter_core.network.backend import Backend
from cellcutter_core.network.compiled import compiled
from cellcutter_core.shortest_paths.path_labels import HIGHEST_LOG_ODDS
from cellcutter_core.training.crops import Dataset, filled
from cellcutter_core.training.loss import (
    loss_names,
    read_crops,
    self_supervised_loss,
    target_loss,
    weighted_terms,
)


class Shape(NamedTuple):
    """What must be known of a dataset when a step is compiled."""

    width: int
    n_pixels: int
    crop_size: int
    shows_markers: bool


class Optimiser:
    """A network, its optimiser and the compiled steps that train it.

    Parameters
    ----------
    model : keras.Model
        (N, S, S, C) crops → (N, S, S, 1) logits; trained in place.
    settings : TrainingSettings
        λ, β, weights, learning rate and number of crops that pass at once.
    where : Backend
        The backend and device.
    extent : (rows, cols), optional
        Size of the largest padded image. All images are padded to it on the device, so that a step
        is compiled only once. Default: each image has its own size.
    """

    def __init__(
        self,
        model: Any,
        settings: TrainingSettings,
        where: Backend,
        extent: tuple[int, int] | None = None,
    ) -> None:
        import keras

        from cellcutter_core.network.less_arithmetic import faster_model

        self.settings = settings
        self.where = where
        self._extent = extent
        self._model = model = faster_model(model)
        self._optimizer = keras.optimizers.Adam(settings.learning_rate, clipnorm=settings.clip_norm)
        self._optimizer.build(model.trainable_variables)
        self._run = compiled(
            where.name, model, self._optimizer, self._objective, _spread, gpu=where.gpu
        )
        self._datasets: dict[Dataset, tuple[Shape, dict[str, Any]]] = {}
        self._targets: dict[Dataset, NDArray[np.int32]] = {}

    @property
    def state(self) -> list[NDArray[Any]]:
        """Return the optimiser's variables, with which a training can be continued later."""
        from keras import ops

        self._run.write_back()
        return [np.asarray(ops.convert_to_numpy(v.value)) for v in self._optimizer.variables]

    def restore(self, state: list[NDArray[Any]]) -> None:
        """Set what `state` returned. Raise a ValueError if it belongs to another network."""
        variables = self._optimizer.variables
        if [v.shape for v in state] != [tuple(v.shape) for v in variables]:
            raise ValueError(
                "this optimiser state belongs to another network; continue with the network "
                "settings that the run was started with"
            )
        for variable, value in zip(variables, state, strict=True):
            variable.assign(value)
        self._run.read()

    def write_back(self) -> None:
        """Update the Keras model from the last step."""
        self._run.write_back()

    def step(
        self,
        data: Dataset,
        cells: NDArray[np.intp],
        symmetries: NDArray[np.int64],
        *,
        learning_rate: float,
        target_weight: float,
        stop: Callable[[], bool] = lambda: False,
    ) -> dict[str, float] | None:
        """Do one optimiser step on some crops of one image.

        If there are too many crops for one batch, they pass in several. A first pass then computes
        how each crop affects the others. So the summed gradient of the batches equals that of all
        crops at once.

        Parameters
        ----------
        data : Dataset
        cells, symmetries : (n,) int
            Numbers of the crops, and for each a symmetry of the square: bit 1 mirrors columns, bit
            2 mirrors rows, bit 4 exchanges rows and columns.
        learning_rate : float
        target_weight : float
            0 for the self-supervised loss, 1 for the cross-entropy with the dataset's targets,
            or a value between for a mixture.
        stop : callable
            Called between batches. If it returns True, the step is cancelled: weights, moving
            averages and optimiser stay as they were.

        Returns
        -------
        dict or None
            Each of the `loss_names`, summed over the batches; None if the step was cancelled.
        """
        shape, fields = self._on_device(data)
        n_batches = math.ceil(len(cells) / self.settings.crops_at_once)
        size = self.settings.crops_at_once
        if not self.where.compiles:
            # A single shape is needed only if each new shape is compiled again.
            size = min(size, math.ceil(math.ceil(len(cells) / n_batches) / 8) * 8)
        inputs = []
        for part, turns in zip(
            np.array_split(cells, n_batches), np.array_split(symmetries, n_batches), strict=True
        ):
            places, valid = filled(part, size)
            inputs.append(
                {
                    "cells": places.astype(np.int32),
                    "origins": (data.origins[places] + data.crop_size // 2).astype(np.int32),
                    "turns": np.resize(turns, size).astype(np.int32),
                    "valid": valid,
                    "share": np.float32(len(part) / len(cells)),
                    "target_weight": np.float32(target_weight),
                }
            )
        if n_batches == 1:
            record = self._run.step(shape, fields, inputs[0], learning_rate)
            return dict(zip(loss_names(), np.asarray(record, float).tolist(), strict=True))
        spread = []
        for x in inputs:
            if stop():
                return None
            spread.append(self._run.forward(shape, fields, x))
        everything = sum(spread[1:], start=spread[0])
        records, gradients = [], None
        before = self._moving
        for x, own in zip(inputs, spread, strict=True):
            if stop():
                self._set_moving(before)
                return None
            record, new = self._run.gradients(shape, fields, x, everything - own)
            records.append(np.asarray(record, float))
            gradients = new if gradients is None else [
                a + b for a, b in zip(gradients, new, strict=True)
            ]  # fmt: skip
        self._run.apply(gradients, learning_rate)
        return dict(zip(loss_names(), np.sum(records, axis=0).tolist(), strict=True))

    @property
    def _moving(self) -> list[NDArray[Any]]:
        """What the passes of a step move before the optimiser does: moving averages."""
        from keras import ops

        if not self._model.non_trainable_variables:
            return []
        self._run.write_back()
        # Copies, for on some backends these are the variables' own memory.
        return [np.array(ops.convert_to_numpy(v)) for v in self._model.non_trainable_variables]

    def _set_moving(self, values: list[NDArray[Any]]) -> None:
        for variable, value in zip(self._model.non_trainable_variables, values, strict=True):
            variable.assign(value)
        self._run.read()

    def _on_device(self, data: Dataset) -> tuple[Shape, dict[str, Any]]:
        from keras import ops

        n_rows, n_cols = self._extent or data.padded_background.shape

        def whole(field: NDArray[Any]) -> NDArray[Any]:
            # The added pixels lie beyond all crops.
            more = (n_rows - field.shape[0], n_cols - field.shape[1])
            return np.pad(field, [(0, n) for n in more] + [(0, 0)] * (field.ndim - 2))

        def flat(field: NDArray[Any], dtype: str) -> Any:
            return ops.convert_to_tensor(whole(field).ravel(), dtype)

        if data not in self._datasets:
            n_pixels = n_rows * n_cols
            shape = Shape(n_cols, n_pixels, data.crop_size, data.shows_markers)
            self._datasets[data] = (
                shape,
                {
                    "image": ops.convert_to_tensor(whole(data.padded_image).reshape(n_pixels, -1)),
                    "background": flat(data.padded_background, "float32"),
                    "nuclei": flat(data.padded_nuclei, "int32"),
                    "embedding": ops.convert_to_tensor(data.embedding.ravel(), "float32"),
                },
            )
            if data.padded_path_labels is not None and data.padded_log_odds is not None:
                self._datasets[data][1].update(
                    path_labels=flat(data.padded_path_labels, "int32"),
                    log_odds=flat(data.padded_log_odds, "float32"),
                )
        shape, fields = self._datasets[data]
        # Targets are the only field that changes; they are replaced, never written to.
        if self._targets.get(data) is not data.padded_targets:
            self._targets[data] = data.padded_targets
            fields["targets"] = flat(data.padded_targets, "int32")
        return shape, fields

    def _objective(
        self,
        network: Callable[[Any], Any],
        shape: Shape,
        fields: dict[str, Any],
        x: dict[str, Any],
        outside: Any,
    ) -> tuple[Any, Any]:
        """Return the value to minimise, and the losses for the record, as `loss_names`."""
        from keras import ops

        pixels, crops, background, nucleus = _gathered(shape, fields, x)
        seen = read_crops(
            network(crops)[..., 0],
            pixels,
            background,
            n_pixels=shape.n_pixels,
            nucleus=nucleus,
            valid=x["valid"],
            outside=None if outside is None else ops.take(outside, pixels, axis=0),
        )
        loss, terms = self_supervised_loss(seen, self.settings)
        own = ops.equal(ops.take(fields["targets"], pixels), x["cells"][:, None, None] + 1)
        aimed = target_loss(seen, ops.cast(own, "float32"))
        w, minimised = x["target_weight"], loss
        for term in weighted_terms():
            minimised = minimised + terms[term.name]
        objective = (1 - w) * minimised + w * aimed
        record = ops.stack([loss, *terms.values()])
        return objective * x["share"], record * x["share"]


def _spread(
    network: Callable[[Any], Any], shape: Shape, fields: dict[str, Any], x: dict[str, Any]
) -> Any:
    """Return (P, 2): for each image pixel, the sums of log(1 - p) and of p over a batch's crops."""
    from keras import ops

    pixels, crops, _, _ = _gathered(shape, fields, x)
    logits = network(crops)[..., 0]
    both = ops.stack([ops.log_sigmoid(-logits), ops.sigmoid(logits)], axis=-1)
    both = both * x["valid"][:, None, None, None]
    return ops.segment_sum(
        ops.reshape(both, (-1, 2)), ops.reshape(pixels, (-1,)), num_segments=shape.n_pixels
    )


def _log_odds(fields: dict[str, Any], x: dict[str, Any], pixels: Any) -> Any:
    """Return the path log-odds of a batch's pixels."""
    from keras import ops

    own = ops.equal(ops.take(fields["path_labels"], pixels), x["cells"][:, None, None] + 1)
    log_odds = ops.take(fields["log_odds"], pixels)
    return ops.where(own, log_odds, -log_odds)


def _gathered(shape: Shape, fields: dict[str, Any], x: dict[str, Any]) -> tuple[Any, Any, Any, Any]:
    """Return pixel numbers, crops, background and own nucleus of a batch, turned, on the device."""
    from keras import ops

    side = shape.crop_size
    turns = x["turns"][:, None, None]
    a = ops.arange(side, dtype="int32")[None, :, None]
    b = ops.arange(side, dtype="int32")[None, None, :]
    swap = ops.not_equal(ops.bitwise_and(turns, 4), 0)
    rows, cols = ops.where(swap, b, a), ops.where(swap, a, b)
    rows = ops.where(ops.not_equal(ops.bitwise_and(turns, 2), 0), side - 1 - rows, rows)
    cols = ops.where(ops.not_equal(ops.bitwise_and(turns, 1), 0), side - 1 - cols, cols)
    origins = x["origins"]
    pixels = (origins[:, :1, None] + rows) * shape.width + origins[:, 1:, None] + cols
    embedding = ops.take(fields["embedding"], rows * side + cols)
    regions = ops.take(fields["nuclei"], pixels)
    own = ops.equal(regions, x["cells"][:, None, None] + 1)
    nucleus = ops.cast(own, "float32")
    other = ops.cast(ops.logical_and(regions > 0, ops.logical_not(own)), "float32")
    shown = []
    if shape.shows_markers:
        shown = [nucleus, other, _log_odds(fields, x, pixels) / HIGHEST_LOG_ODDS]
    crops = ops.concatenate(
        [
            ops.take(fields["image"], pixels, axis=0),
            *(field[..., None] for field in shown),
            embedding[..., None],
        ],
        axis=-1,
    )
    background = ops.maximum(ops.take(fields["background"], pixels), other) * (1 - nucleus)
    return pixels, crops, background, nucleus
