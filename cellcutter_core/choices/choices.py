"""The user's choices for the next run: image, channels, region, settings.

Each choice affects some of the steps. `keys` gives each step a key that changes if, and only if,
something changes that affects the step. A result with another key is out of date.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from cellcutter_core.config import QUICK, Config, Settings, renewed
from cellcutter_core.images.file_sets.channel_names import ChannelNames
from cellcutter_core.images.formats.zarr_recognition import is_address
from cellcutter_core.images.pixel_size import (
    PixelSize,
    checked,
    format_pixel_size,
    height_and_width,
)
from cellcutter_core.runs.names import in_effect

STEPS = ("image", "mask", "markers", "training")
"""The steps in the order of the pipeline. Each one also depends on the steps before it."""


class KeptFile(Settings):
    """An uploaded file."""

    name: str = Field("", description="The user's name of the file.")
    digest: str = Field(
        "", pattern="^[0-9a-f]*$", description="SHA-256 of the file, under which it is kept."
    )


READING = ("z", "t", "scene", "inverted", "stained")
"""The fields of a `Source` that say how its file is read."""


class Source(Settings):
    """Where the image comes from."""

    kind: Literal["sample", "paper", "file", "web"] = Field(
        "sample", description="The kind of source, which says what `name` means."
    )
    name: str = Field(
        "", description="Name of the paper's image (a1, a2, a3) or of the file, or an address."
    )
    seed: int = Field(0, ge=0, le=999, description="Seed of the built-in sample.")
    digest: str = Field(
        "", pattern="^[0-9a-f]*$", description="SHA-256 of the file, under which it is kept."
    )
    more: tuple[KeptFile, ...] = Field((), description="Files with more channels of the image.")
    truth: KeptFile | None = Field(
        None, description="A label image of the true cells, used only for scores."
    )
    z: int | Literal["max"] | None = Field(
        None, description="Plane of a stack, or its maximum projection; None if there is one plane."
    )
    t: int | None = Field(
        None, ge=0, description="Time point of a series; None if there is one time point."
    )
    scene: int | None = Field(
        None, ge=0, description="Number of the image in the file; None if it holds one."
    )
    inverted: bool | None = Field(
        None, description="Whether cells are dark on bright; None: detected automatically."
    )

    stained: bool | None = Field(
        None, description="Whether it is a stained section; None: detected automatically."
    )

    @model_validator(mode="after")
    def _address(self) -> Source:
        # A path here would be read from the disk of the server.
        if self.kind == "web" and not is_address(self.name):
            raise ValueError(f"{self.name!r} is not an address; give one that begins with https://")
        return self

    @property
    def reading(self) -> dict[str, Any]:
        """The chosen arguments of `read_image` for this file."""
        return self.model_dump(include=set(READING), exclude_none=True)

    @property
    def file_names(self) -> list[str]:
        """The names of all files with channels of the image."""
        return [self.name, *(file.name for file in self.more)]

    @property
    def channel_names(self) -> ChannelNames | None:
        """How the file names give the channels; None for a single file, or if names do not."""
        return ChannelNames.of(self.file_names)

    def is_same(self, other: Source) -> bool:
        """Return whether it is the same image or file, perhaps read in another way."""
        anyhow = dict.fromkeys((*READING, "truth"))
        return self.replace(**anyhow) == other.replace(**anyhow)

    @property
    def title(self) -> str:
        """The name of the image for the user."""
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
"""The largest pixel size in micrometres."""


class Choices(Settings):
    """Everything chosen so far."""

    source: Source = Source()
    cell: tuple[str, ...] | None = Field(
        None, description="Channels that show the cells; None: guessed from the image."
    )
    nucleus: str | None = Field(
        None, description="Channel that shows the nuclei, or 'none'; None: guessed."
    )
    pixel_size: float | tuple[float, float] | None = Field(
        None,
        description="Micrometres per pixel, or its height and width; None: as in the file.",
    )
    region: tuple[int, int, int, int] | None = Field(
        None,
        description="Region to work on: first row and column, end row and column (excluded); "
        "None: the most interesting part.",
    )
    config: Config = Field(
        QUICK, description="Always current: settings of an earlier version are `renewed`."
    )
    others: tuple[Source, ...] = Field(
        (), description="Uploaded files of other images to train on, each a separate image."
    )

    @field_validator("config")
    @classmethod
    def _current(cls, config: Config) -> Config:
        # The only place that renews: drafts, duplicated and adopted runs all pass here.
        return renewed(config)

    @field_validator("pixel_size")
    @classmethod
    def _pixel_size(cls, pixel_size: PixelSize | None) -> PixelSize | None:
        size = checked(pixel_size)
        if size is not None and max(height_and_width(size)) > LARGEST_PIXEL:
            raise ValueError(f"is {format_pixel_size(size)}; allowed is up to {LARGEST_PIXEL:g} µm")
        return size

    def reading_of(self, other: Source) -> dict[str, Any]:
        """Return the arguments of `read_image` for an other image; by default as for the image."""
        return {**self.source.reading, **other.reading}

    def with_setting(self, group: str, name: str, value: Any) -> Choices:
        """Return choices with one setting changed; the name of their preset stays.

        Raises
        ------
        ValueError
            If the value is out of bounds or does not fit the others.
        """
        return self.replace(config=self.config.with_values({f"{group}.{name}": value}))


def keys(choices: Choices, *, edits: str = "") -> Mapping[str, str]:
    """Return for each of the `STEPS` a key of everything that affects it.

    Parameters
    ----------
    choices : Choices
    edits : str
        Digest of the edited markers; empty if there are none.

    Returns
    -------
    mapping of str to str
        With equal keys a step gives the same result.
    """
    config = in_effect(choices.config)
    markers = {"edits": edits} if edits else config["markers"]
    # Where the nuclei themselves are segmented, they are found again around edited markers.
    found_around = {name: config["markers"].get(name) for name in ("automatic", "diameter")}
    within = {"edits": edits, **found_around} if edits else markers
    training: list[Any] = [config[name] for name in ("crops", "network", "training", "labels")]
    if choices.others:
        # Markers of other images are found, even if those of the image itself were edited.
        others = [_deciding(other) for other in choices.others]
        training += [{"others": others}, config["markers"]]
    decided = {
        "image": {
            "source": _deciding(choices.source),
            **choices.model_dump(include={"cell", "nucleus", "region"}),
        },
        # The automatic mask contains the markers, so it depends on them.
        "mask": [config["mask"], within if config["mask"]["automatic"] else None],
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
    """Return the steps whose result would differ now; the change begins at the first."""
    return tuple(step for step in STEPS if now.get(step) != then.get(step))


def _deciding(source: Source) -> dict[str, Any]:
    """Return the fields of a source that affect the steps. An unset scene is left out, so keys from
    before scenes were introduced stay valid.
    """
    return source.model_dump(exclude={"truth", *(["scene"] if source.scene is None else [])})


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
