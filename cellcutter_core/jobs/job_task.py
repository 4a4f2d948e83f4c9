"""The task of a job: start a child process that works on it, and wait for its end.

The task gets only strings. Everything about a run is in its folder, which the machines of a cluster
share.

A scheduler gives the task of a lost worker to another worker, while the child process of the first
one may still run. So a task first waits until nobody holds the lock of the folder. Then it goes on
with the job, unless the job has ended.

The child outlives the server: hours of training must not depend on an open terminal, and the page
finds the run again by its folder. To stop it, use the page or create the file `stop` in its folder.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from typing import Any

from cellcutter_core.jobs.kinds import Job, job_at
from cellcutter_core.jobs.warm_process import SPARE
from cellcutter_core.processes.child import environment, module_command
from cellcutter_core.runs.job_folder import JobFolder, NotWritten
from cellcutter_core.runs.lock import FORGOTTEN_AFTER, Holder, holder

# Seconds that a job may take to stop by itself, which it does after its present step or the
# prediction of an epoch. Then it gets a SIGTERM. Steps are stored before a prediction.
GRACE = 30.0
# Seconds from SIGTERM to SIGKILL.
LAST_GRACE = 5.0
# Seconds after which a process is given up that is still there: no signal reaches it. By then the
# lock of a lost machine has been forgotten.
LONGEST_END = FORGOTTEN_AFTER
_LOOK_EVERY = 0.25
# How much of a log is read to find its last line, in bytes.
_END_OF_LOG = 1 << 16

# Folder of each job that a child of this process works on → what it is.
_running_here: dict[str, str] = {}


def work_in_child(path: str, ticket: str) -> None:
    """Start a child process that works on the job in `path`, and wait for its end.

    Parameters
    ----------
    path : str
        The folder of the job, absolute.
    ticket : str
        Ticket of the event that queued it. If the job has another one by now, it is not started.

    Raises
    ------
    ValueError
        If there is no such job here: it was deleted while it waited, or this machine does not see
        the folder.
    OSError
        If its folder cannot be read.
    """
    try:
        job = job_at(path)
    except ValueError as error:
        raise ValueError(f"{error}, as {socket.gethostname()} sees it") from error
    with contextlib.suppress(NotWritten):
        # Each further turn needs another process that has just taken the lock.
        while _wait_until_free(job, ticket) and not _run_child(job, ticket):
            pass


def child_command(path: str) -> list[str]:
    """Return the command that works on a job."""
    return [*module_command("cellcutter_core.jobs.worker"), path]


def stop_by_force(path: str) -> None:
    """Wait until a job has stopped whose task is not here; end its process if it does not stop.

    It belongs to a server that has ended, or was started from the command line.
    """
    job = job_at(path)
    by = holder(job.folder.path)
    if by is None or by.pid is None or by.host != socket.gethostname():
        return
    with contextlib.suppress(NotWritten):
        if _wait_for(by, job) and job.folder.progress.status == "crashed":
            job.folder.record("stopped")


def last_queued(folder: JobFolder) -> dict[str, Any] | None:
    """Return the event that queued a job last."""
    return next((event for event in reversed(folder.events()) if event["kind"] == "queued"), None)


def has_ticket(folder: JobFolder, ticket: str) -> bool:
    """Return whether a job was not queued again since the event with that ticket."""
    queued = last_queued(folder)
    return queued is not None and queued.get("ticket") == ticket


def _wait_until_free(job: Job, ticket: str) -> bool:
    """Wait until nobody holds the lock of a job. Return whether the job still has to run."""
    folder = job.folder
    while has_ticket(folder, ticket) and (by := holder(folder.path)) is not None:
        if not _wait_for(by, job):
            return False
    # Asked after the lock was seen to be free: whoever held it has recorded its end by then.
    if not has_ticket(folder, ticket):
        return False
    if folder.progress.status not in ("queued", "running", "crashed"):
        return False
    if folder.asked_to_stop:
        folder.record("stopped")
        return False
    return True


def _run_child(job: Job, ticket: str) -> bool:
    """Run a job in a child process. Return False if another process took the lock first."""
    folder = job.folder
    path = str(folder.path)
    with contextlib.ExitStack() as after:
        after.callback(SPARE.done)
        try:
            child = SPARE.take(path, folder.log_file) or _child(folder)
        except OSError as error:
            folder.record(
                "failed",
                message=f"the {job.what} could not be started: {error.strerror} "
                f"({error.filename}); check the installation, then start it again",
            )
            return True
        _running_here[path] = job.what
        after.callback(_running_here.pop, path, None)
        _wait(child, job)
        by = holder(folder.path)
        # Where nothing tells whether a process exists, the lock of the dead child is still there.
        is_own = by is not None and (by.pid, by.host) == (child.pid, socket.gethostname())
        if child.returncode and by is not None and not is_own:
            return False
        if child.returncode:
            _record_end(job, ticket)
            folder.tidy()
    return True


def _child(folder: JobFolder) -> subprocess.Popen[Any]:
    with folder.log_file.open("ab") as log:
        return subprocess.Popen(
            child_command(str(folder.path)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment(),
            # A new session: Ctrl-C in the server's terminal does not end it, and its processes form
            # one group.
            start_new_session=True,
        )


def _wait(child: subprocess.Popen[Any], job: Job) -> bool:
    """Wait until the child has ended; end it if it was asked to stop long ago."""

    def has_ended() -> bool:
        try:
            child.wait(_LOOK_EVERY)
        except subprocess.TimeoutExpired:
            return False
        return True

    who = f"process {child.pid} on {socket.gethostname()}"
    return _wait_or_end(has_ended, job, who, lambda number: _signal(child.pid, number))


def _wait_for(by: Holder, job: Job) -> bool:
    """Wait until a process has released the lock; end it if it was asked to stop long ago."""

    def has_ended() -> bool:
        time.sleep(_LOOK_EVERY)
        return holder(job.folder.path) != by

    def send(number: int) -> None:
        if by.pid is not None and by.host == socket.gethostname():
            _signal(by.pid, number)

    return _wait_or_end(has_ended, job, f"process {by.pid} on {by.host}", send)


def _wait_or_end(
    has_ended: Callable[[], bool], job: Job, who: str, send: Callable[[int], None]
) -> bool:
    """Wait until a process has ended. If it was asked to stop long ago, send it signals.

    Returns
    -------
    bool
        False if it was given up: `LONGEST_END` seconds after the request it is still there. The
        job then has failed.
    """
    asked_at: float | None = None
    signals = [(GRACE, signal.SIGTERM), (GRACE + LAST_GRACE, getattr(signal, "SIGKILL", 15))]
    while not has_ended():
        if asked_at is None:
            asked_at = time.monotonic() if job.folder.asked_to_stop else None
            continue
        seconds = time.monotonic() - asked_at
        if signals and seconds > signals[0][0]:
            send(signals.pop(0)[1])
        elif seconds > GRACE + LAST_GRACE + LONGEST_END:
            message = f"{who} works on this {job.what} and does not end; end it there"
            job.folder.record("failed", message=message)
            return False
    return True


def _signal(pid: int, number: int) -> None:
    """Send a signal to the process and, if it leads a process group, to the whole group."""
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg") and os.getpgid(pid) == pid:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)


def _record_end(job: Job, ticket: str) -> None:
    """Record why a child ended, if it could not do so itself."""
    folder, status = job.folder, job.folder.progress.status
    if not has_ticket(folder, ticket) or holder(folder.path) is not None:
        return  # It has been queued again, or another process works on it.
    if status in ("queued", "running", "crashed") and folder.asked_to_stop:
        folder.record("stopped")
    elif status == "queued":
        last = _last_line(folder) or "it printed nothing"
        folder.record("failed", message=f"the {job.what} could not be started: {last[:300]}")


def _last_line(folder: JobFolder) -> str:
    """Return the last line of the log that is not empty."""
    with folder.log_file.open("rb") as log:
        log.seek(max(log.seek(0, os.SEEK_END) - _END_OF_LOG, 0))
        lines = log.read().decode("utf-8", "replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


@atexit.register
def _say_what_goes_on() -> None:
    for path, what in sorted(_running_here.items()):
        with contextlib.suppress(ValueError):
            if job_at(path).folder.progress.status == "running":
                print(f"The {what} continues without the server; to stop it: touch {path}/stop")
