"""Files appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import tempfile
import uuid
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.processes.ending import process_exists

UNREADABLE = (
    OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error
)  # fmt: skip
"""What `read_arrays` raises for a file that is missing or damaged."""


def read_arrays(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """Return all arrays of an .npz file by name. Nothing pickled is loaded.

    Raises
    ------
    OSError, ValueError, ...
        See `UNREADABLE`.
    """
    # NumPy would leave a damaged file open that it has opened itself.
    with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


@contextlib.contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file under a temporary name and move it into place when it is complete.

    A reader sees either the old file or the complete new one, even if the writer is killed half
    way. When the body raises, the temporary file is removed and the old file stays. What killed
    writers on this machine left in the folder is removed as well.

    Parameters
    ----------
    path : path
        Where the file will be. Its folder must exist; a file already there is replaced.

    Yields
    ------
    Path
        The name to write to: hidden, in the same folder (a move within one file system is
        atomic), with the same suffix, because writers choose the format by it.

    Raises
    ------
    ValueError
        If the operating system refuses: no such folder, no permission, disk full.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with atomic(Path(folder) / "note.txt") as temporary:
    ...         _ = temporary.write_text("whole")
    ...     [file.name for file in Path(folder).iterdir()]
    ['note.txt']
    """
    path = Path(path)
    mine = f"{os.getpid()}-{_host()}-{uuid.uuid4().hex[:12]}"
    temporary = path.with_name(f".part-{mine}{path.suffix}")
    remove_left_over(path.parent)
    try:
        yield temporary
        temporary.replace(path)
    except BaseException as error:
        # Also on Ctrl-C. If the folder is missing or read-only, there is no file to remove.
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            reason = error.strerror or str(error)
            raise ValueError(f"cannot write {path}: {reason}; choose another folder") from error
        raise


def write_whole(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Write a file with `atomic`; text as UTF-8.

    Raises
    ------
    ValueError
        As `atomic`.
    """
    with atomic(path) as temporary:
        temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


@contextlib.contextmanager
def explaining(problem: str, advice: str = "") -> Iterator[None]:
    """Raise a ValueError for an OSError: what cannot be done, why, and what to do instead.

    Examples
    --------
    >>> with explaining("cannot read a.txt", "choose another file"):
    ...     raise FileNotFoundError(2, "No such file")
    Traceback (most recent call last):
        ...
    ValueError: cannot read a.txt: No such file; choose another file
    """
    try:
        yield
    except OSError as error:
        reason = f"{problem}: {error.strerror or error}"
        raise ValueError(f"{reason}; {advice}" if advice else reason) from error


@contextlib.contextmanager
def own_temporary_files(temporary: Path) -> Iterator[None]:
    """Keep the temporary files of a library beside that of `atomic`, so that they go with it.

    Some libraries leave theirs behind if the disk is full. It changes `tempfile.tempdir`, so no
    other thread should make temporary files meanwhile.
    """
    folder, before = temporary.with_suffix(""), tempfile.tempdir
    folder.mkdir()
    tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
        shutil.rmtree(folder, ignore_errors=True)


def remove_left_over(folder: Path) -> None:
    """Remove the temporary files of `atomic` whose writers on this machine are gone."""
    with contextlib.suppress(OSError), os.scandir(folder) as files:
        for file in files:
            by = _PART.match(file.name)
            if by and by["host"] == _host() and not process_exists(int(by["pid"])):
                if file.is_dir(follow_symlinks=False):
                    shutil.rmtree(file.path, ignore_errors=True)
                    continue
                with contextlib.suppress(OSError):
                    Path(file.path).unlink()


_PART = re.compile(r"\.part-(?P<pid>\d+)-(?P<host>.*)-[0-9a-f]{12}(\.|$)")


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9-]", "_", socket.gethostname())[:64]
