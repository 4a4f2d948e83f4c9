"""What a format says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cellcutter_core.export.result import Result


@dataclass(frozen=True)
class Format:
    """One form in which a result is taken home.

    Attributes
    ----------
    name : str
        What the command line calls it.
    title : str
        What a person calls it.
    file : str
        What the file is called if nobody says otherwise.
    about : str
        What is in it, in one line.
    opens_with : str
        The programs that open it.
    make : callable
        A `Result` → the files that it consists of: name → content. Several are one zip.
    """

    name: str
    title: str
    file: str
    about: str
    opens_with: str
    make: Callable[[Result], Mapping[str, bytes]]
