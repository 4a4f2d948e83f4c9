"""Where tasks of the queue run: threads of this process, or the workers of a Dask cluster.

On a cluster the workers see the runs in the same folder as this process, and have this package.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any

from cellcutter_core.limits import limits
from cellcutter_core.processes.threads import Threads

if TYPE_CHECKING:
    from distributed import Client

# Seconds that a scheduler may take to answer.
PATIENCE = 10.0
# A worker that is started with `--resources GPU=1` works on one run at a time on that GPU.
GPU = "GPU"


def chosen_scheduler() -> str | None:
    """Return the address of the Dask scheduler that CELLCUTTER_SCHEDULER names, if any."""
    return os.environ.get("CELLCUTTER_SCHEDULER") or None


def chosen_executor(scheduler: str | None = None) -> Cluster | Threads:
    """Return where tasks run.

    Parameters
    ----------
    scheduler : str, optional
        Address of a Dask scheduler, such as "tcp://host:8786"; default CELLCUTTER_SCHEDULER.
        Without either, tasks run in threads here, as many as CELLCUTTER_WORKERS says, or else one.

    Raises
    ------
    ValueError
        If CELLCUTTER_WORKERS is no valid number of workers, another limit has no valid value, or
        Dask is not installed.
    """
    address = scheduler or chosen_scheduler()
    return Cluster(address) if address else Threads(limits().workers)


class Cluster(Executor):
    """The workers of a Dask scheduler. It is connected to when it is needed.

    Parameters
    ----------
    address : str
        Address of the scheduler, such as "tcp://host:8786".

    Attributes
    ----------
    n_workers : int
        How many tasks the workers could run at once when they were last asked; at least 1.

    Raises
    ------
    ValueError
        If Dask is not installed.
    """

    def __init__(self, address: str) -> None:
        try:
            import distributed
        except ImportError as error:
            raise ValueError(
                f"the scheduler {address} needs Dask, which is not installed: "
                'pip install "dask[distributed]"'
            ) from error
        del distributed
        self.address, self.n_workers = address, 1
        self._client: Client | None = None
        self._has_gpu = False
        self._lock = threading.Lock()

    def connect(self) -> tuple[Client, bool]:
        """Connect to the scheduler, unless that is done.

        Returns
        -------
        client : distributed.Client
        has_gpu : bool
            Whether a worker has a GPU.

        Raises
        ------
        ValueError
            If it does not answer.
        """
        from distributed import Client

        known = False
        try:
            with self._lock:
                if self._client is None or self._client.status != "running":
                    self._client = Client(self.address, timeout=PATIENCE, set_as_default=False)
                else:
                    known = True
                client = self._client
            about = client.sync(client.scheduler.identity, n_workers=-1, callback_timeout=PATIENCE)
        except (OSError, ValueError, AttributeError) as error:
            if known and isinstance(error, TimeoutError) and client.status == "running":
                return client, self._has_gpu  # It is busy.
            raise ValueError(
                f"the scheduler {self.address} does not answer ({error}); check the address, and "
                "that it runs"
            ) from error
        workers = about["workers"].values()
        n_gpus = sum(int(worker["resources"].get(GPU, 0)) for worker in workers)
        # Where there are GPUs, only their workers get tasks.
        self.n_workers = max(n_gpus or sum(worker["nthreads"] for worker in workers), 1)
        self._has_gpu = n_gpus > 0
        return client, self._has_gpu

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Put a task at the end of the scheduler's queue.

        Raises
        ------
        RuntimeError
            If the scheduler does not answer.
        """
        try:
            client, has_gpu = self.connect()
            # Two tasks with equal arguments are two tasks.
            executor = client.get_executor(pure=False, resources={GPU: 1} if has_gpu else None)
            future: Future[Any] = executor.submit(function, *args, **kwargs)
        except ValueError as error:
            raise RuntimeError(str(error)) from error
        return future

    def count_workers(self) -> None:
        """Ask the scheduler how many workers it has; without an answer nothing changes."""
        with contextlib.suppress(ValueError):
            self.connect()

    def close(self) -> None:
        """Close the connection. The scheduler forgets tasks that wait; those that run go on."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close(PATIENCE)
