"""What became of each of several images, and the files that it is written to."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from cellcutter_core.export import image_format
from cellcutter_core.files import atomic

USUAL_FORMATS = ("labels", "table", "overlay")
SUMMARY = "summary.csv"


@dataclass(frozen=True)
class Outcome:
    """What became of one image.

    Attributes
    ----------
    name : str
        What the names of its files begin with.
    image : str
        The name of its file.
    seconds : float
    error : str
        Why it has no cells, in one line; empty where all is well.
    cells : int or None
    cells_at_border : int or None
        Those that the border of the image may cut off.
    mean_area, median_area : float or None
        Of its cells, in pixels.
    mean_area_um2, median_area_um2 : float or None
        The same in µm², where the pixel size is known.
    pixel_height_um, pixel_width_um : float or None
        How large a pixel is, where that is known.
    mask_fraction : float or None
        Share of the image that is cell.
    remark : str
        Where the network saw channels of other names than in its run, which may be another stain.
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

    @property
    def cells_in_words(self) -> str:
        """How many cells it has."""
        return "1 cell" if self.cells == 1 else f"{self.cells} cells"


def outputs(name: str, formats: Sequence[str]) -> dict[str, str]:
    """Format → name of the file that it gives for an image of that name.

    Raises
    ------
    ValueError
        If there is no such format, or it is one of runs alone.
    """
    return {format: f"{name}-{image_format(format).file}" for format in formats}


def check_free(folder: Path, names: Iterable[str], formats: Sequence[str]) -> None:
    """Raise a ValueError where a file that is to be written is there already."""
    files = [file for name in names for file in outputs(name, formats).values()]
    there = [file for file in (SUMMARY, *files) if (folder / file).exists()]
    if there:
        more = f" and {len(there) - 1} more of the files to write" if len(there) > 1 else ""
        raise ValueError(
            f"{folder} already has {there[0]}{more}; choose another folder, or move them away"
        )


def write_summary(folder: Path, outcomes: Sequence[Outcome]) -> None:
    with atomic(folder / SUMMARY) as temporary:
        temporary.write_bytes(summary_file(outcomes))


def summary_file(outcomes: Sequence[Outcome]) -> bytes:
    """The content of a CSV file with a line for each image; comma and decimal point, UTF-8."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(field.name for field in fields(Outcome))
    for outcome in outcomes:
        writer.writerow("" if value is None else value for value in asdict(outcome).values())
    return stream.getvalue().encode("utf-8")
