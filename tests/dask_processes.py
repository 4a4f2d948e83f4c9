"""The processes of a Dask cluster on this machine, for tests and benchmarks."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from patience import until

from cellcutter_core.jobs.executors import Cluster

ROOT = str(Path(__file__).parents[1])


def start(
    *arguments: str, log: Path, before: Sequence[str] = (), path: Sequence[Path] = ()
) -> subprocess.Popen[bytes]:
    """Start ``dask ...``; `before` stands before the command, `path` are folders to import from."""
    paths = os.pathsep.join([ROOT, *map(str, path)])
    with log.open("ab") as out:
        return subprocess.Popen(
            [*before, sys.executable, "-m", "dask", *arguments],
            env={**os.environ, "PYTHONPATH": paths},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )


def start_scheduler(
    port: int, *, log: Path, host: str = "127.0.0.1", before: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """Start a scheduler, usually one that listens on this machine only."""
    arguments = ("--host", host, "--port", str(port), "--no-dashboard")
    return start("scheduler", *arguments, log=log, before=before)


def start_worker(
    address: str,
    *more: str,
    log: Path,
    before: Sequence[str] = (),
    path: Sequence[Path] = (),
) -> subprocess.Popen[bytes]:
    """Start a worker that does one task at a time."""
    own = ("--no-nanny", "--nthreads", "1", "--no-dashboard", "--local-directory", str(log.parent))
    return start("worker", address, *own, *more, log=log, before=before, path=path)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process at once."""
    process.kill()
    process.wait()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


class Processes:
    """A scheduler and its workers.

    Parameters
    ----------
    folder : Path
        For their logs. Workers can import what is in it.
    preload : str
        A module in it that every worker loads.
    """

    def __init__(self, folder: Path, preload: str) -> None:
        self.folder, self._preload = folder, preload
        self.workers: list[subprocess.Popen[bytes]] = []
        self.port = free_port()
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.start_scheduler()

    def start_scheduler(self) -> None:
        self.scheduler = start_scheduler(self.port, log=self.folder / "scheduler.log")
        until(self.listens)

    def listens(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def start_worker(self, *more: str) -> subprocess.Popen[bytes]:
        worker = start_worker(
            self.address,
            "--preload",
            self._preload,
            *more,
            log=self.folder / "workers.log",
            path=[self.folder],
        )
        self.workers.append(worker)
        return worker

    def kill(self, pid: int) -> None:
        """Kill a worker; the others stay."""
        [worker] = [one for one in self.workers if one.pid == pid]
        self.workers.remove(worker)
        end(worker)

    def close(self) -> None:
        for one in (*self.workers, self.scheduler):
            end(one)


@contextmanager
def live_workers(processes: Processes, n: int) -> Iterator[Cluster]:
    """Give an executor with so many live workers; missing ones are started, others killed."""
    executor = Cluster(processes.address)
    while len(processes.workers) < n:
        processes.start_worker()
    while len(processes.workers) > n:
        processes.kill(processes.workers[-1].pid)
    until(lambda: n_workers(executor) == n)
    try:
        yield executor
    finally:
        executor.close()


def n_workers(executor: Cluster) -> int:
    executor.connect()
    return executor.n_workers
