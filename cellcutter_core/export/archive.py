"""Zip archives whose bytes depend only on their contents."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

# Files with these endings are already compressed, so they are only stored.
_COMPRESSED = (".gif", ".keras", ".npz", ".png", ".zip")
# The earliest date that a zip can hold. The date of the export must not change the bytes.
_DATE = (1980, 1, 1, 0, 0, 0)


def zipped(entries: Mapping[str, bytes]) -> bytes:
    """Return the content of a zip file.

    Parameters
    ----------
    entries : mapping
        Name in the archive, with ``/`` between folders → content. Kept in this order.

    Returns
    -------
    bytes
        The same for the same entries, at any time and on any machine.

    Examples
    --------
    >>> zipped({"a.txt": b"one"}) == zipped({"a.txt": b"one"})
    True
    """
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in entries.items():
            add_entry(archive, name, content)
    return stream.getvalue()


def add_entry(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Add a file to a zip that is open for writing."""
    info = zipfile.ZipInfo(name, _DATE)
    # Otherwise the archive would state the system on which it was made.
    info.create_system = 3
    info.external_attr = 0o644 << 16
    # The chunks of a Zarr have numbers as names.
    stored = name.endswith(_COMPRESSED) or name.rpartition("/")[2].isdigit()
    info.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    archive.writestr(info, content)


class FolderFiles(Mapping[str, bytes]):
    """The files of a folder by name. Each is read only on access, because they may be large.

    Parameters
    ----------
    folder : Path
    without : collection of str
        Names to leave out.
    """

    def __init__(self, folder: Path, *, without: Collection[str] = ()) -> None:
        self._folder, self._without = folder, without

    def __getitem__(self, name: str) -> bytes:
        return (self._folder / name).read_bytes()

    def __iter__(self) -> Iterator[str]:
        # A file that is still being written has a hidden name.
        names = (file.name for file in self._folder.glob("*") if not file.name.startswith("."))
        return iter(sorted(name for name in names if name not in self._without))

    def __len__(self) -> int:
        return len(list(iter(self)))
