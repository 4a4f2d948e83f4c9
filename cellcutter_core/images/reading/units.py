"""Units of length as files spell them."""

from __future__ import annotations

import math
import re

# The length in µm of a unit, by what stands before "m" or "metre".
_PREFIXES = {
    prefix: length
    for length, prefixes in (
        (1e-12, ("a", "atto")),
        (1e-9, ("f", "femto")),
        (1e-6, ("p", "pico")),
        (1e-3, ("n", "nano")),
        (1.0, ("µ", "u", "mc", "micro", "mikro")),
        (1e3, ("m", "milli")),
        (1e4, ("c", "centi", "zenti")),
        (1e5, ("d", "deci")),
        (1e6, ("",)),
        (1e9, ("k", "kilo")),
    )
    for prefix in prefixes
}
_OTHERS = {
    "µ": 1.0,
    "mu": 1.0,
    "micron": 1.0,
    "å": 1e-4,
    "ångström": 1e-4,
    "angstrom": 1e-4,
    "in": 25400.0,
    "inch": 25400.0,
    "inche": 25400.0,
    '"': 25400.0,
    "zoll": 25400.0,
    "thou": 25.4,
    "mil": 25.4,
}

_METRES = re.compile(rf"({'|'.join(_PREFIXES)})(?:m|[\s-]?m[eè]t(?:er|re|ro))")
_PER_PIXEL = re.compile(r"\s*(?:/|per)\s*(?:px|pix|pixels?)$")


def in_micrometres(length: float, unit: str) -> float | None:
    """A length in µm; None if it is not a positive number, or the unit is not known.

    Files write micro in several ways: with either of two signs, as an escape sequence, or garbled
    by a wrong encoding.

    Examples
    --------
    >>> in_micrometres(325, "nm"), in_micrometres(5e-7, "m"), in_micrometres(0.5, "Micrometers")
    (0.325, 0.5, 0.5)
    >>> in_micrometres(1, "pixel")
    """
    factor = micrometres_of(unit)
    size = math.nan if factor is None else length * factor
    return size if math.isfinite(size) and size > 0 else None


def micrometres_of(unit: str) -> float | None:
    """The length of a unit in µm; None if it is not known."""
    text = re.sub(r"\\u00b5|\\u03bc|\\xb5|&micro;|&#181;|μ|Âµ|Î¼|�", "µ", unit.strip(), flags=re.I)
    # In a unit of two letters, a capital first letter is another prefix: "Mm" is a megametre.
    if re.fullmatch(r"[A-Z]m", text) and text[0] not in "NU":
        return None
    text = _PER_PIXEL.sub("", text.lower()).strip(" .()[]")
    for known in (text, text.removesuffix("s")):
        if known in _OTHERS:
            return _OTHERS[known]
        if found := _METRES.fullmatch(known):
            return _PREFIXES[found[1]]
    return None
