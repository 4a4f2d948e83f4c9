"""What a caller gave in place of what is wanted, and what to give: said in one line."""

from __future__ import annotations

import os
from typing import Any

import numpy as np


def check_argument(value: Any, kind: type, name: str, advice: str) -> None:
    """Refuse an argument of another type.

    Parameters
    ----------
    value : anything
    kind : type
        What it has to be.
    name : str
        What the function calls it.
    advice : str
        How to get one.

    Raises
    ------
    ValueError
        If it is not of that type.
    """
    if not isinstance(value, kind):
        raise ValueError(f"{name} is {in_words(value)}, but has to be of {kind.__name__}; {advice}")


def in_words(value: Any) -> str:
    """What a value is, in a few words.

    Examples
    --------
    >>> in_words(np.zeros((2, 3))), in_words("a.tif"), in_words(None)
    ('an array of shape (2, 3)', "'a.tif'", 'None')
    """
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    if value is None or isinstance(value, str | int | float | os.PathLike):
        return repr(os.fspath(value) if isinstance(value, os.PathLike) else value)[:80]
    if isinstance(value, type):
        return f"the class {value.__name__} itself"
    return f"an object of {type(value).__name__}"
