"""How well the automatic mask agrees with what people drew.

    python tests/bench/masks.py [FOLDER]

prints a table over every image below FOLDER (by default ../shared/data beside the checkout) that
holds truth: intersection over union of the automatic mask, and precision and recall of its pixels,
beside what simple thresholds of the cell channel reach. Defaults only; the nuclei that the pipeline
finds are given to the mask, as the pipeline does. Pixels to be ignored are left out.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.filters import threshold_li, threshold_otsu

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from cellcutter_core.config import MarkerSettings  # noqa: E402
from cellcutter_core.markers.finding import find_nuclei  # noqa: E402
from cellcutter_core.mask.automatic_mask import automatic_mask  # noqa: E402
from cellcutter_core.mask.graph_cut import graph_cut  # noqa: E402

Image = NDArray[Any]
Mask = NDArray[np.bool_]


def li_of_logarithm(image: Image) -> Mask:
    logarithm = np.log(image.astype(float) + 1)
    return np.asarray(logarithm > threshold_li(logarithm))


RIVALS: dict[str, Callable[[Image], Mask]] = {
    "Otsu": lambda image: image > threshold_otsu(image),
    "Li": lambda image: image > threshold_li(image),
    "Li of log": li_of_logarithm,
    "prior 0.985": lambda image: graph_cut(image, prior=0.985, max_weight=10, sigma=0.03),
}


def agreement(mask: Mask, truth: Mask, ignore: Mask) -> tuple[float, float, float]:
    """Intersection over union, precision and recall."""
    both = float((mask & truth & ~ignore).sum())
    found, wanted = (float((m & ~ignore).sum()) for m in (mask, truth))
    return both / (found + wanted - both), both / max(found, 1), both / max(wanted, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT.parent / "shared" / "data")
    files = sorted(parser.parse_args().folder.rglob("*.npz"))
    heads = ["truth", "mask", "IoU", "precision", "recall", "without nuclei", *RIVALS, "s"]
    print(f"| image | what | {' | '.join(heads)} |")
    print(f"|{' --- |' * (len(heads) + 2)}")
    scores = []
    for file in files:
        with np.load(file, allow_pickle=False) as data:
            labels = next((data[key] for key in ("cells", "nuclei") if key in data), None)
            if labels is None:
                continue
            image, truth = data["image"], labels > 0
            ignore = data["ignore"] if "ignore" in data else np.zeros(truth.shape, bool)
        cell = image[..., 0]
        # Phase contrast has no nuclei to see; elsewhere the last channel is that of the nuclei.
        alone, foreground = automatic_mask(cell)
        nuclei = None
        if foreground.kinds != ("texture",):
            nuclei = find_nuclei(image[..., -1], MarkerSettings()).regions > 0
        start = time.perf_counter()
        # Nuclei alone: the mask is what they cover, as in `pipeline.find_mask`.
        covered = nuclei is not None and image.shape[-1] == 1
        mask = nuclei if covered else automatic_mask(cell, nuclei=nuclei)[0]
        seconds = time.perf_counter() - start
        ours = agreement(mask, truth, ignore)
        others = [
            agreement(m, truth, ignore)[0] for m in (alone, *(f(cell) for f in RIVALS.values()))
        ]
        scores.append([*ours, *others])
        shares = truth[~ignore].mean(), mask[~ignore].mean()
        figures = " | ".join(f"{x:.3f}" for x in (*shares, *ours, *others))
        name = f"{file.parent.name}/{file.stem}"
        print(f"| {name} | {foreground.kinds[0]} | {figures} | {seconds:.2f} |", flush=True)
    if not scores:
        raise SystemExit("no image with truth there; give the folder of images as argument")
    figures = " | ".join(f"{x:.3f}" for x in np.mean(scores, axis=0))
    print(f"| mean of {len(scores)} | | | | {figures} | |")


if __name__ == "__main__":
    main()
