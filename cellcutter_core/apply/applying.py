"""Train here, apply there: the network of a run on other images.

Mask and markers are found anew on each image, with the settings of the run; the crops get the scale
that brings the cells of that image to the size in which the network saw those of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cellcutter_core.apply.applied_image import Applied
from cellcutter_core.apply.in_blocks import InBlocks, apply_in_blocks
from cellcutter_core.arguments import check_argument
from cellcutter_core.choices.sources import channel_names_of, file_names_of
from cellcutter_core.config import check_current
from cellcutter_core.export import Result
from cellcutter_core.images.contents import TooLarge
from cellcutter_core.images.file_sets.alike import Where, in_same_roles, read_alike, seen_instead
from cellcutter_core.images.image import Image
from cellcutter_core.images.readers import one_line
from cellcutter_core.large.blocks import AT_ONCE
from cellcutter_core.large.large_image import SAMPLED, LargeImage
from cellcutter_core.network.unet import UNet
from cellcutter_core.pipeline import prepare, seen_names
from cellcutter_core.runs.store import Run
from cellcutter_core.training.datasets import make_dataset
from cellcutter_core.training.inputs import Inputs
from cellcutter_core.training.marker_check import checked_markers
from cellcutter_core.training.prediction import draw_cells


class Trained:
    """The network of a run after its last epoch, loaded once for as many images as one likes.

    Parameters
    ----------
    run : Run

    Attributes
    ----------
    epoch : int
        The last of the run.
    channels : list of str
        What the network saw of the run's own image.
    own_files : ChannelNames or None
        How the files of the run's own image say their channels, where they do.

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
        """Read another image as the run's own was read, its channels in the roles of that.

        Parameters
        ----------
        path : path, or sequence of paths
            A file, or those of its channels in the order of the run's own, see `named_images`.
        how
            As for `read_image`. What is not given, or None, is as for the run's own image: plane
            and time point as chosen there; the channels of the same names, see `in_roles`. Which of
            several images in a file says nothing of other files.

        Raises
        ------
        ValueError
            What `read_alike` raises, and where the files of channels cannot be told by their names.
        """
        image = read_alike(path, self.run.description, self.own_files, **self._reading(how))
        own = file_names_of(self.run)
        if self.own_files is None and len(image.channels) < len(own):
            raise ValueError(
                f"{image.name}: has fewer channels than the run, whose files do not say channels "
                f"by their names ({', '.join(own)}): give files that hold all channels, or train "
                "on files that are called by them"
            )
        return image

    def open(self, path: Where, **how: Any) -> Image | LargeImage:
        """As `read`, but for an image that is too large to be worked on at once.

        Returns
        -------
        Image or LargeImage
            The latter where it has more than `AT_ONCE` pixels; of one that takes more memory than
            it may only what is looked at is read, where its format allows that.

        Raises
        ------
        ValueError
            What `read` raises.
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
        """How another image is read, where that is said so or was for the run's own."""
        own = {**self.run.description.get("reading", {}), "scene": None}
        return {**own, **{name: value for name, value in how.items() if value is not None}}

    def in_roles(self, image: Image, *, keep: Iterable[str] = ()) -> Image:
        """The image with its channels in the roles that those of their names had in the run.

        Parameters
        ----------
        image : Image
        keep : iterable of {"cell", "nucleus"}
            The roles that stay as they are.

        Returns
        -------
        Image
            A role whose channels are not all there stays as it is, that is as it was guessed.
        """
        return in_same_roles(image, self.run.description, self.own_files, keep=keep)

    def apply(self, image: Image) -> Applied:
        """The cells of an image, whose channels have their roles.

        Cell area and markers are found as the settings of the run want it, also where those of the
        run were edited by hand or came from a file: these belong to its own image. Without them,
        the image of the run itself gets bit for bit the labels of its last epoch.

        Parameters
        ----------
        image : Image

        Raises
        ------
        ValueError
            If the network saw another number of channels, or for what `prepare` and `make_dataset`
            refuse.
        """
        self._check_seen(image)
        inputs = checked_markers(prepare(image, self.config)[0], self.config)
        return self.draw(image, inputs)

    def apply_in_blocks(
        self,
        large: LargeImage,
        files: Mapping[str, Path],
        *,
        progress: Callable[[float], None] = lambda share: None,
    ) -> InBlocks:
        """As `apply`, of an image of which a block is held at a time; what is found is written.

        Parameters
        ----------
        large : LargeImage
        files, progress
            See `cellcutter_core.apply.in_blocks.apply_in_blocks`.

        Raises
        ------
        ValueError
            As `apply`, and what `apply_in_blocks` raises.
        """
        self._check_seen(large.sample)
        return apply_in_blocks(self.network, large, self.config, files, progress=progress)

    def _check_seen(self, image: Image) -> None:
        seen = seen_names(image, self.config)
        # The taught network sees the mean of however many there are.
        taught = self.config.network.start == "simulated"
        if len(seen) != len(self.channels) and not taught:
            raise ValueError(
                f"{image.name}: the network was trained on {_counted(self.channels)}, but would "
                f"see {_counted(seen)} here; choose as many channels as in the run for cells and "
                f"nuclei, of {', '.join(image.channels)}"
            )

    def remark(self, applied: Applied | InBlocks) -> str:
        """What the network saw here, where that has other names than in its run; else nothing."""
        return seen_instead(applied.channels, self.channels, self.own_files)

    def draw(self, image: Image, inputs: Inputs) -> Applied:
        """The cells of an image whose cell area and markers are known."""
        data = make_dataset(inputs, self.config)
        drawing = draw_cells(self.network, data, inputs, self.config)
        return Applied(image, self.config, inputs, drawing)


def apply_run(run: Run, image: Image) -> Applied:
    """The cells of another image by the network of a run.

    Parameters
    ----------
    run : Run
        With an epoch at least.
    image : Image
        Its channels get the roles of those of the same name in the run, where they are there. Mask
        and markers are found anew with the run's settings; markers edited by hand, or from a file,
        belong to the run's own image and do not carry over.

    Returns
    -------
    Applied
        `labels` are its cells.

    Raises
    ------
    ValueError
        What `Trained` and `Trained.apply` raise.
    """
    folder = run if isinstance(run, str | os.PathLike) else "results"
    check_argument(run, Run, "run", f"open its folder with Run({os.fspath(folder)!r})")
    check_argument(image, Image, "image", "read a file with read_image('my-image.tif')")
    trained = Trained(run)
    return trained.apply(trained.in_roles(image))


def _counted(channels: Sequence[str]) -> str:
    listed = ", ".join(channels)
    return f"{len(channels)} {'channel' if len(channels) == 1 else 'channels'} ({listed})"
