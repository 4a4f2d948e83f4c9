"""The steps of the pipeline in order: from an image to the inputs of a training, and to labels.

Each step has its own module.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellcutter_core.arguments import check_argument, describe_value, naming
from cellcutter_core.config import QUICK, Config
from cellcutter_core.images.image import Image
from cellcutter_core.images.scaling import Normalisation
from cellcutter_core.limits import check_pixels
from cellcutter_core.markers.finding import (
    Nuclei,
    find_cells,
    find_nuclei,
    is_covered,
    marker_points,
)
from cellcutter_core.markers.given_markers import read_markers
from cellcutter_core.markers.nuclei_of_points import given_cover
from cellcutter_core.mask.mask_of_settings import mask_channels
from cellcutter_core.network.backend import backend, fastest_precision
from cellcutter_core.training.crops import Dataset
from cellcutter_core.training.datasets import make_dataset
from cellcutter_core.training.image_inputs import check_cell_size, check_seen, inputs_of, truth_of
from cellcutter_core.training.inputs import Inputs, Truth, check_mask
from cellcutter_core.training.loop import (
    Training,
    starting_network,
    train_and_predict,
)
from cellcutter_core.training.marker_check import checked_markers
from cellcutter_core.training.predicted_labels import Prediction, predict_cells


def prepare(
    image: Image,
    config: Config,
    *,
    markers: str | os.PathLike[str] | None = None,
    report: Callable[[str], None] | None = None,
) -> tuple[Inputs, Truth | None]:
    """Find the mask and the markers of an image.

    Parameters
    ----------
    image : Image
    config : Config
    markers : path, optional
        A file of markers, see `read_markers`, to use instead of finding them. Of a stack, those in
        the plane of the image are used. Positions are those in the whole image, even if the image
        is a region of it.
    report : optional
        See `read_markers`.

    Returns
    -------
    inputs : Inputs
        What the network is trained on.
    truth : Truth or None
        The truth, if it is known. Nothing in `inputs` comes from it.

    Raises
    ------
    ValueError
        If no marker is found, or the mask is True everywhere or nowhere.
    """
    check_request(image, config)
    nuclei = find_markers(image, config, markers=markers, report=report)
    given = markers is not None
    area = find_mask(image, config, nuclei, given=given)
    return inputs_of(image, config, nuclei, area, final=given), truth_of(image)


def check_request(image: Image, config: Config) -> None:
    """Check the types of image and settings; the error says how to get them.

    Raises
    ------
    ValueError
        If `image` is no `Image` or `config` no `Config`.
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
    report: Callable[[str], None] | None = None,
    normalisation: Normalisation | None = None,
) -> Nuclei:
    """Find one marker for each cell: in a file, the nucleus channel, or else the cell channels.

    Parameters
    ----------
    image : Image
    config : Config
    markers, report : optional
        See `prepare`.
    normalisation : Normalisation, optional
        That of the whole image and all of its channels, if this is a part of it. It is used if the
        markers are not found automatically.

    Raises
    ------
    ValueError
        If no marker is found, the file holds none for this image, the mask in which they are
        searched is empty, or the whole image has more pixels than this server works on at once.
    """
    if normalisation is None:
        check_pixels(image.shape)
    if markers is not None:
        regions = read_markers(markers, image, report=report)
        return Nuclei(regions, marker_points(regions))
    if image.nucleus is not None:
        plane = image.pixels[..., image.nucleus]
        scale = normalisation and normalisation.of([image.nucleus])
        return find_nuclei(plane, config.markers, normalisation=scale)
    cell = image.pixels[..., list(image.cell)]
    scale = normalisation and normalisation.of(image.cell)
    mask = mask_channels(cell, config.mask, normalisation=scale)
    if normalisation is None and config.markers.automatic and not mask.any():
        check_mask(mask, config)
    return find_cells(cell, config.markers, mask=mask, normalisation=scale)


def find_mask(
    image: Image,
    config: Config,
    nuclei: Nuclei,
    *,
    given: bool = False,
    normalisation: Normalisation | None = None,
) -> NDArray[np.bool_]:
    """Find the mask.

    Parameters
    ----------
    image : Image
    config : Config
    nuclei : Nuclei
        The markers of the image.
    given : bool
        Whether the markers come from a person or a file.
    normalisation : Normalisation, optional
        As for `find_markers`.

    Returns
    -------
    (H, W) bool
        May be True everywhere or nowhere, see `check_mask`.

    Raises
    ------
    ValueError
        If the whole image has more pixels than this server works on at once.
    """
    if normalisation is None:
        check_pixels(image.shape)
    cell = image.pixels[..., list(image.cell)]
    if not is_covered(image, config):
        scale = normalisation and normalisation.of(image.cell)
        return mask_channels(cell, config.mask, nuclei=nuclei.regions > 0, normalisation=scale)
    if given:
        return given_cover(cell[..., 0], nuclei.regions, diameter=config.markers.diameter)
    return nuclei.regions > 0


def segment(
    image: Image,
    config: Config = QUICK,
    *,
    markers: str | os.PathLike[str] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Prediction:
    """Run all steps of the pipeline: image in, labels out.

    Parameters
    ----------
    image : Image
    config : Config
        `QUICK` or `PAPER`, or one of them with changes.
    markers : path, optional
        As for `prepare`.
    stop : callable
        Called before every step. If it returns True, training ends, and the result is that of the
        last whole epoch.

    Returns
    -------
    Prediction

    Raises
    ------
    ValueError
        As `prepare` and `Dataset`, and if it was stopped before the first epoch ended.
    """
    inputs, _ = prepare(image, config, markers=markers)
    check_cell_size(config)
    return segment_inputs(inputs, config, stop=stop)


def segment_together(
    images: Sequence[Image],
    config: Config = QUICK,
    *,
    markers: str | os.PathLike[str] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> list[Prediction]:
    """Train one network on the crops of several images, and segment them all.

    Parameters
    ----------
    images : sequence of Image
        Similar images, with the same number of channels for the network to see. Mask, markers and
        the scale of crops are found for each image separately.
    config : Config
    markers : path, optional
        Markers of the first image, as for `prepare`.
    stop
        As for `segment`.

    Returns
    -------
    list of Prediction
        One for each image.

    Raises
    ------
    ValueError
        As `segment`; the message begins with the name of the image.
    """
    if isinstance(images, Image | str | os.PathLike) or not isinstance(images, Iterable):
        raise ValueError(
            f"images is {describe_value(images)}; give a list of images, or call segment"
        )
    images = list(images)
    if not images:
        raise ValueError("there is no image to segment; give at least one")
    for image in images:
        check_request(image, config)
    check_cell_size(config)
    found: list[tuple[Dataset, Inputs]] = []
    for image in images:
        with naming(image.name):
            if found:
                check_seen(image, config, n_channels=found[0][1].image.shape[-1])
            inputs, _ = prepare(image, config, markers=None if found else markers)
            inputs = checked_markers(inputs, config)
            found.append((make_dataset(inputs, config), inputs))
    return _segmented(found, config, stop=stop)


def segment_inputs(
    inputs: Inputs,
    config: Config,
    *,
    others: Sequence[Inputs] = (),
    until: int | None = None,
    start: Sequence[NDArray[Any]] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Prediction:
    """Train on an image whose mask and markers are known, and return its labels.

    Parameters
    ----------
    inputs : Inputs
    config : Config
    others : sequence of Inputs, optional
        Inputs of other images that the network is also trained on.
    until : int, optional
        The last epoch to train; default `config.training.epochs`. The learning rate falls as for
        all epochs, so the result equals that of the whole training after this epoch. With 0 nothing
        is trained: the labels are those of epoch 0.
    start : sequence of arrays, optional
        Weights that the network begins with; default random ones.
    stop
        As for `segment`.

    Returns
    -------
    Prediction

    Raises
    ------
    ValueError
        As `make_dataset`, and if it was stopped before the first epoch ended.
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
) -> list[Prediction]:
    (data, inputs), *others = found
    precision = config.training.precision
    if precision == "auto":
        precision = fastest_precision(
            backend(), channels=config.network.channels, crop_size=config.crops.size
        )
    network = starting_network(config, data, precision=precision, weights=start)
    training = Training([one for one, _ in found], network, config.training)
    prediction, weights = None, []
    for event in train_and_predict(training, data, inputs, config, epoch_0=until == 0, stop=stop):
        if isinstance(event, tuple):
            prediction = event[1]
            weights = network.weights if others else []
            if event[0].epoch == until:
                break
    if prediction is None:
        raise ValueError(
            "training was stopped before the first epoch ended; let it run for one epoch"
        )
    if others:
        # Stopped within an epoch, the network has learnt more than the last prediction shows.
        network.set_weights(weights, data.n_channels)
    return [prediction, *(predict_cells(network, *other, config) for other in others)]
