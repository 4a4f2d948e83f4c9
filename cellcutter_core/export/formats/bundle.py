"""Everything about a result in one archive, with a README that explains the files."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cellcutter_core import __version__
from cellcutter_core.config import STARTS
from cellcutter_core.export.result import Result
from cellcutter_core.images.pixel_size import format_pixel_size

if TYPE_CHECKING:
    from cellcutter_core.export.registry import Format


def bundle(result: Result, formats: Sequence[Format[Result]]) -> dict[str, bytes]:
    """Return a README.md and the files of all these formats.

    A format that this result does not have, such as the network of an earlier epoch, is left out,
    and the README says why.

    Returns
    -------
    dict
        Path in the archive → content: the README, then the formats in their order.
    """
    files: dict[str, bytes] = {}
    table, missing = [], []
    for format in formats:
        try:
            made = format.make(result)
        except ValueError as error:
            missing.append(f"- {format.title}: {error}")
            continue
        made = {format.file: made} if isinstance(made, bytes) else made
        files |= made
        # Several files are listed as their folder.
        name = next(iter(made))
        place = f"{name.split('/')[0]}/" if "/" in name else name
        table.append(f"| `{place}` | {format.title}: {format.about} | {format.opens_with} |")
    readme = _readme(result, table, missing, with_recipe="recipe/recipe.py" in files)
    return {"README.md": readme.encode("utf-8"), **files}


_AGAIN = (
    "To reproduce these labels, install cellcutter and run `python recipe.py` in the folder "
    "`recipe`, or open the notebook there."
)


def _readme(result: Result, table: list[str], missing: list[str], *, with_recipe: bool) -> str:
    run, config = result.run, result.run.config
    said: dict[str, dict[str, Any]] = {event["kind"]: event for event in run.events()}
    device, started = said.get("device", {}), said.get("started", {})
    created = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(run.description.created))
    facts = {
        "image": f"{result.image_name}, {' × '.join(map(str, result.labels.shape))} pixels "
        "(rows × columns)",
        "pixel size": _pixel_size(result),
        "channels": ", ".join(result.all_channels[0]),
        "seen by the network": ", ".join(result.channels),
        "cells": len(result.table["id"]),
        "epoch": f"{result.epoch} of {run.progress.epochs}",
        "corrected by hand": _corrected(result),
        "run started": created,
        "trained again from": _before(result),
        "network began with": "" if _before(result) else STARTS[config.network.start].lower(),
        "also trained on": ", ".join(run.description.others),
        "preset": config.preset,
        "seed": config.training.seed,
        "device": ", ".join(str(device[key]) for key in ("device", "precision") if key in device),
    }
    not_versions = ("kind", "time", "pid", "host", "epochs")
    versions = {"cellcutter_core, which wrote this archive": __version__}
    versions |= {name: value for name, value in started.items() if name not in not_versions}
    if "name" in device:
        versions[device["name"]] = device.get("version", "")
    settings = {
        f"{group}.{name}": value
        for group, values in config.model_dump(mode="json").items()
        if isinstance(values, dict)
        for name, value in values.items()
    }
    blocks = [
        f"# Cells of {result.image_name}",
        "Found with cellcutter: self-supervised segmentation of single cells after Din & Yu, "
        "*Scientific Reports* 11, 23995 (2021), https://doi.org/10.1038/s41598-021-03299-4.",
        "\n".join(["| file | contents | opens with |", "| --- | --- | --- |", *table]),
        *(["Not included:", "\n".join(missing)] if missing else []),
        "Rows count from the top, columns from the left. A cell has the same number in every file: "
        "that of its marker. Some numbers may be missing. `row` and `col` are 0 at the centre of "
        "the first pixel; corners of ROIs and polygons are 0 at its upper left corner."
        + _cut_out(result),
        *([_AGAIN] if with_recipe else []),
        _listed("What was done", facts),
        _listed("Versions", versions),
        _listed("Settings", settings),
    ]
    return "\n\n".join(blocks) + "\n"


def _cut_out(result: Result) -> str:
    if result.origin == (0, 0) and result.whole_shape in (None, result.labels.shape):
        return ""
    row, col = result.origin
    return (
        f" The cells are those of a region that begins at row {row}, column {col} of the image. "
        "All files, including table and label image, use the coordinates of the whole image. Only "
        "pictures and film show just the region, and the recipe works on just the region."
    )


def _pixel_size(result: Result) -> str:
    size = result.pixel_size
    if size is None:
        return "not known; all lengths are in pixels"
    if isinstance(size, tuple):
        return f"{format_pixel_size(size)}; lengths and areas in µm take this into account"
    return format_pixel_size(size)


def _before(result: Result) -> str:
    before = result.run.description.before
    return f"run {before.run}, cells of epoch {before.epoch}" if before else ""


def _corrected(result: Result) -> str:
    if not result.corrections:
        return "nothing"
    done = ", ".join(f"{one.kind} {' '.join(map(str, one.cells))}" for one in result.corrections)
    return f"{done}; borders, film and recipe are of the cells before these corrections"


def _listed(title: str, values: Mapping[str, object]) -> str:
    lines = "\n".join(f"- {name}: {value}" for name, value in values.items() if value != "")
    return f"## {title}\n\n{lines}"
