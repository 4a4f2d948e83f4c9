"""The page of figures holds the numbers of the run, and nothing from elsewhere."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cellcutter_core.config import QUICK
from cellcutter_core.export import Result, content
from cellcutter_core.export.formats.figures import figures, figures_file
from cellcutter_core.runs.corrections import Correction, keep_corrections
from cellcutter_core.runs.store import Run
from cellcutter_core.training.inputs import Inputs
from cellcutter_core.training.predicted_labels import Prediction

LABELS = np.repeat(np.repeat([[1, 2], [3, 4]], 6, 0), 6, 1).astype(np.int32)


def make(folder: Path, *, scored: bool, **about: Any) -> Run:
    image = np.stack([LABELS * 10, LABELS * 100], axis=-1).astype(np.uint16)
    inputs = Inputs(image, LABELS > 0, np.array([[3.0, 3.0]]))
    run = Run.create(folder, inputs, QUICK, description={"channels": ["actin", "DAPI"], **about})
    scores = {"ap50": 0.25, "ap75": 0.125, "average_precision": [0.25] * 10}
    run.record("baseline", scores=scores if scored else None)
    for epoch in (1, 2, 3):
        run.add_epoch(epoch, Prediction(LABELS, LABELS * 0, np.zeros(LABELS.shape, np.float32)))
        parts = {"loss": -epoch / 8, "area": -1.0, "overlap": 0.5, "background": 0.25}
        later = scores | {"ap50": 0.25 * epoch}
        run.record("epoch", epoch=epoch, seconds=1.0, **parts, scores=later if scored else None)
    return run


def with_epoch_0(run: Run) -> Run:
    """As runs are: epoch 0 has scores and no loss, and both baselines have a name."""
    scores = {"ap50": 0.125, "ap75": 0.0, "average_precision": [0.125] * 10}
    run.add_epoch(0, Prediction(LABELS, LABELS * 0, np.zeros(LABELS.shape, np.float32)))
    run.record("epoch", epoch=0, miou=None, scores=scores)
    for name in ("paths", "watershed"):
        run.record("baseline", name=name, scores=scores)
    return run


def plots(page: bytes) -> dict[str, list[dict[str, Any]]]:
    """Traces of each figure, by the heading above it."""
    text = page.decode("utf-8")
    found = {}
    heads = re.findall(r"<h2>(.*?)</h2>", text)
    starts = list(re.finditer(r'Plotly\.newPlot\(\s*"figure-\d+",\s*', text))
    for head, start in zip(heads, starts, strict=True):
        found[head], _ = json.JSONDecoder().raw_decode(text, start.end())
    return found


def test_losses_scores_and_histograms_are_those_of_the_run(tmp_path: Path) -> None:
    run = make(tmp_path / "run", scored=True, pixel_size=0.5)
    found = plots(content(run, "figures"))
    assert list(found) == [
        "Loss over the epochs",
        "Scores over the epochs",
        "AP over the IoU threshold",
        "Area in µm²",
        "Mean of actin",
        "Mean of DAPI",
    ]
    assert found["Loss over the epochs"][0]["y"] == [-0.125, -0.25, -0.375]
    assert found["Scores over the epochs"][0]["y"] == [0.25, 0.5, 0.75]
    # It is one of long ago, whose only baseline has no name; without guidance in its settings.
    names = [trace["name"] for trace in found["AP over the IoU threshold"]]
    assert names == ["Epoch 3", "Watershed"]
    # Four cells of 36 pixels, 9 µm² each, and of the means one each.
    (area,) = found["Area in µm²"]
    assert area["x"][0] < 9 < area["x"][-1]
    assert max(area["y"]) == 4
    (mean,) = found["Mean of DAPI"]
    assert (mean["x"][0], mean["x"][-1]) == (100, 400)
    # The line of the last bar ends with another point of its height.
    assert sum(mean["y"][:-1]) == 4


def test_scores_begin_at_epoch_0_and_losses_at_epoch_1(tmp_path: Path) -> None:
    run = with_epoch_0(make(tmp_path / "run", scored=True))
    found = plots(content(run, "figures"))
    assert found["Loss over the epochs"][0]["x"] == [1, 2, 3]
    curves = found["Scores over the epochs"]
    assert (curves[0]["name"], curves[0]["x"]) == ("Network", [0, 1, 2, 3])
    assert curves[0]["y"] == [0.125, 0.25, 0.5, 0.75]
    assert {curve["name"] for curve in curves} == {"Network", "Cheapest paths", "Watershed"}
    names = [trace["name"] for trace in found["AP over the IoU threshold"]]
    assert names == ["Epoch 0", "Epoch 3", "Cheapest paths", "Watershed"]


def test_epoch_0_alone_has_scores_and_no_loss(tmp_path: Path) -> None:
    run = with_epoch_0(make(tmp_path / "run", scored=True))
    found = plots(content(run, "figures", 0))
    assert "Loss over the epochs" not in found
    assert found["Scores over the epochs"][0]["x"] == [0]


def test_an_earlier_epoch_shows_no_later_one_and_corrections_count(tmp_path: Path) -> None:
    run = make(tmp_path / "run", scored=False)
    keep_corrections(run, 2, [Correction(kind="delete", cells=(4,))])
    found = plots(figures_file(Result(run, 2)))
    assert found["Loss over the epochs"][0]["x"] == [1, 2]
    assert not [title for title in found if "Score" in title or "AP over" in title]
    assert max(found["Area in pixels"][0]["y"]) == 3


def test_the_page_asks_for_nothing_and_its_camera_saves_svg(tmp_path: Path) -> None:
    run = make(tmp_path / "run", scored=False, image="<script>alert(1)</script>.tif")
    page = figures_file(Result(run))
    text = page.decode("utf-8")
    assert not re.search(r"<(script|link|img)[^>]*(src|href)=", text)
    assert "<script>alert" not in text
    assert text.count("/*! For license") <= 1
    assert len(page) < 7_000_000
    assert '"filename": "cellcutter-1-loss-over-the-epochs"' in text
    assert '"format": "svg"' in text
    assert figures_file(Result(run)) == page


@pytest.mark.parametrize("micro", ["\N{MICRO SIGN}", "\N{GREEK SMALL LETTER MU}"])
def test_each_figure_has_a_file_name_of_its_own_that_says_its_unit(
    tmp_path: Path, micro: str
) -> None:
    run = make(tmp_path / "run", scored=False, pixel_size=0.5)
    run.describe(channels=[f"1 {micro}M", "1 ☃M"])
    text = figures_file(Result(run)).decode("utf-8")
    assert re.findall(r'data-filename="(.*?)" data-format="svg"', text) == [
        "cellcutter-1-loss-over-the-epochs",
        "cellcutter-2-area-in-um2",
        "cellcutter-3-mean-of-1-um",
        "cellcutter-4-mean-of-1-m",
    ]
    run.describe(channels=["é", "è"])
    names = re.findall(r'data-filename="(.*?)"', figures_file(Result(run)).decode("utf-8"))
    assert names[-4::2] == ["cellcutter-3-mean-of-e", "cellcutter-4-mean-of-e"]


def test_without_cells_there_are_the_losses_and_without_both_nothing(tmp_path: Path) -> None:
    run = make(tmp_path / "run", scored=False)
    nothing = Prediction(LABELS * 0, LABELS * 0, np.zeros(LABELS.shape, np.float32))
    run.add_epoch(3, nothing)
    assert list(figures(Result(run))) == ["Loss over the epochs"]
    (run.path / "events.jsonl").unlink()
    with pytest.raises(ValueError, match="there is nothing to show"):
        content(run, "figures")
