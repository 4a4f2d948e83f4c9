"""Teach the network what a cell is, on simulated cells with exact truth.

    python -m cellcutter_core teach --out FILE

writes the weights that the package ships. No real picture is in it, and no label by hand.
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
from cellcutter_core.network.taught import N_CHANNELS, write_taught
from cellcutter_core.network.unet import UNet
from cellcutter_core.simulation.curriculum import VERSION, fingerprint, lesson
from cellcutter_core.training.crops import Dataset
from cellcutter_core.training.datasets import make_dataset
from cellcutter_core.training.inputs import Inputs

# Steps over which the learning rate rises at the start.
RISING = 200
# A line of progress, and the weights so far, are written every so many steps.
TOLD, WRITTEN = 200, 2000
# New lessons come evenly until this share of the steps is done.
LESSONS_UNTIL = 0.7


class Recipe(Settings):
    """How the weights that the package ships come about; the same recipe gives the same."""

    seed: int = Field(0, ge=0, description="Seed of weights, lessons and batches.")
    steps: int = Field(8_000, ge=1, description="Optimiser steps.")
    lessons: int = Field(700, ge=1, description="Lessons in all.")
    first_lessons: int = Field(60, ge=1, description="Lessons that are made before the first step.")
    kept_lessons: int = Field(350, ge=1, description="Lessons that are kept; the oldest goes.")
    crops: int = Field(24, ge=1, description="Crops a step.")
    pictures: int = Field(4, ge=1, description="Lessons that the crops of a step come from.")
    learning_rate: float = Field(
        2e-3, gt=0, description="Of Adam; it falls along half a cosine to a hundredth."
    )
    averaging: float = Field(
        0.998, ge=0, lt=1, description="Momentum of the running average of the weights."
    )
    without_paths: float = Field(
        0.4, ge=0, le=1, description="Share of pictures that do not show path log-odds."
    )
    alone: float = Field(
        0.12,
        ge=0,
        le=1,
        description="Share of pictures that show neither other markers nor path log-odds.",
    )
    curriculum: int = Field(VERSION, description="Version of the lessons.")

    @property
    def seeds(self) -> range:
        """The seeds of its lessons."""
        return range(self.seed * 100_000, self.seed * 100_000 + self.lessons)


USUAL = Recipe()
"""How the weights that the package ships were taught."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A lesson as crops, and the cells of its markers in their scale, padded like them."""

    data: Dataset
    cells: NDArray[np.int32]


def picture(seed: int, config: Config = QUICK) -> Picture:
    """A lesson as the network sees it, with cells a little larger or smaller than they should be.

    Parameters
    ----------
    seed : int
        Of the lesson.
    config : Config
        Says how crops are made.
    """
    given = lesson(seed)
    assert config.crops.cell_size is not None
    size = config.crops.cell_size * np.random.default_rng([1, seed]).uniform(0.75, 1.35)
    config = config.replace(crops=config.crops.replace(cell_size=size))
    inputs = Inputs(given.image[..., None], given.mask, given.points, given.markers)
    data = make_dataset(inputs, config)
    return Picture(data, np.pad(nearest(given.cells, data.shape), data.crop_size // 2))


def varied(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """The same picture with more or less detail, noise and contrast, standardised.

    Parameters
    ----------
    image : (H, W) float32
        Of mean 0 and variance 1.
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
    """Crops of a few pictures, and their cells.

    Returns
    -------
    crops : (n, S, S, 5) float32
        As `Dataset.crops` gives them; those of a picture in one of eight orientations.
    cells : (n, S, S) float32
        1 on the crop's cell. Pixels of other markers are nobody's.
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
    """Teach a network as the recipe says, and write its weights.

    Cross-entropy with the exact truth, Adam, and a running average of the weights. Lessons are made
    by other processes meanwhile.

    Parameters
    ----------
    out : path
        An .npz file; see `write_taught`.
    recipe : Recipe
    config : Config
        Says what the network is and how crops are made.
    workers : int
        Processes that make lessons.
    report : callable
        Gets a line now and then.
    """
    import keras

    from cellcutter_core.network.rearranged import rearranged

    keras.utils.set_random_seed(recipe.seed)
    network = UNet(config.network)
    trained = rearranged(network.model(N_CHANNELS))
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
    """How many lessons there are at a step."""
    first = min(recipe.first_lessons, recipe.lessons)
    share = min(step / (LESSONS_UNTIL * recipe.steps), 1.0)
    return first + round((recipe.lessons - first) * share)


def _learning_rate(recipe: Recipe, step: int) -> float:
    falling = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / recipe.steps))
    return recipe.learning_rate * min(1.0, (step + 1) / RISING) * falling


def _made_ahead(
    pool: ProcessPoolExecutor, recipe: Recipe, config: Config, *, n_ahead: int
) -> Iterator[Picture]:
    """The recipe's lessons in order, a few of them made before they are asked for."""
    waiting: list[Future[Picture]] = []
    for seed in recipe.seeds:
        waiting.append(pool.submit(picture, seed, config))
        if len(waiting) >= n_ahead:
            yield waiting.pop(0).result()
    for future in waiting:
        yield future.result()
