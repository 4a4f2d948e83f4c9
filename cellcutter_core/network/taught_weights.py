"""The taught weights in the package: those of a network taught on simulated cells."""

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
"""Channels of its crops: image, own marker, other markers, path log-odds, position embedding."""


def write_taught(path: Path, weights: list[NDArray[Any]], recipe: Mapping[str, Any]) -> None:
    """Write weights as float16, with the recipe that made them."""
    arrays: dict[str, Any] = {
        f"weight{i:05d}": np.asarray(w, np.float16) for i, w in enumerate(weights)
    }
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.savez(file, recipe=np.array(json.dumps(dict(recipe))), **arrays)


def read_taught(path: Path | None = None) -> tuple[list[NDArray[np.float32]], dict[str, Any]]:
    """Return the weights in the order of `UNet.weights`, and the recipe that made them."""
    if path is None:
        with as_file(files("cellcutter_core.network") / "taught.npz") as shipped:
            return read_taught(shipped)
    with np.load(path, allow_pickle=False) as archive:
        names = sorted(name for name in archive.files if name.startswith("weight"))
        weights = [archive[name].astype(np.float32) for name in names]
        return weights, json.loads(str(archive["recipe"]))


@lru_cache
def taught_digest() -> str:
    """Return a short digest of the taught weights in the package."""
    digest = hashlib.sha256()
    for weight in read_taught()[0]:
        digest.update(weight.tobytes())
    return digest.hexdigest()[:16]


def check_taught(digest: str) -> None:
    """Raise a ValueError if the installed taught weights do not have that digest."""
    if taught_digest() != digest:
        raise ValueError(
            f"the run began with other taught weights ({digest}) than those installed "
            f"({taught_digest()}); install the version of cellcutter_core that made the run"
        )
