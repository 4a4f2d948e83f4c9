"""A pool of threads that ends with the interpreter."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any


class Threads(Executor):
    """A pool of threads that does not hold up the interpreter's exit.

    When the server is ended, `ThreadPoolExecutor` would wait for the running task and for all
    queued ones.

    Parameters
    ----------
    n_workers : int
        How many tasks may run at once.
    """

    def __init__(self, n_workers: int) -> None:
        self.n_workers = n_workers
        self._tasks: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        for _ in range(n_workers):
            threading.Thread(target=self._work, daemon=True).start()

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Put a task at the end of the queue."""
        future: Future[Any] = Future()
        self._tasks.put((future, lambda: function(*args, **kwargs)))
        return future

    def _work(self) -> None:
        while True:
            future, task = self._tasks.get()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(task())
                except BaseException as error:
                    future.set_exception(error)
            # An idle thread must not keep the result of its last task in memory.
            del future, task
