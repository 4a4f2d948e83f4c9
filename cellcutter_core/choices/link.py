"""An experiment as a link: choices, and what is looked at, as query parameters that one can read.

    image=sample-3&preset=quick&training.seed=3&training.lam=0.5&epoch=6&zoom=2.5,120,88

Parameters that begin with "with." name another experiment that it is compared with.

A link names the built-in sample, an image of the paper or an address. It never names a file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote, urlencode

from pydantic import ConfigDict, Field, field_validator

from cellcutter_core.arguments import naming
from cellcutter_core.choices.choices import READING, Choices, Source, changed, keys
from cellcutter_core.choices.of_run import keys_then
from cellcutter_core.config import (
    GROUPS,
    PRESETS,
    QUICK,
    STARTS,
    Config,
    Settings,
    Start,
    is_current,
    starting,
)
from cellcutter_core.images.formats.zarr_recognition import is_address
from cellcutter_core.runs.description import Description
from cellcutter_core.runs.folder import RunSummary, valid_id
from cellcutter_core.runs.names import in_effect

LONGEST_VALUE, LONGEST_ADDRESS = 100, 400
"""The longest value of a parameter, and the longest address of an image, in characters."""

DEEPEST_ZOOM = 1000.0

_SETTINGS = tuple(
    f"{group}.{name}" for group in GROUPS for name in type(getattr(QUICK, group)).model_fields
)
_CHANNELS = ("cell", "nucleus")
_NUMBERS = ("pixel_size", "region")
_OF_IMAGE = ("image", *READING, *_CHANNELS, *_NUMBERS)
_EXPERIMENT = (*_OF_IMAGE, "preset", *_SETTINGS)
_VIEW = ("epoch", "zoom", "compare", "with")
_OTHER = "with."
_PROBLEM = "this link cannot be opened"

# Pages show messages as Markdown, so a value holds nothing that would be a link or a picture there.
_PLAIN = re.compile(r"[\w.,+-]*", re.ASCII)
_PLAIN_ADDRESS = re.compile(r"[\w.,+:/~%?&=@-]*", re.ASCII)
_PLAIN_NAMES = re.compile(r"[^\[\]<>`\\!*\x00-\x1f]*")


class View(Settings):
    """What is looked at in a run."""

    model_config = ConfigDict(populate_by_name=True)

    epoch: int | None = Field(None, ge=0, le=1_000_000, description="The epoch.")
    zoom: tuple[float, float, float] | None = Field(
        None,
        description="How many times the pictures are enlarged, and the row and column of the image "
        "in their middle.",
    )
    compare: Literal["film", "epochs", "runs", "baselines", "truth"] | None = Field(
        None, description="What is compared."
    )
    other: int | str | None = Field(
        None,
        alias="with",
        description="What it is compared with: an epoch, or the id of another run.",
    )

    @field_validator("zoom")
    @classmethod
    def _zoom(cls, zoom: tuple[float, float, float] | None) -> tuple[float, float, float] | None:
        if zoom is not None and not (1 <= zoom[0] <= DEEPEST_ZOOM and min(zoom[1:]) >= 0):
            raise ValueError(
                f"should be 1 to {DEEPEST_ZOOM:g} times, and a row and a column from 0, got "
                f"{','.join(f'{value:g}' for value in zoom)}"
            )
        return zoom

    @field_validator("other")
    @classmethod
    def _other(cls, other: int | str | None) -> int | str | None:
        if isinstance(other, str):
            return valid_id(other)
        return other

    @property
    def parameters(self) -> dict[str, str]:
        """The query parameters, without what is not known."""
        zoom = self.zoom and ",".join(f"{value:g}" for value in self.zoom)
        found = {"epoch": self.epoch, "zoom": zoom, "compare": self.compare, "with": self.other}
        return {name: str(value) for name, value in found.items() if value is not None}

    @classmethod
    def read(cls, parameters: Mapping[str, str]) -> View:
        """Read query parameters; others than those of a view are ignored.

        Raises
        ------
        ValueError
            If a value is not allowed; the message names the parameter.
        """
        told = {name: parameters[name] for name in _VIEW if name in parameters}
        with naming(_PROBLEM):
            _check(told)
            values: dict[str, Any] = dict(told)
            if "zoom" in told:
                values["zoom"] = _numbers(told, "zoom", 3)
            if told.get("with", "").isdecimal():
                values["with"] = int(told["with"])
            return cls(**values)


def experiment_in(parameters: Iterable[str]) -> list[str]:
    """Return the names of the query parameters that name an experiment, right or wrong.

    Examples
    --------
    >>> experiment_in(["image", "training.lambda", "run", "epoch"])
    ['image', 'training.lambda']
    """
    return [name for name in parameters if name in _EXPERIMENT or name.partition(".")[0] in GROUPS]


def as_query(parameters: Mapping[str, str]) -> str:
    """Write query parameters as they stand in an address.

    Examples
    --------
    >>> as_query({"image": "sample-3", "region": "0,0,128,160"})
    'image=sample-3&region=0,0,128,160'
    """
    return urlencode(parameters, safe=",:/", quote_via=quote)


# From choices to parameters -----------------------------------------------------------------------


def parameters_of(choices: Choices, *, edits: str = "") -> dict[str, str]:
    """Return the query parameters of choices: of the settings only those that differ.

    Parameters
    ----------
    choices : Choices
    edits : str
        Digest of edited markers; empty if there are none.

    Returns
    -------
    dict of str to str
        `choices_from` makes equal choices of it.

    Raises
    ------
    ValueError
        If a link cannot hold these choices; the message says why.

    Examples
    --------
    >>> parameters_of(Choices().with_setting("training", "seed", 3))
    {'image': 'sample-0', 'preset': 'quick', 'training.seed': '3'}
    """
    source, config = choices.source, choices.config
    if source.kind == "file":
        raise ValueError("a link cannot hold an uploaded image")
    if choices.others:
        raise ValueError("a link cannot hold the other images that are trained on")
    if edits:
        raise ValueError("a link cannot hold markers that were edited or come from a file")
    values: dict[str, Any] = {"image": _image_name(source)}
    values |= source.reading
    if choices.cell is not None:
        values["cell"] = ",".join(choices.cell)
    values["nucleus"] = choices.nucleus
    values["pixel_size"] = _joined(choices.pixel_size)
    values["region"] = _joined(choices.region)
    found = {name: _word(value) for name, value in values.items() if value is not None}
    found["preset"] = config.preset
    usual = _usual(config.preset, None)
    if config.network.start != usual.network.start:
        found["network.start"] = config.network.start
        usual = _usual(config.preset, config.network.start)
    for setting in _SETTINGS:
        value = config.value(setting)
        if value != usual.value(setting):
            found[setting] = _word(value)
    try:
        same = choices_from(found) == choices
    except ValueError:
        same = False
    if not same:
        raise ValueError("a link cannot hold the name of this image or of its channels")
    return found


def parameters_of_run(about: Description) -> dict[str, str]:
    """Return the query parameters of the experiment that a run is.

    Raises
    ------
    ValueError
        If a link cannot hold it; the message says why.
    """
    if about.before is not None:
        raise ValueError("a link cannot hold the corrections that this run was trained again from")
    if not is_current(about.config):
        raise ValueError("a link cannot hold the settings of an earlier version")
    try:
        choices = Choices(**(about.choices or {}))
    except (TypeError, ValueError):
        choices = None
    if about.choices is None or choices is None:
        raise ValueError("a link cannot hold a run that was not started on these pages")
    return parameters_of(choices, edits=about.edits or about.markers or "")


def parameters_of_other(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, str]:
    """Return the query parameters of an experiment that another one is compared with.

    Parameters
    ----------
    one, other : mapping of str to str
        What `parameters_of` returned for them.

    Returns
    -------
    dict of str to str
        `other_from` reads them; the image is left out if it is the same.

    Examples
    --------
    >>> seeds = [{"image": "sample-0", "preset": "quick", "training.seed": n} for n in "12"]
    >>> parameters_of_other(*seeds)
    {'with.preset': 'quick', 'with.training.seed': '2'}
    """
    images = [{name: told.get(name) for name in _OF_IMAGE} for told in (one, other)]
    left_out = _OF_IMAGE if images[0] == images[1] else ()
    return {_OTHER + name: value for name, value in other.items() if name not in left_out}


def _image_name(source: Source) -> str:
    return {"sample": f"sample-{source.seed}", "paper": f"paper-{source.name}"}.get(
        source.kind, source.name
    )


def _joined(values: Any) -> str | None:
    if values is None:
        return None
    return ",".join(map(_word, values if isinstance(values, tuple) else (values,)))


def _word(value: Any) -> str:
    """Write a value as the command line takes it."""
    return value if isinstance(value, str) else json.dumps(value)


# From parameters to choices -----------------------------------------------------------------------


def choices_from(parameters: Mapping[str, str]) -> Choices:
    """Return the choices that query parameters name.

    Parameters
    ----------
    parameters : mapping of str to str
        Those of a `View`, ``draft`` and ``run`` are ignored.

    Raises
    ------
    ValueError
        If a parameter is not known, or its value not allowed; the message names the parameter.

    Examples
    --------
    >>> choices_from({"image": "sample-7", "training.lam": "0.5"}).config.training.lam
    0.5
    """
    ignored = ("draft", "run", *_VIEW)
    told = {
        name: value
        for name, value in parameters.items()
        if name not in ignored and not name.startswith(_OTHER)
    }
    with naming(_PROBLEM):
        _check(told)
        return Choices(
            source=_source(told),
            cell=tuple(told["cell"].split(",")) if "cell" in told else None,
            nucleus=told.get("nucleus"),
            pixel_size=_pixel_size(told),
            region=_numbers(told, "region", 4) if "region" in told else None,
            config=_config(told),
        )


def other_from(parameters: Mapping[str, str], choices: Choices) -> Choices | None:
    """Return the choices of the experiment that query parameters compare with.

    Parameters
    ----------
    parameters : mapping of str to str
    choices : Choices
        Those that it is compared with: the image is theirs where the parameters name none.

    Returns
    -------
    Choices or None
        None if the parameters compare with no experiment.

    Raises
    ------
    ValueError
        As `choices_from`.
    """
    told = {
        name.removeprefix(_OTHER): value
        for name, value in parameters.items()
        if name.startswith(_OTHER)
    }
    if not told:
        return None
    if any(name in _OF_IMAGE for name in told):
        return choices_from(told)
    return choices.replace(config=choices_from({"image": "sample-0", **told}).config)


def _check(told: Mapping[str, str]) -> None:
    """Refuse unknown parameters, and values that none of them can have."""
    for name, value in told.items():
        if name not in _EXPERIMENT and name not in _VIEW:
            known = f" called {name}" if _PLAIN.fullmatch(name) and len(name) <= 60 else " like one"
            kind = "setting" if name.partition(".")[0] in GROUPS else "parameter"
            raise ValueError(f"there is no {kind}{known}; take it out of the address")
        longest = LONGEST_ADDRESS if name == "image" else LONGEST_VALUE
        if len(value) > longest:
            raise ValueError(f"{name} has {len(value)} characters; allowed are {longest}")
        plain = {"image": _PLAIN_ADDRESS, **dict.fromkeys(_CHANNELS, _PLAIN_NAMES)}
        if not plain.get(name, _PLAIN).fullmatch(value):
            raise ValueError(f"{name} has a character that no value of it has")


def _source(told: Mapping[str, str]) -> Source:
    image = told.get("image", "")
    kind, _, name = image.partition("-")
    reading = {name: _value(told[name]) for name in READING if name in told}
    if is_address(image):
        return Source(kind="web", name=image, **reading)
    if reading:
        raise ValueError(f"{next(iter(reading))} is only for an image from an address")
    if kind == "sample" and re.fullmatch(r"\d{1,3}", name, re.ASCII):
        return Source(seed=int(name))
    if kind == "paper" and name in ("a1", "a2", "a3"):
        return Source(kind="paper", name=name)
    raise ValueError(
        f"image is {image or 'missing'}; give sample-0 to sample-999, paper-a1 to paper-a3, or an "
        "address that begins with https://"
    )


def _config(told: Mapping[str, str]) -> Config:
    preset, start = told.get("preset", "quick"), told.get("network.start")
    presets = (*PRESETS, "custom")
    if preset not in presets:
        raise ValueError(f"preset is {preset}; give {', '.join(presets)}")
    if start is not None and start not in STARTS:
        raise ValueError(f"network.start is {start}; give {' or '.join(STARTS)}")
    values = {setting: _value(told[setting]) for setting in _SETTINGS if setting in told}
    return _usual(preset, start).with_values(values)


def _usual(preset: str, start: str | None) -> Config:
    """Return the settings that a link's own are differences from."""
    known = PRESETS.get(preset) or QUICK.replace(preset=preset)
    wanted: Start = "simulated" if start == "simulated" else "nothing"
    return known if start is None else starting(known, wanted)


def _pixel_size(told: Mapping[str, str]) -> Any:
    if "pixel_size" not in told:
        return None
    if "," in told["pixel_size"]:
        return _numbers(told, "pixel_size", 2)
    return _numbers(told, "pixel_size", 1)[0]


def _numbers(told: Mapping[str, str], name: str, n: int) -> tuple[int | float, ...]:
    words = told[name].split(",")
    values = [_value(word) for word in words]
    if len(values) != n or not all(type(value) in (int, float) for value in values):
        wanted = "a number" if n == 1 else f"{n} numbers with commas between them"
        raise ValueError(f"{name} is {told[name]}; give {wanted}")
    return tuple(values)


def _value(word: str) -> Any:
    try:
        return json.loads(word)
    except ValueError:
        return word


# The run ------------------------------------------------------------------------------------------


def find_experiment(
    choices: Choices, runs: Sequence[RunSummary], *, epoch: int | None = None
) -> RunSummary | None:
    """Return the run of an experiment, if there is one.

    Parameters
    ----------
    choices : Choices
        Without edited markers.
    runs : sequence of RunSummary
        The first one counts, so give the newest first, as `list_runs` does.
    epoch : int, optional
        It must have come to this epoch; default the last of the settings.

    Returns
    -------
    RunSummary or None
        A run with the same image, markers and settings that has the epoch. If none has it, one that
        will come to it.
    """
    wanted = choices.config.training.epochs if epoch is None else epoch
    there = [run for run in runs if run.epoch_events and run.epoch_events[-1]["epoch"] >= wanted]
    going = [run for run in runs if run.status in ("queued", "running") and run.epochs >= wanted]
    return next(_same(choices, [*there, *going]), None)


def _same(choices: Choices, runs: Sequence[RunSummary]) -> Iterator[RunSummary]:
    """Yield the runs of an experiment."""
    # Keys decide, but take long to compute: most runs differ in what is quickly compared.
    now, image, config = keys(choices), _decided(choices.model_dump(mode="json")), choices.config
    settings = _settings(config)
    for run in runs:
        about = run.description
        if (
            about.choices is not None
            and about.config.training.seed == config.training.seed
            and _decided(about.choices) == image
            and about.before is None
            and is_current(about.config)
            and _settings(about.config) == settings
            and not changed(now, keys_then(about))
        ):
            yield run


def _decided(choices: Mapping[str, Any]) -> list[Any]:
    """Return the choices, as stored, that say which image it is."""
    source = choices.get("source") or {}
    parts = [source.get("kind", "sample"), source.get("name", ""), source.get("seed", 0)]
    return [*parts, *(choices.get(name) for name in ("cell", "nucleus", "region"))]


def _settings(config: Config) -> dict[str, Any]:
    effect = in_effect(config)
    return {group: effect[group] for group in GROUPS}
