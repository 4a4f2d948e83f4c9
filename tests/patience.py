"""How long tests wait.

A test waits for what it needs to happen, not for a time: a busy machine makes it slow, never wrong.
Only what hangs is given up.
"""

import time
from collections.abc import Callable

LONGEST = 1800.0
"""Seconds after which something is taken to hang; on no machine does anything take so long."""

ANSWERED = 300.0
"""The same for a page in the browser, but for a training. A test that fails there runs again."""


def until(condition: Callable[[], object]) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + LONGEST
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
