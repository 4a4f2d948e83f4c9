"""A sweep on two hosts: network namespaces with a cable between them, and names of their own.

They share the folder of the test. It needs root, as in a container with all its capabilities; it is
skipped where namespaces are forbidden. Whatever it makes is removed.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import dask_processes
import pytest
from patience import LONGEST, until
from pretended import PRELOAD, allow, epochs, starts, status

from cellcutter_core.processes.ending import process_exists
from cellcutter_core.runs.lock import FORGOTTEN_AFTER
from cellcutter_core.runs.store import Run
from cellcutter_core.sweeps.sweep import Sweep

PORT = 8786


class Host:
    """A network namespace with an address, a host name, and the processes that run there."""

    def __init__(self, number: int) -> None:
        mine = f"{os.getpid()}-{number}"
        self.namespace, self.cable = f"cells-{mine}", f"cable-{mine}"
        self.name, self.address = f"host-{number}", f"10.77.77.{number}"
        # The command replaces itself at each step, so that its process is that of what it starts.
        named = f'echo {self.name} > /proc/sys/kernel/hostname && exec "$@"'
        own_name = ("unshare", "--uts", "sh", "-c", named, "sh")
        self.before = ("ip", "netns", "exec", self.namespace, *own_name)

    def network(self, *command: str) -> None:
        _network("-netns", self.namespace, *command)


def _network(*command: str) -> None:
    subprocess.run(["ip", *command], check=True, capture_output=True, timeout=LONGEST)


def _remove_left_over() -> None:
    """Remove the namespaces of tests that were killed."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    for namespace, pid in re.findall(r"(cells-(\d+)-\d)", listed.stdout):
        if not process_exists(int(pid)):
            _network("netns", "delete", namespace)


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[Host, Host]]:
    one, two = Host(1), Host(2)
    with ExitStack() as after:
        try:
            _remove_left_over()
            for host in (one, two):
                _network("netns", "add", host.namespace)
                after.callback(_network, "netns", "delete", host.namespace)
            ends = [(*("name", host.cable), *("netns", host.namespace)) for host in (one, two)]
            _network("link", "add", *ends[0], "type", "veth", "peer", *ends[1])
            for host in (one, two):
                host.network("address", "add", f"{host.address}/24", "dev", host.cable)
                for device in (host.cable, "lo"):
                    host.network("link", "set", device, "up")
                subprocess.run([*host.before, "true"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", b"") or str(error).encode()
            pytest.skip(f"network namespaces are not allowed here: {said.decode().strip()}")
        yield one, two


class Processes:
    """A scheduler on the first host, and a worker on each."""

    def __init__(self, hosts: Sequence[Host], folder: Path, after: ExitStack) -> None:
        (folder / "fake_child.py").write_text(PRELOAD)
        self._log, self._after = folder / "log.txt", after
        self.scheduler = f"tcp://{hosts[0].address}:{PORT}"
        scheduler = dask_processes.start_scheduler(
            PORT, log=self._log, host=hosts[0].address, before=hosts[0].before
        )
        after.callback(dask_processes.end, scheduler)
        self.workers = [self._worker(host, folder) for host in hosts]

    def _worker(self, host: Host, folder: Path) -> subprocess.Popen[bytes]:
        worker = dask_processes.start_worker(
            self.scheduler,
            *("--host", host.address, "--preload", "fake_child"),
            log=self._log,
            before=host.before,
            path=[folder],
        )
        self._after.callback(dask_processes.end, worker)
        return worker

    def start(self, host: Host, *command: str) -> subprocess.Popen[bytes]:
        """Start a command of this package on a host."""
        with self._log.open("ab") as log:
            started = subprocess.Popen(
                [*host.before, sys.executable, "-m", "cellcutter_core", *command],
                env={**os.environ, "PYTHONPATH": dask_processes.ROOT},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._after.callback(dask_processes.end, started)
        return started

    def have_started(self) -> bool:
        assert all(worker.poll() is None for worker in self.workers), self.log()
        return self.log().count("Registered to") == len(self.workers)

    def log(self) -> str:
        return self._log.read_text("utf-8", "replace")


@pytest.fixture
def processes(
    hosts: tuple[Host, Host], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Processes]:
    monkeypatch.setenv("CELLCUTTER_RUNS", str(tmp_path))
    with ExitStack() as after:
        after.callback(_end_children, tmp_path)
        made = Processes(hosts, tmp_path, after)
        until(made.have_started)
        yield made


def _end_children(folder: Path) -> None:
    for events in folder.rglob("events.jsonl"):
        for event in starts(Run(events.parent)):
            with suppress(ProcessLookupError):
                os.killpg(event["pid"], signal.SIGKILL)


SWEEP = (
    *("sweep", "--vary", "training.seed=0,1", "--region", "0,0,128,128", "--epochs", "3"),
    *("--set", "training.steps=1", "--set", "training.crops=4"),
    *("--set", "training.precision=float32", "--start", "nothing", "--set", "network.depth=3"),
    *("--set", "network.channels=4", "--set", "network.normalisation=none"),
)


def runs_of(folder: Path) -> list[Run]:
    if not (folder / "sweep.json").exists():
        return []
    sweep = Sweep(folder)
    paths = [sweep.path_of(member) for member in sweep.about.members]
    return [Run(path) for path in paths if (path / "run.json").exists()]


def hosts_of(run: Run) -> list[str]:
    return [event["host"] for event in starts(run)]


def test_the_runs_of_a_sweep_are_trained_on_both_hosts(
    hosts: tuple[Host, Host], processes: Processes, tmp_path: Path
) -> None:
    """With real trainings."""
    out = tmp_path / "sweep"
    out.mkdir()
    (out / "real").touch()
    sweep = processes.start(hosts[0], *SWEEP, "--out", str(out), "--scheduler", processes.scheduler)
    assert sweep.wait(LONGEST) == 0, processes.log()
    runs = runs_of(out)
    assert [status(run) for run in runs] == ["finished"] * 2
    assert [epochs(run) for run in runs] == [[0, 1, 2, 3]] * 2
    assert sorted(host for run in runs for host in hosts_of(run)) == ["host-1", "host-2"]


@pytest.mark.parametrize("freezes", [False, True])
def test_a_run_behind_a_cut_cable_is_waited_for_or_taken_over(
    hosts: tuple[Host, Host], processes: Processes, tmp_path: Path, freezes: bool
) -> None:
    """Where the host goes on, its training ends there. Where it has frozen, the other takes over.

    The trainings pretend; the hosts see the folder all the time.
    """
    out = tmp_path / "sweep"
    sweep = processes.start(hosts[0], *SWEEP, "--out", str(out), "--scheduler", processes.scheduler)
    until(lambda: sum(status(run) == "running" for run in runs_of(out)) == 2)
    runs = runs_of(out)
    [near, far] = sorted(runs, key=hosts_of)
    assert (hosts_of(near), hosts_of(far)) == (["host-1"], ["host-2"])
    allow(out, 1)
    until(lambda: epochs(near) == epochs(far) == [1])
    child = starts(far)[0]["pid"]
    hosts[1].network("link", "set", hosts[1].cable, "down")
    cut = time.monotonic()
    try:
        if freezes:
            os.kill(processes.workers[1].pid, signal.SIGSTOP)
            os.killpg(child, signal.SIGSTOP)
        until(lambda: "Removing worker" in processes.log() or "Remove worker" in processes.log())
        print(f"the scheduler gave up the worker after {time.monotonic() - cut:.0f} s")
        allow(out, 2)
        until(lambda: epochs(near) == [1, 2])
        assert epochs(far) == ([1] if freezes else [1, 2])
        if freezes:
            # As if the time had passed.
            old = time.time() - FORGOTTEN_AFTER - 1
            os.utime(far.path / "lock", (old, old))
        allow(out)
        assert sweep.wait(LONGEST) == 0, processes.log()
        assert [status(run) for run in runs] == ["finished"] * 2
        assert epochs(near) == [1, 2, 3]
        assert epochs(far) == [1, 2, 3]
        assert hosts_of(far) == ["host-2", *(["host-1"] if freezes else [])]
        if freezes:
            # The frozen one has lost the lock, and writes nothing more.
            before = far.events()
            os.killpg(child, signal.SIGCONT)
            until(lambda: not process_exists(child))
            assert far.events() == before
    finally:
        hosts[1].network("link", "set", hosts[1].cable, "up")
