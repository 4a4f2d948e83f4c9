"""What a person has chosen on the way to a run: image, channels, region, settings.

Each choice decides some of the steps that follow. `keys` gives every step a name that changes
when, and only when, something that decides it changes: what was made under another key is out of
date.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from cellcutter_core.config import QUICK, Config, Settings, renewed
from cellcutter_core.images.file_sets.channel_names import ChannelNames
from cellcutter_core.images.formats.zarr_places import is_address
from cellcutter_core.images.pixel_size import (
    PixelSize,
    checked,
    format_pixel_size,
    height_and_width,
)
from cellcutter_core.runs.names import in_effect

STEPS = ("image", "mask", "markers", "training")
"""In the order of the pipeline; a step is decided by those before it as well."""


class KeptFile(Settings):
    """An uploaded file."""

    name: str = Field("", description="What the person calls it.")
    digest: str = Field(
        "", pattern="^[0-9a-f]*$", description="SHA-256 of the file, under which it is kept."
    )


READING = ("z", "t", "scene", "inverted", "stained")
"""What of a `Source` says how its file is to be read."""


class Source(Settings):
    """Where the image comes from."""

    kind: Literal["sample", "paper", "file", "web"] = Field(
        "sample", description="What `name` names."
    )
    name: str = Field(
        "", description="Of the paper's image (a1, a2, a3), of the file, or an address."
    )
    seed: int = Field(0, ge=0, le=999, description="Of the built-in sample.")
    digest: str = Field(
        "", pattern="^[0-9a-f]*$", description="SHA-256 of the file, under which it is kept."
    )
    more: tuple[KeptFile, ...] = Field((), description="Files with more channels of the image.")
    truth: KeptFile | None = Field(
        None, description="A label image of the true cells, for scores alone."
    )
    z: int | Literal["max"] | None = Field(
        None, description="Plane of a stack, or its maximum projection; None where there is one."
    )
    t: int | None = Field(
        None, ge=0, description="Time point of a series; None where there is one."
    )
    scene: int | None = Field(
        None, ge=0, description="Image of a file that holds several; None where there is one."
    )
    inverted: bool | None = Field(
        None, description="Whether cells are dark on bright; None as judged by the picture."
    )

    stained: bool | None = Field(
        None, description="Whether it is a stained section; None as judged by the picture."
    )

    @model_validator(mode="after")
    def _address(self) -> Source:
        # A path in this place would be read from the disk of the server.
        if self.kind == "web" and not is_address(self.name):
            raise ValueError(f"{self.name!r} is no address; give one that begins with https://")
        return self

    @property
    def reading(self) -> dict[str, Any]:
        """How `read_image` is to read the file: what was chosen, by the names it has there."""
        return self.model_dump(include=set(READING), exclude_none=True)

    @property
    def file_names(self) -> list[str]:
        """Those of all its channels."""
        return [self.name, *(file.name for file in self.more)]

    @property
    def channel_names(self) -> ChannelNames | None:
        """How its files say their channels; None where they are in one, or their names do not."""
        return ChannelNames.of(self.file_names)

    def is_same(self, other: Source) -> bool:
        """Whether it is the same image or file, perhaps read in another way."""
        anyhow = dict.fromkeys((*READING, "truth"))
        return self.replace(**anyhow) == other.replace(**anyhow)

    @property
    def title(self) -> str:
        """What a person calls it."""
        if self.kind == "sample":
            return f"Built-in sample {self.seed}"
        if self.kind == "web":
            return self.name.split("?")[0].rstrip("/").rpartition("/")[2]
        if len(self.more) > 1:
            return f"{self.name} and {len(self.more)} more"
        if self.more:
            return f"{self.name} and {self.more[0].name}"
        return f"{self.name} of the paper" if self.kind == "paper" else self.name


LARGEST_PIXEL = 1000.0
"""In micrometres."""


class Choices(Settings):
    """Everything chosen so far."""

    source: Source = Source()
    cell: tuple[str, ...] | None = Field(
        None, description="Channels that show the cells; None as guessed from the image."
    )
    nucleus: str | None = Field(
        None, description="Channel that shows the nuclei, 'none' without; None as guessed."
    )
    pixel_size: float | tuple[float, float] | None = Field(
        None,
        description="Micrometres a pixel, or its height and width; None as the file says.",
    )
    region: tuple[int, int, int, int] | None = Field(
        None,
        description="First row and column of the part to work on, and those after the last; "
        "None where there is most to see.",
    )
    config: Config = Field(
        QUICK, description="Always current: settings of an earlier version are taken as `renewed`."
    )
    others: tuple[Source, ...] = Field(
        (), description="Uploaded files of more images to train on, each an image of its own."
    )

    @field_validator("config")
    @classmethod
    def _current(cls, config: Config) -> Config:
        # Here and nowhere else: drafts, runs that are duplicated or adopted all come by.
        return renewed(config)

    @field_validator("pixel_size")
    @classmethod
    def _pixel_size(cls, pixel_size: PixelSize | None) -> PixelSize | None:
        size = checked(pixel_size)
        if size is not None and max(height_and_width(size)) > LARGEST_PIXEL:
            raise ValueError(f"is {format_pixel_size(size)}; allowed is up to {LARGEST_PIXEL:g} µm")
        return size

    def reading_of(self, other: Source) -> dict[str, Any]:
        """How `read_image` is to read one of the others: as the image, where it says nothing."""
        return {**self.source.reading, **other.reading}

    def with_setting(self, group: str, name: str, value: Any) -> Choices:
        """The same but for one setting; the preset's name stays, as what it was made from.

        Raises
        ------
        ValueError
            If the value is out of bounds or does not go with the others.
        """
        config = self.config.model_dump()
        config[group][name] = value
        return self.replace(config=config)


def keys(choices: Choices, *, edits: str = "") -> Mapping[str, str]:
    """A short name for what decides each of the `STEPS`.

    Parameters
    ----------
    choices : Choices
    edits : str
        A name for the markers as edited by hand, empty where they were not.

    Returns
    -------
    mapping of str to str
        Equal keys: the step would come out the same.
    """
    config = in_effect(choices.config)
    markers = {"edits": edits} if edits else config["markers"]
    training: list[Any] = [config[name] for name in ("crops", "network", "training", "labels")]
    if choices.others:
        # Their nuclei are found, also where those of the image itself were edited.
        others = [_deciding(other) for other in choices.others]
        training += [{"others": others}, config["markers"]]
    decided = {
        "image": {
            "source": _deciding(choices.source),
            **choices.model_dump(include={"cell", "nucleus", "region"}),
        },
        # Nuclei are cell in the automatic mask, so markers decide it too.
        "mask": [config["mask"], markers if config["mask"]["automatic"] else None],
        "markers": markers,
        "training": training,
    }
    before: list[Any] = [decided["image"]]
    made = {"image": _digest(before)}
    for step in ("mask", "markers"):
        made[step] = _digest([*before, decided[step]])
    made["training"] = _digest([made["mask"], made["markers"], decided["training"]])
    return made


def changed(now: Mapping[str, str], then: Mapping[str, str]) -> tuple[str, ...]:
    """The steps that would come out differently now; the first is where the change begins."""
    return tuple(step for step in STEPS if now.get(step) != then.get(step))


def _deciding(source: Source) -> dict[str, Any]:
    """What of a source decides; keys of before there were scenes stay as they are."""
    return source.model_dump(exclude={"truth", *(["scene"] if source.scene is None else [])})


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
