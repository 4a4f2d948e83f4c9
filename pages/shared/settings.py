"""A widget for each setting of the pipeline, made from what `cellcutter_core.config` says of it.

And the form that chooses which settings vary between runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import streamlit as st
from pydantic.fields import FieldInfo

from cellcutter_core.config import Config, everyday, usual_steps
from cellcutter_core.sweeps.variations import settings_to_vary, suggested
from pages.shared import state

NOTHING = "nothing"


def setting(
    group: str,
    name: str,
    *,
    label: str | None = None,
    disabled: bool = False,
    steps: Sequence[float] = (),
) -> None:
    """Show a widget for a setting; bounds and help text come from `cellcutter_core.config`.

    `steps` are the values that its slider stops at, instead of the usual ones.
    """
    settings = getattr(state.choices().config, group)
    field = type(settings).model_fields[name]
    value = getattr(settings, name)
    title = label or name.replace("_", " ").capitalize()
    kinds = get_args(field.annotation)
    if type(None) in kinds:
        _optional(group, name, title, field, value, disabled=disabled)
    else:
        _widget(group, name, title, field, value, disabled=disabled, steps=steps)


def _optional(
    group: str, name: str, title: str, field: FieldInfo, value: Any, *, disabled: bool
) -> None:
    """Show a setting that may be None: a switch and, if it is on, the number."""
    key = f"{group}_{name}_given"
    st.session_state[key] = value is not None
    usual = getattr(getattr(Config(), group), name)
    span = everyday(field)
    fallback = usual if usual is not None else span[0] * 3 if span else _bounds(field)[0] or 1

    def switch() -> None:
        given = fallback if st.session_state[key] else None
        state.choose_setting(group, name, given)

    st.toggle(
        f"Set {title.lower()}", key=key, on_change=switch, help=field.description, disabled=disabled
    )
    if value is not None:
        _widget(group, name, title, field, value, disabled=disabled)


def _widget(
    group: str,
    name: str,
    title: str,
    field: FieldInfo,
    value: Any,
    *,
    disabled: bool,
    steps: Sequence[float] = (),
) -> None:
    key = f"{group}_{name}"
    # The choices count. The widget shows them, whatever it showed before.
    st.session_state[key] = value

    def change() -> None:
        state.choose_setting(group, name, st.session_state[key])

    common: dict[str, Any] = {
        "key": key,
        "on_change": change,
        "help": field.description,
        "disabled": disabled,
    }
    if isinstance(value, bool):
        st.toggle(title, **common)
    elif options := _options(field):
        st.selectbox(title, options, **common)
    elif stops := steps or usual_steps(field):
        # A value that was not set with this slider becomes an additional stop.
        st.select_slider(title, sorted({*stops, value}), format_func="{:g}".format, **common)
    elif span := everyday(field):
        low, high, step = span
        st.slider(title, min(low, value), max(high, value), step=step, format="%g", **common)
    else:
        low, high = _bounds(field)
        kind = type(value)
        st.number_input(
            title,
            None if low is None else kind(low),
            None if high is None else kind(high),
            step=_step(field, value),
            format="%d" if kind is int else "%g",
            **common,
        )


def _options(field: FieldInfo) -> list[Any]:
    """Return the values of a Literal, or an empty list."""
    found = get_args(field.annotation)
    return list(found) if found and not any(isinstance(kind, type) for kind in found) else []


def _bounds(field: FieldInfo) -> tuple[float | None, float | None]:
    """Return the lowest and the highest value. The core refuses a value on an open bound."""

    def bound(*names: str) -> float | None:
        for part in field.metadata:
            for name in names:
                if hasattr(part, name):
                    return getattr(part, name)
        return None

    return bound("ge", "gt"), bound("le", "lt")


def _step(field: FieldInfo, value: float) -> float:
    for part in field.metadata:
        if hasattr(part, "multiple_of"):
            return int(part.multiple_of)
    if isinstance(value, int):
        return 1
    return 10.0 ** (len(str(int(value))) - 2) if value >= 1 else max(value / 10, 1e-6)


def choose_varied(
    first: str, key: str, *, most: int = 1, usual: str = NOTHING, more_help: str = ""
) -> list[str]:
    """Let the visitor choose settings to vary, and the values of each.

    Parameters
    ----------
    first : str
        Label of the first one.
    key : str
        Beginning of the keys of the widgets.
    most : int
        The largest number of settings.
    usual : str
        The first one at the beginning.
    more_help : str
        What else the help of the values says.

    Returns
    -------
    list of str
        As `Variation.parse` reads them, which says what is wrong with the values.
    """
    config = state.choices().config
    found: dict[str, str] = {}
    for number in range(1, most + 1):
        left, right = st.columns([1, 2])
        names = [NOTHING, *(name for name in settings_to_vary(config) if name not in found)]
        setting = left.selectbox(
            "And" if found else first,
            names,
            index=names.index(usual) if not found and usual in names else 0,
            key=f"{key}_setting_{number}",
            persist_state="session",
            format_func=lambda name: name.replace(".", ": ").replace("_", " "),
        )
        if setting == NOTHING:
            break
        group, _, name = setting.partition(".")
        field = type(getattr(config, group)).model_fields[name]
        found[setting] = right.text_input(
            "Values",
            suggested(config, setting),
            key=f"{key}_values_{number}_{setting}",
            persist_state="session",
            help=f"{field.description} Separate values by commas; 0..4 is 0, 1, 2, 3, 4."
            + more_help,
        )
    return [f"{setting}={values}" for setting, values in found.items()]
