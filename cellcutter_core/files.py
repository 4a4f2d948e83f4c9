"""Files appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file under a temporary name and move it into place when it is complete.

    A reader sees either the old file or the complete new one, even if the writer is killed half
    way. When the body raises, the temporary file is removed and the old file stays.

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
    temporary = path.with_name(f".part-{uuid.uuid4().hex[:12]}{path.suffix}")
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
