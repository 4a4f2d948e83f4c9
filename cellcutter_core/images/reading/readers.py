"""Reads image files into arrays: finds the format, and makes one-line messages of all errors.

Libraries that read images fail in many ways on a damaged file. Here every failure becomes a
`ValueError` with a message of one line that begins with the file's name.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from cellcutter_core.images.formats.zarr_recognition import (
    is_address,
    is_zarr_archive,
    is_zarr_folder,
)
from cellcutter_core.images.guesses.unimaged_gaps import is_gap
from cellcutter_core.images.reading.contents import Array, Contents, Several, Unreadable
from cellcutter_core.images.reading.drawn_shapes import is_drawn
from cellcutter_core.images.reading.parts import Part, Plane, Region
from cellcutter_core.limits import limits

# The first bytes of each format. An OME-Zarr is a folder, or a zip archive like .npz.
NPY = (b"\x93NUMPY",)
NPZ = (b"PK\x03\x04", b"PK\x05\x06")
ND2 = (b"\xda\xce\xbe\n",)
CZI = (b"ZISRAWFILE",)
LIF = (b"p\0\0\0",)
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# HDF5 files of MATLAB begin with another text.
HDF5 = (b"\x89HDF\r\n\x1a\n", b"MATLAB 7.3 MAT")
PICTURES = {
    "png": (b"\x89PNG\r\n\x1a\n",),
    "jpeg": (b"\xff\xd8\xff",),
    "gif": (b"GIF87a", b"GIF89a"),
    "jpeg2000": (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"),
}
BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)

GIT_LFS = (b"version https://git-lfs",)

POINTERS = {
    ".vsi": "in the .ets files of a folder beside it (cellSens, OlyVIA)",
    ".mrxs": "in the .dat files of a folder beside it (MIRAX)",
}
"""Files whose image is stored elsewhere, and where. They are known by the ending of their name,
because they begin like TIFF or JPEG."""

HDF5_ENDINGS = (".h5", ".hdf5", ".hdf")
"""HDF5 files in a folder are images if they end so. Others may be anything, such as models."""


def picture_kind(start: bytes) -> str | None:
    """The kind of picture of a file with these first bytes; None for anything else."""
    for kind, starts in PICTURES.items():
        if start.startswith(starts):
            return kind
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return "webp"
    # A text may begin with the letters BM too, so the length of the header is checked.
    length = int.from_bytes(start[14:16], "little")
    return "bmp" if start.startswith(b"BM") and length in BMP_HEADERS else None


def has_known_start(start: bytes) -> bool:
    """Whether a file has a known format, given at least its first 16 bytes."""
    known = TIFF + NPY + NPZ + ND2 + CZI + LIF + HDF5
    return start.startswith(known) or picture_kind(start) is not None


def read_contents(
    path: Path | str,
    *,
    z: Plane = None,
    t: Plane = None,
    scene: Plane = None,
    region: Region | None = None,
    reduced_to: int | None = None,
    as_stored: bool = False,
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
        contents.pixels = _plain(contents.pixels)
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


def read_label_contents(path: Path | str) -> Contents:
    """The arrays of a file of labels, which must hold a single image.

    Raises
    ------
    ValueError
        As `read_contents`.
    """
    try:
        contents = read_contents(path, as_stored=True)
        pixels = contents.pixels
        # Some formats can store only colours.
        if contents.colour and all(
            np.array_equal(pixels[..., 0], pixels[..., other]) for other in (1, 2)
        ):
            contents.pixels, contents.colour = np.ascontiguousarray(pixels[..., :1]), False
        return contents
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
        start = _start(path)
        if start.startswith(NPZ):
            return path.suffix.lower() == ".npz" or is_zarr_archive(path)
        if start.startswith(HDF5):
            return path.suffix.lower() in HDF5_ENDINGS
    except (Unreadable, OSError, BadZipFile):
        return False
    return has_known_start(start)


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
    # Readers are imported when needed: tifffile and Pillow together take a tenth of a second.
    if start.startswith(TIFF):
        from cellcutter_core.images.formats.tiff import read_tiff

        return read_tiff(path, part, max_bytes, as_stored=as_stored)
    for kind, starts in (("nd2", ND2), ("czi", CZI), ("lif", LIF)):
        if start.startswith(starts):
            from cellcutter_core.images.formats.microscopes import read_microscope

            return read_microscope(path, part, max_bytes, kind=kind)
    if (picture := picture_kind(start)) is not None:
        from cellcutter_core.images.formats.pictures import read_picture

        return read_picture(path, part, max_bytes, kind=picture, as_stored=as_stored)
    if start.startswith(HDF5):
        from cellcutter_core.images.formats.hdf5 import read_hdf5

        return read_hdf5(path, part, max_bytes, of_labels=as_stored)
    if start.startswith(NPY):
        from cellcutter_core.images.formats.numpy_files import read_npy

        return read_npy(path, part, max_bytes)
    if is_drawn(path):
        raise Unreadable(
            "holds points, outlines or other JSON instead of an image; give ROIs of ImageJ and "
            "GeoJSON as the markers or true cells of an image"
        )
    if start.startswith(NPZ):
        from cellcutter_core.images.formats.numpy_files import read_npz

        if is_zarr_archive(path):
            from cellcutter_core.images.formats.ome_zarr import read_ome_zarr
            from cellcutter_core.images.formats.zarr_stores import ZipStore

            return read_ome_zarr(ZipStore(path), part, max_bytes)
        return part.in_whole(read_npz(path, max_bytes))
    if start.startswith(tuple(mark[:16] for mark in GIT_LFS)):
        raise Unreadable(
            "is a pointer of Git LFS instead of the file; fetch the file with 'git lfs pull'"
        )
    raise Unreadable(
        "is not an image in a known format; give TIFF, PNG, JPEG, BMP, GIF, WebP, JPEG 2000, .npy, "
        ".npz, HDF5 or OME-Zarr (files of microscopes: ND2, CZI and LIF are read with their "
        "packages; export others as OME-TIFF)"
    )


def _plain(pixels: Array) -> Array:
    """The pixels in C order, in native byte order, and all finite.

    NaN in a frame around the image, or in the empty parts of a mosaic, is replaced by the smallest
    number of the channel.
    """
    dtype = pixels.dtype.newbyteorder("=")
    if dtype.kind == "f":
        # Later steps work in 32-bit floats.
        limit = np.finfo(np.float32).max
        for index in range(pixels.shape[2]):
            channel = pixels[..., index]
            with np.errstate(all="ignore"):
                bad = ~(np.abs(channel) <= limit)
            n_bad = int(np.count_nonzero(bad))
            if n_bad and bool(np.isnan(channel[bad]).all()) and is_gap(bad):
                # Registered and stitched images have NaN where nothing was imaged.
                pixels = pixels if pixels.flags.writeable else pixels.copy()
                pixels[bad, index] = channel[~bad].min()
            elif n_bad:
                raise Unreadable(
                    f"{n_bad} pixel(s) of channel {index} are NaN, infinite or too large for "
                    "32-bit floats; replace them, for example with numpy.nan_to_num"
                )
    return np.ascontiguousarray(pixels, dtype=np.float32 if dtype == np.float16 else dtype)
