"""Draw arrays as pictures: channels, cells in colour, outlines, probabilities.

Every picture is an (H, W, 3) uint8 array of red, green and blue. No function changes its input.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cellcutter_core.images.guesses.unimaged_gaps import gaps
from cellcutter_core.label_image import check_labels, outlines
from cellcutter_core.view.coloring import label_colors

Rgb = npt.NDArray[np.uint8]
Color = tuple[int, int, int]

MASK_COLOR: Color = (240, 228, 66)
"""Colour of a mask's outline: a yellow that stays different from grey for colour-blind people."""

NUCLEUS_COLOR: Color = (40, 150, 255)
"""Colour of nuclei over grey cells."""

# Perceived brightness of red, green and blue, Rec. 601.
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
_DIMMED = np.float32(0.85)

# The percentiles of a channel that are shown as black and as white.
_WINDOW = (0.5, 99.7)


def display_window(channel: npt.NDArray[Any]) -> tuple[float, float]:
    """Return the intensities to show as black and as white: percentiles 0.5 and 99.7 of a channel.

    Parts of a mosaic that were not imaged are left out, see `guesses.unimaged_gaps`.

    Parameters
    ----------
    channel : (H, W) array

    Returns
    -------
    black, white : float

    Raises
    ------
    ValueError
        If the channel is not (H, W).
    """
    if channel.ndim != 2 or channel.size == 0:
        raise ValueError(f"channel has shape {channel.shape}, but must be (H, W) with pixels")
    # A grid of about 250,000 pixels gives the same percentiles in a tenth of the time.
    step = max(1, int((channel.size / 250_000) ** 0.5))
    seen = channel[::step, ::step]
    nothing = gaps(seen)
    black, white = np.percentile(seen if nothing is None else seen[~nothing], _WINDOW)
    return float(black), float(white)


def composite(
    pixels: npt.NDArray[Any],
    *,
    cell: Sequence[int] = (0,),
    nucleus: int | None = None,
    gamma: float = 0.7,
) -> Rgb:
    """Draw an image: cells in grey, nuclei added in blue.

    Parameters
    ----------
    pixels : (H, W, C) array
        Any integer or float dtype.
    cell : sequence of int
        Indices of the cell channels; several are averaged.
    nucleus : int, optional
        Index of the nucleus channel.
    gamma : float
        Exponent on the cell channels. Below 1 it brightens dim borders, which a projector would not
        show.

    Returns
    -------
    (H, W, 3) uint8 array
        Each channel is shown between its percentiles of `display_window`. A constant one is black.

    Raises
    ------
    ValueError
        If a channel does not exist, or a setting is out of bounds.
    """
    image = np.asarray(pixels)
    if image.ndim != 3:
        raise ValueError(f"pixels has shape {image.shape}, but must be (H, W, channels)")
    if not cell:
        raise ValueError("cell is empty, but at least one channel is needed to show cells")
    if not gamma > 0:
        raise ValueError(f"gamma is {gamma}, but must be above 0")
    for index in (*cell, *(() if nucleus is None else (nucleus,))):
        if not 0 <= index < image.shape[2]:
            raise ValueError(
                f"channel {index} does not exist: the image has channels 0 to {image.shape[2] - 1}"
            )
    gray = np.zeros(image.shape[:2], np.float32)
    for index in cell:
        gray += _scaled(image[..., index]) ** gamma / len(cell)
    if nucleus is None:
        return np.repeat(_uint8(255 * gray)[..., None], 3, axis=2)
    blue = _scaled(image[..., nucleus])
    picture = np.empty((*gray.shape, 3), np.uint8)
    for i, part in enumerate(NUCLEUS_COLOR):
        # "Screen" blending multiplies the distances to white, so light adds up without clipping.
        picture[..., i] = _uint8(255 * (1 - (1 - gray) * (1 - blue * (part / 255))))
    return picture


def _scaled(channel: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    black, white = display_window(channel)
    scaled = (channel.astype(np.float32) - black) / (white - black if white > black else 1)
    return np.asarray(np.clip(scaled, 0, 1) if white > black else 0 * scaled, np.float32)


def probability_colors(probability: npt.NDArray[np.floating[Any]]) -> Rgb:
    """Draw probabilities in viridis: 0 is dark blue, 1 is yellow.

    Parameters
    ----------
    probability : (H, W) float array
        In [0, 1].

    Returns
    -------
    (H, W, 3) uint8 array

    Raises
    ------
    ValueError
        If a value is outside [0, 1] or not a number.
    """
    values = np.asarray(probability, np.float32)
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        raise ValueError(
            f"probability spans {values.min()} to {values.max()}, but must be in 0..1; "
            "apply a sigmoid to logits first"
        )
    # Imported here, because it takes 50 ms. Its equal steps look equal, also in grey.
    from plotly.colors import hex_to_rgb, sequential

    viridis = np.array([hex_to_rgb(color) for color in sequential.Viridis], np.float64)
    steps, fine = np.linspace(0, 1, len(viridis)), np.linspace(0, 1, 256)
    table = np.stack([np.interp(fine, steps, viridis[:, i]) for i in range(3)], axis=1)
    return _uint8(table)[_uint8(255 * values)]


def borders_picture(borders: npt.NDArray[Any]) -> Rgb:
    """Draw the border image like the paper's notebook.

    Parameters
    ----------
    borders : (H, W) array of integers
        Number of cells whose outline is at a pixel.

    Returns
    -------
    (H, W, 3) uint8 array
        White for the outline of one cell, yellow for those of two or more.
    """
    picture = np.zeros((*borders.shape, 3), np.uint8)
    picture[borders == 1] = 235
    picture[borders > 1] = MASK_COLOR
    return picture


def overlay(
    image: Rgb,
    labels: npt.ArrayLike,
    *,
    alpha: float = 0.45,
    outlines: bool = True,
    colors: npt.ArrayLike | None = None,
) -> Rgb:
    """Draw the image in grey, tint each cell, and draw its outline in full colour.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
        For example from `composite`. It is shown in dimmed grey, so that colour means cell.
    labels : (H, W) array of integers
        0 for background.
    alpha : float
        Strength of the tint: 0 shows only the image, 1 hides it.
    outlines : bool
        Whether to draw the outlines.
    colors : (N,) array of integers, optional
        The colour of each cell, see `label_colors`.

    Returns
    -------
    (H, W, 3) uint8 array
        Colours as in `label_colors`. Where two cells of one colour touch, the line is white.

    Raises
    ------
    ValueError
        If the shapes differ, or `alpha` is out of bounds.
    """
    cells = check_labels(labels)
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}, but must be from 0 (no tint) to 1 (no image)")
    gray = dimmed(check_rgb(image, cells.shape))
    painted = label_colors(cells, colors=colors)
    strength = alpha * (cells > 0).astype(np.float32)
    picture = np.empty((*cells.shape, 3), np.uint8)
    for i in range(3):
        picture[..., i] = _uint8(gray + strength * (painted[..., i] - gray))
    if outlines:
        edge = visible_outlines(cells)
        picture[edge] = painted[edge, :3]
        picture[_seams(cells, painted)] = 255
    return picture


def _seams(cells: npt.NDArray[Any], painted: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Return (H, W) bool: pixels of a cell that touch another cell of the same colour."""
    seams = np.zeros(cells.shape, bool)
    flat = painted.view(np.uint32)[..., 0]
    for one, other in (
        ((slice(1, None),), (slice(None, -1),)),
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
    ):
        alike = (cells[one] != cells[other]) & (flat[one] == flat[other])
        # The background has no colour, so it never counts.
        seams[one] |= alike
        seams[other] |= alike
    return seams


def mask_outline(image: Rgb, mask: npt.ArrayLike) -> Rgb:
    """Draw the outline of a mask on a picture.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
    mask : (H, W) bool array
        True on cells.

    Returns
    -------
    (H, W, 3) uint8 array

    Raises
    ------
    ValueError
        If the shapes differ, or `mask` is not bool.
    """
    area = np.asarray(mask)
    if area.dtype != bool:
        raise ValueError(f"mask has dtype {area.dtype}, but must be bool, True on cells")
    picture = check_rgb(image, area.shape).copy()
    picture[visible_outlines(area.astype(np.uint8))] = MASK_COLOR
    return picture


def dimmed(image: Rgb) -> npt.NDArray[np.float32]:
    """Return the image in dimmed grey, (H, W) float32 from 0 to 217, to draw on in colour."""
    return np.asarray(_DIMMED * (image @ _LUMINANCE), np.float32)


def visible_outlines(labels: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return (H, W) bool outlines that stay visible when a large image is shrunk to the screen."""
    return outlines(labels, width=max(1, round(max(labels.shape) / 800)))


def check_rgb(image: npt.ArrayLike, shape: tuple[int, ...]) -> Rgb:
    """Return the image, or raise a ValueError if it is not a picture of that (H, W)."""
    rgb = np.asarray(image)
    if rgb.dtype != np.uint8 or rgb.shape != (*shape, 3):
        raise ValueError(
            f"image is {rgb.dtype} of shape {rgb.shape}, but must be uint8 of shape "
            f"{(*shape, 3)}; make it with composite"
        )
    return rgb


def _uint8(values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.uint8]:
    return np.asarray(values + 0.5, np.float32).astype(np.uint8)
