"""How well cells are found, and how soon: scores over time against what people drew.

    python tests/bench/quality.py [IMAGE ...] [--presets quick paper] [--seeds 0] [--seconds 300]
                                  [--out FOLDER]

Defaults only, each image whole, mask and markers automatic. IMAGE is a file with truth, or a
folder of such; by default the nine of ../shared/data/bbbc018_ht29 beside the checkout. The truth
scores and does nothing else; pixels to be ignored are left out.

Each training is a process of its own. Its clock starts with the process and stands still while
scores are computed, so it holds everything that a user waits for. Results go to FOLDER/scores.jsonl
line by line and are not computed again; table and plot are made of all that is in there.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "browser")]

# As `pipeline.baselines` names them.
BASELINES = ("paths", "watershed")
# Marks on the clock, in seconds, at which the presets are set side by side.
MARKS = (30, 60, 120, 300)
# `paper` has no scores within an epoch, and one takes minutes: so many steps are one here. Its
# learning rate is constant, so nothing else changes.
PAPER_STEPS = 2


def main() -> None:
    """Train what was not trained yet; print the tables, write the plot."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", nargs="*", type=Path)
    parser.add_argument("--presets", nargs="+", default=["quick"], choices=["quick", "paper"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
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
    folder = ROOT.parent / "shared" / "data" / "bbbc018_ht29"
    for image in _files(chosen.images or [folder]):
        for preset in chosen.presets:
            for seed in chosen.seeds:
                _train_once(store, image, preset, seed, chosen.seconds)
    lines = _read(store)
    print(_table(lines))
    _plot(lines, chosen.out)


def _files(given: Sequence[Path]) -> list[Path]:
    found = [file for path in given for file in (sorted(path.rglob("*.npz")) or [path])]
    if missing := [file for file in found if not file.is_file()]:
        raise SystemExit(f"there is no image {missing[0]}; name files with truth")
    return found


def _read(store: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in store.read_text().splitlines()] if store.exists() else []


def _train_once(store: Path, image: Path, preset: str, seed: int, seconds: float) -> None:
    """In a process of its own, unless its end is on record."""
    what = {"image": image.stem, "preset": preset, "seed": seed}
    if any(line["kind"] == "end" and what.items() <= line.items() for line in _read(store)):
        return
    command = [sys.executable, __file__, str(image), "--presets", preset, "--seeds", str(seed)]
    command += ["--seconds", str(seconds), "--started", str(time.time())]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    with store.open("a") as out:
        out.write(done.stdout)
    last = json.loads(done.stdout.splitlines()[-1])
    print(image.stem, preset, seed, _pair(last), f"{last['seconds']:.0f} s", file=sys.stderr)


def _trained(chosen: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Scores of the baselines, and of every epoch of one training."""
    from cellcutter_core.backend import backend, fastest_precision
    from cellcutter_core.config import PRESETS
    from cellcutter_core.images import read_image
    from cellcutter_core.metrics import score
    from cellcutter_core.pipeline import baselines, make_dataset, prepare, train_and_draw
    from cellcutter_core.training import Training
    from cellcutter_core.unet import UNet

    (file,), (preset,), (seed,) = chosen.images, chosen.presets, chosen.seeds
    config = PRESETS[preset]
    training = config.training.replace(seed=seed)
    if preset == "paper":
        n = training.epochs * training.steps // PAPER_STEPS
        training = training.replace(steps=PAPER_STEPS, epochs=n)
    config = config.replace(training=training)
    what = {"image": file.stem, "preset": preset, "seed": seed}
    scoring = 0.0

    def scored(kind: str, labels: Any, **more: Any) -> dict[str, Any]:
        nonlocal scoring
        start = time.time()
        assert truth is not None
        found = score(labels, truth.labels, ignore=truth.ignore)
        seconds = start - chosen.started - scoring
        scoring += time.time() - start
        scores = {"ap50": found.ap50, "ap75": found.ap75, "best_iou": found.mean_best_iou}
        return {**what, "kind": kind, "seconds": seconds, **scores, **more}

    inputs, truth = prepare(read_image(file), config)
    if truth is None or truth.labels is None:
        raise SystemExit(f"{file} has no truth to score against")
    for kind, labels in baselines(inputs).items():
        yield scored(kind, labels, cells=len(set(truth.labels.flat) - {0}))
    data = make_dataset(inputs, config)
    precision = training.precision
    if precision == "auto":
        precision = fastest_precision(
            backend(), channels=config.network.channels, crop_size=config.crops.size
        )
    work = Training(data, UNet(config.network, precision=precision), training)
    last: dict[str, Any] = {}
    for event in train_and_draw(work, data, inputs, config):
        if isinstance(event, tuple):
            last = scored("epoch", event[1].labels, epoch=event[0].epoch)
            yield last
            if last["seconds"] > chosen.seconds:
                break
    yield {**last, "kind": "end"}


def _pair(line: dict[str, Any] | None) -> str:
    return "" if line is None else f"{line['ap50']:.3f} / {line['ap75']:.3f}"


def _table(lines: list[dict[str, Any]]) -> str:
    """A row for each image: the watershed, each preset at its end, and at the marks."""
    presets = sorted({line["preset"] for line in lines}, reverse=True)
    heads = ["image", "cells", *BASELINES]
    for preset in presets:
        heads += [f"`{preset}`", "s", "last / best", *(f"{mark} s" for mark in MARKS)]
    images = list(dict.fromkeys(line["image"] for line in lines))
    rows = [_row(lines, image, presets) for image in images]
    rows.append(_mean_row(lines, images, presets))
    text = ["AP50 / AP75; at the marks AP50 alone.", ""]
    text += [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    text += [f"| {' | '.join(row)} |" for row in rows]
    ends = [line for line in lines if line["kind"] == "end" and line["preset"] == "quick"]
    firsts = [line["seconds"] for line in lines if line.get("epoch") == 1 and line in _quick(lines)]
    if ends:
        better = {}
        for kind in BASELINES:
            base = _baseline(lines, kind)
            better[kind] = sum(line["ap50"] >= base[line["image"]]["ap50"] for line in ends)
        lasting = min(_lasting(lines, end) for end in ends)
        text += [
            "",
            f"`quick`: at least the watershed's AP50 in {better['watershed']} of {len(ends)} "
            f"trainings, at least that of the paths in {better['paths']}; first epoch after "
            f"{statistics.median(firsts):.0f} s (median), all after "
            f"{statistics.median(end['seconds'] for end in ends):.0f} s; the last epoch has at "
            f"least {lasting:.2f} of the best one's AP50.",
        ]
    return "\n".join(text)


def _baseline(lines: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    """For each image its scores of a baseline. They are the same in every training."""
    return {line["image"]: line for line in lines if line["kind"] == kind}


def _quick(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if line["preset"] == "quick" and line["kind"] == "epoch"]


def _of(lines: list[dict[str, Any]], image: str, preset: str, kind: str) -> list[dict[str, Any]]:
    return [
        line
        for line in lines
        if line["image"] == image and line["preset"] == preset and line["kind"] == kind
    ]


def _lasting(lines: list[dict[str, Any]], end: dict[str, Any]) -> float:
    """The last epoch's AP50 as a share of the best epoch's."""
    epochs = _of(lines, end["image"], end["preset"], "epoch")
    best = max(line["ap50"] for line in epochs if line["seed"] == end["seed"])
    return float(end["ap50"] / best) if best else 1.0


def _at(lines: list[dict[str, Any]], image: str, preset: str, mark: float) -> float:
    """Mean AP50 over the seeds of what there was at this time; nothing is 0."""
    found: dict[int, float] = {end["seed"]: 0.0 for end in _of(lines, image, preset, "end")}
    for line in _of(lines, image, preset, "epoch"):
        if line["seconds"] <= mark:
            found[line["seed"]] = line["ap50"]
    return statistics.fmean(found.values())


def _row(lines: list[dict[str, Any]], image: str, presets: Sequence[str]) -> list[str]:
    bases = [_baseline(lines, kind)[image] for kind in BASELINES]
    row = [image, str(bases[0]["cells"]), *map(_pair, bases)]
    for preset in presets:
        ends = _of(lines, image, preset, "end")
        if not ends:
            row += [""] * (3 + len(MARKS))
            continue
        lasting = min(_lasting(lines, end) for end in ends)
        row += [_pair(_mean(ends)), f"{_mean(ends)['seconds']:.0f}", f"{lasting:.2f}"]
        row += [f"{_at(lines, image, preset, mark):.3f}" for mark in MARKS]
    return row


def _mean(lines: Sequence[dict[str, Any]]) -> dict[str, float]:
    names = ("ap50", "ap75", "seconds")
    return {name: statistics.fmean(line[name] for line in lines) for name in names}


def _mean_row(
    lines: list[dict[str, Any]], images: Sequence[str], presets: Sequence[str]
) -> list[str]:
    row = ["mean", ""]
    row += [_pair(_mean(list(_baseline(lines, kind).values()))) for kind in BASELINES]
    for preset in presets:
        done = [image for image in images if _of(lines, image, preset, "end")]
        ends = [_mean(_of(lines, image, preset, "end")) for image in done]
        row += [_pair(_mean(ends)), f"{_mean(ends)['seconds']:.0f}", ""]
        for mark in MARKS:
            row.append(f"{statistics.fmean(_at(lines, i, preset, mark) for i in done):.3f}")
    return row


def _plot(lines: list[dict[str, Any]], folder: Path) -> None:
    """AP50 against seconds, an image in grey, their mean in colour; PNG where there is Chromium."""
    import plotly.graph_objects as go

    colors = {"quick": "#0b6bcb", "paper": "#d55e00"}
    figure = go.Figure()
    # As far as the slow preset was trained on every image.
    ends = [line for line in lines if line["kind"] == "end" and line["preset"] == "paper"]
    times = range(2, int(min([MARKS[-1], *(end["seconds"] for end in ends)])), 2)
    for preset, color in colors.items():
        images = {line["image"] for line in lines if line["preset"] == preset}
        curves = [[_at(lines, image, preset, t) for t in times] for image in sorted(images)]
        for curve in curves:
            figure.add_scatter(x=[*times], y=curve, line={"color": color, "width": 1}, opacity=0.25)
        if curves:
            mean = [statistics.fmean(values) for values in zip(*curves, strict=True)]
            figure.add_scatter(x=[*times], y=mean, name=preset, line={"color": color, "width": 4})
    figure.for_each_trace(lambda trace: trace.update(showlegend=trace.name is not None))
    for kind in BASELINES:
        level = statistics.fmean(line["ap50"] for line in _baseline(lines, kind).values())
        figure.add_hline(level, line_dash="dash", annotation_text=kind)
    figure.update_xaxes(title="seconds since the start, everything included", rangemode="tozero")
    figure.update_yaxes(title="AP50", range=[0, 1])
    figure.update_layout(template="plotly_white", width=900, height=480, font={"size": 15})
    figure.update_layout(margin={"t": 20, "r": 20, "b": 60, "l": 70}, legend={"x": 0.7, "y": 0.3})
    page = folder / "quality.html"
    figure.write_html(page, include_plotlyjs=True)
    from serving import CHROMIUM_ARGS, chromium

    if chromium() is None:
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_ARGS)
        view = browser.new_page(viewport={"width": 900, "height": 480})
        view.goto(page.resolve().as_uri())
        view.locator(".plotly-graph-div").screenshot(path=folder / "quality.png")
        browser.close()


if __name__ == "__main__":
    main()
