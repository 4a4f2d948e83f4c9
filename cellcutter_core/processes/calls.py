"""Functions called in child processes, for as long as somebody wants the answer.

Some computations take seconds and hold the interpreter's lock all the while, as a graph cut does:
a server that made them itself would stand still for every other visitor. And what a slider asked
for while it moved is not wanted any more when it stops; only a process can be ended half way.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from cellcutter_core.processes.child import Child
from cellcutter_core.processes.threads import Threads

# More children than this would need memory rather than gain time.
MOST_CHILDREN = 4

LONGEST = 600.0
"""So many seconds a call may be computed; then it is ended, and the next ones get their turn."""


class Call:
    """An answer that is on its way, for all who asked for the same. Made by `Calls.ask`."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.n_askers = 0
        self.child: Child | None = None
        self.future: Future[tuple[Any, float]] = Future()

    def result(self, timeout: float | None = None) -> tuple[Any, float]:
        """What the function returns, and the seconds that it took.

        Raises
        ------
        TimeoutError
            If it is not there after `timeout` seconds.
        concurrent.futures.CancelledError
            If all who asked for it have left.
        ValueError
            If the child came to an end, as where memory does not suffice.
        Exception
            What the function raises.
        """
        return self.future.result(timeout)


class Calls:
    """Children that wait to be asked, and what they were asked.

    Parameters
    ----------
    n_children : int, optional
        How many calls may be computed at once; default one for each processor core, at most 4.
    longest : float
        Seconds after which a call is ended with a ValueError.
    """

    def __init__(self, n_children: int | None = None, *, longest: float = LONGEST) -> None:
        self._longest = longest
        self._lock = threading.Lock()
        self._going: dict[str, Call] = {}
        self._idle: list[Child] = []
        self._threads = Threads(n_children or min(os.cpu_count() or 1, MOST_CHILDREN))

    def ask(self, key: str, function: Callable[..., Any], *args: Any) -> Call:
        """Call a function in a child, or join those who have asked for the same already.

        Parameters
        ----------
        key : str
            Names function and arguments: who asks with the same key gets the same answer.
        function : callable
            To be found by its module and name.
        """
        with self._lock:
            call = self._going.get(key)
            if call is None:
                call = self._going[key] = Call(key)
                self._threads.submit(self._answer, call, function, args)
            call.n_askers += 1
            return call

    def leave(self, call: Call) -> None:
        """Say that one who asked does not want the answer any more; after the last it is ended."""
        with self._lock:
            call.n_askers -= 1
            if call.n_askers > 0 or call.future.done():
                return
            self._going.pop(call.key, None)
            call.future.cancel()
            call.future.set_running_or_notify_cancel()
            if call.child is not None:
                call.child.kill()
                call.child = None

    def _answer(self, call: Call, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Find a child, wait for what it says, pass it on."""
        while (child := self._child(call)) is not None:
            answer: Any = None
            error: Exception | None = None
            too_long = threading.Event()
            limit = threading.Timer(self._longest, _end, [child, too_long])
            limit.daemon = True
            limit.start()
            n_before = child.n_answers
            try:
                answer = child.call(function, *args)
            except EOFError:
                child.close()
                if too_long.is_set():
                    error = ValueError(
                        f"the computation took more than {self._longest:g} s and was ended; "
                        "choose a smaller region, or other settings"
                    )
                elif child.n_answers:
                    continue  # It had waited for so long that it left.
                else:
                    error = ValueError(
                        "the computation ended without an answer, perhaps for want of memory; "
                        "choose a smaller region"
                    )
            except Exception as raised:
                error = raised
            finally:
                limit.cancel()
            with self._lock:
                if call.future.cancelled():
                    child.close()
                    return
                if too_long.is_set():
                    child.close()
                elif child.n_answers > n_before:
                    self._idle.append(child)
                self._going.pop(call.key, None)
                call.child = None
                if error is None:
                    call.future.set_result(answer)
                else:
                    call.future.set_exception(error)
            return

    def _child(self, call: Call) -> Child | None:
        """A child for a call; None where nobody wants the answer any more."""
        with self._lock:
            if call.future.cancelled():
                return None
            call.child = self._idle.pop() if self._idle else Child()
            return call.child


def _end(child: Child, too_long: threading.Event) -> None:
    too_long.set()
    child.kill()
