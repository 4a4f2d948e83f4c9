"""Which axes of an array are rows, columns and channels."""

from __future__ import annotations

import numpy as np

from cellcutter_core.images.reading.contents import Array, Unreadable

MAX_CHANNELS = 8
"""A third axis of at most this length is taken for channels."""


def idle_axis(shape: tuple[int, ...]) -> int | None:
    """An axis of length 1 that can be dropped, if there are more than three axes; None without one.

    Axes before rows and columns are found first.

    Examples
    --------
    >>> idle_axis((1, 5, 20, 30)), idle_axis((5, 20, 30, 1)), idle_axis((1, 20, 30))
    (0, 3, None)
    """
    if len(shape) <= 3 or 1 not in shape:
        return None
    return len(shape) - 1 if shape[0] > 1 and shape[-1] == 1 else shape.index(1)


def without_idle_axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape without the axes that `idle_axis` finds.

    Examples
    --------
    >>> without_idle_axes((1, 1, 5, 20, 30, 1)), without_idle_axes((1, 1, 20, 30))
    ((5, 20, 30), (1, 20, 30))
    """
    while (n := idle_axis(shape)) is not None:
        shape = (*shape[:n], *shape[n + 1 :])
    return shape


def channel_axis(shape: tuple[int, ...], *, n_names: int | None = None) -> int | None:
    """Which axis of an image holds its channels.

    With `n_names` it is the axis of that length. Otherwise it is the last axis if that has at most
    `MAX_CHANNELS` entries, else the first if that has, else the last if it is the shortest.

    Returns
    -------
    int or None
        None for an image of two axes.

    Raises
    ------
    Unreadable
        If the axis cannot be told, or there are not two or three axes.

    Examples
    --------
    >>> channel_axis((512, 512, 3)), channel_axis((2, 512, 512)), channel_axis((512, 512))
    (2, 0, None)
    """
    if len(shape) == 2 and n_names in (None, 1):
        return None
    if len(shape) in (2, 3) and n_names is not None:
        if len(shape) == 3 and n_names in (shape[2], shape[0]):
            return 2 if n_names == shape[2] else 0
        raise Unreadable(
            f"has {n_names} channel name(s) for an image of shape {shape}; save the image as "
            "(rows, columns, channels) and one name for each channel"
        )
    if len(shape) == 3:
        if shape[2] <= MAX_CHANNELS:
            return 2
        if shape[0] <= MAX_CHANNELS:
            return 0
        if shape[2] < min(shape[:2]):
            return 2
    raise Unreadable(
        f"has {len(shape)} {'axis' if len(shape) == 1 else 'axes'} of lengths {shape}; an image "
        f"has two axes, (rows, columns), or a third one, last, of up to {MAX_CHANNELS} channels; "
        "save one plane in that order"
    )


def channels_last(array: Array, *, n_names: int | None = None) -> Array:
    """The array as (H, W, C), without a copy. See `channel_axis`."""
    axis = channel_axis(array.shape, n_names=n_names)
    return array[..., None] if axis is None else np.moveaxis(array, axis, 2)


def to_channels_last(array: Array, axes: str) -> Array:
    """The array as (H, W, C), given the letters of its axes; samples of a colour are channels.

    Raises
    ------
    Unreadable
        If it lacks rows Y or columns X, or if an axis other than these, channels C and samples S is
        longer than 1.
    """
    known = "YXCS"
    for axis, length in zip(axes, array.shape, strict=True):
        if axis not in known and length > 1:
            raise Unreadable(
                f"has an axis {axis} of length {length} (axes {axes} of lengths {array.shape}); "
                "save one plane with axes YX, CYX or YXC"
            )
    array = array.reshape([n for n, axis in zip(array.shape, axes, strict=True) if axis in known])
    axes = "".join(axis for axis in axes if axis in known)
    if "Y" not in axes or "X" not in axes:
        raise Unreadable(f"has no rows and columns, its axes are {axes}; save one plane")
    for axis in known:
        if axis not in axes:
            array, axes = array[..., None], axes + axis
    array = array.transpose([axes.index(axis) for axis in known])
    return array.reshape(*array.shape[:2], -1)
