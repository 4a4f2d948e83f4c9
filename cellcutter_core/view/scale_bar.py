"""Draw a scale bar on a picture whose pixel size is known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from cellcutter_core.images.pixel_size import PixelSize, height_and_width
from cellcutter_core.view.render import Rgb

# Wanted length as a share of the picture's width; the bar has the nearest round length.
_SHARE = 0.2
# As a share of the picture's longer side.
_FONT_SHARE = 1 / 32
_SMALLEST_FONT = 14
# How far letters reach below the baseline, as a share of the font's size.
_BELOW = 0.22
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)


def bar_length(width: float) -> float:
    """Return a round length of about a fifth of a width: 1, 2 or 5 times a power of ten.

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
    """Return a round length with a suitable unit.

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
    """Draw a scale bar into the lower right corner of a picture, white with a black rim.

    Parameters
    ----------
    picture : (H, W, 3) uint8 array
    pixel_size : float or (float, float), optional
        Micrometres per pixel, or (height, width) of a pixel; the bar lies along the width. Without
        it nothing is drawn.

    Returns
    -------
    (H, W, 3) uint8 array
        The picture itself if the size is not known or the picture is too small for a legible bar.
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
    # All rims first, so that they cover no other part.
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
    """Write text from the left end of its baseline. The font in Pillow has no µ, so it is drawn."""
    x, y = start
    before, micro, _ = text.partition("µ")
    shown = text.replace("µ", "u")
    draw.text(start, shown, font=font, fill=color, stroke_width=grown, anchor="ls")
    if micro:
        # µ is a u whose left stem goes below the baseline.
        first, last, top = _stem(font)
        x += round(font.getlength(before))
        box = (x + first - grown, y + top / 2, x + last + grown, y + font.size * _BELOW + grown)
        draw.rectangle(tuple(round(value) for value in box), fill=color)


def _stem(font: Any) -> tuple[int, int, int]:
    """Return first and last column of the left stem of a u, and its top above the baseline."""
    side = round(2 * font.size)
    letter = PillowImage.new("L", (side, side))
    ImageDraw.Draw(letter).text((0, side // 2), "u", fill=255, font=font, anchor="ls")
    ink = np.asarray(letter) > 127
    rows, _ = np.nonzero(ink)
    full = ink.sum(axis=0) > 0.6 * (np.ptp(rows) + 1)
    first = int(full.argmax())
    return first, first + int((~full[first:]).argmax()) - 1, int(rows.min()) - side // 2
