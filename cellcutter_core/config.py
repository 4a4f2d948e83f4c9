"""Every setting, its default, its bounds and its meaning.

This module is the only source of bounds: the core checks them here, widgets and the command line
read them from here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator
from pydantic.fields import FieldInfo

Start = Literal["simulated", "nothing"]

SMALLEST_DIAMETER = 6
"""Of a nucleus, in pixels. Smaller objects can't be told from noise."""


class Settings(BaseModel):
    """Base of all settings: immutable, and every mistake is one line of a `ValueError`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ValueError(_one_line(error, type(self))) from None

    def replace(self, **values: Any) -> Self:
        """A copy with some values changed, checked like a new one."""
        return type(self)(**{**self.model_dump(), **values})


# How the bounds of a field are called, in the order in which a message gives them.
_BOUNDS = {
    "ge": "at least {}",
    "gt": "greater than {}",
    "le": "at most {}",
    "lt": "less than {}",
    "multiple_of": "a multiple of {}",
}


def _one_line(error: ValidationError, settings: type[Settings]) -> str:
    lines = []
    for problem in error.errors():
        name = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
        if problem["type"] == "extra_forbidden":
            lines.append(f"there is no setting called {name}")
        elif problem["type"] == "value_error":
            lines.append(f"{name + ': ' if name else ''}{message}")
        else:
            # All bounds, not only the one that the value first ran against.
            if _BOUNDS.keys() & problem.get("ctx", {}).keys():
                message = f"should be {_bounds(settings.model_fields[name])}"
            lines.append(f"{name} {message}, got {problem['input']!r}")
    # The value of a mistake may be anything, an array that prints as many lines included.
    return " ".join("; ".join(lines).split())


def _bounds(field: FieldInfo) -> str:
    """The bounds of a setting in words, empty where it has none."""
    bounds = [
        words.format(getattr(bound, key))
        for key, words in _BOUNDS.items()
        for bound in field.metadata
        if hasattr(bound, key)
    ]
    return " and ".join(filter(None, [", ".join(bounds[:-1]), *bounds[-1:]]))


# Where sliders stop: about equal steps of the logarithm, of a probability those of its log-odds.
_PRIORS: list[JsonValue] = [
    *(0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9),
    *(0.93, 0.95, 0.97, 0.98, 0.985, 0.99, 0.993, 0.995, 0.997, 0.998, 0.999),
]
_WEIGHTS: list[JsonValue] = [0, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 15, 20, 30, 50]
_SIGMAS: list[JsonValue] = [0.005, 0.007, 0.01, 0.015, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3]


class MaskSettings(Settings):
    """Where there are cells: the graph cut of the cell channel."""

    automatic: bool = Field(True, description="Choose the mask from the image itself.")
    prior: float = Field(
        0.985,
        gt=0,
        lt=1,
        json_schema_extra={"steps": _PRIORS},
        description="Prior probability of cell: higher calls dimmer pixels cell. "
        "The paper's images want 0.985.",
    )
    max_weight: float = Field(
        10.0,
        ge=0,
        le=1000,
        json_schema_extra={"steps": _WEIGHTS},
        description="Cost of an outline where the image is flat: higher gives smoother, "
        "less fragmented cell area.",
    )
    sigma: float = Field(
        0.03,
        gt=0,
        le=10,
        json_schema_extra={"steps": _SIGMAS},
        description="The step in intensity at which an outline becomes cheap, in units of the "
        "scaled image.",
    )
    scaling: Literal["minmax", "robust"] = Field(
        "minmax",
        description="How intensities are scaled to 0..1: by minimum and maximum as published, or "
        "by percentiles, which ignore single hot pixels.",
    )


LARGEST_DIAMETER = 512
"""The largest typical diameter of a nucleus or cell, in pixels."""


class MarkerSettings(Settings):
    """Where each cell is: one marker a cell, from the nucleus channel."""

    automatic: bool = Field(
        True,
        description="Find the region of each nucleus (or of each cell, without a nucleus channel) "
        "automatically; otherwise detect blobs as published.",
    )
    diameter: float | None = Field(
        None,
        ge=SMALLEST_DIAMETER,
        le=LARGEST_DIAMETER,
        json_schema_extra={"everyday": [6.0, 120.0, 1.0]},
        description="Automatic only: typical diameter of a nucleus in pixels (of a cell without a "
        "nucleus channel); larger joins more, smaller splits more. "
        "None estimates it from the image.",
    )
    min_sigma: float = Field(
        3.0,
        gt=0,
        le=200,
        json_schema_extra={"everyday": [1.0, 30.0, 0.5]},
        description="Not automatic: smallest blob to look for, as a Gaussian sigma in pixels.",
    )
    max_sigma: float = Field(
        10.0,
        gt=0,
        le=200,
        json_schema_extra={"everyday": [1.0, 40.0, 0.5]},
        description="Not automatic: largest blob to look for, as a Gaussian sigma in pixels.",
    )
    threshold: float = Field(
        0.01,
        gt=0,
        le=100,
        json_schema_extra={"everyday": [0.001, 0.5, 0.001]},
        description="Not automatic: how pronounced a blob has to be; lower finds more.",
    )

    @model_validator(mode="after")
    def _sigmas_in_order(self) -> Self:
        if self.max_sigma < self.min_sigma:
            raise ValueError(
                f"max_sigma is {self.max_sigma:g}, below min_sigma {self.min_sigma:g}; "
                "raise max_sigma or lower min_sigma"
            )
        return self


class CropSettings(Settings):
    """What the network looks at: one crop around every marker."""

    size: int = Field(
        64,
        ge=16,
        le=512,
        multiple_of=16,
        description="Side of a crop in pixels; a cell has to fit in it.",
    )
    sigma: float = Field(
        15.0,
        gt=0,
        le=1000,
        description="Width of the position embedding exp(-d²/2σ²) in pixels: "
        "how far from its marker a cell may reach.",
    )
    cell_size: float | None = Field(
        None,
        ge=8,
        le=256,
        description="Bring cells to this diameter (pixels) by rescaling the image before cropping; "
        "None takes the image as it is.",
    )
    intensity: Literal["linear", "log"] = Field(
        "linear",
        description="Show the network the intensities, or their logarithm, which makes dim cells "
        "as clear as bright ones.",
    )
    with_nucleus: bool = Field(
        False, description="Show the network the nucleus channel too, where there is one."
    )


class NetworkSettings(Settings):
    """The UNet: it gives the probability that a pixel of a crop belongs to the crop's cell."""

    start: Start = Field(
        "nothing",
        description="Where training on the image starts: from a network that was taught on "
        "simulated cells and sees markers and paths too, or from random weights and the cell "
        "channel alone, as published.",
    )
    depth: Literal[3, 4] = Field(4, description="How many times the UNet halves the resolution.")
    channels: int = Field(
        32, ge=4, le=256, multiple_of=4, description="Channels of the first block."
    )
    normalisation: Literal["batch", "group", "none"] = Field(
        "batch", description="Batch normalisation as published, group normalisation, or none."
    )
    stem: Literal[1, 2] = Field(
        1,
        description="1 works at full resolution as published; 2 works at half resolution, which is "
        "about four times faster.",
    )


class TrainingSettings(Settings):
    """How the network is trained on the image at hand."""

    epochs: int = Field(30, ge=1, le=10_000, description="Epochs to train.")
    steps: int = Field(32, ge=1, le=10_000, description="Optimiser steps an epoch.")
    learning_rate: float = Field(
        1e-3,
        gt=0,
        le=1,
        description="Learning rate of the Adam optimiser at the start. A taught network needs a "
        "smaller one (0.0005) than one that starts from nothing (0.003).",
    )
    schedule: Literal["constant", "cosine"] = Field(
        "constant",
        description="Keep the learning rate as published, or let it fall to a twentieth.",
    )
    check_markers: bool = Field(
        False,
        description="Before training, drop the markers for which the taught network finds no cell, "
        "such as the second half of a split nucleus. Markers set by hand or from a file stay.",
    )
    area: int | None = Field(
        640,
        ge=16,
        le=1_000_000,
        description="Side of the random square whose crops make one step, in pixels, as published; "
        "None takes `crops` neighbouring cells instead.",
    )
    crops: int = Field(
        64, ge=1, le=65_536, description="How many neighbouring crops make one step without `area`."
    )
    crops_at_once: int = Field(
        64,
        ge=1,
        le=65_536,
        description="How many crops pass through the network together; more need more memory. The "
        "loss and its gradient do not depend on it, except through batch normalisation.",
    )
    lam: float = Field(
        1.0,
        ge=0,
        le=100,
        description="λ: weight of overlap and background against area reward.",
    )
    beta: float = Field(-20.0, ge=-1000, le=0, description="β: log-penalty of a background pixel.")
    nucleus_weight: float = Field(
        0.0,
        ge=0,
        le=100,
        description="Weight of the term that the pixels of a nucleus belong to its own cell.",
    )
    clip_norm: float | None = Field(
        None,
        gt=0,
        le=1e6,
        description="Gradients are shortened to this norm; None leaves them.",
    )
    symmetries: Literal["none", "flips", "all"] = Field(
        "flips",
        description="Show crops as they are, with the two flips as published, "
        "or in all eight orientations.",
    )
    warm_up: int = Field(
        0,
        ge=0,
        le=10_000,
        description="Steps spent first on learning a disc around each marker, as the paper does "
        "where training from nothing collapses.",
    )
    warm_up_radius: float = Field(
        5.0, gt=0, le=256, description="Radius of those discs in pixels of the crop."
    )
    seed: int = Field(0, ge=0, lt=2**32, description="Random seed.")
    precision: Literal["auto", "float32", "mixed_bfloat16"] = Field(
        "auto", description="Arithmetic of the network; auto measures which is faster here."
    )


class LabelSettings(Settings):
    """How probabilities become labels."""

    fill: bool = Field(
        False,
        description="Keep only the part of each cell that is connected to its nucleus, and give "
        "the rest of the mask to the nearest cell. Not in the paper.",
    )


TAUGHT = NetworkSettings(start="simulated", depth=4, channels=16, normalisation="group", stem=2)
"""The network whose weights the package ships."""

VERSION: Literal[2] = 2
"""Of the settings. Those without one are of version 1: there was no taught network then."""


class Config(Settings):
    """Everything that decides what comes out of an image."""

    version: Literal[1, 2] = Field(
        VERSION, description="Of these settings; those of version 1 can be looked at alone."
    )
    preset: Literal["quick", "paper", "custom"] = Field(
        "paper", description="Which preset these settings were made from."
    )
    mask: MaskSettings = MaskSettings()
    markers: MarkerSettings = MarkerSettings()
    crops: CropSettings = CropSettings()
    network: NetworkSettings = NetworkSettings()
    training: TrainingSettings = TrainingSettings()
    labels: LabelSettings = LabelSettings()

    @model_validator(mode="before")
    @classmethod
    def _of_before(cls, given: Any) -> Any:
        """Take settings from before they had a version; what is no more is left out.

        Where guidance and self-training were off and crops were not scaled, as in the paper's
        preset, today's program computes what that of then did: the settings are current. All
        others have version 1.
        """
        if not isinstance(given, dict) or given.get("version") or not _is_old(given):
            return given
        kept = {**given, "version": VERSION if _is_still_valid(given) else 1}
        for group, names in _REMOVED.items():
            if isinstance(kept.get(group), dict):
                kept[group] = {k: v for k, v in kept[group].items() if k not in names}
        return kept

    @model_validator(mode="after")
    def _taught_as_it_is(self) -> Self:
        if self.network.start == "nothing":
            return self
        if self.network != TAUGHT:
            raise ValueError(
                "network: the taught network has depth 4, 16 channels, group normalisation and "
                "stem 2; for another one let it start from nothing"
            )
        crops = self.crops
        if crops.intensity != "log" or crops.cell_size is None or crops.with_nucleus:
            raise ValueError(
                "crops: the taught network sees the logarithm of cells brought to one cell_size, "
                "without the nucleus channel; for other crops let it start from nothing"
            )
        return self

    @model_validator(mode="after")
    def _crop_fits_network(self) -> Self:
        stride = 2**self.network.depth * self.network.stem
        if self.crops.size % stride:
            raise ValueError(
                f"crops.size is {self.crops.size}, but a network of depth {self.network.depth} and "
                f"stem {self.network.stem} takes multiples of {stride}"
            )
        return self

    def value(self, setting: str) -> Any:
        """Return the value of a setting, by its name with the group, such as training.lam."""
        group, _, name = setting.partition(".")
        return getattr(getattr(self, group), name)

    def with_values(self, values: Mapping[str, Any]) -> Self:
        """Return settings with other values for some, by their names with the group.

        Raises
        ------
        ValueError
            If there is no such setting, or a value is out of bounds or does not fit the others.

        Examples
        --------
        >>> PAPER.with_values({"training.lam": 0.5}).training.lam
        0.5
        """
        changed = self.model_dump()
        for setting, value in values.items():
            group, _, name = setting.partition(".")
            if not isinstance(changed.get(group), dict) or name not in changed[group]:
                raise ValueError(f"there is no setting called {setting}; see the command settings")
            changed[group][name] = value
        return type(self)(**changed)


GROUPS = tuple(name for name in Config.model_fields if name not in ("version", "preset"))
"""The groups of settings, such as training."""


# Settings of version 1 that are no more.
_REMOVED = {"crops": ("guidance",), "training": ("self_training",)}


def _is_old(given: dict[str, Any]) -> bool:
    """Whether settings have one of those that are no more, so were written before version 2."""
    return any(
        name in (given.get(group) or {})
        for group, names in _REMOVED.items()
        if isinstance(given.get(group), dict)
        for name in names
    )


def _is_still_valid(old: dict[str, Any]) -> bool:
    """Whether settings of version 1 mean the same today."""
    off = not any((old.get(group) or {}).get(n) for group, names in _REMOVED.items() for n in names)
    return off and (old.get("crops") or {}).get("cell_size") is None


def is_current(config: Config) -> bool:
    """Whether a network can be trained or applied with settings; else they are to be looked at."""
    return config.version == VERSION


def check_current(config: Config) -> None:
    """Raise a ValueError where settings are not current."""
    if not is_current(config):
        raise ValueError(
            "this run was made by an earlier version of the program, whose networks saw other "
            "crops. Its cells can be looked at and exported; to train or to apply, duplicate it "
            "and start a new run"
        )


def everyday(field: FieldInfo) -> tuple[float, float, float] | None:
    """Lowest, highest and step of a slider for a setting, well within its bounds; None without."""
    extra: Any = field.json_schema_extra
    if not extra or "everyday" not in extra:
        return None
    low, high, step = extra["everyday"]
    return float(low), float(high), float(step)


def usual_steps(field: FieldInfo) -> tuple[float, ...]:
    """The values that a slider for a setting stops at, where they are not evenly spaced."""
    extra: Any = field.json_schema_extra
    return tuple((extra or {}).get("steps", ()))


PAPER = Config()
"""The published network, crops, training and labels; the defaults of all settings are its values.

Mask and markers are automatic in both presets. With `mask.automatic` and `markers.automatic` off,
they are the published ones as well.
"""

QUICK = Config(
    preset="quick",
    crops=CropSettings(size=96, cell_size=36, intensity="log"),
    network=TAUGHT,
    training=TrainingSettings(
        epochs=6,
        steps=10,
        area=None,
        crops=32,
        crops_at_once=32,
        learning_rate=5e-4,
        schedule="cosine",
        clip_norm=1.0,
        symmetries="all",
        nucleus_weight=1.0,
        check_markers=True,
    ),
    labels=LabelSettings(fill=True),
)
"""Ours: the best result for the time on an ordinary laptop."""

PRESETS = {"quick": QUICK, "paper": PAPER}

FROM_NOTHING = QUICK.replace(
    crops=QUICK.crops.replace(size=64),
    network=TAUGHT.replace(start="nothing"),
    training=QUICK.training.replace(
        epochs=30, steps=16, crops=48, crops_at_once=48, learning_rate=3e-3
    ),
    # What nobody claims stays empty: filled up, epoch 0 would look like cells already.
    labels=LabelSettings(fill=False),
)
"""The quick preset for a network that was not taught: watch how cells come about."""

STARTS: Mapping[Start, str] = {
    "simulated": "Taught on simulated cells",
    "nothing": "Nothing, as published",
}
"""Where training on an image begins, and what that is called."""

# What of the training suits a start; loss, nucleus weight and seed are a matter of their own.
_OF_START = (
    "epochs",
    "steps",
    "area",
    "crops",
    "crops_at_once",
    "learning_rate",
    "schedule",
    "clip_norm",
    "warm_up",
    "check_markers",
)


def starting(config: Config, start: Start) -> Config:
    """The settings changed so that training begins with the taught network, or with nothing.

    Parameters
    ----------
    config : Config
    start : {"simulated", "nothing"}

    Returns
    -------
    Config
        Network, crops, the drawing of labels and the steps of the training are those that suit the
        start: the preset's own, where it starts like that. Loss, mask, markers and seed stay. If it
        starts like that already, nothing changes.

    Examples
    --------
    >>> starting(QUICK, "nothing").network.start
    'nothing'
    >>> starting(starting(PAPER, "simulated"), "nothing") == PAPER
    True
    """
    if config.network.start == start:
        return config
    usual = QUICK if start == "simulated" else FROM_NOTHING
    preset = PRESETS.get(config.preset, usual)
    suited = preset if preset.network.start == start else usual
    steps = {name: getattr(suited.training, name) for name in _OF_START}
    return config.replace(
        crops=suited.crops,
        network=suited.network,
        training=config.training.replace(**steps),
        labels=suited.labels,
    )


def renewed(config: Config) -> Config:
    """Current settings in place of those of version 1; current ones as they are.

    Mask, markers and seed are kept. What was made from the `paper` preset keeps all its values, all
    else becomes the `quick` preset of today.
    """
    if is_current(config):
        return config
    if config.preset == "paper":
        return config.replace(version=VERSION)
    training = QUICK.training.replace(seed=config.training.seed)
    return QUICK.replace(mask=config.mask, markers=config.markers, training=training)


def settings_help() -> str:
    """A line for each setting: name, value in both presets, bounds, meaning."""
    lines = ["setting  |  quick  |  paper  |  allowed  |  meaning"]
    for group in GROUPS:
        quick, paper = getattr(QUICK, group), getattr(PAPER, group)
        for name, field in type(quick).model_fields.items():
            # As the command line takes them.
            values = [json.dumps(getattr(preset, name)) for preset in (quick, paper)]
            columns = (f"{group}.{name}", *values, _allowed(field), str(field.description))
            lines.append("  |  ".join(columns))
    return "\n".join(lines)


def _allowed(field: FieldInfo) -> str:
    """Type and bounds of a setting in words."""
    kinds = get_args(field.annotation) or (field.annotation,)
    names = [getattr(kind, "__name__", repr(kind)).replace("NoneType", "null") for kind in kinds]
    return ", ".join(filter(None, [" or ".join(names), _bounds(field)]))
