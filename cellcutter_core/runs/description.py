"""The description of a run: the one typed model of what RUN/run.json says.

`Run.of_image` makes it. Everything else reads its attributes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field

from cellcutter_core.config import Config, Settings
from cellcutter_core.files import write_whole

FORMAT = 2
"""The format that is written. Format 1 had no number, and its entries were not checked."""


class Before(Settings):
    """The run from whose corrected cells a run was trained again."""

    run: str = Field(description="Its id.")
    epoch: int = Field(description="The epoch whose cells were corrected.")
    corrections: int = Field(0, description="Number of corrections.")


class Description(Settings):
    """What a run was made from. Entries that are not known are empty or None."""

    model_config = ConfigDict(populate_by_name=True)

    format: int = Field(FORMAT, description="Format of the description.")
    created: float = Field(0.0, description="When it was created, in seconds since 1970.")
    config: Config = Field(description="All settings.")
    image: str = Field("", description="Name of the image.")
    pixel_size: float | tuple[float, float] | None = Field(
        None, description="Micrometres per pixel, or its height and width."
    )
    cell: tuple[str, ...] | None = Field(None, description="Channels that show the cells.")
    nucleus: str | None = Field(None, description="Channel that shows the nuclei, or 'none'.")
    channels: tuple[str, ...] = Field((), description="Channels that the network sees.")
    reading: dict[str, Any] = Field(
        {}, description="How the file was read: arguments of `read_image`, without the pixel size."
    )
    files: tuple[str, ...] = Field((), description="Names of the files, if there are several.")
    region: tuple[int, int, int, int] | None = Field(
        None, description="First row and column, end row and column in the whole image."
    )
    whole: tuple[int, int] | None = Field(None, description="(rows, columns) of the whole image.")
    markers: str | None = Field(None, description="Name of the file that the markers come from.")
    edits: str = Field("", description="Digest of markers that were edited by hand.")
    others: tuple[str, ...] = Field((), description="Names of other images that it trains on.")
    name: str = Field("", max_length=80, description="The name that a person gave it.")
    note: str = Field("", max_length=2000, description="What a person wrote down about it.")
    owner: str = Field(
        "", description="Whose it is, as `people.person.person_of` names people; empty: nobody's."
    )
    classroom: str = Field("", description="Id of its class, see `sweeps.classroom`.")
    starred: bool = Field(False, description="Whether a person marked it with a star.")
    before: Before | None = Field(
        None, alias="from", description="The run that it was trained again from."
    )
    choices: dict[str, Any] | None = Field(
        None,
        description="The choices of the app that led to it, see `choices.sources`. Not checked "
        "here, so that a run opens even if its choices are those of another version.",
    )
    step_keys: dict[str, str] = Field(
        {}, alias="keys", description="Keys of these choices, see `choices.keys`."
    )
    guided: bool = Field(
        False, description="Of an early version whose network was shown the cheapest paths."
    )

    @property
    def roles(self) -> dict[str, Any]:
        """The arguments of `Image.with_roles`; empty if they are not known."""
        if self.cell is None or self.nucleus is None:
            return {}
        return {"cell": list(self.cell), "nucleus": self.nucleus}

    @property
    def is_marked(self) -> bool:
        """Return whether the markers were edited by hand or come from a file."""
        return bool(self.edits or self.markers)

    @classmethod
    def read(cls, file: Path) -> Description:
        """Read a run.json.

        Raises
        ------
        ValueError
            If the file is missing or damaged, or a newer version of the program wrote it.
        """
        try:
            said = json.loads(file.read_text("utf-8"))
            written_in = int(said.get("format", 1))
            unknown = sorted(said.keys() - _NAMES)
            if written_in == 1:
                # What a person says of a run, and whose it is, is new in format 2.
                for name in [*unknown, *(_NEW & said.keys())]:
                    del said[name]
                # Settings leave this out today.
                guidance = said["config"].get("crops", {}).get("guidance") or 0
                return cls(**{"guided": guidance > 0, **said, "format": FORMAT})
            if written_in == FORMAT and not unknown:
                return cls(**said)
        except FileNotFoundError:
            raise ValueError(f"{file.parent} is not a run: it has no {file.name}") from None
        except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{file} cannot be read ({error}); start the run again") from None
        more = f" with {', '.join(unknown)}" if unknown else ""
        raise ValueError(
            f"{file} has format {written_in}{more}, which a newer version of the program wrote; "
            f"this version knows format {FORMAT}. Update the program to open this run"
        )

    def write(self, file: Path) -> None:
        """Write a run.json, without what is not known.

        Raises
        ------
        ValueError
            If it cannot be written.
        """
        empty = {name for name in type(self).model_fields if not getattr(self, name)}
        write_whole(file, self.model_dump_json(by_alias=True, exclude=empty, indent=1))


_NEW = {"name", "note", "starred", "owner", "classroom"}
_NAMES = {field.alias or name for name, field in Description.model_fields.items()}
