"""Write a record as JSON that every reader accepts."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np

from cellcutter_core.files import atomic


def write_json(path: str | os.PathLike[str], mapping: Mapping[str, Any]) -> None:
    """Write a record as indented UTF-8 JSON that every reader accepts.

    NumPy scalars and arrays become numbers and lists, paths become text. JSON has no NaN and no
    infinity; they become null, so that a run whose loss diverged can still be written.

    Parameters
    ----------
    path : path
        The file; an existing one is replaced.
    mapping : mapping
        Keys are strings.

    Raises
    ------
    ValueError
        If the file cannot be written.
    TypeError
        If a value cannot be written in JSON.
    """
    content = json_file(mapping)
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def json_file(mapping: Mapping[str, Any]) -> bytes:
    """Return the content of the file that `write_json` writes."""
    text = json.dumps(_plain(mapping), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode("utf-8")


def _plain(value: Any) -> Any:
    """Return the same value in types that JSON has."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
