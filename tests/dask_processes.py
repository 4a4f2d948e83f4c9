"""The processes of a Dask cluster on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

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


def start_scheduler(port: int, *, log: Path) -> subprocess.Popen[bytes]:
    """Start a scheduler that listens on this machine only."""
    arguments = ("--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
    return start("scheduler", *arguments, log=log)


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
