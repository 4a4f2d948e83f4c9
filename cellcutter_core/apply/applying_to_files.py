"""Apply the network of a run to many images, and write the results to files.

With an executor each image is a task. Its workers see the run, the images and the folder of the
results, and write there. A large image is worked on from here, and its blocks are tasks.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np

from cellcutter_core.apply.applied_image import Applied
from cellcutter_core.apply.applying import Trained
from cellcutter_core.apply.in_blocks import SCRATCH, InBlocks, apply_in_blocks, forget_left_over
from cellcutter_core.apply.outcomes import USUAL_FORMATS, Outcome, outputs, write_summary
from cellcutter_core.export import image_content, png_file
from cellcutter_core.files import atomic, explaining, write_whole
from cellcutter_core.images.file_sets.given_files import ImageFiles, describe_files
from cellcutter_core.images.pixel_size import height_and_width
from cellcutter_core.images.reading.contents import TooLarge
from cellcutter_core.images.reading.readers import one_line
from cellcutter_core.large.large_image import LargeImage
from cellcutter_core.network.backend import backend
from cellcutter_core.processes.wanted_tasks import answer_of, in_order
from cellcutter_core.runs.lock import held
from cellcutter_core.runs.store import Run
from cellcutter_core.view.render import Rgb, overlay

PREVIEW = 900
"""The longest side of a preview in pixels: about the width of a column of the page."""


class LeftOff(Exception):
    """Raised within an image that is to have no outcome here, for example on a request to stop."""


@dataclass(frozen=True)
class _Planned:
    """An image, the files of its results by format, and the folder of its previews, if any."""

    name: str
    file: ImageFiles
    reading: Mapping[str, Any]
    targets: Mapping[str, Path]
    previews: Path | None


def apply_to_files(
    trained: Trained,
    files: Mapping[str, ImageFiles],
    folder: Path,
    *,
    scenes: Mapping[str, int] | None = None,
    formats: Sequence[str] = USUAL_FORMATS,
    previews: Path | None = None,
    earlier: Sequence[Outcome] = (),
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[str, float], None] = lambda name, share: None,
    executor: Executor | None = None,
    **how: Any,
) -> Iterator[Outcome]:
    """Apply a network to many images, and write the results.

    Parameters
    ----------
    trained : Trained
    files : mapping of str to Path or tuple of Path
        Name → file or files of the image, see `names_for`. Names of results begin with this name.
    scenes : mapping of str to int, optional
        Name → number of the image within a file that holds several, see `named_images`.
    folder : Path
        Created if it does not exist. Files in it are replaced, see `check_free`.
    formats : sequence of str
        Names in `cellcutter_core.export.IMAGE_FORMATS`.
    previews : Path, optional
        An existing folder for small pictures of each image, see `preview_file`.
    earlier : sequence of Outcome
        Outcomes of images that were done before, for the summary.
    stop : callable
        Called before every image, and before every block of a large image. True stops the work.
    progress : callable
        Called with the name of a large image, and the finished share of the work on it.
    executor : Executor, optional
        Where images, and the blocks of large ones, are worked on; default here. Its attribute
        `n_workers` says how many tasks run at once; 1 without. The results are the same.
    how
        As for `Trained.read`.

    Yields
    ------
    Outcome
        In the order of the files. If an image fails, the others are still done.

    Raises
    ------
    ValueError
        If a format is not for images, or the folder cannot be created.
    """
    folder = folder.absolute()
    _prepare_folder(folder, formats)
    planned = [
        _Planned(
            name,
            _absolute(file),
            {**how, "scene": scenes[name]} if scenes and name in scenes else how,
            {format: folder / target for format, target in outputs(name, formats).items()},
            previews and previews.absolute(),
        )
        for name, file in files.items()
    ]

    def here(one: _Planned) -> Outcome:
        last = -1.0

        def report(share: float) -> None:
            nonlocal last
            if stop():
                raise LeftOff
            if share > last:
                last = share
                progress(one.name, share)

        def in_blocks(image: LargeImage) -> InBlocks:
            return apply_in_blocks(trained, image, one.targets, progress=report, executor=executor)

        return _apply(trained, one, in_blocks)

    done = list(earlier)
    try:
        for outcome in _each(trained, planned, folder, here, stop, executor):
            done.append(outcome)
            write_summary(folder, done)
            yield outcome
    except LeftOff:
        return


def preview_file(folder: Path, name: str, kind: Literal["image", "cells"]) -> Path:
    """Return the file of a small picture of an image, without or with its cells."""
    return folder / f"{name}-{kind}.png"


def _each(
    trained: Trained,
    planned: Iterable[_Planned],
    folder: Path,
    here: Callable[[_Planned], Outcome],
    stop: Callable[[], bool],
    executor: Executor | None,
) -> Iterator[Outcome]:
    """Yield the outcome of each image, worked on here or by the workers of an executor."""

    def check_stop() -> None:
        if stop():
            raise LeftOff

    if executor is None:
        for one in planned:
            check_stop()
            yield here(one)
        return
    run = trained.run
    with explaining(f"cannot write {folder}", "choose another"):
        scratch = TemporaryDirectory(prefix=SCRATCH, dir=folder, ignore_cleanup_errors=True)
    with scratch as wanted, held(Path(wanted)):
        about = (wanted, _task, str(run.path.absolute()), _digest(run.model_file))
        tasks = ((one, (*about, one)) for one in planned)
        for one, ended in in_order(executor, tasks, waiting=check_stop):
            try:
                outcome = answer_of(ended)
            except ValueError as error:
                outcome = Outcome(one.name, describe_files(one.file), 0.0, str(error))
            # None: it is large.
            yield outcome or here(one)
            check_stop()  # Only now: what has ended counts.


def _task(run: str, digest: str, one: _Planned) -> Outcome | None:
    """The task: apply a run to an image and write its files, unless the image is large."""
    try:
        return _apply(_trained(run, digest), one, None)
    except LeftOff:
        return None


@lru_cache(maxsize=1)
def _trained(run: str, digest: str) -> Trained:
    """Load the network of a run once for all images, if it is still the same."""
    backend()  # It keeps the framework from writing what it finds on the machine.
    trained = Trained(Run(run))
    if _digest(trained.run.model_file) != digest:
        raise ValueError(f"the run in {run} was trained on meanwhile; apply it again")
    return trained


def _digest(model: Path) -> str:
    with model.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _absolute(file: ImageFiles) -> ImageFiles:
    return file.absolute() if isinstance(file, Path) else tuple(one.absolute() for one in file)


def _apply(
    trained: Trained, one: _Planned, in_blocks: Callable[[LargeImage], InBlocks] | None
) -> Outcome:
    """Apply a network to an image, and write its files; a large one needs `in_blocks`."""

    def find() -> Applied | InBlocks:
        try:
            image = trained.open(one.file, **one.reading)
        except TooLarge:
            if in_blocks is None:
                raise LeftOff from None
            raise
        found: Applied | InBlocks
        if not isinstance(image, LargeImage):
            found = trained.apply(image)
            write_formats(found, one.targets)
        elif in_blocks is None:
            raise LeftOff
        else:
            found = in_blocks(image)
        if one.previews is not None:
            _write_previews(found, one.previews, one.name)
        return found

    return outcome_of(one.name, describe_files(one.file), find, remark=trained.remark)


def _write_previews(found: Applied | InBlocks, folder: Path, name: str) -> None:
    step = -(-max(found.labels.shape) // PREVIEW)
    pictures: dict[Literal["image", "cells"], Rgb] = {
        "image": found.picture,
        "cells": overlay(found.picture, found.labels, colors=found.colors),
    }
    for kind, picture in pictures.items():
        write_whole(preview_file(folder, name, kind), png_file(picture[::step, ::step]))


def _prepare_folder(folder: Path, formats: Sequence[str]) -> None:
    """Make the folder of the results, without what a killed process left in it."""
    outputs("", formats)
    with explaining(f"cannot write {folder}", "choose another"):
        folder.mkdir(parents=True, exist_ok=True)
    forget_left_over(folder)


def write_formats(applied: Applied, targets: Mapping[str, Path]) -> None:
    """Write an image with its cells: format → file. Writes all files or, if one fails, none."""
    made = {target: image_content(applied, format) for format, target in targets.items()}
    with ExitStack() as stack:
        for target, content in made.items():
            stack.enter_context(atomic(target)).write_bytes(content)


def outcome_of(
    name: str,
    image: str,
    find: Callable[[], Applied | InBlocks],
    *,
    remark: Callable[[Applied | InBlocks], str] = lambda found: "",
) -> Outcome:
    """Find the cells of an image and return its outcome; an error becomes a part of the outcome.

    Parameters
    ----------
    name, image : str
        See `Outcome`.
    find : callable
        Finds the cells and writes them. It may raise a `LeftOff`.
    remark : callable
        Returns a remark on the cells, or an empty text.
    """
    start = time.perf_counter()
    try:
        found = find()
    except LeftOff:
        raise
    # Every kind of error, because frameworks raise many: the other images must still be done.
    except Exception as error:
        reason = one_line(error) or type(error).__name__
        if isinstance(error, MemoryError):
            reason = "there is not enough memory; cut the image into smaller ones"
        elif not isinstance(error, ValueError):
            reason = f"{type(error).__name__}: {reason}"
        reason = reason.removeprefix(f"{one_line(image)}: ")
        return Outcome(name, image, time.perf_counter() - start, reason)
    seconds = time.perf_counter() - start
    notes = " ".join(found.remarks)
    measures = _measures(found)
    return Outcome(name, image, seconds, **measures, remark=remark(found), notes=notes)


def _measures(found: Applied | InBlocks) -> dict[str, Any]:
    areas, size = found.areas, found.pixel_size
    measures: dict[str, Any] = {
        "cells": len(areas),
        "cells_at_border": found.n_at_border,
        "mask_fraction": found.mask_fraction,
    }
    if len(areas):
        for which, area in (("mean", np.mean(areas)), ("median", np.median(areas))):
            measures[f"{which}_area"] = float(area)
            if size is not None:
                measures[f"{which}_area_um2"] = float(area) * math.prod(height_and_width(size))
    if size is not None:
        sides = height_and_width(size)
        measures |= zip(("pixel_height_um", "pixel_width_um"), sides, strict=True)
    return measures
