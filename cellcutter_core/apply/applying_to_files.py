"""Apply the network of a run to many images and write the results to files."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from cellcutter_core.apply.applied_image import Applied
from cellcutter_core.apply.applying import Trained
from cellcutter_core.apply.in_blocks import InBlocks, forget_left_over
from cellcutter_core.apply.outcomes import USUAL_FORMATS, Outcome, outputs, write_summary
from cellcutter_core.export import image_content
from cellcutter_core.files import atomic
from cellcutter_core.images.file_sets.given_files import ImageFiles, describe_files
from cellcutter_core.images.pixel_size import height_and_width
from cellcutter_core.images.readers import one_line
from cellcutter_core.large.large_image import LargeImage


class LeftOff(Exception):
    """Raised within an image that is to have no outcome, as if somebody asked to stop."""


def apply_to_files(
    trained: Trained,
    files: Mapping[str, ImageFiles],
    folder: Path,
    *,
    scenes: Mapping[str, int] | None = None,
    formats: Sequence[str] = USUAL_FORMATS,
    earlier: Sequence[Outcome] = (),
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[str, float], None] = lambda name, share: None,
    executor: Executor | None = None,
    **how: Any,
) -> Iterator[tuple[Outcome, Applied | InBlocks | None]]:
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
    earlier : sequence of Outcome
        Outcomes of images that were done before, for the summary.
    stop : callable
        Called before every image, and before every block of a large image. True stops the work.
    progress : callable
        Called with the name of a large image, and the finished share of the work on it.
    executor : Executor, optional
        Where the blocks of a large image are worked on, see `apply_in_blocks`; default here.
    how
        As for `Trained.read`.

    Yields
    ------
    outcome : Outcome
    applied : Applied, InBlocks or None
        `InBlocks` for a large image. None if the image failed; the others are still done.

    Raises
    ------
    ValueError
        If a format is not for images, or the folder cannot be created.
    """
    prepare_folder(folder, formats)
    done = list(earlier)
    for name, file in files.items():
        if stop():
            return
        one = {"scene": scenes[name]} if scenes and name in scenes else {}
        targets = {format: folder / target for format, target in outputs(name, formats).items()}

        last = -1.0

        def report(share: float, name: str = name) -> None:
            nonlocal last
            if stop():
                raise LeftOff
            if share > last:
                last = share
                progress(name, share)

        def find(
            file: ImageFiles = file,
            reading: Mapping[str, Any] = {**how, **one},
            targets: Mapping[str, Path] = targets,
            report: Callable[[float], None] = report,
        ) -> Applied | InBlocks:
            image = trained.open(file, **reading)
            if isinstance(image, LargeImage):
                return trained.apply_in_blocks(image, targets, progress=report, executor=executor)
            applied = trained.apply(image)
            write_formats(applied, targets)
            return applied

        try:
            outcome, applied = outcome_of(name, describe_files(file), find, remark=trained.remark)
        except LeftOff:
            return
        done.append(outcome)
        write_summary(folder, done)
        yield outcome, applied


def prepare_folder(folder: Path, formats: Sequence[str]) -> None:
    """Make the folder of the results, without what a killed process left in it.

    Raises
    ------
    ValueError
        If a format is not for images, or the folder cannot be created.
    """
    outputs("", formats)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"cannot write {folder}: {error.strerror}; choose another") from error
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
) -> tuple[Outcome, Applied | InBlocks | None]:
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
        return Outcome(name, image, time.perf_counter() - start, reason), None
    seconds = time.perf_counter() - start
    notes = " ".join(found.remarks)
    measures = _measures(found)
    return Outcome(name, image, seconds, **measures, remark=remark(found), notes=notes), found


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
