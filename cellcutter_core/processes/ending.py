"""For long-running processes: a polite request to end, a low priority, whether one exists."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

_AUTOGROUP = Path("/proc/self/autogroup")


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


def lower_priority(by: int) -> None:
    """Lower the priority of this process, so that others stay responsive; `by` is 0 to 19.

    Where Linux shares the processor between sessions (its autogroup), `nice` counts only within a
    session. So a process that leads a session lowers the priority of the session as well.
    """
    if not hasattr(os, "nice"):
        return
    os.nice(by)
    if os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError):
            _AUTOGROUP.write_text(f"{by}\n", "utf-8")


def process_exists(pid: int) -> bool:
    """Return whether a process with that id exists on this machine and has not ended."""
    if sys.platform == "win32":
        return True  # On Windows the check below would end it; the age of what it left must do.
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _has_ended(pid)


def process_start(pid: int) -> str | None:
    """Return when a process started, which tells it from a later one with the same id.

    Returns
    -------
    str or None
        Clock ticks from the start of the machine. None if that is not known: only Linux says it.
    """
    about = _stat(pid)
    return about[19] if len(about) > 19 else None


def _has_ended(pid: int) -> bool:
    """Return whether a process has ended and nobody has asked how, as in a container without init.

    Only Linux says so; elsewhere the answer is False.
    """
    return _stat(pid)[:1] in (["Z"], ["X"])


def _stat(pid: int) -> list[str]:
    """Return what Linux says of a process: its state, and further fields; else nothing."""
    try:
        about = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return []
    # The state stands after the name, which is in brackets and may contain brackets.
    return about.rpartition(")")[2].split()
