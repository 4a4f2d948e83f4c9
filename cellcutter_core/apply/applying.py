"""Apply the network of a run to other images.

Mask and markers are found on each image with the settings of the run. Crops are scaled so that the
network sees cells at the size that they had in its training.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cellcutter_core.apply.applied_image import Applied
from cellcutter_core.arguments import check_argument
from cellcutter_core.choices.sources import channel_names_of, file_names_of
from cellcutter_core.config import check_current
from cellcutter_core.export import Result
from cellcutter_core.images.blocks import AT_ONCE
from cellcutter_core.images.file_sets.alike import Where, in_same_roles, read_alike, seen_instead
from cellcutter_core.images.image import Image
from cellcutter_core.images.reading.contents import TooLarge
from cellcutter_core.images.reading.readers import one_line
from cellcutter_core.large.large_image import SAMPLED, LargeImage
from cellcutter_core.network.unet import UNet
from cellcutter_core.pipeline import prepare
from cellcutter_core.runs.store import Run
from cellcutter_core.training.datasets import make_dataset
from cellcutter_core.training.image_inputs import seen_names
from cellcutter_core.training.inputs import Inputs
from cellcutter_core.training.marker_check import checked_markers
from cellcutter_core.training.predicted_labels import predict_cells

if TYPE_CHECKING:
    from cellcutter_core.apply.in_blocks import InBlocks


class Trained:
    """The network of a run after its last epoch, loaded once for any number of images.

    Parameters
    ----------
    run : Run

    Attributes
    ----------
    epoch : int
        The last epoch of the run.
    channels : list of str
        The channels of the run's own image that the network saw.
    own_files : ChannelNames or None
        How the file names of the run's own image give the channels, if they do.

    Raises
    ------
    ValueError
        If the run has no epoch yet, its network is missing or damaged, or it is of an earlier
        version.
    """

    def __init__(self, run: Run) -> None:
        check_current(run.config)
        last = Result(run)
        self.run, self.config = run, run.config
        self.epoch, self.channels = last.epoch, last.channels
        self.own_files = channel_names_of(run)
        if not run.model_file.exists():
            raise ValueError("the run has no model; continue it for an epoch")
        try:
            self.network = UNet.load(run.model_file, run.config.network)
        except Exception as error:
            raise ValueError(
                f"{run.model_file} cannot be read ({one_line(error)[:200]}); continue the run for "
                "an epoch"
            ) from error

    def read(self, path: Where, **how: Any) -> Image:
        """Read another image like the run's own image, with the same roles of its channels.

        Parameters
        ----------
        path : path, or sequence of paths
            A file, or the files of its channels in the order of the run's own, see `named_images`.
        how
            As for `read_image`. Arguments that are not given, or None, are those of the run's own
            image: its plane and time point, and the roles of channels with the same names, see
            `in_roles`. The scene is not taken over, because it says nothing about other files.

        Raises
        ------
        ValueError
            As `read_alike`, and if the files of channels cannot be told apart by their names.
        """
        image = read_alike(path, self.run.description.roles, self.own_files, **self._reading(how))
        own = file_names_of(self.run)
        if self.own_files is None and len(image.channels) < len(own):
            raise ValueError(
                f"{image.name}: has fewer channels than the run, whose file names do not name the "
                f"channels ({', '.join(own)}): give files that hold all channels, or train on "
                "files that are named after their channels"
            )
        return image

    def open(self, path: Where, **how: Any) -> Image | LargeImage:
        """Read an image like `read`, or open it if it is large.

        Returns
        -------
        Image or LargeImage
            The latter if it has more than `AT_ONCE` pixels. If it exceeds the memory limit, it is
            read block by block, if its format allows that.

        Raises
        ------
        ValueError
            As `read`.
        """
        try:
            image = self.read(path, **how)
        except TooLarge as error:
            if how.get("region") is not None:
                raise
            try:
                sample = self.read(path, **how, reduced_to=SAMPLED)
            except TooLarge:
                raise error from None
            files = [path] if isinstance(path, str | os.PathLike) else path
            reading = self._reading(how)
            planes = {name: reading.get(name) for name in ("z", "t", "scene")}
            return LargeImage.stored(sample, files, **planes)
        n_rows, n_cols = image.shape
        return LargeImage.held(image) if n_rows * n_cols > AT_ONCE else image

    def _reading(self, how: Mapping[str, Any]) -> dict[str, Any]:
        """Return how to read another image: as given, or else as the run's own image."""
        own = {**self.run.description.reading, "scene": None}
        return {**own, **{name: value for name, value in how.items() if value is not None}}

    def in_roles(self, image: Image) -> Image:
        """Give the channels of an image the roles that the same names had in the run.

        Parameters
        ----------
        image : Image

        Returns
        -------
        Image
            A role whose channels are not all in the image stays unchanged, as it was guessed.
        """
        return in_same_roles(image, self.run.description.roles, self.own_files)

    def apply(self, image: Image) -> Applied:
        """Find the cells of an image whose channels have their roles.

        Mask and markers are found with the settings of the run, even if those of the run were
        edited by hand or came from a file, because these belong to its own image. If they were not
        edited, applying to the run's own image gives exactly the labels of its last epoch.

        Parameters
        ----------
        image : Image

        Raises
        ------
        ValueError
            If the network saw another number of channels, and as `prepare` and `make_dataset`.
        """
        self.check_seen(image)
        inputs = checked_markers(prepare(image, self.config)[0], self.config)
        return self.draw(image, inputs)

    def check_seen(self, image: Image) -> None:
        """Raise a ValueError if the network saw another number of channels than it would here."""
        seen = seen_names(image, self.config)
        # The taught network sees the mean of any number of channels.
        taught = self.config.network.start == "simulated"
        if len(seen) != len(self.channels) and not taught:
            raise ValueError(
                f"{image.name}: the network was trained on {_counted(self.channels)}, but would "
                f"see {_counted(seen)} here; choose as many channels for cells and nuclei as in "
                f"the run, out of {', '.join(image.channels)}"
            )

    def remark(self, applied: Applied | InBlocks) -> str:
        """Say which channels the network saw, if not those of the run's names; else empty."""
        return seen_instead(applied.channels, self.channels, self.own_files)

    def draw(self, image: Image, inputs: Inputs) -> Applied:
        """Find the cells of an image whose mask and markers are known."""
        data = make_dataset(inputs, self.config)
        drawing = predict_cells(self.network, data, inputs, self.config)
        return Applied(image, self.config, inputs, drawing)


def apply_run(run: Run, image: Image) -> Applied:
    """Find the cells of another image with the network of a run.

    Parameters
    ----------
    run : Run
        With at least one epoch.
    image : Image
        Its channels get the roles that the same names have in the run, if they exist. Mask and
        markers are found with the run's settings. Markers edited by hand or from a file belong to
        the run's own image and are not used.

    Returns
    -------
    Applied
        Its `labels` are the cells.

    Raises
    ------
    ValueError
        As `Trained` and `Trained.apply`.
    """
    folder = run if isinstance(run, str | os.PathLike) else "results"
    check_argument(run, Run, "run", f"open its folder with Run({os.fspath(folder)!r})")
    check_argument(image, Image, "image", "read a file with read_image('my-image.tif')")
    trained = Trained(run)
    return trained.apply(trained.in_roles(image))


def _counted(channels: Sequence[str]) -> str:
    listed = ", ".join(channels)
    return f"{len(channels)} {'channel' if len(channels) == 1 else 'channels'} ({listed})"
