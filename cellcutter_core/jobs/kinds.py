"""The kinds of jobs: trainings, and applications of a run's network to other images.

A job is a folder that one process at a time works on, and the work. Everything else about jobs, as
the queue and the worker, is the same for all kinds. A further kind is a class here and a line in
`KINDS`.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any, ClassVar

from cellcutter_core.config import check_current
from cellcutter_core.jobs.executors import Cluster, chosen_scheduler
from cellcutter_core.runs.job_folder import JobFolder
from cellcutter_core.runs.store import Run

if TYPE_CHECKING:
    from cellcutter_core.apply.application_folder import Application


class Job(ABC):
    """The work in a folder.

    Parameters
    ----------
    path : path
        The folder.

    Attributes
    ----------
    what : str
        What the kind is called in messages.
    file : str
        The file that only folders of this kind have.
    spreads : bool
        Whether the work consists of tasks for the workers of a cluster. Then the job itself is
        executed where the server is.
    folder : Run or Application

    Raises
    ------
    ValueError
        If there is no such folder, or it is damaged.
    """

    what: ClassVar[str]
    file: ClassVar[str]
    spreads: ClassVar[bool] = False
    folder: JobFolder

    @abstractmethod
    def __init__(self, path: str | Path) -> None: ...

    @property
    @abstractmethod
    def owner(self) -> str:
        """Whose it is, see `Description.owner`."""

    @abstractmethod
    def check(self) -> Mapping[str, Any]:
        """Return what is to be recorded when the job is queued.

        Raises
        ------
        ValueError
            If there is nothing left to do, or the run is of an earlier version.
        """

    @abstractmethod
    def work(self, *, stop: Callable[[], bool]) -> None:
        """Do the work in this process, until it is done or asked to stop.

        Raises
        ------
        ValueError
            Whatever is wrong; it is recorded as well.
        """

    @abstractmethod
    def seconds_left(self, device: str | None) -> float | None:
        """Estimate how long it still takes; None if that is not known."""


class Training(Job):
    """The training of a run, to `epochs` or else to its last planned epoch."""

    what, file = "training", "run.json"
    folder: Run

    def __init__(self, path: str | Path, *, epochs: int | None = None) -> None:
        self.folder, self.epochs = Run(path), epochs

    @property
    def owner(self) -> str:
        return self.folder.description.owner

    def check(self) -> Mapping[str, Any]:
        config, now = self.folder.config, self.folder.progress
        check_current(config)
        if self.epochs is not None:
            config.training.replace(epochs=self.epochs)  # It checks the bounds.
        last = self.epochs or now.epochs
        # One that was killed after its last epoch has its end left to do.
        if now.epochs_done >= last + (now.status != "finished"):
            raise ValueError(
                f"this run already has {now.epochs_done} epochs; "
                "choose a larger number of epochs to continue it"
            )
        return {"epochs": last}

    def work(self, *, stop: Callable[[], bool]) -> None:
        from cellcutter_core.jobs.training import work

        work(self.folder, stop=stop)

    def seconds_left(self, device: str | None) -> float | None:
        from cellcutter_core.jobs.estimate import estimate_seconds

        run, now = self.folder, self.folder.progress
        if now.status == "running" and now.seconds_left is not None:
            return now.seconds_left
        if not now.n_left:
            return 0.0
        training = run.config.training.replace(epochs=now.n_left)
        config = run.config.replace(training=training)
        seconds, _ = estimate_seconds(run.inputs, config, device=device)
        # Of the first of these epochs some steps may be done.
        seconds *= 1 - now.step / (now.n_left * now.steps)
        if now.status == "running":
            # Before the first step, the time since the start counts as done.
            starts = [event["time"] for event in run.events() if event["kind"] == "started"]
            seconds -= max(time.time() - max(starts, default=0.0), 0.0)
        return max(seconds, 1.0)


class Applying(Job):
    """The application of a run's network to the remaining images."""

    what, file, spreads = "application", "application.json", True
    folder: Application

    def __init__(self, path: str | Path) -> None:
        from cellcutter_core.apply.application_folder import Application

        self.folder = Application(path)

    @property
    def owner(self) -> str:
        return self.folder.run.description.owner

    def check(self) -> Mapping[str, Any]:
        check_current(self.folder.run.config)
        now = self.folder.progress
        # One that was killed after its last image has its end left to do.
        if not now.n_left and now.status == "finished":
            raise ValueError("all these images are already done; choose others")
        return {}

    def work(self, *, stop: Callable[[], bool]) -> None:
        from cellcutter_core.apply.application_folder import work

        work(self.folder, stop=stop, connect=_chosen_cluster)

    def seconds_left(self, device: str | None) -> float | None:
        """Estimate it from the images that are done here, or earlier with this network.

        From the second image since its start on, the pace counts: several workers may share them.
        """
        from cellcutter_core.apply.application_folder import applications

        del device
        now = self.folder.progress
        if now.status == "running" and (pace := self.folder.pace) is not None:
            return pace * now.n_left
        took = [one.seconds for one in now.outcomes if not one.error]
        for other in applications(self.folder.run):
            if took:
                break
            took = [one.seconds for one in other.progress.outcomes if not one.error]
        return mean(took) * now.n_left if took else None


@contextmanager
def _chosen_cluster() -> Iterator[Cluster | None]:
    """Connect to the cluster that CELLCUTTER_SCHEDULER names, if it names one."""
    if (address := chosen_scheduler()) is None:
        yield None
        return
    with closing(Cluster(address)) as cluster:
        cluster.connect()
        yield cluster


KINDS: tuple[type[Job], ...] = (Training, Applying)


def job_at(path: str | Path, **wanted: Any) -> Job:
    """Return the job of a folder.

    Parameters
    ----------
    path : path
    wanted
        What its kind can be told, such as `epochs`.

    Raises
    ------
    ValueError
        If it is no folder of a job, or damaged.
    """
    for kind in KINDS:
        if (Path(path) / kind.file).exists():
            return kind(path, **wanted)
    raise ValueError(f"{path} is not the folder of a run or an application")
