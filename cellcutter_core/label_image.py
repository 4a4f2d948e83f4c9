"""Label images: checking them, numbering ids without gaps, outlines, and discs around points.

A label image is a (row, col) array of integers in which 0 is background and every other value is
the id of one cell. Ids need not be consecutive, and a cell need not be in one piece.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

LabelImage = npt.NDArray[np.integer[Any]]


def check_labels(labels: npt.ArrayLike, name: str = "labels") -> LabelImage:
    """Return `labels` as an array, or say why it is not a label image.

    Parameters
    ----------
    labels : (H, W) array-like of integers
    name : str
        The caller's name for it, used in the message.

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
            "set all other pixels to 0"
        )
    return image


def as_whole_numbers(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Convert bool and floats that are whole numbers to integers; return anything else unchanged.

    Some programs write labels as floats: ImageJ in 32 bits, NumPy in 64.

    Examples
    --------
    >>> as_whole_numbers(np.array([0.0, 3.0])), as_whole_numbers(np.array([0.0, 0.5]))
    (array([0, 3]), array([0. , 0.5]))
    """
    if values.dtype == np.bool_:
        return values.astype(np.uint8)
    # From 2**53 on, float64 can't represent every whole number.
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
    # A table up to the largest id could take gigabytes here, so look the ids up instead.
    ids = np.unique(labels)
    ids = ids[ids > 0]
    image = np.searchsorted(ids, labels, side="right").astype(np.int32)
    return image, ids.astype(np.int64)


def new_numbers(kept: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """The new number of each label when only some of the labels 1..N are kept.

    Parameters
    ----------
    kept : (N,) bool
        Whether each of the labels 1..N is kept.

    Returns
    -------
    (N + 1,) int32 array
        For the labels 0..N: 1, 2, 3 ... for those kept, 0 for background and for those dropped.

    Examples
    --------
    >>> new_numbers(np.array([True, False, True])).tolist()
    [0, 1, 0, 2]
    """
    numbers = np.zeros(len(kept) + 1, np.int32)
    numbers[1:][kept] = np.arange(1, np.count_nonzero(kept) + 1)
    return numbers


def along_border(labels: LabelImage) -> LabelImage:
    """The labels of the pixels at the border of the image; corner pixels appear twice.

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
        True on pixels of a cell that have a 4-neighbour outside of that cell. The edge of the image
        is not an outline, because the cell may continue beyond it.

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
        ring = at_edges(rest) & (rest > 0)
        edge |= ring
        rest[ring] = 0
    return edge


def at_edges(labels: LabelImage) -> npt.NDArray[np.bool_]:
    """(H, W) bool: True on pixels that have a 4-neighbour with another number."""
    edges = np.zeros(labels.shape, dtype=bool)
    rows, cols = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    edges[1:] |= rows
    edges[:-1] |= rows
    edges[:, 1:] |= cols
    edges[:, :-1] |= cols
    return edges


def distance_inside(labels: LabelImage) -> npt.NDArray[np.float64]:
    """Depth of each pixel inside its label: 1 next to another label or background, 0 outside."""
    from scipy import ndimage

    return np.where(labels > 0, 1 + ndimage.distance_transform_edt(~at_edges(labels)), 0)


def largest_parts(labels: LabelImage) -> npt.NDArray[np.int32]:
    """Reduce every label to its largest 4-connected part; of equal ones to the first.

    Parameters
    ----------
    labels : (H, W) array of non-negative integers

    Returns
    -------
    (H, W) int32 array
        With the same ids.

    Examples
    --------
    >>> largest_parts(np.array([[1, 0, 2, 2, 0, 1], [1, 0, 0, 0, 0, 1], [0, 0, 0, 2, 0, 0]]))
    array([[1, 0, 2, 2, 0, 0],
           [1, 0, 0, 0, 0, 0],
           [0, 0, 0, 0, 0, 0]], dtype=int32)
    """
    from skimage.measure import label as connected

    parts, n_parts = connected(labels, connectivity=1, return_num=True)
    area = np.bincount(parts.ravel(), minlength=n_parts + 1)
    owner = np.zeros(n_parts + 1, np.int64)
    owner[parts.ravel()] = labels.ravel()
    # The parts of each label together, the largest one first.
    order = np.lexsort((-area, owner))
    kept = np.zeros(n_parts + 1, dtype=bool)
    kept[order[1:][np.diff(owner[order]) > 0]] = True
    return np.where(kept[parts], labels, 0).astype(np.int32)


def markers_from_points(
    points: npt.ArrayLike, shape: tuple[int, int], *, radius: float = 3.0
) -> npt.NDArray[np.int32]:
    """Draw a disc around each point.

    Parameters
    ----------
    points : (N, 2) array
        (row, col) in pixels, pixel centres at whole numbers.
    shape : (int, int)
        (H, W) of the image.
    radius : float
        Radius of the discs in pixels, at least 0. Where discs overlap, each pixel goes to the
        nearest point.

    Returns
    -------
    (H, W) int32
        1..N in the order of the points.

    Raises
    ------
    ValueError
        If there are no points, they are not (N, 2) finite numbers, one lies outside of the image,
        or two are in the same pixel; or if `radius` is negative.

    Examples
    --------
    >>> markers_from_points([(0, 1), (1, 4)], (2, 6), radius=1)
    array([[1, 1, 1, 0, 2, 0],
           [0, 1, 0, 2, 2, 2]], dtype=int32)
    """
    from skimage.segmentation import expand_labels

    if not (np.isfinite(radius) and radius >= 0):
        raise ValueError(f"radius is {radius}, but a marker has a radius of at least 0 pixels")
    pixels = point_pixels(points, shape)
    seeds = np.zeros(shape, np.int32)
    seeds[tuple(pixels.T)] = np.arange(1, len(pixels) + 1)
    return np.asarray(expand_labels(seeds, radius), np.int32)


def point_pixels(points: npt.ArrayLike, shape: tuple[int, int]) -> npt.NDArray[np.int64]:
    """(N, 2) int64: the pixels that points are in. A ValueError says what is wrong with them."""
    given: npt.NDArray[Any] = np.asarray(points)
    if given.size == 0:
        raise ValueError(
            "points is empty, but at least one marker is needed; give (row, col) pairs"
        )
    if given.ndim != 2 or given.shape[1] != 2 or given.dtype.kind not in "iuf":
        raise ValueError(
            f"points is {given.dtype} of shape {given.shape}, but has to be numbers of shape "
            "(N, 2): one (row, col) for each marker"
        )
    if not np.isfinite(given).all():
        bad = int(np.flatnonzero(~np.isfinite(given).all(axis=1))[0])
        raise ValueError(
            f"points[{bad}] is {tuple(given[bad].tolist())}, which is not a position in an image; "
            "leave the point out"
        )
    rounded = np.floor(given.astype(np.float64) + 0.5)
    # Compared as floats, because a point far outside may not fit into int64.
    outside = ((rounded < 0) | (rounded >= shape)).any(axis=1)
    if outside.any():
        bad = int(np.flatnonzero(outside)[0])
        hint = "give (row, col), not (x, y)" if _fits_turned(rounded, shape) else "leave them out"
        raise ValueError(
            f"points: {np.count_nonzero(outside)} of {len(rounded)} lie outside of the image of "
            f"shape {tuple(shape)}, first points[{bad}] = {tuple(given[bad].tolist())}; {hint}"
        )
    pixels = rounded.astype(np.int64)
    _, first, times = np.unique(pixels, axis=0, return_index=True, return_counts=True)
    if (times > 1).any():
        bad = int(first[times > 1].min())
        raise ValueError(
            f"points: {int((times[times > 1] - 1).sum())} in the same pixel as another, "
            f"first at (row, col) {tuple(pixels[bad].tolist())}; give each cell one point"
        )
    return pixels


def _fits_turned(pixels: npt.NDArray[np.float64], shape: tuple[int, int]) -> bool:
    return bool(((pixels[:, ::-1] >= 0) & (pixels[:, ::-1] < shape)).all())
