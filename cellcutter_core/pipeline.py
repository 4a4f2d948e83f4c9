"""From an image to what is trained on, and from the trained network to the labels of the image.

The steps in between have modules of their own; here they are put in order, and the image is
brought to the size in which the network sees it and back.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cellcutter_core.arguments import check_argument, in_words
from cellcutter_core.backend import Precision, backend, fastest_precision
from cellcutter_core.baseline import filled_labels, watershed_labels
from cellcutter_core.config import QUICK, Config, check_current
from cellcutter_core.crops import Dataset
from cellcutter_core.given_markers import read_markers
from cellcutter_core.graph_cut import find_mask
from cellcutter_core.images import Image
from cellcutter_core.inputs import Inputs, Truth
from cellcutter_core.markers import Nuclei, cores, find_cells, find_nuclei, marker_points
from cellcutter_core.network.taught import read_taught
from cellcutter_core.nuclei.given import given_cover
from cellcutter_core.prediction import Drawing, draw
from cellcutter_core.scaling import logarithms, nearest, resized
from cellcutter_core.training import Epoch, EpochZero, Step, Training, Validation
from cellcutter_core.unet import UNet

# An image is never enlarged or reduced by more than this to bring its cells to the wanted size.
LARGEST_SCALE = 4.0
# Radius in crop pixels at which the network sees a marker of which only the point is known.
POINT_RADIUS = 3
# A marker has no cell of its own where its cell is less than so many times as large as its region,
# and this share of what is usual: of a nucleus that was found in two parts the second has nothing
# but itself in the lessons. On nine images of BBBC018 one of 32 cells below 1.6 was right, and 0.83
# of those from 2 to 3; the median was 3.5 to 13.
LEAST_SPREAD, LEAST_SHARE = 1.6, 0.45
# Where more than this share of the markers had to go, the network knows nothing of such an image.
MOST_DROPPED = 0.2
# Where all cells together are less probable than this, the nearest is as good a guess.
LEAST_PROBABILITY = 0.05


def prepare(
    image: Image,
    config: Config,
    *,
    markers: str | os.PathLike[str] | None = None,
    told: Callable[[str], None] | None = None,
) -> tuple[Inputs, Truth | None]:
    """Find cell area and nuclei as the settings want them.

    Parameters
    ----------
    image : Image
    config : Config
    markers : path, optional
        A file of markers, see `read_markers`, to take instead of finding them; those of the plane
        of a stack that the image says it is. They lie in the whole image, also where the image is
        a region of it.
    told : optional
        See `read_markers`.

    Returns
    -------
    inputs : Inputs
        What is trained on.
    truth : Truth or None
        What the file knows of the right answer. Nothing in `inputs` comes from it.

    Raises
    ------
    ValueError
        If no marker is found, or the mask is all cell or all background.
    """
    check_request(image, config)
    nuclei = find_markers(image, config, markers=markers, told=told)
    given = markers is not None
    area = find_area(image, config, nuclei, given=given)
    return inputs_of(image, config, nuclei, area, final=given), truth_of(image)


def check_request(image: Image, config: Config) -> None:
    """Refuse anything but an image and settings, and say how to get these.

    Raises
    ------
    ValueError
    """
    given = repr(os.fspath(image)) if isinstance(image, str | os.PathLike) else "'my-image.tif'"
    advice = f"read a file with read_image({given}), or make one of an array: Image(array, names)"
    check_argument(image, Image, "image", advice)
    advice = "give QUICK or PAPER, or one of them with changes"
    check_argument(config, Config, "config", advice)


def find_markers(
    image: Image,
    config: Config,
    *,
    markers: str | os.PathLike[str] | None = None,
    told: Callable[[str], None] | None = None,
    like: Image | None = None,
) -> Nuclei:
    """One marker a cell: from a file, the nucleus channel, or else the cell channel.

    Parameters
    ----------
    image : Image
    config : Config
    markers, told : optional
        See `prepare`.
    like : Image, optional
        Pixels of all of the image that this is a part of: they say what is dark and bright where
        that is not found automatically.

    Raises
    ------
    ValueError
        If none is found, or the file holds none for this image.
    """
    if markers is not None:
        regions = read_markers(
            markers,
            image.shape,
            origin=image.origin,
            whole_shape=image.whole_shape,
            z=image.z,
            t=image.t,
            told=told,
        )
        return Nuclei(regions, marker_points(regions))
    if image.nucleus is not None:
        plane = image.pixels[..., image.nucleus]
        judged = None if like is None else like.pixels[..., image.nucleus]
        return find_nuclei(plane, config.markers, like=judged)
    cell = image.pixels[..., list(image.cell)]
    judged = None if like is None else like.pixels[..., list(image.cell)]
    mask = find_mask(cell, config.mask, like=judged)
    return find_cells(cell, config.markers, mask=mask, like=judged)


def find_area(
    image: Image,
    config: Config,
    nuclei: Nuclei,
    *,
    given: bool = False,
    like: Image | None = None,
) -> NDArray[np.bool_]:
    """Where there are cells.

    Parameters
    ----------
    image : Image
    config : Config
    nuclei : Nuclei
        Its markers.
    given : bool
        The markers come from a person or a file.
    like : Image, optional
        As for `find_markers`.

    Returns
    -------
    (H, W) bool
        May be True everywhere or nowhere, see `check_area`.
    """
    cell = image.pixels[..., list(image.cell)]
    if not is_covered(image, config):
        judged = None if like is None else like.pixels[..., list(image.cell)]
        return find_mask(cell, config.mask, nuclei=nuclei.regions > 0, like=judged)
    if given:
        return given_cover(cell[..., 0], nuclei.regions, diameter=config.markers.diameter)
    return nuclei.regions > 0


def is_covered(image: Image, config: Config) -> bool:
    """Whether the cell area is what the nuclei cover: where these alone are to be segmented.

    Found automatically, each has its outline half way between its inside and its own surroundings,
    so that the glow around a bright one is not taken for a dim one. Blobs are only somewhere in a
    nucleus; the mask is found from the image then.
    """
    automatic = config.markers.automatic and config.mask.automatic
    return automatic and image.cell == (image.nucleus,)


def check_area(mask: NDArray[np.bool_], config: Config) -> None:
    """Raise a ValueError where cells are everywhere or nowhere: nothing can be learnt then."""
    share = float(mask.mean())
    if share in (0.0, 1.0):
        raise ValueError(
            f"the mask calls {'no' if share == 0 else 'every'} pixel cell; "
            f"{'raise' if share == 0 else 'lower'} mask.prior (now {config.mask.prior}), or choose "
            "the automatic mask"
        )


def inputs_of(
    image: Image, config: Config, nuclei: Nuclei, mask: NDArray[np.bool_], *, final: bool = False
) -> Inputs:
    """What is trained on: the channels that the network sees, with cell area and markers.

    Parameters
    ----------
    image : Image
    config : Config
    nuclei : Nuclei
    mask : (H, W) bool
    final : bool
        See `Inputs`.

    Raises
    ------
    ValueError
        As `check_area`.
    """
    check_area(mask, config)
    points = nuclei.points.astype(np.float64)
    channels = seen_channels(image, config)
    regions = certain_regions(image, config, nuclei.regions)
    return Inputs(image.pixels[..., channels], mask, points, regions, final)


def is_checked(config: Config) -> bool:
    """Whether the taught network checks the markers that were found."""
    return config.training.check_markers and config.network.start == "simulated"


def checked_markers(inputs: Inputs, config: Config) -> Inputs:
    """Without the markers of which the taught network says that they have no cell of their own.

    Parameters
    ----------
    inputs : Inputs
    config : Config
        Nothing is dropped unless `is_checked`.

    Returns
    -------
    Inputs
        The same where nothing is to be checked: markers that are final stay.

    Raises
    ------
    ValueError
        What `make_dataset` raises.
    """
    if inputs.final or not is_checked(config):
        return inputs
    return inputs.only(markers_with_cells(inputs, config))


def markers_with_cells(inputs: Inputs, config: Config) -> NDArray[np.bool_]:
    """(N,) bool: which markers have a cell of their own, as the taught network draws them.

    Markers of which only the point is known have one.

    Raises
    ------
    ValueError
        What `make_dataset` raises.
    """
    if inputs.nuclei is None:
        return np.ones(len(inputs.points), bool)
    backend()  # It loads the framework without what that writes on the terminal.
    data = make_dataset(inputs, config)
    cells = draw_cells(starting_network(config, data), data, inputs, config).labels
    n = len(inputs.points) + 1
    areas, regions = (np.bincount(of.ravel(), minlength=n)[1:] for of in (cells, inputs.nuclei))
    return have_cells(areas, regions)


def have_cells(
    areas: NDArray[np.integer[Any]], regions: NDArray[np.integer[Any]]
) -> NDArray[np.bool_]:
    """(N,) bool: which markers have a cell of their own, by the areas of cells and of markers."""
    spread = areas / np.maximum(regions, 1)
    kept = np.asarray(spread >= min(LEAST_SPREAD, LEAST_SHARE * float(np.median(spread))))
    return kept if kept.mean() >= 1 - MOST_DROPPED else np.ones(len(kept), bool)


def certain_regions(image: Image, config: Config, regions: NDArray[np.int32]) -> NDArray[np.int32]:
    """The pixels that surely are each cell's own: the regions of its marker.

    Where nuclei alone are segmented they are all of the mask already. Of each only the inner part
    is taken then, so that the taught network has the outlines between those that touch to say.
    """
    if config.network.start == "simulated" and is_covered(image, config):
        return cores(regions)
    return regions


def seen_channels(image: Image, config: Config) -> list[int]:
    """Indices of the channels that the network sees: those of cells, then that of nuclei."""
    channels = list(image.cell)
    if config.crops.with_nucleus and image.nucleus is not None and image.nucleus not in channels:
        channels.append(image.nucleus)
    return channels


def check_seen(image: Image, config: Config, *, n_channels: int) -> tuple[int, ...]:
    """The channels that the network sees of another image.

    Parameters
    ----------
    image : Image
        Its channels in their roles.
    config : Config
    n_channels : int
        How many channels the network sees of the first image.

    Raises
    ------
    ValueError
        If they are more or fewer than those of the first image. The taught network sees the mean
        of however many there are.
    """
    seen = tuple(seen_channels(image, config))
    if len(seen) != n_channels and config.network.start == "nothing":
        raise ValueError(
            f"the network would see {len(seen)} of its channels and {n_channels} of the first "
            f"image; choose as many for cells and nuclei, of {', '.join(image.channels)}"
        )
    return seen


def seen_names(image: Image, config: Config) -> list[str]:
    """Names of the channels that the network sees, in the order of `seen_channels`."""
    return [image.channels[index] for index in seen_channels(image, config)]


def unseen_channels(image: Image, config: Config) -> dict[str, NDArray[Any]]:
    """(H, W) the channels that the network does not see, by name."""
    seen = seen_channels(image, config)
    return {
        name: image.pixels[..., index]
        for index, name in enumerate(image.channels)
        if index not in seen
    }


def truth_of(image: Image) -> Truth | None:
    """What the file knows of the right answer, or None."""
    validation = image.validation
    if image.truth is None and validation is None:
        return None
    if validation is None:
        return Truth(image.truth, image.ignore)
    assert image.markers is not None
    return Truth(
        image.truth,
        image.ignore,
        crop_points=validation.corners.astype(np.float64) + validation.crop_size / 2,
        crop_corners=validation.corners,
        crop_cells=validation.crops,
    )


def segment(
    image: Image,
    config: Config = QUICK,
    *,
    markers: str | os.PathLike[str] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Drawing:
    """All steps in one: image in, labels out.

    Parameters
    ----------
    image : Image
    config : Config
        `QUICK` or `PAPER`, or one of them with changes.
    markers : path, optional
        As for `prepare`.
    stop : callable
        Asked before every step; the last whole epoch is what counts then.

    Returns
    -------
    Drawing

    Raises
    ------
    ValueError
        What `prepare` and `Dataset` raise, and if it was stopped before the first epoch ended.
    """
    inputs, _ = prepare(image, config, markers=markers)
    return segment_inputs(inputs, config, stop=stop)


def segment_together(
    images: Sequence[Image],
    config: Config = QUICK,
    *,
    markers: str | os.PathLike[str] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> list[Drawing]:
    """One network for several images, trained on the crops of all of them.

    Parameters
    ----------
    images : sequence of Image
        Alike, with the same number of channels for the network to see. Cell area, markers and the
        scale of crops are found on each by itself.
    config : Config
    markers : path, optional
        Of the first image, as for `prepare`.
    stop
        As for `segment`.

    Returns
    -------
    list of Drawing
        One for each image.

    Raises
    ------
    ValueError
        What `segment` raises, beginning with the name of the image.
    """
    if isinstance(images, Image | str | os.PathLike) or not isinstance(images, Iterable):
        raise ValueError(f"images is {in_words(images)}; give a list of images, or call segment")
    images = list(images)
    if not images:
        raise ValueError("there is no image to segment; give one at least")
    for image in images:
        check_request(image, config)
    found: list[tuple[Dataset, Inputs]] = []
    for image in images:
        with naming(image.name):
            if found:
                check_seen(image, config, n_channels=found[0][1].image.shape[-1])
            inputs, _ = prepare(image, config, markers=None if found else markers)
            inputs = checked_markers(inputs, config)
            found.append((make_dataset(inputs, config), inputs))
    return _segmented(found, config, stop=stop)


@contextmanager
def naming(image: str) -> Iterator[None]:
    """What is wrong begins with the name of the image, where there are several."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{image}: {str(error).removeprefix(f'{image}: ')}") from error


def segment_inputs(
    inputs: Inputs,
    config: Config,
    *,
    others: Sequence[Inputs] = (),
    until: int | None = None,
    start: Sequence[NDArray[Any]] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Drawing:
    """Labels of an image whose mask and markers are known: training and drawing.

    Parameters
    ----------
    inputs : Inputs
    config : Config
    others : sequence of Inputs, optional
        Those of more images that the network is trained on.
    until : int, optional
        The last epoch to train, where not all of `config.training.epochs`. The learning rate falls
        as for all of them, so that this is what a longer training had after that epoch. 0 trains
        nothing: the labels are what the network says of the image before it was trained on it.
    start : sequence of arrays, optional
        Weights that the network begins with; default random ones.
    stop
        As for `segment`.

    Returns
    -------
    Drawing

    Raises
    ------
    ValueError
        What `make_dataset` raises, and if it was stopped before the first epoch ended.
    """
    checked = [checked_markers(given, config) for given in (inputs, *others)]
    found = [(make_dataset(given, config), given) for given in checked]
    return _segmented(found, config, until=until, start=start, stop=stop)[0]


def _segmented(
    found: Sequence[tuple[Dataset, Inputs]],
    config: Config,
    *,
    until: int | None = None,
    start: Sequence[NDArray[Any]] | None = None,
    stop: Callable[[], bool],
) -> list[Drawing]:
    (data, inputs), *others = found
    precision = config.training.precision
    if precision == "auto":
        precision = fastest_precision(
            backend(), channels=config.network.channels, crop_size=config.crops.size
        )
    network = starting_network(config, data, precision=precision, weights=start)
    training = Training([one for one, _ in found], network, config.training)
    drawing, weights = None, []
    for event in train_and_draw(training, data, inputs, config, epoch_0=until == 0, stop=stop):
        if isinstance(event, tuple):
            drawing = event[1]
            weights = network.weights if others else []
            if event[0].epoch == until:
                break
    if drawing is None:
        raise ValueError("it was stopped before the first epoch ended; let it run for one epoch")
    if others:
        # Stopped in the middle of an epoch it has learnt more than what was drawn last.
        network.set_weights(weights, data.n_channels)
    return [drawing, *(draw_cells(network, *other, config) for other in others)]


def starting_network(
    config: Config,
    data: Dataset,
    *,
    precision: Precision = "float32",
    weights: Sequence[NDArray[Any]] | None = None,
) -> UNet:
    """The network as training on an image begins with it.

    Parameters
    ----------
    config : Config
    data : Dataset
        The crops it is for.
    precision : {"float32", "mixed_bfloat16"}
    weights : sequence of arrays, optional
        To begin with instead of those that the settings say.

    Returns
    -------
    UNet
        Taught on simulated cells, or with weights that are random when it is first used.
    """
    network = UNet(config.network, precision=precision)
    if weights is None and config.network.start == "simulated":
        weights = read_taught()[0]
    if weights is not None:
        network.set_weights(list(weights), data.n_channels)
    return network


def scale_for(inputs: Inputs, config: Config) -> float:
    """Crop pixels for each pixel of the image."""
    # Without a marker there is no size of a cell; `Dataset` says so.
    if not len(inputs.points):
        return 1.0
    return scale_of_cells(inputs.cell_diameter, inputs.mask.shape, config)


def scale_of_cells(diameter: float, shape: tuple[int, ...], config: Config) -> float:
    """Crop pixels for each pixel of an image of that shape whose cells have that diameter."""
    wanted = config.crops.cell_size
    if wanted is None:
        return 1.0
    scale = float(np.clip(wanted / diameter, 1 / LARGEST_SCALE, LARGEST_SCALE))
    # An image that was large enough for crops shall be so still.
    return float(max(scale, min(1.0, config.crops.size / 2 / min(shape))))


def make_dataset(inputs: Inputs, config: Config) -> Dataset:
    """The crops of an image, in the size and intensities in which the network sees them.

    Raises
    ------
    ValueError
        If the mask is empty or full, the settings are of an earlier version, or for what `Dataset`
        refuses.
    """
    check_current(config)
    if not inputs.mask.any():
        raise ValueError(
            "the mask has no cell area at all; raise prior, or choose the automatic mask"
        )
    # A part may well lie in the middle of cells.
    if inputs.mask.all() and inputs.like is None:
        raise ValueError(
            "the mask has no background at all; lower prior, or choose the automatic mask"
        )
    scale = scale_for(inputs, config)
    image, like = inputs.image.astype(np.float32), inputs.like
    if config.crops.intensity == "log":
        image = logarithms(image, like=like)
        like = None if like is None else logarithms(like)
    mask, nuclei = inputs.mask, inputs.nuclei
    taught = config.network.start == "simulated"
    if taught:
        # One channel, however many there are: it was taught with one.
        image = image.mean(axis=-1, keepdims=True)
        like = None if like is None else like.mean(axis=-1, keepdims=True)
    territory = inputs.territory if taught else None
    shape = tuple(round(n * scale) for n in mask.shape)
    if 2 * min(shape) < config.crops.size:
        rows, cols = mask.shape
        # None is made smaller than that.
        larger = f", enlarged {scale:.2g} times for its cells to have the wanted size,"
        so = larger if scale > 1 else ""
        raise ValueError(
            f"the image of {rows}×{cols} pixels{so} is smaller than half of one crop of "
            f"{config.crops.size}×{config.crops.size}; choose a smaller crop size or a larger image"
        )
    if scale != 1:
        image = np.stack([resized(image[..., c], shape) for c in range(image.shape[-1])], axis=-1)
        mask = resized(mask.astype(np.float32), shape) > 0.5
        nuclei = None if nuclei is None else nearest(nuclei, shape)
        territory = None if territory is None else territory.resized(shape)
    factors = np.array(mask.shape) / inputs.mask.shape
    points = np.clip((inputs.points + 0.5) * factors - 0.5, 0, np.array(mask.shape) - 1)
    if taught:
        nuclei = shown_markers(nuclei, points, mask.shape)
    return Dataset(
        image,
        points,
        ~mask,
        crop_size=config.crops.size,
        sigma=config.crops.sigma,
        nuclei=nuclei,
        territory=territory,
        like=like,
    )


def shown_markers(
    regions: NDArray[np.int32] | None, points: NDArray[np.float64], shape: tuple[int, ...]
) -> NDArray[np.int32]:
    """(H, W) region of each marker that the network sees: a small disc where it is a point.

    Regions that hardly have a pixel left after rescaling are points too.
    """
    from skimage.segmentation import expand_labels

    shown = np.zeros(shape, np.int32) if regions is None else regions.copy()
    area = np.bincount(shown.ravel(), minlength=len(points) + 1)[1:]
    small = area < 4
    rows, cols = np.round(points[small]).astype(int).T
    alone = np.zeros(shape, np.int32)
    alone[rows, cols] = np.flatnonzero(small) + 1
    discs = expand_labels(alone, POINT_RADIUS)
    return np.where((discs > 0) & ((shown == 0) | (alone > 0)), discs, shown).astype(np.int32)


def draw_cells(network: UNet, data: Dataset, inputs: Inputs, config: Config) -> Drawing:
    """The labels of the whole image as the settings want them drawn."""
    shape = inputs.mask.shape
    if not config.labels.fill:
        return draw(network, data, shape=shape)
    # Where cells compete nobody may have more than half; the most probable still is the best guess.
    drawing = draw(network, data, shape=shape, at_least=LEAST_PROBABILITY)
    labels = np.where(inputs.mask, drawing.labels, 0).astype(np.int32)
    labels = filled_labels(
        labels,
        inputs.mask,
        inputs.points,
        inputs.nuclei,
        # What began with nothing is shown as it is, without what the image says by other means.
        guidance=inputs.guidance if config.network.start == "simulated" else None,
    )
    return Drawing(labels, drawing.borders, drawing.probability)


def train_and_draw(
    training: Training,
    data: Dataset,
    inputs: Inputs,
    config: Config,
    *,
    epochs: int | None = None,
    epoch_0: bool = True,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Step | tuple[EpochZero | Epoch, Drawing]]:
    """Train, and draw the whole image before the first step and after every epoch.

    Parameters
    ----------
    training : Training
        Of `data`, and perhaps of more datasets.
    data, inputs, config
        The image, as `make_dataset` got it.
    epochs, stop
        See `Training.run`.
    epoch_0 : bool
        Whether to draw what the network says before the first step. Where epochs are done already
        that was long ago, and nothing is drawn.
    """
    if epoch_0 and not training.epochs_done and not stop():
        zero = training.epoch_zero()
        yield zero, draw_cells(training.network, data, inputs, config)
    for event in training.run(epochs=epochs, stop=stop):
        if isinstance(event, Step):
            yield event
            continue
        yield event, draw_cells(training.network, data, inputs, config)


def baselines(inputs: Inputs) -> dict[str, NDArray[np.int32]]:
    """The cells that mask and nuclei give by themselves, by the names of `BASELINES`.

    Returns
    -------
    dict of str to (H, W) int32
        Cell k is that of point k - 1. Each pixel of the mask goes to the nucleus with the cheapest
        path through the image ("paths"), or to the nearest one ("watershed").
    """
    return {
        "paths": inputs.territory.labels,
        "watershed": watershed_labels(inputs.nuclei, inputs.mask, points=inputs.points),
    }


def validation_crops(
    truth: Truth | None, inputs: Inputs, data: Dataset, config: Config
) -> Validation | None:
    """The validation crops of a file as crops of the dataset, or None where there are none."""
    if truth is None or truth.crop_cells is None:
        return None
    assert truth.crop_points is not None
    assert truth.crop_corners is not None
    distances, cells = cKDTree(inputs.points).query(truth.crop_points)
    # A marker that is not where the file had one has no true cell.
    known = distances < config.crops.sigma
    if not known.any():
        return None
    side, half = data.crop_size, data.crop_size // 2
    found = []
    for cell, corner, crop in zip(
        cells[known], truth.crop_corners[known], truth.crop_cells[known], strict=True
    ):
        whole = np.zeros(inputs.mask.shape, np.int32)
        whole[tuple(slice(c, c + n) for c, n in zip(corner, crop.shape, strict=True))] = crop
        padded = np.pad(nearest(whole, data.shape), half)
        row, col = data.origins[cell] + half
        found.append(padded[row : row + side, col : col + side] > 0)
    return Validation(cells[known], np.stack(found))
