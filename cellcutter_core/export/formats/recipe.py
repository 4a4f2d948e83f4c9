"""What was done to an image, as a script and a notebook that do it again."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from cellcutter_core.config import check_current
from cellcutter_core.export.record import json_file
from cellcutter_core.export.result import Result

_LINES = [
    (
        "Settings of the run, its image, and the mask and markers found there or drawn by hand.",
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
        "Train on this very image and draw its cells.",
        """\
from cellcutter_core.pipeline import segment_inputs

drawing = segment_inputs(inputs, config, until={epoch})""",
    ),
    (
        "The label image, as the run has it.",
        """\
from cellcutter_core.export import write_labels

write_labels("labels.tif", drawing.labels, pixel_size={pixel_size}{place})""",
    ),
]


_FROM_WEIGHTS = (
    "Train on this very image, from the network of an earlier run, and draw its cells.",
    """\
from cellcutter_core.pipeline import segment_inputs
from cellcutter_core.runs.store import weights_in

with np.load("start.npz") as arrays:
    start = weights_in(arrays)
drawing = segment_inputs(inputs, config, until={epoch}, start=start)""",
)
_TAUGHT = (
    "The run began with the network that cellcutter_core ships, taught on simulated cells. An "
    "installation that has another one says so here.",
    """\
from cellcutter_core.network.taught import check_taught

check_taught({digest!r})""",
)
_OTHERS = (
    "The other images that it was trained on.",
    """\
from cellcutter_core.runs.others import Other

others = []
for file in sorted(Path().glob("other-*.npz")):
    with np.load(file) as arrays:
        others.append(Other.from_arrays(arrays).inputs)""",
)
_IN_ONE_GO = "The run was continued for more epochs; in one go the labels may differ a little."


def recipe(result: Result) -> dict[str, bytes]:
    """The files with which `cellcutter_core` makes the labels of a run again.

    On the same machine with the same versions they are the same bit for bit: the precision is the
    one that the run had, and everything random comes from the seed in the settings. A run that was
    continued for more epochs than it was to have at first is trained in one go here, with a
    learning rate that falls once instead of twice, and comes out slightly different. A run that
    began with the taught network needs an installation that has the same one; another one is
    refused with a sentence.

    Parameters
    ----------
    result : Result
        Whose epoch the recipe leads to.

    Returns
    -------
    dict
        File name → content: ``settings.json``, ``inputs.npz``, ``recipe.py``, ``recipe.ipynb``,
        ``start.npz`` of a run that began with the network of another, and ``other-0001.npz`` ...
        of one that was trained on more images.

    Raises
    ------
    ValueError
        If a file of the run is missing, or it is of an earlier version.
    """
    check_current(result.run.config)
    # In a comment and in one line: what a file is called must not become code.
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
    """The run's settings, with what was decided when it started."""
    config, run = result.run.config, result.run
    training = config.training.replace(epochs=max(run.progress.epochs, result.epoch))
    for event in run.events():
        if event["kind"] == "device":
            training = training.replace(precision=event["precision"])
    return config.replace(training=training).model_dump(mode="json")


def _taught(result: Result) -> str | None:
    """The digest of the taught weights that the run began with, where it did and says so."""
    found = (event.get("taught") for event in result.run.events() if event["kind"] == "device")
    digest: str | None = next(found, None)
    return digest


def _continued(result: Result) -> bool:
    """Whether the run was at first to have another number of epochs."""
    started = [event for event in result.run.events() if event["kind"] == "started"]
    return len({event.get("epochs") for event in started}) > 1


def _script(about: str, parts: list[tuple[str, str]]) -> str:
    """All imports first, as a script has them."""
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
    """A Jupyter notebook, format 4.5 (https://nbformat.readthedocs.io)."""
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
