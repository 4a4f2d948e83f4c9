"""A scale bar on a picture whose pixels have a known size."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from cellcutter_core.images.pixel_size import PixelSize, height_and_width
from cellcutter_core.view.render import Rgb

# Of the picture's width; the bar is the round length that is nearest to it.
_SHARE = 0.2
# Of the picture's longer side.
_FONT_SHARE = 1 / 32
_SMALLEST_FONT = 14
# What letters have below the line, of the font's size.
_BELOW = 0.22
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)


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


def with_scale_bar(picture: Rgb, pixel_size: PixelSize | None) -> Rgb:
    """A picture with a scale bar in its lower right corner, white with a black rim.

    Parameters
    ----------
    picture : (H, W, 3) uint8 array
    pixel_size : float or (float, float), optional
        Micrometres a pixel, or its height and width: the bar lies along its width. Without it there
        is nothing to draw.

    Returns
    -------
    (H, W, 3) uint8 array
        The picture itself where the size is not known, or it is too small for a legible bar.
    """
    if pixel_size is None:
        return picture
    rows, cols = picture.shape[:2]
    _, width = height_and_width(pixel_size)
    micrometres = bar_length(cols * width)
    length = round(micrometres / width)
    size = max(_SMALLEST_FONT, round(max(rows, cols) * _FONT_SHARE))
    rim, thick, margin = max(2, size // 12), max(4, size // 4), size
    font, text = ImageFont.load_default(size), length_in_words(micrometres)
    below = round(size * _BELOW)
    tall = size + below + 4 * rim
    wide = max(length, font.getlength(text)) + 2 * rim
    if length < 1 or wide + 2 * margin > cols or tall + thick + 2 * margin > rows:
        return picture
    image = PillowImage.fromarray(np.ascontiguousarray(picture))
    draw = ImageDraw.Draw(image)
    right, bottom = cols - margin, rows - margin
    left = right - round((wide + length) / 2)
    # The rim of all of it first, so that it covers nothing.
    for color, grown in ((_BLACK, rim), (_WHITE, 0)):
        x, y = left - grown, bottom - thick - grown
        draw.rectangle((x, y, left + length - 1 + grown, bottom - 1 + grown), fill=color)
        start = (
            round(left + (length - font.getlength(text)) / 2),
            bottom - thick - 3 * rim - below,
        )
        _write(draw, start, text, font=font, color=color, grown=grown)
    return np.asarray(image)


def _write(
    draw: ImageDraw.ImageDraw,
    start: tuple[int, int],
    text: str,
    *,
    font: Any,
    color: tuple[int, int, int],
    grown: int,
) -> None:
    """Write from the left end of the baseline on; the font that Pillow brings along has no µ."""
    x, y = start
    before, micro, _ = text.partition("µ")
    shown = text.replace("µ", "u")
    draw.text(start, shown, font=font, fill=color, stroke_width=grown, anchor="ls")
    if micro:
        # A u whose left stem goes below the line.
        first, last, top = _stem(font)
        x += round(font.getlength(before))
        box = (x + first - grown, y + top / 2, x + last + grown, y + font.size * _BELOW + grown)
        draw.rectangle(tuple(round(value) for value in box), fill=color)


def _stem(font: Any) -> tuple[int, int, int]:
    """First and last column of the left stem of a u, and its top as seen from the baseline."""
    side = round(2 * font.size)
    letter = PillowImage.new("L", (side, side))
    ImageDraw.Draw(letter).text((0, side // 2), "u", fill=255, font=font, anchor="ls")
    ink = np.asarray(letter) > 127
    rows, _ = np.nonzero(ink)
    full = ink.sum(axis=0) > 0.6 * (np.ptp(rows) + 1)
    first = int(full.argmax())
    return first, first + int((~full[first:]).argmax()) - 1, int(rows.min()) - side // 2
