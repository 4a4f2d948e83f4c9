"""Compiled forward, gradient and update steps on TensorFlow, JAX and PyTorch, beside Keras.

Each class has the same methods for its backend:

- ``gradients(shape, fields, x, outside)`` → record, gradients; updates the model's state
- ``step(shape, fields, x, outside, learning_rate)`` → record, after the optimiser's update
- ``forward(shape, fields, x)`` → the result of ``preview`` with the network in training mode;
  leaves the model's state unchanged
- ``apply(gradients, learning_rate)``
- ``write_back()``: update the Keras variables from the compiled state
- ``read()``: update the compiled state from the Keras variables
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Objective = Callable[..., tuple[Any, Any]]
Preview = Callable[..., Any]


def compiled(
    name: str, model: Any, optimizer: Any, objective: Objective, preview: Preview, *, gpu: bool
) -> Any:
    """Return the steps for the backend called `name`.

    `objective(network, shape, fields, x, outside)` returns a scalar to minimise and a record of it.
    `preview(network, shape, fields, x)` returns a tensor. Both get the network as a function.
    """
    return {"tensorflow": _TensorFlow, "jax": _Jax, "torch": _Torch}[name](
        model, optimizer, objective, preview, gpu=gpu
    )


def _stateless(model: Any) -> Callable[[Any], Any]:
    """Return the network in training mode as a function that does not change its state."""
    return lambda crops: model.stateless_call(
        [v.value for v in model.trainable_variables],
        [v.value for v in model.non_trainable_variables],
        crops,
        training=True,
    )[0]


def _tensors(x: dict[str, Any]) -> dict[str, Any]:
    """Move the arrays of a step to the device; the other backends do this in compiled code."""
    from keras import ops

    return {name: ops.convert_to_tensor(value) for name, value in x.items()}


class _TensorFlow:
    def __init__(
        self, model: Any, optimizer: Any, objective: Objective, preview: Preview, *, gpu: bool
    ) -> None:
        import tensorflow as tf

        # XLA makes a step on the CPU about twice as slow; on a GPU it fuses memory-bound parts.
        # AutoGraph has nothing to translate in a step, and searching takes it a second.
        function = tf.function(autograph=False, reduce_retracing=True, jit_compile=gpu or None)

        def gradients(shape: Any, fields: Any, x: Any, outside: Any) -> tuple[Any, Any]:
            with tf.GradientTape() as tape:
                value, record = objective(
                    lambda crops: model(crops, training=True), shape, fields, x, outside
                )
            return record, tape.gradient(value, model.trainable_variables)

        def step(shape: Any, fields: Any, x: Any) -> Any:
            record, found = gradients(shape, fields, x, None)
            _update(optimizer, found, model.trainable_variables)
            return record

        self.gradients = function(gradients)
        self.forward = function(
            lambda shape, fields, x: preview(_stateless(model), shape, fields, x)
        )
        self._step = function(step)
        self._apply = function(lambda found: _update(optimizer, found, model.trainable_variables))
        self._learning_rate = optimizer.learning_rate

    def step(self, shape: Any, fields: Any, x: Any, learning_rate: float) -> Any:
        self._learning_rate.assign(learning_rate)
        return self._step(shape, fields, x)

    def apply(self, gradients: Any, learning_rate: float) -> None:
        self._learning_rate.assign(learning_rate)
        self._apply(gradients)

    def write_back(self) -> None:
        """The variables are the state."""

    read = write_back


def _update(optimizer: Any, gradients: Any, variables: Any) -> None:
    """Do the Adam update of Keras with one TensorFlow operation per variable.

    Keras needs a dozen operations, and building the graph of a step takes a quarter longer: seconds
    that the user waits for the first epoch.
    """
    import tensorflow as tf

    most = optimizer.clipnorm
    if most is not None:
        norms = tf.sqrt(2 * tf.stack([tf.nn.l2_loss(one) for one in gradients]))
        factors = tf.unstack(most / tf.maximum(norms, most))
        gradients = [one * factor for one, factor in zip(gradients, factors, strict=True)]
    momenta, velocities = (
        [v for v in optimizer.variables if v.name.endswith(kind)]
        for kind in ("_momentum", "_velocity")
    )
    beta1, beta2 = optimizer.beta_1, optimizer.beta_2
    number = tf.cast(optimizer.iterations.value + 1, tf.float32)
    power1, power2 = tf.pow(beta1, number), tf.pow(beta2, number)
    rate = tf.convert_to_tensor(optimizer.learning_rate.value)
    for gradient, variable, momentum, velocity in zip(
        gradients, variables, momenta, velocities, strict=True
    ):
        tf.raw_ops.ResourceApplyAdam(
            var=variable.value.handle,
            m=momentum.value.handle,
            v=velocity.value.handle,
            beta1_power=power1,
            beta2_power=power2,
            lr=rate,
            beta1=beta1,
            beta2=beta2,
            epsilon=optimizer.epsilon,
            grad=gradient,
        )
    optimizer.iterations.assign_add(1)


class _Jax:
    def __init__(
        self, model: Any, optimizer: Any, objective: Objective, preview: Preview, *, gpu: bool
    ) -> None:
        import jax

        del gpu  # JAX always compiles.
        self._model, self._optimizer = model, optimizer
        self._trainable: list[Any]
        self._others: list[Any]
        self._state: list[Any]
        self._rate = next(
            i for i, v in enumerate(optimizer.variables) if v is optimizer.learning_rate
        )
        self.read()

        def value(
            trainable: Any, others: Any, shape: Any, fields: Any, x: Any, outside: Any
        ) -> tuple[Any, tuple[Any, Any]]:
            moved = others

            def network(crops: Any) -> Any:
                nonlocal moved
                logits, moved = model.stateless_call(trainable, others, crops, training=True)
                return logits

            objective_value, record = objective(network, shape, fields, x, outside)
            return objective_value, (record, moved)

        def step(
            trainable: Any, others: Any, state: Any, shape: Any, fields: Any, x: Any
        ) -> tuple[Any, Any, Any, Any]:
            found, (record, others) = jax.grad(value, has_aux=True)(
                trainable, others, shape, fields, x, None
            )
            trainable, state = optimizer.stateless_apply(state, found, trainable)
            return record, trainable, others, state

        def forward(trainable: Any, others: Any, shape: Any, fields: Any, x: Any) -> Any:
            def network(crops: Any) -> Any:
                return model.stateless_call(trainable, others, crops, training=True)[0]

            return preview(network, shape, fields, x)

        self._gradients = jax.jit(jax.grad(value, has_aux=True), static_argnums=2)
        self._step = jax.jit(step, static_argnums=3, donate_argnums=(0, 1, 2))
        self._forward = jax.jit(forward, static_argnums=2)
        self._apply = jax.jit(optimizer.stateless_apply, donate_argnums=(0, 2))

    def gradients(self, shape: Any, fields: Any, x: Any, outside: Any) -> tuple[Any, Any]:
        found, (record, self._others) = self._gradients(
            self._trainable, self._others, shape, fields, x, outside
        )
        return record, found

    def forward(self, shape: Any, fields: Any, x: Any) -> Any:
        return self._forward(self._trainable, self._others, shape, fields, x)

    def step(self, shape: Any, fields: Any, x: Any, learning_rate: float) -> Any:
        self._set_rate(learning_rate)
        record, self._trainable, self._others, self._state = self._step(
            self._trainable, self._others, self._state, shape, fields, x
        )
        return record

    def apply(self, gradients: Any, learning_rate: float) -> None:
        self._set_rate(learning_rate)
        self._trainable, self._state = self._apply(self._state, gradients, self._trainable)

    def write_back(self) -> None:
        for variables, values in (
            (self._model.trainable_variables, self._trainable),
            (self._model.non_trainable_variables, self._others),
            (self._optimizer.variables, self._state),
        ):
            for variable, new in zip(variables, values, strict=True):
                # A copy, because the next step donates its buffers.
                variable.assign(new.copy())

    def read(self) -> None:
        self._trainable = [v.value.copy() for v in self._model.trainable_variables]
        self._others = [v.value.copy() for v in self._model.non_trainable_variables]
        self._state = [v.value.copy() for v in self._optimizer.variables]

    def _set_rate(self, learning_rate: float) -> None:
        from keras import ops

        self._state[self._rate] = ops.convert_to_tensor(learning_rate, dtype="float32")


class _Torch:
    def __init__(
        self, model: Any, optimizer: Any, objective: Objective, preview: Preview, *, gpu: bool
    ) -> None:
        del gpu
        self._model, self._optimizer = model, optimizer
        self._objective, self._preview = objective, preview

    def gradients(self, shape: Any, fields: Any, x: Any, outside: Any) -> tuple[Any, Any]:
        import torch

        variables = [v.value for v in self._model.trainable_variables]
        value, record = self._objective(
            lambda crops: self._model(crops, training=True), shape, fields, _tensors(x), outside
        )
        return record.detach().cpu(), list(torch.autograd.grad(value, variables))

    def forward(self, shape: Any, fields: Any, x: Any) -> Any:
        import torch

        with torch.no_grad():
            return self._preview(_stateless(self._model), shape, fields, _tensors(x))

    def step(self, shape: Any, fields: Any, x: Any, learning_rate: float) -> Any:
        record, gradients = self.gradients(shape, fields, x, None)
        self.apply(gradients, learning_rate)
        return record

    def apply(self, gradients: Any, learning_rate: float) -> None:
        import torch

        with torch.no_grad():
            self._optimizer.learning_rate.assign(learning_rate)
            self._optimizer.apply(gradients, self._model.trainable_variables)

    def write_back(self) -> None:
        """The variables are the state."""

    read = write_back
