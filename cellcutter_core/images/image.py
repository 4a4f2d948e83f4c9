"""An image with its channels and their roles, and functions that read one from a file."""

from __future__ import annotations

import dataclasses
import operator
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cellcutter_core.arguments import describe_value, naming
from cellcutter_core.images.formats.validation import Validation, paper_validation
from cellcutter_core.images.formats.zarr_recognition import is_address
from cellcutter_core.images.guesses.appearance import Appearance, interpret
from cellcutter_core.images.guesses.clipping import clipping_notes
from cellcutter_core.images.guesses.label_images import refuse_labels
from cellcutter_core.images.guesses.roles import (
    CHOSEN,
    Reason,
    Which,
    find_cell,
    find_channel,
    find_nucleus,
    guess_roles,
    known_nucleus,
    name_channels,
    varies,
)
from cellcutter_core.images.guesses.stains import STAIN_CHANNELS
from cellcutter_core.images.guesses.unimaged_gaps import gap_notes
from cellcutter_core.images.pixel_size import PixelSize, checked
from cellcutter_core.images.reading.contents import Array, Contents, Unreadable
from cellcutter_core.images.reading.drawn_shapes import (
    Report,
    area_labels,
    is_drawn,
    read_drawn,
    warn,
)
from cellcutter_core.images.reading.parts import Part, Plane, Region
from cellcutter_core.images.reading.readers import (
    file_name,
    one_line,
    read_contents,
    read_label_contents,
)
from cellcutter_core.label_image import as_whole_numbers
from cellcutter_core.limits import limits

# Arrays with one number for each pixel that belong to an image, and their data types.
PLANES = {"markers": np.int32, "truth": np.int32, "truth_nuclei": np.int32, "ignore": np.bool_}


@dataclass(frozen=True, eq=False)
class Image:
    """One microscope image: its channels, their roles, and what else its file holds.

    An image cannot be changed: its arrays are read-only, and `with_roles` makes a new image.

    Attributes
    ----------
    pixels : (H, W, C) array, integer or float
    channels : tuple of str
        One name for each channel, all different.
    cell : tuple of int
        The channels that show the cell, at least one.
    nucleus : int or None
        The channel that shows the nuclei, if there is one. It can also be a cell channel, if the
        nuclei themselves are to be segmented.
    markers : (H, W) int32 array or None
        Markers given with the image: 0 for background, one label for each.
    masks : mapping of str to (H, W) bool array
        Masks given with the image, under the name of the channel each is for. True on cells.
    truth : (H, W) int32 array or None
        Labels of the true cells, or of the true nuclei if only these are known.
    truth_notes : tuple of str
        A sentence on what was left out of the true cells' file; usually empty.
    truth_nuclei : (H, W) int32 array or None
        Labels of the true nuclei.
    ignore : (H, W) bool array or None
        True on pixels to be left out of scoring.
    validation : Validation or None
        Crops with a known true cell.
    pixel_size : float, (float, float) or None
        µm per pixel, or height and width if it is not square.
    size_notes : tuple of str
        Sentences on the pixel size if it is less certain than usual, for example if the files of
        its channels disagree; usually empty.
    full_shape : (int, int) or None
        Rows and columns of the full image, if `pixels` holds only every n-th of them for viewing.
        `pixel_size` is that of the full image.
    origin : (int, int)
        (row, col) of the first pixel in the whole image, if this is a region of it.
    whole_shape : (int, int) or None
        Rows and columns of the whole image, if this is a region of it and they are known.
    appearances : tuple of Appearance
        How each of its files was interpreted so that cells are bright in `pixels`.
    z, t : int, 'max' (z only) or None
        The plane of a stack that it shows, from 0; None if there is only one. Markers in other
        planes do not belong to it.
    reasons : mapping of str to Reason
        Why channels have the roles "cell" and "nucleus", if known.
    name : str
        The name of its file; messages begin with it.

    Raises
    ------
    ValueError
        If shapes, names, roles or data types do not fit together.
    """

    pixels: Array
    channels: tuple[str, ...]
    _: KW_ONLY
    cell: tuple[int, ...] = (0,)
    nucleus: int | None = None
    markers: Array | None = None
    masks: Mapping[str, Array] = field(default_factory=dict)
    truth: Array | None = None
    truth_notes: tuple[str, ...] = ()
    truth_nuclei: Array | None = None
    ignore: Array | None = None
    validation: Validation | None = None
    pixel_size: PixelSize | None = None
    size_notes: tuple[str, ...] = ()
    full_shape: tuple[int, int] | None = None
    origin: tuple[int, int] = (0, 0)
    whole_shape: tuple[int, int] | None = None
    appearances: tuple[Appearance, ...] = ()
    z: Plane = None
    t: Plane = None
    reasons: Mapping[str, Reason] = field(default_factory=dict)
    name: str = "image"

    def __post_init__(self) -> None:
        pixels = np.asarray(self.pixels)
        if pixels.ndim != 3 or pixels.size == 0 or pixels.dtype.kind not in "biuf":
            raise ValueError(
                f"{self.name}: pixels have shape {pixels.shape} and dtype {pixels.dtype}; give an "
                "array (rows, columns, channels) of integers or floats"
            )
        n_channels = pixels.shape[2]
        if isinstance(self.channels, str) or not isinstance(self.channels, Iterable):
            raise ValueError(
                f"{self.name}: channels is {describe_value(self.channels)}; give a list of "
                f"{n_channels} names, one for each channel"
            )
        self._set("channels", tuple(self.channels))
        for role in ("cell", "nucleus"):
            self._set(role, self._indices(role, getattr(self, role)))
        if not len(self.channels) == len(set(self.channels)) == n_channels:
            raise ValueError(
                f"{self.name}: the channels of {n_channels} planes are named {self.channels}; "
                "give one name for each, all different"
            )
        roles = (*self.cell, *(() if self.nucleus is None else (self.nucleus,)))
        if not self.cell or not all(0 <= index < n_channels for index in roles):
            raise ValueError(
                f"{self.name}: cell is {self.cell} and nucleus is {self.nucleus}; give indices "
                f"from 0 to {n_channels - 1}, at least one for cell"
            )
        self._set("pixels", _read_only(pixels.astype(np.uint8) if pixels.dtype == bool else pixels))
        with naming(self.name):
            self._set("pixel_size", checked(self.pixel_size))
        self._set("masks", {key: self._plane(key, mask, bool) for key, mask in self.masks.items()})
        for key, dtype in PLANES.items():
            plane = getattr(self, key)
            self._set(key, None if plane is None else self._plane(key, plane, dtype))

    def _indices(self, role: str, given: Any) -> Any:
        """The channels of a role as Python numbers; for the role "cell" always a tuple."""
        if role == "nucleus" and given is None:
            return None
        several = given if isinstance(given, tuple | list) and role == "cell" else [given]
        try:
            found = tuple(operator.index(index) for index in several)
        except TypeError:
            raise ValueError(
                f"{self.name}: {role} is {given!r}, but has to be the number of a channel, from 0; "
                "channels are chosen by name with the method with_roles"
            ) from None
        return found if role == "cell" else found[0]

    def _set(self, key: str, value: object) -> None:
        object.__setattr__(self, key, value)

    def _plane(self, key: str, plane: Array, dtype: npt.DTypeLike) -> Array:
        """Check labels or a mask, and convert them to their data type."""
        plane = np.asarray(plane)
        if plane.shape != self.shape or plane.dtype.kind not in "biuf":
            raise ValueError(
                f"{self.name}: {key} has shape {plane.shape} and dtype {plane.dtype}; give one "
                f"number for each of the {self.shape} pixels (rows, columns)"
            )
        whole = plane.dtype.kind != "f" or bool(np.all(plane == np.floor(plane)))
        largest = np.iinfo(np.int32).max
        # Written so that NaN is refused, for which every comparison is False.
        if not (whole and plane.min() >= 0 and plane.max() <= largest):
            raise ValueError(
                f"{self.name}: {key} has values from {plane.min()} to {plane.max()} (dtype "
                f"{plane.dtype}); allowed are whole numbers from 0 to {largest}"
            )
        return _read_only(plane.astype(dtype, copy=False))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def is_region(self) -> bool:
        """Whether it is a part of a larger image, see `origin`."""
        return self.origin != (0, 0) or self.whole_shape not in (None, self.shape)

    @property
    def mask(self) -> Array | None:
        """The given mask for the first cell channel, (H, W) bool, True on cells; None without."""
        return self.masks.get(self.channels[self.cell[0]])

    @property
    def inverted(self) -> bool:
        """Whether a file shows cells dark on a bright background.

        Cells are bright in `pixels` all the same: channels were inverted, or the density of stains
        is used.
        """
        return any(one.inverted for one in self.appearances)

    @property
    def stained(self) -> bool:
        """Whether its channels are those of a stained section."""
        return self.channels == STAIN_CHANNELS

    @property
    def roles(self) -> dict[str, Any]:
        """The arguments of `with_roles`: names of cell channels, and of the nucleus or 'none'."""
        nucleus = "none" if self.nucleus is None else self.channels[self.nucleus]
        return {"cell": [self.channels[index] for index in self.cell], "nucleus": nucleus}

    @property
    def remarks(self) -> list[str]:
        """Sentences on problems of the channels in use that can make cells less reliable.

        These are a frame around the image, empty parts of a mosaic, and many pixels cut off at the
        top of the scale. The latter is not checked if the image was inverted, because the top is
        then the dark end.
        """
        every = -(-(self.full_shape or self.shape)[0] // self.shape[0])
        notes = gap_notes(self.pixels[..., self.cell[0]], every=every)
        if self.inverted:
            return notes
        used = [*self.cell, *([] if self.nucleus is None else [self.nucleus])]
        return notes + clipping_notes(self.pixels, self.channels, used)

    def channel_index(self, which: Which) -> int:
        """The index of a channel given by its index (`1` or `"1"`) or its name, in any case.

        Raises
        ------
        ValueError
            If there is no such channel. The message lists the channels.
        """
        return find_channel(which, self.channels, name=self.name)

    def channel(self, which: Which) -> Array:
        """The (H, W) pixels of one channel, given as for `channel_index`."""
        return self.pixels[..., self.channel_index(which)]

    def with_roles(
        self, *, cell: Which | Sequence[Which] | None = None, nucleus: Which | None = None
    ) -> Image:
        """The same image with other channels for cell and nucleus.

        Parameters
        ----------
        cell : channel or sequence of channels, optional
            By index or name. Default: unchanged.
        nucleus : channel, optional
            By index or name; 'none' for an image without one. Default: unchanged.

        Raises
        ------
        ValueError
            If there is no such channel, or one of them is constant.
        """
        roles: dict[str, Any] = {}
        if cell is not None:
            roles["cell"] = find_cell(cell, self.channels, name=self.name)
        if nucleus is not None:
            roles["nucleus"] = find_nucleus(nucleus, self.channels, name=self.name)
        reasons = {**self.reasons, **dict.fromkeys(roles, CHOSEN)}
        return _not_constant(dataclasses.replace(self, **roles, reasons=reasons))

    def with_truth(self, labels: Array) -> Image:
        """The same image with its true cells, which are used only for scores.

        Parameters
        ----------
        labels : (H, W) array of integers
            0 between cells, and a different number on each cell.

        Raises
        ------
        ValueError
            If it does not have the image's size, or is a mask that does not separate cells.
        """
        image = dataclasses.replace(self, truth=labels)
        assert image.truth is not None
        if image.truth.min() == 0 and len(np.unique(image.truth)) == 2:
            from skimage.measure import label

            if label(image.truth > 0).max() > 1:
                raise ValueError(
                    f"{self.name}: truth has one number in several pieces, like a mask; give a "
                    "label image, with a different number for each cell"
                )
        return image


def read_image(
    path: str | os.PathLike[str],
    *,
    cell: Which | Sequence[Which] | None = None,
    nucleus: Which | None = None,
    z: Plane = None,
    t: Plane = None,
    scene: Plane = None,
    region: Region | None = None,
    reduced_to: int | None = None,
    inverted: bool | None = None,
    stained: bool | None = None,
    pixel_size: PixelSize | Sequence[float] | None = None,
    public_only: bool = False,
    max_bytes: int | None = None,
) -> Image:
    """Read an image from one of many formats.

    The formats are TIFF, PNG, JPEG, BMP, GIF, WebP, JPEG 2000, .npy, .npz, HDF5 and OME-Zarr, and
    with their packages ND2, CZI and LIF.

    `cellcutter_core.images.formats` describes what is read of each format, and
    `cellcutter_core.images.guesses.roles` how the roles of channels are guessed.

    Parameters
    ----------
    path : path or str
        A file. For an OME-Zarr: its folder, a zip archive of that folder, or its address (http or
        https). Label images in an OME-Zarr are not read.
    cell : channel or sequence of channels, optional
        The channels that show the cells, by index or name. Default: guessed.
    nucleus : channel, optional
        The channel that shows the nuclei, by index or name; 'none' if there is none. Default:
        guessed.
    z, t : int, optional
        The plane of a stack, from 0. `z` can be 'max' for the maximum projection. The frames of an
        animated picture are time points, or planes if only `z` is given.
    scene : int or str, optional
        The image to read if the file holds several (LIF, scenes of CZI, positions of ND2 and
        Micro-Manager, series of TIFF), from 0 in the order of the file. Much smaller images, such
        as thumbnails, come last, and need no choice. An image can also be given by its name, such
        as that of a data set of HDF5.
    region : (row, col, row, col), optional
        First row and column of the part to read, and those after the last. The rest takes no
        memory, except in pictures, .npz and some LIF.
    reduced_to : int, optional
        Read only every n-th row and column, so that there are at most this many of each, to view an
        image that is too large to be read. Smaller versions in a TIFF or OME-Zarr are used.
        Pictures and .npz are read in full.
    inverted : bool, optional
        Whether cells are dark on a bright background. If so, all channels are inverted. Default:
        judged by the pixels, see `cellcutter_core.images.guesses.brightness`.
    stained : bool, optional
        Whether a colour picture shows a stained section. If so, it gets the channels 'density' and
        'hematoxylin' beside red, green and blue. Default: judged by the pixels, see
        `cellcutter_core.images.guesses.stains`.
    pixel_size : float or (float, float), optional
        µm per pixel, or height and width if it is not square. Default: from the file.
    public_only : bool
        Read only addresses of the public internet; for a server whose visitors give addresses.
    max_bytes : int, optional
        The most memory that the pixels may take while they are read, in bytes. Larger images are
        refused by the header of their file. Default: 2 GiB, or the value of the environment
        variable CELLCUTTER_IMAGE_LIMIT.

    Returns
    -------
    Image

    Raises
    ------
    ValueError
        If the file does not exist, is not an image, or is damaged; if it needs more than
        `max_bytes`, holds several images and none is chosen, or is a stack and no plane is chosen;
        if it holds infinity, or NaN outside of a frame around the image, or shows labels instead of
        intensities; if a named channel does not exist, or a channel in use is constant. The message
        is one line that begins with the file's name. The error is a `TooLarge` or `Several` in
        these two cases.
    """
    if not isinstance(path, str | os.PathLike):
        raise ValueError(
            f"path is {describe_value(path)}, but has to be the path of a file; to make an image "
            "of an array use Image(array, names)"
        )
    path = str(path) if is_address(path) else Path(path)
    name = file_name(path)
    limit = limits().image if max_bytes is None else max_bytes
    contents = read_contents(
        path,
        z=z,
        t=t,
        scene=scene,
        region=region,
        reduced_to=reduced_to,
        public_only=public_only,
        max_bytes=limit,
    )
    try:
        refuse_labels(contents.pixels)
        contents, seen = interpret(contents, inverted=inverted, stained=stained, max_bytes=limit)
    except Unreadable as error:
        error.args = (f"{name}: {error}",)
        raise error from None
    pixels, colour, part = contents.pixels, contents.colour, Part(z, t, region=region)
    channels = name_channels(contents.channels, n_channels=pixels.shape[2], colour=colour)
    roles = guess_roles(
        pixels,
        channels,
        named=contents.channels is not None,
        colour=colour,
        cell=None if cell is None else find_cell(cell, channels, name=name),
        nucleus=None if nucleus is None else known_nucleus(nucleus, channels, name=name),
    )
    with naming(name):
        size = contents.pixel_size if pixel_size is None else checked(pixel_size)
    image = Image(
        pixels,
        channels,
        cell=roles.cell,
        nucleus=roles.nucleus,
        reasons=roles.reasons,
        pixel_size=size,
        size_notes=contents.size_notes if pixel_size is None else (),
        full_shape=contents.full_shape,
        origin=(0, 0) if part.region is None or contents.whole else part.region[:2],
        whole_shape=contents.whole_shape,
        appearances=(seen,),
        z=part.z,
        t=part.t,
        name=name,
    )
    image = _not_constant(_with_companions(image, contents))
    if part.region is None or not contents.whole:
        return image
    from cellcutter_core.images.regions import cut_out

    return cut_out(image, part.region)


def read_pixels(
    path: str | os.PathLike[str],
    appearance: Appearance,
    *,
    region: Region,
    z: Plane = None,
    t: Plane = None,
    scene: Plane = None,
) -> Array:
    """Read a part of an image that has been read before, interpreted in the same way.

    Parameters
    ----------
    path, region, z, t, scene
        As for `read_image`.
    appearance : Appearance
        How the whole image was interpreted.

    Returns
    -------
    (h, w, C) array
        With the same channels and the same brightness as in the whole image.

    Raises
    ------
    ValueError
        If the file cannot be read.
    """
    path = str(path) if is_address(path) else Path(path)
    contents = read_contents(path, z=z, t=t, scene=scene, region=region)
    pixels = contents.pixels
    if contents.whole:
        top, left, bottom, right = region
        pixels = pixels[top:bottom, left:right]
    return appearance.of(pixels)


def read_labels(
    path: str | os.PathLike[str],
    *,
    shape: tuple[int, int] | None = None,
    origin: tuple[int, int] | None = None,
    z: Plane = None,
    t: Plane = None,
    report: Report | None = None,
) -> Array:
    """Read labels from a label image, from an .npz file with truth, or from outlines.

    Parameters
    ----------
    path : path
        A label image, of integers or of floats that are whole numbers; an .npz file that holds an
        image with its truth; or outlines of cells as ROIs of ImageJ (.roi, or a set in a .zip) or
        GeoJSON. Where outlines overlap, a pixel belongs to the first.
    shape : (int, int), optional
        Rows and columns of the image. Needed for outlines.
    origin : (int, int), optional
        (row, col) of the image's first pixel, if it is a region of the one that was drawn on.
    z, t, report : optional
        The plane of a stack that the image shows, and where to report outlines in other planes,
        see `read_markers`.

    Returns
    -------
    (H, W) integer array
        0 for background.

    Raises
    ------
    ValueError
        If the file cannot be read, is not an image of one channel of whole numbers, holds points,
        or holds outlines and `shape` is not given. The message is one line that begins with the
        file's name.
    """
    path = str(path) if is_address(path) else Path(path)
    name = file_name(path)
    if isinstance(path, Path) and is_drawn(path):
        say = report or warn
        try:
            drawn = read_drawn(path).in_plane(z, t, lambda line: say(f"{name}: {line}"))
            if shape is None:
                raise Unreadable("holds outlines, which do not say how large their image is")
            if len(drawn.points) or not drawn.areas:
                what = "points, which do not say how far" if len(drawn.points) else "no outlines of"
                raise Unreadable(f"holds {what} cells reach; save the outlines of the cells")
            return area_labels(drawn.areas, shape, origin)
        except Unreadable as error:
            raise ValueError(f"{name}: {one_line(error)}") from None
    contents = read_label_contents(path)
    for key in ("cells", "nuclei"):
        if contents.companions.get(key) is not None:
            return contents.companions[key]
    pixels = contents.pixels
    if pixels.shape[2] != 1:
        raise ValueError(
            f"{name}: has {pixels.shape[2]} channels of {pixels.dtype}; a label image has one, of "
            "whole numbers"
        )
    labels = as_whole_numbers(pixels[..., 0])
    if labels.dtype.kind not in "iu":
        raise ValueError(
            f"{name}: holds numbers that are not whole ({labels.dtype}); a label image has a whole "
            "number for each cell, and 0 between cells"
        )
    return labels


def read_truth(
    path: str | os.PathLike[str],
    image: Image,
    *,
    report: Report | None = None,
) -> Array:
    """Read the true cells of an image that may be a region of a larger one.

    Parameters
    ----------
    path : path
        As for `read_labels`, for the whole of the larger image. A label image may also cover the
        region alone; its size tells.
    image : Image
    report : optional
        As for `read_labels`.

    Returns
    -------
    (H, W) integer array
        For `Image.with_truth`, which checks whether it fits.

    Raises
    ------
    ValueError
        As `read_labels`.
    """
    if not is_address(path) and is_drawn(Path(path)):
        origin = image.origin if image.is_region else None
        return read_labels(
            path, shape=image.shape, origin=origin, z=image.z, t=image.t, report=report
        )
    labels = read_labels(path)
    if not image.is_region or image.whole_shape not in (None, labels.shape):
        return labels
    (top, left), (n_rows, n_cols) = image.origin, image.shape
    return labels[top : top + n_rows, left : left + n_cols]


def _read_only(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view


def _with_companions(image: Image, contents: Contents) -> Image:
    """The image with the other arrays of an .npz file: markers, truth, masks and so on."""
    companions = contents.companions
    cells, nuclei = companions.get("cells"), companions.get("nuclei")
    image = dataclasses.replace(
        image,
        markers=companions.get("markers"),
        truth=nuclei if cells is None else cells,
        truth_nuclei=nuclei,
        ignore=companions.get("ignore"),
    )
    markers = image.markers
    if markers is None:
        return image
    masks = {}
    for key in image.channels:
        mask = companions.get(f"mask {key}")
        if mask is not None:
            # One version of the original code takes these masks as cells, another as background.
            # Markers lie on cells, so they show which it is.
            inside = mask[markers > 0]
            masks[key] = ~mask if inside.size and inside.mean() < 0.5 else mask
    validation = None
    if "test_id" in companions and "test_label" in companions:
        with naming(image.name):
            validation = paper_validation(
                companions["test_id"], companions["test_label"], markers=markers
            )
    return dataclasses.replace(image, masks=masks, validation=validation)


def _not_constant(image: Image) -> Image:
    for index in (*image.cell, image.nucleus):
        if index is not None and not varies(image.pixels[..., index]):
            raise ValueError(
                f"{image.name}: channel {index} ({image.channels[index]}) is constant, every pixel "
                f"is {image.pixels[0, 0, index]}; choose another channel, or an image of cells"
            )
    return image
