"""One process at a time works on a run; whether it still lives can be seen from anywhere.

The lock is a file that only one process can make. It names the process and its machine, and while
the process lives its time is renewed: so a lock that nobody holds any more is told from one that
is held, on this machine at once (the process is gone), and on another one, in a container that was
started anew or after a restart of the machine by its age.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# How often the lock is renewed, and the age from which on nobody holds it, in seconds. The
# difference is what a network file system may need to show a change to other machines.
RENEWED_EVERY = 5.0
FORGOTTEN_AFTER = 180.0
# So many seconds a process tries to get a lock that can neither be read nor taken out of the way.
LONGEST_TRIED = 200.0


class Holder(NamedTuple):
    """Who made a lock: number of the process, name of its machine."""

    pid: int | None
    host: str | None


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Nobody else works on the run in `folder` meanwhile.

    Raises
    ------
    ValueError
        If somebody does, or the folder cannot be written.
    """
    file = folder / "lock"
    mine = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "id": uuid.uuid4().hex})
    _take(file, mine)
    over = threading.Event()
    threading.Thread(target=_renew, args=(file, over), daemon=True).start()
    try:
        yield
    finally:
        over.set()
        if _content(file) == mine:
            file.unlink(missing_ok=True)


def holder(folder: Path) -> Holder | None:
    """Who works on the run in `folder` now, None where nobody does."""
    content = _content(folder / "lock")
    if content is None:
        return None
    found = _named(content)
    return found if alive(folder, found.pid, found.host) else None


def alive(folder: Path, pid: int | None, host: str | None) -> bool:
    """Whether that process, which worked on the run in `folder`, may still do so.

    Where nothing can be said (another machine, no lock to tell its age) it is believed to.
    """
    if pid is not None and host == socket.gethostname() and not process_exists(pid):
        return False
    try:
        age = time.time() - (folder / "lock").stat().st_mtime
    except OSError:
        return True
    # The number of a process is given to another one some day; its lock is not renewed then.
    return age < FORGOTTEN_AFTER


def process_exists(pid: int) -> bool:
    """Whether there is a process of that number on this machine."""
    if sys.platform == "win32":
        return True  # There, asking in the way below would end it. The lock's age has to do.
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _take(file: Path, mine: str) -> None:
    end = time.monotonic() + LONGEST_TRIED
    try:
        while not _made(file, mine):
            if time.monotonic() > end:
                raise ValueError(
                    f"cannot read {file}, which says who works on this run; remove it if nobody "
                    "does, or choose another folder"
                )
            content = _content(file)
            if content is None:
                time.sleep(0.01)
                continue  # Given back this moment.
            by = _named(content)
            if alive(file.parent, by.pid, by.host):
                raise ValueError(_refusal(file.parent, by))
            _remove(file, content)
    except OSError as error:
        raise ValueError(
            f"cannot write {file.parent}: {error.strerror}; choose another folder"
        ) from error


def _made(file: Path, content: str) -> bool:
    """Make a file that is not there yet; False where it is."""
    try:
        handle = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(content)
    return True


def _refusal(folder: Path, by: Holder) -> str:
    who = "another process" if by.pid is None else f"process {by.pid} on {by.host}"
    return f"{who} is working on the run in {folder}; wait until it is done, or stop it first"


def _remove(file: Path, content: str) -> None:
    """Take a lock that nobody holds out of the way, unless it is another one by now."""
    # Of several that find it at once one alone may: the others would remove the new lock.
    turn = file.with_name(".lock-turn")
    if not _made(turn, ""):
        time.sleep(0.01)
        with contextlib.suppress(FileNotFoundError):
            if time.time() - turn.stat().st_mtime > FORGOTTEN_AFTER:
                turn.unlink()
        return
    try:
        if _content(file) == content:
            file.unlink(missing_ok=True)
    finally:
        turn.unlink(missing_ok=True)


def _renew(file: Path, over: threading.Event) -> None:
    while not over.wait(RENEWED_EVERY):
        with contextlib.suppress(OSError):
            os.utime(file)


def _content(file: Path) -> str | None:
    try:
        return file.read_text("utf-8", "replace")
    except OSError:
        return None


def _named(content: str) -> Holder:
    try:
        made = json.loads(content)
        return Holder(int(made["pid"]), str(made["host"]))
    except (ValueError, KeyError, TypeError):
        # Made this moment and not written yet, or torn; its age says which.
        return Holder(None, None)
