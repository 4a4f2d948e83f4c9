"""How well cells are found, and how soon: scores over time against what people drew.

    python tests/bench/quality.py [IMAGE ...] [--groups nine sample nuclei outlines phase]
                                  [--presets quick paper] [--seeds 0] [--epochs N]
                                  [--seconds 300] [--out FOLDER]

Defaults only, each image whole, mask and markers automatic. The truth scores and does nothing else;
pixels to be ignored are left out. The groups are

    nine      whole cells of ../shared/data/bbbc018_ht29 beside the checkout, actin and DNA
    sample    the built-in sample
    nuclei    ten images of nuclei alone: bbbc039_u2os, dsb2018, stardist_img2d
    outlines  the nine with membranes drawn from the truth in place of actin, and without DNA
    phase     phase contrast: usiigaci_t98g

and `nine` is the default. IMAGE is a file with truth, or a folder of such, and is taken in place of
a group's files; without --groups it belongs to the group of its folder, or to `other`.

Each training is a process of its own, one at a time. Its clock starts with the process and stands
still while scores are computed, so it holds everything that a user waits for. Results go to
FOLDER/scores.jsonl line by line and are not computed again; tables and plots are made of all that
is in there. --epochs changes the preset, to try this script; such results are kept apart.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

# This imports nothing heavy: the process that starts the others only reads and prints.
from quality_report import pair, report, write_plots

if TYPE_CHECKING:
    from cellcutter_core.images.image import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
DATA = ROOT.parent / "shared" / "data"

# The folders of each group's images.
GROUPS = {
    "nine": ("bbbc018_ht29",),
    "sample": (),
    "nuclei": ("bbbc039_u2os", "dsb2018", "stardist_img2d"),
    "outlines": ("bbbc018_ht29",),
    "phase": ("usiigaci_t98g",),
}
SAMPLE = Path("sample")
# `paper` has no scores within an epoch, and one takes minutes: so many steps are one here. Its
# learning rate is constant, so nothing else changes.
PAPER_STEPS = 2


def main() -> None:
    """Train what was not trained yet; print the tables, write the plots."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", nargs="*", type=Path)
    parser.add_argument("--groups", nargs="+", choices=[*GROUPS, "other"])
    parser.add_argument("--presets", nargs="+", default=["quick"], choices=["quick", "paper"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--epochs", type=int, help="in place of the preset's")
    parser.add_argument("--seconds", type=float, default=300.0, help="no training goes on longer")
    parser.add_argument("--out", type=Path, default=Path("quality"))
    parser.add_argument("--started", type=float, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.started:
        for line in _trained(chosen):
            print(json.dumps(line), flush=True)
        return
    chosen.out.mkdir(parents=True, exist_ok=True)
    store = chosen.out / "scores.jsonl"
    for group, image in _images(chosen.images, chosen.groups):
        for preset in chosen.presets:
            for seed in chosen.seeds:
                _train_once(store, image, chosen, group=group, preset=preset, seed=seed)
    lines = [line for line in _read(store) if line.get("epochs", 0) == chosen.epochs]
    print(report(lines))
    write_plots(lines, chosen.out)


def _images(given: Sequence[Path], groups: Sequence[str] | None) -> list[tuple[str, Path]]:
    """Each image with the group that it is trained in."""
    if given and groups is None:
        return [(_group_of(file), file) for file in _files(given)]
    found = []
    for group in groups or ["nine"]:
        if group == "sample":
            found.append((group, SAMPLE))
        else:
            files = _files(given or [DATA / folder for folder in GROUPS[group]])
            found += [(group, file) for file in files]
    return found


def _group_of(file: Path) -> str:
    folder = file.resolve().parent.name
    return next((group for group, folders in GROUPS.items() if folder in folders), "other")


def _files(given: Sequence[Path]) -> list[Path]:
    found = [file for path in given for file in (sorted(path.rglob("*.npz")) or [path])]
    if missing := [file for file in found if not file.is_file()]:
        raise SystemExit(f"there is no image {missing[0]}; name files with truth")
    return found


def _read(store: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in store.read_text().splitlines()] if store.exists() else []


def _train_once(
    store: Path, image: Path, chosen: argparse.Namespace, *, group: str, preset: str, seed: int
) -> None:
    """In a process of its own, unless its end is on record."""
    what = {"group": group, "image": image.stem, "preset": preset, "seed": seed}
    what["epochs"] = chosen.epochs
    if any(line["kind"] == "end" and what.items() <= line.items() for line in _read(store)):
        return
    command = [sys.executable, __file__, str(image), "--groups", group, "--presets", preset]
    command += ["--seeds", str(seed), "--seconds", str(chosen.seconds)]
    command += [] if chosen.epochs is None else ["--epochs", str(chosen.epochs)]
    command += ["--started", str(time.time())]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    with store.open("a") as out:
        out.write(done.stdout)
    last = json.loads(done.stdout.splitlines()[-1])
    print(*what.values(), pair(last), f"{last['seconds']:.0f} s", file=sys.stderr)


class _Clock:
    """Seconds since a moment, without those in which it was stopped."""

    def __init__(self, started: float) -> None:
        self._started = started

    @property
    def seconds(self) -> float:
        return time.time() - self._started

    @contextmanager
    def stopped(self) -> Iterator[None]:
        start = time.time()
        yield
        self._started += time.time() - start


def _trained(chosen: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Scores of the baselines, and of every epoch of one training from epoch 0."""
    from cellcutter_core.config import PRESETS
    from cellcutter_core.evaluation.metrics import score
    from cellcutter_core.network.backend import backend, fastest_precision
    from cellcutter_core.pipeline import prepare
    from cellcutter_core.training.datasets import make_dataset
    from cellcutter_core.training.inputs import baselines
    from cellcutter_core.training.loop import Training, starting_network, train_and_predict
    from cellcutter_core.training.marker_check import checked_markers

    clock = _Clock(chosen.started)
    (file,), (group,) = chosen.images, chosen.groups
    (preset,), (seed,) = chosen.presets, chosen.seeds
    config = PRESETS[preset]
    training = config.training.replace(seed=seed)
    if chosen.epochs is not None:
        training = training.replace(epochs=chosen.epochs)
    if preset == "paper":
        n = training.epochs * training.steps // PAPER_STEPS
        training = training.replace(steps=PAPER_STEPS, epochs=n)
    config = config.replace(training=training)
    what = {"group": group, "image": file.stem, "preset": preset, "seed": seed}
    what["epochs"] = chosen.epochs

    def scored(kind: str, labels: Any, **more: Any) -> dict[str, Any]:
        seconds = clock.seconds
        with clock.stopped():
            found = score(labels, truth.labels, ignore=truth.ignore)
        scores = {
            "ap50": found.ap50,
            "ap75": found.ap75,
            "best_iou": found.mean_best_iou,
            "matched": found.n_matched,
            "found": found.n_cells,
            "true": found.n_true,
        }
        return {**what, "kind": kind, "seconds": seconds, **scores, **more}

    inputs, truth = prepare(_image(file, group, clock), config)
    if truth is None or truth.labels is None:
        raise SystemExit(f"{file} has no truth to score against")
    for kind, labels in baselines(inputs).items():
        yield scored(kind, labels)
    inputs = checked_markers(inputs, config)
    data = make_dataset(inputs, config)
    precision = training.precision
    if precision == "auto":
        precision = fastest_precision(
            backend(), channels=config.network.channels, crop_size=config.crops.size
        )
    work = Training(data, starting_network(config, data, precision=precision), training)
    first = labels = None
    last: dict[str, Any] = {}
    for event in train_and_predict(work, data, inputs, config):
        if isinstance(event, tuple):
            epoch, labels = event[0], event[1].labels
            first = labels if first is None else first
            collapsed = getattr(epoch, "collapsed", False)  # epoch 0 cannot
            last = scored("epoch", labels, epoch=epoch.epoch, collapsed=collapsed)
            yield last
            if last["seconds"] > chosen.seconds:
                break
    from owners import count_changes

    changes = count_changes(first, labels, truth.labels, mask=inputs.mask, ignore=truth.ignore)
    done = last["epoch"] == training.epochs
    yield {**last, "kind": "end", "done": done, "pixels": changes}


def _image(file: Path, group: str, clock: _Clock) -> Image:
    from cellcutter_core.images.image import Image
    from cellcutter_core.images.read_image import read_image
    from cellcutter_core.simulation.sample import sample

    if group == "sample":
        return sample()
    if group != "outlines":
        return read_image(file)
    from outlines import draw_outlines

    with clock.stopped():  # nobody waits for what is drawn here
        true = read_image(file)
        if true.truth is None:
            raise SystemExit(f"{file} has no truth to draw outlines of")
        pixels = draw_outlines(true.truth)[..., None]
        return Image(
            pixels, ("membrane",), cell=(0,), truth=true.truth, ignore=true.ignore, name=file.name
        )


if __name__ == "__main__":
    main()
