"""How an OME-Zarr is told from other files: by its address, or by what lies in its folder."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

MARKS = ("zarr.json", ".zattrs", ".zgroup", ".zarray")
"""One of these is in every folder of a Zarr."""


def is_address(text: object) -> bool:
    """Whether this is the address of something on a web server, and no path.

    Examples
    --------
    >>> is_address("https://example.org/a.zarr"), is_address("a.zarr")
    (True, False)
    """
    return isinstance(text, str) and re.match(r"https?://", text, re.IGNORECASE) is not None


def is_zarr_folder(path: Path) -> bool:
    """Whether a folder says that it belongs to a Zarr."""
    try:
        return any((path / mark).is_file() for mark in MARKS)
    except OSError:
        return False


def is_zarr_archive(path: Path) -> bool:
    """Whether a zip archive has a Zarr in it."""
    with zipfile.ZipFile(path) as archive:
        return any(name.rpartition("/")[2] in MARKS for name in archive.namelist())
