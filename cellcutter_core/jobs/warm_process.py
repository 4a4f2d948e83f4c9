"""A process that has loaded the framework: it says what trainings run on, and does the next one.

To load it takes seconds and hundreds of megabytes, which a server shall not spend itself, and a
person who starts a training need not wait for.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from cellcutter_core.processes.child import end, environment, module_command

# Nobody needed it for so many seconds: it ends, and gives its memory back.
IDLE = 600.0
# Seconds after a training in which its pages are drawn first.
PAUSE = 2.0
# Longer than it takes to load a framework from a slow disk.
PATIENCE = 120.0
# What it says begins with these, for libraries may print what they like.
DEVICE = "device: "
TAKEN = "taken"


class Spare:
    """One such process at a time.

    Attributes
    ----------
    problem : str or None
        Why the device will never be known, in one line; None where nothing is wrong.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._first: _Loading | None = None
        self._loading: _Loading | None = None
        self._in_use = False

    def start(self, *, after: float = 0.0) -> None:
        """Load one, in so many seconds if nobody wants it before. Never waits.

        While the last one trains there is none: that would take memory and time from it.
        """
        with self._lock:
            if not self._in_use and (self._loading is None or self._loading.has_ended):
                if self._loading is not None:
                    self._loading.end()
                self._loading = _Loading(after)
                self._first = self._first or self._loading

    def done(self) -> None:
        """The one that was taken has ended; the next training gets another one."""
        with self._lock:
            was_in_use, self._in_use = self._in_use, False
        if was_in_use:
            self.start(after=PAUSE)

    def known(self) -> str | None:
        """What trainings run on, such as "CPU (x86_64, 2 cores)"; None until it is known.

        Never waits. The first to ask has it found out, and the answer stays the same.
        """
        if self._first is None:
            self.start()
        assert self._first is not None
        self._first.wanted.set()
        return self._first.words

    @property
    def problem(self) -> str | None:
        return None if self._first is None else self._first.problem

    def take(self, path: str, epochs: str, log: Path) -> subprocess.Popen[str] | None:
        """Have it train a run, as the command of `queue.child_command` does.

        Parameters
        ----------
        path, epochs : str
            As for `queue.train_in_child`.
        log : Path
            The file to which all that it prints is added.

        Returns
        -------
        subprocess.Popen or None
            None where there is none, or it did not answer.
        """
        with self._lock:
            loading, self._loading = self._loading, None
            self._in_use |= loading is not None
        return None if loading is None else loading.hand_over([path, epochs, str(log)])

    def close(self) -> None:
        """End the one that waits, if there is one."""
        with self._lock:
            loading, self._loading = self._loading, None
        if loading is not None:
            loading.end()


class _Loading:
    """A process from its beginning until it is handed over."""

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
        """Whether the process is not there any more; a failure is not tried again and again."""
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
                    # As every process that trains: it outlives the server, all its own as one.
                    start_new_session=True,
                )
            except OSError as error:
                self.problem = f"the device could not be found out: {error}"
                return
            limit = threading.Timer(PATIENCE, process.kill)
            limit.daemon = True
            limit.start()
            self.words = _said(process, DEVICE)
            limit.cancel()
            if self.words is None:
                code = _end(process)
                errors.seek(0)
                lines = [line.strip() for line in errors if line.strip()]
                reason = lines[-1] if lines else f"exit code {code}"
                self.problem = f"the device could not be found out: {reason[:300]}"

    def hand_over(self, work: list[str]) -> subprocess.Popen[str] | None:
        """The process at its work; None where there is none any more."""
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
            # It may have ended just now, because nobody had needed it.
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
    """End it; one that has closed its output is about to, and gets the time to say its code."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(0.5)
    return end(process)


def _said(process: subprocess.Popen[str], beginning: str) -> str | None:
    """The rest of the next line that begins so; None where there is none."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(beginning):
            return line.removeprefix(beginning).strip()
    return None


def spare_command() -> list[str]:
    """The command of the process."""
    return [*module_command("cellcutter_core.jobs.worker"), "--wait"]


def wait_for_work(load: Callable[[], str]) -> list[str] | None:
    """In the process: load everything, say what it runs on, and wait for a run.

    Parameters
    ----------
    load : callable
        Loads what a training needs and returns the name of the device.

    Returns
    -------
    list of str or None
        Directory and epochs of the run, and from now on all that is printed goes to its log. None
        where the server has ended.
    """
    print(f"{DEVICE}{load()}", flush=True)
    idle = threading.Timer(IDLE, os._exit, [0])
    idle.daemon = True
    idle.start()
    line = sys.stdin.readline()
    idle.cancel()
    if not line:
        return None
    path, epochs, log = json.loads(line)
    print(TAKEN, flush=True)
    with Path(log).open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    return [path, epochs]


SPARE = Spare()
"""The one of this process."""
