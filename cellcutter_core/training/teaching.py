"""Teach the network what a cell is, on simulated cells with exact truth.

    python -m cellcutter_core teach --out FILE

makes the weights in the package, without real images and without labels by hand. A lesson is a
simulated image with its true cells.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import ndimage

from cellcutter_core.config import QUICK, Config, Settings
from cellcutter_core.images.scaling import nearest
from cellcutter_core.network.taught_weights import N_CHANNELS, write_taught
from cellcutter_core.network.unet import UNet
from cellcutter_core.simulation.curriculum import VERSION, fingerprint, lesson
from cellcutter_core.training.crops import Dataset
from cellcutter_core.training.datasets import make_dataset
from cellcutter_core.training.inputs import Inputs

# Number of steps over which the learning rate rises at the start.
RISING = 200
# Number of steps after which progress is reported and the weights are written.
TOLD, WRITTEN = 200, 2000
# New lessons are added evenly until this share of the steps is done.
LESSONS_UNTIL = 0.7


class Recipe(Settings):
    """How a network is taught; the same recipe gives the same weights."""

    seed: int = Field(0, ge=0, description="Seed of weights, lessons and batches.")
    steps: int = Field(8_000, ge=1, description="Optimiser steps.")
    lessons: int = Field(700, ge=1, description="Number of all lessons.")
    first_lessons: int = Field(60, ge=1, description="Lessons that are made before the first step.")
    kept_lessons: int = Field(350, ge=1, description="Lessons kept; the oldest is dropped.")
    crops: int = Field(24, ge=1, description="Crops per step.")
    pictures: int = Field(4, ge=1, description="Lessons that the crops of a step come from.")
    learning_rate: float = Field(
        2e-3, gt=0, description="Learning rate of Adam; it falls along half a cosine to 1 %."
    )
    averaging: float = Field(
        0.998, ge=0, lt=1, description="Momentum of the running average of the weights."
    )
    without_paths: float = Field(
        0.4, ge=0, le=1, description="Share of lessons without path log-odds."
    )
    alone: float = Field(
        0.12,
        ge=0,
        le=1,
        description="Share of lessons without other markers and path log-odds.",
    )
    curriculum: int = Field(VERSION, description="Version of the lessons.")

    @property
    def seeds(self) -> range:
        """The seeds of its lessons."""
        return range(self.seed * 100_000, self.seed * 100_000 + self.lessons)


USUAL = Recipe()
"""The recipe of the weights in the package."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A lesson as a dataset of crops, with its true cells, scaled and padded like the image."""

    data: Dataset
    cells: NDArray[np.int32]


def picture(seed: int, config: Config = QUICK) -> Picture:
    """Make a lesson as the network sees it, with cells slightly larger or smaller than wanted.

    Parameters
    ----------
    seed : int
        Seed of the lesson.
    config : Config
        Settings of the crops.
    """
    given = lesson(seed)
    assert config.crops.cell_size is not None
    size = config.crops.cell_size * np.random.default_rng([1, seed]).uniform(0.75, 1.35)
    config = config.replace(crops=config.crops.replace(cell_size=size))
    inputs = Inputs(given.image[..., None], given.mask, given.points, given.markers)
    data = make_dataset(inputs, config)
    return Picture(data, np.pad(nearest(given.cells, data.shape), data.crop_size // 2))


def varied(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Vary detail, noise and contrast of an image, and standardise it.

    Parameters
    ----------
    image : (H, W) float32
        Image with mean 0 and variance 1.
    rng : numpy.random.Generator
    """
    kind = rng.random()
    if kind < 0.25:
        image = ndimage.gaussian_filter(image, rng.uniform(0.4, 1.5))
    elif kind < 0.4:
        image = image + rng.uniform(0.3, 1) * (image - ndimage.gaussian_filter(image, 2))
    if rng.random() < 0.4:
        noise = rng.standard_normal(image.shape, dtype=np.float32)
        image = image + np.float32(rng.uniform(0, 0.4)) * noise
    if rng.random() < 0.5:
        image = np.sign(image) * np.abs(image) ** np.float32(rng.uniform(0.7, 1.4))
    return np.asarray((image - image.mean()) / image.std(), np.float32)


def batch(
    pictures: list[Picture], recipe: Recipe, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return crops of a few lessons, and their true cells.

    Returns
    -------
    crops : (n, S, S, 5) float32
        As from `Dataset.crops`; all crops of a lesson in the same one of eight orientations.
    cells : (n, S, S) float32
        1 on the crop's cell, except on pixels of other markers.
    """
    xs, ys = [], []
    for _ in range(recipe.pictures):
        picture = pictures[rng.integers(len(pictures))]
        data, n = picture.data, recipe.crops // recipe.pictures
        chosen = rng.choice(len(data), n, replace=len(data) < n)
        x = data.crops(chosen)
        shown = np.pad(varied(data.image[..., 0], rng), data.crop_size // 2)
        x[..., 0] = data.windows(shown, chosen)
        own = data.windows(picture.cells, chosen) == chosen[:, None, None] + 1
        y = (own & (x[..., 2] == 0)).astype(np.float32)
        kind = rng.random()
        if kind < recipe.without_paths:
            x[..., 3] = 0
        if kind < recipe.alone:
            x[..., 2] = 0
        turns = int(rng.integers(4))
        x, y = np.rot90(x, turns, (1, 2)), np.rot90(y, turns, (1, 2))
        if rng.random() < 0.5:
            x, y = x[:, ::-1], y[:, ::-1]
        xs.append(x)
        ys.append(y)
    return np.concatenate(xs), np.concatenate(ys)


def teach(
    out: Path,
    recipe: Recipe = USUAL,
    *,
    config: Config = QUICK,
    workers: int = 1,
    report: Callable[[str], None] = print,
) -> None:
    """Teach a network with a recipe, and write its weights.

    It uses the cross-entropy with the exact truth, Adam, and a running average of the weights.
    Other processes make lessons meanwhile.

    Parameters
    ----------
    out : path
        An .npz file, see `write_taught`.
    recipe : Recipe
    config : Config
        Settings of network and crops.
    workers : int
        Number of processes that make lessons.
    report : callable
        Called with a line of progress now and then.
    """
    import keras

    from cellcutter_core.network.less_arithmetic import faster_model

    keras.utils.set_random_seed(recipe.seed)
    network = UNet(config.network)
    trained = faster_model(network.model(N_CHANNELS))
    optimizer = keras.optimizers.Adam(
        clipnorm=1.0, use_ema=True, ema_momentum=recipe.averaging, ema_overwrite_frequency=None
    )
    trained.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False)
    rng, start, losses = np.random.default_rng(recipe.seed), time.monotonic(), list[float]()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        made = _made_ahead(pool, recipe, config, n_ahead=2 * workers + 2)
        pictures: list[Picture] = []
        n_made = 0
        for step in range(recipe.steps):
            while n_made < _n_lessons(recipe, step):
                pictures = [*pictures, next(made)][-recipe.kept_lessons :]
                n_made += 1
            optimizer.learning_rate.assign(_learning_rate(recipe, step))
            crops, cells = batch(pictures, recipe, rng)
            losses.append(float(trained.train_on_batch(crops, cells[..., None])))
            done = step + 1
            if done % TOLD == 0 or done == recipe.steps:
                report(
                    f"step {done} of {recipe.steps}, {n_made} lessons, loss "
                    f"{np.mean(losses[-TOLD:]):.4f}, {time.monotonic() - start:.0f} s"
                )
            if done % WRITTEN == 0 or done == recipe.steps:
                present = network.weights
                optimizer.finalize_variable_values(trained.trainable_variables)
                about = {**recipe.model_dump(), "fingerprint": fingerprint()}
                write_taught(out, network.weights, about)
                network.set_weights(present, N_CHANNELS)


def _n_lessons(recipe: Recipe, step: int) -> int:
    """Return the number of lessons that are used up to a step."""
    first = min(recipe.first_lessons, recipe.lessons)
    share = min(step / (LESSONS_UNTIL * recipe.steps), 1.0)
    return first + round((recipe.lessons - first) * share)


def _learning_rate(recipe: Recipe, step: int) -> float:
    falling = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / recipe.steps))
    return recipe.learning_rate * min(1.0, (step + 1) / RISING) * falling


def _made_ahead(
    pool: ProcessPoolExecutor, recipe: Recipe, config: Config, *, n_ahead: int
) -> Iterator[Picture]:
    """Yield the recipe's lessons in order; a few are made in advance."""
    waiting: list[Future[Picture]] = []
    for seed in recipe.seeds:
        waiting.append(pool.submit(picture, seed, config))
        if len(waiting) >= n_ahead:
            yield waiting.pop(0).result()
    for future in waiting:
        yield future.result()
