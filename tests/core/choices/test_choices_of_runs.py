"""A run from elsewhere has its image and choices here: what the pages compute is the run's own."""

import numpy as np
import pytest

from cellcutter_core.choices.choices import Choices, changed, keys
from cellcutter_core.choices.draft import markers_digest
from cellcutter_core.choices.other_images import kept_place
from cellcutter_core.choices.sources import choices_and_markers_of, markers_of
from cellcutter_core.choices.uploads import file_of
from cellcutter_core.config import QUICK
from cellcutter_core.images.read_image import read_image
from cellcutter_core.images.regions import cut_out
from cellcutter_core.markers.finding import Nuclei
from cellcutter_core.pipeline import prepare
from cellcutter_core.runs.other_images import find_others, prepare_other
from cellcutter_core.runs.store import Run
from cellcutter_core.simulation.sample import sample
from cellcutter_core.training.image_inputs import seen_channels, unseen_channels
from cellcutter_core.training.inputs import Inputs

CONFIG = QUICK.replace(training=QUICK.training.replace(epochs=3))


@pytest.fixture(autouse=True)
def _runs_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLCUTTER_RUNS", str(tmp_path / "runs"))


def made(path, *, markers=None):
    """A run as the command line makes it, with a channel that the network does not see."""
    image = cut_out(sample(), (0, 0, 128, 160))
    more = np.dstack([image.pixels[..., :1] // 2, image.pixels])
    image = type(image)(
        more,
        ("other", *image.channels),
        cell=(1,),
        nucleus=2,
        truth=image.truth,
        ignore=image.ignore,
        name="mine.tif",
    )
    inputs, truth = prepare(image, CONFIG)
    about = {
        "image": image.name,
        "pixel_size": 0.5,
        "channels": [image.channels[index] for index in seen_channels(image, CONFIG)],
        "cell": [image.channels[1]],
        "nucleus": image.channels[2],
        "markers": markers,
    }
    unseen = unseen_channels(image, CONFIG)
    return image, Run.create(path, inputs, CONFIG, truth=truth, unseen=unseen, description=about)


def test_the_choices_lead_to_what_the_run_was_given(tmp_path):
    image, run = made(tmp_path / "runs" / "r1")
    choices, _ = choices_and_markers_of(run)
    assert choices.config == CONFIG
    assert choices.pixel_size == 0.5
    assert choices.region == (0, 0, 128, 160)
    kept = read_image(file_of(choices.source), **choices.source.reading)
    kept = kept.with_roles(cell=list(choices.cell), nucleus=choices.nucleus)
    assert sorted(kept.channels) == sorted(image.channels)
    for name in image.channels:
        np.testing.assert_array_equal(kept.channel(name), image.channel(name))
    inputs, truth = prepare(kept, choices.config)
    for name, array in run.inputs.arrays().items():
        np.testing.assert_array_equal(inputs.arrays()[name], array)
    np.testing.assert_array_equal(truth.labels, image.truth)


def test_it_is_done_once_and_stands_in_the_run(tmp_path):
    _, run = made(tmp_path / "runs" / "r1")
    choices, _ = choices_and_markers_of(run)
    again = Run(run.path)
    assert Choices(**again.description.choices) == choices
    assert again.description.image == "mine.tif"
    assert again.config == CONFIG
    assert changed(keys(choices), again.description.step_keys) == ()
    other = choices.with_setting("markers", "diameter", 20.0)
    assert changed(keys(other), again.description.step_keys) != ()
    # The same image has the same name, whoever opens it.
    assert choices_and_markers_of(again)[0] == choices


def test_markers_from_a_file_are_those_of_the_run(tmp_path):
    _, run = made(tmp_path / "runs" / "r1", markers="points.csv")
    choices, _ = choices_and_markers_of(run)
    digest = markers_digest(Nuclei(run.inputs.nuclei, run.inputs.points))
    assert run.description.edits == digest
    assert run.description.step_keys == dict(keys(choices, edits=digest))


def test_other_images_that_it_was_trained_on_come_with_it(tmp_path):
    image = cut_out(sample(seed=1), (0, 0, 128, 160))
    one = type(image)(image.pixels, image.channels, nucleus=2, cell=(0,), name="one.tif")
    inputs, _ = prepare(one, CONFIG)
    two = type(image)(image.pixels[::-1], image.channels, nucleus=2, cell=(0,), name="two.tif")
    others = find_others([two], CONFIG, n_channels=1)
    about = {"image": one.name, **one.roles, "channels": ["fluorescence"], "others": ["two.tif"]}
    unseen = unseen_channels(one, CONFIG)
    run = Run.create(
        tmp_path / "runs" / "r1", inputs, CONFIG, unseen=unseen, others=others, description=about
    )
    choices, _ = choices_and_markers_of(run)
    (other,) = choices.others
    (found,) = others
    place, how = kept_place(other), choices.reading_of(other)
    kept = prepare_other(place, one.roles, None, CONFIG, 1, how)
    assert (kept.image.roles, kept.image.name) == (two.roles, "two.npz")
    np.testing.assert_array_equal(kept.image.pixels, two.pixels)
    for name, array in found.inputs.arrays().items():
        np.testing.assert_array_equal(kept.inputs.arrays()[name], array)


def test_a_run_without_regions_of_nuclei_gets_small_ones(tmp_path):
    _, run = made(tmp_path / "runs" / "r1")
    points = run.inputs.points[:3]
    inputs = Inputs(run.inputs.image, run.inputs.mask, points)
    bare = Run.create(tmp_path / "runs" / "r2", inputs, CONFIG)
    markers = markers_of(bare)
    assert np.array_equal(markers.points, points.astype(int))
    rows, cols = points.astype(int).T
    assert list(markers.regions[rows, cols]) == [1, 2, 3]
    assert choices_and_markers_of(bare)[0].config == CONFIG
    assert bare.description.edits


def test_the_run_of_another_person_is_opened_and_stays_as_it_is(tmp_path):
    _, run = made(tmp_path / "runs" / "r1", markers="points.csv")
    run.is_read_only = True
    choices, markers = choices_and_markers_of(run)
    assert choices.config == CONFIG
    np.testing.assert_array_equal(markers.regions, run.inputs.nuclei)
    assert Run(run.path).description.choices is None
