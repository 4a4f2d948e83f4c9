"""Write and execute the runs of a sweep."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cellcutter_core.config import QUICK, Config
from cellcutter_core.files import explaining
from cellcutter_core.runs.store import Run
from cellcutter_core.sweeps.sweep import Row, Sweep

if TYPE_CHECKING:
    from cellcutter_core.images.image import Image
    from cellcutter_core.jobs.queue import Jobs
    from cellcutter_core.training.inputs import Inputs, Truth

# So many pairs of mask and markers are kept while the runs of a sweep are written.
_KEPT = 8
_LOOK_EVERY = 0.5


def digest_of(image: Image, marker_file: Path | None = None) -> str:
    """Return a digest of all that the runs of a sweep are given besides their settings.

    Raises
    ------
    ValueError
        If the file of markers cannot be read.
    """
    about = (image.channels, image.roles, image.origin, image.whole_shape, image.pixel_size)
    found = hashlib.sha256(repr(about).encode())
    for plane in (image.pixels, image.truth, image.ignore, image.markers):
        if plane is not None:
            found.update(np.ascontiguousarray(plane).data)
    if marker_file is not None:
        with explaining(f"cannot read {marker_file}", "check its path"):
            found.update(marker_file.read_bytes())
    return found.hexdigest()


def writer(
    image: Image,
    *,
    find: Callable[[Config], tuple[Inputs, Truth | None]] | None = None,
    describe: Callable[[Config], Mapping[str, Any]] = lambda config: {},
    **known: Any,
) -> Callable[[Path, Config], Run]:
    """Return what `Sweep.write_runs` wants: a function that writes a run on this image.

    Mask and markers are found once for all runs that agree in the settings of both.

    Parameters
    ----------
    image : Image
        The image or region to train on.
    find : callable, optional
        Finds mask and markers for some settings. Default: `pipeline.prepare`.
    describe : callable
        Returns attributes of a run's description that depend on its settings.
    known
        Attributes of the description of every run, see `Run.of_image`.
    """
    from cellcutter_core.pipeline import prepare
    from cellcutter_core.training.datasets import make_dataset

    found = lru_cache(maxsize=_KEPT)(find or partial(prepare, image))

    def write(path: Path, config: Config) -> Run:
        # The settings of training and labels do not affect mask and markers.
        prepared = found(config.replace(training=QUICK.training, labels=QUICK.labels))
        # An error in the crops is raised here, before anything is written.
        make_dataset(prepared[0], config)
        return Run.of_image(path, image, config, prepared, **describe(config), **known)

    return write


def execute(
    sweep: Sweep,
    jobs: Jobs,
    *,
    ended: Callable[[Row], None],
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Queue the runs of a sweep that are not finished, and wait until all have ended.

    Parameters
    ----------
    sweep : Sweep
        Its runs are written already.
    jobs : Jobs
    ended : callable
        Called with each run that ends.
    stop : callable
        When it returns True, all runs are stopped. They keep what they have done.
    """
    waiting = {}
    for row, member in zip(sweep.rows(), sweep.about.members, strict=True):
        if row.is_done or row.status in ("refused", "missing"):
            continue
        run = waiting[row.run_id] = Run(sweep.path_of(member))
        # A new run counts as queued; it is in no queue yet.
        if row.status != "running" and jobs.position(run) is None:
            jobs.submit(run, line=sweep.id)
    is_asked = False
    # It ends, because each job ends: a child process that dies is noticed by its queue.
    while waiting:
        if not is_asked and stop():
            is_asked = True
            for run in waiting.values():
                jobs.cancel(run)
        for row in sweep.rows():
            if row.run_id not in waiting or row.is_under_way:
                continue
            if row.status == "crashed" and jobs.has_task(waiting[row.run_id]):
                continue  # Another worker takes it over.
            del waiting[row.run_id]
            ended(row)
        if waiting:
            time.sleep(_LOOK_EVERY)
