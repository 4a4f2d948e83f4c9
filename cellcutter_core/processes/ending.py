"""For long-running child processes: a polite request to end, and a low priority."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def asked_to_end() -> Iterator[Callable[[], bool]]:
    """Catch SIGTERM and SIGINT, so that the process can end after its present step.

    Yields
    ------
    callable
        Says whether a signal has come. A second signal ends the process at once.
    """
    asked, before = False, {}

    def ask(number: int, _: object) -> None:
        nonlocal asked
        asked = True
        signal.signal(number, signal.SIG_DFL)

    for name in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(ValueError):
            before[name] = signal.signal(name, ask)
    try:
        yield lambda: asked
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def come_last() -> None:
    """Lower the priority of this process, so that a browser on the machine stays responsive."""
    if hasattr(os, "nice"):
        os.nice(5)
