"""The built-in sample: a simulated micrograph of crowded cells, with its exact truth.

It is computed from a seed, so a fresh machine can show cells, train and score without a download.
`simulation.tissue` grows the tissue, `simulation.optics` makes the image of it.
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
"""In pixels: the side of one crop of the usual size."""


def sample(shape: tuple[int, int] = (512, 512), *, seed: int = 0) -> Image:
    """Make a micrograph of crowded cells, about 160 of them in 512 × 512 pixels.

    Cells are 30 to 45 pixels across and touch or overlap a little. They differ in brightness,
    texture and how much of their border shows. Nuclei lie off the centre of their cell, so a
    watershed on the distance to them makes errors. About a quarter of the image is empty.

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
        holds the cells 1..N and `truth_nuclei` their nuclei with the same ids. Each is one
        connected region, and a nucleus lies inside its cell. Where cells overlap, each pixel
        belongs to one of them.

    Raises
    ------
    ValueError
        If `shape` is not two whole numbers of at least 64, or `seed` is not a whole number of at
        least 0.

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

    The file holds `image` (H, W, C) and `channels`, and, if the image has them, `cells` and
    `nuclei` (int32 labels) and `ignore` (bool). Roles of channels are not written: `read_image`
    finds them from the names.

    Parameters
    ----------
    image : Image
    path : path
        Its name ends in .npz. Its folder must exist; a file already there is replaced in one step.

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
    # If only nuclei are known, `truth` and `truth_nuclei` are the same.
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
            f"shape is {shape}, but the sample needs (rows, columns) of at least {SMALLEST_SIDE} "
            "each; ask for (512, 512)"
        )
    return rows, cols


def _check_seed(seed: int) -> int:
    try:
        number = operator.index(seed)
    except TypeError:
        number = -1
    if number < 0:
        raise ValueError(f"seed is {seed!r}, but a seed is a whole number of at least 0; take 0")
    return number
