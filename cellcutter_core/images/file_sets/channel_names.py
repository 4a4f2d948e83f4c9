"""Finds by file names which files are the channels of one image."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
"""Some microscopes end each file name with such an id, different for every file."""

MADE_OF_IT = re.compile(r"\+|mask|label|seg|outline|overlay|thumb|merge|composite", re.IGNORECASE)
"""Words that mark a derived file, not a raw channel."""

Key = tuple[str, str]
"""The parts of a file name before and after the part that names the channel."""


@dataclass(frozen=True)
class ChannelNames:
    """How file names tell the channel, learnt from the file names of one image.

    The channel is the part that differs between these names: a word, or a run of letters or digits.
    In the names of other images it has the same distance from the end, or from the beginning.

    Attributes
    ----------
    stems : tuple of str
        The file names of one image without their endings, in the order of its channels.

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
        """Learn from the names of these files; None for one file, or if two have the same name."""
        stems = tuple(stem_of(file) for file in files)
        differ = len({tuple(_lower(_words(stem))) for stem in stems}) == len(stems) > 1
        return cls(stems) if differ else None

    @property
    def titles(self) -> list[str]:
        """The name of each channel, the same in all images."""
        before, middles, _ = self._parts
        # A number is clearer with the word before it, such as ch00.
        last = _words(self.stems[0])[before - 1] if before else ""
        unit = last if last.isalpha() and all(m and m[0].isdigit() for m in middles) else ""
        titles = [unit + "".join(middle).strip("_-. ") for middle in middles]
        return titles if all(titles) else list(self.stems)

    def title_of(self, channel: str) -> str:
        """The title of a channel that is named after its file.

        Examples
        --------
        >>> ChannelNames.of(["A01_actin.tif", "A01_dapi.tif"]).title_of("A01_dapi red")
        'dapi red'
        """
        return titled(channel, self.stems, self.titles)

    def find(self, file: str) -> tuple[int, Key] | None:
        """The channel in a file of this name, and the image that it belongs to.

        Returns
        -------
        channel : int
            From 0.
        key : (str, str)
            The same for all files of an image.
        None
            If the name does not tell a channel. For example, other words follow it, as in
            "A01_dapi_mask".
        """
        words = _words(stem_of(file))
        before, middles, after = self._parts
        ending = _lower(_words(self.stems[0]))[-after:] if after else []
        # If the channel comes first, as in "C1-name", any name may follow.
        first = not before or (before == 1 and "".join(words[:1]).isalpha())
        # The longest first: "cells_dapi" contains "cells".
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
        # What follows may be unique to this file, because some microscopes number files at random.
        firsts = [_lower(middle[:1]) for middle in middles]
        here, rest = _lower(words[before : before + 1]), words[before + 1 :]
        numbered = all(len(middle) > 1 for middle in middles)
        if numbered and _is_number("".join(rest)) and firsts.count(here) == 1:
            return firsts.index(here), ("".join(words[:before]), "")
        return None

    @cached_property
    def _parts(self) -> tuple[int, list[list[str]], int]:
        """The number of common words at the start, the words that differ, and that at the end."""
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
        """Group files into images; files of channels become a tuple, in the order of channels.

        Parameters
        ----------
        files : sequence of Path
        with_folders : bool
            Whether the files of one image must be in the same folder.

        Returns
        -------
        list of Path or tuple of Path
            Includes images that `check` refuses.
        """
        images: list[Path | list[tuple[int, Path]]] = []
        known: dict[tuple[Path, Key], list[tuple[int, Path]]] = {}
        for file in files:
            found = self.find(file.name)
            if found is None:
                images.append(file)
                continue
            channel, (before, after) = found
            # Upper and lower case do not matter.
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
        """Raise a ValueError if the file of a channel is missing or given twice.

        If a name does not tell a channel, nothing is checked: the order of files tells channels.
        """
        there: dict[int, Path] = {}
        for file in files:
            found = self.find(file.name)
            if found is None:
                return
            same = there.setdefault(found[0], file)
            if same is not file:
                raise ValueError(
                    f"{file.name}: {same.name} is the same channel of the same image; remove one "
                    "of them, or rename it"
                )
        missing = [title for k, title in enumerate(self.titles) if k not in there]
        if missing:
            named = ", ".join(file.name for file in files)
            raise ValueError(
                f"{named}: the file of the channel {missing[0]} is missing; give the files of all "
                f"channels of an image, named like those of the run ({', '.join(self.stems)})"
            )

    def name_of(self, files: Sequence[Path]) -> str:
        """The name of an image in several files: the part of file names that is not the channel, or
        else their common folder.

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
    """Replace the file name at the beginning of a channel's name by the title of that file."""
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
    """The name of a file without its ending; .ome is part of the ending."""
    return Path(name).stem.removesuffix(".ome") or name


def what_differs(stems: Sequence[str]) -> list[str]:
    """The names without the words that all of them begin or end with.

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
    """Whether the names of files given as one image differ in more than the channel.

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
    """Whether a text holds a digit, or may be a hexadecimal number without one."""
    return re.search(r"\d", text) is not None or re.fullmatch(r"[a-f]+", text.lower()) is not None


def _lower(words: Sequence[str]) -> list[str]:
    return [word.casefold() for word in words]


def _words(stem: str) -> list[str]:
    """Runs of letters, of digits, and of other characters, without a `GUID`."""
    return re.findall(r"[^\W\d_]+|\d+|[\W_]+", GUID.sub("", stem))
