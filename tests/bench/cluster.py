"""What one and two workers of a Dask cluster get done, and what a task costs beside its work.

    python tests/bench/cluster.py [--what runs|blocks] [--runs N] [--epochs N] [--side PIXELS]
        [--large PIXELS] [--block PIXELS] [--rounds N]

Each worker is pinned to one core (`taskset`), so that two have twice the processor of one; the
machine needs two idle cores. One and two workers take turns. A task that does nothing may take
0.1 s.

Runs per hour: a sweep over seeds on a part of the built-in sample, with the `quick` preset. Blocks
per second: a run on the sample is applied to a generated image of `--large` pixels a side; of each
block mask, markers and cells are found. Besides the whole time it says the processor time of this
process, which puts the blocks together, and first that of all of it without a worker.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS)]

import dask_processes  # noqa: E402
import numpy as np  # noqa: E402
import tifffile  # noqa: E402

from cellcutter_core.apply.applying import Trained  # noqa: E402
from cellcutter_core.apply.in_blocks import apply_in_blocks  # noqa: E402
from cellcutter_core.config import QUICK  # noqa: E402
from cellcutter_core.images import blocks  # noqa: E402
from cellcutter_core.images.regions import cut_out  # noqa: E402
from cellcutter_core.jobs.executors import Cluster  # noqa: E402
from cellcutter_core.jobs.queue import Jobs  # noqa: E402
from cellcutter_core.large.large_image import LargeImage  # noqa: E402
from cellcutter_core.processes.ending import asked_to_end  # noqa: E402
from cellcutter_core.runs.store import Run  # noqa: E402
from cellcutter_core.simulation.sample import sample  # noqa: E402
from cellcutter_core.sweeps.running import execute, writer  # noqa: E402
from cellcutter_core.sweeps.sweep import Sweep  # noqa: E402
from cellcutter_core.sweeps.variations import Variation  # noqa: E402

BAR = 0.1  # Seconds for a task that does nothing.
N_TASKS = 50
# Seconds until a worker is there, or a sweep counts as hung.
STARTED, HUNG = 60.0, 24 * 3600.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--what", choices=["runs", "blocks"], help="default: both")
    parser.add_argument("--runs", type=int, default=6, help="runs of a sweep; even (default 6)")
    parser.add_argument("--epochs", type=int, default=QUICK.training.epochs)
    parser.add_argument("--side", type=int, default=512, help="of the part of the sample")
    parser.add_argument("--large", type=int, default=2048, help="side of the image in blocks")
    parser.add_argument("--block", type=int, default=512, help="side of its blocks")
    parser.add_argument("--rounds", type=int, default=1)
    chosen = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        parser.error("it needs two cores")
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    rates: dict[str, list[list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        shared = Path(folder)
        measures = {"runs per hour": _runs_per_hour, "blocks per second": _blocks_per_second}
        measures = {n: m for n, m in measures.items() if chosen.what in (None, n.split()[0])}
        if _blocks_per_second in measures.values():
            _prepare(shared, chosen)
            (place := shared / "here").mkdir()
            print("without a worker:", flush=True)
            _blocks_per_second(None, place, chosen)
        for number in range(chosen.rounds):
            for n in (1, 2):
                place = shared / f"{number}-{n}"
                place.mkdir()
                with _cluster(cores[:n], place) as cluster:
                    if n == 1 and number == 0:
                        task = _seconds_of_a_task(cluster)
                        print(
                            f"a task that does nothing: {task:.3f} s, {task / BAR:.2f} of the bar"
                        )
                    for name, measure in measures.items():
                        rate = measure(cluster, place, chosen)
                        rates.setdefault(name, [[], []])[n - 1].append(rate)
                        print(f"{n} worker(s): {rate:.3g} {name}", flush=True)
    for name, (one, two) in rates.items():
        ratios = [more / less for less, more in zip(one, two, strict=True)]
        print(f"{name}, two workers over one: {statistics.median(ratios):.2f} (of 2)")
    return int(task > BAR)


@contextlib.contextmanager
def _cluster(cores: list[int], folder: Path) -> Iterator[Cluster]:
    """Start a scheduler, and a worker on each of the cores."""
    port = dask_processes.free_port()
    cluster = Cluster(f"tcp://127.0.0.1:{port}")
    started = [dask_processes.start_scheduler(port, log=folder / "scheduler.log")]
    try:
        for core in cores:
            pinned = ["taskset", "--cpu-list", str(core)]
            log = folder / f"worker-{core}.log"
            started.append(dask_processes.start_worker(cluster.address, log=log, before=pinned))
        end = time.monotonic() + STARTED
        while not _has_workers(cluster, len(cores)):
            if time.monotonic() > end:
                raise TimeoutError(f"the workers did not start; see {folder}")
            time.sleep(0.1)
        yield cluster
    finally:
        cluster.close()
        for one in started:
            dask_processes.end(one)


def _has_workers(cluster: Cluster, n: int) -> bool:
    with contextlib.suppress(ValueError):
        cluster.connect()
        return cluster.submit(os.getpid).result(STARTED) > 0 and cluster.n_workers == n
    return False


def _seconds_of_a_task(cluster: Cluster) -> float:
    times = []
    for _ in range(N_TASKS):
        begun = time.perf_counter()
        cluster.submit(os.getpid).result(STARTED)
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def _runs_per_hour(cluster: Cluster, folder: Path, chosen: argparse.Namespace) -> float:
    """Train the runs; the time is from the first in the queue to the end of the last."""
    image = cut_out(sample(), (0, 0, chosen.side, chosen.side))
    config = QUICK.replace(training=QUICK.training.replace(epochs=chosen.epochs))
    seeds = Variation.parse(f"training.seed=0..{chosen.runs - 1}")
    sweep = Sweep.create(folder / "sweep", config, [seeds], image=image.name)
    list(sweep.write_runs(writer(image)))
    begun = time.monotonic()
    with asked_to_end() as asked:
        execute(
            sweep,
            Jobs(cluster),
            ended=lambda row: None,
            stop=lambda: asked() or time.monotonic() - begun > HUNG,
        )
    seconds = time.monotonic() - begun
    if bad := [row for row in sweep.rows() if row.status != "finished"]:
        raise RuntimeError(f"{len(bad)} runs did not finish: {bad[0]}")
    return 3600 * chosen.runs / seconds


def _prepare(shared: Path, chosen: argparse.Namespace) -> None:
    """Write a large image, and a run to apply to it."""
    image = sample((chosen.large, chosen.large), seed=1)
    names = {"axes": "CYX", "Channel": {"Name": list(image.channels)}}
    pixels = np.moveaxis(image.pixels, -1, 0)
    tifffile.imwrite(shared / "large.ome.tif", pixels, ome=True, tile=(256, 256), metadata=names)
    small = ["--region", "0,0,256,256", "--epochs", "1", "--set", "training.precision=float32"]
    segment = [sys.executable, "-m", "cellcutter_core", "segment", *small]
    subprocess.run(
        [*segment, "--out", str(shared / "run")], check=True, cwd=TESTS.parent, stdout=sys.stderr
    )


def _blocks_per_second(cluster: Cluster | None, folder: Path, chosen: argparse.Namespace) -> float:
    """Apply the run to the large image, here without a cluster."""
    blocks.SIDE = chosen.block
    trained = Trained(Run(folder.parent / "run"))
    large = LargeImage.held(trained.read(folder.parent / "large.ome.tif"))
    out = folder / "out"
    out.mkdir()
    n_blocks = len(blocks.blocks_of(large.shape))
    own, begun = time.process_time(), time.monotonic()
    apply_in_blocks(trained, large, {"labels": out / "labels.tif"}, executor=cluster)
    seconds, own = time.monotonic() - begun, time.process_time() - own
    print(
        f"  {n_blocks} blocks in {seconds:.1f} s; processor time of this process {own:.1f} s, "
        f"{1e6 * own / chosen.large**2:.2f} s for each million pixels"
    )
    return n_blocks / seconds


if __name__ == "__main__":
    sys.exit(main())
