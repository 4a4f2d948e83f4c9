"""The run directory: everything about a training, in files that are whole or not there.

    RUN/
      run.json          what it was made from, see `runs.description`
      inputs.npz        what is trained on: image, mask, markers, nuclei
      others/0001.npz   another image to train on, with its mask and markers; beside it what was
                        found in it, see `apply.training_images.write_others`
      start.npz         weights to begin with, of a run that was trained again from another
      truth.npz         true labels and validation crops, if known; read for scores alone
      events.jsonl      one line for each thing that happened
      epochs/0001.npz   labels, borders and probability of an epoch; 0000.npz is what the network
                        said before it was trained on this image
      model.keras       the network of the last epoch
      state.npz         what to go on from: weights, optimiser, steps done of an unfinished epoch
      baseline.npz      labels of the baselines, see `training.inputs.baselines`
      applied/          what its network found in other images, see `apply.application_folder`
      log.txt           what the process printed
      stop              there when somebody asked the run to stop
  lock              there while a process works on the run

One `Run` reads and writes it all, for the page, the command line and a notebook alike. Events and
epochs are only ever added; a line that was torn by a crash is ignored.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.arguments import naming
from cellcutter_core.config import Config
from cellcutter_core.files import UNREADABLE, atomic, explaining, read_arrays
from cellcutter_core.limits import check_free, check_pixels
from cellcutter_core.runs.description import Description
from cellcutter_core.runs.job_folder import JobFolder
from cellcutter_core.runs.job_status import Status, status_of
from cellcutter_core.runs.lock import alive
from cellcutter_core.shortest_paths.watershed import BASELINES
from cellcutter_core.training.events import Step, event_record, recorded_step
from cellcutter_core.training.inputs import Inputs, Truth
from cellcutter_core.training.predicted_labels import Prediction

if TYPE_CHECKING:
    from cellcutter_core.images.image import Image
    from cellcutter_core.runs.other_images import Other


@dataclass(frozen=True)
class Progress:
    """What the events of a run amount to; see `progress`.

    Attributes
    ----------
    status : str
        "queued" before the process starts and when it is to go on, then "running", and at the end
        "finished", "stopped" (it was asked to), "failed" (it said why) or "crashed" (it is gone
        and said nothing).
    message : str
        Why it failed, or why it stopped without being asked to, in one line; else empty.
    epochs_done, epochs : int
        How far it is, and how far it is to go. Epoch 0 is before the training and does not count.
    step, steps : int
        The same within the epoch after these. Where it does not run, `step` is the last one that
        was kept: from there it goes on.
    seconds : float
        Time spent on the steps of whole epochs.
    seconds_left : float or None
        Estimate from the speed of the last epoch, or of the steps before there is one.
    collapsed : bool
        Whether the last epoch had only empty cells.
    epoch_events : tuple of dict
        The events of its epochs, in order. That of epoch 0, which runs from before there was one
        lack, has no loss.
    continued : tuple of int
        After which epochs it was gone on with to more epochs than it was to have before.
    """

    status: Status
    message: str
    epochs_done: int
    epochs: int
    step: int
    steps: int
    seconds: float
    seconds_left: float | None
    collapsed: bool
    epoch_events: tuple[Mapping[str, Any], ...]
    continued: tuple[int, ...] = ()

    @property
    def trained_events(self) -> tuple[Mapping[str, Any], ...]:
        """The events of the epochs that were trained: all but epoch 0."""
        return tuple(event for event in self.epoch_events if event["epoch"])

    @property
    def scores(self) -> Mapping[str, Any] | None:
        """Scores after the last trained epoch; None if the truth is not known."""
        trained = self.trained_events
        return trained[-1].get("scores") if trained else None

    @property
    def n_left(self) -> int:
        """Number of epochs that are not trained yet."""
        return max(self.epochs - self.epochs_done, 0)

    @property
    def kept(self) -> str:
        """What was done, in words: "2 of 8 epochs and 12 of 32 steps of epoch 3"."""
        epochs = f"{self.epochs_done} of {self.epochs} epochs"
        if not self.step:
            return epochs
        return f"{epochs} and {self.step} of {self.steps} steps of epoch {self.epochs_done + 1}"


class State(NamedTuple):
    """All that a training needs to go on.

    Attributes
    ----------
    epochs_done : int
    weights, optimizer : list of array
        After the last of `unfinished`, else after that epoch.
    unfinished : list of Step
        The steps that were done of the next epoch.
    """

    epochs_done: int
    weights: list[NDArray[Any]]
    optimizer: list[NDArray[Any]]
    unfinished: list[Step]


class Run(JobFolder):
    """A run directory.

    Raises
    ------
    ValueError
        If the folder is not there, or is none that `Run.create` wrote.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        self.description = Description.read(self.path / "run.json")

    @property
    def config(self) -> Config:
        """All settings."""
        return self.description.config

    @property
    def id(self) -> str:
        """Its id: the name of its folder."""
        return self.path.absolute().name

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        inputs: Inputs,
        config: Config,
        *,
        truth: Truth | None = None,
        unseen: Mapping[str, NDArray[Any]] | None = None,
        others: Sequence[Other] = (),
        start: Sequence[NDArray[Any]] | None = None,
        description: Mapping[str, Any] | None = None,
    ) -> Run:
        """Write a new run, ready to be worked on.

        Parameters
        ----------
        path : path
            A new folder, or one without a run.
        inputs : Inputs
        config : Config
        truth : Truth, optional
        unseen : mapping of str to (H, W) array, optional
            Channels that the network does not see; cells are measured in them as well.
        others : sequence of Other, optional
            More images to train on.
        start : sequence of arrays, optional
            Weights of a network of these settings to begin with, instead of random ones.
        description : mapping, optional
            Attributes of its `Description`, besides the settings and the time.

        Raises
        ------
        ValueError
            If there is a run already, the image has more pixels than this server works on at once,
            the disk is nearly full, or the folder cannot be written.
        """
        path = Path(path)
        if (path / "run.json").exists():
            raise ValueError(f"there is already a run in {path}; choose another folder")
        check_pixels(inputs.mask.shape)
        check_free(path)
        with explaining(f"cannot write {path}", "choose another folder"):
            # Another attempt was killed before it wrote the description. What it left would count.
            if (path / "inputs.npz").exists() and (path / "epochs").is_dir():
                for name in ("truth.npz", "unseen.npz", "start.npz", "others/[0-9]*.npz"):
                    for left in path.glob(name):
                        left.unlink()
            (path / "epochs").mkdir(parents=True, exist_ok=True)
        _save(path / "inputs.npz", inputs.arrays())
        if truth is not None:
            _save(path / "truth.npz", truth.arrays())
        if unseen:
            channels = {f"channel_{i}": channel for i, channel in enumerate(unseen.values())}
            _save(path / "unseen.npz", {"names": np.array(list(unseen)), **channels})
        for number, other in enumerate(others, 1):
            (path / "others").mkdir(exist_ok=True)
            _save(path / "others" / f"{number:04d}.npz", other.arrays())
        if start is not None:
            weights = {f"weight{i:05d}": value for i, value in enumerate(start)}
            _save(path / "start.npz", weights, small=False)
        # Last: a folder with a run.json has everything a run needs.
        about = {**(description or {}), "created": time.time(), "config": config}
        Description(**about).write(path / "run.json")
        return cls(path)

    @classmethod
    def of_image(
        cls,
        path: str | os.PathLike[str],
        image: Image,
        config: Config,
        prepared: tuple[Inputs, Truth | None],
        /,
        *,
        others: Sequence[Other] = (),
        **known: Any,
    ) -> Run:
        """Write a new run on an image, ready to be worked on, and describe it.

        Parameters
        ----------
        path : path
            A new folder, or one without a run.
        image : Image
            The image or region to train on.
        config : Config
        prepared : (Inputs, Truth or None)
            What `pipeline.prepare` returned for this image.
        others : sequence of Other, optional
            More images to train on.
        known
            More attributes of the description. They take precedence over those of the image.

        Raises
        ------
        ValueError
            As `create`, and if cells are to be made as large as a crop.
        """
        from cellcutter_core.training.image_inputs import (
            check_cell_size,
            seen_names,
            unseen_channels,
        )

        check_cell_size(config)
        inputs, truth = prepared
        (top, left), (n_rows, n_cols) = image.origin, image.shape
        about = {
            "image": image.name,
            "pixel_size": image.pixel_size,
            **image.roles,
            "channels": seen_names(image, config),
            "region": (top, left, top + n_rows, left + n_cols),
            "whole": image.whole_shape or (None if image.is_region else image.shape),
            "others": [other.image.name for other in others],
        }
        return cls.create(
            path,
            inputs,
            config,
            truth=truth,
            unseen=unseen_channels(image, config),
            others=others,
            description={**about, **known},
        )

    def describe(self, **values: Any) -> None:
        """Change some attributes of the description.

        Raises
        ------
        ValueError
            If it cannot be written, or belongs to another person.
        """
        self.check_changeable()
        self.description = self.description.replace(**values)
        self.description.write(self.path / "run.json")

    @property
    def inputs(self) -> Inputs:
        """What the run was given."""
        return Inputs.from_arrays(_load(self.path / "inputs.npz"))

    def check_markers(self, check: Callable[[Inputs], NDArray[np.bool_]]) -> None:
        """Drop markers of the run's own image and of its others, where they are not final.

        Before the first epoch alone. What was dropped is recorded, see `dropped_markers`.

        Parameters
        ----------
        check : callable
            (N,) bool of some inputs: which of their markers stay.
        """
        before = self.inputs
        if not before.final:
            kept = check(before)
            # In this order: a process that ends in between does both once more.
            self.record("markers", dropped=before.points[~kept].tolist())
            self._save("inputs.npz", before.only(kept).arrays())
        for file, other in zip(self.other_files, self.others, strict=True):
            if not other.inputs.final:
                with naming(other.image.name):
                    kept = check(other.inputs)
                self._save(
                    f"others/{file.name}", replace(other, inputs=other.inputs.only(kept)).arrays()
                )

    @property
    def dropped_markers(self) -> list[tuple[float, float]]:
        """(row, col) of the markers that were found and have no cell of their own."""
        found = [event["dropped"] for event in self.events() if event["kind"] == "markers"]
        return [(row, col) for row, col in (found[-1] if found else [])]

    @property
    def truth(self) -> Truth | None:
        """True labels to score by, or None."""
        file = self.path / "truth.npz"
        return Truth.from_arrays(_load(file)) if file.exists() else None

    @property
    def unseen(self) -> dict[str, NDArray[Any]]:
        """(H, W) channels of the image that the network does not see, by name."""
        file = self.path / "unseen.npz"
        if not file.exists():
            return {}
        arrays = _load(file)
        return {str(name): arrays[f"channel_{i}"] for i, name in enumerate(arrays["names"])}

    @property
    def other_files(self) -> list[Path]:
        """The files of more images that are trained on, in their order."""
        return sorted(
            file
            for file in (self.path / "others").glob("*.npz")
            if re.fullmatch(r"\d{4,}", file.stem)
        )

    @property
    def others(self) -> list[Other]:
        """More images that are trained on; none as a rule."""
        files = self.other_files
        if not files:
            return []
        from cellcutter_core.runs.other_images import Other

        return [Other.from_arrays(_load(file)) for file in files]

    @property
    def start(self) -> list[NDArray[Any]] | None:
        """Weights that the network begins with, or None for random ones."""
        file = self.path / "start.npz"
        return weights_in(_load(file)) if file.exists() else None

    @property
    def baselines(self) -> dict[str, NDArray[np.int32]]:
        """(H, W) labels of each baseline by its name; none before the run has begun."""
        file = self.path / "baseline.npz"
        arrays = _load(file) if file.exists() else {}
        return {
            self._only_baseline if name == "labels" else name: labels.astype(np.int32)
            for name, labels in arrays.items()
        }

    @baselines.setter
    def baselines(self, labels: Mapping[str, NDArray[np.int32]]) -> None:
        self._save("baseline.npz", labels)

    @property
    def baseline_scores(self) -> dict[str, Mapping[str, Any]]:
        """Scores of each baseline by its name, where there is truth."""
        found = {
            event.get("name", self._only_baseline): event["scores"]
            for event in self.events()
            if event["kind"] == "baseline" and event.get("scores")
        }
        return {name: found[name] for name in BASELINES if name in found}

    @property
    def _only_baseline(self) -> str:
        """Which one it is where a run has only one, as earlier ones did, and does not name it."""
        return "paths" if self.description.guided else "watershed"

    @property
    def model_file(self) -> Path:
        """Where the last epoch's network is."""
        return self.path / "model.keras"

    def _save(self, name: str, arrays: Mapping[str, NDArray[Any]], *, small: bool = True) -> None:
        self.check_lock()
        _save(self.path / name, arrays, small=small)

    # Events -------------------------------------------------------------------------------------

    @property
    def progress(self) -> Progress:
        """Where the run stands now."""
        return progress(self.events(), self.config, alive=partial(alive, self.path))

    # Epochs -------------------------------------------------------------------------------------

    def add_epoch(self, epoch: int, drawing: Prediction) -> None:
        """Store what an epoch looks like."""
        small: type[np.integer[Any]] = np.int32
        if drawing.labels.max(initial=0) < 2**16:
            small = np.uint16
        self._save(
            f"epochs/{epoch:04d}.npz",
            {
                "labels": drawing.labels.astype(small),
                "borders": drawing.borders,
                "probability": np.round(drawing.probability * 255).astype(np.uint8),
            },
        )

    @property
    def epochs(self) -> list[int]:
        """Numbers of the stored epochs, ascending."""
        names = (file.name for file in (self.path / "epochs").glob("*.npz"))
        return sorted(int(m[1]) for name in names if (m := re.fullmatch(r"(\d{4,})\.npz", name)))

    def epoch(self, number: int) -> Prediction:
        """What an epoch looks like.

        Raises
        ------
        ValueError
            If there is no such epoch; the message lists those there are.
        """
        file = self.path / "epochs" / f"{number:04d}.npz"
        if not file.exists():
            there = ", ".join(map(str, self.epochs)) or "none yet"
            raise ValueError(f"{self.path} has no epoch {number}; it has {there}")
        arrays = _load(file)
        return Prediction(
            arrays["labels"].astype(np.int32),
            arrays["borders"],
            np.asarray(arrays["probability"] / 255, np.float32),
        )

    # State to go on from ------------------------------------------------------------------------

    def save_state(self, state: State) -> None:
        """Store all that the next step needs, in one file: a crash leaves the last whole one."""
        steps = json.dumps([event_record(step) for step in state.unfinished])
        arrays = {"epoch": np.asarray(state.epochs_done), "unfinished": np.asarray(steps)}
        arrays |= {f"weight{i:05d}": value for i, value in enumerate(state.weights)}
        arrays |= {f"optimizer{i:05d}": value for i, value in enumerate(state.optimizer)}
        self._save("state.npz", arrays, small=False)

    def load_state(self) -> State | None:
        """What `save_state` stored last; None before the first."""
        if not (self.path / "state.npz").exists():
            return None
        arrays = _load(self.path / "state.npz")
        optimizer = [arrays[name] for name in sorted(arrays) if name.startswith("optimizer")]
        # Runs of before kept whole epochs alone.
        steps = json.loads(arrays["unfinished"].item()) if "unfinished" in arrays else []
        unfinished = [recorded_step(step) for step in steps]
        return State(int(arrays["epoch"]), weights_in(arrays), optimizer, unfinished)

    def recorded_steps(self, epoch: int) -> list[Step]:
        """Return the steps of an epoch in order, as the events tell them; each once."""
        found = {
            event["step"]: recorded_step(
                {name: value for name, value in event.items() if name not in ("kind", "time")}
            )
            for event in self.events()
            if event["kind"] == "step" and event["epoch"] == epoch
        }
        return [found[step] for step in sorted(found)]


def weights_in(arrays: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """The weights of a network in a file of arrays, in their order."""
    return [arrays[name] for name in sorted(arrays) if name.startswith("weight")]


def progress(events: list[dict[str, Any]], config: Config, *, alive: Any = None) -> Progress:
    """What a run's events amount to. Pure: nothing is read, only `alive` is asked.

    Parameters
    ----------
    events : list of dict
        As `Run.events` gives them.
    config : Config
        The run's settings.
    alive : callable, optional
        `alive(pid, host)` says whether the process of that number still runs.
    """
    status, message = status_of(events, alive)
    epochs, step = config.training.epochs, 0
    # How many steps of the epoch that has begun are stored.
    kept = 0
    started: Mapping[str, Any] = {}
    # Of the last process that worked on it.
    taken: list[Mapping[str, Any]] = []
    done: dict[int, Mapping[str, Any]] = {}
    continued: list[int] = []
    for event in events:
        match event["kind"]:
            case "queued":
                step, epochs = kept, event.get("epochs") or epochs
            case "started":
                n_done = sum(number > 0 for number in done)
                if n_done and event.get("epochs", 0) > started.get("epochs", epochs):
                    continued.append(n_done)
                step, taken, started = kept, [], event
                epochs = event.get("epochs", epochs)
            case "step":
                step = event["step"]
                taken.append(event)
            case "saved":
                kept = event["step"]
            case "epoch":
                done[event["epoch"]], step, kept = event, 0, 0
            case "finished" | "stopped" | "failed":
                step = kept
    if status == "crashed":
        step = kept
    ordered = tuple(done[number] for number in sorted(done))
    trained = [event for event in ordered if event["epoch"]]
    steps, left = config.training.steps, None
    # The first step of a process builds the network; it says nothing of those after it.
    recent = [event["seconds"] for event in taken[1:][-steps:]]
    if not recent and trained:
        recent = [trained[-1]["seconds"] / steps]
    if recent:
        left = (max(epochs - len(trained), 0) * steps - step) * sum(recent) / len(recent)
    return Progress(
        status=status,
        message=message,
        epochs_done=len(trained),
        epochs=epochs,
        step=step,
        steps=steps,
        seconds=float(sum(event["seconds"] for event in trained)),
        seconds_left=left,
        collapsed=bool(trained and trained[-1].get("collapsed")),
        epoch_events=ordered,
        continued=tuple(continued),
    )


def _save(file: Path, arrays: Mapping[str, NDArray[Any]], *, small: bool = True) -> None:
    with atomic(file) as temporary, temporary.open("wb") as stream:
        write: Any = np.savez_compressed if small else np.savez
        write(stream, **arrays)


def _load(file: Path) -> Mapping[str, NDArray[Any]]:
    try:
        return read_arrays(file)
    except FileNotFoundError:
        raise ValueError(f"{file} is missing; the run did not get that far") from None
    except UNREADABLE as error:
        raise ValueError(f"{file} is damaged ({error}); start the run again") from None
