"""Runs per hour on one and on two workers of a Dask cluster, and what a task costs beside its work.

    python tests/bench/cluster.py [--runs N] [--epochs N] [--side PIXELS] [--rounds N]

Each worker is pinned to one core (`taskset`), so that two have twice the processor of one; the
machine needs two idle cores. The runs are a sweep over seeds on a part of the built-in sample, with
the `quick` preset. One and two workers take turns. A task that does nothing may take 0.1 s.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS)]

import dask_processes  # noqa: E402

from cellcutter_core.config import QUICK  # noqa: E402
from cellcutter_core.images.regions import cut_out  # noqa: E402
from cellcutter_core.jobs.executors import Cluster  # noqa: E402
from cellcutter_core.jobs.queue import Jobs  # noqa: E402
from cellcutter_core.processes.ending import asked_to_end  # noqa: E402
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
    parser.add_argument("--runs", type=int, default=6, help="runs of a sweep; even (default 6)")
    parser.add_argument("--epochs", type=int, default=QUICK.training.epochs)
    parser.add_argument("--side", type=int, default=512, help="of the part of the sample")
    parser.add_argument("--rounds", type=int, default=1)
    chosen = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        parser.error("it needs two cores")
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    per_hour: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(chosen.rounds):
            for n in per_hour:
                place = Path(folder, f"{number}-{n}")
                place.mkdir()
                with _cluster(cores[:n], place) as cluster:
                    if n == 1 and number == 0:
                        task = _seconds_of_a_task(cluster)
                        print(
                            f"a task that does nothing: {task:.3f} s, {task / BAR:.2f} of the bar"
                        )
                    seconds = _seconds_of_a_sweep(cluster, place, chosen)
                per_hour[n].append(3600 * chosen.runs / seconds)
                print(f"{n} worker(s): {per_hour[n][-1]:.0f} runs per hour", flush=True)
    ratios = [two / one for one, two in zip(per_hour[1], per_hour[2], strict=True)]
    print(f"two workers over one: {statistics.median(ratios):.2f} (of 2)")
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


def _seconds_of_a_sweep(cluster: Cluster, folder: Path, chosen: argparse.Namespace) -> float:
    """Train the runs, and return the time from the first in the queue to the end of the last."""
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
    return seconds


if __name__ == "__main__":
    sys.exit(main())
