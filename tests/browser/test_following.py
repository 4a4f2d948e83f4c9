"""The page Compare in a real browser, while a run goes on."""

from __future__ import annotations

import os
import re
import shutil
import socket
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from serving import Server
from test_app import SOON, go, no_trouble, settled, visit

from cellcutter_core.choices.choices import Choices
from cellcutter_core.choices.of_run import described
from cellcutter_core.config import QUICK
from cellcutter_core.evaluation.metrics import score
from cellcutter_core.images.regions import cut_out
from cellcutter_core.pipeline import prepare
from cellcutter_core.runs.store import Run
from cellcutter_core.simulation.sample import sample
from cellcutter_core.training.inputs import Inputs, baselines
from cellcutter_core.training.predicted_labels import Prediction

REGION = (0, 0, 128, 160)


@pytest.fixture
def going(server: Server) -> tuple[Run, NDArray[np.int32]]:
    """A run whose process is this one, and the true cells of its image."""
    inputs, truth = prepare(cut_out(sample(), REGION), QUICK)
    assert isinstance(inputs, Inputs)
    assert truth is not None
    assert truth.labels is not None
    choices = Choices(region=REGION)
    path = server.runs / "20260102-120000-going"
    # Another file of tests has the same server, and a test may run again.
    shutil.rmtree(path, ignore_errors=True)
    run = Run.create(
        path,
        inputs,
        QUICK,
        truth=truth,
        description={**described(choices), "edits": ""},
    )
    run.record("started", pid=os.getpid(), host=socket.gethostname(), epochs=6)
    run.baselines = baselines(inputs)
    return run, truth.labels


def add(run: Run, number: int, labels: NDArray[np.int32], truth: NDArray[np.int32]) -> None:
    """An epoch, as a training leaves it."""
    run.add_epoch(number, Prediction(labels, (labels > 0).astype(np.uint8), (labels > 0) * 1.0))
    values = {"loss": -1.0, "area": -2.0, "overlap": 0.5, "background": 0.5, "certain": 0.0}
    run.record(
        "epoch",
        **{"epoch": number, "seconds": 1.0, "miou": None, "collapsed": False},
        **(values if number else {}),
        scores=score(labels, truth).as_dict(),
    )


def test_the_page_follows_the_run_and_the_scores_follow_the_slider(
    page: Any, server: Server, going: tuple[Run, NDArray[np.int32]]
) -> None:
    run, truth = going
    cells = np.unique(truth)[1:]
    # One cell more with every epoch.
    for number in (0, 1):
        add(run, number, np.where(np.isin(truth, cells[: number + 1]), truth, 0), truth)
    visit(page, server, f"compare?run={run.path.name}")
    page.get_by_text("Cells, epoch 1", exact=True).wait_for(timeout=SOON)
    page.get_by_text(f"Epoch 1: 2 found cells, {len(cells)} true cells.").wait_for(timeout=SOON)
    # Nobody touches the page, and the next epoch is on it.
    add(run, 2, np.where(np.isin(truth, cells[:3]), truth, 0), truth)
    page.get_by_text("Cells, epoch 2", exact=True).wait_for(timeout=SOON)
    page.get_by_text(re.compile("epoch 2 is the last one so far")).wait_for(timeout=SOON)
    page.get_by_text("changed owner since epoch 1").wait_for(timeout=SOON)
    settled(page)
    page.get_by_role("slider").first.press("ArrowLeft")
    page.get_by_text("Cells, epoch 1", exact=True).wait_for(timeout=SOON)
    page.get_by_text(f"Epoch 1: 2 found cells, {len(cells)} true cells.").wait_for(timeout=SOON)
    # Who looks at another epoch goes on looking at it.
    add(run, 3, np.where(np.isin(truth, cells[:4]), truth, 0), truth)
    page.get_by_text(re.compile("epoch 3 is the last one so far")).wait_for(timeout=SOON)
    settled(page)
    page.get_by_text("Cells, epoch 1", exact=True).wait_for(timeout=SOON)
    go(page, "Results")
    page.get_by_text(re.compile("Built-in sample 0")).first.wait_for(timeout=SOON)
    run.record("finished")
    page.get_by_text(re.compile("Finished: 3 epochs")).wait_for(timeout=SOON)
    page.locator(".st-key-pipeline").get_by_text(re.compile("Train · done")).wait_for(timeout=SOON)
    no_trouble(page)
