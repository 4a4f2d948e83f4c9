"""Open runs that this app did not start: from the command line or another machine."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from cellcutter_core.choices.choices import Choices, Source
from cellcutter_core.choices.draft import described, keep_file, markers_digest
from cellcutter_core.images.image import Image
from cellcutter_core.markers.finding import Nuclei
from cellcutter_core.runs.store import Run
from cellcutter_core.simulation.sample import save


def adopt(run: Run) -> Choices:
    """Give a run what runs of the app have: its image as a file kept here, and its choices.

    The file holds the channels and the truth that are stored in the run. The same is done for the
    other images that it was trained on. The choices are written into the run's description, so this
    is done only once.

    Parameters
    ----------
    run : Run
        A run whose description has no choices, or whose images are not here.

    Returns
    -------
    Choices
        The choices that lead to this run.

    Raises
    ------
    ValueError
        If the run is damaged, or a file cannot be written.
    """
    image = _image_of(run)
    about = run.description
    choices = Choices(
        source=_kept(image),
        cell=tuple(about["cell"]) if "cell" in about else None,
        nucleus=about.get("nucleus"),
        pixel_size=about.get("pixel_size"),
        region=(0, 0, *image.shape),
        config=run.config,
        others=tuple(_kept(other.image) for other in run.others),
    )
    edits = ""
    # A run without roles may lack channels that the network did not see, and thus its nuclei.
    if "cell" not in about or about.get("markers") or about.get("edits"):
        inputs = run.inputs
        assert inputs.nuclei is not None
        edits = markers_digest(Nuclei(inputs.nuclei, inputs.points.astype(np.int32)))
    run.describe(**{**described(choices, edits=edits), "edits": edits, "image": image.name})
    return choices


def _kept(image: Image) -> Source:
    """Write an image to a file kept here."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{Path(image.name).stem or 'image'}.npz"
        save(image, file)
        kept = keep_file(file.name, file.read_bytes())
    # Its intensities have already been inverted if necessary, so cells are bright.
    return kept.replace(inverted=False)


def _image_of(run: Run) -> Image:
    inputs, truth, unseen = run.inputs, run.truth, run.unseen
    seen = run.description.get("channels")
    if seen is None or len(seen) != inputs.image.shape[-1]:
        seen = [f"channel {n}" for n in range(1, inputs.image.shape[-1] + 1)]
    pixels = np.concatenate(
        [inputs.image, *(channel[..., None] for channel in unseen.values())], axis=-1
    )
    return Image(
        pixels,
        (*seen, *unseen),
        truth=None if truth is None else truth.labels,
        ignore=None if truth is None else truth.ignore,
        name=run.description.get("image") or run.path.name,
    )
