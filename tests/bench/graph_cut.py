"""Time of the graph cut beside the published one.

    python tests/bench/graph_cut.py [FOLDER]

prints seconds of both and their ratio, in turns on the same image in one process, the least of
three. Images: one of ../shared/data (or FOLDER), mirrored to the size wanted, the built-in sample,
and pure noise. "Published" is the authors' graph, which joins neighbours in one direction only;
"same energy" is that graph with both directions, the energy that ours minimises. All masks of the
last two have to be equal.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import published
from numpy.typing import NDArray
from skimage.filters import threshold_li

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from cellcutter_core.mask.automatic_mask import find_foreground  # noqa: E402
from cellcutter_core.mask.graph_cut import graph_cut  # noqa: E402
from cellcutter_core.simulation.sample import sample  # noqa: E402

Image = NDArray[np.float64]
Mask = NDArray[np.bool_]
Parameters = dict[str, float]


def mirrored(image: Image, side: int) -> Image:
    """The image beside its mirror images, cut to a square."""
    rows, cols = (-(-side // n) for n in image.shape)
    return np.pad(
        image,
        [(0, (rows - 1) * image.shape[0]), (0, (cols - 1) * image.shape[1])],
        mode="symmetric",
    )[:side, :side]


def cases(folder: Path, side: int) -> list[tuple[str, Image, Parameters]]:
    notebook = {"prior": 0.985, "max_weight": 10.0, "sigma": 0.03}
    defaults = {"prior": 0.5, "max_weight": 5.0, "sigma": 0.1}
    cells = sample((side, side)).pixels[..., 0].astype(float)
    found = find_foreground(cells)
    automatic = found.settings.model_dump(include={"prior", "max_weight", "sigma"})
    noise = np.random.default_rng(0).random((side, side))
    result = [
        ("sample, notebook's parameters", cells, notebook),
        ("sample, defaults", cells, defaults),
        ("sample, automatic", found.image, automatic),
        ("noise, notebook's parameters", noise, notebook),
        ("noise, defaults", noise, defaults),
    ]
    for name in ("bbbc018_ht29/00733", "bbbc039_u2os/IXMtest_B21_s3_"):
        file = folder / f"{name}.npz"
        if file.is_file():
            with np.load(file, allow_pickle=False) as data:
                image = mirrored(data["image"][..., 0].astype(float), side)
            level = (threshold_li(image) - image.min()) / np.ptp(image)
            suited = {**notebook, "prior": float(1 - level)}
            result.append((f"{name}, prior that suits it", image, suited))
    return result


def seconds(work: Callable[[], Mask]) -> tuple[float, Mask]:
    start = time.perf_counter()
    mask = work()
    return time.perf_counter() - start, mask


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--sides", type=int, nargs="+", default=[512, 1750])
    arguments = parser.parse_args()
    heads = "image", "side", "cell", "published, s", "same energy, s", "ours, s", "of published"
    print(f"| {' | '.join(heads)} | of same energy |")
    print(f"|{' --- |' * (len(heads) + 1)}")
    for side in arguments.sides:
        for name, image, parameters in cases(arguments.folder, side):
            ways: list[Callable[[], Mask]] = [
                lambda i=image, p=parameters: published.graph_cut(i, **p),
                lambda i=image, p=parameters: published.graph_cut(i, **p, both_ways=True),
                lambda i=image, p=parameters: graph_cut(i, **p),
            ]
            rounds: list[list[tuple[float, Mask]]] = [
                [seconds(way) for way in ways] for _ in range(3)
            ]
            times: Any = np.min([[s for s, _ in r] for r in rounds], axis=0)
            _, same, ours = (mask for _, mask in rounds[0])
            if not np.array_equal(same, ours):
                raise SystemExit(f"{name}: {(same != ours).sum()} pixels differ")
            ratios = f"{times[2] / times[0]:.2f} | {times[2] / times[1]:.2f}"
            figures = " | ".join(f"{t:.2f}" for t in times)
            print(f"| {name} | {side} | {ours.mean():.3f} | {figures} | {ratios} |", flush=True)


if __name__ == "__main__":
    main()
