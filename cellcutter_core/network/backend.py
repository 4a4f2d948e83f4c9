"""What Keras runs on here: backend, device, and the precision that is fastest on it."""

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
    """Where training runs.

    Attributes
    ----------
    name : str
        "tensorflow", "jax" or "torch", chosen by KERAS_BACKEND.
    version, keras : str
        Versions of that backend and of Keras.
    device : str
        Name of the GPU, or of the processor and how many of its cores may be used.
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
        """Whether each new shape of a batch is compiled anew, which takes seconds."""
        return self.gpu or self.name == "jax"


def backend() -> Backend:
    """The backend and device that training will use. Imports the backend, which takes seconds."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with lines_kept_back():
        import keras

        name = keras.config.backend()
        version, gpu = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}[name]()
    return Backend(
        name=name,
        version=version,
        keras=keras.__version__,
        device=gpu or _processor(),
        gpu=gpu is not None,
    )


@contextlib.contextmanager
def lines_kept_back() -> Iterator[None]:
    """Keep what libraries write on the terminal meanwhile to themselves, unless they fail.

    TensorFlow writes there what it found of the machine, some of it as an error where nothing is
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
    """Measure which arithmetic is faster for convolutions of this size, in about half a second.

    bfloat16 is several times faster than float32 on a GPU or a processor that computes with it,
    and slower on one that does not; only a clear gain is worth its fewer digits. They are
    timed in turns and the median counts, whatever else the machine does meanwhile: the answer
    changes what comes out, and has to be the same every time.
    """
    if where.name == "torch" and not where.gpu:
        return "float32"
    half = _convolution("bfloat16", channels, crop_size)
    full = _convolution("float32", channels, crop_size)
    ratios = [_seconds(half) / _seconds(full) for _ in range(16)]
    # The first are slow: memory is asked for and threads start.
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
