"""A run in one of the formats: as bytes, and as a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from cellcutter_core.export.archive import zipped
from cellcutter_core.export.format import Format
from cellcutter_core.export.formats import FORMATS
from cellcutter_core.export.result import Result
from cellcutter_core.files import atomic

if TYPE_CHECKING:
    from cellcutter_core.runs.store import Run


def content(run: Run, format: str, epoch: int | None = None) -> bytes:
    """The content of an exported file, for a download button.

    Parameters
    ----------
    run : Run
    format : str
        A name in `FORMATS`.
    epoch : int, optional
        Default the last.

    Returns
    -------
    bytes
        The same whenever it is asked for, as long as the run stays as it is.

    Raises
    ------
    ValueError
        If there is no such format or epoch, the run has nothing to export yet, or a package that
        the format needs is not installed.
    """
    chosen = _known(format)
    try:
        files = chosen.make(Result(run, epoch))
    except ModuleNotFoundError as error:
        raise ValueError(
            f"the format {format} needs the package {error.name}; install it with "
            f"pip install {error.name}"
        ) from error
    return files[chosen.file] if set(files) == {chosen.file} else zipped(files)


def export(run: Run, format: str, path: str | os.PathLike[str], epoch: int | None = None) -> Path:
    """Write a run in one of `FORMATS` to a file.

    Parameters
    ----------
    run, format, epoch
        As for `content`.
    path : path
        The file, which is replaced if it is there; or a folder, in which it gets its usual name.

    Returns
    -------
    Path
        Where the file is.

    Raises
    ------
    ValueError
        As `content`, and if the file cannot be written.
    """
    made = content(run, format, epoch)
    file = Path(path)
    if file.is_dir():
        file = file / _known(format).file
    with atomic(file) as temporary:
        temporary.write_bytes(made)
    return file


def file_name(run: Run, format: str, epoch: int | None = None) -> str:
    """What an exported file is called beside those of other runs and epochs.

    Examples
    --------
    "my-run-labels.tif", and of a certain epoch "my-run-epoch3-labels.tif".

    Raises
    ------
    ValueError
        If there is no such format.
    """
    which = "" if epoch is None else f"epoch{epoch}-"
    return f"{run.path.absolute().name}-{which}{_known(format).file}"


def _known(format: str) -> Format:
    if format not in FORMATS:
        raise ValueError(f"there is no format {format!r}; choose one of {', '.join(FORMATS)}")
    return FORMATS[format]
