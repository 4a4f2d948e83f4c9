"""The built-in sample: a micrograph of crowded cells, made from a seed, with its exact truth.

Nothing is downloaded and nobody's picture is copied, so a fresh machine shows cells, trains and
scores at once. The tissue is grown in `simulation.tissue` and lit in `simulation.optics`.
"""

from __future__ import annotations

import operator
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from cellcutter_core.files import atomic
from cellcutter_core.images.formats.numpy_files import PAPER_CHANNELS
from cellcutter_core.images.image import Image
from cellcutter_core.simulation.optics import micrograph
from cellcutter_core.simulation.tissue import grow_tissue

SMALLEST_SIDE = 64
"""Pixels; one crop of the usual size."""


def sample(shape: tuple[int, int] = (512, 512), *, seed: int = 0) -> Image:
    """Make a micrograph of crowded cells, about 160 of them in 512 × 512 pixels.

    Cells are 30 to 45 pixels across and touch or overlap a little; they differ in brightness,
    texture and how much of their border shows; nuclei lie off their middle, which is what a
    watershed on the distance to them gets wrong. About a quarter of the image is empty.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns, at least 64 each. 512 × 512 takes about a second, and time grows with the
        number of pixels.
    seed : int
        At least 0. The same shape and seed give the same image.

    Returns
    -------
    Image
        `pixels` are uint16, `cell` is the fluorescence and `nucleus` the nucleus channel. `truth`
        holds the whole cells 1..N and `truth_nuclei` the nuclei under the same ids, each one
        connected region and the nucleus inside its cell. Where cells overlap the truth has one
        owner for each pixel.

    Raises
    ------
    ValueError
        If `shape` is not two whole numbers of at least 64, or `seed` is no whole number from 0.

    Examples
    --------
    >>> image = sample((64, 96), seed=1)
    >>> image.pixels.shape, image.channels[image.cell[0]]
    ((64, 96, 3), 'fluorescence')
    """
    rows, cols = _check_shape(shape)
    seed = _check_seed(seed)
    tissue_rng, light_rng = np.random.default_rng(seed).spawn(2)
    tissue = grow_tissue((rows, cols), rng=tissue_rng)
    return Image(
        micrograph(tissue, rng=light_rng),
        PAPER_CHANNELS,
        cell=(0,),
        nucleus=2,
        truth=tissue.cells,
        truth_nuclei=tissue.nuclei,
        name=f"sample {rows}x{cols} seed {seed}",
    )


def save(image: Image, path: str | os.PathLike[str]) -> None:
    """Write an image and its truth into an .npz file that `read_image` reads.

    The file holds `image` (H, W, C), `channels`, and where the image has them `cells`, `nuclei`
    (int32 labels) and `ignore` (bool). Roles of channels are not written: `read_image` finds them
    from the names.

    Parameters
    ----------
    image : Image
    path : path
        Its name ends in .npz. Its folder must exist; a file already there is replaced, in one step.

    Raises
    ------
    ValueError
        If the name does not end in .npz, or the file cannot be written.
    """
    if not os.fspath(path).lower().endswith(".npz"):
        raise ValueError(
            f"path is {os.fspath(path)}, but the file is an .npz; end its name in .npz"
        )
    arrays: dict[str, Any] = {"image": image.pixels, "channels": np.array(image.channels)}
    if image.truth_nuclei is not None:
        arrays["nuclei"] = image.truth_nuclei
    # An image that has only nuclei as truth shows them in both places.
    if image.truth is not None and not _same(image.truth, image.truth_nuclei):
        arrays["cells"] = image.truth
    if image.ignore is not None:
        arrays["ignore"] = image.ignore
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def _same(labels: npt.NDArray[Any], others: npt.NDArray[Any] | None) -> bool:
    return others is not None and np.array_equal(labels, others)


def _check_shape(shape: tuple[int, int]) -> tuple[int, int]:
    try:
        rows, cols = (operator.index(side) for side in shape)
    except (TypeError, ValueError):
        rows = cols = 0
    if min(rows, cols) < SMALLEST_SIDE:
        raise ValueError(
            f"shape is {shape}, but the sample has rows and columns, at least {SMALLEST_SIDE} "
            "each; ask for (512, 512)"
        )
    return rows, cols


def _check_seed(seed: int) -> int:
    try:
        number = operator.index(seed)
    except TypeError:
        number = -1
    if number < 0:
        raise ValueError(f"seed is {seed!r}, but a seed is a whole number from 0; take 0")
    return number
