"""How many runs, how much disk and how much training each person may have on a server for many.

RUNS/.people/PERSON/uploads/DIGEST    empty; there if the person stored that upload
RUNS/.people/PERSON/removed/ID        how long a run that is removed for good was trained

An empty name of a person means a server for one person, who has no such limits.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from cellcutter_core.files import write_whole
from cellcutter_core.limits import check_room, disk_used, limits, size_in_words, variable
from cellcutter_core.people.person import FOLDER, folder_of, note, noted
from cellcutter_core.runs.deleted import deleted_runs, remove_run
from cellcutter_core.runs.folder import (
    DELETED,
    UPLOADS,
    RunSummary,
    list_runs,
    make_folder,
    new_run_path,
    runs_folder,
)
from cellcutter_core.runs.store import Run

_STORED, _REMOVED = "uploads", "removed"
DAY = 86_400
"""Seconds over which the time of a person's trainings is added up."""


def path_for(person: str) -> Path:
    """Return the path of a new run folder for a person.

    Raises
    ------
    ValueError
        As by `check_room_for`.
    """
    _check_person(person, 1)
    return new_run_path()


def check_room_for(person: str, n_new: int) -> None:
    """Refuse new runs that are over a limit of the server, or over one of the person.

    Parameters
    ----------
    person : str
    n_new : int
        How many runs are to be made.

    Raises
    ------
    ValueError
        As by `limits.check_room`, `check_time_for` and `check_disk_for`, or if the person has too
        many runs.
    """
    runs, n_damaged = list_runs()
    check_room(runs_folder(), len(runs) + n_damaged + n_new)
    _check_person(person, n_new)


def _check_person(person: str, n_new: int) -> None:
    check_time_for(person)
    allowed = limits().person_runs
    if not person:
        return
    n_own = 0 if allowed is None else len(_of(person, list_runs()[0]))
    if allowed is not None and n_own + n_new > allowed:
        raise ValueError(
            f"you have {n_own} runs, {n_new} more would be over the {allowed} that "
            f"each person may have here ({variable('person_runs')} sets it); delete some on the "
            "page Runs"
        )
    check_disk_for(person)


def check_disk_for(person: str, n_bytes: int = 0) -> None:
    """Refuse to store more for a person whose runs and uploads take too much disk.

    Uploads count on a server that removes those that nothing uses, see `Limits.upload_days`.

    Parameters
    ----------
    person : str
    n_bytes : int
        Size of what is to be stored.

    Raises
    ------
    ValueError
    """
    allowed = limits()
    if not person or allowed.person_disk is None:
        return
    folder = runs_folder()
    runs = sum(disk_used(folder / run.id) for run in _of(person, list_runs()[0]))
    runs += sum(disk_used(folder / DELETED / run.id) for run in _of(person, deleted_runs()))
    uploads, days = 0, allowed.upload_days
    # Where uploads are never removed, they would keep a person out for good.
    if days is not None:
        uploads = n_bytes + sum(_size(folder / UPLOADS / digest) for digest in uploads_of(person))
    if runs + uploads >= allowed.person_disk:
        after = f"; uploads that no run uses are removed after {days} days" if uploads else ""
        raise ValueError(
            f"your runs take {size_in_words(runs)} and your uploads {size_in_words(uploads)} of "
            f"the {size_in_words(allowed.person_disk)} that each person may have here "
            f"({variable('person_disk')} sets it); delete runs on the page Runs and remove them "
            f"for good there{after}"
        )


def _size(upload: Path) -> int:
    """The size of an upload. Others may have stored it under other names; each counts one copy."""
    files = list(upload.iterdir()) if upload.is_dir() else []
    sizes = [0]
    for file in files:
        with suppress(OSError):  # It was removed a moment ago.
            sizes.append(file.stat().st_size)
    return max(sizes)


def uploads_of(person: str) -> list[str]:
    """Return the digests of the uploads that a person stored."""
    return noted(person, _STORED) if person else []


def note_upload(person: str, digest: str) -> None:
    """Note that a person stored an upload.

    Raises
    ------
    ValueError
        If the folder cannot be written.
    """
    if person:
        note(person, _STORED, digest)


def forget_upload(digest: str) -> None:
    """Note that an upload was removed, for all who stored it."""
    for file in (runs_folder() / FOLDER).glob(f"*/{_STORED}/{digest}"):
        file.unlink(missing_ok=True)


def check_time_for(person: str) -> None:
    """Refuse another training of a person who has trained long enough today.

    Raises
    ------
    ValueError
    """
    allowed = limits().person_seconds
    if not person or allowed is None:
        return
    used = seconds_of(person)
    if used >= allowed:
        raise ValueError(
            f"your trainings of the last 24 hours took {used:.0f} s, and each person may have "
            f"{allowed} s here ({variable('person_seconds')} sets it); try again later"
        )


def seconds_of(person: str) -> float:
    """Return how long the trainings of a person took in the last 24 hours, in seconds.

    Every step counts, also of a run that was stopped, deleted or removed for good.
    """
    folder = runs_folder()
    runs = [folder / run.id for run in _of(person, list_runs()[0])]
    runs += [folder / DELETED / run.id for run in _of(person, deleted_runs())]
    there = {run.name for run in runs}
    # If a removed run is still there, its steps are counted already.
    removed = [_removed(person, name) for name in noted(person, _REMOVED) if name not in there]
    return sum(seconds for run in runs for _, seconds in _recent_rows(run)) + sum(removed)


def remove_for_good(run_id: str) -> None:
    """Remove a deleted run; the time of its training still counts for the person whose it is.

    Raises
    ------
    ValueError
        As `remove_run`, or if that time cannot be noted.
    """
    run = next((one for one in deleted_runs() if one.id == run_id), None)
    rows = _recent_rows(runs_folder() / DELETED / run.id) if run and run.owner else []
    if run and rows:
        last, seconds = max(rows)[0], sum(seconds for _, seconds in rows)
        folder = folder_of(run.owner, _REMOVED)
        make_folder(folder)
        for earlier in noted(run.owner, _REMOVED):
            if not _removed(run.owner, earlier):
                (folder / earlier).unlink(missing_ok=True)
        write_whole(folder / run_id, json.dumps([last, seconds]))
    remove_run(run_id)


def _recent_rows(run: Path) -> list[tuple[float, float]]:
    """Return those of `_rows` that ended within the last day."""
    try:
        stat = (run / "events.jsonl").stat()
    except OSError:
        return []
    # Nothing was trained after the last event.
    if stat.st_mtime < time.time() - DAY:
        return []
    with suppress(ValueError):  # It was moved a moment ago.
        return [row for row in _rows(run, stat.st_mtime_ns, stat.st_size) if _is_recent(row[0])]
    return []


@lru_cache(maxsize=16_384)
def _rows(run: Path, *stamp: int) -> list[tuple[float, float]]:
    """Return when each row of training steps of a run ended, and the seconds of its steps.

    A row is an epoch, or the steps of an epoch before a stop.
    """
    del stamp  # Time and size of the file of events: part of the cache key.
    found = []
    for kind, row in groupby(Run(run).events(), key=itemgetter("kind")):
        if kind == "step":
            steps = list(row)
            seconds = sum(step.get("seconds", 0.0) for step in steps)
            found.append((steps[-1]["time"], seconds))
    return found


def _removed(person: str, run_id: str) -> float:
    """Return the seconds that are noted for a removed run; 0 if its last step is long ago."""
    with suppress(OSError, TypeError, ValueError):
        last, seconds = json.loads((folder_of(person, _REMOVED) / run_id).read_text("utf-8"))
        return float(seconds) if _is_recent(last) else 0.0
    return 0.0


def _is_recent(then: float) -> bool:
    # What is far in the future was written before the clock was set back.
    return abs(time.time() - then) < DAY


def _of(person: str, runs: list[RunSummary]) -> list[RunSummary]:
    return [run for run in runs if run.owner == person]
