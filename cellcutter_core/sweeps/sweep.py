"""A sweep: a folder that says which runs belong together, and what was varied between them.

FOLDER/sweep.json       what is varied, and the run of each combination of values
FOLDER/refused.json     why the other combinations have no run
RUNS/ID                 the runs, each like any other; RUNS is FOLDER itself on the command line

A sweep has no state of its own. How far it is, its runs say; so it can be stopped and continued at
any time.
"""

from __future__ import annotations

import csv
import io
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from cellcutter_core.config import Config, Settings
from cellcutter_core.files import explaining, write_whole
from cellcutter_core.runs.folder import (
    RunSummary,
    new_run_id,
    runs_folder,
    summary_of,
    valid_id,
)
from cellcutter_core.runs.names import value_in_words
from cellcutter_core.runs.store import Run
from cellcutter_core.sweeps.variations import Value, Variation, in_words, vary

FOLDER = ".sweeps"
"""The folder, beside the runs, of the sweeps made in the app."""
FORMAT = 1
"""The format of `sweep.json` that is written."""
FILE, REFUSED = "sweep.json", "refused.json"


class Member(Settings):
    """One run of a sweep."""

    values: tuple[Value, ...] = Field(description="Its values, in the order of the variations.")
    run: str = Field(description="Id of the run, which is the name of its folder.")


class SweepDescription(Settings):
    """What `sweep.json` holds."""

    format: int = Field(FORMAT, description="Format of the file.")
    created: float = Field(0.0, description="When it was made, in seconds since 1970.")
    image: str = Field("", description="Name of the image.")
    inputs: str = Field("", description="What `running.digest_of` says of image and markers.")
    config: Config = Field(description="The settings that are not varied.")
    variations: tuple[Variation, ...] = Field(description="What is varied.")
    members: tuple[Member, ...] = Field(description="One for each combination of values.")
    choices: dict[str, Any] | None = Field(
        None, description="The choices of the app that led to it."
    )
    owner: str = Field("", description="Whose it is, see `runs.description.Description`.")


@dataclass(frozen=True)
class Row:
    """What is known of one run of a sweep.

    Attributes
    ----------
    values : tuple
        Its values, in the order of the variations.
    run_id : str
    status : str
        As in `Progress`; "refused" if these settings make no run; "missing" if it was not written
        yet or was deleted.
    message : str
        Why it failed or was refused.
    epochs_done, epochs : int
    seconds : float
        Of training.
    loss : float or None
        Of the last trained epoch.
    ap50, ap75 : float or None
        After the last trained epoch, if the truth is known.
    summary : RunSummary or None
        All that is read of the run; None if it is missing or refused.
    """

    values: tuple[Value, ...]
    run_id: str
    status: str
    message: str
    epochs_done: int
    epochs: int
    seconds: float
    loss: float | None
    ap50: float | None
    ap75: float | None
    summary: RunSummary | None = None

    @property
    def is_done(self) -> bool:
        """Return whether it has all its epochs."""
        return self.status == "finished"

    @property
    def is_under_way(self) -> bool:
        """Return whether it waits or is trained."""
        return self.status in ("queued", "running")

    @property
    def has_failed(self) -> bool:
        """Return whether it ended with an error, or could not begin; `message` says why."""
        return self.status in ("refused", "failed", "crashed")


class Sweep:
    """A sweep that was made before.

    Parameters
    ----------
    folder : path
        The folder of its `sweep.json`.
    runs : path, optional
        The folder of its runs. Default: the same folder.

    Raises
    ------
    ValueError
        If there is no sweep, its file is damaged, or a newer version of the program wrote it.
    """

    def __init__(
        self, folder: str | os.PathLike[str], runs: str | os.PathLike[str] | None = None
    ) -> None:
        self.folder = Path(folder)
        self.runs = Path(folder if runs is None else runs)
        self.about = _read(self.folder / FILE)

    @classmethod
    def create(
        cls,
        folder: str | os.PathLike[str],
        config: Config,
        variations: Sequence[Variation],
        *,
        image: str = "",
        inputs: str = "",
        choices: dict[str, Any] | None = None,
        owner: str = "",
        runs: str | os.PathLike[str] | None = None,
    ) -> Sweep:
        """Write what a new sweep will do. Its runs are written by `write_runs`.

        Raises
        ------
        ValueError
            As `vary`, or if there is a sweep already or the folder cannot be written.
        """
        folder = Path(folder)
        if (folder / FILE).exists():
            raise ValueError(f"there is already a sweep in {folder}; choose another folder")
        members = [
            Member(values=values, run=new_run_id()) for values, _ in vary(config, variations)
        ]
        about = SweepDescription(
            created=time.time(),
            image=image,
            inputs=inputs,
            config=config,
            variations=tuple(variations),
            members=tuple(members),
            choices=choices,
            owner=owner,
        )
        with explaining(f"cannot write {folder}", "choose another folder"):
            folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / FILE, about.model_dump_json(indent=1))
        return cls(folder, runs)

    @property
    def id(self) -> str:
        """Its id: the name of its folder."""
        return self.folder.absolute().name

    @property
    def owner(self) -> str:
        """Whose it is."""
        return self.about.owner

    @property
    def variations(self) -> tuple[Variation, ...]:
        """What it varies."""
        return self.about.variations

    def configs(self) -> list[Config]:
        """Return the settings of each run, in the order of the members."""
        return [config for _, config in vary(self.about.config, self.variations)]

    def path_of(self, member: Member) -> Path:
        """Return the folder of one of its runs."""
        return self.runs / valid_id(member.run)

    def write_runs(self, write: Callable[[Path, Config], Run]) -> Iterator[Run]:
        """Write the runs that are not there yet, and yield all in their order.

        Settings that make no run, as a prior with which the mask covers all, are left out. Their
        row has the status "refused" and says why.

        Parameters
        ----------
        write : callable
            Gets the folder of a new run and its settings, and writes it, see `Run.of_image`.
        """
        refused = {}
        for member, config in zip(self.about.members, self.configs(), strict=True):
            path = self.path_of(member)
            try:
                yield Run(path) if (path / "run.json").exists() else write(path, config)
            except ValueError as error:
                refused[member.run] = str(error)
        write_whole(self.folder / REFUSED, json.dumps(refused, indent=1))

    def rows(self) -> list[Row]:
        """Return what is known of each run, in the order of the members."""
        try:
            refused = dict(json.loads((self.folder / REFUSED).read_text("utf-8")))
        except (OSError, TypeError, ValueError):
            refused = {}
        return [
            _row(member, self.path_of(member), refused.get(member.run))
            for member in self.about.members
        ]

    def check_same(
        self, config: Config, variations: Sequence[Variation], *, image: str, inputs: str
    ) -> None:
        """Check that this sweep is the one that is wanted.

        Raises
        ------
        ValueError
            If it is of another image, region, channels, pixel size, truth or markers, or has other
            settings or values.
        """
        about = self.about
        same = (image, config, tuple(variations)) == (about.image, about.config, self.variations)
        # Earlier sweeps do not say what their inputs were.
        if not same or about.inputs not in ("", inputs):
            raise ValueError(
                f"the sweep in {self.folder} has another image, region, channels, pixel size, "
                "truth or markers, other settings or other values; choose another folder, or give "
                "the same ones to continue it"
            )

    def line_of(self, row: Row) -> str:
        """Describe how one of its runs ended, in a line."""
        line = f"{self.name_of(row.values)}: "
        if row.has_failed:
            return f"{line}{row.status}: {row.message}"
        if not row.is_done:
            line += f"{row.status} after {row.epochs_done} of {row.epochs} epochs, "
        if row.ap50 is not None and row.ap75 is not None:
            line += f"AP50 {row.ap50:.3f}, AP75 {row.ap75:.3f}, "
        if row.is_done:
            line += f"{row.seconds:.0f} s"
        return line.rstrip(", ") + f", run {row.run_id}"

    @property
    def title(self) -> str:
        """When it was made, its image and what it varies, in a line."""
        day = time.strftime("%d %b %H:%M", time.localtime(self.about.created))
        varied = "; ".join(
            f"{one.setting} {', '.join(map(value_in_words, one.values))}" for one in self.variations
        )
        return f"{day} · {self.about.image} · {varied}"

    def name_of(self, values: Sequence[Value]) -> str:
        """Describe a run by its values, as in "lam 0.5, seed 3"."""
        return in_words(self.variations, values)

    def as_csv(self, rows: Sequence[Row] | None = None) -> str:
        """Return a table with a line for each run: its values, id, status, time and scores.

        `rows` are those of `rows`, if they were read already.
        """
        columns = ["run", "status", "message", "epochs_done", "epochs", "seconds"]
        columns += ["loss", "ap50", "ap75"]
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*(one.setting for one in self.variations), *columns])
        for row in self.rows() if rows is None else rows:
            found = (row.run_id, row.status, row.message, row.epochs_done, row.epochs)
            measured = (round(row.seconds, 2), row.loss, row.ap50, row.ap75)
            writer.writerow([*row.values, *found, *measured])
        return file.getvalue()

    def best(self, rows: Sequence[Row] | None = None) -> Row | None:
        """Return the run with the highest AP at IoU 0.75, then 0.5; without truth None.

        `rows` are those of `rows`, if they were read already.
        Losses of unlike settings cannot be compared, so they do not decide.
        """
        rows = self.rows() if rows is None else rows
        scored = [row for row in rows if row.is_done and row.ap75 is not None]
        return max(scored, key=lambda row: (row.ap75 or 0.0, row.ap50 or 0.0), default=None)


def new_sweep_path() -> Path:
    """Return the path of a new sweep of the app; its runs lie in the folder of runs."""
    return runs_folder() / FOLDER / new_run_id()


def list_sweeps() -> list[Sweep]:
    """Return the sweeps of the app, newest first, without those that cannot be read."""
    folder = runs_folder() / FOLDER
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        with suppress(ValueError):
            found.append(Sweep(path, runs_folder()))
    return sorted(found, key=lambda sweep: sweep.about.created, reverse=True)


def _row(member: Member, path: Path, refused: str | None) -> Row:
    try:
        run = summary_of(path)
    except ValueError:
        status = "missing" if refused is None else "refused"
        return Row(member.values, member.run, status, refused or "", 0, 0, 0.0, None, None, None)
    scores = run.scores or {}
    trained = run.trained_events
    return Row(
        values=member.values,
        run_id=member.run,
        status=run.status,
        message=run.message,
        epochs_done=run.epochs_done,
        epochs=run.epochs,
        seconds=run.seconds,
        loss=trained[-1].get("loss") if trained else None,
        ap50=scores.get("ap50"),
        ap75=scores.get("ap75"),
        summary=run,
    )


def _read(file: Path) -> SweepDescription:
    try:
        said = json.loads(file.read_text("utf-8"))
        written_in = said.get("format")
        if isinstance(written_in, int) and written_in > FORMAT:
            raise ValueError(
                f"a newer version of the program wrote it (format {written_in}); update the program"
            )
        return SweepDescription(**said)
    except FileNotFoundError:
        raise ValueError(f"{file.parent} is not a sweep: it has no {FILE}") from None
    except (OSError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{file} cannot be read: {error}") from None
