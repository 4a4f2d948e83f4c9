"""Tasks of an executor: a few at a time, in order, in child processes, while they are wanted."""

from __future__ import annotations

import os
import socket
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Executor, Future, wait
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from cellcutter_core.processes.calls import Calls

K = TypeVar("K")

AHEAD = 2
"""Tasks in flight for each that the workers can run at once, so that no worker waits for one."""

LONGEST = 3600.0
"""Seconds that a task may take. Then it is ended, with an error."""

LOOK_EVERY = 0.5
"""Seconds after which a waiting process looks whether the answer is still wanted."""


def n_in_flight(executor: Executor) -> int:
    """Return how many tasks of `in_order` are in flight at most.

    The attribute `n_workers` of an executor says how many it runs at once; without, it is one.
    """
    return AHEAD * int(getattr(executor, "n_workers", 1))


def in_order(
    executor: Executor,
    tasks: Iterable[tuple[K, tuple[Any, ...] | None]],
    *,
    waiting: Callable[[], None] = lambda: None,
) -> Iterator[tuple[K, Future[Any]]]:
    """Execute tasks, and yield each in order when it has ended.

    Parameters
    ----------
    executor : Executor
    tasks : iterable
        A key, and function and arguments for `call_while_wanted`, or None if there is nothing to do
        but to keep the order. Only a few are taken ahead.
    waiting : callable
        Called from time to time while a task is waited for. An error that it raises ends all.

    Yields
    ------
    key : object
    future : Future
        It has ended, see `answer_of`.
    """
    going: deque[tuple[K, Future[Any]]] = deque()

    def ended() -> tuple[K, Future[Any]]:
        while not wait([going[0][1]], LOOK_EVERY).done:
            waiting()
        return going.popleft()

    try:
        for key, task in tasks:
            going.append((key, _submitted(executor, task)))
            while len(going) >= n_in_flight(executor):
                yield ended()
        while going:
            yield ended()
    finally:
        for _, future in going:
            future.cancel()


def _submitted(executor: Executor, task: tuple[Any, ...] | None) -> Future[Any]:
    future: Future[Any] = Future()
    if task is None:
        future.set_result(None)
        return future
    try:
        return executor.submit(call_while_wanted, *task)
    except RuntimeError as error:
        future.set_exception(error)
    return future


def answer_of(future: Future[Any]) -> Any:
    """Return the answer of a task that has ended.

    Raises
    ------
    ValueError
        If it failed, or was lost.
    """
    try:
        return future.result(0)
    except CancelledError as error:
        raise ValueError(
            "the connection to the scheduler was lost; start it and its workers again, then this"
        ) from error
    # Of every kind, because executors raise their own.
    except Exception as error:
        raise ValueError(" ".join(str(error).split())) from error


def call_while_wanted(folder: str, function: Callable[..., Any], *args: Any) -> Any:
    """Call a function in a child process, and end it if a folder disappears.

    It is meant as the task of an executor whose workers may be on other machines: they start no
    framework themselves, and a computation that keeps all threads of its process from working does
    not make them seem dead. Children are kept for the next call for a while.

    Parameters
    ----------
    folder : str
        Whoever wants the answer removes it to say that it is not wanted any more.
    function : callable
        Must be importable by its module and name.

    Returns
    -------
    object
        What the function returns.

    Raises
    ------
    ValueError
        Whatever is wrong; the message says on which machine.
    """
    here = f"as {socket.gethostname()} sees it"
    if not Path(folder).is_dir():
        raise ValueError(
            f"{folder} is not there, {here}; the results must lie in a folder that all workers see"
        )
    call = _calls().ask(uuid.uuid4().hex, _call, function, *args)
    while not wait([call], LOOK_EVERY).done:
        if not Path(folder).is_dir():
            call.leave()
    try:
        return call.result()[0]
    except ValueError as error:
        raise ValueError(f"{error}, {here}") from None
    # Of every kind, because frameworks raise many, and not each can be sent to another process.
    except Exception as error:
        raise ValueError(f"{type(error).__name__}: {error}, {here}") from None


def _call(function: Callable[..., Any], *args: Any) -> Any:
    # A child that waits would hold all memory of a GPU, which a training may need.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    return function(*args)


@lru_cache(maxsize=1)
def _calls() -> Calls:
    return Calls(os.cpu_count(), longest=LONGEST)
