"""Which settings a sweep varies, and the settings of each of its runs."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import re
from collections.abc import Sequence
from typing import Any, Literal, get_args, get_origin

from pydantic import Field

from cellcutter_core.config import Config, Settings, usual_steps
from cellcutter_core.runs.names import in_effect, value_in_words

MOST_VARIED = 3
"""The largest number of settings that a sweep varies."""
MOST_RUNS = 1000
"""The largest number of runs of a sweep."""

Value = bool | int | float | str | None

_RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)", re.ASCII)


class Variation(Settings):
    """One setting and the values that it takes."""

    setting: str = Field(description="The setting with its group, such as training.lam.")
    values: tuple[Value, ...] = Field(
        min_length=1, max_length=MOST_RUNS, description="Its values, each once, in their order."
    )

    @property
    def group(self) -> str:
        """The group of the setting, such as "training"."""
        return self.setting.partition(".")[0]

    @property
    def name(self) -> str:
        """The setting without its group, such as "lam"."""
        return self.setting.partition(".")[2]

    @property
    def title(self) -> str:
        """The name of the setting, as a person reads it."""
        return self.name.replace("_", " ")

    def value_in(self, config: Config) -> Value:
        """Return the value that the setting has in these settings."""
        found: Value = config.value(self.setting)
        return found

    @classmethod
    def parse(cls, given: str) -> Variation:
        """Read a variation as the command line takes it.

        Parameters
        ----------
        given : str
            ``GROUP.NAME=VALUE,VALUE``. Whole numbers may be a range: ``0..4`` is 0, 1, 2, 3, 4.

        Raises
        ------
        ValueError
            If it is not written like that, or has a value twice.

        Examples
        --------
        >>> Variation.parse("training.lam=0.5,1").values
        (0.5, 1)
        >>> Variation.parse("training.seed=0..2").values
        (0, 1, 2)
        """
        setting, equals, listed = given.partition("=")
        if not equals or not listed or "." not in setting:
            raise ValueError(
                f"{given!r} varies nothing; write a setting and its values, for example "
                "training.lam=0.5,1,2 or training.seed=0..4"
            )
        values: list[Value] = []
        for word in listed.split(","):
            if between := _RANGE.fullmatch(word.strip()):
                first, last = map(int, between.groups())
                if not 0 <= last - first < MOST_RUNS:
                    raise ValueError(
                        f"{word!r} is not a range; write the smaller number first, and at most "
                        f"{MOST_RUNS} numbers"
                    )
                values += range(first, last + 1)
            else:
                values.append(_value(word.strip()))
        return cls.of(setting.strip(), values)

    @classmethod
    def of(cls, setting: str, values: Sequence[Value]) -> Variation:
        """Make a variation.

        Raises
        ------
        ValueError
            If a value occurs twice, or there are none or too many.
        """
        for i, value in enumerate(values):
            if value in values[:i]:
                raise ValueError(f"{setting} has the value {value} twice; name each value once")
        return cls(setting=setting, values=tuple(values))


def _value(word: str) -> Value:
    if not word:
        raise ValueError("a value is missing between two commas")
    try:
        found = json.loads(word)
    except ValueError:
        return word
    return found if isinstance(found, bool | int | float) or found is None else word


def n_runs(variations: Sequence[Variation]) -> int:
    """Return the number of combinations of all values."""
    return math.prod(len(one.values) for one in variations)


def vary(base: Config, variations: Sequence[Variation]) -> list[tuple[tuple[Value, ...], Config]]:
    """Return the settings of every run of a sweep.

    Parameters
    ----------
    base : Config
        All other settings.
    variations : sequence of Variation
        One to `MOST_VARIED`.

    Returns
    -------
    list of (values, Config)
        Every combination of the values; the last setting changes fastest.

    Raises
    ------
    ValueError
        If there is no such setting, a value is not allowed, a setting has no effect with the
        others, or there are too many settings or runs.
    """
    if not 1 <= len(variations) <= MOST_VARIED:
        raise ValueError(
            f"a sweep varies 1 to {MOST_VARIED} settings, but {len(variations)} are given"
        )
    names = [variation.setting for variation in variations]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name} is varied twice; give all its values at once")
    n = n_runs(variations)
    if n > MOST_RUNS:
        raise ValueError(f"these are {n} runs; a sweep has {MOST_RUNS} at most: name fewer values")
    found = [
        (values, base.with_values(dict(zip(names, values, strict=True))))
        for values in itertools.product(*(one.values for one in variations))
    ]
    _check_effect([config for _, config in found], variations)
    return found


def _check_effect(configs: Sequence[Config], variations: Sequence[Variation]) -> None:
    """Refuse a setting that changes nothing in any of the runs."""
    effects: list[dict[str, Any]] = [in_effect(config) for config in configs]
    for one in variations:
        if not any(one.name in effect[one.group] for effect in effects):
            raise ValueError(
                f"{one.setting} changes nothing with these settings"
                + (
                    f"; set {one.group}.automatic=false first"
                    if getattr(getattr(configs[0], one.group), "automatic", False)
                    else ""
                )
            )


def in_words(variations: Sequence[Variation], values: Sequence[Value]) -> str:
    """Describe a run by its varied values, as in "lam 0.5, seed 3"."""
    return ", ".join(
        f"{one.title} {value_in_words(value)}"
        for one, value in zip(variations, values, strict=True)
    )


def settings_to_vary(config: Config) -> list[str]:
    """Return the settings that have an effect and take a number, a choice, or on and off.

    Those that the other settings fix are left out, as the channels of the taught network.
    """
    effect = in_effect(config)
    found = []
    for group in config.model_dump():
        if isinstance(getattr(config, group), Settings):
            found += [f"{group}.{name}" for name in effect.get(group, ()) if name != "automatic"]
    return [name for name in found if suggested(config, name) and _may_change(config, name)]


def _may_change(config: Config, setting: str) -> bool:
    """Return whether the setting may have any of the suggested values but the present one."""
    for value in Variation.parse(f"{setting}={suggested(config, setting)}").values:
        with contextlib.suppress(ValueError):
            if config.with_values({setting: value}) != config:
                return True
    return False


def suggested(config: Config, setting: str) -> str:
    """Return values to try for a setting, around the present one, as `Variation.parse` reads them.

    Returns
    -------
    str
        Empty if there is nothing to suggest, as for a list.
    """
    group, _, name = setting.partition(".")
    now = config.value(setting)
    field = type(getattr(config, group)).model_fields[name]
    steps = usual_steps(field)
    if name == "seed":
        values: list[Any] = ["0..2"]
    elif isinstance(now, bool):
        values = ["false", "true"]
    elif options := get_args(field.annotation) if get_origin(field.annotation) is Literal else ():
        values = list(options)
    elif steps and now is not None:
        nearest = min(range(len(steps)), key=lambda i: abs(steps[i] - now))
        start = min(max(nearest - 1, 0), max(len(steps) - 3, 0))
        values = list(steps[start : start + 3])
    elif isinstance(now, int):
        values = sorted({max(now // 2, 1), now, 2 * now})
    elif isinstance(now, float):
        values = [now / 2, now, 2 * now] if now else [0, 0.5, 1]
    else:
        values = []
    return ", ".join(value if isinstance(value, str) else f"{value:g}" for value in values)
