"""What a run says of the choices it was started from, to compare it with other choices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cellcutter_core.choices.choices import Choices, keys
from cellcutter_core.runs.description import Description


def described(choices: Choices, *, edits: str = "") -> Mapping[str, Any]:
    """Return the attributes of a run's `Description` that state its choices.

    `edits` is the digest of edited markers.
    """
    return {
        "choices": choices.model_dump(mode="json"),
        "step_keys": dict(keys(choices, edits=edits)),
        "edits": edits,
        "image": choices.source.title,
    }


def keys_then(about: Description) -> Mapping[str, str]:
    """Return the `keys` of the choices that a run was started from.

    They are computed again, because stored keys hold only the settings that existed at that time.
    The stored keys are used only if the choices cannot be read.
    """
    try:
        return keys(Choices(**about.choices), edits=about.edits) if about.choices else {}
    except (TypeError, ValueError):
        return about.step_keys
