"""What `quality` prints and draws of its records, and the bars that they are held against.

A record is a line of scores.jsonl: what was trained (`group`, `image`, `preset`, `seed`, `epochs`),
its `kind`, `seconds` on the clock, and scores: `ap50`, `ap75`, `matched` (true positives at an IoU
of 0.5), `found` and `true` cells. The kind is the name of a baseline, or "epoch" with `epoch` from
0 and whether it `collapsed`, or "end": the last epoch, whether all epochs were `done` by then, and
the `pixels` that have another owner than at epoch 0 (see `owners.count_changes`).
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

# As `training.inputs.baselines` names them.
BASELINES = ("watershed", "paths")
# What becomes of pixels that change owner, as `owners.count_changes` names it.
KINDS = ("turn right", "turn wrong", "stay right", "stay wrong", "no true cell")
STAGES = (*BASELINES, "epoch 0", "end")
# Marks on the clock, in seconds, at which the presets are set side by side.
MARKS = (30, 60, 120, 300)
# How many images the groups have that bars speak of.
SIZES = {"nine": 9, "sample": 1, "nuclei": 10, "outlines": 9}

Record = dict[str, Any]


@dataclass(frozen=True)
class Bar:
    """What must be reached, and what was.

    Attributes
    ----------
    what, measured, bar : str
        In words.
    reached : bool or None
        None where images are missing, or trainings were not those of the preset to their end.
    """

    what: str
    measured: str
    bar: str
    reached: bool | None


def report(lines: list[Record]) -> str:
    """Every table, as Markdown: those of each group, then the bars."""
    parts = []
    for group in dict.fromkeys(line["group"] for line in lines):
        here = [line for line in lines if line["group"] == group]
        parts.append(f"## {group}\n\nAP50 / AP75, means over the seeds.\n\n{scores_table(here)}")
        parts.append(trainings_table(here))
        parts.append(f"AP50 at the marks.\n\n{marks_table(here)}")
    rows = [
        [bar.what, bar.measured, bar.bar, {True: "yes", False: "no", None: "?"}[bar.reached]]
        for bar in bars(lines)
    ]
    parts.append(f"## Bars\n\n{_markdown(['`quick`', 'measured', 'bar', 'reached'], rows)}")
    return "\n\n".join(parts)


def scores_table(lines: list[Record]) -> str:
    """A row for each image of a group, from the watershed to the end of `quick`, and their mean."""
    stages = {stage: of_images(lines, stage) for stage in STAGES}
    images = stages["end"]
    rows = [
        [image, f"{end['true']:.0f}", *(pair(stages[stage][image]) for stage in STAGES)]
        for image, end in images.items()
    ]
    if images:
        rows.append(
            [f"mean of {len(images)}", "", *(pair(mean(stages[s].values())) for s in STAGES)]
        )
    return _markdown(["image", "true cells", *STAGES], rows)


def trainings_table(lines: list[Record]) -> str:
    """A row for each training of a group: cells gained, pixels changed, seconds, the best epoch.

    Changed pixels are a share of the mask, what becomes of them are shares of these.
    """
    heads = ["image", "seed", "preset", "TP − watershed", "TP − paths", "pixels changed", *KINDS]
    heads += ["first cells, s", "all, s", "epochs", "last / best epoch AP50", "collapsed"]
    rows = []
    for end in (line for line in lines if line["kind"] == "end"):
        pixels, epochs = end["pixels"], epochs_of(lines, end)
        base = {line["kind"]: line for line in same_training(lines, end)}
        rows.append(
            [
                end["image"],
                str(end["seed"]),
                end["preset"],
                *(f"{end['matched'] - base[kind]['matched']:+d}" for kind in BASELINES),
                f"{_share(pixels['changed'], pixels['mask']):.1%}",
                *(f"{_share(pixels[kind], pixels['changed']):.0%}" for kind in KINDS),
                f"{epochs[0]['seconds']:.1f}",
                f"{end['seconds']:.0f}",
                str(end["epoch"]),
                f"{lasting(lines, end):.3f}",
                "yes" if any(epoch["collapsed"] for epoch in epochs) else "",
            ]
        )
    return _markdown(heads, rows)


def marks_table(lines: list[Record]) -> str:
    """A row for each image of a group: each preset at its end and at the marks, and their mean."""
    presets = sorted({line["preset"] for line in lines}, reverse=True)
    images = list(dict.fromkeys(line["image"] for line in lines))
    heads, columns = ["image"], [[*images, "mean"]]
    for preset in presets:
        ends = of_images(lines, "end", preset=preset)
        heads += [f"`{preset}`", "s", *(f"{mark} s" for mark in MARKS)]
        rows = [ends.get(image) for image in images]
        rows.append(mean(ends.values()) if ends else None)
        columns.append([pair(row) for row in rows])
        columns.append([f"{row['seconds']:.0f}" if row else "" for row in rows])
        for mark in MARKS:
            at = {image: ap50_at(lines, image, preset, mark) for image in ends}
            shown = [f"{at[image]:.3f}" if image in at else "" for image in images]
            columns.append([*shown, f"{statistics.fmean(at.values()):.3f}" if at else ""])
    return _markdown(heads, [list(row) for row in zip(*columns, strict=True)])


def bars(lines: list[Record]) -> list[Bar]:
    """Each bar of `quick` that one of its trainings speaks of."""
    found = []
    quick = [line for line in lines if line["preset"] == "quick"]
    groups = {group: [line for line in quick if line["group"] == group] for group in SIZES}
    for group, here in groups.items():
        if not here:
            continue
        n, wanted = len(of_images(here, "end")), SIZES[group]
        missing = [] if n == wanted else [f"{n} of {wanted} images"]
        for bar in _as_far_as_known(_BARS_OF[group](here), here, missing):
            found.append(replace(bar, what=f"{group}: {bar.what}"))
    return found + (_as_far_as_known(_bars_of_all(quick), quick, []) if quick else [])


def _as_far_as_known(found: list[Bar], lines: list[Record], missing: list[str]) -> list[Bar]:
    """Bars of which nothing is said where something is missing; then with what it is."""
    ends = [line for line in lines if line["kind"] == "end"]
    if broken := sum(not end["done"] for end in ends):
        missing = [*missing, f"{broken} of {len(ends)} trainings broken off"]
    if any(end["epochs"] is not None for end in ends):
        missing = [*missing, "other epochs than the preset's"]
    if not missing:
        return found
    note = f" ({', '.join(missing)})"
    return [replace(bar, measured=bar.measured + note, reached=None) for bar in found]


def _bars_of_nine(lines: list[Record]) -> list[Bar]:
    rose = gains(lines, "epoch 0", "ap75")
    over_paths = gains(lines, "paths", "ap75")
    ap75, ap50 = mean_of(rose), mean_of(gains(lines, "epoch 0", "ap50"))
    n_rose, n_over = (sum(gain > 0 for gain in found.values()) for found in (rose, over_paths))
    n = len(rose)
    changed, right = changes(lines)
    ends = [line for line in lines if line["kind"] == "end"]
    first = [epochs_of(lines, end)[0]["seconds"] for end in ends]
    whole = [end["seconds"] for end in ends]
    return [
        _ap_bar(lines, 0.86, 0.54),
        Bar("AP75 gained since epoch 0", f"{ap75:+.3f}", "at least 0.05", ap75 >= 0.05),
        Bar("images with more AP75 than at epoch 0", f"{n_rose} of {n}", "8 of 9", n_rose >= 8),
        Bar("AP50 gained since epoch 0", f"{ap50:+.3f}", "at least 0", ap50 >= 0),
        *(_least_tp(lines, kind) for kind in ("paths", "watershed")),
        Bar("images with more AP75 than the paths", f"{n_over} of {n}", "7 of 9", n_over >= 7),
        Bar(
            "pixels of the mask that change owner, mean",
            f"{changed:.1%}",
            "at least 4 %",
            changed >= 0.04,
        ),
        Bar(
            "of those wrong before or after, turn right",
            f"{right:.0%}",
            "more than half",
            right > 0.5,
        ),
        _seconds("first cells", first, 8),
        _seconds("whole run", whole, 60),
    ]


def _bars_of_sample(lines: list[Record]) -> list[Bar]:
    ap75 = mean_of({i: row["ap75"] for i, row in of_images(lines, "end").items()})
    gain = mean_of(gains(lines, "epoch 0", "ap75"))
    return [
        Bar("AP75 at the end", f"{ap75:.3f}", "at least 0.70", ap75 >= 0.70),
        Bar("AP75 gained since epoch 0", f"{gain:+.3f}", "at least 0", gain >= 0),
    ]


_BARS_OF = {
    "nine": _bars_of_nine,
    "sample": _bars_of_sample,
    "nuclei": lambda lines: [_ap_bar(lines, 0.80, 0.60)],
    "outlines": lambda lines: [_ap_bar(lines, 0.732, 0.552)],
}


def _bars_of_all(lines: list[Record]) -> list[Bar]:
    ends = [line for line in lines if line["kind"] == "end"]
    collapsed = sum(any(e["collapsed"] for e in epochs_of(lines, end)) for end in ends)
    least = min(lasting(lines, end) for end in ends)
    return [
        Bar("all: collapsed trainings", f"{collapsed} of {len(ends)}", "none", collapsed == 0),
        Bar(
            "all: least AP50 of a last epoch, as a share of the best one's",
            f"{least:.3f}",
            "at least 0.98",
            least >= 0.98,
        ),
    ]


def _ap_bar(lines: list[Record], ap50: float, ap75: float) -> Bar:
    found = mean(of_images(lines, "end").values())
    reached = found["ap50"] >= ap50 and found["ap75"] >= ap75
    return Bar("AP50 / AP75 at the end", pair(found), f"{ap50:g} / {ap75:g}", reached)


def _least_tp(lines: list[Record], kind: str) -> Bar:
    found = gains(lines, kind, "matched")
    worst = min(found, key=lambda image: found[image])
    what = f"least true positives more than the {kind}"
    reached = found[worst] >= -1
    return Bar(what, f"{found[worst]:+.1f} ({worst})", "at least −1 on every image", reached)


def _seconds(what: str, seconds: Sequence[float], at_most: float) -> Bar:
    middle = statistics.median(seconds)
    shown = f"{middle:.1f} s (median; longest {max(seconds):.1f} s)"
    return Bar(what, shown, f"at most {at_most:g} s", middle <= at_most)


def of_images(
    lines: Iterable[Record], stage: str, *, preset: str = "quick"
) -> dict[str, dict[str, float]]:
    """For each image the scores at a stage, means over the seeds that have come to an end.

    Parameters
    ----------
    lines : iterable of records
        Of one group.
    stage : str
        One of `STAGES`.
    preset : str
    """
    lines = [line for line in lines if line["preset"] == preset]
    ended = {(line["image"], line["seed"]) for line in lines if line["kind"] == "end"}
    found: dict[str, list[Record]] = {}
    for line in lines:
        here = "epoch 0" if line["kind"] == "epoch" and line["epoch"] == 0 else line["kind"]
        if here == stage and (line["image"], line["seed"]) in ended:
            found.setdefault(line["image"], []).append(line)
    return {image: mean(rows) for image, rows in found.items()}


def mean(rows: Iterable[Record]) -> dict[str, float]:
    """Of scores and seconds."""
    rows = list(rows)
    names = ("ap50", "ap75", "matched", "true", "seconds")
    return {name: statistics.fmean(row[name] for row in rows) for name in names}


def mean_of(values: dict[str, float]) -> float:
    """Of something that each image has."""
    return statistics.fmean(values.values())


def gains(lines: list[Record], stage: str, name: str) -> dict[str, float]:
    """For each image of a group how much more of a score the end has than another stage."""
    before = of_images(lines, stage)
    return {
        image: end[name] - before[image][name] for image, end in of_images(lines, "end").items()
    }


def changes(lines: list[Record]) -> tuple[float, float]:
    """Which pixels changed owner between epoch 0 and the end.

    Returns
    -------
    changed : float
        Share of the mask: mean over the seeds, then over the images.
    right : float
        Of all changed pixels that were wrong at epoch 0 or are wrong at the end, the share that
        turned right. 0 where there is none. Pixels of the images are added up.
    """
    pixels: dict[str, list[dict[str, int]]] = {}
    for line in lines:
        if line["kind"] == "end":
            pixels.setdefault(line["image"], []).append(line["pixels"])
    shares = [
        statistics.fmean(_share(one["changed"], one["mask"]) for one in ones)
        for ones in pixels.values()
    ]
    every = [one for ones in pixels.values() for one in ones]
    right, wrong, still = (
        sum(one[kind] for one in every) for kind in ("turn right", "turn wrong", "stay wrong")
    )
    return statistics.fmean(shares), _share(right, right + wrong + still)


def same_training(lines: list[Record], end: Record) -> list[Record]:
    """All records of the training that came to this end."""
    what = {key: end[key] for key in ("group", "image", "preset", "seed")}
    return [line for line in lines if what.items() <= line.items()]


def epochs_of(lines: list[Record], end: Record) -> list[Record]:
    """Those of a training, epoch 0 first."""
    return [line for line in same_training(lines, end) if line["kind"] == "epoch"]


def lasting(lines: list[Record], end: Record) -> float:
    """The last epoch's AP50 as a share of the best epoch's, epoch 0 included."""
    best = max(line["ap50"] for line in epochs_of(lines, end))
    return float(end["ap50"] / best) if best else 1.0


def ap50_at(lines: list[Record], image: str, preset: str, mark: float) -> float:
    """Mean AP50 over the seeds of what there was at this time; nothing is 0."""
    here = [line for line in lines if line["image"] == image and line["preset"] == preset]
    found: dict[int, float] = {line["seed"]: 0.0 for line in here if line["kind"] == "end"}
    for line in here:
        if line["kind"] == "epoch" and line["seconds"] <= mark and line["seed"] in found:
            found[line["seed"]] = line["ap50"]
    return statistics.fmean(found.values())


def pair(line: Record | None) -> str:
    """AP50 / AP75; nothing for None."""
    return "" if line is None else f"{line['ap50']:.3f} / {line['ap75']:.3f}"


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_plots(lines: list[Record], folder: Path) -> None:
    """For each group AP50 against seconds: quality-GROUP.html, and .png where there is Chromium."""
    pages = []
    for group in dict.fromkeys(line["group"] for line in lines):
        pages.append(folder / f"quality-{group}.html")
        figure = _figure([line for line in lines if line["group"] == group])
        figure.write_html(pages[-1], include_plotlyjs=True)
    sys.path.append(str(Path(__file__).resolve().parents[1] / "browser"))
    from serving import CHROMIUM_ARGS, chromium

    if chromium() is None or not pages:
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_ARGS)
        view = browser.new_page(viewport={"width": 900, "height": 480})
        for page in pages:
            view.goto(page.resolve().as_uri())
            view.locator(".plotly-graph-div").screenshot(path=page.with_suffix(".png"))
        browser.close()


def _figure(lines: list[Record]) -> Any:
    """An image in grey, the mean of a group's images in colour."""
    import plotly.graph_objects as go

    colors = {"quick": "#0b6bcb", "paper": "#d55e00"}
    figure = go.Figure()
    # As far as the slow preset was trained on every image.
    ends = [line for line in lines if line["kind"] == "end" and line["preset"] == "paper"]
    times = range(2, int(min([MARKS[-1], *(end["seconds"] for end in ends)])), 2)
    for preset, color in colors.items():
        images = sorted(of_images(lines, "end", preset=preset))
        curves = [[ap50_at(lines, image, preset, t) for t in times] for image in images]
        for curve in curves:
            figure.add_scatter(x=[*times], y=curve, line={"color": color, "width": 1}, opacity=0.25)
        if curves:
            mean_curve = [statistics.fmean(values) for values in zip(*curves, strict=True)]
            line = {"color": color, "width": 4}
            figure.add_scatter(x=[*times], y=mean_curve, name=preset, line=line)
    figure.for_each_trace(lambda trace: trace.update(showlegend=trace.name is not None))
    for kind in BASELINES:
        level = {line["image"]: line["ap50"] for line in lines if line["kind"] == kind}
        figure.add_hline(mean_of(level), line_dash="dash", annotation_text=kind)
    figure.update_xaxes(title="seconds since the start, everything included", rangemode="tozero")
    figure.update_yaxes(title="AP50", range=[0, 1])
    figure.update_layout(template="plotly_white", width=900, height=480, font={"size": 15})
    figure.update_layout(margin={"t": 20, "r": 20, "b": 60, "l": 70}, legend={"x": 0.7, "y": 0.3})
    return figure
