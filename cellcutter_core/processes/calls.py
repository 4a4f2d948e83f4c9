"""Calls functions in child processes, and ends a call when nobody wants its answer any more.

Some computations, such as a graph cut, hold the interpreter's lock for seconds. A server that ran
them itself would block every other visitor. While a slider moves, earlier requests become obsolete;
only a process can be ended half way through.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from cellcutter_core.processes.child import Child, ChildEnded
from cellcutter_core.processes.threads import Threads

# More children than this cost memory without saving time.
MOST_CHILDREN = 4

SLOW = 3.0
"""Seconds after which a call makes room for another one, and goes on beside it."""

LONGEST = 600.0
"""Seconds that a call may take. Then it is ended, and waiting calls get their turn."""


class Call(Future[tuple[Any, float]]):
    """A pending answer, shared by all who asked for it. Made by `Calls.ask`.

    Its result is the function's return value and the seconds that it took. It raises whatever the
    function raises, a ValueError if the child ended without an answer, for example for lack of
    memory, and a CancelledError if all who asked for it have left.
    """

    def __init__(self, key: str, calls: Calls) -> None:
        super().__init__()
        self.key, self._calls = key, calls
        self.n_askers = 0
        self.child: Child | None = None
        self.has_made_room = False

    def leave(self) -> None:
        """Give up waiting for it. When the last asker leaves, it is ended."""
        with self._calls._lock:
            self.n_askers -= 1
            if self.n_askers > 0 or self.done():
                return
            self._calls._going.pop(self.key, None)
            self.cancel()
            self.set_running_or_notify_cancel()
            if self.child is not None:
                self.child.kill()
                self.child = None


class Calls:
    """A pool of child processes, and the calls they are computing.

    Somebody's slow call does not hold up the short ones of others: it makes room for one of them
    and goes on beside it.

    Parameters
    ----------
    n_children : int, optional
        How many calls may run at once, and how many slow ones beside them; default one for each
        processor core, at most 4.
    nice : int
        How far the children's priority is below that of this process, see `Child`.
    slow : float
        Seconds after which a call is slow.
    longest : float
        Seconds after which a call is ended with a ValueError.
    """

    def __init__(
        self,
        n_children: int | None = None,
        *,
        nice: int = 0,
        slow: float = SLOW,
        longest: float = LONGEST,
    ) -> None:
        self._n = n = n_children or min(os.cpu_count() or 1, MOST_CHILDREN)
        self._nice, self._slow, self._longest = nice, slow, longest
        self._lock = threading.Lock()
        self._going: dict[str, Call] = {}
        self._idle: list[Child] = []
        self._places = threading.Semaphore(n)
        self._threads = Threads(2 * n)

    @property
    def are_many(self) -> bool:
        """Whether more calls are pending than may run at once, slow ones not counted."""
        with self._lock:
            return sum(not call.has_made_room for call in self._going.values()) > self._n

    def ask(self, key: str, function: Callable[..., Any], *args: Any) -> Call:
        """Call a function in a child, or join a pending call with the same key.

        Parameters
        ----------
        key : str
            Stands for the function and its arguments. Calls with the same key share one answer.
        function : callable
            Must be importable by its module and name.
        """
        with self._lock:
            call = self._going.get(key)
            if call is None:
                call = self._going[key] = Call(key, self)
                self._threads.submit(self._answer, call, function, args)
            call.n_askers += 1
            return call

    def _answer(self, call: Call, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Answer a call once there is a place for it."""
        self._places.acquire()
        try:
            self._let_answer(call, function, args)
        except Exception as error:
            # No process could be started, for example.
            with self._lock:
                if not call.done():
                    self._going.pop(call.key, None)
                    call.set_exception(ValueError(f"the computation could not be started: {error}"))
        finally:
            with self._lock:
                call.child = None
            if not call.has_made_room:
                self._places.release()

    def _make_room(self, call: Call) -> None:
        """Give the place of a slow call to another one."""
        with self._lock:
            if call.child is None or call.has_made_room:
                return
            call.has_made_room = True
        self._places.release()

    def _let_answer(self, call: Call, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Find a child, wait for its answer, pass it on."""
        while (child := self._child(call)) is not None:
            answer: Any = None
            error: Exception | None = None
            too_long = threading.Event()
            limit = threading.Timer(self._longest, _end, [child, too_long])
            slow = threading.Timer(self._slow, self._make_room, [call])
            for timer in (limit, slow):
                timer.daemon = True
                timer.start()
            n_before = child.n_answers
            try:
                answer = child.call(function, *args)
            except ChildEnded:
                child.close()
                if too_long.is_set():
                    error = ValueError(
                        f"the computation took more than {self._longest:g} s and was ended; "
                        "choose a smaller region, or other settings"
                    )
                elif child.n_answers and not child.has_begun:
                    continue  # The child had been idle for too long and ended; try another one.
                else:
                    error = ValueError(
                        "the computation ended without an answer, perhaps for lack of memory; "
                        "choose a smaller region"
                    )
            except Exception as raised:
                error = raised
            finally:
                limit.cancel()
                slow.cancel()
            with self._lock:
                if call.cancelled():
                    child.close()
                    return
                if too_long.is_set():
                    child.close()
                elif child.n_answers > n_before:
                    self._idle.append(child)
                self._going.pop(call.key, None)
                call.child = None
                if error is None:
                    call.set_result(answer)
                else:
                    call.set_exception(error)
            return

    def _child(self, call: Call) -> Child | None:
        """A child for a call; None where nobody wants the answer any more."""
        with self._lock:
            if call.cancelled():
                return None
            call.child = self._idle.pop() if self._idle else Child(self._nice)
            return call.child


def _end(child: Child, too_long: threading.Event) -> None:
    too_long.set()
    child.kill()
