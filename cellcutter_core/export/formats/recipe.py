"""A script and a notebook that repeat what a run did."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from cellcutter_core.config import check_current
from cellcutter_core.export.files import json_file
from cellcutter_core.export.result import Result

_LINES = [
    (
        "Settings of the run, its image, and the mask and markers, found or edited by hand.",
        """\
import json
from pathlib import Path

import numpy as np

from cellcutter_core.config import Config
from cellcutter_core.training.inputs import Inputs

config = Config(**json.loads(Path("settings.json").read_text("utf-8")))
with np.load("inputs.npz") as arrays:
    inputs = Inputs.from_arrays(arrays)""",
    ),
    (
        "Train on this very image and predict its cells.",
        """\
from cellcutter_core.pipeline import segment_inputs

drawing = segment_inputs(inputs, config, until={epoch})""",
    ),
    (
        "Write the label image of the run.",
        """\
from cellcutter_core.export import write_labels

write_labels("labels.tif", drawing.labels, pixel_size={pixel_size}{place})""",
    ),
]


_FROM_WEIGHTS = (
    "Train on this very image, from the network of an earlier run, and predict its cells.",
    """\
from cellcutter_core.pipeline import segment_inputs
from cellcutter_core.runs.store import weights_in

with np.load("start.npz") as arrays:
    start = weights_in(arrays)
drawing = segment_inputs(inputs, config, until={epoch}, start=start)""",
)
_TAUGHT = (
    "The run began with the network in cellcutter_core that was taught on simulated cells. This "
    "stops with a message if the installed network is another one.",
    """\
from cellcutter_core.network.taught_weights import check_taught

check_taught({digest!r})""",
)
_OTHERS = (
    "The other images that the network was trained on.",
    """\
from cellcutter_core.runs.other_images import Other

others = []
for file in sorted(Path().glob("other-*.npz")):
    with np.load(file) as arrays:
        others.append(Other.from_arrays(arrays).inputs)""",
)
_IN_ONE_GO = "The run was continued for more epochs; trained at once, labels may differ slightly."


def recipe(result: Result) -> dict[str, bytes]:
    """Return the files with which `cellcutter_core` reproduces the labels of a run.

    On the same machine with the same versions the labels are equal bit for bit: the precision is
    that of the run, and all random numbers come from the seed in the settings. A run that was
    continued for more epochs than planned is trained here at once, with a learning rate that falls
    once instead of twice, so its labels differ slightly. A run that began with the taught network
    needs an installation with the same taught network; with another one the recipe stops with a
    message.

    Parameters
    ----------
    result : Result
        The recipe reproduces the labels of its epoch.

    Returns
    -------
    dict
        File name → content: ``settings.json``, ``inputs.npz``, ``recipe.py``, ``recipe.ipynb``; for
        a run that began with the network of another run ``start.npz``; for a run on several images
        ``other-0001.npz`` and so on.

    Raises
    ------
    ValueError
        If a file of the run is missing, or the run is of an earlier version.
    """
    check_current(result.run.config)
    # The name goes into a comment, on one line: the name of a file must not become code.
    image_name = " ".join(result.image_name.split())
    about = f"The cells of {image_name} after epoch {result.epoch}, made with cellcutter_core"
    place = f", origin={result.origin}, whole_shape={result.whole_shape}"
    is_region = result.origin != (0, 0) or result.whole_shape is not None
    values = {
        "epoch": result.epoch,
        "pixel_size": result.pixel_size,
        "place": place if is_region else "",
    }
    files = [result.run.path / "inputs.npz"]
    lines = list(_LINES)
    if (start := result.run.path / "start.npz").exists():
        files.append(start)
        lines[1] = _FROM_WEIGHTS
    elif digest := _taught(result):
        why, code = _TAUGHT
        lines.insert(1, (why, code.replace("{digest!r}", repr(digest))))
    parts = [(why, code.format(**values)) for why, code in lines]
    others = result.run.other_files
    if others:
        why, code = parts[-2]
        trained = code.replace(
            "segment_inputs(inputs, config,", "segment_inputs(inputs, config, others=others,"
        )
        parts[-2:-1] = [_OTHERS, (why.replace("on this very image", "on all of them"), trained)]
    if _continued(result):
        why, code = parts[-2]
        parts[-2] = (f"{why} {_IN_ONE_GO}", code)
    try:
        saved = {file.name: file.read_bytes() for file in files}
        saved |= {f"other-{file.name}": file.read_bytes() for file in others}
    except OSError as error:
        raise ValueError(
            f"cannot read {Path(error.filename).name} of the run: {error.strerror}; start the run "
            "again"
        ) from None
    return {
        "settings.json": json_file(_settings(result)),
        **saved,
        "recipe.py": _script(about, parts).encode("utf-8"),
        "recipe.ipynb": _notebook(about, parts),
    }


def _settings(result: Result) -> dict[str, Any]:
    """Return the run's settings, with the values that were decided when it started."""
    config, run = result.run.config, result.run
    training = config.training.replace(epochs=max(run.progress.epochs, result.epoch))
    for event in run.events():
        if event["kind"] == "device":
            training = training.replace(precision=event["precision"])
    return config.replace(training=training).model_dump(mode="json")


def _taught(result: Result) -> str | None:
    """Return the digest of the taught weights that the run began with, or None."""
    found = (event.get("taught") for event in result.run.events() if event["kind"] == "device")
    digest: str | None = next(found, None)
    return digest


def _continued(result: Result) -> bool:
    """Return whether the run was continued for more epochs than planned at its start."""
    started = [event for event in result.run.events() if event["kind"] == "started"]
    return len({event.get("epochs") for event in started}) > 1


def _script(about: str, parts: list[tuple[str, str]]) -> str:
    """Return the script, with all imports at its top."""
    lines = "\n".join(code for _, code in parts).splitlines()
    imports = [line for line in lines if line.startswith(("import ", "from "))]
    ours = sorted(line for line in imports if "cellcutter_core" in line)
    standard = [line for line in imports if line.split()[1] in sys.stdlib_module_names]
    others = [line for line in imports if line not in (*ours, *standard)]
    blocks = [f"# {about}", "\n".join(standard), "\n".join(others), "\n".join(ours)]
    for why, code in parts:
        rest = [line for line in code.splitlines() if line and line not in imports]
        blocks.append("\n".join([f"# {why}", *rest]))
    return "\n\n".join(blocks) + "\n"


def _notebook(about: str, parts: list[tuple[str, str]]) -> bytes:
    """Return a Jupyter notebook, format 4.5 (https://nbformat.readthedocs.io)."""
    cells: list[dict[str, Any]] = []

    def add(kind: str, text: str) -> None:
        more: dict[str, Any] = {"execution_count": None, "outputs": []} if kind == "code" else {}
        source = text.splitlines(keepends=True)
        identity = f"cell-{len(cells) + 1}"
        cells.append({"cell_type": kind, "id": identity, "metadata": {}, "source": source, **more})

    add("markdown", f"# {about}")
    for why, code in parts:
        add("markdown", why)
        add("code", code)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return (json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode("utf-8")
