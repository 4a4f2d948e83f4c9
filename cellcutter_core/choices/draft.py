"""Drafts: choices that are stored on disk, so that a reloaded page finds them again.

RUNS/.drafts/ID/choices.json        the choices
RUNS/.drafts/ID/markers-KEY.npz     markers edited by hand, for one region of one image
RUNS/.drafts/ID/seen.json           the keys of the steps that the user has looked at
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cellcutter_core.choices.choices import Choices, keys
from cellcutter_core.files import UNREADABLE, atomic, read_arrays, write_whole
from cellcutter_core.markers.finding import Nuclei
from cellcutter_core.people.access import is_own
from cellcutter_core.runs.folder import DRAFTS, make_folder, new_run_id, runs_folder, valid_id


class Draft:
    """The choices under one id. Nothing is on disk until something is saved.

    Parameters
    ----------
    draft_id : str, optional
        The id in the URL; default a new one.
    person : str
        Who uses it, see `people.person.person_of`.

    Raises
    ------
    ValueError
        If it is not a valid id.
    """

    def __init__(self, draft_id: str | None = None, *, person: str = "") -> None:
        self.id = valid_id(draft_id) if draft_id else new_run_id()
        self._person = person
        self._folder = runs_folder() / DRAFTS / self.id

    @property
    def exists(self) -> bool:
        """Whether something was saved under this id."""
        return (self._folder / "choices.json").exists()

    @property
    def is_own(self) -> bool:
        """Whether this person may change the draft: it is theirs, or the server is for one."""
        try:
            owner = (self._folder / "owner").read_text("utf-8")
        except OSError:
            owner = ""
        return is_own(owner, self._person)

    def copy(self) -> Draft:
        """Return a copy for this person, with the choices and the edited markers.

        Raises
        ------
        ValueError
            If the files cannot be read or written.
        """
        copied = Draft(person=self._person)
        choices = self.load()
        copied.save(choices)
        copied.save_markers(choices, self.markers(choices))
        return copied

    def load(self) -> Choices:
        """Return the choices saved last, or the defaults if nothing was saved.

        Raises
        ------
        ValueError
            If the file is damaged.
        """
        file = self._folder / "choices.json"
        with contextlib.suppress(OSError):
            os.utime(file)  # A draft that somebody opens is young, see `uploads.remove_unused`.
        try:
            return Choices(**json.loads(file.read_text("utf-8")))
        except FileNotFoundError:
            return Choices()
        except (OSError, TypeError, ValueError) as error:
            raise ValueError(
                f"the choices in {file} cannot be read ({error}); choose the image again"
            ) from None

    def save(self, choices: Choices) -> None:
        """Store these choices.

        Raises
        ------
        ValueError
            If the folder cannot be written.
        """
        make_folder(self._folder)
        if self._person and not self.exists:
            write_whole(self._folder / "owner", self._person)
        write_whole(self._folder / "choices.json", choices.model_dump_json(indent=1))

    def seen(self) -> dict[str, dict[str, bool]]:
        """Return the steps that the user has looked at, as given to `save_seen`."""
        try:
            found = json.loads((self._folder / "seen.json").read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def save_seen(self, seen: Mapping[str, Mapping[str, bool]]) -> None:
        """Store the keys seen for each step, and whether the step was valid then.

        Does nothing for an unsaved draft, and ignores write errors.
        """
        if self.exists:
            with contextlib.suppress(OSError), atomic(self._folder / "seen.json") as temporary:
                temporary.write_text(json.dumps(seen), "utf-8")

    def markers(self, choices: Choices) -> Nuclei | None:
        """Return the edited markers of this image and region, or None.

        Raises
        ------
        ValueError
            If the file is damaged.
        """
        file = self._markers_file(choices)
        try:
            arrays = read_arrays(file)
            return Nuclei(arrays["regions"], arrays["points"])
        except FileNotFoundError:
            return None
        except UNREADABLE as error:
            raise ValueError(
                f"the edited markers in {file} cannot be read ({error}); start again with the "
                "found markers"
            ) from None

    def save_markers(self, choices: Choices, markers: Nuclei | None) -> None:
        """Store edited markers for this image and region; None removes them.

        Raises
        ------
        ValueError
            If the file cannot be written.
        """
        file = self._markers_file(choices)
        if markers is None:
            file.unlink(missing_ok=True)
            return
        make_folder(self._folder)
        with atomic(file) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, regions=markers.regions, points=markers.points)

    def _markers_file(self, choices: Choices) -> Path:
        return self._folder / f"markers-{keys(choices)['image']}.npz"


def markers_digest(markers: Nuclei | None) -> str:
    """Return a short digest of edited markers, empty for None; see `keys`."""
    if markers is None:
        return ""
    parts = (markers.regions, markers.points.astype(np.float64))
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()[:16]
