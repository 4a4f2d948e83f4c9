"""Scripts with `cellcutter_core` that do what a page does, with the current choices.

Each function returns a whole script. It runs where the package is installed, in a folder with the
uploaded file and, if markers were edited, with the `markers.tif` that the page offers. It prints
what it found. It names no folder of the server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cellcutter_core.choices.choices import Choices
from cellcutter_core.choices.sources import as_seen
from cellcutter_core.config import PAPER, PRESETS, Config
from cellcutter_core.images.file_sets.given_files import ImageFiles
from cellcutter_core.images.image import Image
from cellcutter_core.images.reading.parts import Region
from cellcutter_core.images.regions import full_region
from cellcutter_core.markers.finding import is_covered

MARKERS_FILE = "markers.tif"
INSTALL = "# Once, in the folder of the program: pip install ."


def data_code(choices: Choices, image: Image, region: Region) -> str:
    """Return the script that reads the image and cuts out the region to work on.

    `image` is the whole image, or the reduced one if the image is too large to be read.
    """
    reduced = image.full_shape is not None
    source = choices.source
    imports, lines = [], []
    if source.kind == "sample":
        imports.append("from cellcutter_core import sample")
        lines.append(f"image = sample(seed={source.seed})")
    elif source.kind == "paper":
        imports.append("from cellcutter_core import read_image")
        imports.append("from cellcutter_core.images.paper_data import fetch_paper")
        lines.append(f'image = read_image(fetch_paper("{source.name}"))')
    else:
        several = source.file_names
        imports.append(
            "from cellcutter_core.images.file_sets.channel_files import read_channel_files"
            if source.more
            else "from cellcutter_core import read_image"
        )
        of_a_part = {**as_seen(source, image), "region": tuple(region)} if reduced else {}
        chosen = _given(of_a_part or source.reading)
        lines.append(
            f"image = read_channel_files({several!r}{chosen})"
            if source.more
            else f"image = read_image({source.name!r}{chosen})"
        )
    if source.truth is not None:
        imports.append("from cellcutter_core.images.read_image import read_truth")
        lines.append(f"image = image.with_truth(read_truth({source.truth.name!r}, image))")
    if reduced or choices.cell is not None or choices.nucleus is not None:
        cell = [image.channels[index] for index in image.cell]
        nucleus = "none" if image.nucleus is None else image.channels[image.nucleus]
        lines.append(f"image = image.with_roles(cell={cell!r}, nucleus={nucleus!r})")
    if not reduced and region != full_region(image.shape):
        imports.append("from cellcutter_core.images.regions import cut_out")
        lines.append(f"image = cut_out(image, {tuple(region)})")
    lines.append('print(image.name, image.shape, *image.channels, sep=", ")')
    return _script(imports, lines)


def cells_code(data: str, choices: Choices, image: Image, *, edited: bool) -> str:
    """Return the script that finds the markers; `data` is the script that reads the image."""
    settings = _arguments(choices.config.markers, type(choices.config.markers)())
    if edited:
        return _more(
            data,
            [
                "from cellcutter_core.markers.finding import Nuclei, marker_points",
                "from cellcutter_core.markers.given_markers import read_markers",
            ],
            [
                f'regions = read_markers("{MARKERS_FILE}", image)',
                "nuclei = Nuclei(regions, marker_points(regions))",
                _COUNT_MARKERS,
            ],
        )
    imports = ["from cellcutter_core.config import MarkerSettings"] if settings else []
    given = f", MarkerSettings({settings})" if settings else ""
    if image.nucleus is not None:
        imports.append("from cellcutter_core.markers.finding import find_nuclei")
        channel = image.channels[image.nucleus]
        lines = [f"nuclei = find_nuclei(image.channel({channel!r}){given})", _COUNT_MARKERS]
        return _more(data, imports, lines)
    imports += [
        "from cellcutter_core.mask.mask_of_settings import mask_channels",
        "from cellcutter_core.config import MaskSettings",
        "from cellcutter_core.markers.finding import find_cells",
    ]
    mask = _arguments(choices.config.mask, type(choices.config.mask)())
    return _more(
        data,
        imports,
        [
            f"cell = image.pixels[..., {list(image.cell)}]",
            f"mask = mask_channels(cell, MaskSettings({mask}))",
            f"nuclei = find_cells(cell{given}, mask=mask)",
            _COUNT_MARKERS,
        ],
    )


def mask_code(cells: str, choices: Choices, image: Image, *, edited: bool) -> str:
    """Return the script that finds the mask.

    `cells` is the script that finds the markers, which the automatic mask needs.
    """
    settings = choices.config.mask
    if is_covered(image, choices.config):
        if not edited:
            return _more(cells, [], ["mask = nuclei.regions > 0", _SHARE])
        name, made = config_code(choices.config)
        return _more(
            cells,
            [
                f"from cellcutter_core import {name}",
                "from cellcutter_core.pipeline import find_mask",
            ],
            [*made, "mask = find_mask(image, config, nuclei, given=True)", _SHARE],
        )
    if settings.automatic:
        cell = f"image.pixels[..., {list(image.cell)}]"
        return _more(
            cells,
            ["from cellcutter_core import automatic_mask"],
            [f"mask, probability = automatic_mask({cell}, nuclei=nuclei.regions)", _SHARE],
        )
    if len(image.cell) == 1:
        scaling = "" if settings.scaling == "minmax" else f', scaling="{settings.scaling}"'
        channel = image.channels[image.cell[0]]
        return _more(
            cells,
            ["from cellcutter_core import graph_cut"],
            [
                f"mask = graph_cut(image.channel({channel!r}), prior={settings.prior!r}, "
                f"max_weight={settings.max_weight!r}, sigma={settings.sigma!r}{scaling})",
                _SHARE,
            ],
        )
    return _more(
        cells,
        [
            "from cellcutter_core.config import MaskSettings",
            "from cellcutter_core.mask.mask_of_settings import mask_channels",
        ],
        [
            f"settings = MaskSettings({_arguments(settings, type(settings)())})",
            f"mask = mask_channels(image.pixels[..., {list(image.cell)}], settings)",
            _SHARE,
        ],
    )


def train_code(data: str, choices: Choices, *, edited: bool) -> str:
    """Return the script that runs all steps; `data` is the script that reads the image."""
    name, made = config_code(choices.config)
    markers = f', markers="{MARKERS_FILE}"' if edited else ""
    if choices.others:
        imports = [
            f"from cellcutter_core import {name}, segment_together",
            "from cellcutter_core.runs.other_images import read_other",
            *_TO_SAVE,
        ]
        if choices.source.more:
            imports += [
                "from pathlib import Path",
                "from cellcutter_core.images.file_sets.channel_names import ChannelNames",
            ]
        together = f"segment_together([image, *others], config{markers})"
        lines = [*_others_code(choices), f"drawing, *of_others = {together}", *_SAVE]
        return _more(data, imports, [*made, *lines])
    imports = [f"from cellcutter_core import {name}, segment", *_TO_SAVE]
    return _more(data, imports, [*made, f"drawing = segment(image, config{markers})", *_SAVE])


def _others_code(choices: Choices) -> list[str]:
    """Return the lines that read the other images to train on."""
    own = choices.source.file_names
    lines = [f"channels = ChannelNames.of({own!r})"] if len(own) > 1 else []
    channels = ", channels=channels" if lines else ""
    reads = []
    for other in choices.others:
        files = ", ".join(f"Path({file!r})" for file in other.file_names)
        where = f"[{files}]" if other.more else repr(other.name)
        options = channels + _given(choices.reading_of(other))
        reads.append(f"    read_other({where}, image.roles{options}),")
    return [*lines, "others = [", *reads, "]"]


def compare_code(path: str, epochs: tuple[int, ...]) -> str:
    """Return the script that scores epochs of a run."""
    return _script(
        ["from cellcutter_core import score", _FIND],
        [
            *_found(path),
            f"labels = [run.epoch(number).labels for number in {tuple(epochs)}]",
            "if run.truth is not None:",
            "    truth, ignore = run.truth.labels, run.truth.ignore",
            "    scores = [score(image, truth, ignore=ignore).as_dict() for image in labels]",
            f"    for number, found in zip({tuple(epochs)}, scores):",
            "        print(f\"epoch {number}: AP at IoU 0.5 {found['ap50']:.3f}\")",
            "else:",
            '    print(*(f"{len(set(image.flat) - {0})} cells" for image in labels), sep="\\n")',
        ],
    )


def results_code(path: str, epoch: int) -> str:
    """Return the script that exports the cells of an epoch in two formats, with their table."""
    return _script(
        ["from cellcutter_core.export import Result, export", _FIND],
        [
            *_found(path),
            f"table = Result(run, {epoch}).table",
            f'export(run, "labels", "labels.tif", epoch={epoch})',
            f'export(run, "table", "cells.csv", epoch={epoch})',
            """print(len(table["id"]), "cells, in labels.tif and cells.csv")""",
        ],
    )


def apply_code(
    path: str,
    files: Mapping[str, ImageFiles],
    *,
    scenes: Mapping[str, int],
    formats: Sequence[str],
    how: Mapping[str, Any],
) -> str:
    """Return the script that applies the network of a run to other images.

    The arguments are those of `apply_to_files`. Files are shown by name, without their folder.
    """
    listed = []
    for name, place in files.items():
        several = [f"Path({file.name!r})" for file in place] if isinstance(place, tuple) else []
        shown = f"({', '.join(several)})" if several else f"Path({place.name!r})"
        listed.append(f"    {name!r}: {shown},")
    given = {"scenes": dict(scenes)} if scenes else {}
    options = _given({**given, "formats": list(formats), **how})
    return _script(
        [
            "from pathlib import Path",
            _FIND,
            "from cellcutter_core.apply.applying import Trained",
            "from cellcutter_core.apply.applying_to_files import apply_to_files",
        ],
        [
            *_found(path),
            "trained = Trained(run)",
            "files = {",
            *listed,
            "}",
            f'outcomes = list(apply_to_files(trained, files, Path("applied"){options}))',
            "for outcome in outcomes:",
            '    print(outcome.image, outcome.error or f"{outcome.cells} cells", sep=": ")',
        ],
    )


def config_code(config: Config) -> tuple[str, list[str]]:
    """Return the name of the preset that settings are based on, and the lines that make them."""
    preset = config.preset if config.preset in PRESETS else "quick"
    base, name = PRESETS[preset], preset.upper()
    groups = []
    for group in (g for g in Config.model_fields if g not in ("version", "preset")):
        ours, usual = getattr(config, group), getattr(base, group)
        if differ := _arguments(ours, usual):
            groups.append(f"    {group}={name}.{group}.replace({differ}),")
    if not groups:
        return name, [f"config = {name}"]
    return name, [f"config = {name}.replace(", *groups, ")"]


_COUNT_MARKERS = 'print(len(nuclei.points), "markers")'
_SHARE = """print(f"{mask.mean():.1%} of the region is cell")"""
_TO_SAVE = ["import numpy as np", "import tifffile"]
_SAVE = [
    'tifffile.imwrite("labels.tif", drawing.labels)',
    """print((np.unique(drawing.labels) > 0).sum(), "cells, in labels.tif")""",
]
_FIND = "from cellcutter_core.runs.folder import find_run"


def _found(path: str) -> list[str]:
    """Return the lines that open a run by its id, wherever its folder is."""
    return [
        "# The run is in your folder of runs, or in the folder that CELLCUTTER_RUNS names.",
        f"run = find_run({Path(path).name!r})",
    ]


def _arguments(settings: Any, usual: Any = PAPER) -> str:
    """Return the values that differ from the usual ones, as keyword arguments."""
    values = settings.model_dump()
    usual = usual.model_dump()
    return ", ".join(f"{name}={values[name]!r}" for name in values if values[name] != usual[name])


def _given(values: Mapping[str, Any]) -> str:
    """Return values as keyword arguments that follow other arguments."""
    return "".join(f", {name}={value!r}" for name, value in values.items())


def _script(imports: list[str], lines: list[str]) -> str:
    return "\n".join([INSTALL, *sorted(set(imports)), "", *lines])


def _more(script: str, imports: list[str], lines: list[str]) -> str:
    """Append to a script; all imports stay together at its top."""
    had, _, body = script.partition("\n\n")
    return _script([*had.splitlines()[1:], *imports], [*body.splitlines(), *lines])
