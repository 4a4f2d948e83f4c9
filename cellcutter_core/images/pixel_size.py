"""The size of a pixel in micrometres; a pixel need not be square."""

from __future__ import annotations

import math
from collections.abc import Sequence

PixelSize = float | tuple[float, float]
"""The side of a square pixel in µm, or height and width: the distances between rows and between
columns."""

LARGEST_OF_RESOLUTION = 10.0
"""A resolution per inch, centimetre or metre is meant for print or a screen, such as 300 dpi, if
pixels would be larger than this many µm."""

SAME = 1e-4
"""Height and width that differ by less than this share are equal but for rounding."""


def checked(pixel_size: float | Sequence[float] | None) -> PixelSize | None:
    """Check a pixel size from a user or a file; one number if height and width are equal.

    Raises
    ------
    ValueError
        If it is not one or two finite positive numbers.

    Examples
    --------
    >>> checked(0.5), checked((0.4, 0.2)), checked([0.3, 0.3]), checked(None)
    (0.5, (0.4, 0.2), 0.3, None)
    """
    if pixel_size is None:
        return None
    sides = list(pixel_size) if isinstance(pixel_size, Sequence) else [pixel_size] * 2
    try:
        height, width = map(float, sides)
    except (TypeError, ValueError):
        height = width = math.nan
    found = of_sides(height, width)
    if found is None or len(sides) != 2 or not all(_is_size(side) for side in (height, width)):
        raise ValueError(
            f"pixel_size is {pixel_size}, but must be a positive number of micrometres per pixel, "
            "or two of them, height and width; leave it out if it is not known"
        )
    return found


def of_sides(height: float | None, width: float | None) -> PixelSize | None:
    """The pixel size from the sides that a file gives; if it gives one, the pixel is square.

    Examples
    --------
    >>> of_sides(0.4, 0.2), of_sides(None, 0.2), of_sides(0.0, 0.2), of_sides(None, float("inf"))
    ((0.4, 0.2), 0.2, 0.2, None)
    """
    known = [side for side in (height, width) if side is not None and _is_size(side)]
    if not known:
        return None
    if len(known) == 2 and not math.isclose(*known, rel_tol=SAME):
        return known[0], known[1]
    return known[-1]


def height_and_width(pixel_size: PixelSize) -> tuple[float, float]:
    """Both sides in µm."""
    return pixel_size if isinstance(pixel_size, tuple) else (pixel_size, pixel_size)


def are_same(one: PixelSize, other: PixelSize) -> bool:
    """Whether two pixel sizes are equal but for rounding.

    Examples
    --------
    >>> are_same(0.325, 0.32501), are_same(0.325, 0.65), are_same(0.325, (0.325, 0.65))
    (True, False, False)
    """
    sides = zip(height_and_width(one), height_and_width(other), strict=True)
    return all(math.isclose(*both, rel_tol=SAME) for both in sides)


def shown_every(pixel_size: PixelSize | None, every: int) -> PixelSize | None:
    """The size of a pixel in a picture that shows only every n-th pixel."""
    if isinstance(pixel_size, tuple):
        return pixel_size[0] * every, pixel_size[1] * every
    return None if pixel_size is None else pixel_size * every


def format_pixel_size(pixel_size: PixelSize | None) -> str:
    """The pixel size as text.

    Examples
    --------
    >>> format_pixel_size(0.325), format_pixel_size((0.4, 0.2)), format_pixel_size(None)
    ('0.325 µm', '0.4 µm high and 0.2 µm wide', 'not known')
    """
    if pixel_size is None:
        return "not known"
    if isinstance(pixel_size, tuple):
        return f"{pixel_size[0]:.5g} µm high and {pixel_size[1]:.5g} µm wide"
    return f"{pixel_size:.5g} µm"


def from_words(text: str) -> PixelSize:
    """Parse a pixel size given on the command line.

    Raises
    ------
    ValueError
        If it is neither one positive number nor both sides.

    Examples
    --------
    >>> from_words("0.325"), from_words("x=0.2,y=0.4")
    (0.325, (0.4, 0.2))
    """
    sides = dict(part.split("=", 1) for part in text.split(",")) if "=" in text else None
    try:
        given = float(text) if sides is None else (float(sides["y"]), float(sides["x"]))
        found = checked(given) if sides is None or len(sides) == 2 else None
    except (KeyError, ValueError):
        found = None
    if found is None:
        raise ValueError(
            f"{text!r} is not a pixel size; give micrometres per pixel, such as 0.325, or if "
            "pixels are not square x=0.2,y=0.4"
        )
    return found


def _is_size(side: float) -> bool:
    return math.isfinite(side) and side > 0
