"""The record of a process that works on a folder: events, a log, and a request to stop.

    events.jsonl      one line for each event
    log.txt           what the process printed
    stop              exists if somebody asked the process to stop

Events are only appended. A line that a crash left incomplete is ignored.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any


class Journal:
    """The events of a folder, for the process that works on it and for readers."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    @property
    def log_file(self) -> Path:
        """The file with everything that the process printed."""
        return self.path / "log.txt"

    def record(self, kind: str, **values: Any) -> None:
        """Append an event; every line holds its kind and its time."""
        line = json.dumps({"kind": kind, "time": time.time(), **values})
        file = self.path / "events.jsonl"
        torn = file.exists() and file.stat().st_size > 0 and not _ends_line(file)
        with file.open("a", encoding="utf-8") as stream:
            # One write: readers see whole lines or an incomplete last one, never two mixed.
            stream.write(("\n" if torn else "") + line + "\n")

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
        """Ask the process to stop after its current training step or image."""
        (self.path / "stop").touch()

    @property
    def asked_to_stop(self) -> bool:
        return (self.path / "stop").exists()

    def forget_stop(self) -> None:
        """Remove the request to stop, before the work is continued."""
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
