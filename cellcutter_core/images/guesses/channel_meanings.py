"""Finds the meaning of a channel's name: the usual stains, structures and lasers.

To add a stain, add an entry to the list of its meaning.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from cellcutter_core.images.file_sets.channel_names import what_differs

Meaning = Literal["nuclei", "dead nuclei", "cells", "organelles", "transmitted light"]

# Found anywhere in a name. A space matches any punctuation or none: "to pro" is also "TO-PRO" and
# "ToPro".
_PARTS: dict[Meaning, str] = {
    "nuclei": "dapi|hoechst|hoescht|hoesht|höchst|33342|33258|nuclei|nucleus|nuclear|draq 5|histone"
    "|dye cycle|ha?ematoxylin|feulgen|chromatin|zellkern"
    "|nuc (blue|red|green|orange|spot|light|mask|fix|violet)",
    "dead nuclei": "propidium|sytox|to pro|yo pro|toto [13]|yoyo 1|7 aad|draq 7|ethidium",
    "cells": "membran|plasmalemma|farnesyl|cadherin|catenin|wheat germ|concanavalin"
    "|cell (mask|tracker|trace|brite|body|bodies|shape|outline|surface|border|wall)|calcein"
    "|fm [14] (43|64)|cytoplasm|zytoplasm|citoplasm|cytosol|actin|phalloidin|lifeact|utrophin"
    "|tubulin|vimentin|keratin|epcam|na k atpase|claudin|occludin|erbb2|desmin|myosin|eosin",
    "organelles": "nucleol|perinucl|nuclear (envelope|membrane|pore|lamina)|nucleoporin|syto 14"
    "|rna select|mito(?!sis|tic)|golgi|calnexin|calreticulin|lyso (tracker|som)|endosom"
    "|peroxisom|autophag|bodipy|nile red|lipid (tox|drop)",
    "transmitted light": "bright field|phase|nomarski|transmi|hoffman|dodt",
}

# Found only as separate words: with no letter beside them, except a fluorescent protein after them.
_WORDS: dict[Meaning, str] = {
    "nuclei": r"nucl?|dna|h2[ab]|h[134] (e?gfp|m?rfp|mcherry|yfp|cfp)|nls|syto|kerne?|noyaux?"
    r"|n[uú]cleos?",
    "dead nuclei": r"pi(?! ?\d)|ethd",
    "cells": r"memb?|pm|caax|[enp] cad|ve cad|wga|con a|cmfda|cfse|di[iod]|cyto|(pan)? ck ?\d*"
    r"|cd ?\d+[a-z]?|zo 1|her2|egfr|gfap|map2|iba 1|agp|zellen?"
    # The channel of a stained section, see `cellcutter_core.images.guesses.stains`.
    r"|density",
    "organelles": r"er|(?<!si\x20)(?<!sh\x20)rna|lamin( [ab]\d?)?|lmn[ab]\d?|nup \d+|tom 20|lamp \d"
    r"|eea1|gm130|lc3",
    "transmitted light": r"bf|dic|t pmt|pmt trans|tl|trans|td(?! tomato)|dpc|qpi",
}

_PROTEIN = r"(?=[em]?(?:gfp|rfp|yfp|cfp|bfp|cherry|ruby|scarlet|venus|emerald|neon|kate|turq))"

_CELL_WORD = re.compile(r"(?<![a-z])cells?(?![a-z])")

# What ImageJ writes before the title of the image: "c:1/2 z:1/5 - title".
_SLICE_LABEL = re.compile(r"^([ctz]:\d+/\d+\s*)+- .*")

LONGEST_NAME = 200
"""Only this many characters of a name are used."""

_NUMBER = re.compile(r"(?<!\d)\d{3}(?!\d)")
UV_LASERS = range(340, 411)
"""Wavelengths in nm that excite DAPI, Hoechst and their like."""
NEXT_LASER = 15
"""Lasers are further apart than this many nm; numbers that are closer are running numbers."""


def _pattern(meaning: Meaning) -> re.Pattern[str]:
    parts, words = (listed[meaning].replace(" ", r"[\W_]*") for listed in (_PARTS, _WORDS))
    return re.compile(rf"{parts}|(?<![a-z])({words})((?![a-z])|{_PROTEIN})")


_PATTERNS = {meaning: _pattern(meaning) for meaning in _PARTS}


def meanings(channels: Sequence[str]) -> list[Meaning | None]:
    """The meaning of each channel's name; None if it has none, or two.

    Words that all names begin or end with are ignored.

    Parameters
    ----------
    channels : sequence of str

    Examples
    --------
    >>> meanings(["w1DAPI", "w2Phalloidin-568", "w3Ch"])
    ['nuclei', 'cells', None]
    >>> meanings(["DAPI series 1 - C=0", "DAPI series 1 - C=1"])
    [None, None]
    """
    return [_meaning(name) for name in own_words([_own(name) for name in channels])]


def own_words(channels: Sequence[str]) -> list[str]:
    """The names without the words that all of them begin or end with."""
    return what_differs([name[:LONGEST_NAME] for name in channels])


def excited_by_uv(channels: Sequence[str]) -> list[bool]:
    """Whether the name of each channel holds the wavelength of a laser for nuclear stains.

    Examples
    --------
    >>> excited_by_uv(["405", "488 nm", "Ch3"]), excited_by_uv(["img 405", "img 406"])
    ([True, False, False], [False, False])
    """
    numbers = [[int(number) for number in _NUMBER.findall(_own(name))] for name in channels]

    def is_count(number: int, at: int) -> bool:
        others = [other for k, listed in enumerate(numbers) if k != at for other in listed]
        return any(abs(number - other) <= NEXT_LASER for other in others)

    return [
        any(number in UV_LASERS and not is_count(number, at) for number in listed)
        for at, listed in enumerate(numbers)
    ]


def _own(name: str) -> str:
    """The part of a name that is about its channel, without ImageJ's label of the slice."""
    return _SLICE_LABEL.sub("", name)


def _meaning(name: str) -> Meaning | None:
    # Search with and without splitting at capitals: "CellMembrane" is two words, "DiI" is one.
    text = f"{name} / {re.sub(r'(?<=[a-z])(?=[A-Z])', ' ', name)}".lower()
    found: list[Meaning] = [m for m, pattern in _PATTERNS.items() if pattern.search(text)]
    if "organelles" in found:
        # "Nuclear envelope" contains the word for nuclei, "RNA (SYTO 14)" a stain of nuclei.
        return "organelles"
    if len(found) == 1:
        return found[0]
    return "cells" if not found and _CELL_WORD.search(text) else None
