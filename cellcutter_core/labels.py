"""What a label image is: the one check of it, its ids without gaps, its outlines.

A label image is a (row, col) array of integers in which 0 is background and every other value is
the id of one cell. Ids need not be consecutive, and a cell need not be in one piece.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

LabelImage = npt.NDArray[np.integer[Any]]


def check_labels(labels: npt.ArrayLike, name: str = "labels") -> LabelImage:
    """Return `labels` as an array, or say why it is no label image.

    Parameters
    ----------
    labels : (H, W) array-like of integers
    name : str
        What the caller calls it, for the message.

    Returns
    -------
    (H, W) array
        The same array, not a copy.

    Raises
    ------
    ValueError
        If it is not 2-D, not of an integer dtype, or holds a negative value.
    """
    image = np.asarray(labels)
    if image.ndim != 2:
        raise ValueError(
            f"{name} has shape {image.shape}, but a label image has two axes (row, col); "
            "pass one plane"
        )
    if not np.issubdtype(image.dtype, np.integer):
        raise ValueError(
            f"{name} has dtype {image.dtype}, but a label image holds integers, 0 for background; "
            "convert it, or number the parts of a mask with skimage.measure.label"
        )
    if np.issubdtype(image.dtype, np.signedinteger) and image.size and image.min() < 0:
        raise ValueError(
            f"{name} holds the value {image.min()}, but ids are positive and background is 0; "
            "set what is no cell to 0"
        )
    return image


def as_whole_numbers(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Floats that are whole numbers, and bool, as integers; anything else as it is.

    Programs write labels as floats as well: those of ImageJ in 32 bits, those of NumPy in 64.

    Examples
    --------
    >>> as_whole_numbers(np.array([0.0, 3.0])), as_whole_numbers(np.array([0.0, 0.5]))
    (array([0, 3]), array([0. , 0.5]))
    """
    if values.dtype == np.bool_:
        return values.astype(np.uint8)
    # Beyond these floats no longer tell one whole number from the next.
    if (
        values.dtype.kind == "f"
        and bool((np.abs(values) < 2**53).all())
        and bool((values == np.round(values)).all())
    ):
        return values.astype(np.int64)
    return values


def compact(labels: LabelImage) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Number the cells of a label image 1, 2, 3 ... in the order of their ids.

    Parameters
    ----------
    labels : (H, W) array of non-negative integers

    Returns
    -------
    image : (H, W) int32 array
        0 for background, i + 1 where `labels` is ``ids[i]``.
    ids : (N,) int64 array
        The ids that occur, ascending.

    Examples
    --------
    >>> image, ids = compact(np.array([[0, 7, 7], [900, 0, 7]]))
    >>> image.tolist(), ids.tolist()
    ([[0, 1, 1], [2, 0, 1]], [7, 900])
    """
    if labels.size == 0:
        return np.zeros(labels.shape, np.int32), np.zeros(0, np.int64)
    largest = int(labels.max())
    if largest <= labels.size:
        present = np.zeros(largest + 1, dtype=bool)
        present[labels] = True
        present[0] = False
        ids = np.flatnonzero(present)
        numbers = np.zeros(largest + 1, np.int32)
        numbers[ids] = np.arange(1, len(ids) + 1)
        return numbers[labels], ids.astype(np.int64)
    # A table up to the largest id could be gigabytes here: look the ids up instead.
    ids = np.unique(labels)
    ids = ids[ids > 0]
    image = np.searchsorted(ids, labels, side="right").astype(np.int32)
    return image, ids.astype(np.int64)


def new_numbers(kept: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """The number that each label gets where only some of the labels 1..N are kept.

    Parameters
    ----------
    kept : (N,) bool
        Of the labels 1..N.

    Returns
    -------
    (N + 1,) int32 array
        For the labels 0..N: 1, 2, 3 ... for those that are kept, 0 for background and the others.

    Examples
    --------
    >>> new_numbers(np.array([True, False, True])).tolist()
    [0, 1, 0, 2]
    """
    numbers = np.zeros(len(kept) + 1, np.int32)
    numbers[1:][kept] = np.arange(1, np.count_nonzero(kept) + 1)
    return numbers


def along_border(labels: LabelImage) -> LabelImage:
    """The labels of the pixels at the border of the image, those in its corners more than once.

    Examples
    --------
    >>> along_border(np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]]))
    array([1, 2, 3, 7, 8, 9, 1, 4, 7, 3, 6, 9])
    """
    if not labels.size:
        return labels.ravel()
    return np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])


def outlines(labels: npt.ArrayLike, *, width: int = 1) -> npt.NDArray[np.bool_]:
    """The outermost pixels of every cell.

    Parameters
    ----------
    labels : (H, W) array of integers
        0 for background.
    width : int
        How many rings of pixels.

    Returns
    -------
    (H, W) bool array
        True on pixels of a cell whose 4-neighbour is not of that cell. The edge of the image is no
        outline: the cell goes on behind it.

    Examples
    --------
    >>> outlines(np.array([[1, 1, 1, 2, 2, 2], [1, 1, 1, 2, 2, 2]])).astype(int)
    array([[0, 0, 1, 1, 0, 0],
           [0, 0, 1, 1, 0, 0]])
    """
    rest = check_labels(labels).copy()
    if width < 1:
        raise ValueError(f"width is {width}, but an outline has at least one ring of pixels")
    edge = np.zeros(rest.shape, dtype=bool)
    for _ in range(width):
        ring = np.zeros(rest.shape, dtype=bool)
        rows, cols = rest[1:] != rest[:-1], rest[:, 1:] != rest[:, :-1]
        ring[1:] |= rows
        ring[:-1] |= rows
        ring[:, 1:] |= cols
        ring[:, :-1] |= cols
        ring &= rest > 0
        edge |= ring
        rest[ring] = 0
    return edge
