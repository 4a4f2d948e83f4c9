"""Apply the network of a run to many images as tasks of an executor, one task for each image.

The workers see the run, the images and the folder of the results, and write there. A large image is
worked on from here, and its blocks are tasks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cellcutter_core.apply.applied_image import Applied
from cellcutter_core.apply.applying import Trained
from cellcutter_core.apply.applying_to_files import (
    LeftOff,
    apply_to_files,
    outcome_of,
    prepare_folder,
    write_formats,
)
from cellcutter_core.apply.in_blocks import SCRATCH
from cellcutter_core.apply.outcomes import USUAL_FORMATS, Outcome, outputs, write_summary
from cellcutter_core.images.contents import TooLarge
from cellcutter_core.images.file_sets.given_files import ImageFiles, describe_files
from cellcutter_core.large.large_image import LargeImage
from cellcutter_core.network.backend import backend
from cellcutter_core.processes.wanted_tasks import answer_of, in_order
from cellcutter_core.runs.lock import held
from cellcutter_core.runs.store import Run


def apply_elsewhere(
    trained: Trained,
    files: Mapping[str, ImageFiles],
    folder: Path,
    executor: Executor,
    *,
    scenes: Mapping[str, int] | None = None,
    formats: Sequence[str] = USUAL_FORMATS,
    progress: Callable[[str, float], None] = lambda name, share: None,
    **how: Any,
) -> Iterator[tuple[Outcome, list[str]]]:
    """Apply a network to many images like `apply_to_files`; the results are the same.

    Parameters
    ----------
    trained, files, folder, scenes, formats, progress, how
        As for `apply_to_files`.
    executor : Executor
        Its attribute `n_workers` says how many tasks run at once; 1 without.

    Yields
    ------
    outcome : Outcome
        In the order of the files.
    remarks : list of str
        What to know of the image's channels and its pixel size, see `Image`.

    Raises
    ------
    ValueError
        If a format is not for images, or the folder cannot be created.
    """
    folder = folder.absolute()
    prepare_folder(folder, formats)
    done: list[Outcome] = []
    with (
        TemporaryDirectory(prefix=SCRATCH, dir=folder, ignore_cleanup_errors=True) as wanted,
        held(Path(wanted)),
    ):
        about = (wanted, _apply, str(trained.run.path.absolute()), _digest(trained.run.model_file))

        def tasks() -> Iterator[tuple[str, tuple[Any, ...]]]:
            for name, place in files.items():
                scene = {"scene": scenes[name]} if scenes and name in scenes else {}
                targets = {kind: folder / file for kind, file in outputs(name, formats).items()}
                yield name, (*about, name, _absolute(place), {**how, **scene}, targets)

        for name, ended in in_order(executor, tasks()):
            try:
                found = answer_of(ended)
            except ValueError as error:
                found = Outcome(name, describe_files(files[name]), 0.0, str(error)), []
            if found is not None:
                done.append(found[0])
                write_summary(folder, done)
                yield found
                continue
            # It is large.
            for outcome, applied in apply_to_files(
                trained,
                {name: files[name]},
                folder,
                scenes=scenes,
                formats=formats,
                earlier=done,
                progress=progress,
                executor=executor,
                **how,
            ):
                done.append(outcome)
                yield outcome, applied.remarks if applied else []


def _absolute(file: ImageFiles) -> ImageFiles:
    return file.absolute() if isinstance(file, Path) else tuple(one.absolute() for one in file)


def _digest(model: Path) -> str:
    with model.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _apply(
    run: str,
    digest: str,
    name: str,
    file: ImageFiles,
    reading: Mapping[str, Any],
    targets: Mapping[str, Path],
) -> tuple[Outcome, list[str]] | None:
    """The task: apply a run to an image and write its files, unless the image is large."""
    trained = _trained(run, digest)

    def find() -> Applied:
        try:
            image = trained.open(file, **reading)
        except TooLarge:
            raise LeftOff from None
        if isinstance(image, LargeImage):
            raise LeftOff
        applied = trained.apply(image)
        write_formats(applied, targets)
        return applied

    try:
        outcome, applied = outcome_of(name, describe_files(file), find, remark=trained.remark)
    except LeftOff:
        return None
    return outcome, applied.remarks if applied else []


@lru_cache(maxsize=1)
def _trained(run: str, digest: str) -> Trained:
    """Load the network of a run once for all images, if it is still the same."""
    backend()  # It keeps the framework from writing what it finds on the machine.
    trained = Trained(Run(run))
    if _digest(trained.run.model_file) != digest:
        raise ValueError(f"the run in {run} was trained on meanwhile; apply it again")
    return trained
