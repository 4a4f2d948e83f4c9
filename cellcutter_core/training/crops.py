"""A crop around each marker, with its position embedding, in batches of fixed shape."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from cellcutter_core.arguments import check_argument, check_channels_last
from cellcutter_core.images.scaling import Normalisation
from cellcutter_core.label_image import check_labels
from cellcutter_core.shortest_paths.path_labels import HIGHEST_LOG_ODDS, PathLabels
from cellcutter_core.shortest_paths.watershed import seed_labels

T = TypeVar("T", bound=np.generic)


def check_dataset(data: Any) -> None:
    """Check that an object is a `Dataset`; the error says how to make one.

    Raises
    ------
    ValueError
        If it is not.
    """
    check_argument(data, Dataset, "data", "make one with Dataset(image, markers, ~mask)")


class Dataset:
    """The crops of one image.

    Parameters
    ----------
    image : (H, W) or (H, W, C) array
        One or several channels; each is brought to zero mean and unit variance.
    markers : (H, W) integer array or (N, 2) array
        A marker label image, 0 without a marker; or one point (row, col) for each cell.
    background : (H, W) bool array, optional
        True where there is no cell. This is the inverse of a mask: `Dataset(..., ~mask)`.
        Without it no pixel is background.
    crop_size : int
        Side S of a crop in pixels; even.
    sigma : float
        Width of the position embedding exp(-d²/2σ²) in pixels, d the distance to the crop's centre.
    nuclei : (H, W) integer array, optional
        Nucleus regions, labelled like the markers (1..N in the order of the points). Pixels of a
        cell's own nucleus certainly belong to the cell, those of other nuclei certainly do not.
    path_labels : PathLabels, optional
        The path labels: each pixel's cell by the cheapest path to a marker, labelled like the
        markers. With them a crop has three more channels between image and position embedding: its
        own marker, all other markers (both 1 on `nuclei`), and the path log-odds, scaled to -1..1.
    normalisation : Normalisation, optional
        That of the whole image, if this is a part of it.

    Raises
    ------
    ValueError
        If shapes do not fit each other or channels seem to come first, there is no marker, a
        marker lies outside of the image, `markers` is no label image with 0 between markers (but a
        mask, or has negative numbers), all markers lie on background, the image is smaller than
        half a crop, or a channel is constant.

    Notes
    -----
    Cells at the border are kept: their crops reach beyond the image. There, the image is padded
    with the mean of each channel (0 after standardising), and everything is background. Crops are
    not copied in advance, but gathered from the padded image on demand.
    """

    def __init__(
        self,
        image: ArrayLike,
        markers: ArrayLike,
        background: ArrayLike | None = None,
        *,
        crop_size: int = 64,
        sigma: float = 15.0,
        nuclei: ArrayLike | None = None,
        path_labels: PathLabels | None = None,
        normalisation: Normalisation | None = None,
    ) -> None:
        pixels = np.asarray(image, np.float32)
        if pixels.ndim == 2:
            pixels = pixels[..., None]
        if pixels.ndim != 3:
            raise ValueError(f"image must be (H, W) or (H, W, C), got shape {pixels.shape}")
        check_channels_last(pixels, "image")
        self.shape: tuple[int, int] = pixels.shape[:2]
        if crop_size % 2 or crop_size < 2:
            raise ValueError(f"crop_size must be even and at least 2, got {crop_size}")
        # The part of a crop beyond the image is background, so half a crop is enough.
        if 2 * min(self.shape) < crop_size:
            raise ValueError(
                f"the image is {self.shape[0]}×{self.shape[1]} pixels, smaller than half of one "
                f"crop of {crop_size}×{crop_size}; choose a smaller crop size or a larger image"
            )
        self.crop_size = crop_size
        self.sigma = float(sigma)
        self.points = _points(markers, self.shape)
        self._half = crop_size // 2
        self.padded_image = self._pad(_standardise(pixels, normalisation), 0)
        outside = np.zeros(self.shape, bool)
        if background is not None:
            outside = _background(background, self.points, self.shape)
        self.padded_background = self._pad(outside, True)
        regions = np.zeros(self.shape, np.int32)
        if nuclei is not None:
            given = _same_shape("nuclei", nuclei, self.shape)
            regions = check_labels(given, "nuclei").astype(np.int32)
            if regions.max(initial=0) > len(self.points):
                raise ValueError(
                    f"nuclei has labels up to {regions.max()}, but there are only "
                    f"{len(self.points)} markers; label nuclei 1..N in the order of the markers"
                )
        self.padded_nuclei = self._pad(regions, 0)
        self.padded_path_labels: NDArray[np.int32] | None = None
        self.padded_log_odds: NDArray[np.float32] | None = None
        if path_labels is not None:
            if nuclei is None:
                raise ValueError("path_labels are shown together with markers; give nuclei too")
            owner = _same_shape("path_labels", path_labels.labels, self.shape).astype(np.int32)
            log_odds = _same_shape("log-odds", path_labels.log_odds, self.shape)
            self.padded_path_labels = self._pad(owner, 0)
            # Pixels beyond the image certainly belong to no cell.
            self.padded_log_odds = self._pad(log_odds.astype(np.float32), log_odds.max())
        self.set_targets(np.zeros(self.shape, np.int32))

    def set_targets(self, labels: ArrayLike) -> None:
        """Set the targets that a warm-up teaches.

        Parameters
        ----------
        labels : (H, W) integer array
            Label image of the cells, 1..N in the order of the points; 0 for background.
        """
        targets = _same_shape("targets", labels, self.shape).astype(np.int32)
        self.padded_targets = self._pad(targets, 0)

    def discs(self, radius: float) -> NDArray[np.int32]:
        """Return (H, W) labels of discs around the markers; where discs overlap, the nearest wins.

        These are the paper's fake labels for a warm-up, with a radius of 5 pixels there.
        """
        from skimage.segmentation import expand_labels

        points = seed_labels(None, self.points, self.shape)
        return np.asarray(expand_labels(points, distance=radius), np.int32)

    def __len__(self) -> int:
        return len(self.points)

    @property
    def image(self) -> NDArray[np.float32]:
        """(H, W, C) image as the network sees it, without the padding."""
        return self.padded_image[self._half : -self._half, self._half : -self._half]

    @property
    def n_channels(self) -> int:
        """Number of channels of a crop: image, markers and paths if shown, position embedding."""
        return int(self.padded_image.shape[-1]) + (3 if self.shows_markers else 0) + 1

    @property
    def shows_markers(self) -> bool:
        """Whether crops show markers and path log-odds."""
        return self.padded_path_labels is not None

    @cached_property
    def origins(self) -> NDArray[np.intp]:
        """(N, 2) row and column of each crop's first pixel; negative if beyond the image."""
        return np.round(self.points).astype(np.intp) - self._half

    @cached_property
    def embedding(self) -> NDArray[np.float32]:
        """(S, S) position embedding, the last channel of every crop (Din & Yu, 2021).

        It is exp(-d²/2σ²), d the distance to the pixel at (S / 2, S / 2), where the marker is. It
        tells the network that the cell there is meant.
        """
        d = np.arange(self.crop_size, dtype=np.float32) - self.crop_size // 2
        return np.asarray(np.exp(-(d[:, None] ** 2 + d**2) / (2 * self.sigma**2)), np.float32)

    @property
    def n_at_border(self) -> int:
        """Number of crops that reach beyond the image."""
        last = np.array(self.shape) - self.crop_size
        return int(np.any((self.origins < 0) | (self.origins > last), axis=1).sum())

    def crops(self, cells: ArrayLike) -> NDArray[np.float32]:
        """Return the crops of some cells as the network gets them.

        Parameters
        ----------
        cells : (n,) int
            Positions in `points`.

        Returns
        -------
        (n, S, S, `n_channels`) float32
        """
        chosen = np.asarray(cells, np.intp)
        out = np.empty((len(chosen), self.crop_size, self.crop_size, self.n_channels), np.float32)
        n_image = self.padded_image.shape[-1]
        out[..., :n_image] = self.windows(self.padded_image, chosen)
        if self.shows_markers:
            regions = self.windows(self.padded_nuclei, chosen)
            own = regions == chosen[:, None, None] + 1
            out[..., n_image] = own
            out[..., n_image + 1] = (regions > 0) & ~own
            out[..., n_image + 2] = self._log_odds(chosen) / HIGHEST_LOG_ODDS
        out[..., -1] = self.embedding
        return out

    def _log_odds(self, cells: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return (n, S, S) path log-odds that a pixel belongs to the crop's cell."""
        assert self.padded_path_labels is not None
        assert self.padded_log_odds is not None
        own = self.windows(self.padded_path_labels, cells) == cells[:, None, None] + 1
        log_odds = self.windows(self.padded_log_odds, cells)
        return np.where(own, log_odds, -log_odds)

    def batches(self, size: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
        """Yield all crops in order, `size` at a time: (n,) positions, (`size`, S, S, C + 1) crops.

        The last batch repeats crops to keep its shape; use its first n crops.
        """
        for start in range(0, len(self), size):
            cells = np.arange(start, min(start + size, len(self)))
            yield cells, self.crops(filled(cells, size)[0])

    def cells_in_area(self, rng: np.random.Generator, area: int) -> NDArray[np.intp]:
        """Return the cells whose crop begins in a random square of side `area`, as in the paper.

        If the image is smaller than the square, these are all cells.
        """
        extent = np.maximum(np.array(self.shape) - self.crop_size + 1 - area, 0)
        corner = rng.integers(0, extent + 1)
        # A square at the edge also takes the crops that begin beyond it.
        low = np.where(corner == 0, -self._half, corner)
        high = np.where(corner == extent, np.array(self.shape), corner + area)
        inside = np.all((self.origins >= low) & (self.origins < high), axis=1)
        return np.flatnonzero(inside)

    def neighbours(self, rng: np.random.Generator, n: int) -> NDArray[np.intp]:
        """Return the `n` cells nearest to a random cell, or all if there are fewer."""
        if n >= len(self):
            return np.arange(len(self))
        centre = self.points[rng.integers(len(self))]
        return np.sort(self._tree.query(centre, k=range(1, n + 1))[1]).astype(np.intp)

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self.points)

    def _pad(self, field: NDArray[T], value: float) -> NDArray[T]:
        widths = [(self._half, self._half)] * 2 + [(0, 0)] * (field.ndim - 2)
        return np.pad(field, widths, constant_values=value)

    def windows(self, padded: NDArray[T], cells: NDArray[np.intp]) -> NDArray[T]:
        """Cut the crops of some cells out of a field that is padded by half a crop on all sides."""
        views = np.lib.stride_tricks.sliding_window_view(padded, (self.crop_size,) * 2, axis=(0, 1))
        rows, cols = (self.origins[cells] + self._half).T
        gathered = views[rows, cols]
        return np.moveaxis(gathered, 1, -1) if padded.ndim == 3 else gathered


def filled(cells: NDArray[np.intp], size: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Fill a batch of fixed size with some cells.

    Returns
    -------
    cells : (`size`,) int
        The given cells, repeated to fill the batch. It is filled with real crops, so that batch
        normalisation sees only these.
    valid : (`size`,) float32
        1 for the given cells, 0 for their repetitions.
    """
    if not 1 <= len(cells) <= size:
        raise ValueError(f"a batch of {size} takes 1 to {size} crops, got {len(cells)}")
    return np.resize(cells, size), (np.arange(size) < len(cells)).astype(np.float32)


def _points(markers: ArrayLike, shape: tuple[int, int]) -> NDArray[np.float64]:
    given = np.asarray(markers)
    if given.shape == shape and not (given.ndim == 2 and given.shape[1] == 2):
        _check_marker_image(given)
        # Two sums over the image find all centroids at once, which is faster than regionprops.
        labels, where = np.unique(given[given > 0], return_inverse=True)
        count = np.bincount(where)
        points = np.stack(
            [np.bincount(where, weights=axis) / count for axis in np.nonzero(given > 0)], axis=1
        ) if len(labels) else np.empty((0, 2))  # fmt: skip
    elif given.ndim == 2 and given.shape[1] == 2:
        points = given.astype(np.float64)
    else:
        raise ValueError(
            f"markers must be a label image of the image's shape {shape} or (N, 2) points "
            f"(row, col), got shape {given.shape}"
        )
    if not len(points):
        raise ValueError("there is no marker; find or draw at least one, one for each cell")
    inside = np.all((points >= 0) & (points <= np.array(shape) - 1), axis=1)
    if not inside.all():
        first = tuple(points[~inside][0].tolist())
        raise ValueError(
            f"{np.sum(~inside)} of {len(points)} markers lie outside of the image "
            f"{shape[0]}×{shape[1]}, the first at (row, col) = {first}; "
            "remove them, or check that points are given as (row, col)"
        )
    return points


def _check_marker_image(markers: NDArray[Any]) -> None:
    """Raise a ValueError if markers are no label image, or its background is not 0."""
    if not np.issubdtype(markers.dtype, np.integer):
        raise ValueError(f"a marker label image must be of integers, got {markers.dtype}")
    check_labels(markers, "markers")
    largest = int(markers.max())
    if markers.all() or (
        # Subtracting one from unsigned numbers makes 0 the largest of all.
        largest == np.iinfo(markers.dtype).max and np.mean(markers == largest) > 0.5
    ):
        raise ValueError(
            f"markers has the number {largest} where there is no marker, or no pixel between "
            "markers; background is 0, and markers count from 1"
        )
    ids = markers[markers > 0]
    if ids.size and ids.min() == ids.max() and ndimage.label(markers, np.ones((3, 3)))[1] > 1:
        raise ValueError(
            "markers has one number in several pieces, like a mask; give each marker its own "
            "number, for example with skimage.measure.label"
        )


def _background(
    background: ArrayLike, points: NDArray[np.float64], shape: tuple[int, int]
) -> NDArray[np.bool_]:
    given = _same_shape("background", background, shape)
    if given.dtype != np.bool_ and not np.isin(given, (0, 1)).all():
        raise ValueError(
            f"background holds {given.dtype} from {np.min(given)} to {np.max(given)}, but must be "
            "True where there is no cell; for a label image give labels == 0"
        )
    outside = given.astype(bool)
    rows, cols = np.round(points).astype(int).T
    # A single marker may have lost its few mask pixels when the mask was scaled down.
    if outside.all() or (len(points) > 1 and outside[rows, cols].all()):
        raise ValueError(
            "background is True at every marker, so no cell is possible; background is True where "
            "there is no cell: for a mask give ~mask"
        )
    return outside


def _same_shape(name: str, field: ArrayLike, shape: tuple[int, int]) -> NDArray[np.generic]:
    array = np.asarray(field)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, the image {shape}; they must be equal")
    return array


def _standardise(
    pixels: NDArray[np.float32], normalisation: Normalisation | None
) -> NDArray[np.float32]:
    if not np.all(np.isfinite(pixels)):
        raise ValueError("the image has pixels that are not finite; replace them by numbers")
    scale = normalisation or Normalisation(pixels)
    if np.any(scale.deviation == 0):
        raise ValueError(
            f"channel {int(np.argmin(scale.deviation))} of the image is constant; leave it out"
        )
    return np.asarray((pixels - scale.mean) / scale.deviation, np.float32)
