"""Finds gaps where nothing was imaged, and fills them with background.

Gaps are the empty parts of a mosaic, which hold a single number, and the frame around a picture, of
any colour. Their edges are not structure of the image, and they would mislead estimates of darkness
and noise. So every automatic step fills them with background.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cellcutter_core.images.local_contrast import noise_level
from cellcutter_core.images.reading.parts import Region

LEAST_SHARE = 0.01
"""Gaps that are a smaller share of the image are ignored."""

SPECK = 15
"""A gap is at least this many pixels wide."""

SMALLEST_SIDE = 64
"""A mosaic is at least this many pixels wide and high."""

STRAIGHT, STRAIGHT_SHARE = 48, 0.8
"""The rim of a gap is the edge of a camera's field: at least the share `STRAIGHT_SHARE` of it runs
along rows or columns for at least `STRAIGHT` pixels. If dark background was cut off at zero, its
rim follows the cells instead."""

LEAST_FRAMED = 16
"""A frame encloses at least this many rows and columns of an image."""

RIM_SHARE = 0.2
"""At most this share of the image's outermost pixels looks like the frame beside them. If it is
more, the frame is dark background that was cut off at zero and continues into the image."""

COLOUR = 2
"""Grey levels of 8 bits by which a line of one colour may vary, as in JPEG."""

JPEG_BLOCK, RINGING = 8, 16
"""JPEG smears a frame over fewer than `JPEG_BLOCK` pixels of the image. This matters only if frame
and image differ by more than four times `RINGING` grey levels."""

BACKGROUND, DARK = 10, 30
"""Percentiles of the image: a typical pixel of its background, and the limit of certainly dark
pixels."""


def gaps(
    channel: npt.NDArray[Any], *, nothing: float | None = None
) -> npt.NDArray[np.bool_] | None:
    """Find gaps where nothing was imaged.

    Parameters
    ----------
    channel : (H, W) array
        Gaps hold its smallest number, or are a frame around the image.
    nothing : number, optional
        If `channel` is a part of an image: the number in the gaps of the whole image. Pixels with
        this number are then a gap whatever their share and shape.

    Returns
    -------
    (H, W) bool or None
        None if there is no gap.
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
    """The image inside a frame, as around a screenshot. The sides may differ in colour.

    Parameters
    ----------
    channel : (H, W) array

    Returns
    -------
    (row, col, row, col) or None
        First row and column of the image, and those after the last. None if no side has a frame.
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
    """Peel lines of one colour off all sides until none is left; return the rest of the box."""
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
    """How much a line of one colour may vary: `COLOUR` in 8 bits, also as floats, otherwise 0."""
    if channel.dtype == np.uint8:
        return COLOUR
    some = channel[:: max(1, channel.shape[0] // 50), :: max(1, channel.shape[1] // 50)]
    as_floats = channel.dtype.kind == "f" and bool((some == np.round(some)).all())
    return COLOUR if as_floats and COLOUR < channel.max() - channel.min() <= 255 else 0


def _one_colour(lines: npt.NDArray[Any], tolerance: int) -> int:
    """How many of the first lines have one colour each."""
    for number, line in enumerate(lines):
        low, high = line.min(), line.max()
        if low != high and not (tolerance and int(high) - int(low) <= tolerance):
            return number
    return len(lines)


def _without_ringing(channel: npt.NDArray[Any], box: Region, framed: Mapping[int, float]) -> Region:
    """Take lines off the box into which JPEG has smeared a frame that differs much from it."""
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
    """Sentences that say that there is a frame, or empty parts, and that these are ignored.

    Parameters
    ----------
    channel : (H, W) array
    every : int
        The channel holds every n-th row and column of the image.
    """
    notes = []
    n_rows, n_cols = channel.shape
    top, left, bottom, right = box = frame(channel) or (0, 0, n_rows, n_cols)
    if box != (0, 0, n_rows, n_cols):
        widths = {"above": top, "below": n_rows - bottom, "left": left, "right": n_cols - right}
        where = ", ".join(f"{width * every} {side}" for side, width in widths.items() if width)
        about = "about " if every > 1 else ""
        notes.append(
            f"A frame of one colour lies around the image (pixels: {about}{where}). It is ignored: "
            "no cells are looked for there."
        )
    empty = _in_mosaic(channel, None)
    share = 0.0 if empty is None else np.count_nonzero(empty[top:bottom, left:right]) / empty.size
    if share >= LEAST_SHARE:
        notes.append(
            f"{share:.0%} of the image has the same value, {channel.min():g}, like the empty parts "
            "of a mosaic. They are ignored: no cells are looked for there."
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
        False if they are single pixels, or if their shape follows the cells, like a background
        that was set to NaN.
    """
    rows = np.asarray(~where.all(axis=1))
    cols = np.asarray(~where.all(axis=0))
    if not rows.any():
        return False
    if not where[np.ix_(rows, cols)].any():
        # They are whole rows and columns. These must be at the edges, not in between.
        return all(
            bool(part[np.argmax(part) : len(part) - np.argmax(part[::-1])].all())
            for part in (rows, cols)
        )
    return min(where.shape) >= SMALLEST_SIDE and has_straight_rim(where)


def has_straight_rim(where: npt.NDArray[np.bool_]) -> bool:
    """Whether the rim of a gap is straight, like the edge of a camera's field."""
    sides = (where[1:] != where[:-1], (where[:, 1:] != where[:, :-1]).T)
    n_sides = sum(int(np.count_nonzero(side)) for side in sides)
    straight = sum(_in_long_runs(side) for side in sides)
    return bool(n_sides) and straight >= STRAIGHT_SHARE * n_sides


def in_gaps(pixels: npt.NDArray[Any]) -> tuple[float | None, ...]:
    """For each channel of (H, W, C), the number in the empty parts of a mosaic; None without these.

    Frames are not included; `gaps` finds them in every part of an image.
    """
    channels = np.moveaxis(pixels, -1, 0)
    empty = (_in_mosaic(channel, None) for channel in channels)
    return tuple(
        None if where is None else float(channel.min())
        for where, channel in zip(empty, channels, strict=True)
    )


def filled_gaps(channel: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Fill gaps where nothing was imaged with background; without gaps, return the channel itself.

    Parameters
    ----------
    channel : (H, W) array
        A whole image. For parts of one, see `Background`.

    Returns
    -------
    (H, W) array of the same data type
        Gaps hold background with the noise of dark pixels, from a fixed seed.
    """
    background = Background(channel)
    return background.filled(channel, background.gaps)


class Background:
    """The background of an image, found once for all parts of it.

    Parameters
    ----------
    image : (H, W) array
        Pixels of the whole image.
    """

    def __init__(self, image: npt.NDArray[Any]) -> None:
        self.image = image

    @cached_property
    def gaps(self) -> npt.NDArray[np.bool_] | None:
        """The gaps of the whole image; None if there are none."""
        return gaps(self.image)

    @cached_property
    def _nothing(self) -> tuple[float | None, ...]:
        return in_gaps(self.image[..., None])

    def in_part(self, part: npt.NDArray[Any]) -> npt.NDArray[np.bool_] | None:
        """The gaps in a part of the image; None if there are none."""
        (number,) = self._nothing
        return gaps(part, nothing=number)

    def filled(
        self, part: npt.NDArray[Any], where: npt.NDArray[np.bool_] | None
    ) -> npt.NDArray[Any]:
        """Fill the gaps `where` of a part with background, see `filled_gaps`."""
        # If all of it is a gap, filling adds nothing.
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
        """The brightness of a typical pixel of background, and the noise of dark pixels."""
        imaged = np.ones(self.image.shape, bool) if self.gaps is None else ~self.gaps
        usual, dark = np.percentile(self.image[imaged], (BACKGROUND, DARK))
        noise = noise_level(self.image.astype(np.float32), where=imaged & (self.image <= dark))
        return float(usual), float(noise)


def _opened(empty: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Drop parts narrower than `SPECK`."""
    # The image is taken to continue in the same way beyond its edge.
    padded = np.pad(empty, SPECK, mode="edge")
    inner = ndimage.minimum_filter(padded, SPECK)
    opened = ndimage.maximum_filter(inner, SPECK)[SPECK:-SPECK, SPECK:-SPECK]
    return np.asarray(opened & empty)


def _in_long_runs(sides: npt.NDArray[np.bool_]) -> int:
    """How many of the sides are in a straight run of at least `STRAIGHT`."""
    steps = np.diff(np.pad(sides, ((0, 0), (1, 1))).astype(np.int8).ravel())
    lengths = np.flatnonzero(steps < 0) - np.flatnonzero(steps > 0)
    return int(lengths[lengths >= STRAIGHT].sum())
