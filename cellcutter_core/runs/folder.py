"""The folder that holds all run folders, each named by the id of its run, which URLs contain."""

from __future__ import annotations

import os
import re
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from cellcutter_core.files import explaining
from cellcutter_core.limits import check_room
from cellcutter_core.runs.description import Description
from cellcutter_core.runs.lock import alive
from cellcutter_core.runs.store import Progress, Run, progress

# Without 0, o, 1 and l, because an id may be read aloud.
_LETTERS = "23456789abcdefghijkmnpqrstuvwxyz"
DELETED = ".deleted"
"""The folder of deleted runs, see `runs.deleted`."""
DRAFTS, UPLOADS = ".drafts", ".files"
"""The folders of drafts and uploads, see `choices`."""

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class RunSummary(Progress):
    """One line of a list of runs: its progress, with the last epoch alone and without steps.

    Attributes
    ----------
    id : str
        Id of the run, for `find_run`.
    description : Description
    """

    id: str
    description: Description

    @property
    def owner(self) -> str:
        """Whose it is, see `Description.owner`."""
        return self.description.owner


def runs_folder() -> Path:
    """Return the folder of runs: CELLCUTTER_RUNS, or the usual folder for data in the user's home.

    On a cluster it must be on a file system that all machines share.
    """
    chosen = os.environ.get("CELLCUTTER_RUNS")
    if chosen:
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path("cellcutter", appauthor=False) / "runs"


def make_folder(folder: Path) -> None:
    """Make a folder below `runs_folder`, if it is not there.

    Raises
    ------
    ValueError
        If it cannot be written.
    """
    advice = "set CELLCUTTER_RUNS to a folder that can be written"
    with explaining(f"cannot write {folder}", advice):
        folder.mkdir(parents=True, exist_ok=True)


def new_run_id() -> str:
    """Return an id for a new run: date, time (UTC) and 13 random characters; sorts by time.

    Nobody can guess it: the characters have 64 random bits.

    Examples
    --------
    >>> new_run_id()  # doctest: +SKIP
    '20261122-140532-x7k2pq4mbt9we'
    """
    now = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    return f"{now}-{''.join(secrets.choice(_LETTERS) for _ in range(13))}"


def new_run_path() -> Path:
    """Return the path of a new run folder.

    Raises
    ------
    ValueError
        If a limit of the server allows no more runs, see `limits.check_room`.
    """
    folder = runs_folder()
    check_room(folder, len(_candidates(folder)) + 1)
    return folder / new_run_id()


def find_run(run_id: str) -> Run:
    """Open the run of that id.

    Raises
    ------
    ValueError
        If it is no id (but a path, for example), there is no such run, or it is damaged.
    """
    path = path_of(run_id)
    if not path.is_dir():
        if (runs_folder() / DELETED / path.name).is_dir():
            raise ValueError(f"run {run_id} was deleted; it can be brought back on the page Runs")
        raise ValueError(
            f"there is no run {run_id}; it may have been deleted. Choose another or start a new one"
        )
    return Run(path)


def list_runs() -> tuple[list[RunSummary], int]:
    """Return all runs, newest first.

    Returns
    -------
    runs : list of RunSummary
    n_damaged : int
        Number of run folders that cannot be read.
    """
    found, n_damaged = summaries_in(runs_folder())
    found.sort(key=lambda run: (run.description.created, run.id), reverse=True)
    return found, n_damaged


def valid_id(given: str) -> str:
    """Return the id if it is valid: only letters, digits and hyphens, so that it is no path.

    Raises
    ------
    ValueError
        If it is not valid.
    """
    # It comes from a URL, and must not lead out of the folder.
    if not isinstance(given, str) or not _PLAIN.fullmatch(given):
        raise ValueError(
            f"{repr(given)[:60]} is not the id of a run; an id has only letters, digits and "
            "hyphens. Choose a run from the list"
        )
    return given


def path_of(run_id: str) -> Path:
    """Return the path of the run of that id; it need not exist.

    Raises
    ------
    ValueError
        If it is no id, or there is a link to another folder.
    """
    path = runs_folder() / valid_id(run_id)
    if path.is_symlink():
        raise ValueError(f"run {run_id} is a link to another place; move the run folder here")
    return path


def summaries_in(folder: Path) -> tuple[list[RunSummary], int]:
    """Return the runs in a folder, unordered, and the number of those that cannot be read."""
    found, n_damaged = [], 0
    for path in _candidates(folder):
        try:
            found.append(summary_of(path))
        except ValueError:
            n_damaged += 1
    return found, n_damaged


def _candidates(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    # A folder without run.json is still being created.
    return [
        path
        for path in folder.iterdir()
        if _PLAIN.fullmatch(path.name) and (path / "run.json").exists() and not path.is_symlink()
    ]


def summary_of(path: Path) -> RunSummary:
    """Return the summary of the run in a folder.

    Raises
    ------
    ValueError
        If there is no run, or it is damaged.
    """
    try:
        stamp = [(path / "run.json").stat().st_mtime_ns]
    except OSError:
        raise ValueError(f"there is no run in {path}") from None
    with suppress(FileNotFoundError):
        stat = (path / "events.jsonl").stat()
        stamp += [stat.st_mtime_ns, stat.st_size]
    summary = _read(path, *stamp)
    # A crash changes no file, so the status is not cached.
    return _read.__wrapped__(path) if summary.status in ("running", "crashed") else summary


@lru_cache(maxsize=16_384)
def _read(path: Path, *stamp: int) -> RunSummary:
    del stamp  # Times and size of its files: part of the cache key.
    run = Run(path)
    now = progress(run.events(brief=True), run.config, alive=partial(alive, path))
    last = {"epoch_events": now.epoch_events[-1:], "step": 0, "seconds_left": None}
    return RunSummary(id=path.name, description=run.description, **{**vars(now), **last})
