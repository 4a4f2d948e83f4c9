"""A child process that calls functions and returns their results.

Functions are sent by name and must be importable; arguments and results are pickled. Both ends are
this package, so only data of its own is ever unpickled.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cellcutter_core.processes.ending import lower_priority

# A child that has been idle for this many seconds ends and frees its memory.
IDLE = 120.0
# What it writes when it has got a call, before the answer.
_BEGUN = b"!"


def environment() -> dict[str, str]:
    """Environment in which a child finds this package, which may not be installed."""
    home = str(Path(__file__).parents[2])
    paths = [home, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def module_command(name: str) -> list[str]:
    """The command that runs a module. It prints a traceback if the interpreter itself crashes."""
    return [sys.executable, "-X", "faulthandler", "-m", name]


def end(process: subprocess.Popen[Any]) -> int:
    """End a process at once if it still runs, close the pipes to it, and return its exit code."""
    process.kill()
    code = process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    return code


class ChildEnded(EOFError):
    """Raised if a child process has ended before it answered."""


class Child:
    """One child process, started at once.

    Parameters
    ----------
    nice : int
        How far its priority is below that of this process; 0 to 19.

    Attributes
    ----------
    n_answers : int
        How many calls it has answered.
    has_begun : bool
        Whether it got the last call, so that it did not end before.
    """

    def __init__(self, nice: int = 0) -> None:
        self.n_answers, self.has_begun = 0, False
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cellcutter_core.processes.child", str(nice)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
        )

    def call(self, function: Callable[..., Any], *args: Any) -> tuple[Any, float]:
        """Call a function; return its result and the seconds it took.

        Raises
        ------
        ChildEnded
            If the child has ended.
        Exception
            Whatever the function raises.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.has_begun = False
        try:
            pickle.dump((function, args), self._process.stdin, pickle.HIGHEST_PROTOCOL)
            self._process.stdin.flush()
            self.has_begun = self._process.stdout.read(1) == _BEGUN
            answer, seconds = pickle.load(self._process.stdout)
        except (BrokenPipeError, EOFError, pickle.UnpicklingError) as error:
            raise ChildEnded("the child process has ended") from error
        self.n_answers += 1
        if isinstance(answer, BaseException):
            raise answer
        return answer, seconds

    def kill(self) -> None:
        """End it at once, whatever it does. A `call` that waits for it raises a `ChildEnded`."""
        self._process.kill()

    def close(self) -> None:
        """End it and close its pipes. Must not be used while a `call` waits for it."""
        end(self._process)


def _serve(nice: int = 0) -> None:
    """Answer calls until the parent ends or has been silent for `IDLE` seconds."""
    lower_priority(nice)
    # Ctrl-C in the terminal is meant for the parent.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    questions, answers = os.fdopen(0, "rb"), os.fdopen(os.dup(1), "wb")
    # Output printed by a library must not mix with the answers.
    os.dup2(2, 1)
    while True:
        idle = threading.Timer(IDLE, os._exit, [0])
        idle.daemon = True
        idle.start()
        try:
            function, args = pickle.load(questions)
        except EOFError:
            return
        idle.cancel()
        with contextlib.suppress(BrokenPipeError):
            answers.write(_BEGUN)
            answers.flush()
        start = time.perf_counter()
        try:
            answer = function(*args)
        except Exception as error:
            answer = error
        with contextlib.suppress(BrokenPipeError):
            pickle.dump((answer, time.perf_counter() - start), answers, pickle.HIGHEST_PROTOCOL)
            answers.flush()
        del function, args, answer


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
