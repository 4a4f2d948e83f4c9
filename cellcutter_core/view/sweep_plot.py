"""Scores of a sweep against the setting that was varied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from cellcutter_core.view.figure_style import AXIS, PANEL_HEIGHT, charted, line_style

Points = Sequence[tuple[str, float]]


def sweep_scores(series: Mapping[str, Points], *, setting: str, score: str) -> go.Figure:
    """Draw a score against the values of a setting.

    Parameters
    ----------
    series : mapping of str to sequence of (str, float)
        Name of a line and its points: a value of the setting as text, and a score. A value may
        occur several times, as with several seeds: the line runs through the means, a bar spans
        from the lowest to the highest, and every point is shown.
    setting, score : str
        Titles of the axes.

    Returns
    -------
    go.Figure
        To be shown with `STILL_CONFIG`.
    """
    figure = go.Figure()
    # In the order in which they first occur.
    values = list(dict.fromkeys(value for points in series.values() for value, _ in points))
    for number, (name, points) in enumerate(series.items()):
        style = line_style(number, markers=True)
        present = [value for value in values if any(value == v for v, _ in points)]
        found = [np.array([y for v, y in points if v == value]) for value in present]
        means = [float(one.mean()) for one in found]
        figure.add_scatter(
            x=present,
            y=means,
            name=name,
            **style,
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [float(one.max()) - mean for one, mean in zip(found, means, strict=True)],
                "arrayminus": [
                    mean - float(one.min()) for one, mean in zip(found, means, strict=True)
                ],
            },
            hovertemplate="%{y:.3f}",
        )
        if len(points) > len(present):
            figure.add_scatter(
                x=[value for value, _ in points],
                y=[y for _, y in points],
                mode="markers",
                marker={"size": 5, "opacity": 0.5, "color": style["line"]["color"]},
                showlegend=False,
                hoverinfo="skip",
            )
    figure.update_xaxes(
        **AXIS, title_text=setting, type="category", categoryorder="array", categoryarray=values
    )
    figure.update_yaxes(**AXIS, title_text=score)
    return charted(figure, height=PANEL_HEIGHT + 60, legend=len(series) > 1)
