"""What a format says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T", contravariant=True)


@dataclass(frozen=True)
class Format(Generic[T]):
    """One form in which a `Segmented` image, or a `Result` of a run alone, is taken home.

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
        What is taken home → the files that it consists of: name → content. Several are one zip.
    """

    name: str
    title: str
    file: str
    about: str
    opens_with: str
    make: Callable[[T], Mapping[str, bytes]]
