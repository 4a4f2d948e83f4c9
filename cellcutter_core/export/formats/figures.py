"""Figures of a training and of its cells, in one HTML page."""

from __future__ import annotations

import html
import unicodedata
from typing import Any

from cellcutter_core.export.result import Result
from cellcutter_core.view.curves import ap_over_iou, compared, loss_curves, score_curves
from cellcutter_core.view.figure_style import still_config
from cellcutter_core.view.histogram import histogram

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font-family: sans-serif; color: #222; background: #fff; max-width: 64rem;
       margin: 2rem auto; padding: 0 1rem; }}
h2 {{ font-size: 1.1rem; margin: 2rem 0 0.25rem; }}
p {{ color: #555; margin: 0; }}
@media print {{ button {{ display: none; }} }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{about}</p>
{figures}
<script>
for (const button of document.querySelectorAll("button"))
  button.onclick = () => Plotly.downloadImage(button.value, {{...button.dataset}});
</script>
</body>
</html>
"""

# A PNG is saved at three times the size on the screen, which is enough for print.
_SAVE_BUTTONS = """<p>
<button value="{figure}" data-filename="{file}" data-format="png" data-scale="3">Save PNG</button>
<button value="{figure}" data-filename="{file}" data-format="svg">Save SVG</button>
</p>"""


def figures(result: Result) -> dict[str, Any]:
    """Return the figures of a result: title → Plotly figure.

    Losses over the epochs; if there is a truth, scores over the epochs and AP over the IoU
    threshold; histograms of area and of the mean intensity in each channel, for the corrected
    cells.
    """
    run, table = result.run, result.table
    now = run.progress
    events = [event for event in now.epoch_events if event["epoch"] <= result.epoch]
    training = run.config.training
    by_title: dict[str, Any] = {}
    # Epoch 0 is before training and has no loss.
    if any(event["epoch"] for event in events):
        warm_up = training.warm_up / training.steps
        continued = [epoch for epoch in now.continued if epoch < result.epoch]
        by_title["Loss over the epochs"] = loss_curves(
            {"Loss": events}, warm_up=warm_up, continued=continued
        )
    if any(event.get("scores") for event in events):
        baselines = run.baseline_scores
        by_title["Scores over the epochs"] = score_curves({"Network": events}, baselines=baselines)
        scored = compared(events, result.epoch, baselines)
        by_title["AP over the IoU threshold"] = ap_over_iou(
            {name: one["average_precision"] for name, one in scored.items()}
        )
    if len(table["id"]):
        size, unit = ("area_um2", "µm²") if "area_um2" in table else ("area", "pixels")
        columns = {f"Area in {unit}": size}
        columns |= {f"Mean of {name}": f"mean_{name}" for name in result.all_channels[0]}
        for title, column in columns.items():
            by_title[title] = histogram(table[column], name=title)
    return by_title


def figures_file(result: Result) -> bytes:
    """Return the content of an HTML page of these figures; it opens in any browser, also offline.

    The page holds the library that draws them, so it has some megabytes. Buttons above each figure
    save it as PNG or SVG.

    Raises
    ------
    ValueError
        If there is nothing to show, because no epoch was recorded and there is no cell.
    """
    by_title = figures(result)
    if not by_title:
        raise ValueError("there is nothing to show: the run has no recorded epoch and no cell")
    parts = []
    for number, (title, figure) in enumerate(by_title.items()):
        name = f"figure-{number + 1}"
        # With the number, because titles of channels may become the same name.
        file = f"cellcutter-{number + 1}-{_file_name_part(title)}"
        # The page has no theme of its own, so take Plotly's white one.
        figure.update_layout(template="plotly_white")
        drawn = figure.to_html(
            full_html=False,
            # The library is needed once in the page.
            include_plotlyjs=number == 0,
            config=still_config(file),
            # A fixed name: a generated one would differ from file to file.
            div_id=name,
            default_width="100%",
            default_height=f"{figure.layout.height}px",
        )
        buttons = _SAVE_BUTTONS.format(figure=name, file=file)
        parts.append(f"<h2>{html.escape(title)}</h2>\n{buttons}\n{drawn}")
    page = _PAGE.format(
        title=html.escape(f"Cells of {result.image_name}"),
        about=html.escape(f"{len(result.table['id'])} cells after epoch {result.epoch}"),
        figures="\n".join(parts),
    )
    return page.encode("utf-8")


def _file_name_part(title: str) -> str:
    """Return a title in the letters and digits of ASCII, joined by hyphens.

    Examples
    --------
    >>> _file_name_part("Area in µm²")
    'area-in-um2'
    """
    # NFKD makes the micro sign a Greek letter, and a superscript a digit.
    plain = unicodedata.normalize("NFKD", title.lower()).replace("μ", "u")
    words = "".join(c if c.isascii() and c.isalnum() else " " for c in plain).split()
    return "-".join(words)
