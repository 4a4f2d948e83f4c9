"""Uploaded files: stored once by their content, and combined as the channels of an image.

RUNS/.files/DIGEST/NAME
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from cellcutter_core.choices.choices import KeptFile, Source
from cellcutter_core.files import write_whole
from cellcutter_core.images.guesses.label_images import shows_labels
from cellcutter_core.images.reading.drawn_shapes import is_drawn
from cellcutter_core.images.reading.readers import read_contents
from cellcutter_core.limits import check_room, limits
from cellcutter_core.people.allowance import check_disk_for, forget_upload, note_upload, uploads_of
from cellcutter_core.runs.folder import DRAFTS, UPLOADS, make_folder, runs_folder

CLEARED_EVERY = 3600.0
"""Seconds between two removals of old uploads."""
_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
# What may name an upload: drafts, runs, deleted runs, what runs are applied to, sweeps and classes.
_RECORDS = ("*/run.json", ".*/*/*.json", "*/applied/*/*.json", ".*/*/applied/*/*.json")
_cleared_at: float | None = None


def store_upload(name: str, content: bytes, *, person: str = "") -> Source:
    """Store an uploaded file; the same content under the same name is stored once.

    On a server that keeps drafts and unused uploads for a time only, old ones are removed now and
    then.

    Parameters
    ----------
    name : str
        The user's name of the file; folders in it are dropped.
    content : bytes
    person : str
        Who stores it, see `people.person.person_of`.

    Raises
    ------
    ValueError
        If it is empty or cannot be written, the disk is full (see `limits.check_room`), or the
        person has as much as each may have (see `people.allowance.check_disk_for`).
    """
    if not content:
        raise ValueError(f"{name} is empty; choose another file")
    digest = hashlib.sha256(content).hexdigest()
    source = Source(kind="file", name=safe_name(name), digest=digest)
    path = file_of(source)
    if person and digest not in uploads_of(person):
        check_disk_for(person, len(content))
    keep_young(source)
    if not path.exists():
        check_room(runs_folder(), 0)
        make_folder(path.parent)
        write_whole(path, content)
    note_upload(person, digest)
    _clear_now_and_then()
    return source


def keep_young(source: Source) -> None:
    """Let the files of an image count as stored now, because somebody uses them."""
    for file in files_of(source):
        with contextlib.suppress(OSError):
            os.utime(file.parent)


def remove_unused() -> int:
    """Remove drafts that are older than `Limits.upload_days`, and uploads that nothing uses.

    A run, a deleted run, an application, a sweep, a class and a draft use what they name, whatever
    their age. Other uploads are kept for that many days.

    Returns
    -------
    int
        How many uploads were removed.
    """
    days, folder = limits().upload_days, runs_folder()
    if days is None:
        return 0
    then = time.time() - days * 86_400
    for draft in (folder / DRAFTS).glob("*/choices.json"):
        if _changed(draft) < then:
            shutil.rmtree(draft.parent, ignore_errors=True)
    old = [one for one in (folder / UPLOADS).glob("*") if _changed(one) < then]
    used: set[str] = set()
    for record in (path for pattern in _RECORDS for path in folder.glob(pattern)) if old else ():
        with contextlib.suppress(OSError):
            used.update(_DIGEST.findall(record.read_text("utf-8", "replace")))
    n_removed = 0
    for one in old:
        # Somebody may have stored it again by now.
        if one.name not in used and _changed(one) < then:
            shutil.rmtree(one, ignore_errors=True)
            forget_upload(one.name)
            n_removed += 1
    return n_removed


def _changed(path: Path) -> float:
    """When a file or folder was changed last; now if it is gone."""
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()


def _clear_now_and_then() -> None:
    global _cleared_at
    now = time.monotonic()
    if _cleared_at is None or now > _cleared_at + CLEARED_EVERY:
        _cleared_at = now
        threading.Thread(target=remove_unused, daemon=True).start()


def safe_name(name: str) -> str:
    """Return a safe file name: without folders or unprintable characters.

    Examples
    --------
    >>> safe_name("C:\\\\data\\\\cells.tif"), safe_name("../.."), safe_name("a\\0b.tif")
    ('cells.tif', 'image', 'a_b.tif')
    """
    last = name.replace("\\", "/").rpartition("/")[2]
    printed = "".join(letter if letter.isprintable() else "_" for letter in last)
    # File systems allow 255 bytes. Cut the start, because the extension is at the end.
    short = printed.encode()[-200:].decode(errors="ignore")
    return short if short.strip(". ") else "image"


def as_channels(sources: Sequence[Source]) -> Source:
    """Combine uploaded files as the channels of one image, in the order of their names.

    A label image or a file of outlines becomes the true cells.

    Raises
    ------
    ValueError
        If several hold true cells.
    """
    ordered = sorted(sources, key=lambda source: (source.name, source.digest))
    labels = [one for one in ordered if is_label_file(one)] if len(ordered) > 1 else []
    if len(labels) > 1:
        raise ValueError(
            f"{labels[0].name} and {labels[1].name} both hold true cells, but an image has one set "
            "of them; remove one"
        )
    first, *rest = (one for one in ordered if one not in labels)
    truth = _kept(labels[0]) if labels else None
    return first.replace(more=[_kept(one) for one in rest], truth=truth)


def _kept(source: Source) -> KeptFile:
    return KeptFile(name=source.name, digest=source.digest)


def is_label_file(source: Source) -> bool:
    """Return whether an uploaded file is a label image or holds outlines."""
    if is_drawn(file_of(source)):
        return True
    try:
        return shows_labels(read_contents(file_of(source), as_stored=True).pixels)
    except ValueError:
        return False


def files_of(source: Source) -> list[Path]:
    """Return the paths of the uploaded files of an image; empty if it comes from elsewhere."""
    files: list[Source | KeptFile] = [source, *source.more]
    return [file_of(file) for file in files] if source.kind == "file" else []


def file_of(source: Source | KeptFile) -> Path:
    """Return the path of an uploaded file."""
    return runs_folder() / UPLOADS / source.digest / Path(source.name).name
