"""Deleted runs, which are kept for a while so that they can be brought back.

RUNS/.deleted/ID    the unchanged run folder; its modification time is that of the deletion
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from pathlib import Path

from cellcutter_core.files import explaining
from cellcutter_core.runs.folder import (
    DELETED,
    RunSummary,
    path_of,
    runs_folder,
    summaries_in,
    valid_id,
)
from cellcutter_core.runs.lock import held, holder
from cellcutter_core.runs.store import Run

KEPT_DAYS = 7
"""After this many days, a deleted run is removed for good at the next deletion."""


def delete_run(run_id: str) -> None:
    """Delete a run; `restore_run` brings it back.

    A queued run is stopped, so that it never starts. Runs that were deleted more than `KEPT_DAYS`
    days ago are removed for good.

    Raises
    ------
    ValueError
        If there is no such run, it is running, or it cannot be moved.
    """
    run = check_deletable(run_id)
    path, aside = path_of(run_id), _place(run_id)
    with explaining(f"cannot delete {path}", "check who owns the folder"):
        aside.parent.mkdir(exist_ok=True)
        if aside.exists():
            _remove(aside)  # A deleted run of the same name, from a copy of the folder.
        with held(path):
            if run is not None and run.progress.status == "queued":
                run.record("stopped")
            # One rename: a reader sees the whole run or none.
            path.rename(aside)
        (aside / "lock").unlink(missing_ok=True)
        os.utime(aside)
    _remove_old()


def check_deletable(run_id: str) -> Run | None:
    """Return the run, or None if it is damaged, which can be deleted, too.

    Raises
    ------
    ValueError
        If there is no such run, it is running, or it is being applied.
    """
    path = path_of(run_id)
    if not path.is_dir():
        raise ValueError(f"there is no run {run_id}; it has been deleted already")
    run, status = None, "failed"
    with contextlib.suppress(ValueError):
        there = Run(path)
        run, status = there, there.progress.status
    if status == "running":
        raise ValueError(f"run {run_id} is still running; stop it first, then delete it")
    if any(holder(folder) is not None for folder in (path / "applied").glob("*")):
        raise ValueError(f"run {run_id} is being applied to images; stop the application first")
    return run


def restore_run(run_id: str) -> None:
    """Bring a deleted run back, with everything in its folder.

    Raises
    ------
    ValueError
        If it no longer exists, there is another run of that id, or it cannot be moved.
    """
    aside, path = _there(run_id), path_of(run_id)
    if path.exists():
        raise ValueError(f"there is already a run {run_id}; delete it first")
    with explaining(f"cannot bring {path} back", "check who owns the folder"):
        aside.rename(path)


def remove_run(run_id: str) -> None:
    """Remove a deleted run for good.

    Raises
    ------
    ValueError
        If it no longer exists or cannot be removed.
    """
    aside = _there(run_id)
    with explaining(f"cannot remove {aside}", "check who owns the folder"):
        _remove(aside)


def deleted_runs() -> list[RunSummary]:
    """Return the runs that can be brought back, the one deleted last first."""
    found, _ = summaries_in(runs_folder() / DELETED)
    return sorted(found, key=lambda run: _deleted_at(_place(run.id)), reverse=True)


def _place(run_id: str) -> Path:
    return runs_folder() / DELETED / valid_id(run_id)


def _there(run_id: str) -> Path:
    aside = _place(run_id)
    if not aside.is_dir():
        raise ValueError(f"the deleted run {run_id} no longer exists")
    return aside


def _deleted_at(aside: Path) -> float:
    with contextlib.suppress(OSError):
        return aside.stat().st_mtime
    return 0.0


def _remove(aside: Path) -> None:
    # First renamed to a hidden name, so that nobody finds half of it.
    going = aside.with_name(f".{aside.name}-{secrets.token_hex(4)}")
    aside.rename(going)
    shutil.rmtree(going)


def _remove_old() -> None:
    """Remove runs that were deleted long ago; a run that cannot be removed is tried again later."""
    limit = time.time() - KEPT_DAYS * 86_400
    with contextlib.suppress(OSError):
        for aside in (runs_folder() / DELETED).iterdir():
            if _deleted_at(aside) < limit:
                shutil.rmtree(aside, ignore_errors=True)
