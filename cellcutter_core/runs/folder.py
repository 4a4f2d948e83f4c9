"""The folder in which runs are kept, each under an id that stands in a URL."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from cellcutter_core.runs.store import Progress, Run, Status

# Neither 0 and o nor 1 and l: an id may be read aloud.
_LETTERS = "23456789abcdefghijkmnpqrstuvwxyz"
DELETED = ".deleted"
"""The folder of runs that were deleted, see `runs.deleted`."""

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)


@dataclass(frozen=True)
class RunSummary:
    """One line of a list of runs.

    Attributes
    ----------
    id : str
        What `find_run` takes.
    created : float
        Seconds since 1970.
    description : mapping
        What the run was created with, such as "image", the name of its image.
    preset : str
        Which preset its settings were made from.
    status : str
        See `Progress`, as for the rest.
    message : str
    epochs_done, epochs : int
    seconds : float
    collapsed : bool
    scores : mapping or None
        Against the truth, after the last epoch that was trained; None where there is no truth.
    """

    id: str
    created: float
    description: Mapping[str, Any]
    preset: str
    status: Status
    message: str
    epochs_done: int
    epochs: int
    seconds: float
    collapsed: bool
    scores: Mapping[str, Any] | None


def runs_folder() -> Path:
    """Where runs are: CELLCUTTER_RUNS, or a folder for such data in the user's home.

    On a cluster it has to be on a file system that all machines share.
    """
    chosen = os.environ.get("CELLCUTTER_RUNS")
    if chosen:
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path("cellcutter", appauthor=False) / "runs"


def new_run_id() -> str:
    """A name for a new run: date, time (UTC) and five random characters; sorts by time.

    Examples
    --------
    >>> new_run_id()  # doctest: +SKIP
    '20261122-140532-x7k2p'
    """
    now = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    return f"{now}-{''.join(secrets.choice(_LETTERS) for _ in range(5))}"


def new_run_path() -> Path:
    """Where a new run shall be created."""
    return runs_folder() / new_run_id()


def find_run(run_id: str) -> Run:
    """The run of that id.

    Raises
    ------
    ValueError
        If it is no id (a path, for one), or there is no such run, or it is damaged.
    """
    path = path_of(run_id)
    if not path.is_dir():
        if (runs_folder() / DELETED / path.name).is_dir():
            raise ValueError(
                f"run {run_id} was deleted; the list of runs on the page Train brings it back"
            )
        raise ValueError(
            f"there is no run {run_id}; it may have been deleted. Choose another or start a new one"
        )
    return Run(path)


def list_runs() -> tuple[list[RunSummary], int]:
    """All runs, newest first.

    Returns
    -------
    runs : list of RunSummary
    n_damaged : int
        Folders there that look like a run and cannot be read.
    """
    found, n_damaged = summaries_in(runs_folder())
    found.sort(key=lambda run: (run.created, run.id), reverse=True)
    return found, n_damaged


def valid_id(given: str) -> str:
    """The id itself: letters, digits and hyphens alone, so that it names one folder and no path.

    Raises
    ------
    ValueError
        If it is none.
    """
    # It comes from a URL: nothing that could lead out of the folder gets through.
    if not isinstance(given, str) or not _PLAIN.fullmatch(given):
        raise ValueError(
            f"{repr(given)[:60]} is not the id of a run; an id has letters, digits and hyphens "
            "alone. Choose a run from the list"
        )
    return given


def path_of(run_id: str) -> Path:
    """Where the run of that id is, if there is one.

    Raises
    ------
    ValueError
        If it is no id.
    """
    return runs_folder() / valid_id(run_id)


def summaries_in(folder: Path) -> tuple[list[RunSummary], int]:
    """The runs in a folder in no order, and how many there cannot be read."""
    found, n_damaged = [], 0
    for path in _candidates(folder):
        try:
            found.append(_summary(path))
        except ValueError:
            n_damaged += 1
    return found, n_damaged


def _candidates(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    # One without a run.json is just being created.
    return [
        path
        for path in folder.iterdir()
        if _PLAIN.fullmatch(path.name) and (path / "run.json").exists()
    ]


def _summary(path: Path) -> RunSummary:
    events = path / "events.jsonl"
    try:
        stat = events.stat()
        stamp = (stat.st_mtime_ns, stat.st_size)
    except FileNotFoundError:
        stamp = (0, 0)
    summary = _read(path, stamp)
    # Whether it still runs is not in a file that changes.
    return _read.__wrapped__(path, stamp) if summary.status in ("running", "crashed") else summary


@lru_cache(maxsize=512)
def _read(path: Path, stamp: tuple[int, int]) -> RunSummary:
    del stamp  # Of the events; read again when they changed.
    run = Run(path)
    now: Progress = run.progress
    return RunSummary(
        id=path.name,
        created=float(run.description.get("created", 0)),
        description=run.description,
        preset=run.config.preset,
        status=now.status,
        message=now.message,
        epochs_done=now.epochs_done,
        epochs=now.epochs,
        seconds=now.seconds,
        collapsed=now.collapsed,
        scores=now.trained_events[-1].get("scores") if now.trained_events else None,
    )
