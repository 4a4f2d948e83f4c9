"""Train here, apply there: the network of a run on other images.

Mask and markers are found anew on each image, with the settings of the run; the crops get the scale
that brings the cells of that image to the size in which the network saw those of its own.
"""

from __future__ import annotations

import csv
import io
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.config import Config
from cellcutter_core.export import Result, Segmented, image_content, image_format
from cellcutter_core.export.archive import FolderFiles, zipped
from cellcutter_core.files import atomic
from cellcutter_core.images import Image, read_image
from cellcutter_core.inputs import Inputs
from cellcutter_core.labels import along_border
from cellcutter_core.pipeline import (
    draw_cells,
    make_dataset,
    prepare,
    seen_names,
    unseen_channels,
)
from cellcutter_core.prediction import Drawing
from cellcutter_core.reading.readers import one_line
from cellcutter_core.runs.given_files import names_for
from cellcutter_core.runs.others import Other
from cellcutter_core.runs.store import Run
from cellcutter_core.unet import UNet

USUAL_FORMATS = ("labels", "table", "overlay")
SUMMARY = "summary.csv"


class Applied(Segmented):
    """Another image with the cells that the network of a run found in it.

    Attributes
    ----------
    image : Image
    config : Config
        The settings of the run.
    origin : (int, int)
        (row, col) of the first pixel in the image that this is a region of.
    """

    def __init__(
        self,
        image: Image,
        config: Config,
        inputs: Inputs,
        drawing: Drawing,
        *,
        origin: tuple[int, int] = (0, 0),
    ) -> None:
        self.image, self.config = image, config
        self._inputs, self._drawing, self._origin = inputs, drawing, origin

    @property
    def origin(self) -> tuple[int, int]:
        """As `Applied` says."""
        return self._origin

    @property
    def drawing(self) -> Drawing:
        """Labels, borders and probability."""
        return self._drawing

    @property
    def inputs(self) -> Inputs:
        """What the network saw, with the cell area and the markers found on this image."""
        return self._inputs

    @cached_property
    def unseen(self) -> Mapping[str, NDArray[Any]]:
        """(H, W) channels that the network did not see, by name."""
        return unseen_channels(self.image, self.config)

    @property
    def channels(self) -> list[str]:
        """A name for each channel that the network saw."""
        return seen_names(self.image, self.config)

    @property
    def with_nucleus(self) -> bool:
        """Whether the last of several channels that the network saw shows nuclei."""
        return self.config.crops.with_nucleus

    @property
    def pixel_size(self) -> float | None:
        """Micrometres per pixel, where the image's file says so."""
        return self.image.pixel_size

    @property
    def image_name(self) -> str:
        """What the image is called."""
        return self.image.name


class Trained:
    """The network of a run after its last epoch, loaded once for as many images as one likes.

    Parameters
    ----------
    run : Run

    Attributes
    ----------
    epoch : int
        The last of the run.
    channels : list of str
        What the network saw of the run's own image.

    Raises
    ------
    ValueError
        If the run has no epoch yet, or its network is missing or damaged.
    """

    def __init__(self, run: Run) -> None:
        last = Result(run)
        self.run, self.config = run, run.config
        self.epoch, self.channels = last.epoch, last.channels
        if not run.model_file.exists():
            raise ValueError("the run has no model; continue it for an epoch")
        try:
            self.network = UNet.load(run.model_file, run.config.network)
        except Exception as error:
            raise ValueError(
                f"{run.model_file} cannot be read ({one_line(error)[:200]}); continue the run for "
                "an epoch"
            ) from error

    def read(self, path: str | os.PathLike[str], **how: Any) -> Image:
        """Read another image as the run's own was read, its channels in the roles of that.

        Parameters
        ----------
        path : path
        how
            As for `read_image`. What is not given, or None, is as for the run's own image: plane
            and time point as chosen there; the channels of the same names, see `in_roles`. Which of
            several images in a file says nothing of other files.

        Raises
        ------
        ValueError
            What `read_image` raises.
        """
        said = {name: value for name, value in how.items() if value is not None}
        own = {**self.run.description.get("reading", {}), "scene": None}
        image = read_image(path, **{**own, **said})
        return self.in_roles(image, keep=said)

    def in_roles(self, image: Image, *, keep: Iterable[str] = ()) -> Image:
        """The image with its channels in the roles that those of their names had in the run.

        Parameters
        ----------
        image : Image
        keep : iterable of {"cell", "nucleus"}
            The roles that stay as they are.

        Returns
        -------
        Image
            A role whose channels are not all there stays as it is, that is as it was guessed.
        """
        theirs = self.run.description
        if "cell" not in theirs or "nucleus" not in theirs:
            return image
        return image.in_roles_of(theirs, keep=keep)

    def apply(self, image: Image, *, origin: tuple[int, int] = (0, 0)) -> Applied:
        """The cells of an image, whose channels have their roles.

        Cell area and markers are found as the settings of the run want it, also where those of the
        run were edited by hand or came from a file: these belong to its own image. Without them,
        the image of the run itself gets bit for bit the labels of its last epoch.

        Parameters
        ----------
        image : Image
        origin : (int, int)
            See `Applied`.

        Raises
        ------
        ValueError
            If the network saw another number of channels, or for what `prepare` and `make_dataset`
            refuse.
        """
        seen = seen_names(image, self.config)
        if len(seen) != len(self.channels):
            raise ValueError(
                f"{image.name}: the network was trained on {_counted(self.channels)}, but would "
                f"see {_counted(seen)} here; choose as many channels as in the run for cells and "
                f"nuclei, of {', '.join(image.channels)}"
            )
        return self.draw(image, prepare(image, self.config)[0], origin=origin)

    def remark(self, applied: Applied) -> str:
        """What the network saw here, where that has other names than in its run; else nothing."""
        here, there = (", ".join(one.channels) for one in (applied, self))
        return "" if here.casefold() == there.casefold() else f"sees {here} in place of {there}"

    def draw(self, image: Image, inputs: Inputs, *, origin: tuple[int, int] = (0, 0)) -> Applied:
        """The cells of an image whose cell area and markers are known."""
        data = make_dataset(inputs, self.config)
        drawing = draw_cells(self.network, data, inputs, self.config)
        return Applied(image, self.config, inputs, drawing, origin=origin)


def apply_run(run: Run, image: Image) -> Applied:
    """The cells of another image by the network of a run.

    Parameters
    ----------
    run : Run
        With an epoch at least.
    image : Image
        Its channels get the roles of those of the same name in the run, where they are there. Mask
        and markers are found anew with the run's settings; markers edited by hand, or from a file,
        belong to the run's own image and do not carry over.

    Returns
    -------
    Applied
        `labels` are its cells.

    Raises
    ------
    ValueError
        What `Trained` and `Trained.apply` raise.
    """
    trained = Trained(run)
    return trained.apply(trained.in_roles(image))


# Many images --------------------------------------------------------------------------------------


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


def apply_to_files(
    trained: Trained,
    files: Mapping[str, Path],
    folder: Path,
    *,
    scenes: Mapping[str, int] | None = None,
    formats: Sequence[str] = USUAL_FORMATS,
    earlier: Sequence[Outcome] = (),
    stop: Callable[[], bool] = lambda: False,
    **how: Any,
) -> Iterator[tuple[Outcome, Applied | None]]:
    """Apply a network to many images, and write what it finds.

    Parameters
    ----------
    trained : Trained
    files : mapping of str to Path
        The images, each under the name that those of its files will begin with, see `names_for`.
    scenes : mapping of str to int, optional
        Of those that are not alone in their file, which one of it they are, see `named_images`.
    folder : Path
        Made where it is not there. Files in it are replaced, see `check_free`.
    formats : sequence of str
        Names in `cellcutter_core.export.IMAGE_FORMATS`.
    earlier : sequence of Outcome
        Of images done before, for the summary.
    stop : callable
        Asked before every image.
    how
        As for `Trained.read`.

    Yields
    ------
    outcome : Outcome
    applied : Applied or None
        None where something is wrong with the image; the others go on.

    Raises
    ------
    ValueError
        If a format is none for images, or the folder cannot be made.
    """
    outputs("", formats)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"cannot write {folder}: {error.strerror}; choose another") from error
    done = list(earlier)
    row, col, *_ = how.get("region") or (0, 0)
    origin = (row, col)
    for name, file in files.items():
        if stop():
            return

        one = {"scene": scenes[name]} if scenes and name in scenes else {}

        def find(file: Path = file, one: Mapping[str, int] = one) -> Applied:
            return trained.apply(trained.read(file, **{**how, **one}), origin=origin)

        outcome, applied = _one(
            name, file.name, find, folder, formats=formats, remark=trained.remark
        )
        done.append(outcome)
        _write_summary(folder, done)
        yield outcome, applied


def write_others(run: Run, *, formats: Sequence[str] = USUAL_FORMATS) -> list[Outcome]:
    """Write the cells of the other images that a run was trained on into its folder `others`.

    They are those of the network after the last epoch. What was written before is replaced, and
    what became of each is recorded in the run, see `found_in_others`.

    Returns
    -------
    list of Outcome
        One for each of them in their order.

    Raises
    ------
    ValueError
        What `Trained` raises, and if the folder cannot be written.
    """
    trained, folder = Trained(run), run.path / "others"
    others = run.others
    done = []
    names = names_for([Path(other.image.name) for other in others])
    for name, other in zip(names, others, strict=True):

        def find(other: Other = other) -> Applied:
            return trained.draw(other.image, other.inputs)

        done.append(_one(name, other.image.name, find, folder, formats=formats)[0])
        run.record("other", outcome=asdict(done[-1]))
    _write_summary(folder, done)
    return done


def found_in_others(run: Run) -> list[Outcome]:
    """What was found in the other images by the network after the last epoch of a run.

    Returns
    -------
    list of Outcome
        In their order; of none that `write_others` has not done since that epoch.
    """
    found: dict[str, Outcome] = {}
    for event in run.events():
        if event["kind"] == "epoch":
            found = {}
        elif event["kind"] == "other":
            found[event["outcome"]["name"]] = Outcome(**event["outcome"])
    return list(found.values())


def zip_of_others(run: Run) -> bytes:
    """The content of a zip of what `write_others` wrote, and `found_in_others` says."""
    given = [file.name for file in run.other_files]
    return zipped(FolderFiles(run.path / "others", without=given))


def _write_summary(folder: Path, outcomes: Sequence[Outcome]) -> None:
    with atomic(folder / SUMMARY) as temporary:
        temporary.write_bytes(summary_file(outcomes))


def _one(
    name: str,
    image: str,
    find: Callable[[], Applied],
    folder: Path,
    *,
    formats: Sequence[str],
    remark: Callable[[Applied], str] = lambda applied: "",
) -> tuple[Outcome, Applied | None]:
    start = time.perf_counter()
    try:
        applied = find()
        made = {target: image_content(applied, f) for f, target in outputs(name, formats).items()}
        for target, content in made.items():
            with atomic(folder / target) as temporary:
                temporary.write_bytes(content)
    # Whatever it is, frameworks have many kinds of it: the other images shall not suffer.
    except Exception as error:
        reason = one_line(error) or type(error).__name__
        if isinstance(error, MemoryError):
            reason = "there is not enough memory; cut it into smaller images"
        elif not isinstance(error, ValueError):
            reason = f"{type(error).__name__}: {reason}"
        reason = reason.removeprefix(f"{one_line(image)}: ")
        return Outcome(name, image, time.perf_counter() - start, reason), None
    seconds = time.perf_counter() - start
    outcome = Outcome(name, image, seconds, **_measures(applied), remark=remark(applied))
    return outcome, applied


def _measures(applied: Applied) -> dict[str, Any]:
    labels = applied.labels
    areas = np.bincount(labels.ravel())[1:]
    areas = areas[areas > 0]
    edge = along_border(labels)
    measures: dict[str, Any] = {
        "cells": len(areas),
        "cells_at_border": len(np.unique(edge[edge > 0])),
        "mask_fraction": float(applied.inputs.mask.mean()),
    }
    if len(areas):
        size = applied.pixel_size
        for which, area in (("mean", np.mean(areas)), ("median", np.median(areas))):
            measures[f"{which}_area"] = float(area)
            if size is not None:
                measures[f"{which}_area_um2"] = float(area) * size**2
    return measures


def summary_file(outcomes: Sequence[Outcome]) -> bytes:
    """The content of a CSV file with a line for each image; comma and decimal point, UTF-8."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(field.name for field in fields(Outcome))
    for outcome in outcomes:
        writer.writerow("" if value is None else value for value in asdict(outcome).values())
    return stream.getvalue().encode("utf-8")


def _counted(channels: Sequence[str]) -> str:
    listed = ", ".join(channels)
    return f"{len(channels)} {'channel' if len(channels) == 1 else 'channels'} ({listed})"
