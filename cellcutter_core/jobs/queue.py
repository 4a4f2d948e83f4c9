"""The queue of jobs of all kinds: submit, position, cancel.

Each job is executed by its own child process. A task of an executor starts the process and waits
for it. On one machine the tasks are threads. On a Dask cluster they run on its workers, with the
runs on a shared file system, see `jobs.executors`. A task gets only strings, and everything about a
run is in its folder.

A scheduler gives the task of a lost worker to another worker. The child process of the lost one may
go on, unnoticed by the scheduler. So a task first waits until nobody holds the lock of the folder,
then goes on with the job if it has not ended.

A run outlives the server that started it: hours of training must not depend on an open terminal,
and the page finds the run again from its folder. It can be stopped on the page, or by creating the
file `stop` in its folder. A queued job does not start without a server; `Jobs.left_behind` finds
it.

A job is given to the executor when one of its workers is free, and until then it waits here. The
order is that of `jobs.fair_order`.
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
from functools import partial
from typing import Any

from cellcutter_core.jobs.executors import chosen_executor
from cellcutter_core.jobs.fair_order import Turns, Waiting
from cellcutter_core.jobs.kinds import Job, job_at
from cellcutter_core.jobs.warm_process import SPARE
from cellcutter_core.limits import check_free
from cellcutter_core.people.allowance import check_time_for
from cellcutter_core.processes.child import environment, module_command
from cellcutter_core.processes.ending import process_exists
from cellcutter_core.runs.folder import list_runs, runs_folder
from cellcutter_core.runs.job_folder import JobFolder, NotWritten
from cellcutter_core.runs.lock import Holder, holder
from cellcutter_core.runs.store import Run

# A run that was asked to stop does so within its current step or after the prediction of an epoch.
# After this many seconds it is ended. The steps before a prediction are stored by then.
GRACE = 30.0
# Seconds from a signal to end until the process is killed.
LAST_GRACE = 5.0
_LOOK_EVERY = 0.25
# Seconds between two looks whether a cluster has more workers.
_LOOK_FOR_WORKERS = 2.0

_SERVER = uuid.uuid4().hex
# Folder of each job that runs here → what it is.
_going: dict[str, str] = {}


class Jobs:
    """A queue of jobs.

    Parameters
    ----------
    executor : concurrent.futures.Executor, optional
        Where tasks run. Default: that of `chosen_executor`, which is one thread here if nothing
        else is set: two trainings at once on one machine are each half as fast.

    Raises
    ------
    ValueError
        As by `chosen_executor`.
    """

    def __init__(self, executor: Executor | None = None) -> None:
        self._executor = chosen_executor() if executor is None else executor
        # In the order in which they came. None of them is known to the executor yet.
        self._waiting: list[Waiting] = []
        # What the executor has: absolute path of a job → its task.
        self._given: dict[str, Future[None]] = {}
        self._turns = Turns()
        self._watches = False
        self._lock = threading.RLock()

    @property
    def n_workers(self) -> int:
        """How many tasks run at once; 1 if the executor does not say."""
        return getattr(self._executor, "n_workers", 1)

    def submit(self, folder: JobFolder, *, line: str = "", **wanted: Any) -> None:
        """Put a job into the queue: a new one, or one to continue.

        Parameters
        ----------
        folder : Run or Application
        line : str
            Id of the sweep that it belongs to. Sweeps and single jobs take turns, see
            `jobs.fair_order`.
        wanted
            What its kind can be told: for a run `epochs`, to train to this epoch.

        Raises
        ------
        ValueError
            If it is already running or queued, nothing is left to do, its run is of an earlier
            version or of another person, or a limit of the server is reached.
        """
        path = str(folder.path.absolute())
        job = job_at(path, **wanted)
        with self._lock:
            if folder.progress.status == "running":
                raise ValueError(
                    f"this {job.what} is still running; stop it first, or wait until it ends"
                )
            if self._waits(path):
                raise ValueError(f"this {job.what} is already in the queue")
            values = job.check()
            check_time_for(job.owner)
            check_free(folder.path)
            folder.forget_stop()
            ticket = uuid.uuid4().hex
            me = {"server": _SERVER, "pid": os.getpid(), "host": socket.gethostname()}
            folder.record("queued", ticket=ticket, **me, **values)
            self._waiting.append(Waiting(path, ticket, job.owner, line))
            refused = self._give()
        if path in refused:
            raise ValueError(refused[path])

    def _give(self) -> dict[str, str]:
        """Give jobs to the executor while it has a free worker.

        Returns
        -------
        dict of str to str
            Path of each job that it refused → why.
        """
        refused: dict[str, str] = {}
        with self._lock:
            self._given = {path: task for path, task in self._given.items() if not task.done()}
            # It ends: each turn removes one that waits.
            while self._waiting and len(self._given) < self.n_workers:
                job = self._turns.next_of(self._waiting)
                self._waiting.remove(job)
                try:
                    task = self._executor.submit(work_in_child, job.path, job.ticket)
                except RuntimeError as error:
                    # It would refuse the others as well, and each refusal may take seconds.
                    for one in (job, *self._waiting):
                        refused[one.path] = _refuse(one, error)
                    self._waiting = []
                    break
                self._turns.take(job)
                self._given[job.path] = task
                task.add_done_callback(partial(self._ended, job))
            self._watch_workers()
        return refused

    def _ended(self, job: Waiting, task: Future[None]) -> None:
        # Whoever asks next is told of this end, and finds the next job given to the executor.
        _lost(task, job.path, job.ticket)
        threading.Thread(target=self._give, daemon=True).start()

    def _watch_workers(self) -> None:
        """While jobs wait for a cluster, look now and then whether it has more workers."""
        count = getattr(self._executor, "count_workers", None)
        if count is None or self._watches or not self._waiting:
            return
        self._watches = True

        def watch() -> None:
            # It ends with the last job that waits; jobs end, so none waits for ever.
            while True:
                time.sleep(_LOOK_FOR_WORKERS)
                count()
                with self._lock:
                    if not self._waiting:
                        self._watches = False
                        return
                    self._give()

        threading.Thread(target=watch, daemon=True).start()

    def cancel(self, folder: JobFolder) -> None:
        """Take a job out of the queue, or stop it if it is running; ended jobs do not change.

        It returns at once. A training keeps its whole steps, an application its whole images. A
        job that does not stop by itself is ended after `GRACE` seconds.

        Raises
        ------
        ValueError
            If it belongs to another person.
        """
        status = folder.progress.status
        if status not in ("queued", "running"):
            return
        folder.ask_to_stop()
        path = str(folder.path.absolute())
        with self._lock:
            waited = [job for job in self._waiting if job.path == path]
            self._waiting = [job for job in self._waiting if job.path != path]
            task = self._given.get(path)
        if status == "queued":
            # A job that is just being started finds the request to stop.
            if waited or task is None or not task.running():
                folder.record("stopped")
            if task is not None:
                task.cancel()
        elif task is None or task.done():
            # Started by a server that has ended, or from the command line: no task waits for it.
            threading.Thread(target=_end, args=(str(folder.path),), daemon=True).start()

    def has_task(self, folder: JobFolder) -> bool:
        """Return whether a task from here waits for a job, works on it, or will do so again.

        A job whose machine is lost counts as crashed until its task has begun on another one.
        """
        path = str(folder.path.absolute())
        with self._lock:
            task = self._given.get(path)
            waits = any(job.path == path for job in self._waiting)
        return waits or (task is not None and not task.done())

    def position(self, folder: JobFolder) -> int | None:
        """Return 1 for the job that starts next, and so on; None if it is not queued here."""
        path = str(folder.path.absolute())
        waiting = self._paths()[1]
        return waiting.index(path) + 1 if path in waiting else None

    def ahead(self, folder: JobFolder | None = None, *, person: str = "") -> list[JobFolder]:
        """Return what comes before a queued job, in order: running jobs, then earlier queued ones.

        Parameters
        ----------
        folder : Run or Application, optional
            Default: a single job that this person would submit now.
        person : str
            Without `folder`, whose job it would be.

        Returns
        -------
        list of Run or Application
            Empty if the job is not queued here.
        """
        path = "" if folder is None else str(folder.path.absolute())
        going, waiting = self._paths(None if path else Waiting(path, person=person))
        if path not in waiting:
            return []
        found = []
        for other in (*going, *waiting[: waiting.index(path)]):
            with contextlib.suppress(ValueError):  # It was deleted.
                found.append(job_at(other).folder)
        return found

    def _paths(self, another: Waiting | None = None) -> tuple[list[str], list[str]]:
        """Return the jobs that run and those that wait, in order, perhaps with another one."""
        with self._lock:
            given = {path: self._waits(path) for path in self._given}
            there = [job for job in self._waiting if _is_queued(job.path)]
            ordered = self._turns.order([*there, another] if another else there)
            going = [path for path, waits in given.items() if not waits]
            going = [path for path in going if not self._given[path].done()]
        handed = [path for path, waits in given.items() if waits]
        return going, [*handed, *(job.path for job in ordered)]

    def _waits(self, path: str) -> bool:
        if any(job.path == path for job in self._waiting):
            return _is_queued(path)
        task = self._given.get(path)
        # Other executors do not tell a waiting task from a running one; the run does.
        return not (task is None or task.done() or task.running()) and _is_queued(path)

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


def is_left_behind(folder: JobFolder) -> bool:
    """Return whether a job waits although its server has ended, perhaps before it queued it."""
    queued = _last_queued(folder)
    if folder.progress.status != "queued":
        return False
    return holder(folder.path) is None if queued is None else not _serves(queued)


def _is_queued(path: str) -> bool:
    try:
        return job_at(path).folder.progress.status == "queued"
    except ValueError:
        return False  # It was deleted.


def _refuse(job: Waiting, error: RuntimeError) -> str:
    """Record in a job that the executor did not take it; return the message."""
    message = f"it could not be queued ({error}); start it again"
    with contextlib.suppress(ValueError):
        kind = job_at(job.path)
        message = f"the {kind.what} could not be queued ({error}); start it again"
        if _holds(kind.folder, job.ticket):
            kind.folder.record("failed", message=message)
    return message


def work_in_child(path: str, ticket: str) -> None:
    """The task: start a child process that works on the job in `path`, and wait for its end.

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
    """
    try:
        job = job_at(path)
    except ValueError as error:
        raise ValueError(f"{error}, as {socket.gethostname()} sees it") from error
    with contextlib.suppress(OSError, NotWritten):
        while _is_due(job.folder, ticket) and not _has_worked(job, ticket):
            pass  # Another process took the lock first, so this one waits for it.


def _has_worked(job: Job, ticket: str) -> bool:
    """Work on a job in a child process; return False if another process took the lock first."""
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
        _going[path] = job.what
        after.callback(_going.pop, path)
        _wait(child, folder)
        if child.returncode and holder(folder.path) is not None:
            return False
        if child.returncode:
            _record_end(folder, ticket, what=job.what)
    return True


def _is_due(folder: JobFolder, ticket: str) -> bool:
    """Return whether a job is to be worked on, once no other process works on it."""
    while _holds(folder, ticket) and (by := holder(folder.path)) is not None:
        _wait_for(by, folder)
    # Asked after the lock was seen to be free: whoever held it has recorded its end by then.
    if not _holds(folder, ticket) or folder.progress.status not in ("queued", "running", "crashed"):
        return False
    if folder.asked_to_stop:
        folder.record("stopped")
        return False
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


def child_command(path: str) -> list[str]:
    """Return the command that works on a job."""
    return [*module_command("cellcutter_core.jobs.worker"), path]


def _wait(child: subprocess.Popen[Any], folder: JobFolder) -> None:
    """Wait until the child has ended; end it if it was asked to stop long ago."""

    def ended() -> bool:
        try:
            child.wait(_LOOK_EVERY)
        except subprocess.TimeoutExpired:
            return False
        return True

    _watch(ended, lambda: folder.asked_to_stop, lambda number: _signal(child.pid, number))


def _end(path: str) -> None:
    """Wait until a job that was not started here has stopped; end it if it does not."""
    folder = job_at(path).folder
    by = holder(folder.path)
    if by is None or by.pid is None or by.host != socket.gethostname():
        return
    _wait_for(by, folder)
    with contextlib.suppress(NotWritten):
        if folder.progress.status == "crashed":
            folder.record("stopped")


def _wait_for(by: Holder, folder: JobFolder) -> None:
    """Wait until a process has released the lock; end it if it was asked to stop long ago."""

    def ended() -> bool:
        time.sleep(_LOOK_EVERY)
        return holder(folder.path) != by

    def end(number: int) -> None:
        if by.pid is not None and by.host == socket.gethostname():
            _signal(by.pid, number)

    _watch(ended, lambda: folder.asked_to_stop, end)


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


def _record_end(folder: JobFolder, ticket: str, *, what: str) -> None:
    """Record why a child ended, if it could not do so itself."""
    status = folder.progress.status
    if not _holds(folder, ticket) or holder(folder.path) is not None:
        return  # It has been queued again, or another process works on it.
    if status in ("queued", "running", "crashed") and folder.asked_to_stop:
        folder.record("stopped")
    elif status == "queued":
        lines = folder.log_file.read_text("utf-8", "replace").split("\n")
        last = next(
            (line.strip() for line in reversed(lines) if line.strip()), "it printed nothing"
        )
        folder.record("failed", message=f"the {what} could not be started: {last[:300]}")


def _lost(future: Future[None], path: str, ticket: str) -> None:
    """Record in the run if the executor could not execute its task."""
    if not future.cancelled() and future.exception() is None:
        return
    with contextlib.suppress(OSError, ValueError):
        job = job_at(path)
        folder = job.folder
        # `Jobs.cancel` records the stop before it cancels the task.
        if _holds(folder, ticket) and folder.progress.status == "queued":
            error = None if future.cancelled() else future.exception()
            reason = " ".join(str(error or "the connection to its scheduler was lost").split())
            folder.record(
                "failed", message=f"the queue lost this {job.what} ({reason}); start it again"
            )


def _last_queued(folder: JobFolder) -> dict[str, Any] | None:
    return next((event for event in reversed(folder.events()) if event["kind"] == "queued"), None)


def _holds(folder: JobFolder, ticket: str) -> bool:
    queued = _last_queued(folder)
    return queued is not None and queued.get("ticket") == ticket


def _serves(queued: dict[str, Any]) -> bool:
    """Return whether the server that queued a run may still start it."""
    if queued.get("server") == _SERVER or queued.get("host") != socket.gethostname():
        return True  # A server on another machine cannot be checked from here.
    pid = queued.get("pid")
    # In a restarted container the new server may have the same process id.
    return isinstance(pid, int) and pid != os.getpid() and process_exists(pid)


@atexit.register
def _say_what_goes_on() -> None:
    for path, what in sorted(_going.items()):
        with contextlib.suppress(ValueError):
            if job_at(path).folder.progress.status == "running":
                print(f"The {what} continues without the server; to stop it: touch {path}/stop")
