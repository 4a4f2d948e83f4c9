"""Formats that are written part by part, for images that do not fit into memory."""

from __future__ import annotations

import zipfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

from cellcutter_core.export.files import add_entry
from cellcutter_core.export.formats.geojson import about_frame, compact_json, geojson, geojson_file
from cellcutter_core.export.formats.rois import NO_CELL, rois
from cellcutter_core.export.formats.table import table_file
from cellcutter_core.export.segmented import Segmented


class InParts(ABC):
    """A file that is written part by part.

    Parameters
    ----------
    file : IO
        Open for binary writing.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file

    @abstractmethod
    def add(self, part: Segmented) -> None:
        """Write the cells of another part."""

    @abstractmethod
    def close(self) -> None:
        """Write the end of the file.

        Raises
        ------
        ValueError
            If the format needs a cell and there was none.
        """


class Table(InParts):
    """See `table_file`."""

    def add(self, part: Segmented) -> None:
        names, end, lines = table_file(part.table).partition(b"\n")
        self.file.write(lines if self.file.tell() else names + end + lines)

    def close(self) -> None:
        """A table has no end."""


class Geojson(InParts):
    """See `geojson_file`."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        head, _ = geojson_file(np.zeros((1, 1), np.uint8)).split(b"]")
        self.file.write(head)
        self._about: dict[str, Any] = {}

    def add(self, part: Segmented) -> None:
        found = geojson(part.labels, part.table, origin=part.origin, colors=part.colors)
        for feature in found["features"]:
            self.file.write((b"," if self._about else b"") + compact_json(feature))
            self._about = about_frame(part)

    def close(self) -> None:
        self.file.write(b"]")
        if self._about:
            self.file.write(b',"cellcutter":' + compact_json(self._about))
        self.file.write(b"}")


class Rois(InParts):
    """See `roi_set`."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self._archive = zipfile.ZipFile(file, "w")

    def add(self, part: Segmented) -> None:
        for name, content in rois(part.labels, origin=part.origin).items():
            add_entry(self._archive, name, content)

    def close(self) -> None:
        self._archive.close()
        if not self._archive.namelist():
            raise ValueError(NO_CELL)


IN_PARTS: Mapping[str, type[InParts]] = {"table": Table, "geojson": Geojson, "rois": Rois}
"""Name of a format → the class that writes it part by part."""
