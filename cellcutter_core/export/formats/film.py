"""The cells of a training, epoch by epoch, as an animated GIF."""

from __future__ import annotations

import io
from collections.abc import Iterable

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from cellcutter_core.view.render import MASK_COLOR, Rgb

# Sides of the picture in pixels: small enough to send, large enough to see a cell.
_LARGEST, _SMALLEST = 720, 360
# In milliseconds: the whole film, a frame at least and at most, and the last frame.
_WHOLE, _SHORTEST, _LONGEST, _LAST = 6000, 100, 500, 2500
_STRIP = 26
_DARK, _LIGHT = (17, 17, 17), (221, 221, 221)


def film(frames: Iterable[tuple[str, Rgb]]) -> bytes:
    """Make a looping GIF with a frame for each picture; the last frame stays longer.

    All frames share one palette, made from the last, the middle and the first frame. So colours do
    not flicker, and only changed pixels are stored. Below each picture are its name and a progress
    bar.

    Parameters
    ----------
    frames : iterable of (str, (H, W, 3) uint8 array)
        Name, such as "epoch 3", and picture; all of one size. Large pictures are shrunk to 720
        pixels, small ones enlarged.

    Returns
    -------
    bytes

    Raises
    ------
    ValueError
        If there is no frame, or they differ in size.
    """
    named = [(name, _fitted(picture)) for name, picture in frames]
    if not named:
        raise ValueError("there is no frame to make a film of")
    if len({picture.size for _, picture in named}) > 1:
        raise ValueError("the frames differ in size; give pictures of one run")
    shown = [
        _with_strip(picture, name, (number + 1) / len(named))
        for number, (name, picture) in enumerate(named)
    ]
    palette = _palette([shown[-1], shown[len(shown) // 2], shown[0]])
    first, *rest = [
        frame.quantize(palette=palette, dither=PillowImage.Dither.NONE) for frame in shown
    ]
    each = int(np.clip(_WHOLE / len(shown), _SHORTEST, _LONGEST)) // 10 * 10
    stream = io.BytesIO()
    first.save(
        stream,
        format="GIF",
        save_all=True,
        append_images=rest,
        duration=[each] * len(rest) + [_LAST],
        loop=0,
        optimize=True,  # Unchanged pixels become transparent: an eighth of the size.
    )
    return stream.getvalue()


def _fitted(picture: Rgb) -> PillowImage.Image:
    image = PillowImage.fromarray(picture)
    side = max(image.size)
    if side > _LARGEST:
        size = (max(1, image.width * _LARGEST // side), max(1, image.height * _LARGEST // side))
        return image.resize(size, PillowImage.Resampling.LANCZOS)
    times = max(1, -(-_SMALLEST // side))
    return image.resize((image.width * times, image.height * times), PillowImage.Resampling.NEAREST)


def _with_strip(picture: PillowImage.Image, name: str, share: float) -> PillowImage.Image:
    """Add below a picture its name and a bar that is full at the last frame."""
    frame = PillowImage.new("RGB", (picture.width, picture.height + _STRIP), _DARK)
    frame.paste(picture, (0, 0))
    draw = ImageDraw.Draw(frame)
    top = picture.height
    draw.rectangle((0, top, max(0, round(share * picture.width) - 1), top + 2), fill=MASK_COLOR)
    draw.text((8, top + 6), name, fill=_LIGHT, font=ImageFont.load_default(14))
    return frame


def _palette(frames: list[PillowImage.Image]) -> PillowImage.Image:
    """Choose 255 colours for these frames; one is left for unchanged pixels."""
    together = np.concatenate([np.asarray(frame) for frame in frames])
    return PillowImage.fromarray(together).quantize(
        255, method=PillowImage.Quantize.MEDIANCUT, kmeans=1
    )
