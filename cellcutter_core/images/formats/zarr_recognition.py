"""Recognises an OME-Zarr by its address, or by the files in its folder or archive."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

MARKS = ("zarr.json", ".zattrs", ".zgroup", ".zarray")
"""Every folder of a Zarr holds one of these files."""


def is_address(text: object) -> bool:
    """Whether a text is an address on a web server, not a path.

    Examples
    --------
    >>> is_address("https://example.org/a.zarr"), is_address("a.zarr")
    (True, False)
    """
    return isinstance(text, str) and re.match(r"https?://", text, re.IGNORECASE) is not None


def is_zarr_folder(path: Path) -> bool:
    """Whether a folder belongs to a Zarr."""
    try:
        return any((path / mark).is_file() for mark in MARKS)
    except OSError:
        return False


def is_zarr_archive(path: Path) -> bool:
    """Whether a zip archive has a Zarr in it."""
    with zipfile.ZipFile(path) as archive:
        return any(name.rpartition("/")[2] in MARKS for name in archive.namelist())
