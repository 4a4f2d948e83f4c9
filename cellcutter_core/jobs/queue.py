"""The queue of jobs, which are runs and applications: submit, position, cancel.

Each job is executed by its own child process. A task of an executor starts the process and waits
for it. On one machine the tasks are threads. On a cluster they may be those of
``dask.distributed.Client(address).get_executor()``, with the runs on a shared file system. A task
gets only strings, and everything about a run is in its folder.

A run outlives the server that started it: hours of training must not depend on an open terminal,
and the page finds the run again from its folder. It can be stopped on the page, or by creating the
file `stop` in its folder. A queued job does not start without a server; `Jobs.left_behind` finds
it.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from cellcutter_core.apply.application import Application
from cellcutter_core.config import check_current
from cellcutter_core.jobs.warm_process import SPARE
from cellcutter_core.processes.child import environment, module_command
from cellcutter_core.processes.threads import Threads
from cellcutter_core.runs.folder import list_runs, runs_folder
from cellcutter_core.runs.lock import holder, process_exists
from cellcutter_core.runs.store import Run

# A run that was asked to stop does so within its current step or after the prediction of an epoch.
# After this many seconds it is ended. The steps before a prediction are stored by then.
GRACE = 30.0
# Seconds from a signal to end until the process is killed.
LAST_GRACE = 5.0
_LOOK_EVERY = 0.25

Job = Run | Application

_SERVER = uuid.uuid4().hex
_going: set[str] = set()


class Jobs:
    """A queue of jobs.

    Parameters
    ----------
    executor : concurrent.futures.Executor, optional
        Where tasks run. Default: threads here, as many as CELLCUTTER_WORKERS says, or else one: two
        trainings at once on one machine are each half as fast.

    Raises
    ------
    ValueError
        If CELLCUTTER_WORKERS is no valid number of workers.

    Attributes
    ----------
    n_workers : int
        How many tasks run at once; 1 with a given executor, which decides that itself.
    """

    def __init__(self, executor: Executor | None = None) -> None:
        self.n_workers = _n_workers() if executor is None else 1
        self._executor = executor or Threads(self.n_workers)
        # Absolute path of a job → its future, in the order of the queue.
        self._futures: dict[str, Future[None]] = {}
        self._lock = threading.Lock()

    def submit(self, run: Run, *, epochs: int | None = None) -> None:
        """Put a run at the end of the queue: a new one, or one to continue.

        Parameters
        ----------
        run : Run
        epochs : int, optional
            Train to this epoch; default the last planned epoch.

        Raises
        ------
        ValueError
            If it is already running or queued, already has that many epochs, or is of an earlier
            version.
        """
        check_current(run.config)
        if epochs is not None:
            run.config.training.replace(epochs=epochs)  # It checks the bounds.
        with self._lock:
            now = run.progress
            if now.status == "running":
                raise ValueError("this run is still running; stop it first, or wait until it ends")
            path = str(run.path.absolute())
            if self._waits(path):
                raise ValueError("this run is already in the queue")
            last = epochs or now.epochs
            if now.epochs_done >= last:
                raise ValueError(
                    f"this run already has {now.epochs_done} epochs; "
                    "choose a larger number of epochs to continue it"
                )
            self._queue(run, train_in_child, str(last), epochs=last)

    def apply(self, application: Application) -> None:
        """Put an application at the end of the queue: a new one, or one to continue.

        Raises
        ------
        ValueError
            If it is already running or queued, all its images are done, or its run is of an earlier
            version.
        """
        check_current(application.run.config)
        with self._lock:
            now = application.progress
            if now.status == "running" or self._waits(str(application.path.absolute())):
                raise ValueError("this is already running or queued; wait until it is done")
            if not now.n_left:
                raise ValueError("all these images are already done; choose others")
            self._queue(application, apply_in_child)

    def _queue(self, job: Job, task: Callable[..., None], *args: str, **values: Any) -> None:
        """Put a job at the end of the queue. The caller holds the lock."""
        path = str(job.path.absolute())
        job.forget_stop()
        ticket = uuid.uuid4().hex
        job.record(
            "queued",
            **values,
            ticket=ticket,
            server=_SERVER,
            pid=os.getpid(),
            host=socket.gethostname(),
        )
        self._futures = {
            other: future
            for other, future in self._futures.items()
            if other != path and not future.done()
        }
        try:
            future = self._executor.submit(task, path, *args, ticket)
        except RuntimeError as error:
            message = f"the run could not be put into the queue ({error}); start it again"
            job.record("failed", message=message)
            raise ValueError(message) from error
        self._futures[path] = future
        future.add_done_callback(lambda done: _lost(done, path, ticket))

    def cancel(self, run: Job) -> None:
        """Take a job out of the queue, or stop it if it is running; ended jobs do not change.

        It returns at once. A running run keeps its whole steps, an application its whole images. A
        job that does not stop by itself is ended after `GRACE` seconds.
        """
        status = run.progress.status
        if status not in ("queued", "running"):
            return
        run.ask_to_stop()
        with self._lock:
            future = self._futures.get(str(run.path.absolute()))
        if status == "queued":
            # A job that is just being started finds the request to stop.
            if future is None or not future.running():
                run.record("stopped")
            if future is not None:
                future.cancel()
        elif future is None or future.done():
            # Started by a server that has ended, or from the command line: no task waits for it.
            threading.Thread(target=_end, args=(str(run.path),), daemon=True).start()

    def position(self, run: Job) -> int | None:
        """Return 1 for the job that starts next, and so on; None if it is not queued here."""
        path = str(run.path.absolute())
        with self._lock:
            waiting = [other for other in self._futures if self._waits(other)]
        return waiting.index(path) + 1 if path in waiting else None

    def ahead(self, job: Job | None = None) -> list[Job]:
        """Return what comes before a queued job, in order: running jobs, then earlier queued ones.

        Parameters
        ----------
        job : Run or Application, optional
            Default: a job that would be submitted now.

        Returns
        -------
        list of Run or Application
            Empty if the job is not queued here.
        """
        path = "" if job is None else str(job.path.absolute())
        with self._lock:
            there = {other: self._waits(other) for other in self._futures}
            going = [
                other
                for other, future in self._futures.items()
                if not there[other] and not future.done()
            ]
        waiting = [other for other, waits in there.items() if waits]
        if job is not None:
            if path not in waiting:
                return []
            waiting = waiting[: waiting.index(path)]
        found = []
        for other in (*going, *waiting):
            with contextlib.suppress(ValueError):  # It was deleted.
                found.append(_job(other))
        return found

    def _waits(self, path: str) -> bool:
        future = self._futures.get(path)
        if future is None or future.done() or future.running():
            return False
        # Other executors do not tell a waiting task from a running one; the run does.
        try:
            return _job(path).progress.status == "queued"
        except ValueError:
            return False  # It was deleted.

    def left_behind(self) -> list[Run]:
        """Return runs that were queued when their server ended, oldest first, see `submit`."""
        summaries, _ = list_runs()
        found = []
        for summary in reversed(summaries):
            if summary.status != "queued":
                continue
            with contextlib.suppress(ValueError):
                run = Run(runs_folder() / summary.id)
                if is_left_behind(run):
                    found.append(run)
        return found


def is_left_behind(job: Job) -> bool:
    """Return whether a job is still queued although the server that queued it has ended."""
    queued = _last_queued(job)
    return job.progress.status == "queued" and queued is not None and not _serves(queued)


def train_in_child(path: str, epochs: str, ticket: str) -> None:
    """The task: start a child process that trains the run in `path`, and wait for its end.

    Parameters
    ----------
    path : str
        The run folder, absolute.
    epochs : str
        Train to this epoch.
    ticket : str
        Ticket of the event that queued it. If the run has another one by now, it is not started.
    """
    try:
        run = Run(path)
    except ValueError:
        return  # Deleted while it waited.

    def begin() -> subprocess.Popen[Any]:
        return SPARE.take(path, epochs, run.log_file) or _child(run, child_command(path, epochs))

    try:
        _in_child(run, begin, ticket, what="training")
    finally:
        SPARE.done()


def apply_in_child(path: str, ticket: str) -> None:
    """The task: start a child process for the application in `path`, and wait for its end."""
    try:
        application = Application(path)
    except ValueError:
        return  # Deleted while it waited.

    def begin() -> subprocess.Popen[Any]:
        return _child(application, application_command(path))

    _in_child(application, begin, ticket, what="application")


def _child(job: Job, command: list[str]) -> subprocess.Popen[Any]:
    with job.log_file.open("ab") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment(),
            # A new session: Ctrl-C in the server's terminal does not end it, and its processes form
            # one group.
            start_new_session=True,
        )


def _in_child(
    job: Job, begin: Callable[[], subprocess.Popen[Any]], ticket: str, *, what: str
) -> None:
    if job.progress.status != "queued" or not _holds(job, ticket):
        return
    if job.asked_to_stop:
        job.record("stopped")
        return
    try:
        child = begin()
    except OSError as error:
        with contextlib.suppress(OSError):
            job.record(
                "failed",
                message=f"the {what} could not be started: {error.strerror} "
                f"({error.filename}); check the installation, then start it again",
            )
        return
    path = str(job.path)
    _going.add(path)
    try:
        _wait(child, job)
    finally:
        _going.discard(path)
    if child.returncode:
        with contextlib.suppress(OSError):
            _record_end(job, ticket, what=what)


def child_command(path: str, epochs: str) -> list[str]:
    """Return the command that trains a run."""
    return [*module_command("cellcutter_core.jobs.worker"), path, epochs]


def application_command(path: str) -> list[str]:
    """Return the command that executes an application."""
    return [*module_command("cellcutter_core.apply.application"), path]


def _wait(child: subprocess.Popen[Any], run: Job) -> None:
    """Wait until the child has ended; end it if it was asked to stop long ago."""

    def ended() -> bool:
        try:
            child.wait(_LOOK_EVERY)
        except subprocess.TimeoutExpired:
            return False
        return True

    _watch(ended, lambda: run.asked_to_stop, lambda number: _signal(child.pid, number))


def _end(path: str) -> None:
    """Wait until a job that was not started here has stopped; end it if it does not."""
    run = _job(path)
    by = holder(run.path)
    if by is None or by.pid is None or by.host != socket.gethostname():
        return
    pid = by.pid

    def ended() -> bool:
        time.sleep(_LOOK_EVERY)
        return holder(run.path) != by

    _watch(ended, lambda: run.asked_to_stop, lambda number: _signal(pid, number))
    with contextlib.suppress(OSError):
        if run.progress.status == "crashed":
            run.record("stopped")


def _watch(
    ended: Callable[[], bool], asked: Callable[[], bool], end: Callable[[int], None]
) -> None:
    since: float | None = None
    signals = [(GRACE, signal.SIGTERM), (GRACE + LAST_GRACE, getattr(signal, "SIGKILL", 15))]
    while not ended():
        if since is None:
            since = time.monotonic() if asked() else None
        elif signals and time.monotonic() - since > signals[0][0]:
            end(signals.pop(0)[1])


def _signal(pid: int, number: int) -> None:
    """Send a signal to the process and, if it leads a process group, to the whole group."""
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg") and os.getpgid(pid) == pid:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)


def _record_end(run: Job, ticket: str, *, what: str) -> None:
    """Record why a child ended, if it could not do so itself."""
    status = run.progress.status
    if not _holds(run, ticket) or holder(run.path) is not None:
        return  # It has been queued again, or another process works on it.
    if status in ("queued", "running", "crashed") and run.asked_to_stop:
        run.record("stopped")
    elif status == "queued":
        lines = run.log_file.read_text("utf-8", "replace").split("\n")
        last = next(
            (line.strip() for line in reversed(lines) if line.strip()), "it printed nothing"
        )
        run.record("failed", message=f"the {what} could not be started: {last[:300]}")


def _lost(future: Future[None], path: str, ticket: str) -> None:
    """Record in the run if the executor could not execute its task."""
    if future.cancelled() or future.exception() is None:
        return
    with contextlib.suppress(OSError, ValueError):
        run = _job(path)
        if _holds(run, ticket) and run.progress.status == "queued":
            reason = " ".join(str(future.exception()).split())
            run.record("failed", message=f"the queue lost this run ({reason}); start it again")


def _job(path: str) -> Job:
    return Application(path) if Application.is_at(path) else Run(path)


def _last_queued(run: Job) -> dict[str, Any] | None:
    return next((event for event in reversed(run.events()) if event["kind"] == "queued"), None)


def _holds(run: Job, ticket: str) -> bool:
    queued = _last_queued(run)
    return queued is not None and queued.get("ticket") == ticket


def _serves(queued: dict[str, Any]) -> bool:
    """Return whether the server that queued a run may still start it."""
    if queued.get("server") == _SERVER or queued.get("host") != socket.gethostname():
        return True  # A server on another machine cannot be checked from here.
    pid = queued.get("pid")
    # In a restarted container the new server may have the same process id.
    return isinstance(pid, int) and pid != os.getpid() and process_exists(pid)


def _n_workers() -> int:
    given = os.environ.get("CELLCUTTER_WORKERS", "1")
    if not given.isdecimal() or int(given) < 1:
        raise ValueError(f"CELLCUTTER_WORKERS must be a number of at least 1, got {given!r}")
    return int(given)


@atexit.register
def _say_what_goes_on() -> None:
    for path in sorted(_going):
        with contextlib.suppress(ValueError):
            if _job(path).progress.status == "running":
                what = "A training" if isinstance(_job(path), Run) else "An application"
                print(f"{what} continues without the server; to stop it: touch {path}/stop")
