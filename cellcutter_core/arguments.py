"""Checks of arguments. Each error says in one line what is wrong and what to give instead.

Where the order of an array's axes is ambiguous, the check raises instead of guessing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_CHANNELS = 32
"""No image has more channels than this."""

MOST_COLOURS = 4
"""A last axis of at most this length holds colours, not columns."""


def check_argument(value: Any, kind: type, name: str, advice: str) -> None:
    """Refuse an argument of the wrong type.

    Parameters
    ----------
    value : anything
    kind : type
        The type it must have.
    name : str
        The name of the parameter, used in the message.
    advice : str
        How to get a value of that type.

    Raises
    ------
    ValueError
        If `value` is not of that type.
    """
    if not isinstance(value, kind):
        raise ValueError(
            f"{name} is {describe_value(value)}, but has to be of {kind.__name__}; {advice}"
        )


def describe_value(value: Any) -> str:
    """Describe a value in a few words.

    Examples
    --------
    >>> describe_value(np.zeros((2, 3))), describe_value("a.tif"), describe_value(None)
    ('an array of shape (2, 3)', "'a.tif'", 'None')
    """
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    if value is None or isinstance(value, str | int | float | os.PathLike):
        return repr(os.fspath(value) if isinstance(value, os.PathLike) else value)[:80]
    if isinstance(value, type):
        return f"the class {value.__name__} itself"
    return f"an object of {type(value).__name__}"


def check_channels_last(image: NDArray[Any], name: str) -> None:
    """Raise a ValueError where (H, W, K) looks like channels or planes first.

    Parameters
    ----------
    image : array
        Any number of axes; only arrays with three axes are checked.
    name : str
        The caller's name for it, used in the message.
    """
    if image.ndim != 3:
        return
    n_channels = image.shape[2]
    if n_channels > MOST_CHANNELS or n_channels > min(image.shape[:2]):
        raise ValueError(
            f"{name} has the shape {image.shape}, which is {n_channels} channels if its axes are "
            f"(row, column, channel); if channels come first give np.moveaxis({name}, 0, -1), "
            f"if it is a stack give one plane, {name}[0]"
        )


def check_planes_first(image: NDArray[Any], name: str) -> None:
    """Raise a ValueError where (D, H, W) looks like an image whose last axis is colours.

    Parameters
    ----------
    image, name
        As for `check_channels_last`.
    """
    if image.ndim != 3:
        return
    n_cols = image.shape[2]
    if 1 < n_cols <= MOST_COLOURS < min(image.shape[:2]):
        raise ValueError(
            f"{name} has the shape {image.shape}, which is {image.shape[0]} planes of {n_cols} "
            "columns if its axes are (plane, row, column); if it is an image with channels give "
            f"one, {name}[..., 0], if it is a stack give np.moveaxis({name}, -1, 0)"
        )


@contextmanager
def naming(image: str) -> Iterator[None]:
    """Put the name of the image in front of the message of a ValueError."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{image}: {str(error).removeprefix(f'{image}: ')}") from error
