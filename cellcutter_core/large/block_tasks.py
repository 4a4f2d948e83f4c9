"""Process the blocks of a large image, one after the other or as tasks of an executor.

Tasks and this process exchange files in a shared folder, so the executor handles no arrays. Each
task computes in a child process: a graph cut would block the worker's other threads, and the
network's memory is freed with the child.
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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.config import Config, NetworkSettings
from cellcutter_core.files import UNREADABLE, atomic, read_arrays
from cellcutter_core.images.blocks import blocks_of
from cellcutter_core.images.reading.parts import Region
from cellcutter_core.large.large_image import LargeImage
from cellcutter_core.network.backend import backend
from cellcutter_core.network.unet import UNet
from cellcutter_core.processes.wanted_tasks import answer_of, in_order, n_in_flight

Arrays = dict[str, NDArray[Any]]

BYTES_IN_FLIGHT = 16
"""Bytes for each pixel of a block in flight, with its margin: what it gets, and its answer."""


@dataclass(frozen=True, eq=False)
class Block:
    """A block to process.

    Attributes
    ----------
    core : Region
        Its box in the image.
    around : Region
        The same with its margin.
    extra : dict of str to array
        What its processing needs besides the image.
    """

    core: Region
    around: Region
    extra: Arrays


BlockWork = Callable[[Block, LargeImage, Config, UNet | None], Arrays]
"""A module-level function that processes one block. It depends only on its arguments."""


class Here:
    """Process blocks in this process, one after the other.

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
        """Yield the result of each block in order; `{}` where the block is None.

        Raises
        ------
        ValueError
            Whatever is wrong with a block.
        """
        for block in blocks:
            yield {} if block is None else work(block, self._large, config, network)


class Elsewhere(Here):
    """Process blocks as tasks of an executor; the results are the same.

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
        """Yield the result of each block in order; `{}` where the block is None.

        Raises
        ------
        ValueError
            Whatever is wrong with a block; the message begins with its rows and columns.
        """
        network_name = None if network is None else self._written(network)
        folder = str(self._folder)
        about = (folder, self._image.name, work, config, network_name)
        task = (folder, _compute, *about)

        def tasks() -> Iterator[tuple[tuple[str, Region], tuple[Any, ...] | None]]:
            for block in blocks:
                if block is None:
                    yield ("", (0, 0, 0, 0)), None
                    continue
                name = uuid.uuid4().hex
                _write(self._folder / f"{name}-extra.npz", block.extra)
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
        # The name depends only on the network, so that workers can reuse it.
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
        return read_arrays(file)
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
    block = Block(core, around, _read(place / f"{name}-extra.npz"))
    unet = None if network is None else _network(_CachedByName(network, place), config.network)
    _write(place / f"{name}-answer.npz", work(block, _image(place / image), config, unet))


@lru_cache(maxsize=1)
def _image(file: Path) -> LargeImage:
    large: LargeImage = pickle.loads(file.read_bytes())
    return large


@dataclass(frozen=True)
class _CachedByName:
    """A file that is cached by its name, whichever folder it is in."""

    name: str
    folder: Path = field(compare=False)


@lru_cache(maxsize=2)
def _network(file: _CachedByName, settings: NetworkSettings) -> UNet:
    backend()  # It keeps the framework from writing what it finds on the machine.
    return UNet.load(file.folder / file.name, settings)
