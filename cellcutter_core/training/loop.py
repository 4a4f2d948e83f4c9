"""Training on the image at hand, as a stream of events that can be watched and stopped."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.arguments import check_argument
from cellcutter_core.config import Config, TrainingSettings
from cellcutter_core.evaluation.metrics import miou
from cellcutter_core.network.backend import Precision, backend
from cellcutter_core.network.taught_weights import read_taught
from cellcutter_core.network.unet import UNet, check_network
from cellcutter_core.training.crops import Dataset, check_dataset
from cellcutter_core.training.events import Epoch, EpochZero, Step
from cellcutter_core.training.inputs import Inputs
from cellcutter_core.training.optimiser import Optimiser
from cellcutter_core.training.predicted_labels import Prediction, predict_cells

# A cell of fewer pixels than this is no cell: when the mean area falls below, the run collapsed.
COLLAPSED_AREA = 4.0
# So many squares are drawn for a step; where none holds a cell it takes neighbouring cells.
MOST_AREAS = 1000


@dataclass(frozen=True, eq=False)
class Validation:
    """Some crops with their true cells, to watch a training by; never trained on.

    Attributes
    ----------
    cells : (K,) int
        Positions of the crops in the (first) dataset.
    cell_pixels : (K, S, S) bool
        True on the crop's cell.
    """

    cells: NDArray[np.intp]
    cell_pixels: NDArray[np.bool_]


@dataclass
class Training:
    """A training that can be watched step by step, left, and gone on with.

    Parameters
    ----------
    data : Dataset or sequence of Dataset
        The image, or several to train on together: a step has crops of one of them, and each cell
        of all is in as many steps as any other, on average.
    network : UNet
        Trained in place.
    settings : TrainingSettings
        How. `settings.precision` is not looked at here: the network has its own.
    validation : Validation, optional
        Crops with truth to watch by.
    epochs_done : int
        How many epochs the network has behind it.
    optimizer_state : list of arrays, optional
        What `state` gave when the training was left; without it the optimiser starts anew.
    unfinished : list of Step
        The steps that the network has behind it of the epoch after these.
    """

    data: Dataset | Sequence[Dataset]
    network: UNet
    settings: TrainingSettings = field(default_factory=TrainingSettings)
    validation: Validation | None = None
    epochs_done: int = 0
    optimizer_state: list[NDArray[Any]] | None = None
    unfinished: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        if isinstance(self.data, Dataset) or not isinstance(self.data, Iterable):
            self._datasets = [self.data]
        else:
            self._datasets = list(self.data)
        if not self._datasets:
            raise ValueError("there is no image to train on; give one dataset or several")
        for dataset in self._datasets:
            check_dataset(dataset)
        check_network(self.network)
        check_argument(
            self.settings, TrainingSettings, "settings", "give TrainingSettings(epochs=30) or such"
        )
        if len({dataset.n_channels for dataset in self._datasets}) > 1:
            raise ValueError("the datasets have different numbers of channels; choose the same")
        for dataset in self._datasets:
            if dataset.crop_size % self.network.stride:
                raise ValueError(
                    f"crop_size must be a multiple of {self.network.stride} for this network, "
                    f"got {dataset.crop_size}"
                )
        self.unfinished = list(self.unfinished)
        if {step.epoch for step in self.unfinished} - {self.epochs_done + 1}:
            raise ValueError(
                f"unfinished has steps of another epoch than {self.epochs_done + 1}, the one after "
                "epochs_done; give those of that epoch alone"
            )
        self._optimiser: Optimiser | None = None
        self._chances = np.array([_steps_to_see_all(d, self.settings) for d in self._datasets])
        self._chances /= self._chances.sum()
        for dataset in self._datasets:
            dataset.set_targets(dataset.discs(self.settings.warm_up_radius))

    @property
    def state(self) -> list[NDArray[Any]]:
        """The optimiser's variables, to go on from here at another time."""
        return self._optimiser.state if self._optimiser else self.optimizer_state or []

    def epoch_zero(self) -> EpochZero:
        """Make the network ready, and say what it is worth before the first step of `run`.

        Its weights are then those that were given, or else random ones.
        """
        return EpochZero(self._start().where.device, self._miou())

    def run(
        self, *, epochs: int | None = None, stop: Callable[[], bool] = lambda: False
    ) -> Iterator[Step | Epoch]:
        """Train until `epochs` epochs are done.

        Parameters
        ----------
        epochs : int, optional
            Number of the last epoch; default that of the settings.
        stop : callable
            Asked before every step, and within one between batches of crops; when it says True the
            stream ends at once. A step that is given up changes nothing. Network, `state`,
            `epochs_done` and `unfinished` are then all that another training needs to go on with
            the next step as if there had been no stop.

        Yields
        ------
        Step or Epoch
            In order. When an `Epoch` comes the network's weights are those of that epoch.
        """
        s = self.settings
        last = s.epochs if epochs is None else epochs
        optimiser = self._start()
        for epoch in range(self.epochs_done + 1, last + 1):
            # Each epoch has a stream of its own: one that is gone on with sees the same crops.
            rng = np.random.default_rng([s.seed, epoch])
            for _ in self.unfinished:
                self._draw(rng)
            for index in range(len(self.unfinished), s.steps):
                made = None
                if not stop():
                    made = self._step(optimiser, rng, epoch, index, last * s.steps, stop)
                if made is None:
                    optimiser.write_back()
                    return
                self.unfinished.append(made)
                yield made
            optimiser.write_back()
            steps, self.unfinished = self.unfinished, []
            self.epochs_done = epoch
            yield self._epoch(epoch, steps, optimiser.where.device)

    def _start(self) -> Optimiser:
        if self._optimiser is None:
            import keras

            keras.utils.set_random_seed(self.settings.seed)
            model = self.network.model(self._datasets[0].n_channels)
            shapes = [dataset.padded_background.shape for dataset in self._datasets]
            extent = (max(n for n, _ in shapes), max(n for _, n in shapes))
            self._optimiser = Optimiser(model, self.settings, backend(), extent)
            if self.optimizer_state:
                self._optimiser.restore(self.optimizer_state)
        return self._optimiser

    def _step(
        self,
        optimiser: Optimiser,
        rng: np.random.Generator,
        epoch: int,
        index: int,
        total: int,
        stop: Callable[[], bool],
    ) -> Step | None:
        s = self.settings
        start = time.perf_counter()
        data, cells, symmetries = self._draw(rng)
        done = (epoch - 1) * s.steps + index
        warm = done < s.warm_up
        losses = optimiser.step(
            data,
            cells,
            symmetries,
            learning_rate=_learning_rate(s, done, total),
            target_weight=1.0 if warm else 0.0,
            stop=stop,
        )
        if losses is None:
            return None
        if not np.isfinite(losses["loss"]):
            raise ValueError(
                f"the loss is {losses['loss']} in step {index + 1} of epoch {epoch}; "
                "start again with a smaller learning rate"
            )
        seconds = time.perf_counter() - start
        return Step(epoch, index + 1, len(cells), seconds, warming_up=warm, losses=losses)

    def _draw(
        self, rng: np.random.Generator
    ) -> tuple[Dataset, NDArray[np.intp], NDArray[np.int64]]:
        """Which crops of which image the next step has, and how each is turned."""
        s, data = self.settings, self._datasets[0]
        # With one there is nothing to draw, and what is drawn after it stays what it was.
        if len(self._datasets) > 1:
            data = self._datasets[rng.choice(len(self._datasets), p=self._chances)]
        cells = data.neighbours(rng, s.crops)
        if s.area is not None:
            drawn = (data.cells_in_area(rng, s.area) for _ in range(MOST_AREAS))
            cells = next((found for found in drawn if len(found)), cells)
        return data, cells, _symmetries(rng, s.symmetries, len(cells))

    def _epoch(self, epoch: int, steps: list[Step], device: str) -> Epoch:
        seconds = sum(step.seconds for step in steps)
        means = {
            name: float(np.mean([step.losses[name] for step in steps])) for name in steps[-1].losses
        }
        # The second half alone: the area that the epoch began with says nothing of its end.
        area = -float(np.mean([step.losses["area"] for step in steps[len(steps) // 2 :]]))
        return Epoch(
            epoch,
            losses=means,
            seconds=seconds,
            device=device,
            miou=self._miou(),
            collapsed=area < COLLAPSED_AREA,
        )

    def _miou(self) -> float | None:
        """Of the validation crops, where there are some."""
        if self.validation is None:
            return None
        data, cells = self._datasets[0], self.validation.cells
        found = self.network.probabilities(data.crops(cells))
        return miou(found > 0.5, self.validation.cell_pixels)


def train(
    data: Dataset | Sequence[Dataset],
    network: UNet,
    settings: TrainingSettings | None = None,
    *,
    validation: Validation | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Step | Epoch]:
    """Train a network on one image or several: a stream of steps and epochs.

    `Training` is the same for those who want to go on later.
    """
    return Training(data, network, settings or TrainingSettings(), validation).run(stop=stop)


def train_and_predict(
    training: Training,
    data: Dataset,
    inputs: Inputs,
    config: Config,
    *,
    epochs: int | None = None,
    epoch_0: bool = True,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Step | tuple[EpochZero | Epoch, Prediction]]:
    """Train, and predict the whole image before the first step and after every epoch.

    Parameters
    ----------
    training : Training
        Of `data`, and perhaps of more datasets.
    data, inputs, config
        The image, as `make_dataset` got it.
    epochs, stop
        See `Training.run`.
    epoch_0 : bool
        Whether to predict before the first step. Where epochs are done already that was long ago,
        and nothing is predicted.
    """
    if epoch_0 and not training.epochs_done and not stop():
        zero = training.epoch_zero()
        yield zero, predict_cells(training.network, data, inputs, config)
    for event in training.run(epochs=epochs, stop=stop):
        if isinstance(event, Step):
            yield event
            continue
        yield event, predict_cells(training.network, data, inputs, config)


def starting_network(
    config: Config,
    data: Dataset,
    *,
    precision: Precision = "float32",
    weights: Sequence[NDArray[Any]] | None = None,
) -> UNet:
    """The network as training on an image begins with it.

    Parameters
    ----------
    config : Config
    data : Dataset
        The crops it is for.
    precision : {"float32", "mixed_bfloat16"}
    weights : sequence of arrays, optional
        To begin with instead of those that the settings say.

    Returns
    -------
    UNet
        Taught on simulated cells, or with weights that are random when it is first used.
    """
    network = UNet(config.network, precision=precision)
    if weights is None and config.network.start == "simulated":
        weights = read_taught()[0]
    if weights is not None:
        network.set_weights(list(weights), data.n_channels)
    return network


def train_self_supervised(
    data: Dataset | Sequence[Dataset],
    network: UNet,
    n_epochs: int = 1,
    *,
    area_size: int | None = 640,
    steps_per_epoch: int = 32,
    lam: float = 1.0,
    seed: int = 0,
    callback: Callable[[Epoch], None] | None = None,
) -> list[Epoch]:
    """Train as the paper's notebook does, and print a line an epoch.

    Parameters
    ----------
    data, network
        As for `train`.
    n_epochs, area_size, steps_per_epoch, lam
        Epochs, side of the random square in pixels, steps an epoch and λ.
    seed : int
        Seed of the weights and of the squares.
    callback : callable, optional
        Gets each `Epoch`.

    Returns
    -------
    list of Epoch
    """
    settings = TrainingSettings(
        epochs=n_epochs, area=area_size, steps=steps_per_epoch, lam=lam, seed=seed
    )
    epochs = []
    for event in train(data, network, settings):
        if isinstance(event, Epoch):
            print(f"Epoch: {event.epoch} -- loss: {event.loss:f}")
            epochs.append(event)
            if callback is not None:
                callback(event)
    return epochs


def _steps_to_see_all(data: Dataset, settings: TrainingSettings) -> float:
    """In how many steps on an image alone each of its cells comes once, on average."""
    if settings.area is None:
        return max(1.0, len(data) / settings.crops)
    return math.prod(max(1.0, (n - data.crop_size + 1) / settings.area) for n in data.shape)


def _learning_rate(settings: TrainingSettings, done: int, total: int) -> float:
    """Constant as published, or falling along half a cosine to a twentieth."""
    if settings.schedule == "constant":
        return settings.learning_rate
    fraction = min(done / max(total - 1, 1), 1.0)
    return settings.learning_rate * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * fraction)))


def _symmetries(rng: np.random.Generator, which: str, n: int) -> NDArray[np.int64]:
    """One for all crops of a step as published, or for each crop its own."""
    if which == "none":
        return np.zeros(n, np.int64)
    if which == "flips":
        return np.full(n, rng.integers(4))
    return rng.integers(8, size=n)
