"""Curves of records: losses and scores over epochs, AP over IoU."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cellcutter_core.config import TrainingSettings
from cellcutter_core.evaluation.metrics import THRESHOLDS
from cellcutter_core.shortest_paths.watershed import BASELINES
from cellcutter_core.training.loss import published_terms, weighted_terms
from cellcutter_core.view.figure_style import (
    AXIS,
    FONT_SIZE,
    GREY,
    PANEL_HEIGHT,
    SHADE,
    axis,
    charted,
    line_style,
    panel_title,
)

Events = Sequence[Mapping[str, Any]]

SCORES: Mapping[str, str] = {
    "ap50": "AP at IoU 0.5",
    "ap75": "AP at IoU 0.75",
    "miou": "mIOU",
}
"""Scores of an epoch and their titles."""

_FROM_0_TO_1: Mapping[str, Any] = {"range": [0, 1.03], "tickvals": [0, 0.25, 0.5, 0.75, 1]}
_BASELINE_DASHES: Mapping[str, str] = {"paths": "dash", "watershed": "dot"}
# Points are marked up to this many epochs; with more, marks would hide the lines.
_MARKED_EPOCHS = 40


def loss_curves(
    runs: Mapping[str, Events],
    *,
    warm_up: float = 0,
    epochs: int | None = None,
    continued: Sequence[int] = (),
    settings: TrainingSettings | None = None,
) -> go.Figure:
    """Draw the loss over the epochs, and beside it each of its terms with its own scale.

    Parameters
    ----------
    runs : mapping of str to sequence of mapping
        Name of each run and its epoch events, as in `Progress.epoch_events`. A run without events
        leaves the panels empty. Epoch 0 has no loss, so the curves begin at epoch 1.
    warm_up : float
        Number of epochs in which the network learnt only discs around the markers; shaded.
    epochs : int, optional
        The last planned epoch: the axis reaches to it from the start and does not grow.
    continued : sequence of int
        Epochs after which an ended run was continued; each is followed by a dotted line.
    settings : TrainingSettings, optional
        Terms that carry weight there have a panel from the start.

    Returns
    -------
    go.Figure
        To be shown with `STILL_CONFIG`. The loss is the sum of its published terms, in pixels per
        crop; lower is better, so the area reward is below 0. A term beside them has a panel if it
        is not 0 in a run; the loss does not include it.

    Notes
    -----
    During a warm-up the loss is not minimised, and it is in the thousands. Its curve may leave the
    panel; then an arrow states the value. All later epochs lie within the panel.
    """
    runs = {run: [one for one in events if one["epoch"]] for run, events in runs.items()}
    weighted = weighted_terms(settings) if settings else []
    for term in weighted_terms():
        if any(event.get(term.name) for events in runs.values() for event in events):
            weighted.append(term)
    terms = list(dict.fromkeys(published_terms() + weighted))
    n = len(terms)
    figure = _panel_figure(
        ["Loss", *(term.title for term in terms)],
        runs,
        epochs=epochs,
        height=PANEL_HEIGHT + 60 * (n - 2),
        rows=n,
        cols=2,
        # The loss on the left is as high as all its terms on the right.
        specs=[[{"rowspan": n}, {}], *[[None, {}]] * (n - 1)],
        column_widths=[0.56, 0.34],
        horizontal_spacing=0.1,
        vertical_spacing=0.13,
    )
    figure.update_yaxes(nticks=4)
    figure.layout.yaxis.nticks = 7
    for number, name in enumerate(["loss", *(term.name for term in terms)], start=1):
        values = {run: [event.get(name) for event in events] for run, events in runs.items()}
        _add_lines(figure, runs, values, panel=number)
        shown = _range_of(values, math.ceil(warm_up))
        figure.layout[f"yaxis{number}"].range = shown
        _point_to_highest(figure, runs, values, shown, panel=number)
        if 1 < number <= n:
            figure.layout[f"xaxis{number}"].update(showticklabels=False, title_text="")
    for epoch in continued:
        figure.add_vline(epoch + 0.5, line={"color": GREY, "width": 1.5, "dash": "dot"})
        figure.add_annotation(
            text="continued", x=epoch + 0.5, xref="x", xanchor="left", y=1, yref="y domain",
            yanchor="top", showarrow=False, font_size=FONT_SIZE - 1,
        )  # fmt: skip
    if warm_up > 0:
        _shade(figure, (0.5, warm_up + 0.5))
        figure.add_annotation(
            text="warm-up", x=0.5, xref="x", xanchor="left", y=0, yref="y domain",
            yanchor="bottom", showarrow=False, font_size=FONT_SIZE - 1,
        )  # fmt: skip
    return figure


def score_curves(
    runs: Mapping[str, Events],
    *,
    baselines: Mapping[str, Mapping[str, Any]] | None = None,
    epochs: int | None = None,
) -> go.Figure:
    """Draw scores over the epochs, from epoch 0 if a run has it; one panel each, all from 0 to 1.

    Parameters
    ----------
    runs : mapping of str to sequence of mapping
        Name of each run and its epoch events. They hold AP in `scores` if the truth is known, and
        `miou` if there are validation crops.
    baselines : mapping of str to mapping, optional
        Scores of each of the `BASELINES`, as in `Run.baseline_scores`: a grey dashed line with its
        name in the legend.
    epochs : int, optional
        The last planned epoch, as in `loss_curves`.

    Returns
    -------
    go.Figure
        To be shown with `STILL_CONFIG`. Scores that no event has are left out. Without any score
        there are the two panels of AP, empty.
    """
    scores = {
        name: {run: [_score(event, name) for event in events] for run, events in runs.items()}
        for name in SCORES
    }
    shown = [name for name in SCORES if any(v is not None for v in _all(scores[name]))]
    shown = shown or ["ap50", "ap75"]
    figure = _panel_figure(
        [SCORES[name] for name in shown],
        runs,
        epochs=epochs,
        height=PANEL_HEIGHT,
        legend=True,
        cols=len(shown),
        horizontal_spacing=0.05,
    )
    figure.update_yaxes(**_FROM_0_TO_1)
    for number, name in enumerate(shown, start=1):
        _add_lines(figure, runs, scores[name], panel=number, named=True)
        # All panels go from 0 to 1, and on a narrow page there is no room between them.
        figure.layout[f"yaxis{number}"].showticklabels = number == 1
    for one, found in (baselines or {}).items():
        # Named in the legend once, by a panel that has its line.
        levels = {number: found.get(name) for number, name in enumerate(shown, start=1)}
        there = {number: float(level) for number, level in levels.items() if level is not None}
        for number, level in there.items():
            line = _baseline(figure, one, level, panel=number)
            figure.add_trace(line.update(showlegend=number == min(there)))
    return figure


def change_curve(changed: Mapping[int, float], *, chosen: tuple[int, int]) -> go.Figure:
    """Draw how much the cells change from epoch to epoch, in % of the pixels in cells.

    Parameters
    ----------
    changed : mapping of int to float
        Epoch, and `truth.changed_share` since the epoch before it.
    chosen : (int, int)
        Two epochs; the range between them is shaded.

    Returns
    -------
    go.Figure
        To be shown with `STILL_CONFIG`.
    """
    runs = {"Changed": [{"epoch": epoch} for epoch in changed]}
    shown = {"": [{"epoch": epoch} for epoch in (*chosen, *changed)]}
    title = "Change from the epoch before, %"
    figure = _panel_figure([title], shown, epochs=None, height=PANEL_HEIGHT)
    figure.update_yaxes(rangemode="tozero")
    _add_lines(figure, runs, {"Changed": [100 * share for share in changed.values()]}, panel=1)
    _shade(figure, chosen)
    return figure


def _baseline(figure: Any, name: str, level: float, *, panel: int) -> go.Scatter:
    """Return a dashed line across a panel of a figure."""
    first, last = figure.layout[f"xaxis{panel}"].range
    # A point for each epoch, so that its value is shown beside that of the curve.
    between = range(math.ceil(first), math.floor(last) + 1)
    x = [first, *between, last]
    return go.Scatter(
        x=x,
        y=[round(level, 5)] * len(x),
        xaxis=axis("x", panel),
        yaxis=axis("y", panel),
        name=BASELINES[name],
        legendgroup=name,
        mode="lines",
        line={"color": GREY, "dash": _BASELINE_DASHES[name], "width": 2},
        hovertemplate="%{y}",
    )


def compared(
    events: Events, epochs: int | Sequence[int], baselines: Mapping[str, Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    """Collect the scores to compare: those of some epochs and of the baselines.

    Parameters
    ----------
    events : sequence of mapping
        Epoch events of a run.
    epochs : int or sequence of int
    baselines : mapping of str to mapping
        As for `score_curves`.

    Returns
    -------
    dict of str to mapping
        Title and scores, with `miou` if there is one. What was not scored is left out.
    """
    wanted = {0, *([epochs] if isinstance(epochs, int) else epochs)}
    return {
        f"Epoch {event['epoch']}": {**event["scores"], "miou": event.get("miou")}
        for event in events
        if event["epoch"] in wanted and event.get("scores")
    } | {BASELINES[name]: scores for name, scores in baselines.items()}


def ap_over_iou(results: Mapping[str, Sequence[float]]) -> go.Figure:
    """Draw AP over the IoU threshold: it shows how exactly the found cells are outlined.

    Parameters
    ----------
    results : mapping of str to sequence of float
        Name of each result and its AP at `metrics.THRESHOLDS`, as in `Scores.average_precision`.

    Returns
    -------
    go.Figure
        To be shown with `STILL_CONFIG`.

    Raises
    ------
    ValueError
        If a result does not have one AP for each threshold.
    """
    figure = go.Figure()
    for i, (name, values) in enumerate(results.items()):
        if len(values) != len(THRESHOLDS):
            raise ValueError(
                f"{name} has {len(values)} values, but there are {len(THRESHOLDS)} thresholds, IoU "
                "0.50 to 0.95; pass Scores.average_precision"
            )
        figure.add_trace(
            go.Scatter(
                x=THRESHOLDS,
                y=[round(float(value), 4) for value in values],
                name=name,
                hovertemplate="AP %{y:.3f}",
                **line_style(i, markers=True),
            )
        )
    figure.update_layout(
        xaxis={
            **AXIS,
            "title_text": "IoU threshold",
            "tickformat": ".2f",
            "dtick": 0.1,
        },
        yaxis={**AXIS, **_FROM_0_TO_1, "title_text": "AP"},
    )
    return charted(figure, height=PANEL_HEIGHT + 60, legend=len(results) > 1)


def _score(event: Mapping[str, Any], name: str) -> float | None:
    return event.get("miou") if name == "miou" else (event.get("scores") or {}).get(name)


def _all(values: Mapping[str, Sequence[float | None]]) -> list[float | None]:
    return [value for of_run in values.values() for value in of_run]


def _panel_figure(
    titles: Sequence[str],
    runs: Mapping[str, Events],
    *,
    epochs: int | None,
    height: float,
    legend: bool = False,
    **grid: Any,
) -> Any:
    """Make empty panels over epochs, laid out in a grid as `make_subplots` takes it."""
    there = [event["epoch"] for events in runs.values() for event in events]
    first, last = min([1, *there]), max([1, *there, epochs or 1])
    figure = make_subplots(**grid)
    figure.update_xaxes(
        **AXIS,
        tickvals=_ticks(first, last),
        range=[first - 0.5, last + 0.5],
        tickformat="d",
        title_text="Epoch",
    )
    figure.update_yaxes(**AXIS)
    figure.update_layout(annotations=[panel_title(one, n) for n, one in enumerate(titles, 1)])
    return charted(figure, height=height, legend=legend or len(runs) > 1)


def _shade(figure: Any, span: tuple[float, float]) -> None:
    """Shade a range of epochs in all panels."""
    figure.add_vrect(*span, fillcolor=SHADE, line_width=0, layer="below")


def _ticks(first: int, last: int) -> list[int]:
    """Return the first epoch and round numbers after it."""
    steps = (m * 10**k for k in range(9) for m in (1, 2, 5))
    step = 1 if last <= 10 else next(step for step in steps if (last - first) / step <= 7)
    return [first, *(n for n in range(0, last + 1, step) if n >= first + (step + 1) // 2)]


def _add_lines(
    figure: Any,
    runs: Mapping[str, Events],
    values: Mapping[str, Sequence[float | None]],
    *,
    panel: int,
    named: bool = False,
) -> None:
    """Add a line for each run to a panel; those of the first panel are in the legend.

    With `named`, a single line also shows its name beside the value under the pointer.
    """
    lines = []
    for i, (name, events) in enumerate(runs.items()):
        known = [
            (event["epoch"], float(f"{value:.5g}"))
            for event, value in zip(events, values[name], strict=True)
            if value is not None
        ]
        lines.append(
            go.Scatter(
                x=[epoch for epoch, _ in known],
                y=[value for _, value in known],
                xaxis=axis("x", panel),
                yaxis=axis("y", panel),
                name=name,
                legendgroup=name,
                showlegend=panel == 1,
                hovertemplate="%{y}" if named or len(runs) > 1 else "%{y}<extra></extra>",
                **line_style(i, markers=len(known) <= _MARKED_EPOCHS),
            )
        )
    figure.add_traces(lines)


def _point_to_highest(
    figure: Any,
    runs: Mapping[str, Events],
    values: Mapping[str, Sequence[float | None]],
    shown: tuple[float, float] | None,
    *,
    panel: int,
) -> None:
    """If values lie above the range of a panel, state the highest one with an arrow."""
    known = [
        (value, event["epoch"])
        for name, events in runs.items()
        for event, value in zip(events, values[name], strict=True)
        if value is not None
    ]
    if shown is None or max(known)[0] <= shown[1]:
        return
    value, epoch = max(known)
    figure.add_annotation(
        text=f"↑ {value:,.0f}", x=epoch, xref=axis("x", panel), xanchor="left", y=1,
        yref=axis("y", panel) + " domain", yanchor="top", showarrow=False, font_size=FONT_SIZE - 1,
    )  # fmt: skip


def _range_of(
    values: Mapping[str, Sequence[float | None]], n_left_out: int
) -> tuple[float, float] | None:
    """Return the range of the values after the first few, with a margin; None without values."""
    kept: list[float] = []
    for of_run in values.values():
        later = of_run[n_left_out:] or of_run
        kept += [value for value in later if value is not None]
    if not kept:
        return None
    low, high = min(kept), max(kept)
    air = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
    return low - air, high + air
