"""Both presets on a GPU: seconds, and the share of the card's peak that they reach.

    KERAS_BACKEND=jax python tests/bench/gpu.py [--peak TFLOPS]

`paper` as published: 30 epochs on 1750 × 1750 pixels with some 2,300 crops, which took the authors
481 s and users 901 s on a T4; the bar is 20 s on an H100. `quick` on 512 × 512 pixels; the bar is
3 s after start-up. The first step of each, which compiles, is told apart. `--peak` is the card's
peak in the precision that is used, in 10¹² operations a second.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from cellcutter_core.config import PAPER, QUICK, Config  # noqa: E402
from cellcutter_core.jobs.estimate import forward_cost  # noqa: E402
from cellcutter_core.network.backend import backend, fastest_precision  # noqa: E402
from cellcutter_core.pipeline import prepare  # noqa: E402
from cellcutter_core.simulation.sample import sample  # noqa: E402
from cellcutter_core.training.datasets import make_dataset  # noqa: E402
from cellcutter_core.training.events import Step  # noqa: E402
from cellcutter_core.training.loop import Training, starting_network  # noqa: E402
from cellcutter_core.training.predicted_labels import predict_cells  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peak", type=float, help="of the card, in 10¹² operations a second")
    peak = parser.parse_args().peak
    where = backend()
    if not where.gpu:
        raise SystemExit(f"there is no GPU for {where.name} here: it would run on {where.device}")
    print(f"{where.name} {where.version} on {where.device}\n")
    heads = (
        "preset",
        "crops",
        "first step, s",
        "all epochs, s",
        "drawing, s",
        "10¹² op/s",
        "of peak",
    )
    print(f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}", flush=True)
    for name, config, side in (("paper", PAPER, 1750), ("quick", QUICK, 512)):
        print(f"| {name} | {' | '.join(_measured(config, side, peak))} |", flush=True)


def _measured(config: Config, side: int, peak: float | None) -> list[str]:
    # The published parameters call nearly all of the sample cell; the mask is not measured here.
    config = config.replace(mask=config.mask.replace(automatic=True))
    inputs, _ = prepare(sample((side, side)), config)
    data = make_dataset(inputs, config)
    precision = fastest_precision(
        backend(), channels=config.network.channels, crop_size=config.crops.size
    )
    network = starting_network(config, data, precision=precision)
    start = time.perf_counter()
    steps = [e for e in Training(data, network, config.training).run() if isinstance(e, Step)]
    seconds = time.perf_counter() - start - steps[0].seconds
    start = time.perf_counter()
    predict_cells(network, data, inputs, config)
    drawing = time.perf_counter() - start
    n_crops = sum(step.n_crops for step in steps[1:])
    # Forwards and backwards is three times the work of forwards alone.
    gflop, _ = forward_cost(config.network, config.crops.size, data.n_channels)
    speed = 3e-3 * gflop * n_crops / seconds
    return [
        f"{len(inputs.points):,}",
        f"{steps[0].seconds:.1f}",
        f"{seconds:.1f}",
        f"{drawing:.1f}",
        f"{speed:.1f}",
        "" if peak is None else f"{speed / peak:.0%}",
    ]


if __name__ == "__main__":
    main()
