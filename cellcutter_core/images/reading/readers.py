"""Reads image files into arrays: finds the format, and makes one-line messages of all errors.

Libraries that read images fail in many ways on a damaged file. Here every failure becomes a
`ValueError` with a message of one line that begins with the file's name.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from cellcutter_core.images.formats.zarr_recognition import (
    is_address,
    is_zarr_archive,
    is_zarr_folder,
)
from cellcutter_core.images.guesses.unimaged_gaps import is_gap
from cellcutter_core.images.reading.contents import Array, Contents, Several, Stack, Unreadable
from cellcutter_core.images.reading.drawn_shapes import is_drawn
from cellcutter_core.images.reading.known_formats import ARCHIVE, FORMAT_NAMES, HDF5, format_of
from cellcutter_core.images.reading.parts import Part, Plane, Region
from cellcutter_core.limits import limits

GIT_LFS = (b"version https://git-lfs",)

POINTERS = {
    ".vsi": "in the .ets files of a folder beside it (cellSens, OlyVIA)",
    ".mrxs": "in the .dat files of a folder beside it (MIRAX)",
}
"""Files whose image is stored elsewhere, and where. They are known by the ending of their name,
because they begin like TIFF or JPEG."""

HDF5_IMAGES = (".h5", ".hdf5", ".hdf")
"""HDF5 files in a folder are images if they end so. Others may be anything, such as models."""


def read_contents(
    path: Path | str,
    *,
    z: Plane = None,
    t: Plane = None,
    scene: Plane = None,
    region: Region | None = None,
    reduced_to: int | None = None,
    as_stored: bool = False,
    nan_as: Sequence[float | None] = (),
    public_only: bool = False,
    max_bytes: int | None = None,
) -> Contents:
    """Read the arrays of an image file.

    The format is found by the first bytes of the file; the ending of its name does not matter.

    Parameters
    ----------
    path : Path or str
        A file, the folder of an OME-Zarr, or its address (http or https).
    z, t : int, 'max' (z only) or None
        The plane of a stack, from 0.
    scene : int or str, optional
        The image to read if the file holds several, from 0 or by name.
    region : (row, col, row, col), optional
        First row and column of the part to read, and those after the last. A file that can only be
        read as a whole is read as a whole, and `Contents.whole` is True.
    reduced_to : int, optional
        Read only every n-th row and column, so that there are at most this many of each. A file
        that can only be read as a whole is read in full, and `Contents.full_shape` is None.
    as_stored : bool
        Read the numbers of a palette instead of its colours, as for labels.
    nan_as : sequence of float or None
        If it is a part of an image: `Contents.nan_as` of the whole image. Its NaN is then replaced
        by these numbers, whatever its shape in this part.
    public_only : bool
        See `cellcutter_core.images.formats.zarr_stores.WebStore`.
    max_bytes : int, optional
        Refuse a file that needs more memory, by its header. Default: `Limits.image`.

    Raises
    ------
    ValueError
        If anything is wrong. The message is one line that begins with the file's name. The error is
        a `TooLarge` or `Several` in these two cases.
    """
    name = file_name(path)
    limit = limits().image if max_bytes is None else max_bytes
    try:
        _refuse_pointer(path)
        with warnings.catch_warnings():
            # Libraries warn of odd metadata; everything that matters for the pixels is checked.
            warnings.simplefilter("ignore")
            part = Part(z, t, scene, region, reduced_to)
            if is_address(path) or is_zarr_folder(Path(path)):
                contents = _read_zarr(path, part, limit, public_only)
            else:
                contents = _read(Path(path), _start(Path(path)), part, as_stored, limit)
        contents.pixels, contents.nan_as = _plain(contents.pixels, nan_as)
        return contents
    except Unreadable as error:
        error.args = (f"{name}: {one_line(error)}",)
        raise error from None
    except Exception as error:
        detail = one_line(f"{type(error).__name__}: {error}")[:200]
        raise ValueError(
            f"{name}: cannot be read, it may be damaged or incomplete ({detail}); "
            "copy or save it again"
        ) from error


def read_label_contents(path: Path | str, *, z: Plane = None, t: Plane = None) -> Contents:
    """The arrays of a file of labels, which must hold a single image.

    Parameters
    ----------
    path : Path or str
    z, t : int, 'max' (z only) or None
        The plane that the image shows, which is read if the labels are a stack. There are no labels
        of a maximum.

    Raises
    ------
    ValueError
        As `read_contents`.
    """
    try:
        try:
            contents = read_contents(path, as_stored=True)
        except Stack:
            contents = read_contents(path, z=None if z == "max" else z, t=t, as_stored=True)
        pixels = contents.pixels
        # Some formats can store only colours.
        if contents.colour and all(
            np.array_equal(pixels[..., 0], pixels[..., other]) for other in (1, 2)
        ):
            contents.pixels, contents.colour = np.ascontiguousarray(pixels[..., :1]), False
        return contents
    except Stack as error:
        raise Unreadable(
            f"{str(error).partition(', and one plane is')[0]}, and it is not known which plane "
            "belongs to the image; save the labels of that plane in a separate file"
        ) from None
    except Several as error:
        raise Unreadable(
            f"{str(error).partition(', and one is')[0]}, and it is not known which of them holds "
            "the labels; save the labels in a separate file"
        ) from None


def _refuse_pointer(path: Path | str) -> None:
    """Refuse a file that refers to an image in other files and holds at most an overview of it."""
    if not is_address(path) and (lies := POINTERS.get(Path(path).suffix.lower())):
        raise Unreadable(
            f"holds only an overview. The image itself is {lies}, which is not supported; "
            "export the image as OME-TIFF"
        )


def n_images(path: Path | str) -> int:
    """The number of separate images in a file, by its header; 1 if it cannot be read.

    Pixels are not read.
    """
    several = _several(path)
    return several.n if several else 1


def image_titles(path: Path | str) -> list[str]:
    """Name and shape of each image of a file that holds several, in their order; else empty.

    Pixels are not read.
    """
    several = _several(path)
    return [one_line(title) for title in several.titles] if several else []


def _several(path: Path | str) -> Several | None:
    try:
        read_contents(path, max_bytes=0)
    except Several as error:
        return error
    except ValueError:
        pass
    return None


def is_image_file(path: Path) -> bool:
    """Whether a file is an image, by its first bytes. Hidden files are not.

    All zip archives begin alike: one is an image if its name ends in .npz or a Zarr is in it. A
    folder is an image if it is an OME-Zarr.
    """
    if path.name.startswith("."):
        return False
    if not path.is_file():
        return is_zarr_folder(path)
    try:
        known = format_of(_start(path))
        if known is ARCHIVE:
            return path.suffix.lower() == ".npz" or is_zarr_archive(path)
        if known is HDF5:
            return path.suffix.lower() in HDF5_IMAGES
    except (Unreadable, OSError, BadZipFile):
        return False
    return known is not None


def file_name(path: Path | str) -> str:
    """The name of a file as messages begin with it; for an address, the last part of its path."""
    if is_address(path):
        path = str(path).split("?")[0].rstrip("/")
    return one_line(Path(path).name or path)


def one_line(text: object) -> str:
    """The text with every run of white space, including line breaks, replaced by one space.

    Characters that a terminal or a page would execute instead of show (escape sequences, changes
    of the direction of text, bytes that are not text) become �.
    """
    line = " ".join(str(text).split())
    return line if line.isprintable() else "".join(c if c.isprintable() else "�" for c in line)


def _start(path: Path) -> bytes:
    """The first bytes of the file."""
    try:
        if path.is_dir():
            raise Unreadable("is a folder but not an OME-Zarr; give one image file in it")
        with path.open("rb") as file:
            start = file.read(16)
    except FileNotFoundError:
        raise Unreadable(f"no such file (looked for {path.absolute()}); check the path") from None
    except OSError as error:
        reason = error.strerror or error
        raise Unreadable(f"cannot be opened, {reason}; check its path and permissions") from None
    if not start:
        raise Unreadable("is empty (0 bytes); copy or save it again")
    return start


def _read_zarr(path: Path | str, part: Part, max_bytes: int, public_only: bool) -> Contents:
    from cellcutter_core.images.formats.ome_zarr import read_ome_zarr
    from cellcutter_core.images.formats.zarr_stores import FolderStore, WebStore

    if is_address(path):
        return read_ome_zarr(WebStore(str(path), public_only=public_only), part, max_bytes)
    return read_ome_zarr(FolderStore(Path(path)), part, max_bytes)


def _read(path: Path, start: bytes, part: Part, as_stored: bool, max_bytes: int) -> Contents:
    known = format_of(start)
    if known in (None, ARCHIVE) and is_drawn(path):
        raise Unreadable(
            "holds points, outlines or other JSON instead of an image; give ROIs of ImageJ and "
            "GeoJSON as the markers or true cells of an image"
        )
    if known is not None:
        return known.read(path, part, max_bytes, as_stored)
    if start.startswith(tuple(mark[:16] for mark in GIT_LFS)):
        raise Unreadable(
            "is a pointer of Git LFS instead of the file; fetch the file with 'git lfs pull'"
        )
    raise Unreadable(
        f"is not an image in a known format; give {FORMAT_NAMES}, or the folder of an "
        "OME-Zarr (export files of other microscopes as OME-TIFF)"
    )


def _plain(pixels: Array, nan_as: Sequence[float | None]) -> tuple[Array, tuple[float | None, ...]]:
    """The pixels in C order, in native byte order, and all finite; and `Contents.nan_as`.

    NaN in a frame around the image, or in the empty parts of a mosaic, is replaced by the smallest
    number of the channel. In a channel with a number in `nan_as`, NaN is replaced by this number.
    """
    known = dict(enumerate(nan_as))
    replaced: dict[int, float] = {}
    dtype = pixels.dtype.newbyteorder("=")
    if dtype.kind == "f":
        # Later steps work in 32-bit floats.
        limit = np.finfo(np.float32).max
        for index in range(pixels.shape[2]):
            channel = pixels[..., index]
            with np.errstate(all="ignore"):
                bad = ~(np.abs(channel) <= limit)
            n_bad = int(np.count_nonzero(bad))
            if not n_bad:
                continue
            number = known.get(index)
            if bool(np.isnan(channel[bad]).all()) and (number is not None or is_gap(bad)):
                # Registered and stitched images have NaN where nothing was imaged.
                replaced[index] = float(channel[~bad].min()) if number is None else number
                pixels = pixels if pixels.flags.writeable else pixels.copy()
                pixels[bad, index] = replaced[index]
            else:
                raise Unreadable(
                    f"{n_bad} pixel(s) of channel {index} are NaN, infinite or too large for "
                    "32-bit floats; replace them, for example with numpy.nan_to_num"
                )
    found = tuple(replaced.get(index) for index in range(pixels.shape[2])) if replaced else ()
    return np.ascontiguousarray(pixels, np.float32 if dtype == np.float16 else dtype), found
