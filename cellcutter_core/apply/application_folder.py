"""Applications: a run applied to other images in a separate process, in a folder within the run's.

    RUN/applied/ID/
      application.json  its images, formats, and how to read the images
      events.jsonl      one line for each image
      results/          the files of each image, and summary.csv
      previews/         small pictures of each image, without and with its cells
      log.txt           what the process printed
      stop              exists if somebody asked it to stop
      lock              exists while a process works on it

Started again on the same folder, it continues with the remaining images.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from cellcutter_core.apply.applying import Trained
from cellcutter_core.apply.applying_to_files import apply_to_files, preview_file
from cellcutter_core.apply.outcomes import USUAL_FORMATS, Outcome
from cellcutter_core.config import check_current
from cellcutter_core.export.files import files_in, zipped
from cellcutter_core.files import explaining, write_whole
from cellcutter_core.images.file_sets.given_files import ImageFiles
from cellcutter_core.limits import TimeLimit, check_room
from cellcutter_core.people.allowance import check_disk_for
from cellcutter_core.runs.folder import new_run_id, runs_folder
from cellcutter_core.runs.job_folder import JobFolder
from cellcutter_core.runs.job_status import Status, status_of
from cellcutter_core.runs.lock import alive
from cellcutter_core.runs.store import Run

PREVIEWS = "previews"


@dataclass(frozen=True)
class Standing:
    """The status of an application, computed from its events.

    Attributes
    ----------
    status, message : str
        As for a run, see `Progress`.
    outcomes : tuple of Outcome
        Outcomes of the finished images, in the order of the application.
    now : str
        Name of the current or next image; empty if none is left.
    n : int
        Number of all images.
    share : float
        Finished share of the work on the current image. It is known only for a large image, which
        is done in blocks; else 0.
    """

    status: Status
    message: str
    outcomes: tuple[Outcome, ...]
    now: str
    n: int
    share: float = 0.0

    @property
    def n_left(self) -> int:
        """Number of images that are not done yet."""
        return self.n - len(self.outcomes)


class Application(JobFolder):
    """The folder of an application.

    Attributes
    ----------
    files : dict of str to Path or tuple of Path
        The images by name, see `named_images`.
    scenes : dict of str to int
        Number of an image within its file, by name, see `named_images`.
    formats : list of str
    how : dict
        Arguments of `Trained.read`.
    created : float
        Seconds since 1970.

    Raises
    ------
    ValueError
        If the folder was not written by `Application.create`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        try:
            said = json.loads((self.path / "application.json").read_text("utf-8"))
            self.files: dict[str, ImageFiles] = {
                name: Path(file) if isinstance(file, str) else tuple(map(Path, file))
                for name, file in said["files"].items()
            }
            self.scenes: dict[str, int] = said.get("scenes", {})
            self.formats: list[str] = said["formats"]
            self.how: dict[str, Any] = said["how"]
            self.created = float(said["created"])
        except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{self.path} is not the folder of an application ({error}); apply the run again"
            ) from None

    @classmethod
    def create(
        cls,
        run: Run,
        files: Mapping[str, ImageFiles],
        *,
        scenes: Mapping[str, int] | None = None,
        formats: Sequence[str] = USUAL_FORMATS,
        how: Mapping[str, Any] | None = None,
    ) -> Application:
        """Write a new application, ready to be executed.

        Parameters
        ----------
        run : Run
        files : mapping of str to Path or tuple of Path
            The images by name, see `named_images`.
        scenes : mapping of str to int, optional
            Number of an image within its file, by name, see `named_images`.
        formats : sequence of str
            Names in `cellcutter_core.export.IMAGE_FORMATS`.
        how : mapping, optional
            Arguments of `Trained.read`.

        Raises
        ------
        ValueError
            If there is no file, the run is of an earlier version or of another person, the disk is
            full (see `limits.check_room`), the person has as much on it as each may have, or the
            folder cannot be written.
        """
        run.check_changeable()
        check_current(run.config)
        if not files:
            raise ValueError("there is no image to apply the run to; choose at least one")
        check_room(runs_folder(), 0)
        check_disk_for(run.description.owner)
        path = run.path.absolute() / "applied" / new_run_id()
        with explaining(f"cannot write {path}"):
            (path / PREVIEWS).mkdir(parents=True)
        said = {
            "created": time.time(),
            "files": {
                name: str(place.absolute())
                if isinstance(place, Path)
                else [str(file.absolute()) for file in place]
                for name, place in files.items()
            },
            "scenes": dict(scenes or {}),
            "formats": list(formats),
            "how": dict(how or {}),
        }
        write_whole(path / "application.json", json.dumps(said, indent=1))
        return cls(path)

    @property
    def run(self) -> Run:
        """The run that is applied."""
        return Run(self.path.parent.parent)

    @property
    def results(self) -> Path:
        """The folder of all exported files."""
        return self.path / "results"

    def preview(self, name: str, kind: Literal["image", "cells"] = "cells") -> Path:
        """Return the file of a small picture of an image, without or with its cells."""
        return preview_file(self.path / PREVIEWS, name, kind)

    def download(self) -> bytes:
        """Return the content of a zip of everything in `results`."""
        return zipped(files_in(self.results))

    @property
    def progress(self) -> Standing:
        """The current status."""
        return standing(self.events(), list(self.files), alive=partial(alive, self.path))

    @property
    def pace(self) -> float | None:
        """Seconds an image since the last start of the process; None before the second image."""
        start, ends = 0.0, list[float]()
        for event in self.events():
            if event["kind"] == "started":
                start, ends = event["time"], []
            elif event["kind"] == "image":
                ends.append(event["time"])
        return max(ends[-1] - start, 0.0) / len(ends) if len(ends) > 1 else None


def applications(run: Run) -> Iterator[Application]:
    """Yield the applications of a run, newest first, without damaged ones."""
    for path in sorted((run.path / "applied").glob("*"), reverse=True):
        with contextlib.suppress(ValueError):
            application = Application(path)
            application.is_read_only = run.is_read_only
            yield application


def standing(
    events: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    *,
    alive: Callable[..., bool] | None = None,
) -> Standing:
    """Compute the status of an application from its events. Pure, except that `alive` is called.

    An image that failed before the last start of the process counts as not done: it is tried again.
    """
    share = 0.0
    done: dict[str, Outcome] = {}
    for event in events:
        match event["kind"]:
            case "queued":
                done = {name: one for name, one in done.items() if not one.error}
            case "started":
                share = 0.0
            case "part":
                share = event["share"]
            case "image":
                done[event["outcome"]["name"]], share = Outcome(**event["outcome"]), 0.0
    status, message = status_of(events, alive)
    left = [name for name in names if name not in done]
    ordered = tuple(done[name] for name in names if name in done)
    return Standing(status, message, ordered, left[0] if left else "", len(names), share)


def work(
    application: Application,
    *,
    stop: Callable[[], bool] = lambda: False,
    connect: Callable[[], AbstractContextManager[Executor | None]] = nullcontext,
) -> None:
    """Apply the run to the remaining images, until all are done or it is asked to stop.

    After the server's time limit it stops as well, with the image that is under way.

    Parameters
    ----------
    application : Application
    stop : callable
        Whether it is asked to stop; a file in the folder can ask as well.
    connect : callable
        Yields where images are worked on, see `apply_to_files`; None for here.

    Raises
    ------
    ValueError
        If the run has no network or there is no connection, which is also recorded, or if another
        process works on this.
    """
    clock = TimeLimit()
    with application.worked_on(), connect() as executor:
        now = application.progress
        done = {outcome.name for outcome in now.outcomes}
        left = {name: file for name, file in application.files.items() if name not in done}
        for outcome in apply_to_files(
            Trained(application.run),
            left,
            application.results,
            scenes=application.scenes,
            formats=application.formats,
            previews=application.path / PREVIEWS,
            earlier=now.outcomes,
            stop=lambda: stop() or application.asked_to_stop,
            progress=lambda name, share: application.record("part", name=name, share=share),
            executor=executor,
            **application.how,
        ):
            application.record("image", outcome=asdict(outcome))
            # Not within an image: one that takes longer than the limit would never be done.
            clock.look()
            if clock.is_reached:
                break
        if application.progress.n_left:
            application.record("stopped", message=clock.message)
        else:
            application.record("finished")
