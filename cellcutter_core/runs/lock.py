"""A lock that lets one process at a time work on a run, and shows others whether it still lives.

The lock is a file that only one process can create. It names the process and its machine, and the
process renews its modification time while it lives. A lock that nobody holds any more is recognised
on the same machine at once, because the process is gone. On another machine, or in
a container of another name, it is recognised by its age.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cellcutter_core.files import explaining
from cellcutter_core.processes.ending import process_exists, process_start

# How often the lock is renewed, and the age at which nobody holds it any more, in seconds. The
# difference is the time that a network file system may need to show a change to other machines.
RENEWED_EVERY = 5.0
FORGOTTEN_AFTER = 180.0
# How many seconds a process tries to get a lock that it can neither read nor remove.
LONGEST_TRIED = 200.0


class Holder(NamedTuple):
    """The process that made a lock: its process id and the name of its machine."""

    pid: int | None
    host: str | None


class LockLost(ValueError):
    """Raised in a process that goes on working although it does not hold the lock any more."""


class Lock:
    """A lock that this process took.

    Attributes
    ----------
    lost : bool
        Whether the lock was found to be removed or taken over. Then it stays so.
    """

    def __init__(self, file: Path) -> None:
        self.file, self.lost = file, False
        pid = os.getpid()
        names = {"pid": pid, "host": socket.gethostname(), "id": uuid.uuid4().hex}
        self.content = json.dumps({**names, "start": process_start(pid)})

    def look(self) -> None:
        """Read the file to see whether the lock is lost."""
        # A file system that does not answer for a moment says nothing about the lock.
        with contextlib.suppress(OSError):
            there = self.file.exists()
            self.lost |= not there or self.file.read_text("utf-8", "replace") != self.content

    def check(self) -> None:
        """Raise a `LockLost` if the lock is lost, so that nothing is written."""
        self.look()
        if self.lost:
            by = _named(_content(self.file) or "")
            who = "" if by.pid is None else f"; process {by.pid} on {by.host} works on it now"
            raise LockLost(
                f"the lock of {self.file.parent} was removed or taken over{who}. Process "
                f"{os.getpid()} on {socket.gethostname()} stops and writes nothing more"
            )

    def renew(self) -> None:
        """Show that this process lives, unless the lock is lost."""
        self.look()
        if not self.lost:
            with contextlib.suppress(OSError):
                os.utime(self.file)


@contextlib.contextmanager
def held(folder: Path) -> Iterator[Lock]:
    """Hold the lock of the run in `folder`, so that no other process works on it.

    Raises
    ------
    ValueError
        If another process holds it, or the folder cannot be written.
    """
    lock = Lock(folder / "lock")
    _take(lock.file, lock.content)
    over = threading.Event()
    threading.Thread(target=_renew, args=(lock, over), daemon=True).start()
    try:
        yield lock
    finally:
        over.set()
        # It cannot be removed from a file system that became read-only; it is forgotten then.
        with contextlib.suppress(OSError):
            if _content(lock.file) == lock.content:
                lock.file.unlink(missing_ok=True)


def holder(folder: Path) -> Holder | None:
    """Return the process that works on the run in `folder` now, or None."""
    content = _content(folder / "lock")
    if content is None:
        return None
    found = _named(content)
    return found if alive(folder, found.pid, found.host) else None


def remove_left_over_lock(folder: Path) -> None:
    """Remove the lock of a process that was killed; nothing happens while one works there."""
    content = _content(folder / "lock")
    if content is not None and holder(folder) is None:
        _remove(folder / "lock", content)


def alive(folder: Path, pid: int | None, host: str | None) -> bool:
    """Return whether a process that worked on the run in `folder` may still do so.

    Where its process cannot be looked at, the age of its lock tells, or else of its last event.
    """
    if pid is not None and host == socket.gethostname():
        lives = _lives_here(folder, pid)
        if lives is not None:
            return lives
    # Without a lock nobody works there, but a network file system may show a new one late.
    for name in ("lock", "events.jsonl"):
        with contextlib.suppress(OSError):
            # Where the start of a process is not known, its id may have been used again; then the
            # lock is not renewed. A lock of the future is one of before the clock was set back.
            return abs(time.time() - (folder / name).stat().st_mtime) < FORGOTTEN_AFTER
    return True


def _lives_here(folder: Path, pid: int) -> bool | None:
    """Return whether a process of this machine lives; None if its id may have been used again.

    The lock of a process that lives may be old: the machine was asleep, or its clock was set.
    """
    if not process_exists(pid):
        return False
    try:
        made = json.loads(_content(folder / "lock") or "")
        then = made["start"] if made["pid"] == pid else None
    except (ValueError, KeyError, TypeError):
        return None
    now = process_start(pid)
    return None if None in (then, now) else bool(then == now)


def _take(file: Path, mine: str) -> None:
    end = time.monotonic() + LONGEST_TRIED
    with explaining(f"cannot write {file.parent}", "choose another folder"):
        while not _made(file, mine):
            if time.monotonic() > end:
                raise ValueError(
                    f"cannot read {file}, which says who works on this run; remove it if nobody "
                    "does, or choose another folder"
                )
            content = _content(file)
            if content is None:
                time.sleep(0.01)
                continue  # It was released just now.
            by = _named(content)
            if alive(file.parent, by.pid, by.host):
                raise ValueError(_refusal(file.parent, by))
            _remove(file, content)


def _made(file: Path, content: str) -> bool:
    """Create a file; return False if it exists."""
    try:
        handle = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return False
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(content)
    except OSError:
        # The disk is full. An empty lock would keep everybody out for a while.
        file.unlink(missing_ok=True)
        raise
    return True


def _refusal(folder: Path, by: Holder) -> str:
    who = "another process" if by.pid is None else f"process {by.pid} on {by.host}"
    return f"{who} is working on the run in {folder}; wait until it is done, or stop it first"


def _remove(file: Path, content: str) -> None:
    """Remove a lock that nobody holds, unless it has been replaced by now."""
    # Only one of several processes may do it at a time; the others would remove the new lock.
    turn = file.with_name(".lock-turn")
    if not _made(turn, ""):
        time.sleep(0.01)
        with contextlib.suppress(FileNotFoundError):
            if abs(time.time() - turn.stat().st_mtime) > FORGOTTEN_AFTER:
                turn.unlink()
        return
    try:
        if _content(file) == content:
            file.unlink(missing_ok=True)
    finally:
        turn.unlink(missing_ok=True)


def _renew(lock: Lock, over: threading.Event) -> None:
    while not over.wait(RENEWED_EVERY):
        lock.renew()


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
        # Created just now and not written yet, or left incomplete; its age tells which.
        return Holder(None, None)
