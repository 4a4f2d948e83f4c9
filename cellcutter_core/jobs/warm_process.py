"""A process that has loaded the framework. It reports the device and does the next training.

Loading takes seconds and hundreds of megabytes. The server must not spend them itself, and the user
who starts a training should not wait for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from cellcutter_core.processes.child import end, environment, module_command

# If it is not needed for this many seconds, it ends and frees its memory.
IDLE = 600.0
# Seconds after a training before the next process is loaded, so that pages are drawn first.
PAUSE = 2.0
# Limit in seconds; loading a framework from a slow disk takes less.
PATIENCE = 120.0
# Prefixes of its messages, because libraries may print other lines.
DEVICE = "device: "
TAKEN = "taken"


class Spare:
    """A warm process, one at a time.

    Attributes
    ----------
    problem : str or None
        Why the device cannot be found out, in one line; None if there is no problem.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._first: _Loading | None = None
        self._loading: _Loading | None = None
        self._in_use = False

    def start(self, *, after: float = 0.0) -> None:
        """Load a process, after some seconds or when it is needed. It returns at once.

        While the last one trains, no other is loaded: that would take memory and time from it.
        """
        with self._lock:
            if not self._in_use and (self._loading is None or self._loading.has_ended):
                if self._loading is not None:
                    self._loading.end()
                self._loading = _Loading(after)
                if self._first is None or self._first.problem is not None:
                    self._first = self._loading

    def done(self) -> None:
        """Tell that the process that was taken has ended; the next training gets a new one."""
        with self._lock:
            was_in_use, self._in_use = self._in_use, False
        if was_in_use:
            self.start(after=PAUSE)

    def known(self) -> str | None:
        """Return the device, such as "CPU (x86_64, 2 cores)", or None until it is known.

        It returns at once. The first call starts finding out; an answer then stays the same.
        """
        if self._first is None:
            self.start()
        assert self._first is not None
        self._first.wanted.set()
        return self._first.words

    @property
    def problem(self) -> str | None:
        return None if self._first is None else self._first.problem

    def take(self, path: str, log: Path) -> subprocess.Popen[str] | None:
        """Let the process work on a job, like the command of `job_task.child_command`.

        Parameters
        ----------
        path : str
            The folder of the job.
        log : Path
            The file to which everything that it prints is appended.

        Returns
        -------
        subprocess.Popen or None
            None if there is no process, or it did not answer.
        """
        with self._lock:
            loading, self._loading = self._loading, None
            self._in_use |= loading is not None
        return None if loading is None else loading.hand_over([path, str(log)])

    def close(self) -> None:
        """End the waiting process, if there is one."""
        with self._lock:
            loading, self._loading = self._loading, None
        if loading is not None:
            loading.end()


class _Loading:
    """A process from its start until it is handed over."""

    def __init__(self, after: float) -> None:
        self.words: str | None = None
        self.problem: str | None = None
        self.wanted = threading.Event()
        self._after = after
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._load, daemon=True)
        self._thread.start()

    @property
    def has_ended(self) -> bool:
        """Return whether the process has ended; False after a failure, which is not repeated."""
        return self.problem is None and (
            self._process is not None and self._process.poll() is not None
        )

    def _load(self) -> None:
        self.wanted.wait(self._after)
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
            try:
                self._process = process = subprocess.Popen(
                    spare_command(),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    encoding="utf-8",
                    errors="replace",
                    env=environment(),
                    # Like every process that trains: it outlives the server, in its own group.
                    start_new_session=True,
                )
            except OSError as error:
                self.problem = f"the device could not be found out: {error}"
                return
            limit = threading.Timer(PATIENCE, process.kill)
            limit.daemon = True
            end = time.monotonic() + PATIENCE
            limit.start()
            self.words = _said(process, DEVICE)
            limit.cancel()
            if self.words is None:
                code = _end(process)
                errors.seek(0)
                lines = [line.strip() for line in errors if line.strip()]
                reason = lines[-1] if lines else f"exit code {code}"
                if time.monotonic() > end:
                    reason = (
                        f"loading took more than {PATIENCE:g} s; the machine is busy, trainings "
                        "start all the same"
                    )
                self.problem = f"the device could not be found out: {reason[:300]}"

    def hand_over(self, work: list[str]) -> subprocess.Popen[str] | None:
        """Give the process its work and return it; None if it has ended."""
        self.wanted.set()
        self._thread.join()
        process = self._process
        if process is None or self.words is None:
            return None
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError):
            process.stdin.write(json.dumps(work) + "\n")
            process.stdin.close()
            # It may have ended just now, because it was not needed.
            if _said(process, TAKEN) is not None:
                process.stdout.close()
                return process
        _end(process)
        return None

    def end(self) -> None:
        self.wanted.set()
        self._thread.join()
        if self._process is not None:
            _end(self._process)


def _end(process: subprocess.Popen[str]) -> int:
    """End a process and return its exit code. One that has closed its output gets time to end."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(0.5)
    return end(process)


def _said(process: subprocess.Popen[str], beginning: str) -> str | None:
    """Return the rest of the next line with this prefix, or None."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(beginning):
            return line.removeprefix(beginning).strip()
    return None


def spare_command() -> list[str]:
    """Return the command of the process."""
    return [*module_command("cellcutter_core.jobs.worker"), "--wait"]


def wait_for_work(load: Callable[[], str]) -> list[str] | None:
    """In the process: load everything, report the device, and wait for a job.

    Parameters
    ----------
    load : callable
        Loads everything that a training needs and returns the name of the device.

    Returns
    -------
    list of str or None
        The folder of the job; from then on everything printed goes to its log. None if the
        server has ended.
    """
    print(f"{DEVICE}{load()}", flush=True)
    idle = threading.Timer(IDLE, os._exit, [0])
    idle.daemon = True
    idle.start()
    line = sys.stdin.readline()
    idle.cancel()
    if not line:
        return None
    path, log = json.loads(line)
    print(TAKEN, flush=True)
    with Path(log).open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    return [path]


SPARE = Spare()
"""The warm process of this server."""
