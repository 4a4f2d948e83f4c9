"""What a person sees and may change: their own runs, and to look at, those whose link they have.

RUNS/.people/PERSON/opened/ID    empty; there if the person opened the run by its link

An empty name of a person means a server for one person, who may do everything.
"""

from __future__ import annotations

from collections.abc import Iterable

from cellcutter_core.people.person import folder_of, note, noted
from cellcutter_core.runs.folder import RunSummary, find_run, valid_id
from cellcutter_core.runs.store import Run

_OPENED = "opened"


def is_own(owner: str, person: str) -> bool:
    """Return whether what has this owner may be changed by a person."""
    return person in ("", owner)


def visible(runs: Iterable[RunSummary], person: str) -> list[RunSummary]:
    """Return the runs that a list shows to a person, in the same order."""
    if not person:
        return list(runs)
    opened = set(noted(person, _OPENED))
    return [run for run in runs if is_own(run.owner, person) or run.id in opened]


def open_run(run_id: str, person: str) -> Run:
    """Open a run by its id, which nobody can guess; another person's can only be looked at.

    Raises
    ------
    ValueError
        As `find_run`.
    """
    run = find_run(run_id)
    run.is_read_only = not is_own(run.description.owner, person)
    return run


def note_opened(run: Run, person: str) -> None:
    """Note that a person opened a run by its link, so that their list shows it from now on.

    Raises
    ------
    ValueError
        If the folder cannot be written.
    """
    if run.is_read_only:
        note(person, _OPENED, run.id)


def forget_opened(run_id: str, person: str) -> None:
    """Take another person's run off a person's list; the run stays."""
    (folder_of(person, _OPENED) / valid_id(run_id)).unlink(missing_ok=True)
