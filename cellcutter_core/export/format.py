"""The description of an export format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T", contravariant=True)


@dataclass(frozen=True)
class Format(Generic[T]):
    """A format that a `Segmented` image, or only a `Result` of a run, can be exported to.

    Attributes
    ----------
    name : str
        Its name on the command line.
    title : str
        Its name in the app.
    file : str
        The usual name of the file.
    about : str
        What the file holds, in one line.
    opens_with : str
        The programs that open it.
    make : callable
        Takes the image or result and returns its files: name → content. Several files make one zip.
    """

    name: str
    title: str
    file: str
    about: str
    opens_with: str
    make: Callable[[T], Mapping[str, bytes]]
