"""Guesses which channel shows the cells and which the nuclei.

Names with a known meaning decide first (`channel_meanings.py`). A channel named after nuclei or a
nuclear stain is the nucleus channel. One named after cells, or a stain of membrane or cytoplasm, is
the cell channel.

Contents decide for other channels. One with compact bright objects is the nucleus channel
(`markers/nucleus_channel.py`); of several such channels, the one whose objects are clearly the
smallest. If contents do not decide, the laser of a nuclear stain in a name does.

If nothing of this decides, conventions do, for channels without names or with running numbers:

- a single channel is the cell channel;
- of two, the second is the nucleus channel;
- of three, the third is the nucleus channel: blue in a fluorescence composite. In a colour picture,
  the one of red and green that varies more is the cell channel. But if blue is constant, or follows
  that channel so closely that it is not a separate stain (as in a colour picture from a
  bright-field microscope), there is no nucleus channel, and the channel that varies most is the
  cell channel;
- of more, none is the nucleus channel.

A single channel of nuclei has both roles, and the nuclei are segmented.

Every role comes with a `Reason`, which says how certain it is and what speaks against it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cellcutter_core.images.guesses.channel_meanings import (
    Meaning,
    excited_by_uv,
    meanings,
    own_words,
)
from cellcutter_core.markers.nucleus_channel import area_of_nuclei

Which = int | str

# Names that programs write if the user gave none: "Channel:0:1", "C1", "Ch1-T1", "w2", "3",
# "c:1/2 - file.tif".
NO_NAME = re.compile(
    r"[\W_\d]*((channel|ch|c|w|t|track|cam|camera|pmt|d|image|img|position|s|z)[\W_\d]*)*( - .*)?",
    re.IGNORECASE,
)

MOST_LOOKED_AT = 6
"""Most channels whose contents are examined; each takes half a second."""

COPY_CORRELATION = 0.9
"""If blue correlates with the cell channel by more than this, it is not a separate stain."""

CLEARLY_SMALLER = 0.7
"""If two channels show compact objects, nuclei have less than this share of the others' area."""

Sure = Literal["chosen", "sure", "likely", "a guess"]


@dataclass(frozen=True)
class Reason:
    """Why a channel has its role, or why no channel has it.

    Attributes
    ----------
    why : str
        The reason, without the name of the channel.
    sure : {"chosen", "sure", "likely", "a guess"}
    doubt : str
        A sentence on what speaks against it; empty if nothing does.
    """

    why: str
    sure: Sure
    doubt: str = ""


CHOSEN = Reason("as chosen", "chosen")


@dataclass(frozen=True)
class Roles:
    """The channels in their roles.

    Attributes
    ----------
    cell : tuple of int
    nucleus : int or None
    reasons : mapping of "cell" and "nucleus" to Reason
    """

    cell: tuple[int, ...]
    nucleus: int | None
    reasons: Mapping[str, Reason]


def find_channel(which: Which, channels: Sequence[str], *, name: str) -> int:
    """The index of a channel given by its index (`1` or `"1"`) or its name, in any case.

    Parameters
    ----------
    which : int or str
    channels : names of the channels
    name : str
        The name of the image, used in the message.

    Raises
    ------
    ValueError
        If there is no such channel. The message lists the channels.

    Examples
    --------
    >>> find_channel("dna", ("actin", "DNA"), name="image"), find_channel("0", ("a", "b"), name="")
    (1, 0)
    """
    is_index = isinstance(which, int | np.integer) and not isinstance(which, bool)
    if isinstance(which, str):
        lower = [channel.lower() for channel in channels]
        if which in channels:
            return channels.index(which)
        if lower.count(which.strip().lower()) == 1:
            return lower.index(which.strip().lower())
        is_index = which.strip().isdecimal()
    if is_index and 0 <= int(which) < len(channels):
        return int(which)
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
    several = [cell] if isinstance(cell, str) or not isinstance(cell, Iterable) else list(cell)
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


def known_nucleus(nucleus: Which, channels: Sequence[str], *, name: str) -> int | Literal["none"]:
    """As `find_nucleus`, but returns 'none' instead of None, for `guess_roles`."""
    found = find_nucleus(nucleus, channels, name=name)
    return "none" if found is None else found


def guess_roles(
    pixels: npt.NDArray[Any],
    channels: Sequence[str],
    *,
    named: bool,
    colour: bool,
    cell: tuple[int, ...] | None = None,
    nucleus: int | Literal["none"] | None = None,
) -> Roles:
    """Guess which channel shows the cells and which the nuclei, and say why (see the module).

    Parameters
    ----------
    pixels : (H, W, C) array
    channels : C names
    named : bool
        Whether the names come from the file.
    colour : bool
        Whether the channels are red, green and blue.
    cell : tuple of int, optional
        Known cell channels. They are not guessed as the nucleus channel.
    nucleus : int or 'none', optional
        The known nucleus channel, or 'none' if it is known that there is none.
    """
    guess = _Guess(pixels, channels, named=named, colour=colour, cell=cell)
    if nucleus is not None:
        found, why = None if nucleus == "none" else nucleus, CHOSEN
    else:
        found, why = guess.nucleus()
    chosen, because = (cell, CHOSEN) if cell is not None else guess.cell_given_nucleus(found)
    return Roles(chosen, found, {"cell": because, "nucleus": why})


class _Guess:
    """The channels of one image; their contents are examined only when needed."""

    def __init__(
        self,
        pixels: npt.NDArray[Any],
        channels: Sequence[str],
        *,
        named: bool,
        colour: bool,
        cell: tuple[int, ...] | None,
    ) -> None:
        self.pixels, self.channels, self.colour, self.cell = pixels, channels, colour, cell
        nothing: list[Meaning | None] = [None] * len(channels)
        self.meanings = meanings(channels) if named else nothing
        self.uv = excited_by_uv(channels) if named else [False] * len(channels)
        self.counted = not named or all(map(NO_NAME.fullmatch, own_words(channels)))
        self._areas: dict[int, float | None] = {}

    def nucleus(self) -> tuple[int | None, Reason]:
        """The channel that shows the nuclei, and why."""
        for meaning in ("nuclei", "dead nuclei"):
            if meaning in self.meanings:
                return self._named(self.meanings.index(meaning))
        unnamed = [index for index, meaning in enumerate(self.meanings) if meaning is None]
        shown = self._show_nuclei(unnamed[:MOST_LOOKED_AT])
        if len(shown) == 1:
            return shown[0], Reason(_LOOKS, "likely")
        if len(shown) > 1:
            smallest, second, *_ = sorted(shown, key=lambda index: self._area(index) or 0)
            if (self._area(smallest) or 0) < CLEARLY_SMALLER * (self._area(second) or 0):
                return smallest, Reason(
                    "of the channels that show compact bright objects, it shows the smallest",
                    "likely",
                )
        if True in self.uv:
            return self.uv.index(True), Reason("its laser is one for nuclear stains", "likely")
        if not self.counted:
            return None, self._none()
        usual = _usual_nucleus(self.pixels, colour=self.colour, cell=self.cell)
        if usual is None:
            return None, Reason("no channel looks like nuclei", "likely")
        n_channels = len(self.channels)
        order = "blue is" if self.colour else f"the last of {n_channels} is"
        undecided = "several channels look like nuclei" if shown else "no channel looks like nuclei"
        return usual, Reason(
            f"names do not say it, {undecided}, and {order} the usual choice", "a guess"
        )

    def cell_given_nucleus(self, nucleus: int | None) -> tuple[tuple[int, ...], Reason]:
        """The channel that shows the cells, given the one that shows the nuclei, and why."""
        everything = range(len(self.channels))
        candidates = [index for index in everything if varies(self.pixels[..., index])]
        others = [index for index in candidates if index != nucleus]
        if len(self.channels) == 1:
            return (0,), Reason("the only channel", "sure")
        if not others:
            return ((candidates or [0])[0],), Reason("the only channel that varies", "likely")
        if self.colour:
            most = max(others, key=lambda index: float(np.var(_sample(self.pixels[..., index]))))
            return (most,), Reason("of the colours it varies most", "a guess")
        for index in others:
            if self.meanings[index] == "cells":
                return (index,), Reason("its name says cells, or a stain of them", "sure")
        if len(others) == 1:
            return (others[0],), Reason("the only other channel that varies", "likely")
        rest = [index for index in others if self.meanings[index] in (None, "transmitted light")]
        return ((rest or others)[0],), Reason(f"the first of {len(others)} channels", "a guess")

    def _named(self, index: int) -> tuple[int, Reason]:
        """The channel whose name says nuclei, compared with the contents of all channels."""
        why = "its name says nuclei, or a stain of them"
        if self._show_nuclei([index]):
            return index, Reason(f"{why}, and it looks like nuclei", "sure")
        shown = self._show_nuclei([k for k in range(len(self.channels)) if k != index])
        if len(shown) != 1 or self.meanings[shown[0]] in ("nuclei", "dead nuclei"):
            return index, Reason(why, "likely")
        return index, Reason(
            why,
            "a guess",
            f"{self.channels[index]} is named after nuclei but does not look like nuclei, and "
            f"{self.channels[shown[0]]} does; choose the nucleus channel if the name is wrong",
        )

    def _none(self) -> Reason:
        """Why no channel is the nucleus channel although channels have names."""
        shown = self._show_nuclei([k for k, meaning in enumerate(self.meanings) if meaning])
        if len(self.channels) == 1 or len(shown) != 1:
            return Reason("no name says nuclei, and no channel alone looks like nuclei", "likely")
        name = self.channels[shown[0]]
        return Reason(
            "no name says nuclei",
            "a guess",
            f"{name} is not named after nuclei, but it looks like nuclei; choose it as the "
            "nucleus channel if it shows them",
        )

    def _show_nuclei(self, indices: Sequence[int]) -> list[int]:
        """Which of some channels look like nuclei, without the known cell channels."""
        return [
            index
            for index in indices[:MOST_LOOKED_AT]
            if index not in (self.cell or ()) and self._area(index) is not None
        ]

    def _area(self, index: int) -> float | None:
        if index not in self._areas:
            channel = self.pixels[..., index]
            self._areas[index] = area_of_nuclei(channel) if varies(channel) else None
        return self._areas[index]


_LOOKS = "only it shows compact bright objects, like nuclei"


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
        others = [index for index in channels if index != last and varies(pixels[..., index])]
        variances = [float(np.var(_sample(pixels[..., index]))) for index in others]
        partner = cell[0] if cell else others[int(np.argmax(variances))] if others else last
        alike = _correlation(pixels[..., last], pixels[..., partner])
        if partner != last and alike > COPY_CORRELATION:
            return None
    return last


def name_channels(found: Sequence[str] | None, *, n_channels: int, colour: bool) -> tuple[str, ...]:
    """One name for each channel, all different.

    Parameters
    ----------
    found : C names, or None
        Names from the file. An empty one becomes "channel" and its index; a repeated one gets its
        index added.
    n_channels : int
    colour : bool
        Whether the channels are red, green and blue, and get these names.

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
    """Pearson's correlation; 0 if one of the channels is constant."""
    a, b = _sample(first), _sample(second)
    a, b = a - a.mean(), b - b.mean()
    scale = math.sqrt(float((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / scale if scale > 0 else 0.0
