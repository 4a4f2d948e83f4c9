"""How time and memory grow with the image: each step of `quick` on samples of growing size.

    python tests/bench/scaling.py [--sides 512 1024 2048 4096]

Each size is a process of its own, so that its peak memory is its own. Training steps see a
neighbourhood of crops, whatever the size of the image; the drawing passes every cell.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

STEPS = 6
HEADS = (
    "side",
    "cells",
    "image, MB",
    "markers, s",
    "mask, s",
    "crops, s",
    "a step, s",
    "drawing, s",
    "drawing, ms a cell",
    "peak memory, GB",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", nargs="+", type=int, default=[512, 1024, 2048, 4096])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        print(f"| {' | '.join(_measured(chosen.one))} |")
        return
    print(f"| {' | '.join(HEADS)} |\n|{' --- |' * len(HEADS)}", flush=True)
    for side in chosen.sides:
        subprocess.run([sys.executable, __file__, "--one", str(side)], check=True)


def _measured(side: int) -> list[str]:
    from cellcutter_core.config import QUICK
    from cellcutter_core.pipeline import draw_cells, find_area, find_markers, inputs_of
    from cellcutter_core.pipeline import make_dataset as make
    from cellcutter_core.samples import sample
    from cellcutter_core.training import Step, Training
    from cellcutter_core.unet import UNet

    config = QUICK.replace(training=QUICK.training.replace(epochs=1, steps=STEPS, warm_up=0))
    image = sample((side, side))
    nuclei, markers = _timed(lambda: find_markers(image, config))
    mask, area = _timed(lambda: find_area(image, config, nuclei))
    inputs = inputs_of(image, config, nuclei, mask)
    data, crops = _timed(lambda: make(inputs, config))
    network = UNet(config.network)
    events = Training(data, network, config.training).run()
    # The first steps are slow: they trace and ask for memory.
    steps = [event.seconds for event in events if isinstance(event, Step)][2:]
    _, drawing = _timed(lambda: draw_cells(network, data, inputs, config))
    # In units of 1024 bytes, on a Mac in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
    n = len(nuclei.points)
    return [
        f"{side}²",
        f"{n:,}",
        f"{image.pixels.nbytes / 1e6:.0f}",
        *(f"{seconds:.1f}" for seconds in (markers, area, crops)),
        f"{sorted(steps)[len(steps) // 2]:.2f}",
        f"{drawing:.1f}",
        f"{1000 * drawing / n:.1f}",
        f"{peak:.2f}",
    ]


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


if __name__ == "__main__":
    main()
