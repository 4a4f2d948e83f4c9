"""An image in a file, whose planes and regions are read on request."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cellcutter_core.images.reading.axes import idle_axis
from cellcutter_core.images.reading.contents import Array


@dataclass(frozen=True)
class Stored:
    """An image in a file, whose planes and regions are read on request.

    Attributes
    ----------
    shape : length of each axis
    axes : one letter for each axis
    dtype : data type of the numbers
    read : takes one number or slice for each axis, returns that part as a writable array
    """

    shape: tuple[int, ...]
    axes: str
    dtype: np.dtype[Any]
    read: Callable[[tuple[int | slice, ...]], Array]

    def turned(self, orientation: int) -> Stored:
        """Turn the image as it should be shown, given the orientation number of Exif and TIFF.

        Only the requested part is read from the file.
        """
        rows, cols = self.axes.find("Y"), self.axes.find("X")
        flip_rows, flip_cols = orientation in (3, 4, 6, 7), orientation in (2, 3, 7, 8)
        swapped = orientation in (5, 6, 7, 8)
        if not (flip_rows or flip_cols or swapped) or -1 in (rows, cols):
            return self
        shape = list(self.shape)
        if swapped:
            shape[rows], shape[cols] = shape[cols], shape[rows]

        def read(index: tuple[int | slice, ...]) -> Array:
            there = list(index)
            if swapped:
                there[rows], there[cols] = there[cols], there[rows]
            for axis, flip in ((rows, flip_rows), (cols, flip_cols)):
                if flip:
                    there[axis] = _mirrored(there[axis], self.shape[axis])
            part = self.read(tuple(there))
            kept = [n for n, at in enumerate(index) if isinstance(at, slice)]
            at_rows, at_cols = kept.index(rows), kept.index(cols)
            flipped = [at for at, flip in ((at_rows, flip_rows), (at_cols, flip_cols)) if flip]
            part = np.flip(part, tuple(flipped))
            return np.swapaxes(part, at_rows, at_cols) if swapped else part

        return Stored(tuple(shape), self.axes, self.dtype, read)

    def without_idle(self) -> Stored:
        """The image without the axes that `idle_axis` finds."""
        n = idle_axis(self.shape)
        return self if n is None else self.drop(n).without_idle()

    def without(self, letters: str) -> Stored:
        """The image without those of these axes that have length 1."""
        stored = self
        for n in range(len(self.axes) - 1, -1, -1):
            if self.axes[n] in letters and self.shape[n] == 1:
                stored = stored.drop(n)
        return stored

    def at(self, axis: str, place: int) -> Stored:
        """The part at one index of an axis, without that axis."""
        return self.drop(self.axes.index(axis), place)

    def drop(self, n: int, place: int = 0) -> Stored:
        """The part at one index of the n-th axis, without that axis."""
        return Stored(
            (*self.shape[:n], *self.shape[n + 1 :]),
            self.axes[:n] + self.axes[n + 1 :],
            self.dtype,
            lambda index: self.read((*index[:n], place, *index[n:])),
        )


def _mirrored(span: int | slice, length: int) -> slice:
    """The same span counted from the other end of an axis."""
    assert isinstance(span, slice), "rows and columns are read by spans"
    start, stop, _ = span.indices(length)
    return slice(length - stop, length - start)


def of_frames(
    shape: tuple[int, ...],
    index: tuple[int | slice, ...],
    frame: Callable[[int], Array],
    *,
    lead: int,
) -> Array:
    """A part of an image that is stored in frames, one for each index of its first axes.

    Parameters
    ----------
    shape : lengths of all axes
    index : one number or slice for each axis
    frame : takes the number of a frame, returns the part of it that `index` selects
    lead : number of axes that count frames; the last of them varies fastest
    """
    first = shape[:lead]
    numbers = np.arange(math.prod(first)).reshape(first)[index[:lead]]
    parts = ((at, frame(int(number))) for at, number in np.ndenumerate(numbers))
    at, part = next(parts)
    if numbers.size == 1:
        return part.reshape(*np.shape(numbers), *part.shape)
    found = np.empty((*np.shape(numbers), *part.shape), part.dtype)
    found[at] = part
    for at, part in parts:
        found[at] = part
    return found


def in_memory(array: Array, axes: str) -> Stored:
    """An array that is already in memory, as a `Stored`."""
    return Stored(array.shape, axes, array.dtype, lambda index: np.array(array[index]))


def spans_of(chosen: Mapping[str, int | slice], shape: tuple[int, ...]) -> dict[str, range]:
    """The chosen range of each axis, without axes for which one index is chosen."""
    return {
        axis: range(length)[index]
        for (axis, index), length in zip(chosen.items(), shape, strict=True)
        if isinstance(index, slice)
    }


def spans_and_chunks(
    shape: tuple[int, ...], index: tuple[int | slice, ...], chunks: tuple[int, ...]
) -> tuple[list[range], list[range]]:
    """For each axis: the range that an index chooses, and the chunks that it touches."""
    spans = [
        range(length)[at] if isinstance(at, slice) else range(at, at + 1)
        for at, length in zip(index, shape, strict=True)
    ]
    touched = [
        range(span.start // size, (span.stop - 1) // size + 1)
        for span, size in zip(spans, chunks, strict=True)
    ]
    return spans, touched
