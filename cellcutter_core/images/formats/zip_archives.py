"""Opens zip archives safely: Python would use as much memory as an archive claims to need.

Messages here lack the file's name, as in `cellcutter_core.images.reading.contents`.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from cellcutter_core.images.reading.contents import Unreadable

LARGEST_RATIO = 1032
"""The largest factor by which deflated bytes can grow when unpacked."""

BOUNDED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Methods of compression that never unpack more at once than requested."""


def open_archive(path: Path) -> zipfile.ZipFile:
    """Open an archive for reading.

    Raises
    ------
    Unreadable
        If an entry is longer than the file, claims a larger size than its bytes can unpack to, or
        is compressed by another method than deflate.
    zipfile.BadZipFile
        If it is not a zip archive.
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
            f"is a zip archive in which {name!r} is compressed by a method that is not supported "
            f"(number {entry.compress_type}); pack it again with the usual method, deflate"
        )
    largest = entry.compress_size
    if entry.compress_type == zipfile.ZIP_DEFLATED:
        largest *= LARGEST_RATIO
    if entry.compress_size > size_of_archive or entry.file_size > largest:
        raise Unreadable(
            f"is a damaged zip archive: it states an impossible size of {name!r}; copy or save it "
            "again"
        )
