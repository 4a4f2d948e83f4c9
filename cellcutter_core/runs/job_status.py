"""The status of a job, from its events: queued, running, stopped, finished, failed or crashed.

A job has crashed if its last event says that it runs, while no process works on it any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

Status = Literal["queued", "running", "stopped", "finished", "failed", "crashed"]


def status_of(
    events: Iterable[Mapping[str, Any]], alive: Callable[[int | None, str | None], bool] | None
) -> tuple[Status, str]:
    """Return the status of a job, and a message if it failed or crashed, from its events.

    Parameters
    ----------
    events : iterable of mapping
        As `JobFolder.events` returns them.
    alive : callable or None
        `alive(pid, host)` says whether the process of that number still runs.
    """
    status: Status = "queued"
    message = ""
    started: Mapping[str, Any] = {}
    for event in events:
        match event["kind"]:
            case "queued":
                status, message = "queued", ""
            case "started":
                status, message, started = "running", "", event
            case "step" if status == "queued":
                # Another process was working on it when it was queued.
                status = "running"
            case "finished" | "stopped" | "failed" as end:
                status, message = end, event.get("message", "")
    if status == "running" and alive and not alive(started.get("pid"), started.get("host")):
        return "crashed", (
            "the process ended without a message, perhaps for lack of memory; see its log, then "
            "continue"
        )
    return status, message
