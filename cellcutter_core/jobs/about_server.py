"""What a server is: versions, cores, memory, and what its queue and its disk hold.

Nothing here loads a framework. The device is known to `jobs.warm_process`.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cellcutter_core import __version__
from cellcutter_core.jobs.queue import Jobs
from cellcutter_core.limits import disk_used
from cellcutter_core.runs.deleted import deleted_runs
from cellcutter_core.runs.folder import DELETED, DRAFTS, UPLOADS, list_runs, runs_folder

_CGROUP = Path("/sys/fs/cgroup")
_MEMORY = Path("/proc/meminfo")


@dataclass(frozen=True)
class Load:
    """What a server has to do: jobs that run, and jobs that wait."""

    running: int
    waiting: int


@dataclass(frozen=True)
class Disk:
    """What the folder of runs holds, in bytes.

    Attributes
    ----------
    runs, uploads, deleted : int
        Run folders; files of visitors with their drafts; runs that can be brought back.
    free : int
        What is free on the file system.
    n_runs, n_deleted : int
        Numbers of runs.
    """

    runs: int
    uploads: int
    deleted: int
    free: int
    n_runs: int
    n_deleted: int

    @property
    def used(self) -> int:
        """Return what all of it takes, see `limits.Limits.disk`."""
        return self.runs + self.uploads + self.deleted


def versions() -> dict[str, str]:
    """Return the versions of the app and of what it stands on, by name."""
    found = {"cellcutter": __version__, "Python": platform.python_version()}
    backend = keras_backend()
    # A backend is called like its package.
    for title, package in (
        ("Streamlit", "streamlit"),
        ("Keras", "keras"),
        (f"Keras backend: {backend}", backend),
    ):
        try:
            found[title] = version(package)
        except PackageNotFoundError:
            found[title] = "not installed"
    return found


def keras_backend() -> str:
    """Return the backend that Keras uses when it is loaded, by the rules of Keras."""
    if chosen := os.environ.get("KERAS_BACKEND"):
        return chosen
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return str(
            json.loads((home / "keras.json").read_text("utf-8")).get("backend", "tensorflow")
        )
    return "tensorflow"


def cores() -> float:
    """Return how many cores this process may use; fewer than one in a small container."""
    if hasattr(os, "sched_getaffinity"):
        most = float(len(os.sched_getaffinity(0)))
    else:
        most = float(os.cpu_count() or 1)
    with contextlib.suppress(OSError, ValueError):
        quota, period = (_CGROUP / "cpu.max").read_text("utf-8").split()
        return min(most, int(quota) / int(period))  # "max" is no number, and no limit.
    return most


def memory() -> tuple[int, int] | None:
    """Return the bytes of memory that there are and that are available; None if not known."""
    try:
        lines = _MEMORY.read_text("utf-8").splitlines()
    except OSError:
        return None  # Not Linux.
    there = {line.partition(":")[0]: line.split() for line in lines if ":" in line}
    try:
        total, available = (1024 * int(there[name][1]) for name in ("MemTotal", "MemAvailable"))
    except (KeyError, ValueError, IndexError):
        return None
    # A container has a limit of its own.
    with contextlib.suppress(OSError, ValueError):
        most = int((_CGROUP / "memory.max").read_text("utf-8"))
        used = int((_CGROUP / "memory.current").read_text("utf-8"))
        total, available = min(total, most), min(available, max(most - used, 0))
    return total, available


def load(*queues: Jobs) -> Load:
    """Count the jobs of queues, and the runs that go on although their server has ended."""
    running: set[str] = set()
    waiting: set[str] = set()
    for job in (job for queue in queues for job in queue.ahead()):
        # One that has just ended stays in the queue until its process is gone.
        there = {"running": running, "queued": waiting}.get(job.progress.status, set())
        there.add(str(job.path.absolute()))
    runs, _ = list_runs()
    running |= {str(runs_folder() / run.id) for run in runs if run.status == "running"}
    return Load(len(running), len(waiting - running))


def disk() -> Disk:
    """Measure the folder of runs. It looks at every file, so its answer is worth keeping."""
    folder = runs_folder()
    uploads = sum(disk_used(folder / name) for name in (UPLOADS, DRAFTS))
    deleted = disk_used(folder / DELETED)
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return Disk(
        runs=max(disk_used(folder) - uploads - deleted, 0),
        uploads=uploads,
        deleted=deleted,
        free=shutil.disk_usage(there).free,
        n_runs=len(list_runs()[0]),
        n_deleted=len(deleted_runs()),
    )
