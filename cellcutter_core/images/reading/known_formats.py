"""The formats that images are read from: a further one is a module in `formats` and a line here."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from cellcutter_core.images.formats.zarr_recognition import is_zarr_archive
from cellcutter_core.images.reading.contents import Contents
from cellcutter_core.images.reading.parts import Part

# The readers are imported when needed: tifffile and Pillow together take a tenth of a second.


def _tiff(path: Path, part: Part, max_bytes: int, as_stored: bool) -> Contents:
    from cellcutter_core.images.formats.tiff import read_tiff

    return read_tiff(path, part, max_bytes, as_stored=as_stored)


def _picture(kind: str, path: Path, part: Part, max_bytes: int, as_stored: bool) -> Contents:
    from cellcutter_core.images.formats.pictures import read_picture

    return read_picture(path, part, max_bytes, kind=kind, as_stored=as_stored)


def _npy(path: Path, part: Part, max_bytes: int, as_stored: bool) -> Contents:
    from cellcutter_core.images.formats.numpy_files import read_npy

    del as_stored
    return read_npy(path, part, max_bytes)


def _archive(path: Path, part: Part, max_bytes: int, as_stored: bool) -> Contents:
    del as_stored
    if is_zarr_archive(path):
        from cellcutter_core.images.formats.ome_zarr import read_ome_zarr
        from cellcutter_core.images.formats.zarr_stores import ZipStore

        return read_ome_zarr(ZipStore(path), part, max_bytes)
    from cellcutter_core.images.formats.numpy_files import read_npz

    return part.in_whole(read_npz(path, max_bytes))


def _hdf5(path: Path, part: Part, max_bytes: int, as_stored: bool) -> Contents:
    from cellcutter_core.images.formats.hdf5 import read_hdf5

    return read_hdf5(path, part, max_bytes, of_labels=as_stored)


def _microscope(kind: str, path: Path, part: Part, max_bytes: int, as_stored: bool) -> Contents:
    from cellcutter_core.images.formats.microscopes import read_microscope

    del as_stored
    return read_microscope(path, part, max_bytes, kind=kind)


class KnownFormat(NamedTuple):
    """A format of image files.

    Attributes
    ----------
    title : str
    start : bytes
        Regular expression of the first 16 bytes of its files.
    read : callable
        `read(path, part, max_bytes, as_stored)` as `readers.read_contents` needs it.
    endings : tuple of str
        How the names of its files end.
    is_always_image : bool
        Whether a file with such an ending is meant as an image. Files of arrays may be anything.
    may_be_labels : bool
        Whether its files can be label images.
    """

    title: str
    start: bytes
    read: Callable[[Path, Part, int, bool], Contents]
    endings: tuple[str, ...]
    is_always_image: bool = True
    may_be_labels: bool = True


NPY = KnownFormat("npy", rb"\x93NUMPY", _npy, (".npy",), is_always_image=False)
ARCHIVE = KnownFormat(
    "npz, zipped OME-Zarr", rb"PK(\x03\x04|\x05\x06)", _archive, (".npz", ".zip"),
    is_always_image=False,
)  # fmt: skip
HDF5 = KnownFormat(
    # Files of MATLAB begin with another text.
    "HDF5", rb"\x89HDF\r\n\x1a\n|MATLAB 7\.3 MAT", _hdf5, (".h5", ".hdf5", ".hdf", ".mat"),
    is_always_image=False,
)  # fmt: skip
KNOWN_FORMATS = (
    KnownFormat("TIFF", rb"II[*+]\0|MM\0[*+]", _tiff, (".tif", ".tiff")),
    KnownFormat("PNG", rb"\x89PNG\r\n\x1a\n", partial(_picture, "png"), (".png",)),
    KnownFormat(
        # It changes numbers a little, and labels are numbers.
        "JPEG", rb"\xff\xd8\xff", partial(_picture, "jpeg"), (".jpg", ".jpeg"), may_be_labels=False
    ),
    # A text may begin with the letters BM too, so the length of the header is checked.
    KnownFormat("BMP", rb"BM.{12}[\x0c(48@l|]\0", partial(_picture, "bmp"), (".bmp",)),
    KnownFormat("GIF", rb"GIF8[79]a", partial(_picture, "gif"), (".gif",)),
    KnownFormat("WebP", rb"RIFF.{4}WEBP", partial(_picture, "webp"), (".webp",)),
    KnownFormat(
        "JPEG 2000", rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", partial(_picture, "jpeg2000"),
        (".jp2", ".j2k", ".jpx", ".jpf"),
    ),
    NPY,
    ARCHIVE,
    HDF5,
    KnownFormat(
        "ND2", rb"\xda\xce\xbe\n", partial(_microscope, "nd2"), (".nd2",), may_be_labels=False
    ),
    KnownFormat("CZI", rb"ZISRAWFILE", partial(_microscope, "czi"), (".czi",), may_be_labels=False),
    KnownFormat("LIF", rb"p\0\0\0", partial(_microscope, "lif"), (".lif",), may_be_labels=False),
)  # fmt: skip

FORMAT_NAMES = ", ".join(one.title for one in KNOWN_FORMATS)
"""The names of all formats, for messages."""


def format_of(start: bytes) -> KnownFormat | None:
    """Return the format of a file by at least its first 16 bytes; None if it is not known."""
    for one in KNOWN_FORMATS:
        if re.match(one.start, start, re.DOTALL):
            return one
    return None


def endings(*, always_images: bool = False, labels: bool = False) -> tuple[str, ...]:
    """Return the endings of all formats, or of those with these properties, such as ".tif"."""
    return tuple(
        ending
        for one in KNOWN_FORMATS
        if one.is_always_image or not always_images
        if one.may_be_labels or not labels
        for ending in one.endings
    )
