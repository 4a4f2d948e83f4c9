"""The contents of files: zips, whose bytes depend only on what is in them, PNGs and JSON."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from PIL import Image as PillowImage
from pydantic_core import to_json

from cellcutter_core.view.figure_style import check_picture
from cellcutter_core.view.render import Rgb

# Files with these endings are already compressed, so they are only stored.
_COMPRESSED = (".gif", ".keras", ".npz", ".png", ".zip")
# The earliest date that a zip can hold. The date of the export must not change the bytes.
_DATE = (1980, 1, 1, 0, 0, 0)


def zipped(entries: Iterable[tuple[str, bytes]]) -> bytes:
    """Return the content of a zip file.

    Parameters
    ----------
    entries : iterable of (str, bytes)
        Name in the archive, with ``/`` between folders, and content of each file. Kept in this
        order.

    Returns
    -------
    bytes
        The same for the same entries, at any time and on any machine.

    Examples
    --------
    >>> zipped([("a.txt", b"one")]) == zipped([("a.txt", b"one")])
    True
    """
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in entries:
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


def files_in(folder: Path, *, without: Collection[str] = ()) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the files of a folder, sorted, but not of those `without` names.

    Each is read when it is asked for, because they may be large.
    """
    for file in sorted(folder.glob("*")):
        # A file that is still being written has a hidden name.
        if not file.name.startswith(".") and file.name not in without:
            yield file.name, file.read_bytes()


def png_file(rgb: Rgb) -> bytes:
    """Return the content of a PNG file, without loss.

    Parameters
    ----------
    rgb : (H, W, 3) uint8 array
        Red, green and blue.

    Raises
    ------
    ValueError
        If `rgb` is no such array.
    """
    check_picture(rgb, "rgb")
    stream = io.BytesIO()
    PillowImage.fromarray(rgb).save(stream, format="PNG")
    return stream.getvalue()


def json_file(mapping: Mapping[str, Any]) -> bytes:
    """Return the content of a file of indented UTF-8 JSON that every reader accepts.

    NumPy scalars and arrays become numbers and lists, paths become text. JSON has no NaN and no
    infinity; they become null, so that a run whose loss diverged can still be written.

    Parameters
    ----------
    mapping : mapping
        Keys are strings.

    Raises
    ------
    ValueError
        If a value cannot be written in JSON.
    """
    plain = to_json(mapping, indent=2, inf_nan_mode="null", fallback=lambda value: value.tolist())
    return plain + b"\n"
