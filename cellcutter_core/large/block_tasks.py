"""Work on the blocks of a large image: here one after the other, or as tasks of an executor.

A task gets the name of a folder that this process and all workers share. The image, the network and
what else a block needs are in files there, and so is the answer: the executor only holds the names
of a few blocks, and this process the arrays of one. The task computes in a child process of its
worker, because a graph cut keeps other threads of a process from working, and a network keeps
memory.
"""

from __future__ import annotations

import hashlib
import pickle
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.config import Config, NetworkSettings
from cellcutter_core.files import UNREADABLE, atomic
from cellcutter_core.images.blocks import blocks_of
from cellcutter_core.images.parts import Region
from cellcutter_core.large.large_image import LargeImage
from cellcutter_core.network.backend import backend
from cellcutter_core.network.unet import UNet
from cellcutter_core.processes.wanted_tasks import answer_of, in_order, n_in_flight

Arrays = dict[str, NDArray[Any]]

BYTES_IN_FLIGHT = 16
"""Bytes for each pixel of a block in flight, with its margin: what it gets, and its answer."""


@dataclass(frozen=True, eq=False)
class Block:
    """A block to be worked on.

    Attributes
    ----------
    core : Region
        Its box in the image.
    around : Region
        The same with its margin.
    given : dict of str to array
        What it gets besides the image.
    """

    core: Region
    around: Region
    given: Arrays


class BlockWork(Protocol):
    """Work on a block that depends on nothing but its arguments. A function of a module."""

    def __call__(
        self, block: Block, large: LargeImage, config: Config, network: UNet | None
    ) -> Arrays: ...


class Here:
    """Work on blocks in this process, one after the other.

    Parameters
    ----------
    large : LargeImage
    """

    def __init__(self, large: LargeImage) -> None:
        self._large = large

    def each(
        self,
        work: BlockWork,
        blocks: Iterable[Block | None],
        config: Config,
        network: UNet | None = None,
    ) -> Iterator[Arrays]:
        """Yield the answer for each block, in order; an empty one for None.

        Raises
        ------
        ValueError
            Whatever is wrong with a block.
        """
        for block in blocks:
            yield {} if block is None else work(block, self._large, config, network)


class Elsewhere(Here):
    """Work on blocks as tasks of an executor; the answers are the same.

    Parameters
    ----------
    large : LargeImage
    executor : Executor
        Its attribute `n_workers` says how many tasks run at once; 1 without.
    folder : Path
        A folder that this process and the workers share. Once it is gone, they stop.
    waiting : callable
        Called while an answer is waited for. An error that it raises ends the work.

    Raises
    ------
    ValueError
        If the image cannot be written to the folder.
    """

    def __init__(
        self,
        large: LargeImage,
        executor: Executor,
        folder: Path,
        *,
        waiting: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(large)
        self._executor, self._folder, self._waiting = executor, folder.absolute(), waiting
        self._image = self._folder / f"image-{uuid.uuid4().hex}.pickle"
        with atomic(self._image) as temporary:
            temporary.write_bytes(pickle.dumps(large.shared(self._folder / "image.npy")))

    def each(
        self,
        work: BlockWork,
        blocks: Iterable[Block | None],
        config: Config,
        network: UNet | None = None,
    ) -> Iterator[Arrays]:
        """Yield the answer for each block, in order; an empty one for None.

        Raises
        ------
        ValueError
            Whatever is wrong with a block; the message begins with its rows and columns.
        """
        given = None if network is None else self._written(network)
        folder = str(self._folder)
        about = (folder, self._image.name, work, config, given)
        task = (folder, _compute, *about)

        def tasks() -> Iterator[tuple[tuple[str, Region], tuple[Any, ...] | None]]:
            for block in blocks:
                if block is None:
                    yield ("", (0, 0, 0, 0)), None
                    continue
                name = uuid.uuid4().hex
                _write(self._folder / f"{name}-given.npz", block.given)
                yield (name, block.core), (*task, name, block.core, block.around)

        for (name, core), ended in in_order(self._executor, tasks(), waiting=self._waiting):
            if not name:
                yield {}
                continue
            try:
                answer_of(ended)
                answer = _read(self._folder / f"{name}-answer.npz")
            except ValueError as error:
                top, left, bottom, right = core
                raise ValueError(
                    f"the block of rows {top} to {bottom - 1} and columns {left} to {right - 1}: "
                    f"{error}"
                ) from error
            for file in self._folder.glob(f"{name}-*.npz"):
                file.unlink(missing_ok=True)
            yield answer

    def _written(self, network: UNet) -> str:
        """Write a network once, and return the name of its file."""
        digest = hashlib.sha256(network.settings.model_dump_json().encode())
        for weight in network.weights:
            digest.update(weight.tobytes())
        # The same network has the same name for every image: workers keep it by that.
        file = self._folder / f"network-{digest.hexdigest()}.keras"
        if not file.exists():
            network.save(file)
        return file.name


def exchanged_bytes(large: LargeImage, executor: Executor) -> float:
    """Return how many bytes the files of `Elsewhere` take at most, for each pixel of the image."""
    blocks = blocks_of(large.shape)
    share = min(n_in_flight(executor) / len(blocks), 1.0)
    return large.bytes_to_share + share * BYTES_IN_FLIGHT


def _write(file: Path, arrays: Arrays) -> None:
    with atomic(file) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]


def _read(file: Path) -> Arrays:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except UNREADABLE as error:
        raise ValueError(f"{file} cannot be read ({error}); check the folder's disk") from error


def _compute(
    folder: str,
    image: str,
    work: BlockWork,
    config: Config,
    network: str | None,
    name: str,
    core: Region,
    around: Region,
) -> None:
    place = Path(folder)
    block = Block(core, around, _read(place / f"{name}-given.npz"))
    taught = network and _network(_Named(network, place), config.network)
    _write(place / f"{name}-answer.npz", work(block, _image(place / image), config, taught or None))


@lru_cache(maxsize=1)
def _image(file: Path) -> LargeImage:
    large: LargeImage = pickle.loads(file.read_bytes())
    return large


@dataclass(frozen=True)
class _Named:
    """A file that is known by its name, wherever it lies."""

    name: str
    folder: Path = field(compare=False)


@lru_cache(maxsize=2)
def _network(file: _Named, settings: NetworkSettings) -> UNet:
    backend()  # It keeps the framework from writing what it finds on the machine.
    return UNet.load(file.folder / file.name, settings)
