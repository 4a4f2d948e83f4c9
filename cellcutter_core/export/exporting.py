"""A run, or another image with its cells, in one of the formats: as bytes, and as a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy.typing as npt

from cellcutter_core.export.archive import zipped
from cellcutter_core.export.format import Format
from cellcutter_core.export.registry import FORMATS, IMAGE_FORMATS
from cellcutter_core.export.result import Result
from cellcutter_core.export.segmented import Segmented
from cellcutter_core.files import atomic
from cellcutter_core.images.pixel_size import PixelSize

if TYPE_CHECKING:
    from cellcutter_core.runs.store import Run

T = TypeVar("T", bound=Segmented)


def content(
    run: Run,
    format: str,
    epoch: int | None = None,
    *,
    cells: npt.ArrayLike | None = None,
    pixel_size: PixelSize | None = None,
) -> bytes:
    """The content of an exported file, for a download button.

    Parameters
    ----------
    run : Run
    format : str
        A name in `FORMATS`.
    epoch : int, optional
        Default the last.
    cells : array of int, optional
        Ids of the cells that are in the file; default all. Borders, film, figures, recipe and
        network are of all cells in any case.
    pixel_size : float or (float, float), optional
        µm per pixel, or height and width where it is not square; default what the run says.

    Returns
    -------
    bytes
        The same whenever it is asked for, as long as the run stays as it is.

    Raises
    ------
    ValueError
        If there is no such format or epoch, the run has nothing to export yet, the pixel size is no
        positive number, or a package that the format needs is not installed.
    """
    result = Result(run, epoch, pixel_size=pixel_size)
    return _packed(result if cells is None else result.only(cells), _known(format))


def image_content(cells: Segmented, format: str) -> bytes:
    """The content of a file of any image with its cells, that of a run or another.

    Parameters
    ----------
    cells : Segmented
    format : str
        A name in `IMAGE_FORMATS`.

    Returns
    -------
    bytes

    Raises
    ------
    ValueError
        If there is no such format, it is one of runs alone, or a package that it needs is not
        installed.
    """
    return _packed(cells, image_format(format))


def export(
    run: Run,
    format: str,
    path: str | os.PathLike[str],
    epoch: int | None = None,
    *,
    pixel_size: PixelSize | None = None,
) -> Path:
    """Write a run in one of `FORMATS` to a file.

    Parameters
    ----------
    run, format, epoch, pixel_size
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
    made = content(run, format, epoch, pixel_size=pixel_size)
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


def image_format(format: str) -> Format[Segmented]:
    """The format of that name, which any image with its cells can be written in.

    Raises
    ------
    ValueError
        If there is none, or it is one of runs alone. The message lists those there are.
    """
    if format in IMAGE_FORMATS:
        return IMAGE_FORMATS[format]
    listed = ", ".join(IMAGE_FORMATS)
    if format in FORMATS:
        raise ValueError(f"the format {format} is one of runs alone; choose one of {listed}")
    raise ValueError(f"there is no format {format!r}; choose one of {listed}")


def _known(format: str) -> Format[Result]:
    if format not in FORMATS:
        raise ValueError(f"there is no format {format!r}; choose one of {', '.join(FORMATS)}")
    return FORMATS[format]


def _packed(cells: T, chosen: Format[T]) -> bytes:
    """One file: that of the format, or a zip of several."""
    try:
        files: Mapping[str, bytes] = chosen.make(cells)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"the format {chosen.name} needs the package {error.name}; install it with "
            f"pip install {error.name}"
        ) from error
    return files[chosen.file] if set(files) == {chosen.file} else zipped(files)
