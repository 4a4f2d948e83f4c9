"""Reads pictures: PNG, JPEG, BMP, GIF, WebP and JPEG 2000.

Pillow reads most of them. Where Pillow would keep only 8 of 16 bits (colour PNG) and for JPEG 2000,
imagecodecs is used. A picture with an Exif orientation is turned accordingly.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)

from cellcutter_core.images.guesses.label_images import refuse_labels
from cellcutter_core.images.pixel_size import LARGEST_OF_RESOLUTION, PixelSize, of_sides
from cellcutter_core.images.reading.contents import (
    Array,
    Contents,
    Unreadable,
    check_size,
    region_that_fits,
)
from cellcutter_core.images.reading.parts import Part
from cellcutter_core.images.reading.stored import Stored, in_memory, of_frames

# Pillow's modes of gray values, and their data types. Pillow before 11.3 uses "I" for a gray PNG of
# 16 bits.
GRAY: dict[str, npt.DTypeLike] = {
    "1": np.uint8,
    "L": np.uint8,
    "I;16": np.uint16,
    "I;16B": np.uint16,
    "I": np.uint16,
}

# The classes are called directly, because the size limit of `PIL.Image.open` is a setting of the
# whole process.
PILLOW: dict[str, Callable[[IO[bytes]], ImageFile.ImageFile]] = {
    "png": PngImagePlugin.PngImageFile,
    "jpeg": JpegImagePlugin.JpegImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
    "gif": GifImagePlugin.GifImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
}

ORIENTATION = 0x0112
"""The tag of Exif and TIFF for the orientation of a picture; 1 is as it is."""

MOST_BOXES = 10_000

MICROMETRES_OF_INCH = 25_400

FROM_RESOLUTION = (
    "The pixel size comes from the picture's resolution for printing. Programs keep it when they "
    "convert a microscope's TIFF, but some set a value of their own."
)


def read_picture(
    path: Path, part: Part, max_bytes: int, *, kind: str, as_stored: bool = False
) -> Contents:
    """Read a picture.

    Gray values (8 or 16 bits; 1 bit as 0 and 1) and colours of 16 bits are not changed. All other
    colours, including those of a palette or for print, become red, green and blue of 8 bits; with
    `as_stored` the numbers of a palette are read instead. Transparency is dropped. The frames of an
    animated picture are time points, or planes if only a plane z is requested.

    Parameters
    ----------
    path : Path
    part : Part
    max_bytes : int
    kind : a key of `PILLOW`, or "jpeg2000"
    as_stored : bool
        Whether the numbers are labels.

    Raises
    ------
    Unreadable
        If it needs more than `max_bytes`, is animated and no frame is chosen, or should hold labels
        but has a lossy compression, which changes numbers.
    """
    with path.open("rb") as file:
        if as_stored and (kind == "jpeg" or (kind == "webp" and file.read(16)[12:] == b"VP8 ")):
            raise Unreadable(
                f"is compressed as {'JPEG' if kind == 'jpeg' else 'lossy WebP'}, which changes "
                "numbers a little, and labels are numbers; save them as PNG or TIFF"
            )
        file.seek(0)
        if kind == "jpeg2000":
            return part.in_whole(_jpeg2000(path, max_bytes))
        if kind == "png":
            # Pillow checks the checksums of pixels only in `verify`, after which the object can't
            # be used any more.
            PngImagePlugin.PngImageFile(file).verify()
            file.seek(0)
        if kind == "webp":
            # Pillow uses memory as soon as it opens a WebP: two canvases of four colours.
            rows, cols = _shape_of_webp(file.read(32))
            check_size(8 * rows * cols, max_bytes, advice="make it smaller")
            file.seek(0)
        picture = PILLOW[kind](file)
        check_picture(picture, max_bytes)
        if getattr(picture, "n_frames", 1) > 1:
            return _of_frames(picture, part, max_bytes)
        return part.in_whole(_contents(picture, path, as_stored))


def check_picture(picture: ImageFile.ImageFile, max_bytes: int) -> None:
    """Refuse a picture by its header if it needs too much memory."""
    n_pixels, gray = picture.width * picture.height, GRAY.get(_gray_mode(picture))
    # Deep colours are unpacked with transparency, which is dropped.
    n_bytes = 8 if _has_deep_colours(picture) else np.dtype(gray).itemsize if gray else 3
    _check_fits(picture.height, picture.width, n_pixels * n_bytes, max_bytes)


def _check_fits(n_rows: int, n_cols: int, n_bytes: int, max_bytes: int) -> None:
    # A picture can only be read as a whole.
    fits = region_that_fits((n_rows, n_cols), n_bytes, max_bytes)
    check_size(n_bytes, max_bytes, advice=f"save a region of at most {fits} pixels, or reduce it")


def _gray_mode(picture: ImageFile.ImageFile) -> str:
    return "L" if picture.mode == "LA" else picture.mode


def _has_deep_colours(picture: ImageFile.ImageFile) -> bool:
    """Whether it is a PNG with 16 bits per colour, of which Pillow would keep only 8."""
    deep = bool(picture.tile) and "16B" in str(picture.tile[0].args)
    return deep and picture.mode not in ("I", "I;16", "I;16B")


def _contents(picture: ImageFile.ImageFile, path: Path, as_stored: bool) -> Contents:
    if _has_deep_colours(picture):
        import imagecodecs

        deep = imagecodecs.png_decode(path.read_bytes())
        deep = deep.reshape(*deep.shape[:2], -1)
        pixels, colour = deep[..., : 1 if deep.shape[2] < 3 else 3], deep.shape[2] > 2
    elif picture.mode == "P" and as_stored and not _is_gray_gif(picture):
        pixels, colour = np.array(picture)[..., None], False
    elif (mode := _gray_mode(picture)) in GRAY:
        gray = picture if picture.mode == mode else picture.convert(mode)
        pixels, colour = np.asarray(gray).astype(GRAY[mode])[..., None], False
    else:
        if picture.mode == "P" and not as_stored:
            # After the conversion to colours, labels could not be recognised any more.
            refuse_labels(np.array(picture)[..., None])
        pixels, colour = np.array(picture.convert("RGB")), True
    orientation = _orientation(picture)
    if orientation != 1:
        pixels = in_memory(pixels, "YXC").turned(orientation).read((slice(None),) * 3)
    size = _pixel_size(picture)
    if isinstance(size, tuple) and orientation >= 5:
        size = size[::-1]
    return Contents(
        pixels,
        colour=colour,
        pixel_size=size,
        size_notes=() if size is None else (FROM_RESOLUTION,),
    )


def _pixel_size(picture: ImageFile.ImageFile) -> PixelSize | None:
    """µm per pixel from the resolution of a PNG or JPEG, unless it is meant for print or screen."""
    if not isinstance(picture, PngImagePlugin.PngImageFile | JpegImagePlugin.JpegImageFile):
        return None
    with contextlib.suppress(Exception):
        of_width, of_height = picture.info["dpi"]
        sides = [MICROMETRES_OF_INCH / float(dots) for dots in (of_height, of_width)]
        return of_sides(*sides) if max(sides) <= LARGEST_OF_RESOLUTION else None
    return None


def _is_gray_gif(picture: ImageFile.ImageFile) -> bool:
    """Whether it is a GIF whose palette holds only grays, because GIF renumbers its grays."""
    if not isinstance(picture, GifImagePlugin.GifImageFile):
        return False
    red, green, blue = np.reshape(picture.getpalette() or [0, 0, 0], (-1, 3)).T
    return bool((red == green).all() and (red == blue).all())


def _orientation(picture: ImageFile.ImageFile) -> int:
    # The pixels are read even if the Exif data are invalid.
    with contextlib.suppress(Exception):
        return int(picture.getexif().get(ORIENTATION, 1))
    return 1


def _of_frames(picture: Any, part: Part, max_bytes: int) -> Contents:
    """One of the frames of an animated picture, or their maximum."""
    part.which_scene()
    axis = "Z" if part.z is not None and part.t is None else "T"
    shape = (int(picture.n_frames), picture.height, picture.width, 3)

    def read(index: tuple[int | slice, ...]) -> Array:
        def frame(number: int) -> Array:
            picture.seek(number)
            check_picture(picture, max_bytes)
            pixels = np.array(picture.convert("RGB"))
            if pixels.shape != shape[1:]:
                raise Unreadable("has frames of different sizes; save one of them")
            return pixels[index[1:]]

        return of_frames(shape, index, frame, lead=1)

    stored = Stored(shape, f"{axis}YXC", np.dtype(np.uint8), read)
    found = part.contents(stored, max_bytes=max_bytes)
    found.colour = True
    return found


def _shape_of_webp(start: bytes) -> tuple[int, int]:
    """Rows and columns, from the first chunk of the file."""
    kind, body = start[12:16], start[20:].ljust(12, b"\0")
    if kind == b"VP8X":
        cols, rows = (int.from_bytes(body[at : at + 3], "little") + 1 for at in (4, 7))
    elif kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        cols, rows = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        cols, rows = (length & 0x3FFF for length in struct.unpack("<HH", body[6:10]))
    else:
        raise Unreadable("is a damaged WebP; copy or save it again")
    return rows, cols


def _jpeg2000(path: Path, max_bytes: int) -> Contents:
    import imagecodecs

    data = path.read_bytes()
    n_rows, n_cols, n_samples = _size_of_jpeg2000(data)
    # OpenJPEG holds every number twice in 32 bits, in addition to the result.
    _check_fits(n_rows, n_cols, 12 * n_rows * n_cols * n_samples, max_bytes)
    pixels = imagecodecs.jpeg2k_decode(data, numthreads=1)
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    if pixels.shape[2] in (2, 4):
        pixels = pixels[..., :-1]
    return Contents(pixels, colour=pixels.shape[2] == 3)


def _size_of_jpeg2000(data: bytes) -> tuple[int, int, int]:
    """Rows, columns and samples per pixel, from the header of the compressed data."""
    at = 0
    for _ in range(MOST_BOXES):
        if data[at : at + 4] == b"\xff\x4f\xff\x51":
            break
        length, kind = struct.unpack(">I4s", data[at : at + 8].ljust(8, b"\0"))
        header = 8
        if length == 1:
            (length,), header = struct.unpack(">Q", data[at + 8 : at + 16].ljust(8, b"\0")), 16
        if kind == b"jp2c":
            at += header
        elif length < header:
            break
        else:
            at += length
    size = data[at : at + 42]
    if not size.startswith(b"\xff\x4f\xff\x51") or len(size) < 42:
        raise Unreadable("is a damaged JPEG 2000; copy or save it again")
    right, bottom, left, top = struct.unpack(">4I", size[8:24])
    (n_samples,) = struct.unpack(">H", size[40:42])
    if right <= left or bottom <= top or not n_samples:
        raise Unreadable("is a damaged JPEG 2000; copy or save it again")
    return bottom - top, right - left, n_samples
