"""The page of figures that is taken home, opened as a file: its buttons save the figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from patience import LONGEST
from PIL import Image

from cellcutter_core.config import QUICK
from cellcutter_core.export import content
from cellcutter_core.runs.store import Run
from cellcutter_core.training.inputs import Inputs
from cellcutter_core.training.predicted_labels import Prediction


@pytest.fixture
def figures(tmp_path: Path) -> Path:
    labels = np.eye(8, dtype=np.int32)
    pixels = labels[..., None].astype(np.uint16)
    inputs = Inputs(pixels, labels > 0, np.array([[3.0, 3.0]]))
    run = Run.create(tmp_path / "run", inputs, QUICK, description={"channels": ["actin"]})
    run.add_epoch(1, Prediction(labels, labels, labels.astype(np.float32)))
    run.record("epoch", epoch=1, seconds=1.0, loss=-1.0, area=-2.0, overlap=0.5, background=0.5)
    file = tmp_path / "figures.html"
    file.write_bytes(content(run, "figures"))
    return file


def test_each_figure_is_saved_as_png_and_as_svg(page: Any, figures: Path) -> None:
    page.goto(figures.as_uri())
    width = page.locator("#figure-1").bounding_box()["width"]
    for kind in ("PNG", "SVG"):
        with page.expect_download(timeout=1000 * LONGEST) as download:
            page.get_by_role("button", name=f"Save {kind}").first.click()
        name = f"cellcutter-1-loss-over-the-epochs.{kind.lower()}"
        assert download.value.suggested_filename == name
        saved = Path(download.value.path())
        if kind == "PNG":
            with Image.open(saved) as picture:
                assert picture.format == "PNG"
                assert picture.width == pytest.approx(3 * width, abs=3)
                assert len(picture.convert("RGB").getcolors(10**6)) > 10
        else:
            assert saved.read_text("utf-8").startswith("<svg")
