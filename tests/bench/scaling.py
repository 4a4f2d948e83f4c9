"""How time and memory grow with the image: each step of `quick` on samples of growing size.

    python tests/bench/scaling.py [--sides 512 1024 2048 4096]

Each size is a process of its own. Time is that of the processor, summed over its cores, so that
other work on the machine counts little. Memory is what a step needs at its peak on top of what was
there before it, as a multiple of the image's own bytes; it is read from /proc, so only on Linux.
Training steps see a neighbourhood of crops, whatever the size of the image; the drawing passes
every cell. Both need some hundred MB for the network, which weigh more the smaller the image is.
"""

from __future__ import annotations

import argparse
import gc
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

STEPS = 6
PARTS = ("markers", "mask", "cost_map", "paths", "crops", "training", "drawing")
HEADS = (
    "side",
    "cells",
    "image, MB",
    *(f"{part}, s" for part in PARTS if part != "training"),
    "a training step, s of wall clock",
    "all but training, ms a cell",
    *(f"memory of {part}, images" for part in PARTS),
    "peak, GB",
)
STATUS, CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", nargs="+", type=int, default=[512, 1024, 2048, 4096])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--make", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.make:
        from cellcutter_core.simulation.sample import sample, save

        save(sample((chosen.one,) * 2), chosen.make)
        return
    if chosen.one:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "sample.npz")
            # Elsewhere, as it needs more memory than what is measured.
            command = [sys.executable, __file__, "--one", str(chosen.one), "--make", str(file)]
            subprocess.run(command, check=True)
            print(f"| {' | '.join(_measured(file))} |")
        return
    print(f"| {' | '.join(HEADS)} |\n|{' --- |' * len(HEADS)}", flush=True)
    for side in chosen.sides:
        subprocess.run([sys.executable, __file__, "--one", str(side)], check=True)


def _measured(file: Path) -> list[str]:
    from cellcutter_core.config import QUICK
    from cellcutter_core.images.read_image import read_image
    from cellcutter_core.pipeline import find_markers, find_mask
    from cellcutter_core.training.datasets import make_dataset
    from cellcutter_core.training.events import Step
    from cellcutter_core.training.image_inputs import inputs_of
    from cellcutter_core.training.loop import Training, starting_network
    from cellcutter_core.training.predicted_labels import predict_cells

    config = QUICK.replace(training=QUICK.training.replace(epochs=1, steps=STEPS, warm_up=0))
    image = read_image(file)
    seconds, memory = {}, {}
    highest = 0.0

    def measured(part: str, work: Callable[[], Any]) -> Any:
        nonlocal highest
        gc.collect()
        CLEAR_REFS.write_text("5")  # the peak is from now on
        before = _memory("VmRSS")
        start = time.process_time()
        result = work()
        seconds[part] = time.process_time() - start
        peak = _memory("VmHWM")
        highest = max(highest, peak)
        memory[part] = (peak - before) / image.pixels.nbytes
        return result

    nuclei = measured("markers", lambda: find_markers(image, config))
    mask = measured("mask", lambda: find_mask(image, config, nuclei))
    inputs = inputs_of(image, config, nuclei, mask)
    measured("cost_map", lambda: inputs.cost_map)
    measured("paths", lambda: inputs.path_labels)
    # Paths are searched once more here; what they take is known from above.
    data = measured("crops", lambda: make_dataset(inputs, config))
    seconds["crops"] = max(seconds["crops"] - seconds["paths"], 0)
    network = starting_network(config, data)
    training = Training(data, network, config.training)
    events = measured("training", lambda: list(training.run()))
    # The first steps are slow: they trace and ask for memory.
    steps = sorted([event.seconds for event in events if isinstance(event, Step)][2:])
    measured("drawing", lambda: predict_cells(network, data, inputs, config))
    n = len(nuclei.points)
    once = [seconds[part] for part in PARTS if part != "training"]
    return [
        f"{image.shape[0]}²",
        f"{n:,}",
        f"{image.pixels.nbytes / 1e6:.0f}",
        *(f"{part:.1f}" for part in once),
        f"{steps[len(steps) // 2]:.2f}",
        f"{1000 * sum(once) / n:.1f}",
        *(f"{memory[part]:.1f}" for part in PARTS),
        f"{highest / 1e9:.2f}",
    ]


def _memory(key: str) -> float:
    """Bytes that this process holds now (VmRSS) or has held at most (VmHWM)."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(key))
    return 1024 * float(line.split()[1])


if __name__ == "__main__":
    main()
