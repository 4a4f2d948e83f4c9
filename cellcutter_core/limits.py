"""The limits of a server, each set by an environment variable and checked where it is needed.

A limit is one line of `Limits`. Without a variable, or with an empty one, a limit has its
default; None is no limit.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

_UNITS = {"": 1, "B": 1} | {
    f"{prefix}{unit}": base**power
    for power, prefix in enumerate("KMGT", 1)
    for unit, base in (("B", 1000), ("IB", 1024))
}


def _bytes(given: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d*)?)\s*([KMGT]?I?B?)", given, re.IGNORECASE | re.ASCII)
    unit = _UNITS.get(found[2].upper()) if found else None
    if found is None or unit is None or float(found[1]) * unit < 1:
        raise ValueError(f"is {given!r}; give a size such as 500MB, 8GB or 8GiB")
    return int(float(found[1]) * unit)


def _whole_number(given: str) -> int:
    if not given.isascii() or not given.isdecimal() or int(given) < 1:
        raise ValueError(f"must be a number of at least 1, got {given!r}")
    return int(given)


Bytes = Annotated[int, BeforeValidator(_bytes)]
Count = Annotated[int, BeforeValidator(_whole_number)]
Seconds = Annotated[int, BeforeValidator(_whole_number)]


def _set_by(variable: str, default: int | None, meaning: str) -> Any:
    return Field(default, alias=variable, description=meaning)


class Limits(BaseModel):
    """What a server allows. The alias of a field is the environment variable that sets it."""

    model_config = ConfigDict(frozen=True)

    image: Bytes = _set_by("CELLCUTTER_IMAGE_LIMIT", 2 * 1024**3, "memory of an image")
    pixels: Count | None = _set_by(
        "CELLCUTTER_PIXEL_LIMIT", None, "pixels of an image or region that is worked on at once"
    )
    runs: Count | None = _set_by("CELLCUTTER_RUN_LIMIT", None, "number of runs")
    disk: Bytes | None = _set_by("CELLCUTTER_DISK_LIMIT", None, "disk of all runs and uploads")
    free: Bytes = _set_by("CELLCUTTER_FREE_LIMIT", 500 * 1000**2, "disk that stays free")
    seconds: Seconds | None = _set_by(
        "CELLCUTTER_TIME_LIMIT", None, "time of one training or application"
    )
    person_runs: Count | None = _set_by("CELLCUTTER_PERSON_RUNS", None, "runs of one person")
    person_disk: Bytes | None = _set_by(
        "CELLCUTTER_PERSON_DISK", None, "disk of the runs and uploads of one person"
    )
    person_seconds: Seconds | None = _set_by(
        "CELLCUTTER_PERSON_TIME", None, "training time of one person in 24 hours"
    )
    upload_days: Count | None = _set_by(
        "CELLCUTTER_UPLOAD_DAYS", None, "days that a draft is kept, and an upload that nothing uses"
    )
    workers: Count = _set_by("CELLCUTTER_WORKERS", 1, "trainings at once")


def limits() -> Limits:
    """Return the limits as the environment states them now.

    Raises
    ------
    ValueError
        If a variable has no valid value; the message names it.
    """
    names = map(variable, Limits.model_fields)
    given = {name: os.environ.get(name, "").strip() for name in names}
    try:
        return Limits(**{name: value for name, value in given.items() if value})
    except ValidationError as error:
        problem = error.errors()[0]
        message = problem["msg"].removeprefix("Value error, ")
        raise ValueError(f"{problem['loc'][0]} {message}") from None


def variable(name: str) -> str:
    """Return the environment variable that sets a limit.

    Examples
    --------
    >>> variable("disk")
    'CELLCUTTER_DISK_LIMIT'
    """
    return str(Limits.model_fields[name].alias)


def check_pixels(shape: tuple[int, ...]) -> None:
    """Refuse an image of more rows × columns than the server allows.

    Parameters
    ----------
    shape : (rows, columns, ...)

    Raises
    ------
    ValueError
        If it has more than `Limits.pixels` pixels.
    """
    most = limits().pixels
    if most is not None and shape[0] * shape[1] > most:
        raise ValueError(
            f"{shape[0]} × {shape[1]} pixels are more than the {most} that this server works on "
            f"at once ({variable('pixels')} sets it); choose a smaller region"
        )


def check_free(folder: Path) -> None:
    """Refuse to write into a folder whose file system is nearly full.

    Parameters
    ----------
    folder : Path
        It need not exist yet.

    Raises
    ------
    ValueError
        If less than `Limits.free` is free.
    """
    least = limits().free
    there = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(there).free
    if free < least:
        raise ValueError(
            f"the disk of {folder} is nearly full: {size_in_words(free)} are free, and "
            f"{size_in_words(least)} must stay so ({variable('free')} sets it); delete runs and "
            "remove them for good on the page Runs, or free space by other means"
        )


def check_room(folder: Path, n_runs: int) -> None:
    """Refuse a new run or upload in the folder of runs if a limit is reached.

    Parameters
    ----------
    folder : Path
        The folder of runs.
    n_runs : int
        How many runs there would be then.

    Raises
    ------
    ValueError
        If there are more than `Limits.runs`, all files there take `Limits.disk` or more, or the
        file system is nearly full.
    """
    allowed = limits()
    if allowed.runs is not None and n_runs > allowed.runs:
        raise ValueError(
            f"this server keeps at most {allowed.runs} runs ({variable('runs')} sets it); delete "
            "one on the page Runs, then try again"
        )
    if allowed.disk is not None and (used := disk_used(folder)) >= allowed.disk:
        raise ValueError(
            f"runs and uploads take {size_in_words(used)} of the {size_in_words(allowed.disk)} "
            f"that this server allows ({variable('disk')} sets it); delete runs on the page Runs "
            "and remove them for good there, then try again"
        )
    check_free(folder)


def disk_used(folder: Path) -> int:
    """Return how many bytes the files in a folder take, with those in its folders.

    Links are not followed. A file that disappears meanwhile counts nothing.
    """
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(place) / name).lstat().st_size
    return total


class TimeLimit:
    """The time that a job may take, from when this is made; see `Limits.seconds`.

    Attributes
    ----------
    is_reached : bool
        Whether the time was over when `look` last looked.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._seconds = clock, limits().seconds
        self._start = clock()
        self.is_reached = False

    def look(self) -> None:
        """Look at the clock, as after a step of a training."""
        if self._seconds is not None:
            self.is_reached = self._clock() - self._start >= self._seconds

    @property
    def message(self) -> str:
        """Why the training stopped; empty while there is time left."""
        if not self.is_reached:
            return ""
        return (
            f"it reached this server's limit of {self._seconds} s for one job "
            f"({variable('seconds')} sets it)"
        )


def size_in_words(n_bytes: float) -> str:
    """Return a size such as "1.5 GB", with units of powers of 1000.

    Examples
    --------
    >>> size_in_words(1_500_000_000), size_in_words(20)
    ('1.5 GB', '20 bytes')
    """
    for unit, scale in (("TB", 1000**4), ("GB", 1000**3), ("MB", 1000**2), ("KB", 1000)):
        if n_bytes >= scale:
            return f"{n_bytes / scale:.3g} {unit}"
    return f"{n_bytes:.0f} bytes"
