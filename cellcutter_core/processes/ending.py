"""A child process that works long, and how it is asked to end."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable


def asked_to_end() -> Callable[[], bool]:
    """Let a signal to end be obeyed after the present step.

    Returns
    -------
    callable
        Whether a signal has come. A second one is obeyed at once.
    """
    asked = False

    def ask(number: int, _: object) -> None:
        nonlocal asked
        asked = True
        signal.signal(number, signal.SIG_DFL)

    for name in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(ValueError):
            signal.signal(name, ask)
    return lambda: asked


def come_last() -> None:
    """Whoever watches the work, in a browser served from the same machine, comes first."""
    if hasattr(os, "nice"):
        os.nice(5)
