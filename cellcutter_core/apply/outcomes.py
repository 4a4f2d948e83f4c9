"""The outcome of each image that a network was applied to, and the names of its files."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from cellcutter_core.export import image_format
from cellcutter_core.files import write_whole

USUAL_FORMATS = ("labels", "table", "overlay")
SUMMARY = "summary.csv"


@dataclass(frozen=True)
class Outcome:
    """The outcome of one image.

    Attributes
    ----------
    name : str
        The beginning of the names of its results.
    image : str
        The name of its file.
    seconds : float
    error : str
        Why it has no cells, in one line; empty if it succeeded.
    cells : int or None
        Number of cells.
    cells_at_border : int or None
        Number of cells that the border of the image may cut off.
    mean_area, median_area : float or None
        Mean and median area of its cells in pixels.
    mean_area_um2, median_area_um2 : float or None
        The same in µm², if the pixel size is known.
    pixel_height_um, pixel_width_um : float or None
        Size of a pixel in µm, if it is known.
    mask_fraction : float or None
        Share of the image that the mask covers.
    remark : str
        Says if the network saw channels of other names than in its run, perhaps other stains.
    notes : str
        Sentences on what in the image can make its cells less reliable, see `Image.remarks`.
    """

    name: str
    image: str
    seconds: float
    error: str = ""
    cells: int | None = None
    cells_at_border: int | None = None
    mean_area: float | None = None
    median_area: float | None = None
    mean_area_um2: float | None = None
    median_area_um2: float | None = None
    pixel_height_um: float | None = None
    pixel_width_um: float | None = None
    mask_fraction: float | None = None
    remark: str = ""
    notes: str = ""

    @property
    def cells_in_words(self) -> str:
        """The number of cells, in words."""
        return "1 cell" if self.cells == 1 else f"{self.cells} cells"


def outputs(name: str, formats: Sequence[str]) -> dict[str, str]:
    """Return the names of the result files of an image: format → file name.

    Raises
    ------
    ValueError
        If there is no such format, or it is only for runs.
    """
    return {format: f"{name}-{image_format(format).file}" for format in formats}


def check_free(folder: Path, names: Iterable[str], formats: Sequence[str]) -> None:
    """Raise a ValueError if a file that is to be written already exists."""
    files = [file for name in names for file in outputs(name, formats).values()]
    there = [file for file in (SUMMARY, *files) if (folder / file).exists()]
    if there:
        more = f" and {len(there) - 1} more of the files to write" if len(there) > 1 else ""
        raise ValueError(
            f"{folder} already has {there[0]}{more}; choose another folder, or move them away"
        )


def write_summary(folder: Path, outcomes: Sequence[Outcome]) -> None:
    write_whole(folder / SUMMARY, summary_file(outcomes))


def summary_file(outcomes: Sequence[Outcome]) -> bytes:
    """Return the content of a CSV file with a row per image; commas, decimal points, UTF-8."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(field.name for field in fields(Outcome))
    for outcome in outcomes:
        writer.writerow("" if value is None else value for value in asdict(outcome).values())
    return stream.getvalue().encode("utf-8")
