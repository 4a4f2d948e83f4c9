"""A class: people who train on the same image, each perhaps with another value of one setting.

RUNS/.classes/ID/class.json     what the teacher chose
RUNS/.classes/ID/seats/0001     the person who has this seat; the seat says which value is theirs

A run of the class names it in its description. So the wall of a class is a list of runs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pydantic import Field, ValidationError

from cellcutter_core.choices.choices import Choices
from cellcutter_core.config import Settings
from cellcutter_core.files import explaining, write_whole
from cellcutter_core.runs.folder import RunSummary, new_run_id, runs_folder, valid_id
from cellcutter_core.runs.names import value_in_words
from cellcutter_core.sweeps.variations import Value, Variation, vary

FOLDER = ".classes"
"""The folder, beside the runs, of all classes."""
MOST_SEATS = 1000
"""The largest number of people in a class."""
_FILE = "class.json"


class Classroom(Settings):
    """What a teacher chose for a class."""

    format: int = Field(1, description="Format of the file.")
    id: str = Field(description="Its id, which its link contains.")
    created: float = Field(description="When it was made, in seconds since 1970.")
    title: str = Field("", max_length=80, description="What the teacher calls it.")
    owner: str = Field("", description="The teacher, see `people.person.person_of`.")
    choices: Choices = Field(description="Image and settings.")
    variation: Variation | None = Field(
        None, description="The setting of which people have different values."
    )

    @classmethod
    def create(
        cls,
        choices: Choices,
        *,
        variation: Variation | None = None,
        title: str = "",
        owner: str = "",
    ) -> Classroom:
        """Make a class.

        Raises
        ------
        ValueError
            If the setting does not exist, has no effect or a value is not allowed, the title is too
            long, or the folder cannot be written.
        """
        if variation is not None:
            vary(choices.config, [variation])
        made = cls(
            id=new_run_id(),
            created=time.time(),
            title=title.strip(),
            owner=owner,
            choices=choices,
            variation=variation,
        )
        with explaining(f"cannot write {made.folder}"):
            (made.folder / "seats").mkdir(parents=True)
        write_whole(made.folder / _FILE, made.model_dump_json(indent=1))
        return made

    @property
    def folder(self) -> Path:
        """Its folder."""
        return runs_folder() / FOLDER / valid_id(self.id)

    @property
    def name(self) -> str:
        """Its title, or else when it was made and its image."""
        day = time.strftime("%d %b %H:%M", time.localtime(self.created))
        return self.title or f"{day} · {self.choices.source.title}"

    def choices_for(self, person: str) -> Choices:
        """Return what a person begins with; they keep their seat, and so their value.

        Raises
        ------
        ValueError
            If the class is full, or its folder cannot be written.
        """
        seat = self.seat_of(person)
        if self.variation is None:
            return self.choices
        value = self.variation.values[seat % len(self.variation.values)]
        return self.choices.with_setting(self.variation.group, self.variation.name, value)

    def seat_of(self, person: str) -> int:
        """Return the seat of a person, counted from 0; who comes first gets the next free one.

        Raises
        ------
        ValueError
            As by `choices_for`.
        """
        seats = self.folder / "seats"
        with explaining(f"cannot write {seats}"):
            taken: dict[str, int] = {}
            files = sorted(seats.iterdir())
            for file in files:
                # Who came in two tabs at once may have two seats; the first counts.
                taken.setdefault(file.read_text("utf-8"), int(file.name))
            if person in taken:
                return taken[person]
            for seat in range(len(files), MOST_SEATS):
                try:
                    # Two who come at once do not get the same one.
                    place = os.open(seats / f"{seat:04d}", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
                except FileExistsError:
                    continue
                with os.fdopen(place, "w", encoding="utf-8") as stream:
                    stream.write(person)
                return seat
        raise ValueError(f"this class is full: it has {MOST_SEATS} people")

    @property
    def n_people(self) -> int:
        """How many people have a seat."""
        return len(list((self.folder / "seats").iterdir()))

    def value_of(self, run: RunSummary) -> Value:
        """Return the value that a run has of the setting that varies; None without one."""
        if self.variation is None:
            return None
        return self.variation.value_in(run.description.config)

    def wall(self, runs: Iterable[RunSummary]) -> list[RunSummary]:
        """Return the runs of the class: by the setting that varies, those of one value by age."""
        values = () if self.variation is None else self.variation.values
        order = {value_in_words(value): number for number, value in enumerate(values)}

        def place(run: RunSummary) -> tuple[int, float]:
            # A value that a student chose instead comes last.
            number = order.get(value_in_words(self.value_of(run)), len(order))
            return number, run.description.created

        return sorted((run for run in runs if run.description.classroom == self.id), key=place)


def find_class(class_id: str) -> Classroom:
    """Open the class of that id.

    Raises
    ------
    ValueError
        If it is no id, or there is no such class, or its file is damaged.
    """
    file = runs_folder() / FOLDER / valid_id(class_id) / _FILE
    try:
        return Classroom.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        raise ValueError(f"there is no class {class_id} here; ask for its link again") from None
    except (OSError, ValidationError) as error:
        raise ValueError(f"{file} is damaged ({error}); make the class again") from None


def list_classes() -> list[Classroom]:
    """Return all classes, newest first, without damaged ones."""
    found = []
    for file in (runs_folder() / FOLDER).glob(f"*/{_FILE}"):
        with suppress(ValueError):
            found.append(find_class(file.parent.name))
    return sorted(found, key=lambda one: one.created, reverse=True)
