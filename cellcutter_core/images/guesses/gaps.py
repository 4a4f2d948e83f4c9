"""Where nothing was imaged: the empty parts of a mosaic, which are one number throughout, and the
frame around a picture, of any colour.

The step from them to the background of the image is no structure of it, and what is dark or noisy
cannot be judged by them. So whatever finds something automatically fills them with background.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cellcutter_core.images.local_contrast import noise_level
from cellcutter_core.images.parts import Region

LEAST_SHARE = 0.01
"""Gaps that are a smaller share of the image do no harm."""

SPECK = 15
"""What is narrower than so many pixels is no gap."""

SMALLEST_SIDE = 64
"""No mosaic is narrower than so many pixels."""

STRAIGHT, STRAIGHT_SHARE = 48, 0.8
"""The rim of a gap runs for so many pixels along rows or columns at least, in so large a share: it
is that of a camera's field. Where dark background was cut off at zero it follows the cells."""

LEAST_FRAMED = 16
"""A frame has so many rows and columns of an image in it at least."""

RIM_SHARE = 0.2
"""No more of the image's outermost pixels than this share look like the frame beside them. A dark
background that was cut off at zero goes on beyond its outermost cell."""

COLOUR = 2
"""By so many grey levels of 8 bits a line of one colour may vary, as in JPEG."""

JPEG_BLOCK, RINGING = 8, 16
"""JPEG smears a frame over less than this many pixels of the image; of no interest where the frame
differs from the image by less than four times so many grey levels."""

BACKGROUND, DARK = 10, 30
"""Percentiles of the image: a usual pixel of its background, and what is certainly dark."""


def gaps(
    channel: npt.NDArray[Any], *, nothing: float | None = None
) -> npt.NDArray[np.bool_] | None:
    """Where nothing was imaged.

    Parameters
    ----------
    channel : (H, W) array
        Nothing is the smallest number in it, or what a frame around it is of.
    nothing : number, optional
        What it is in the gaps of the image that this is a part of, where that has some: it is one
        here too, whatever its share and form.

    Returns
    -------
    (H, W) bool or None
        None where there is no gap.
    """
    box = frame(channel)
    found = _in_mosaic(channel, nothing)
    if box is None:
        return found
    top, left, bottom, right = box
    beside = np.ones(channel.shape, bool)
    beside[top:bottom, left:right] = False
    return beside if found is None else beside | found


def frame(channel: npt.NDArray[Any]) -> Region | None:
    """What lies within a frame of one colour, as around a screenshot; or of several, one by one.

    Parameters
    ----------
    channel : (H, W) array

    Returns
    -------
    (row, col, row, col) or None
        First row and column of the image, and those after the last. None where no side has a frame.
    """
    box = top, left, bottom, right = _peeled(channel, (0, 0, *channel.shape))
    if box == (0, 0, *channel.shape) or min(bottom - top, right - left) < LEAST_FRAMED:
        return None
    colours = {
        0: channel[top - 1, left] if top else None,
        1: channel[top, left - 1] if left else None,
        2: channel[bottom, left] if bottom < channel.shape[0] else None,
        3: channel[top, right] if right < channel.shape[1] else None,
    }
    framed = {side: float(colour) for side, colour in colours.items() if colour is not None}
    tolerance = _tolerance(channel)
    if tolerance:
        box = _without_ringing(channel, box, framed)
    for side, colour in framed.items():
        rim = _outermost(channel, box, side)
        if np.mean(np.abs(rim - colour) <= tolerance) > RIM_SHARE:
            return None
    return box


def _peeled(channel: npt.NDArray[Any], box: Region) -> Region:
    """What is left without lines of one colour at all sides, as often as there are some."""
    tolerance = _tolerance(channel)
    top, left, bottom, right = box
    peeled = True
    while peeled and min(bottom - top, right - left) >= LEAST_FRAMED:
        inside = channel[top:bottom, left:right]
        sides = [
            _one_colour(side, tolerance)
            for side in (inside, inside.T, inside[::-1], inside.T[::-1])
        ]
        top, left, bottom, right = (
            top + sides[0],
            left + sides[1],
            bottom - sides[2],
            right - sides[3],
        )
        peeled = any(sides)
    return top, left, bottom, right


def _tolerance(channel: npt.NDArray[Any]) -> int:
    """By how much a line of one colour may vary: in 8 bits, also where they are kept as floats."""
    if channel.dtype == np.uint8:
        return COLOUR
    some = channel[:: max(1, channel.shape[0] // 50), :: max(1, channel.shape[1] // 50)]
    as_floats = channel.dtype.kind == "f" and bool((some == np.round(some)).all())
    return COLOUR if as_floats and COLOUR < channel.max() - channel.min() <= 255 else 0


def _one_colour(lines: npt.NDArray[Any], tolerance: int) -> int:
    """How many of the first lines are of one colour each."""
    for number, line in enumerate(lines):
        low, high = line.min(), line.max()
        if low != high and not (tolerance and int(high) - int(low) <= tolerance):
            return number
    return len(lines)


def _without_ringing(channel: npt.NDArray[Any], box: Region, framed: Mapping[int, float]) -> Region:
    """Without the lines beside a frame into which JPEG has smeared it, where it differs much."""
    top, left, bottom, right = box
    usual = float(np.median(channel[top:bottom, left:right]))
    for _ in range(JPEG_BLOCK - 1):
        smaller = list(box)
        for side, colour in framed.items():
            rim = _outermost(channel, box, side)
            if np.median(np.abs(rim - colour)) < abs(usual - colour) / 4 > RINGING:
                smaller[side] += 1 if side < 2 else -1
        if tuple(smaller) == box or min(bottom - top, right - left) < LEAST_FRAMED:
            break
        box = top, left, bottom, right = smaller[0], smaller[1], smaller[2], smaller[3]
    return box


def _outermost(channel: npt.NDArray[Any], box: Region, side: int) -> npt.NDArray[np.float64]:
    """The pixels of a box at one side: 0 above, 1 left, 2 below, 3 right."""
    top, left, bottom, right = box
    inside = channel[top:bottom, left:right]
    line = (inside[0], inside[:, 0], inside[-1], inside[:, -1])[side]
    return np.asarray(line, np.float64)


def gap_notes(channel: npt.NDArray[Any], *, every: int = 1) -> list[str]:
    """Sentences on a frame around an image and on empty parts of it, and what becomes of them.

    Parameters
    ----------
    channel : (H, W) array
    every : int
        It has every so many pixels of the image.
    """
    notes = []
    n_rows, n_cols = channel.shape
    top, left, bottom, right = box = frame(channel) or (0, 0, n_rows, n_cols)
    if box != (0, 0, n_rows, n_cols):
        widths = {"above": top, "below": n_rows - bottom, "left": left, "right": n_cols - right}
        where = ", ".join(f"{width * every} {side}" for side, width in widths.items() if width)
        about = "about " if every > 1 else ""
        notes.append(
            f"A frame of one colour lies around the image (pixels: {about}{where}). It is taken "
            "for nothing: no cell is looked for there."
        )
    empty = _in_mosaic(channel, None)
    share = 0.0 if empty is None else np.count_nonzero(empty[top:bottom, left:right]) / empty.size
    if share >= LEAST_SHARE:
        notes.append(
            f"{share:.0%} of the image has one value throughout, {channel.min():g}, like the empty "
            "parts of a mosaic. They are taken for nothing: no cell is looked for there."
        )
    return notes


def _in_mosaic(channel: npt.NDArray[Any], nothing: float | None) -> npt.NDArray[np.bool_] | None:
    """The empty parts of a mosaic, see `gaps`."""
    if nothing is not None:
        opened = _opened(channel == nothing)
        return opened if opened.any() else None
    if min(channel.shape) < SMALLEST_SIDE:
        return None
    empty = channel == channel.min()
    if not LEAST_SHARE <= empty.mean() < 1:
        return None
    opened = _opened(empty)
    return opened if opened.mean() >= LEAST_SHARE and has_straight_rim(opened) else None


def is_gap(where: npt.NDArray[np.bool_]) -> bool:
    """Whether pixels without a number are a frame around the image or empty parts of a mosaic.

    Parameters
    ----------
    where : (H, W) bool
        Some are True.

    Returns
    -------
    bool
        False where they are single pixels, or follow what was imaged, as a background does that
        was set to NaN.
    """
    rows = np.asarray(~where.all(axis=1))
    cols = np.asarray(~where.all(axis=0))
    if not rows.any():
        return False
    if not where[np.ix_(rows, cols)].any():
        # All in whole rows and columns: those at the edges, not in between.
        return all(
            bool(part[np.argmax(part) : len(part) - np.argmax(part[::-1])].all())
            for part in (rows, cols)
        )
    return min(where.shape) >= SMALLEST_SIDE and has_straight_rim(where)


def has_straight_rim(where: npt.NDArray[np.bool_]) -> bool:
    """Whether the rim of what was not imaged is that of a camera's field."""
    sides = (where[1:] != where[:-1], (where[:, 1:] != where[:, :-1]).T)
    n_sides = sum(int(np.count_nonzero(side)) for side in sides)
    straight = sum(_in_long_runs(side) for side in sides)
    return bool(n_sides) and straight >= STRAIGHT_SHARE * n_sides


def in_gaps(pixels: npt.NDArray[Any]) -> tuple[float | None, ...]:
    """For each channel of (H, W, C) what stands in the empty parts of a mosaic; None without.

    A frame is found by itself in every part of an image.
    """
    channels = np.moveaxis(pixels, -1, 0)
    empty = (_in_mosaic(channel, None) for channel in channels)
    return tuple(
        None if where is None else float(channel.min())
        for where, channel in zip(empty, channels, strict=True)
    )


def filled_gaps(
    channel: npt.NDArray[Any], *, like: npt.NDArray[Any] | None = None
) -> npt.NDArray[Any]:
    """A channel with background where nothing was imaged; itself where there is no gap.

    Parameters
    ----------
    channel : (H, W) array
    like : (h, w) array, optional
        Pixels of all of the image that this is a part of, with its background.

    Returns
    -------
    (H, W) array of the same data type
        In a gap it is background with the noise of the dark, always the same.
    """
    background = Background(channel if like is None else like)
    return background.filled(
        channel, background.gaps if like is None else background.in_part(channel)
    )


class Background:
    """The background of an image, found once for all parts of it.

    Parameters
    ----------
    image : (H, W) array
        Pixels of all of it.
    """

    def __init__(self, image: npt.NDArray[Any]) -> None:
        self.image = image

    @cached_property
    def gaps(self) -> npt.NDArray[np.bool_] | None:
        """Where nothing was imaged."""
        return gaps(self.image)

    @cached_property
    def _nothing(self) -> tuple[float | None, ...]:
        return in_gaps(self.image[..., None])

    def in_part(self, part: npt.NDArray[Any]) -> npt.NDArray[np.bool_] | None:
        """Where nothing was imaged in a part of it."""
        (number,) = self._nothing
        return gaps(part, nothing=number)

    def filled(
        self, part: npt.NDArray[Any], where: npt.NDArray[np.bool_] | None
    ) -> npt.NDArray[Any]:
        """A part with background in its gaps, see `filled_gaps`."""
        # What there is nothing of but a gap says no more with noise in it.
        if where is None or where.all():
            return part
        values = np.random.default_rng(0).normal(*self._level, int(np.count_nonzero(where)))
        if part.dtype.kind in "iu":
            limits = np.iinfo(part.dtype)
            values = np.clip(np.round(values), limits.min, limits.max)
        filled = part.copy()
        filled[where] = values
        return filled

    @cached_property
    def _level(self) -> tuple[float, float]:
        """A usual pixel of it, and the noise of the dark."""
        imaged = np.ones(self.image.shape, bool) if self.gaps is None else ~self.gaps
        usual, dark = np.percentile(self.image[imaged], (BACKGROUND, DARK))
        noise = noise_level(self.image.astype(np.float32), where=imaged & (self.image <= dark))
        return float(usual), float(noise)


def _opened(empty: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Without what is narrower than `SPECK`."""
    # The image is taken to go on in the same way beyond its edge.
    padded = np.pad(empty, SPECK, mode="edge")
    inner = ndimage.minimum_filter(padded, SPECK)
    opened = ndimage.maximum_filter(inner, SPECK)[SPECK:-SPECK, SPECK:-SPECK]
    return np.asarray(opened & empty)


def _in_long_runs(sides: npt.NDArray[np.bool_]) -> int:
    """How many of the sides lie in a row of at least `STRAIGHT`."""
    steps = np.diff(np.pad(sides, ((0, 0), (1, 1))).astype(np.int8).ravel())
    lengths = np.flatnonzero(steps < 0) - np.flatnonzero(steps > 0)
    return int(lengths[lengths >= STRAIGHT].sum())
