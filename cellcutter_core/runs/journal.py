"""What happens in a folder on which a process works: a line for each event, a log, a wish to stop.

    events.jsonl      one line for each thing that happened
    log.txt           what the process printed
    stop              there when somebody asked it to stop

Events are only ever added; a line that was torn by a crash is ignored.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any


class Journal:
    """The events of a folder, for the process that works on it and for those who watch."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    @property
    def log_file(self) -> Path:
        """What the process printed."""
        return self.path / "log.txt"

    def record(self, kind: str, **values: Any) -> None:
        """Add an event; every line carries its kind and its time."""
        line = json.dumps({"kind": kind, "time": time.time(), **values})
        file = self.path / "events.jsonl"
        torn = file.exists() and file.stat().st_size > 0 and not _ends_line(file)
        with file.open("a", encoding="utf-8") as stream:
            # One write: readers see whole lines or a torn last one, never two mixed.
            stream.write(("\n" if torn else "") + line + "\n")

    def events(self) -> list[dict[str, Any]]:
        """All events so far, oldest first; lines torn by a crash are left out."""
        try:
            lines = (self.path / "events.jsonl").read_text("utf-8", "replace").splitlines()
        except FileNotFoundError:
            return []
        found = []
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict) and "kind" in event:
                found.append(event)
        return found

    def ask_to_stop(self) -> None:
        """The process stops after its present step: of a training, or an image."""
        (self.path / "stop").touch()

    @property
    def asked_to_stop(self) -> bool:
        return (self.path / "stop").exists()

    def forget_stop(self) -> None:
        """Before the work is gone on with."""
        (self.path / "stop").unlink(missing_ok=True)


def _ends_line(file: Path) -> bool:
    with file.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) == b"\n"
