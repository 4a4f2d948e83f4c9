"""Describes an image in lines of text: what was read, and what was guessed."""

from __future__ import annotations

from cellcutter_core.images.image import Image
from cellcutter_core.images.pixel_size import PixelSize, format_pixel_size

NOT_SQUARE = (
    "Pixels are not square. Cells are found as if they were; areas and lengths in µm are right."
)
ROLES = {"cell": "cells", "nucleus": "nuclei"}
"""The name of each role as it is shown."""


def lines_of(image: Image) -> list[str]:
    """Size, pixel size, and which channel has which role and why; doubts come last."""
    n_rows, n_cols = image.shape
    part = "" if image.whole_shape is None else " of {} × {}".format(*image.whole_shape)
    n_channels = len(image.channels)
    channels = "1 channel" if n_channels == 1 else f"{n_channels} channels"
    return [
        f"{image.name}: {n_rows} × {n_cols} pixels{part}, {channels} of {image.pixels.dtype}",
        f"  pixel size: {pixel_size_in_words(image.pixel_size)}",
        *(f"  Look closely. {note}" for note in image.size_notes),
        *(f"  {ROLES[role]}: {role_in_words(image, role)}" for role in ROLES),
        *(f"  Look closely. {doubt}" for doubt in doubts(image)),
    ]


def role_in_words(image: Image, role: str) -> str:
    """Which channels have a role, "cell" or "nucleus", how sure that is, and why."""
    indices = image.cell if role == "cell" else () if image.nucleus is None else (image.nucleus,)
    shown = ", ".join(image.channels[index] for index in indices) or "none"
    reason = image.reasons.get(role)
    if reason is None:
        return shown
    if reason.sure == "chosen":
        return f"{shown} (chosen)"
    return f"{shown} ({reason.sure}: {reason.why})"


def doubts(image: Image) -> list[str]:
    """Sentences on why guessed roles may be wrong."""
    return [reason.doubt for reason in image.reasons.values() if reason.doubt]


def pixel_size_in_words(pixel_size: PixelSize | None) -> str:
    """The size of a pixel, and what it means if pixels are not square or the size is not known."""
    if pixel_size is None:
        return "not known, so nothing is measured in µm (--pixel-size sets it)"
    if isinstance(pixel_size, tuple):
        return f"{format_pixel_size(pixel_size)}. {NOT_SQUARE}"
    return format_pixel_size(pixel_size)
