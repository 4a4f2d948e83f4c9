"""Estimate how long a training will take, without loading a machine-learning framework."""

from __future__ import annotations

import math
import socket
from statistics import median
from typing import Any, NamedTuple

from cellcutter_core.config import Config, NetworkSettings
from cellcutter_core.jobs.about_server import cores
from cellcutter_core.network.taught_weights import N_CHANNELS
from cellcutter_core.runs.folder import list_runs, runs_folder
from cellcutter_core.runs.store import Run
from cellcutter_core.training.datasets import scale_for
from cellcutter_core.training.inputs import Inputs

# Measured on two cores of a processor without bfloat16 (AMD EPYC 7003, TensorFlow 2.21, float32)
# with 16 and 32 channels and both stems. The four speeds fit these two numbers within 10 %.
# Training passes each crop forwards and backwards: three times the work of the forward pass.
SECONDS_PER_GFLOP = 0.0114  # of one forward pass
SECONDS_PER_MEGAPIXEL = 0.0053  # of one channel that a convolution writes
CORES_MEASURED = 2
MOST_CORES = 8  # With such small crops, more cores are hardly faster.
# Before training, the framework is loaded and the steps are traced.
START_UP = 12.0
# At each epoch all cells are predicted, combined to a label image, and written.
SECONDS_PER_CELL = 0.0005
SECONDS_PER_PIXEL = 4e-7
SECONDS_PER_EPOCH = 0.3
# Guesses, not measured: how much faster a GPU is than the processor above, and its start-up with
# the compilation before the first step.
GPU_FASTER = 20.0
GPU_START_UP = 40.0


class Speed(NamedTuple):
    """The parts of a training's time, in seconds."""

    start_up: float
    per_crop: float
    per_cell_drawn: float


def estimate_seconds(inputs: Inputs, config: Config, *, device: str | None) -> tuple[float, str]:
    """Estimate how long a training takes from its start to its last epoch.

    Parameters
    ----------
    inputs : Inputs
        The inputs of the training.
    config : Config
    device : str or None
        The result of `Spare.known`. None, if it is not known yet, counts as a processor.

    Returns
    -------
    seconds : float
    basis : str
        What the estimate is based on, in words.
    """
    n_cells = len(inputs.points)
    n_crops = config.training.epochs * config.training.steps * crops_per_step(inputs, config)
    earlier = _earlier_speed(config, device)
    if earlier is None:
        speed, basis = _rough_speed(inputs, config, device)
    else:
        speed, basis = earlier
    # Epoch 0 is predicted as well.
    drawn = (config.training.epochs + 1) * n_cells
    return speed.start_up + n_crops * speed.per_crop + drawn * speed.per_cell_drawn, basis


def crops_per_step(inputs: Inputs, config: Config) -> float:
    """Return the mean number of crops in a step."""
    n_cells, area = len(inputs.points), config.training.area
    if area is None:
        return min(config.training.crops, n_cells)
    scale = scale_for(inputs, config)
    share = math.prod(min(1.0, area / (side * scale)) for side in inputs.mask.shape)
    return max(1.0, n_cells * share)


def speed_of(run: Run) -> Speed | None:
    """Measure the parts of a run's time; None if it has not run long enough.

    The first step does not count for the speed, because it waits for tracing and compilation. If
    the start-up contains the prediction of epoch 0, the time of a usual prediction is subtracted.
    No part is negative, even if the clock was set back.
    """
    steps: list[dict[str, Any]] = []
    per_crop, drawing = [], []
    start_up, n_cells, started, with_zero = None, 0, None, False
    for event in run.events():
        match event["kind"]:
            case "started":
                started, steps, with_zero = event["time"], [], False
            case "device":
                n_cells = event["n_cells"]
            case "step":
                first = not steps
                steps.append(event)
                if first and started is not None:
                    start_up = max(event["time"] - started, 0.0)
                elif not first:
                    per_crop.append(event["seconds"] / event["n_crops"])
            case "epoch" if steps:
                drawing.append(max(event["time"] - steps[-1]["time"], 0.0))
            case "epoch":
                with_zero = True
    if start_up is None or not per_crop or not drawing or not n_cells:
        return None
    if with_zero:
        start_up = max(start_up - median(drawing), 0.0)
    return Speed(start_up, median(per_crop), median(drawing) / n_cells)


def _earlier_speed(config: Config, device: str | None) -> tuple[Speed, str] | None:
    """Return the speed of the newest run here with the same network on the same device."""
    for summary in list_runs()[0]:
        if not summary.epochs_done or _work(summary.description.config) != _work(config):
            continue
        run = Run(runs_folder() / summary.id)
        events = run.events()
        where = [event for event in events if event["kind"] == "device"]
        hosts = {event["host"] for event in events if event["kind"] == "started"}
        if not where or hosts != {socket.gethostname()}:
            continue
        if device is not None and where[-1]["device"] != device:
            continue
        speed = speed_of(run)
        if speed is not None:
            return speed, (
                f"from an earlier run on this machine, which trained {1 / speed.per_crop:.0f} "
                "crops a second with the same network"
            )
    return None


def _work(config: Config) -> tuple[Any, ...]:
    """Return the settings that determine how long one crop takes."""
    training = config.training
    return (
        config.network,
        config.crops.size,
        training.precision,
        training.crops_at_once,
        config.labels,
    )


def _rough_speed(inputs: Inputs, config: Config, device: str | None) -> tuple[Speed, str]:
    gpu = device is not None and not device.startswith("CPU")
    n_channels = inputs.image.shape[-1] + 1
    if config.network.start == "simulated":
        n_channels = N_CHANNELS
    gflop, megapixels = forward_cost(config.network, config.crops.size, n_channels)
    forward = gflop * SECONDS_PER_GFLOP + megapixels * SECONDS_PER_MEGAPIXEL
    forward *= 1 / GPU_FASTER if gpu else CORES_MEASURED / min(cores(), MOST_CORES)
    # If the crops of a step pass in several batches, each passes once more for the overlaps.
    parts = crops_per_step(inputs, config) > config.training.crops_at_once
    each_epoch = SECONDS_PER_EPOCH + SECONDS_PER_PIXEL * inputs.mask.size
    drawn = SECONDS_PER_CELL + each_epoch / max(len(inputs.points), 1)
    speed = Speed(GPU_START_UP if gpu else START_UP, (4 if parts else 3) * forward, forward + drawn)
    measured = f"measured on another machine of {CORES_MEASURED} cores"
    if gpu:
        measured = "guessed for a GPU"
    return speed, (
        f"a rough guess from the size of the network and speeds {measured}; "
        "it improves after the first run here"
    )


def forward_cost(network: NetworkSettings, crop_size: int, n_channels: int) -> tuple[float, float]:
    """Compute the work of a forward pass of one crop through the UNet that `UNet` builds.

    Parameters
    ----------
    network : NetworkSettings
    crop_size : int
        Side of the crop in pixels.
    n_channels : int
        Channels of a crop, including the position embedding.

    Returns
    -------
    gflop : float
        Multiplications and additions of its convolutions, in 10⁹.
    megapixels : float
        Values that its convolutions write, in 10⁶.
    """
    widths = [network.channels * 2**level for level in range(network.depth)]
    widths.append(widths[-1])
    side = crop_size // network.stem
    # For each convolution: side of its output, side of its kernel, input and output channels.
    layers: list[tuple[int, int, int, int]] = []
    channels = n_channels
    if network.stem == 2:
        layers.append((side, 4, channels, widths[0]))
        channels = widths[0]
    for level, width in enumerate(widths):
        layers += [(side >> level, 3, channels, width), (side >> level, 3, width, width)]
        channels = width
    for level in reversed(range(network.depth)):
        width = widths[level]
        into = channels + width
        layers += [(side >> level, 3, into, width), (side >> level, 3, width, width)]
        channels = width
    # A transposed convolution with kernel 4 and stride 2 sums four values for each pixel.
    layers.append((crop_size, network.stem, channels, 1))
    flop = sum(2 * (kernel * out) ** 2 * a * b for out, kernel, a, b in layers)
    return flop / 1e9, sum(out**2 * b for out, _, _, b in layers) / 1e6
