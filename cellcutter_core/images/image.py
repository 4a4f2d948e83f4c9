"""An image with its channels and their roles."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cellcutter_core.arguments import describe_value, naming
from cellcutter_core.images.formats.validation import Validation
from cellcutter_core.images.guesses.appearance import Appearance
from cellcutter_core.images.guesses.clipping import clipping_notes
from cellcutter_core.images.guesses.roles import (
    CHOSEN,
    Reason,
    Which,
    find_cell,
    find_channel,
    find_nucleus,
    varies,
)
from cellcutter_core.images.guesses.stains import STAIN_CHANNELS
from cellcutter_core.images.guesses.unimaged_gaps import gap_notes
from cellcutter_core.images.pixel_size import PixelSize, checked
from cellcutter_core.images.reading.contents import Array
from cellcutter_core.images.reading.parts import Plane

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
        """Check an array of `PLANES`, and convert it to its data type."""
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
        return refuse_constant(dataclasses.replace(self, **roles, reasons=reasons))

    def own_part(self, labels: Array) -> Array:
        """The part of labels that belongs to this image, if it is a region of a larger one.

        Parameters
        ----------
        labels : (h, w) or (h, w, C) array
            Those of the whole image, of which this region is cut out; or of another size, which
            stay as they are.
        """
        if not self.is_region or labels.shape[:2] == self.shape:
            return labels
        if self.whole_shape not in (None, labels.shape[:2]):
            return labels
        (top, left), (n_rows, n_cols) = self.origin, self.shape
        return labels[top : top + n_rows, left : left + n_cols]

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


def _read_only(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view


def refuse_constant(image: Image) -> Image:
    """Return the image; raise a ValueError if a channel in use is constant."""
    for index in (*image.cell, image.nucleus):
        if index is not None and not varies(image.pixels[..., index]):
            raise ValueError(
                f"{image.name}: channel {index} ({image.channels[index]}) is constant, every pixel "
                f"is {image.pixels[0, 0, index]}; choose another channel, or an image of cells"
            )
    return image
