"""How many of the true nuclei the markers find: one table over all images with truth.

    python tests/bench/markers.py [FOLDER] [--changed]

A marker is right if it lies inside a true nucleus (a true cell where the truth has no nuclei) that
no other marker has claimed. `--changed` does the same on the images reduced, enlarged, blurred,
made noisy, and lit three times as brightly at one side.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.transform import resize

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from cellcutter_core.config import MarkerSettings  # noqa: E402
from cellcutter_core.evaluation.metrics import score  # noqa: E402
from cellcutter_core.images.read_image import read_image  # noqa: E402
from cellcutter_core.markers.finding import Nuclei, find_cells, find_nuclei  # noqa: E402
from cellcutter_core.simulation.sample import sample  # noqa: E402

# What the paper's notebook calls blob_detection with.
NOTEBOOK = MarkerSettings(automatic=False, min_sigma=5, max_sigma=10, threshold=0.1)
Plane = NDArray[Any]


@dataclass(frozen=True)
class Case:
    """A channel and what is true in it."""

    name: str
    plane: Plane
    truth: Plane
    ignore: NDArray[np.bool_] | None
    kind: str


def cases(folder: Path) -> Iterator[Case]:
    """Every channel with truth: nuclei against nuclei, cell channels against whole cells."""
    for path in sorted(folder.glob("*/*.npz")):
        image = read_image(path)
        name = f"{path.parent.name}/{path.stem[:14]}"
        if image.truth_nuclei is not None and image.nucleus is not None:
            plane = image.pixels[..., image.nucleus]
            yield Case(name, plane, image.truth_nuclei, image.ignore, "nuclei")
        has_cells = image.truth is not None and image.nucleus not in image.cell
        if has_cells and image.truth is not None:
            plane = image.pixels[..., image.cell[0]]
            yield Case(name, plane, image.truth, image.ignore, "cells")
    built_in = sample()
    assert built_in.truth is not None
    assert built_in.truth_nuclei is not None
    yield Case("sample", built_in.pixels[..., 2], built_in.truth_nuclei, None, "nuclei")
    yield Case("sample", built_in.pixels[..., 0], built_in.truth, None, "cells")


def changed(case: Case) -> Iterator[tuple[str, Case]]:
    """The same as another microscope might have shown it."""
    plane = case.plane.astype(np.float64)
    low, high = np.percentile(plane, [1, 99])
    noise = np.random.default_rng(0).normal(0, 0.08 * (high - low), plane.shape)
    light = np.linspace(1, 3, plane.shape[1])
    for name, other in (
        ("blurred by 2", ndimage.gaussian_filter(plane, 2)),
        ("noisy", plane + noise),
        ("lit from one side", (plane - low) * light),
    ):
        yield name, Case(case.name, other, case.truth, case.ignore, case.kind)
    for factor in (0.5, 2.0, 3.0):
        shape = tuple(round(n * factor) for n in plane.shape)
        other = resize(plane, shape, order=1, anti_aliasing=factor < 1, preserve_range=True)
        truth = resize(case.truth, shape, order=0, preserve_range=True, anti_aliasing=False)
        ignore = None if case.ignore is None else resize(case.ignore.astype(float), shape) > 0.5
        yield f"× {factor:g}", Case(case.name, other, truth, ignore, case.kind)


def judge(found: Nuclei | None, case: Case) -> dict[str, float]:
    """Precision and recall of the points; AP and mean best IoU of the regions."""
    regions = np.zeros_like(case.truth) if found is None else found.regions
    points = np.zeros((0, 2), int) if found is None else found.points
    truth = case.truth
    if case.ignore is not None:
        points = points[~case.ignore[tuple(points.T)]]
        mostly = np.bincount(truth[case.ignore], minlength=truth.max() + 1)
        truth = np.where((2 * mostly > np.bincount(truth.ravel()))[truth], 0, truth)
    n_true = len(np.unique(truth[truth > 0]))
    claimed = truth[tuple(points.T)]
    right = len(np.unique(claimed[claimed > 0]))
    precision, recall = right / max(len(points), 1), right / max(n_true, 1)
    scores = score(regions, case.truth, ignore=case.ignore)
    return {
        "true": n_true,
        "found": len(points),
        "precision": precision,
        "recall": recall,
        "F1": 2 * right / max(len(points) + n_true, 1),
        "AP50": scores.ap50,
        "AP75": scores.ap75,
        "IoU": scores.mean_best_iou,
    }


def look(case: Case, settings: MarkerSettings) -> tuple[dict[str, float], float]:
    finder: Callable[..., Nuclei] = find_nuclei if case.kind == "nuclei" else find_cells
    start = time.process_time()
    found: Nuclei | None
    try:
        found = finder(case.plane, settings)
    except ValueError:
        found = None
    seconds = time.process_time() - start
    return judge(found, case), seconds


def line(name: str, values: dict[str, float], seconds: float) -> str:
    shown = [f"{values[key]:5.0f}" for key in ("true", "found")]
    shown += [f"{values[key]:.3f}" for key in ("precision", "recall", "F1", "AP50", "AP75", "IoU")]
    return f"| {name:34s} | {' | '.join(shown)} | {seconds:4.1f} |"


def table(title: str, chosen: list[Case], settings: MarkerSettings) -> dict[str, float]:
    print(f"\n{title}\n")
    print(
        f"| {'image':34s} |  true | found | prec. | rec.  | F1    | AP50  | AP75  | IoU   | s    |"
    )
    print("|---" * 10 + "|")
    every, total = [], 0.0
    for case in chosen:
        values, seconds = look(case, settings)
        print(line(case.name, values, seconds), flush=True)
        every.append(values)
        total += seconds
    means = {key: float(np.mean([values[key] for values in every])) for key in every[0]}
    print(line("mean", means, total / len(every)))
    return means


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--changed", action="store_true", help="changed images too")
    options = parser.parse_args()
    every = list(cases(options.folder))
    nuclei = [case for case in every if case.kind == "nuclei"]
    cells = [case for case in every if case.kind == "cells"]
    table("Nuclei, automatic", nuclei, MarkerSettings())
    table("Nuclei, blobs as in the notebook (10, 5, 0.1)", nuclei, NOTEBOOK)
    table("Cells from the cell channel alone, automatic", cells, MarkerSettings())
    if not options.changed:
        return
    print("\nMeans over all images, automatic, changed\n")
    for kind, chosen in (("nuclei", nuclei), ("cells", cells)):
        results: dict[str, list[dict[str, float]]] = {}
        spent: dict[str, float] = {}
        for case in chosen:
            for name, other in changed(case):
                values, seconds = look(other, MarkerSettings())
                results.setdefault(name, []).append(values)
                spent[name] = spent.get(name, 0) + seconds / len(chosen)
        for name, rows in results.items():
            means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
            print(line(f"{kind}, {name}", means, spent[name]), flush=True)


if __name__ == "__main__":
    main()
