"""A scale bar on a picture whose pixels have a known size."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from cellcutter_core.view.render import Rgb

# Of the picture's width; the bar is the round length that is nearest to it.
_SHARE = 0.2
# Of the picture's longer side.
_FONT_SHARE = 1 / 36
_SMALLEST_FONT = 12


def bar_length(width: float) -> float:
    """A round length of about a fifth of a width: 1, 2 or 5 times a power of ten, in its unit.

    Examples
    --------
    >>> bar_length(100), bar_length(340), bar_length(0.6)
    (20.0, 50.0, 0.1)
    """
    wanted = _SHARE * width
    power = math.floor(math.log10(wanted))
    rounds = [digit * 10.0**exponent for exponent in (power, power + 1) for digit in (1, 2, 5)]
    return min(rounds, key=lambda length: abs(math.log(length / wanted)))


def length_in_words(micrometres: float) -> str:
    """A round length with the unit that suits it.

    Examples
    --------
    >>> length_in_words(20.0), length_in_words(0.5), length_in_words(2000.0)
    ('20 µm', '500 nm', '2 mm')
    """
    for unit, factor in (("mm", 1e-3), ("µm", 1.0), ("nm", 1e3)):
        if micrometres * factor >= 0.999:
            return f"{micrometres * factor:.6g} {unit}"
    return f"{micrometres * 1e3:.3g} nm"


def with_scale_bar(picture: Rgb, pixel_size: float | None) -> Rgb:
    """A picture with a scale bar in its lower right corner, white with a black rim.

    Parameters
    ----------
    picture : (H, W, 3) uint8 array
    pixel_size : float, optional
        Micrometres a pixel. Without it there is nothing to draw.

    Returns
    -------
    (H, W, 3) uint8 array
        The picture itself where the size is not known, or it is too small for a legible bar.
    """
    if pixel_size is None:
        return picture
    rows, cols = picture.shape[:2]
    micrometres = bar_length(cols * pixel_size)
    length = round(micrometres / pixel_size)
    size = max(_SMALLEST_FONT, round(max(rows, cols) * _FONT_SHARE))
    rim, thick, margin = max(1, size // 12), max(3, size // 4), size
    font, text = ImageFont.load_default(size), length_in_words(micrometres)
    left, top, right, bottom = font.getbbox(text, stroke_width=rim)
    wide, high = max(length + 2 * rim, right - left), bottom - top + thick + 3 * rim
    if length < 1 or wide + 2 * margin > cols or high + 2 * margin > rows:
        return picture
    image = PillowImage.fromarray(np.ascontiguousarray(picture))
    draw = ImageDraw.Draw(image)
    x, y = cols - margin - (wide + length) // 2, rows - margin - thick
    draw.rectangle((x - rim, y - rim, x + length - 1 + rim, y + thick - 1 + rim), fill=(0, 0, 0))
    draw.rectangle((x, y, x + length - 1, y + thick - 1), fill=(255, 255, 255))
    draw.text(
        (x + length / 2, y - 2 * rim),
        text,
        font=font,
        fill=(255, 255, 255),
        stroke_width=rim,
        stroke_fill=(0, 0, 0),
        anchor="md",
    )
    return np.asarray(image)
