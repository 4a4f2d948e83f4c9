"""Uploaded files: stored once by their content, and combined as the channels of an image.

RUNS/.files/DIGEST/NAME
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from cellcutter_core.choices.choices import KeptFile, Source
from cellcutter_core.files import atomic
from cellcutter_core.images.drawn_shapes import is_drawn
from cellcutter_core.images.guesses.label_images import shows_labels
from cellcutter_core.images.readers import read_contents
from cellcutter_core.limits import check_room
from cellcutter_core.runs.folder import make_folder, runs_folder


def store_upload(name: str, content: bytes) -> Source:
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
    source = Source(kind="file", name=safe_name(name), digest=digest)
    path = file_of(source)
    if not path.exists():
        check_room(runs_folder(), 0)
        make_folder(path.parent)
        with atomic(path) as temporary:
            temporary.write_bytes(content)
    return source


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
    return runs_folder() / ".files" / source.digest / Path(source.name).name
