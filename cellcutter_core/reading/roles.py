"""Which channel shows the cells and which the nuclei.

A name decides where it can: a channel called after a nuclear stain (DAPI, Hoechst, DNA, DRAQ, H2B,
hematoxylin) or the nucleus itself is the nucleus, and of the others the first that is not constant
is the cell.
Without names a channel of compact bright objects is the nucleus (`cellcutter_core.nuclei.shown`).
Where several are or none is, there are conventions:

- one channel is the cell;
- of two, the second is the nucleus;
- of three, the third is the nucleus: blue in a fluorescence composite. In a colour picture the one
  of red and green that varies more is the cell; but where blue is constant, or follows that
  channel so closely that it is no stain of its own (as in a colour picture from a bright-field
  microscope), there is no nucleus and the channel that varies most is the cell;
- of more, none is the nucleus.

A single channel of nuclei is both: the nuclei are what is to be segmented.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cellcutter_core.nuclei.shown import shows_nuclei

Which = int | str

NUCLEUS_NAME = re.compile(r"(?<![a-z])(dapi|hoechst|dna|nuc|h2b|draq|ha?ematoxylin)", re.IGNORECASE)

# What programs write where nobody gave a name: "Channel:0:1", "C1", "3", "c:1/2 - file.tif".
NO_NAME = re.compile(r"(channel|ch|c)?[\s:_#-]*\d+([:/]\d+)*( - .*)?", re.IGNORECASE)

MOST_LOOKED_AT = 6
"""Of so many channels without names each is looked at, which takes half a second."""

COPY_CORRELATION = 0.9
"""Blue that correlates with the cell channel by more than this is no channel of its own."""


def find_channel(which: Which, channels: Sequence[str], *, name: str) -> int:
    """The index of a channel given by its index (`1` or `"1"`) or its name, in any case.

    Parameters
    ----------
    which : int or str
    channels : names of the channels
    name : str
        Of the image, for the message.

    Raises
    ------
    ValueError
        If there is no such channel. The message lists those there are.

    Examples
    --------
    >>> find_channel("dna", ("actin", "DNA"), name="image"), find_channel("0", ("a", "b"), name="")
    (1, 0)
    """
    if isinstance(which, str):
        lower = [channel.lower() for channel in channels]
        if which in channels:
            return channels.index(which)
        if lower.count(which.strip().lower()) == 1:
            return lower.index(which.strip().lower())
    if isinstance(which, int | np.integer) or which.strip().isdecimal():
        index = int(which)
        if 0 <= index < len(channels) and not isinstance(which, bool):
            return index
    listed = ", ".join(f"{index} ({channel})" for index, channel in enumerate(channels))
    raise ValueError(f"{name}: there is no channel {which!r}; the channels are {listed}")


def find_cell(
    cell: Which | Sequence[Which], channels: Sequence[str], *, name: str
) -> tuple[int, ...]:
    """The indices of the cell channels given by index or name, one or several.

    Raises
    ------
    ValueError
        If one of them does not exist, one is given twice, or there are none.
    """
    several = [cell] if isinstance(cell, int | np.integer | str) else list(cell)
    found = tuple(find_channel(which, channels, name=name) for which in several)
    if not found or len(set(found)) < len(found):
        raise ValueError(f"{name}: cell is {cell!r}; give one or more different channels")
    return found


def find_nucleus(nucleus: Which, channels: Sequence[str], *, name: str) -> int | None:
    """The index of the nucleus channel given by index or name, or None for 'none'.

    Raises
    ------
    ValueError
        If there is no such channel.
    """
    if isinstance(nucleus, str) and nucleus.strip().lower() == "none":
        return None
    return find_channel(nucleus, channels, name=name)


def guess_nucleus(
    pixels: npt.NDArray[Any],
    channels: Sequence[str],
    *,
    named: bool,
    colour: bool,
    cell: tuple[int, ...] | None = None,
) -> int | None:
    """The channel that shows the nuclei, by name, content or convention (see the module).

    Parameters
    ----------
    pixels : (H, W, C) array
    channels : C names
    named : bool
        The names are those of the file, and tell something.
    colour : bool
        The channels are red, green and blue.
    cell : tuple of int, optional
        Channels known to show the cell: by convention, those are not the nucleus.

    Returns
    -------
    int or None
    """
    if named and not all(map(NO_NAME.fullmatch, channels)):
        by_name = [index for index, channel in enumerate(channels) if NUCLEUS_NAME.search(channel)]
        return by_name[0] if by_name else None
    usual = _usual_nucleus(pixels, colour=colour, cell=cell)
    shown = [
        index
        for index in range(min(len(channels), MOST_LOOKED_AT))
        if index not in (cell or ())
        and varies(pixels[..., index])
        and shows_nuclei(pixels[..., index])
    ]
    return shown[0] if len(shown) == 1 else usual


def _usual_nucleus(
    pixels: npt.NDArray[Any], *, colour: bool, cell: tuple[int, ...] | None
) -> int | None:
    """The channel that shows the nuclei by convention."""
    channels = range(pixels.shape[2])
    if len(channels) not in (2, 3):
        return None
    last = len(channels) - 1
    if len(channels) == 2 and cell == (last,):
        last = 0
    if last in (cell or ()) or not varies(pixels[..., last]):
        return None
    if colour:
        partner = (cell or guess_cell(pixels, colour=colour, nucleus=last))[0]
        alike = _correlation(pixels[..., last], pixels[..., partner])
        if partner != last and alike > COPY_CORRELATION:
            return None
    return last


def guess_cell(pixels: npt.NDArray[Any], *, colour: bool, nucleus: int | None) -> tuple[int, ...]:
    """The channel that shows the cells, given the one that shows the nuclei (see the module).

    Parameters
    ----------
    pixels : (H, W, C) array
    colour : bool
        The channels are red, green and blue.
    nucleus : int or None

    Returns
    -------
    tuple of one int
        The first channel, where all are constant.
    """
    candidates = [index for index in range(pixels.shape[2]) if varies(pixels[..., index])]
    others = [index for index in candidates if index != nucleus]
    if colour and others:
        return (max(others, key=lambda index: float(np.var(_sample(pixels[..., index])))),)
    return ((others or candidates or [0])[0],)


def name_channels(found: Sequence[str] | None, *, n_channels: int, colour: bool) -> tuple[str, ...]:
    """One name for each channel, all different.

    Parameters
    ----------
    found : C names, or None
        Those the file gives. An empty one becomes "channel" and its index; one that is there
        already gets its index.
    n_channels : int
    colour : bool
        The channels are red, green and blue, and called so.

    Examples
    --------
    >>> name_channels(("DNA", "DNA", ""), n_channels=3, colour=False)
    ('DNA', 'DNA (1)', 'channel 2')
    """
    if colour:
        return "red", "green", "blue"
    if found is None:
        found = ("gray",) if n_channels == 1 else ("",) * n_channels
    names: list[str] = []
    for index, given in enumerate(found):
        name = " ".join(given.split()) or f"channel {index}"
        while name in names:
            name = f"{name} ({index})"
        names.append(name)
    return tuple(names)


def varies(channel: npt.NDArray[Any]) -> bool:
    """Whether the pixels of a channel are not all the same."""
    return bool(channel.min() != channel.max())


def _sample(channel: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Up to about a million pixels on a regular grid."""
    step = max(1, math.isqrt(channel.size // 1_000_000))
    return channel[::step, ::step].astype(np.float64)


def _correlation(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> float:
    """Pearson's correlation; 0 where one of the samples is constant."""
    a, b = _sample(first), _sample(second)
    a, b = a - a.mean(), b - b.mean()
    scale = math.sqrt(float((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / scale if scale > 0 else 0.0
