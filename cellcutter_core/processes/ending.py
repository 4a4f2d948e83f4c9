"""A child process that works long, and how it is asked to end."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def asked_to_end() -> Iterator[Callable[[], bool]]:
    """Let a signal to end be obeyed after the present step.

    Yields
    ------
    callable
        Whether a signal has come. A second one is obeyed at once.
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
    """Whoever watches the work, in a browser served from the same machine, comes first."""
    if hasattr(os, "nice"):
        os.nice(5)
