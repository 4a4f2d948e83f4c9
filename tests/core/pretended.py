"""Trainings that only pretend, for tests of what starts them.

The child process holds the real lock. It "trains" as many epochs as the file `go` beside the run
allows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cellcutter_core.runs.store import Run

FAKE = """
import sys, time
from cellcutter_core.runs.store import Run
run = Run(sys.argv[1])
go = run.path.parent / "go"
epochs = run.progress.epochs
with run.worked_on(epochs=epochs):
    done = run.progress.epochs_done
    while done < epochs and not run.asked_to_stop:
        if go.exists() and done < int(go.read_text() or epochs):
            done += 1
            run.record("epoch", epoch=done, seconds=1.0)
        else:
            time.sleep(0.02)
    run.record("finished" if done >= epochs else "stopped")
"""
# What a worker loads: it starts the fake child, except beside a file `real`.
PRELOAD = f"""
import sys
from pathlib import Path
from cellcutter_core.jobs import job_task
real = job_task.child_command
def command(path):
    if (Path(path).parent / "real").exists():
        return real(path)
    return [sys.executable, "-c", {FAKE!r}, path]
job_task.child_command = command
"""


def allow(folder: Path, n_epochs: int | str = "") -> None:
    """Let the fake children train to this epoch, or to the end; the file appears whole."""
    (folder / ".go").write_text(str(n_epochs))
    (folder / ".go").replace(folder / "go")


def status(run: Run) -> str:
    return run.progress.status


def starts(run: Run) -> list[dict[str, Any]]:
    return [event for event in run.events() if event["kind"] == "started"]


def epochs(run: Run) -> list[int]:
    return [event["epoch"] for event in run.events() if event["kind"] == "epoch"]
