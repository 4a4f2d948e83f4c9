"""A term of the loss is listed in one place, and all that show losses take it from there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cellcutter_core.config import NetworkSettings, TrainingSettings
from cellcutter_core.network.unet import UNet
from cellcutter_core.runs.job_folder import JobFolder
from cellcutter_core.training import loss
from cellcutter_core.training.crops import Dataset
from cellcutter_core.training.events import Epoch, Step, event_record, recorded_step
from cellcutter_core.training.loop import train
from cellcutter_core.view.curves import loss_curves


def halved_area(crops: loss.Crops, settings: TrainingSettings) -> Any:
    from keras import ops

    return settings.lam * ops.sum(crops.p) / (2 * crops.n)


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    term = loss.LossTerm("modesty", "Modesty", halved_area, r"\frac12 p_i", "half of the area.")
    monkeypatch.setattr(loss, "LOSS_TERMS", (*loss.LOSS_TERMS, term))


@pytest.mark.usefixtures("made_up")
def test_a_new_term_is_trained_recorded_drawn_and_explained(tmp_path: Path) -> None:
    points = np.random.default_rng(0).integers(4, 28, (6, 2))
    data = Dataset(np.random.default_rng(1).normal(size=(32, 32)), points, crop_size=16, sigma=5)
    network = UNet(NetworkSettings(depth=3, channels=4, normalisation="group"))
    settings = TrainingSettings(epochs=1, steps=2, crops=6, area=None, warm_up=0)
    events = list(train(data, network, settings))
    assert [type(event) for event in events] == [Step, Step, Epoch]
    for event in events:
        assert event.losses["modesty"] == pytest.approx(-event.losses["area"] / 2, rel=1e-5)
        published = ("area", "overlap", "background", "modesty")
        assert event.loss == pytest.approx(sum(event.losses[name] for name in published), rel=1e-5)
    (record,) = recorded(tmp_path, events[-1])
    assert record["modesty"] == events[-1].losses["modesty"]
    figure = loss_curves({"run": [record]}, settings=settings)
    assert [one.text for one in figure.layout.annotations] == [
        "Loss", "Area reward", "Overlap", "Background", "Modesty",
    ]  # fmt: skip
    assert figure.data[-1].y == (float(f"{record['modesty']:.5g}"),)
    told = loss.loss_explained()
    assert r"\text{modesty}&=\frac12 p_i" in told["formulas of the loss"]
    assert "- **Modesty**: half of the area." in told["terms of the loss"]


def recorded(folder: Path, event: Epoch) -> list[dict[str, Any]]:
    class Events(JobFolder):
        progress: Any = None

    journal = Events(folder)
    journal.record("epoch", **event_record(event))
    return journal.events()


def test_a_step_comes_back_from_its_record() -> None:
    step = Step(2, 3, 7, 0.25, warming_up=True, losses={"loss": -1.5, "area": -2.0, "late": 0.5})
    assert recorded_step(event_record(step)) == step
    assert event_record(step)["late"] == 0.5
