"""Zip archives from anywhere. Python takes memory for as much as an archive promises.

The messages here are without the file's name, as in `cellcutter_core.images.contents`.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from cellcutter_core.images.contents import Unreadable

LARGEST_RATIO = 1032
"""How many bytes a deflated one can become at most."""

BOUNDED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Methods of compression of which no more is unpacked at once than was asked for."""


def open_archive(path: Path) -> zipfile.ZipFile:
    """Open an archive to read what is in it.

    Raises
    ------
    Unreadable
        If an entry is longer than the file, or than what it is unpacked from can become, or is
        compressed by another method than deflate.
    zipfile.BadZipFile
        If it is no archive.
    """
    archive = zipfile.ZipFile(path)
    size = path.stat().st_size
    try:
        for entry in archive.infolist():
            _check(entry, size)
    except Unreadable:
        archive.close()
        raise
    return archive


def _check(entry: zipfile.ZipInfo, size_of_archive: int) -> None:
    name = entry.filename[:40]
    if entry.compress_type not in BOUNDED:
        raise Unreadable(
            f"is a zip archive in which {name!r} is compressed by a method that is not read "
            f"(number {entry.compress_type}); pack it again with the usual one, deflate"
        )
    largest = entry.compress_size
    if entry.compress_type == zipfile.ZIP_DEFLATED:
        largest *= LARGEST_RATIO
    if entry.compress_size > size_of_archive or entry.file_size > largest:
        raise Unreadable(
            f"is a damaged zip archive: {name!r} is longer in it than it can be; copy or save it "
            "again"
        )
