"""The weights that the package ships: a network that was taught on simulated cells."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.files import atomic

N_CHANNELS = 5
"""What its crops show: image, own marker, other markers, path log-odds, position embedding."""


def write_taught(path: Path, weights: list[NDArray[Any]], recipe: Mapping[str, Any]) -> None:
    """Write weights as float16, with the recipe they came from."""
    arrays: dict[str, Any] = {
        f"weight{i:05d}": np.asarray(w, np.float16) for i, w in enumerate(weights)
    }
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.savez(file, recipe=np.array(json.dumps(dict(recipe))), **arrays)


def read_taught(path: Path | None = None) -> tuple[list[NDArray[np.float32]], dict[str, Any]]:
    """The weights in the order of `UNet.weights`, and the recipe they came from."""
    if path is None:
        with as_file(files("cellcutter_core.network") / "taught.npz") as shipped:
            return read_taught(shipped)
    with np.load(path, allow_pickle=False) as archive:
        names = sorted(name for name in archive.files if name.startswith("weight"))
        weights = [archive[name].astype(np.float32) for name in names]
        return weights, json.loads(str(archive["recipe"]))


@lru_cache
def taught_digest() -> str:
    """A short name for the weights that the package ships: other weights have another one."""
    digest = hashlib.sha256()
    for weight in read_taught()[0]:
        digest.update(weight.tobytes())
    return digest.hexdigest()[:16]


def check_taught(digest: str) -> None:
    """Raise a ValueError where the weights that are installed are not those of that digest."""
    if taught_digest() != digest:
        raise ValueError(
            f"the run began with other taught weights ({digest}) than are installed "
            f"({taught_digest()}); install the version of cellcutter_core that made it"
        )
