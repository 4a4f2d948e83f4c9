"""Finds pixels cut off at the top of the scale, and tells which part of a flat image is cells.

In an overexposed image cells are flat. So they are in a probability map or label image made by
another program. In such images, smoothness does not tell background from cells, but shape does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cellcutter_core.images.guesses.unimaged_gaps import gaps
from cellcutter_core.label_image import along_border

Bools = npt.NDArray[np.bool_]

LEAST_CLIPPED = 0.01
"""Pixels at the top of the scale are ignored if they are a smaller share than this."""

TOP, PILED_UP = 0.03, 3.0
"""Pixels were cut off if there are more at the top than `PILED_UP` times those in the range just
below it, which is the share `TOP` of the whole range."""

PLATEAU, LEAST_PLATEAU = 0.05, 0.05
"""An end of the range is a plateau if the share `PLATEAU` of the range at this end holds at least
the share `LEAST_PLATEAU` of the pixels."""

AT_TOP = 0.4
"""An image has two levels if at least this share of the pixels of cells is at the top."""

MOST_OUTSIDE, MOST_INSIDE = 0.25, 0.75
"""The bright part is cells if more than `MOST_INSIDE` of the pixels of nuclei are in it, and not
cells if less than `MOST_OUTSIDE` are. In between nuclei do not tell."""

SOLID = 0.65
"""Cells, and clumps of cells, fill at least this share of their convex hulls. It was 0.63 to 0.84
in overexposed images, and 0.40 to 0.58 for the bright background between dark cells."""

EVEN = 0.75
"""Pieces are of about the same size if `n` is more than this share of their number."""

SPECK = 30
"""Pieces with fewer pixels do not count."""

FLOOR, LEAST_AROUND, LEAST_GAPS = 0.15, 0.75, 5
"""Unlike dark cells, gaps between bright cells go down nearly to the darkest pixels of the image
(within the share `FLOOR` of its range). Cells cover more than `LEAST_AROUND` of the image, and
there are at least `LEAST_GAPS` gaps."""

NOISE_FALLS = 2.0
"""The gradient of pure noise is at least this many times smaller after a Gaussian of 2 than after
one of 1. The ratio was 2.2 to 2.6 in the background of nine overexposed images, 1.2 to 1.6 in
cells."""

MOST_LOOKED_AT = 50
"""Most pieces that are measured."""


def at_top(channel: npt.NDArray[Any]) -> Bools | None:
    """Where a channel was cut off at the top of its scale.

    Parameters
    ----------
    channel : (H, W) array of finite numbers

    Returns
    -------
    (H, W) bool or None
        The pixels with the largest number, if they are at least 1 % of all and many more than those
        with nearly as large a number. None if nothing was cut off.
    """
    top, bottom = channel.max(), channel.min()
    clipped = channel == top
    if not bottom < top or clipped.mean() < LEAST_CLIPPED:
        return None
    below = float(top) - TOP * (float(top) - float(bottom))
    rest = channel[~clipped]
    if rest.max() > bottom:
        # With few grey levels, use the next lower level, however far down it is.
        below = min(below, float(rest.max()))
    nearly = np.count_nonzero(channel >= below) - np.count_nonzero(clipped)
    return clipped if np.count_nonzero(clipped) > PILED_UP * nearly else None


def _imaged(channel: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The channel; if it has gaps, only its other pixels, in one row."""
    nothing = gaps(channel)
    return channel if nothing is None or nothing.all() else channel[~nothing][None]


def clipping_notes(
    pixels: npt.NDArray[Any], channels: Sequence[str], used: Iterable[int]
) -> list[str]:
    """A sentence for each channel in use that has many pixels cut off at the top.

    Parameters
    ----------
    pixels : (H, W, C) array
    channels : sequence of C names
    used : iterable of int
        Indices of the channels to look at.
    """
    notes = []
    for index in sorted(set(used)):
        channel = _imaged(pixels[..., index])
        clipped = at_top(channel)
        if clipped is not None:
            notes.append(
                f"{clipped.mean():.0%} of the pixels of {channels[index]} have its highest value, "
                f"{channel.max():g}: brighter values were cut off, and cells are flat there. "
                "Outlines are less certain; look at the mask, and expose less if you can."
            )
    return notes


def middle_of_two(brightness: npt.NDArray[np.float32], level: float) -> float | None:
    """The middle between the two levels of an image that has only two.

    Parameters
    ----------
    brightness : (H, W) float32
    level : float
        Pixels above are cell.

    Returns
    -------
    float or None
        Half way between the median of the pixels below `level` and that of the pixels at the top of
        the range. None if too many of the pixels above `level` are not at the top.
    """
    low, high = float(brightness.min()), float(brightness.max())
    above = brightness > level
    top = brightness >= high - PLATEAU * (high - low)
    if not above.any() or above.all() or np.count_nonzero(top) < AT_TOP * np.count_nonzero(above):
        return None
    return float(np.median(brightness[~above]) + np.median(brightness[top])) / 2


def bright_is_cell(image: npt.NDArray[np.float32], nuclei: Bools | None = None) -> bool | None:
    """Whether the bright part of an image is cells, by its shape, where smoothness misleads.

    Cells contain nuclei. Cells are many pieces, background is one. If cells touch, the gaps between
    them are small and all go down to the background. Background shows only noise.

    Parameters
    ----------
    image : (H, W) float32
        Without hot pixels, not constant.
    nuclei : (H, W) bool, optional
        Where nuclei are, if known.

    Returns
    -------
    bool or None
        None if nothing speaks against judging by smoothness.
    """
    from skimage.filters import threshold_otsu

    smooth = np.asarray(ndimage.gaussian_filter(image, 1.5, truncate=3.0))
    if not smooth.min() < smooth.max():
        return None
    bright = smooth > threshold_otsu(smooth)
    if nuclei is not None and nuclei.any():
        share = float(bright[nuclei].mean())
        if not MOST_OUTSIDE < share < MOST_INSIDE:
            return share > 0.5
    low, high = float(image.min()), float(image.max())
    margin = PLATEAU * (high - low)
    flat_below = float((image <= low + margin).mean()) >= LEAST_PLATEAU
    flat_above = float((image >= high - margin).mean()) >= LEAST_PLATEAU
    clipped = at_top(image) is not None
    made = (flat_below and flat_above) or _in_patches(image)
    if not clipped and not flat_above and not made:
        return None
    pieces = Pieces(bright), Pieces(~bright)
    n_bright, n_dark = (part.n for part in pieces)
    if n_bright >= 3 and n_bright > 2 * n_dark and pieces[0].solid():
        return True
    if clipped and not pieces[1].even and _only_noise(image, ~bright):
        return True
    if n_dark >= 3 and n_dark > 2 * n_bright:
        around = float(bright.mean()) > LEAST_AROUND
        return True if clipped and around and pieces[1].floor(smooth) < FLOOR else None
    if not made:
        return None
    if n_bright < 3 and n_dark < 3:
        # With only one or two cells, most of the border of the image is background.
        return True if along_border(bright).mean() < 0.5 else None
    # Nothing decides, so fluorescence is the better guess.
    return True


class Pieces:
    """The pieces of a part of an image.

    Parameters
    ----------
    part : (H, W) bool
    speck : int
        Pieces with fewer pixels do not count.

    Attributes
    ----------
    area : (N + 1,) float
        Area of each piece in pixels; 0 for the rest of the image and for specks.
    n : float
        Effective number of pieces, weighted by area: close to 1 if one is much larger than the
        others.
    even : bool
        Whether they are of about the same size. Cells are, gaps between cells are not.
    """

    def __init__(self, part: Bools, *, speck: int = SPECK) -> None:
        self.labels, n_all = ndimage.label(part)
        area = np.bincount(self.labels.ravel(), minlength=n_all + 1).astype(np.float64)
        area[0] = 0
        area[area < speck] = 0
        self.area = area
        total = float(area.sum())
        self.n = total**2 / float((area**2).sum()) if total else 0.0
        self.even = self.n > EVEN * np.count_nonzero(area)

    def solid(self) -> bool:
        """Whether pieces fill their convex hulls. Cells do, background between cells does not."""
        from skimage.measure import regionprops

        # The largest pieces make up most of the area.
        ids = np.argsort(self.area)[::-1][:MOST_LOOKED_AT]
        chosen = np.isin(self.labels, ids[self.area[ids] > 0])
        found = regionprops(np.where(chosen, self.labels, 0))
        hulls = float(sum(one.area_convex for one in found))
        return bool(found) and float(sum(one.area for one in found)) > SOLID * hulls

    def floor(self, smooth: npt.NDArray[np.float32]) -> float:
        """How far the lowest parts of larger pieces are above the darkest pixel of the image.

        As a share of the image's range; 1 if there are few pieces.
        """
        large = self.area[self.area > 0]
        ids = np.flatnonzero(self.area >= max(1.0, float(np.median(large))))
        if len(ids) < LEAST_GAPS:
            return 1.0
        floors = [np.percentile(smooth[self.labels == one], 10) for one in ids[:MOST_LOOKED_AT]]
        low = float(smooth.min())
        return float(np.median(floors) - low) / (float(smooth.max()) - low)


def _only_noise(image: npt.NDArray[np.float32], dark: Bools) -> bool:
    """Whether the darkest pixels show only noise, like background, and no structure of cells."""
    inside = ndimage.binary_erosion(dark, iterations=5, border_value=1)
    if not inside.any():
        return False
    inside &= image <= np.median(image[inside])
    fine, coarse = (
        float(np.median(ndimage.gaussian_gradient_magnitude(image, sigma, truncate=3.0)[inside]))
        for sigma in (1, 2)
    )
    return fine > NOISE_FALLS * coarse


def _in_patches(image: npt.NDArray[np.float32]) -> bool:
    """Whether most pixels above the minimum equal their neighbour, as in a label image."""
    same = image[1:] == image[:-1]
    seen = image[1:] > image.min()
    return bool(np.count_nonzero(same & seen) > np.count_nonzero(seen) / 2)
