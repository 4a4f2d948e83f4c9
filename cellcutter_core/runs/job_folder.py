"""A folder that one process at a time works on: events, a log, and a request to stop.

    events.jsonl      one line for each event
    log.txt           what the process printed
    stop              exists if somebody asked the process to stop
    lock              exists while a process works on it

Events are only appended. A line that a crash left incomplete is ignored.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from cellcutter_core.files import explaining, remove_left_over
from cellcutter_core.runs.job_status import Status
from cellcutter_core.runs.lock import Lock, LockLost, held, remove_left_over_lock


class NotWritten(ValueError):
    """Raised if an event cannot be recorded."""


class JobProgress(Protocol):
    """What can be said of the progress of every job."""

    @property
    def status(self) -> Status: ...
    @property
    def message(self) -> str: ...
    @property
    def n_left(self) -> int: ...


class JobFolder(ABC):
    """The events of a folder, for the process that works on it and for readers.

    Attributes
    ----------
    is_read_only : bool
        Whether it may not be changed, because it belongs to another person; see `people.access`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.is_read_only = False
        self._lock: Lock | None = None

    def check_changeable(self) -> None:
        """Refuse to change it if it belongs to another person.

        Raises
        ------
        ValueError
        """
        if self.is_read_only:
            raise ValueError(
                f"{self.path.name} belongs to another person, so you can look at it but not change "
                "it; duplicate it, and change your own"
            )

    @contextlib.contextmanager
    def worked_on(self, **started: Any) -> Iterator[None]:
        """Hold the lock while this process works; record its start, and why it failed.

        If the lock is lost, nothing is written any more and the process is asked to stop.

        Parameters
        ----------
        started
            More values of the event of its start.

        Raises
        ------
        ValueError
            If another process works on it.
        LockLost
            If another process has taken over.
        """
        with held(self.path) as self._lock:
            try:
                self.record("started", pid=os.getpid(), host=socket.gethostname(), **started)
                yield
            except LockLost:
                raise
            except BaseException as error:
                reason = str(error) or type(error).__name__
                if isinstance(error, MemoryError):
                    reason = (
                        "there is not enough memory; choose a smaller region or fewer crops at once"
                    )
                # If that cannot be written either, the first reason is the one to tell.
                with contextlib.suppress(NotWritten):
                    self.record("failed", message=" ".join(reason.split()))
                raise
            finally:
                self._lock = None

    def check_lock(self) -> None:
        """Raise a `LockLost` if this process worked on it, and another one does now."""
        if self._lock is not None:
            self._lock.check()

    @property
    @abstractmethod
    def progress(self) -> JobProgress:
        """How the job stands, as its events say."""

    @property
    def log_file(self) -> Path:
        """The file with everything that the process printed."""
        return self.path / "log.txt"

    def record(self, kind: str, **values: Any) -> None:
        """Append an event; every line holds its kind and its time.

        Raises
        ------
        NotWritten
            If the operating system refuses: disk full, read-only, no folder any more.
        """
        self.check_lock()
        self.check_changeable()
        line = json.dumps({"kind": kind, "time": time.time(), **values})
        file = self.path / "events.jsonl"
        try:
            torn = file.exists() and file.stat().st_size > 0 and not _ends_line(file)
            with file.open("a", encoding="utf-8") as stream:
                # One write: readers see whole lines or an incomplete last one, never two mixed.
                stream.write(("\n" if torn else "") + line + "\n")
        except OSError as error:
            raise NotWritten(
                f"cannot write {file}: {error.strerror or error}; make room or see that the folder "
                "can be written, then continue"
            ) from error

    def events(self, *, brief: bool = False) -> list[dict[str, Any]]:
        """Return all events so far, oldest first, without incomplete lines.

        With `brief`, only the first of several training steps in a row is returned. That is enough
        to say how a run stands, and most events are steps.
        """
        try:
            lines = (self.path / "events.jsonl").read_text("utf-8", "replace").splitlines()
        except FileNotFoundError:
            return []
        if brief:
            pairs = zip(["", *lines], lines, strict=False)
            lines = [line for before, line in pairs if not before[:15] == line[:15] == _STEP]
        return [event for event in _parsed(lines) if isinstance(event, dict) and "kind" in event]

    def ask_to_stop(self) -> None:
        """Ask the process to stop after its current training step or image.

        Raises
        ------
        ValueError
            If it belongs to another person, or the folder cannot be written or is gone.
        """
        self.check_changeable()
        advice = "make room or see that the folder can be written, then stop it again"
        with explaining(f"cannot write into {self.path}", advice):
            (self.path / "stop").touch()

    def tidy(self) -> None:
        """Remove what a killed process left: its lock, and half-written files.

        Whoever works on the job next does this as well, but a finished job has no next one. Nothing
        happens in a folder that cannot be changed, or if the job has not ended. The lock of a
        crashed one stays: it shows that the process is gone.
        """
        if self.is_read_only or self.progress.status not in ("finished", "stopped", "failed"):
            return
        with contextlib.suppress(OSError):
            remove_left_over_lock(self.path)
            for folder in (self.path, *(child for child in self.path.iterdir() if child.is_dir())):
                remove_left_over(folder)

    @property
    def asked_to_stop(self) -> bool:
        """Whether the process is to stop, also because it has lost the lock."""
        lost = self._lock is not None and self._lock.lost
        return lost or (self.path / "stop").exists()

    def forget_stop(self) -> None:
        """Remove the request to stop, before the work is continued."""
        self.check_changeable()
        (self.path / "stop").unlink(missing_ok=True)


_STEP = '{"kind": "step"'


def _parsed(lines: Sequence[str]) -> Iterator[Any]:
    try:
        # Much faster than line by line.
        yield from json.loads(f"[{','.join(lines)}]")
    except ValueError:
        for line in lines:
            with contextlib.suppress(ValueError):
                yield json.loads(line)


def _ends_line(file: Path) -> bool:
    with file.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) == b"\n"
