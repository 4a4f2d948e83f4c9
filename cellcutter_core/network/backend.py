"""The backend and device that Keras uses here, and the fastest precision on them."""

from __future__ import annotations

import contextlib
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Precision = Literal["float32", "mixed_bfloat16"]


@dataclass(frozen=True)
class Backend:
    """The backend and device of a training.

    Attributes
    ----------
    name : str
        "tensorflow", "jax" or "torch", chosen by KERAS_BACKEND.
    version, keras : str
        Versions of that backend and of Keras.
    device : str
        Name of the GPU, or of the processor with the number of usable cores.
    gpu : bool
        Whether a GPU is used.
    """

    name: str
    version: str
    keras: str
    device: str
    gpu: bool

    @property
    def compiles(self) -> bool:
        """Whether each new batch shape is compiled again, which takes seconds."""
        return self.gpu or self.name == "jax"


def backend() -> Backend:
    """Return the backend and device for training. This imports the backend, which takes seconds.

    Raises
    ------
    ValueError
        If KERAS_BACKEND names a backend that cannot be used here or is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    readers = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
    wanted = os.environ.get("KERAS_BACKEND") or "tensorflow"
    try:
        if wanted not in readers:
            raise ModuleNotFoundError(name=wanted)
        with lines_kept_back():
            import keras

            name = keras.config.backend()
            version, gpu = readers[name]()
    except ModuleNotFoundError as error:
        raise ValueError(
            f"the backend {wanted} cannot be loaded, because {error.name} is not there; install "
            "it, or set KERAS_BACKEND to tensorflow, jax or torch"
        ) from error
    return Backend(
        name=name,
        version=version,
        keras=keras.__version__,
        device=gpu or _processor(),
        gpu=gpu is not None,
    )


@contextlib.contextmanager
def lines_kept_back() -> Iterator[None]:
    """Suppress what libraries write to the terminal in this block, unless they fail.

    TensorFlow writes what it finds on the machine, some of it as an error although nothing is
    wrong, and has no setting that silences all of it.
    """
    try:
        terminal = os.dup(2)
    except OSError:  # There is none.
        yield
        return
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(terminal, 2)
            kept.seek(0)
            os.write(2, kept.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


def fastest_precision(where: Backend, *, channels: int, crop_size: int) -> Precision:
    """Measure which precision is faster for convolutions of this size, in about half a second.

    bfloat16 is several times faster than float32 on a GPU or processor that supports it, and slower
    on others. Only a clear gain is worth its fewer digits. Both are timed in turns and the medians
    are compared, so that other work on the machine does not matter: the precision changes the
    result of a training, so the answer must be the same every time.
    """
    if where.name == "torch" and not where.gpu:
        return "float32"
    half = _convolution("bfloat16", channels, crop_size)
    full = _convolution("float32", channels, crop_size)
    ratios = [_seconds(half) / _seconds(full) for _ in range(16)]
    # The first calls are slow, because memory is allocated and threads are started.
    return "mixed_bfloat16" if np.median(ratios[1:]) < 0.75 else "float32"


def _seconds(act: Callable[[], Any]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def _convolution(kind: str, channels: int, crop_size: int) -> Callable[[], Any]:
    import keras
    from keras import ops

    layer = keras.layers.Conv2D(channels, 3, padding="same", dtype=kind)
    x = ops.ones((16, crop_size, crop_size, channels), kind)
    return lambda: ops.convert_to_numpy(ops.sum(ops.cast(layer(x), "float32")))


def _processor() -> str:
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return f"CPU ({platform.machine()}, {cores} core{'s' if cores > 1 else ''})"


def _tensorflow() -> tuple[str, str | None]:
    import tensorflow as tf

    devices = tf.config.list_physical_devices("GPU")
    name: str | None = None
    if devices:
        name = tf.config.experimental.get_device_details(devices[0]).get("device_name", "GPU")
    return str(tf.__version__), name


def _jax() -> tuple[str, str | None]:
    import jax

    device: Any = jax.devices()[0]
    return str(jax.__version__), None if device.platform == "cpu" else str(device.device_kind)


def _torch() -> tuple[str, str | None]:
    import torch

    name = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return str(torch.__version__), name
