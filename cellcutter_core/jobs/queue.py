"""The queue of jobs of all kinds: submit, position, cancel.

A job waits here until a worker of the executor is free; `jobs.fair_order` says which one is next.
Then the executor gets a task, which starts a child process and waits for it: in a thread on one
machine, or on a worker of a Dask cluster, see `jobs.executors` and `jobs.job_task`.

A running job outlives its server. A job that waits does not start without it; `is_left_behind`
says so of a run.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import uuid
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any

from cellcutter_core.jobs.executors import chosen_executor
from cellcutter_core.jobs.fair_order import Turns, Waiting
from cellcutter_core.jobs.job_task import has_ticket, last_queued, stop_by_force, work_in_child
from cellcutter_core.jobs.kinds import job_at
from cellcutter_core.limits import check_free
from cellcutter_core.people.allowance import check_time_for
from cellcutter_core.processes.ending import process_exists
from cellcutter_core.runs.job_folder import JobFolder
from cellcutter_core.runs.lock import holder

# How often a cluster is asked for its workers, in seconds.
_LOOK_FOR_WORKERS = 2.0
_SERVER = uuid.uuid4().hex


class Jobs:
    """A queue of jobs.

    Parameters
    ----------
    executor : concurrent.futures.Executor, optional
        Where tasks run. Default: that of `chosen_executor`, usually one thread, because two
        trainings at once on one machine are each half as fast.

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
        self._submitted: dict[str, Future[None]] = {}
        # Tickets of jobs that are being submitted, and why the executor refused some of these.
        self._submitting: set[str] = set()
        self._refused: dict[str, str] = {}
        self._turns = Turns()
        self._watches = False
        self._lock = threading.RLock()
        self._submits = threading.Lock()

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
            Options of its kind: for a run `epochs`, the epoch to train to.

        Raises
        ------
        ValueError
            If it is already running or queued, nothing is left to do, its run is of an earlier
            version or of another person, a limit of the server is reached, or the executor
            refuses it.
        """
        path = _key(folder)
        job = job_at(path, **wanted)
        with self._lock:
            if folder.progress.status == "running":
                raise ValueError(
                    f"this {job.what} is still running; stop it first, or wait until it ends"
                )
            if self._is_waiting(path):
                raise ValueError(f"this {job.what} is already in the queue")
            values = job.check()
            check_time_for(job.owner)
            check_free(folder.path)
            folder.forget_stop()
            ticket = uuid.uuid4().hex
            me = {"server": _SERVER, "pid": os.getpid(), "host": socket.gethostname()}
            folder.record("queued", ticket=ticket, **me, **values)
            self._waiting.append(Waiting(path, ticket, job.owner, line))
            self._submitting.add(ticket)
        try:
            self._submit_next()
        finally:
            with self._lock:
                self._submitting.discard(ticket)
                refused = self._refused.pop(ticket, None)
        if refused is not None:
            raise ValueError(refused)

    def _submit_next(self) -> None:
        """Give jobs to the executor while it has a free worker; note those that it refuses."""
        # One thread at a time. The executor may take seconds, during which pages ask for places.
        with self._submits:
            # Each turn takes one job off those that wait.
            while (job := self._next()) is not None:
                if self._is_over_time(job):
                    continue
                try:
                    task = self._executor.submit(work_in_child, job.path, job.ticket)
                except Exception as error:
                    # It would refuse the others as well, and each refusal may take seconds.
                    with self._lock:
                        all_waiting, self._waiting = self._waiting, []
                        # Whoever submitted one of them now is told. The others find it recorded.
                        told = {one.ticket: _refuse(one, error) for one in all_waiting}
                        self._refused |= {t: told[t] for t in told if t in self._submitting}
                    break
                self._take(job, task)
        self._watch_workers()

    def _is_over_time(self, job: Waiting) -> bool:
        """Stop a job that waits if its person has trained long enough by now."""
        try:
            check_time_for(job.person)
        except ValueError as error:
            with self._lock:
                self._waiting = [one for one in self._waiting if one != job]
            with contextlib.suppress(ValueError):  # It was deleted.
                job_at(job.path).folder.record("stopped", message=str(error))
            return True
        return False

    def _next(self) -> Waiting | None:
        """Return the job that comes next, if a worker is free; it stays among those that wait."""
        with self._lock:
            self._submitted = {
                path: task for path, task in self._submitted.items() if not task.done()
            }
            if not self._waiting or len(self._submitted) >= self.n_workers:
                return None
            return self._turns.next_of(self._waiting)

    def _take(self, job: Waiting, task: Future[None]) -> None:
        """Note that the executor has a job, unless the job was cancelled in the meantime."""
        with self._lock:
            if job in self._waiting:
                self._waiting.remove(job)
            elif task.cancel():
                return
            self._turns.take(job)
            self._submitted[job.path] = task
        task.add_done_callback(partial(self._on_task_done, job))

    def _on_task_done(self, job: Waiting, task: Future[None]) -> None:
        _record_lost(task, job.path, job.ticket)
        # In a thread of its own, because the executor waits for this function.
        threading.Thread(target=self._submit_next, daemon=True).start()

    def _watch_workers(self) -> None:
        """While jobs wait for a cluster, look now and then whether it has more workers."""
        count = getattr(self._executor, "count_workers", None)
        with self._lock:
            if count is None or self._watches or not self._waiting:
                return
            self._watches = True

        def watch() -> None:
            try:
                # Bounded by the jobs: it ends when none waits. A visitor can cancel each of them.
                while True:
                    time.sleep(_LOOK_FOR_WORKERS)
                    count()
                    self._submit_next()
                    with self._lock:
                        if not self._waiting:
                            self._watches = False
                            return
            except BaseException:
                self._watches = False
                raise

        threading.Thread(target=watch, daemon=True).start()

    def cancel(self, folder: JobFolder) -> None:
        """Take a job out of the queue, or stop it if it is running; ended jobs do not change.

        It returns at once. Completed steps of a training and completed images are kept. A job that
        does not stop by itself is ended after half a minute, see `jobs.job_task`.

        Raises
        ------
        ValueError
            If it belongs to another person.
        """
        status = folder.progress.status
        if status not in ("queued", "running"):
            return
        folder.ask_to_stop()
        path = _key(folder)
        with self._lock:
            waited = [job for job in self._waiting if job.path == path]
            self._waiting = [job for job in self._waiting if job.path != path]
            task = self._submitted.get(path)
        if status == "queued":
            # A job that is just being started finds the request to stop.
            if waited or task is None or not task.running():
                folder.record("stopped")
            if task is not None:
                task.cancel()
        elif task is None or task.done():
            # Started by a server that has ended, or from the command line: no task waits for it.
            threading.Thread(target=stop_by_force, args=(path,), daemon=True).start()

    def has_task(self, folder: JobFolder) -> bool:
        """Return whether this server has a task for a job: it waits, runs, or will be repeated.

        A job whose machine is lost counts as crashed until its task has begun on another one.
        """
        path = _key(folder)
        with self._lock:
            task = self._submitted.get(path)
            waits = path in (job.path for job in self._waiting)
        return waits or (task is not None and not task.done())

    def position(self, folder: JobFolder) -> int | None:
        """Return 1 for the job that starts next, and so on; None if it is not queued here."""
        path = _key(folder)
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
        path = "" if folder is None else _key(folder)
        going, waiting = self._paths(None if path else Waiting(path, person=person))
        if path not in waiting:
            return []
        found = []
        for other in (*going, *waiting[: waiting.index(path)]):
            with contextlib.suppress(ValueError):  # It was deleted.
                found.append(job_at(other).folder)
        return found

    def _paths(self, another: Waiting | None = None) -> tuple[list[str], list[str]]:
        """Return the running jobs, and the waiting ones in order, `another` among them."""
        with self._lock:
            given = {path: self._is_waiting(path) for path in self._submitted}
            there = [job for job in self._waiting if _is_queued(job.path)]
            ordered = self._turns.order([*there, another] if another else there)
            going = [path for path, waits in given.items() if not waits]
            going = [path for path in going if not self._submitted[path].done()]
        handed = [path for path, waits in given.items() if waits]
        return going, [*handed, *(job.path for job in ordered)]

    def _is_waiting(self, path: str) -> bool:
        if path in (job.path for job in self._waiting):
            return _is_queued(path)
        task = self._submitted.get(path)
        # Dask does not say whether a task runs, so ask the job.
        return not (task is None or task.done() or task.running()) and _is_queued(path)


def _key(folder: JobFolder) -> str:
    return str(folder.path.absolute())


def is_left_behind(folder: JobFolder) -> bool:
    """Return whether a job is queued but its server has ended, perhaps before it queued the job."""
    queued = last_queued(folder)
    if folder.progress.status != "queued":
        return False
    return holder(folder.path) is None if queued is None else not _server_is_alive(queued)


def _is_queued(path: str) -> bool:
    try:
        return job_at(path).folder.progress.status == "queued"
    except ValueError:
        return False  # It was deleted.


def _refuse(job: Waiting, error: Exception) -> str:
    """Record in a job that the executor did not take it; return the message."""
    message = f"it could not be queued ({error}); start it again"
    with contextlib.suppress(ValueError):
        kind = job_at(job.path)
        message = f"the {kind.what} could not be queued ({error}); start it again"
        if has_ticket(kind.folder, job.ticket):
            kind.folder.record("failed", message=message)
    return message


def _record_lost(future: Future[None], path: str, ticket: str) -> None:
    """Record in a job if the executor could not execute its task."""
    if not future.cancelled() and future.exception() is None:
        return
    with contextlib.suppress(OSError, ValueError):
        job = job_at(path)
        folder = job.folder
        # `Jobs.cancel` records the stop before it cancels the task.
        if has_ticket(folder, ticket) and folder.progress.status == "queued":
            error = None if future.cancelled() else future.exception()
            reason = " ".join(str(error or "the connection to its scheduler was lost").split())
            folder.record(
                "failed", message=f"the queue lost this {job.what} ({reason}); start it again"
            )


def _server_is_alive(queued: dict[str, Any]) -> bool:
    """Return whether the server that queued a job may still start it."""
    if queued.get("server") == _SERVER or queued.get("host") != socket.gethostname():
        return True  # A server on another machine cannot be checked from here.
    pid = queued.get("pid")
    # In a restarted container the new server may have the same process id.
    return isinstance(pid, int) and pid != os.getpid() and process_exists(pid)
