"""Drafts: choices that are stored on disk, so that a reloaded page finds them again.

RUNS/.drafts/ID/choices.json        the choices
RUNS/.drafts/ID/markers-KEY.npz     markers edited by hand, for one region of one image
RUNS/.drafts/ID/seen.json           the keys of the steps that the user has looked at
RUNS/.files/DIGEST/NAME             uploaded files, each content once
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cellcutter_core.choices.choices import Choices, KeptFile, Source, keys
from cellcutter_core.files import UNREADABLE, atomic
from cellcutter_core.images.drawn_shapes import is_drawn
from cellcutter_core.images.guesses.label_images import shows_labels
from cellcutter_core.images.readers import read_contents
from cellcutter_core.limits import check_room
from cellcutter_core.markers.finding import Nuclei
from cellcutter_core.people.access import is_own
from cellcutter_core.runs.description import Description
from cellcutter_core.runs.folder import new_run_id, runs_folder, valid_id


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
        self._folder = runs_folder() / ".drafts" / self.id

    @property
    def exists(self) -> bool:
        """Return whether something was saved under this id."""
        return (self._folder / "choices.json").exists()

    @property
    def is_own(self) -> bool:
        """Return whether this person made it, or may change it because the server is for one."""
        try:
            return is_own((self._folder / "owner").read_text("utf-8"), self._person)
        except OSError:
            return is_own("", self._person)

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
        _make_folder(self._folder)
        if self._person and not self.exists:
            with atomic(self._folder / "owner") as temporary:
                temporary.write_text(self._person, "utf-8")
        with atomic(self._folder / "choices.json") as temporary:
            temporary.write_text(choices.model_dump_json(indent=1), "utf-8")

    def seen(self) -> dict[str, dict[str, bool]]:
        """Return the steps that the user has looked at, as given to `save_seen`."""
        try:
            found = json.loads((self._folder / "seen.json").read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def save_seen(self, seen: Mapping[str, Mapping[str, bool]]) -> None:
        """Store for each step the keys that the user has looked at, and whether it was valid.

        Nothing is stored before something was chosen. A failure to write is ignored.
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
            with np.load(file, allow_pickle=False) as archive:
                return Nuclei(archive["regions"], archive["points"])
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
        _make_folder(self._folder)
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


def keep_file(name: str, content: bytes) -> Source:
    """Store an uploaded file; the same content is stored once.

    Parameters
    ----------
    name : str
        The user's name of the file; folders in it are dropped.
    content : bytes

    Raises
    ------
    ValueError
        If it is empty or cannot be written, or the disk is full, see `limits.check_room`.
    """
    if not content:
        raise ValueError(f"{name} is empty; choose another file")
    digest = hashlib.sha256(content).hexdigest()
    source = Source(kind="file", name=plain_name(name), digest=digest)
    path = file_of(source)
    if not path.exists():
        check_room(runs_folder(), 0)
        _make_folder(path.parent)
        with atomic(path) as temporary:
            temporary.write_bytes(content)
    return source


def plain_name(name: str) -> str:
    """Return a name for a file that its user has named: no path, nothing that is not printed.

    Examples
    --------
    >>> plain_name("C:\\\\data\\\\cells.tif"), plain_name("../.."), plain_name("a\\0b.tif")
    ('cells.tif', 'image', 'a_b.tif')
    """
    last = name.replace("\\", "/").rpartition("/")[2]
    printed = "".join(letter if letter.isprintable() else "_" for letter in last)
    # A file system takes 255 bytes. The end has the extension.
    short = printed.encode()[-200:].decode(errors="ignore")
    return short if short.strip(". ") else "image"


def together(sources: Sequence[Source]) -> Source:
    """Combine kept files as the channels of one image, in the order of their names.

    A label image or outlines among them are its true cells.

    Raises
    ------
    ValueError
        If several are label images.
    """
    ordered = sorted(sources, key=lambda source: (source.name, source.digest))
    labels = [one for one in ordered if is_label_file(one)] if len(ordered) > 1 else []
    if len(labels) > 1:
        raise ValueError(
            f"{labels[0].name} and {labels[1].name} are both label images, but only one can hold "
            "the true cells of the image; remove the others"
        )
    first, *rest = (one for one in ordered if one not in labels)
    truth = _kept(labels[0]) if labels else None
    return first.replace(more=[_kept(one) for one in rest], truth=truth)


def _kept(source: Source) -> KeptFile:
    return KeptFile(name=source.name, digest=source.digest)


def is_label_file(source: Source) -> bool:
    """Return whether a kept file is a label image or holds outlines."""
    if is_drawn(file_of(source)):
        return True
    try:
        return shows_labels(read_contents(file_of(source), as_stored=True).pixels)
    except ValueError:
        return False


def files_of(source: Source) -> list[Path]:
    """Return the paths of the kept files of an image; empty if it comes from elsewhere."""
    files: list[Source | KeptFile] = [source, *source.more]
    return [file_of(file) for file in files] if source.kind == "file" else []


def file_of(source: Source | KeptFile) -> Path:
    """Return the path of an uploaded file."""
    return runs_folder() / ".files" / source.digest / Path(source.name).name


def described(choices: Choices, *, edits: str = "") -> Mapping[str, Any]:
    """Return the attributes of a run's `Description` that state its choices.

    `edits` is the digest of edited markers.
    """
    return {
        "choices": choices.model_dump(mode="json"),
        "step_keys": dict(keys(choices, edits=edits)),
        "edits": edits,
        "image": choices.source.title,
    }


def keys_then(about: Description) -> Mapping[str, str]:
    """Return the `keys` of the choices that a run was started from.

    They are computed again, because stored keys hold only the settings that existed at that time.
    The stored keys are used only if the choices cannot be read.
    """
    try:
        return keys(Choices(**about.choices), edits=about.edits) if about.choices else {}
    except (TypeError, ValueError):
        return about.step_keys


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"cannot write {folder}: {error.strerror}; set CELLCUTTER_RUNS to a folder that can be "
            "written"
        ) from error
