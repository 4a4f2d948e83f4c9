"""Runs written by hand, as a training would leave them, for pages to show."""

import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
from numpy.typing import NDArray
from opening import at_page
from PIL import Image as Picture
from samples import sample
from streamlit.testing.v1 import AppTest

from cellcutter_core.choices.choices import Choices
from cellcutter_core.choices.draft import Draft
from cellcutter_core.choices.of_run import described
from cellcutter_core.config import QUICK, Config
from cellcutter_core.evaluation.metrics import score
from cellcutter_core.images.regions import cut_out
from cellcutter_core.jobs.queue import Jobs
from cellcutter_core.pipeline import find_markers, find_mask
from cellcutter_core.runs.folder import runs_folder
from cellcutter_core.runs.job_folder import JobFolder
from cellcutter_core.runs.store import Run
from cellcutter_core.training.image_inputs import inputs_of, truth_of
from cellcutter_core.training.inputs import Inputs, Truth
from cellcutter_core.training.predicted_labels import Prediction

ROOT = Path(__file__).parents[2]
REGION = (0, 0, 128, 160)


@lru_cache
def given(region: tuple[int, int, int, int] = REGION) -> tuple[Inputs, Truth | None]:
    """What a run on a part of the built-in sample is given."""
    image = cut_out(sample(seed=0), region)
    nuclei = find_markers(image, QUICK)
    return inputs_of(image, QUICK, nuclei, find_mask(image, QUICK, nuclei)), truth_of(image)


def drawing(labels: NDArray[np.int32], claimed: NDArray[np.bool_] | None = None) -> Prediction:
    inside = labels > 0 if claimed is None else claimed
    return Prediction(labels, (labels > 0).astype(np.uint8), inside.astype(np.float32))


def labels_after(number: int, truth: NDArray[np.int32]) -> NDArray[np.int32]:
    """The first cells of the truth, more of them in later epochs; at epoch 0 there is none."""
    return np.where(truth <= number, truth, 0).astype(np.int32)


def make_run(
    name: str,
    *,
    epochs: tuple[int, ...] = (0, 1, 2, 3),
    end: str | None = "finished",
    config: Config = QUICK,
    region: tuple[int, int, int, int] = REGION,
    with_truth: bool = True,
    collapsed: bool = False,
    certain: float = 0.0,
    known: bool = True,
    old: bool = False,
    claimed: NDArray[np.bool_] | None = None,
) -> Run:
    """A run with some epochs; `end` is its last event, None for one that still runs.

    An old one has a single baseline without a name. What its cells claim at every epoch is the
    mask, where it is not said.
    """
    inputs, truth = given(region)
    assert truth is not None
    assert truth.labels is not None
    config = config.replace(
        training=config.training.replace(epochs=max(epochs, default=0) or 3, steps=2, warm_up=2)
    )
    choices = Choices(region=region, config=config)
    about = {**described(choices), "edits": ""} if known else {}
    run = Run.create(
        runs_folder() / name,
        inputs,
        config,
        truth=truth if with_truth else None,
        description=about,
    )
    last = config.training.epochs
    run.record("started", pid=os.getpid(), host=socket.gethostname(), epochs=last)
    begin_with(run, inputs, truth if with_truth else None, old=old)
    run.record("device", device="CPU (test)", precision="float32", n_cells=len(inputs.points))
    for number in epochs:
        labels = labels_after(number, truth.labels)
        said: dict[str, Any] = {"epoch": number, "device": "CPU (test)", "miou": None}
        if number:
            run.record("step", epoch=number, step=1, seconds=0.5, n_crops=4, loss=3.0 / number)
            said |= {
                "loss": -100.0 * number,
                "area": -150.0 * number,
                "overlap": 30.0 * number,
                "background": 20.0 * number,
                "certain": certain,
                "seconds": 1.0,
                "collapsed": collapsed,
            }
        run.add_epoch(number, drawing(labels, inputs.mask if claimed is None else claimed))
        scores = score(labels, truth.labels).as_dict() if with_truth else None
        run.record("epoch", **said, scores=scores)
    if end is not None:
        run.record(end, **({"message": "there is not enough memory"} if end == "failed" else {}))
    return run


def as_of_before(run: Run) -> Run:
    """A run as the program wrote it when there was no taught network yet."""
    file = run.path / "run.json"
    about = json.loads(file.read_text("utf-8"))
    del about["format"]
    for config in (about["config"], about["choices"]["config"]):
        del config["version"], config["network"]["start"]
        config["crops"] |= {"size": 64, "guidance": 3.0}
        config["training"] |= {"crops": 48, "learning_rate": 3e-3, "self_training": 0.5}
    file.write_text(json.dumps(about), "utf-8")
    return Run(run.path)


def begin_with(run: Run, inputs: Inputs, truth: Truth | None, *, old: bool) -> None:
    """Write the baselines of a run: the nuclei themselves, and the mask as one cell."""
    assert inputs.nuclei is not None
    found = {"paths": inputs.nuclei, "watershed": inputs.mask.astype(np.int32)}
    if old:
        np.savez(run.path / "baseline.npz", labels=inputs.nuclei)
        found = {"": inputs.nuclei}
    else:
        run.baselines = found
    for name, labels in found.items():
        scores = None
        if truth is not None and truth.labels is not None:
            scores = score(labels, truth.labels, ignore=truth.ignore).as_dict()
        run.record("baseline", **({"name": name} if name else {}), scores=scores)


def dead_process() -> int:
    """The number of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """A folder for runs, a queue that only notes what it is asked for, and empty caches."""
    monkeypatch.setenv("CELLCUTTER_RUNS", str(tmp_path / "runs"))
    notes: list[tuple[Any, ...]] = []

    def submit(self: Jobs, folder: JobFolder, **wanted: Any) -> None:
        notes.append(("submit", folder.path.name, wanted))
        # By a server that nobody can look at from here, so that it counts as alive.
        values = (
            {"epochs": wanted.get("epochs", folder.progress.epochs)}
            if isinstance(folder, Run)
            else {}
        )
        folder.record("queued", server="x", pid=os.getpid(), host="another", **values)

    def cancel(self: Jobs, folder: JobFolder) -> None:
        notes.append(("cancel", folder.path.name, {}))

    monkeypatch.setattr(Jobs, "submit", submit)
    monkeypatch.setattr(Jobs, "cancel", cancel)
    st.cache_data.clear()
    st.cache_resource.clear()
    return notes


def open_page(page: str, run: Run | None = None) -> AppTest:
    """The page as a visitor with that run in the address finds it."""
    app = at_page(page)
    app.session_state["choices"] = Choices(region=REGION)
    app.session_state["draft"] = Draft()
    if run is not None:
        app.query_params["run"] = run.path.name
    return shown(app.run())


def shown(app: AppTest) -> AppTest:
    assert not app.exception, app.exception[0].stack_trace
    return app


def linked(app: AppTest) -> tuple[str, dict[str, Any]] | None:
    """Id and contents of the linked pictures on the page, if there are some."""
    viewers = [
        one.proto for one in app.get("bidi_component") if "viewer" in one.proto.component_name
    ]
    found = {one.id: json.loads(one.json)[0] for one in viewers}
    return next(((id_, data) for id_, data in found.items() if data["mode"] == "look"), None)


def sent(app: AppTest, pane: Mapping[str, str]) -> np.ndarray:
    """The picture that the browser gets for a pane of linked pictures."""
    digest = pane["picture"].encode()
    (found,) = (
        one.proto.bytes.removeprefix(digest)
        for one in app.get("bidi_component")
        if one.proto.bytes.startswith(digest)
    )
    return np.asarray(Picture.open(io.BytesIO(found)).convert("RGB"))


def words(app: AppTest) -> str:
    """All that the page says, in one text."""
    kinds = ("markdown", "caption", "info", "warning", "error", "subheader", "code")
    return "\n".join(element.value for kind in kinds for element in getattr(app, kind))
