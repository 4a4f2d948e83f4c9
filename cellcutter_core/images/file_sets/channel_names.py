"""Channels that lie in files of their own: which files are one image, by what they are called."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
"""What some microscopes end each name with, another one for every file."""

MADE_OF_IT = re.compile(r"\+|mask|label|seg|outline|overlay|thumb|merge|composite", re.IGNORECASE)
"""What names of files say that are made of a channel, and none."""

Key = tuple[str, str]
"""What a name has before and after what says its channel."""


@dataclass(frozen=True)
class ChannelNames:
    """How the names of files say which channel is in them, learnt from those of one image.

    What differs between them says it: a word, or a run of letters or digits, that stands as far
    from the end, or from the beginning, of every other name.

    Attributes
    ----------
    stems : tuple of str
        The names of the files of one image without their endings, in the order of its channels.

    Examples
    --------
    >>> names = ChannelNames.of(["A01_actin.tif", "A01_dapi.tif"])
    >>> names.titles
    ['actin', 'dapi']
    >>> names.find("B12_s3_dapi.tif")
    (1, ('B12_s3_', ''))
    """

    stems: tuple[str, ...]

    @classmethod
    def of(cls, files: Sequence[str]) -> ChannelNames | None:
        """Learnt from the names of these files; None of one file, or where two have one name."""
        stems = tuple(stem_of(file) for file in files)
        differ = len({tuple(_lower(_words(stem))) for stem in stems}) == len(stems) > 1
        return cls(stems) if differ else None

    @property
    def titles(self) -> list[str]:
        """What each channel is called in any image."""
        before, middles, _ = self._parts
        # Numbers say more with what they number, such as ch00.
        last = _words(self.stems[0])[before - 1] if before else ""
        unit = last if last.isalpha() and all(m and m[0].isdigit() for m in middles) else ""
        titles = [unit + "".join(middle).strip("_-. ") for middle in middles]
        return titles if all(titles) else list(self.stems)

    def title_of(self, channel: str) -> str:
        """What a channel of that image, called by its file, is called in any image.

        Examples
        --------
        >>> ChannelNames.of(["A01_actin.tif", "A01_dapi.tif"]).title_of("A01_dapi red")
        'dapi red'
        """
        return titled(channel, self.stems, self.titles)

    def find(self, file: str) -> tuple[int, Key] | None:
        """Which channel is in a file of that name, and which image it is of.

        Returns
        -------
        channel : int
            From 0.
        key : (str, str)
            The same for all files of an image.
        None
            Where the name says no channel: after it there are words that say something else, as in
            "A01_dapi_mask".
        """
        words = _words(stem_of(file))
        before, middles, after = self._parts
        ending = _lower(_words(self.stems[0]))[-after:] if after else []
        # Of one that comes first, as in "C1-name", any name may follow.
        first = not before or (before == 1 and "".join(words[:1]).isalpha())
        # The longest first: of "cells" and "cells_dapi" one is in the other.
        channels = sorted(range(len(middles)), key=lambda k: -len(middles[k]))
        for from_end, channel in product((True, False), channels):
            middle = middles[channel]
            start = len(words) - after - len(middle) if from_end else before
            end = start + len(middle)
            tail = "".join(words[end:])
            known = _lower(words[end:]) == ending or (
                not MADE_OF_IT.search(tail) and (first or _is_number(tail))
            )
            if start >= 0 and known and _lower(words[start:end]) == _lower(middle):
                return channel, ("".join(words[:start]), tail)
        # What follows may be of this file alone, as where a microscope numbers its files at random.
        firsts = [_lower(middle[:1]) for middle in middles]
        here, rest = _lower(words[before : before + 1]), words[before + 1 :]
        numbered = all(len(middle) > 1 for middle in middles)
        if numbered and _is_number("".join(rest)) and firsts.count(here) == 1:
            return firsts.index(here), ("".join(words[:before]), "")
        return None

    @cached_property
    def _parts(self) -> tuple[int, list[list[str]], int]:
        """How many words all have before what differs; that of each; how many they have after."""
        names = [_words(stem) for stem in self.stems]
        shortest = min(map(len, names))
        before = 0
        while before < shortest and len({name[before] for name in names}) == 1:
            before += 1
        after = 0
        while after < shortest - before and len({name[-1 - after] for name in names}) == 1:
            after += 1
        return before, [name[before : len(name) - after] for name in names], after

    def images(
        self, files: Sequence[Path], *, with_folders: bool = True
    ) -> list[Path | tuple[Path, ...]]:
        """The images in some files: those of several channels as tuples, in the channels' order.

        Parameters
        ----------
        files : sequence of Path
        with_folders : bool
            Whether only files in the same folder are of one image.

        Returns
        -------
        list of Path or tuple of Path
            Also those that `check` refuses.
        """
        images: list[Path | list[tuple[int, Path]]] = []
        known: dict[tuple[Path, Key], list[tuple[int, Path]]] = {}
        for file in files:
            found = self.find(file.name)
            if found is None:
                images.append(file)
                continue
            channel, (before, after) = found
            # Names that differ in capitals alone are of one image.
            key = (before.casefold(), after.casefold())
            place = (file.parent if with_folders else Path(), key)
            if place not in known:
                images.append(known.setdefault(place, []))
            known[place].append((channel, file))
        return [
            one if isinstance(one, Path) else tuple(file for _, file in sorted(one))
            for one in images
        ]

    def check(self, files: Sequence[Path]) -> None:
        """Raise a ValueError if a channel of an image in these files is missing, or there twice.

        Where a name says no channel, their order does.
        """
        there: dict[int, Path] = {}
        for file in files:
            found = self.find(file.name)
            if found is None:
                return
            same = there.setdefault(found[0], file)
            if same is not file:
                raise ValueError(
                    f"{file.name}: {same.name} is the same channel of the same image; take one of "
                    "them away, or rename it"
                )
        missing = [title for k, title in enumerate(self.titles) if k not in there]
        if missing:
            named = ", ".join(file.name for file in files)
            raise ValueError(
                f"{named}: the file of the channel {missing[0]} is missing; give the files of all "
                f"channels of an image, called as those of the run were ({', '.join(self.stems)})"
            )

    def name_of(self, files: Sequence[Path]) -> str:
        """What an image in several files is called: what says no channel, or else the folder that
        all of them are in.

        Examples
        --------
        >>> names = ChannelNames.of(["A01_actin.tif", "A01_dapi.tif"])
        >>> names.name_of([Path("day1/B12_actin.tif"), Path("day1/B12_dapi.tif")])
        'B12'
        >>> names.name_of([Path("day1/actin.tif"), Path("day1/dapi.tif")])
        'day1'
        """
        first = files[0]
        found = self.find(first.name)
        common = "".join(found[1]).strip("_-. ") if found else ""
        folders = {file.parent for file in files}
        return common or (first.parent.name if len(folders) == 1 else "") or stem_of(first.name)


def titled(channel: str, stems: Sequence[str], titles: Sequence[str]) -> str:
    """A channel called by one of these files, or by one and its name there, by a title instead."""
    of_file = [
        (stem, title)
        for stem, title in zip(stems, titles, strict=True)
        if channel == stem or channel.startswith(f"{stem} ")
    ]
    if not of_file:
        return channel
    stem, title = max(of_file, key=lambda one: len(one[0]))
    return title + channel[len(stem) :]


def stem_of(name: str) -> str:
    """The name of a file without its ending, of which .ome is a part."""
    return Path(name).stem.removesuffix(".ome") or name


def what_differs(stems: Sequence[str]) -> list[str]:
    """The names without the words that all of them begin with, or end with.

    Examples
    --------
    >>> what_differs(["DNA exp1_ch00", "DNA exp1_ch01"])
    ['ch00', 'ch01']
    """
    words = [re.findall(r"[^\W_]+|[\W_]+", stem) for stem in stems]
    for end in (0, -1):
        while len(words) > 1 and all(len(name) > 1 for name in words):
            if len({name[end] for name in words}) > 1:
                break
            for name in words:
                name.pop(end)
    return ["".join(name) for name in words]


def differ_in_several_places(files: Sequence[str]) -> bool:
    """Whether names of files that are given as one image differ in more than the channel.

    Examples
    --------
    >>> differ_in_several_places(["A01_actin.tif", "B12_dapi.tif"])
    True
    >>> differ_in_several_places(["A01_actin.tif", "A01_dapi.tif"])
    False
    """
    words = [re.findall(r"[^\W_]+", stem_of(file).casefold()) for file in files]
    if len({len(name) for name in words}) > 1:
        return False
    return sum(len(set(place)) > 1 for place in zip(*words, strict=True)) > 1


def _is_number(text: str) -> bool:
    """Whether there is a digit in it, or it may be a hexadecimal number without one."""
    return re.search(r"\d", text) is not None or re.fullmatch(r"[a-f]+", text.lower()) is not None


def _lower(words: Sequence[str]) -> list[str]:
    return [word.casefold() for word in words]


def _words(stem: str) -> list[str]:
    """Runs of letters, of digits, and of what is between them, but for a `GUID`."""
    return re.findall(r"[^\W\d_]+|\d+|[\W_]+", GUID.sub("", stem))
