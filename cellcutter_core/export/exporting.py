"""Export a run, or another image with its cells, as bytes or to a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy.typing as npt

from cellcutter_core.export.files import zipped
from cellcutter_core.export.registry import FORMATS, IMAGE_FORMATS, Format
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
    """Return the content of an exported file, for a download button.

    Parameters
    ----------
    run : Run
    format : str
        A name in `FORMATS`.
    epoch : int, optional
        Default: the last epoch.
    cells : array of int, optional
        Ids of the cells to export; default all. Borders, film, recipe and network always hold all
        cells.
    pixel_size : float or (float, float), optional
        µm per pixel, or height and width if it is not square; default that of the run.

    Returns
    -------
    bytes
        The same bytes each time, as long as the run does not change.

    Raises
    ------
    ValueError
        If there is no such format or epoch, the run has no epoch yet, the pixel size is not a
        positive number, or a package that the format needs is not installed.
    """
    result = Result(run, epoch, pixel_size=pixel_size)
    return _packed(result if cells is None else result.only(cells), _known(format))


def image_content(cells: Segmented, format: str) -> bytes:
    """Return the content of an exported file of any image with its cells.

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
        If there is no such format, it is only for runs, or a package that it needs is not
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
        The file, which is replaced if it exists; or a folder, in which the file gets its usual
        name.

    Returns
    -------
    Path
        Path of the file.

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


def file_name(run: Run, format: str, epoch: int | None = None, *, kept: bool = False) -> str:
    """Return the name of an exported file, which is unique among runs and epochs.

    `kept` says that it holds only some of the cells.

    Examples
    --------
    "my-run-labels.tif", with `epoch` "my-run-epoch3-labels.tif", and with `kept` as well
    "my-run-epoch3-kept-labels.tif".

    Raises
    ------
    ValueError
        If there is no such format.
    """
    which = "" if epoch is None else f"epoch{epoch}-"
    which += "kept-" if kept else ""
    return f"{run.path.absolute().name}-{which}{_known(format).file}"


def image_format(format: str) -> Format[Segmented]:
    """Return the format of that name for any image with its cells.

    Raises
    ------
    ValueError
        If there is none, or it is only for runs. The message lists the formats.
    """
    if format in IMAGE_FORMATS:
        return IMAGE_FORMATS[format]
    listed = ", ".join(IMAGE_FORMATS)
    if format in FORMATS:
        raise ValueError(f"the format {format} is only for runs; choose one of {listed}")
    raise ValueError(f"there is no format {format!r}; choose one of {listed}")


def _known(format: str) -> Format[Result]:
    if format not in FORMATS:
        raise ValueError(f"there is no format {format!r}; choose one of {', '.join(FORMATS)}")
    return FORMATS[format]


def _packed(cells: T, chosen: Format[T]) -> bytes:
    """Return the file of a format, or a zip if the format has several."""
    try:
        made = chosen.make(cells)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"the format {chosen.name} needs the package {error.name}; install it with "
            f"pip install {error.name}"
        ) from error
    return made if isinstance(made, bytes) else zipped(made.items())
