"""The code that a page shows runs as it is and gives what the page shows."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
import tifffile
from opening import at_page
from samples import sample

from cellcutter_core.apply.application_folder import Application
from cellcutter_core.apply.applying import apply_run
from cellcutter_core.choices.choices import Choices, Source
from cellcutter_core.choices.draft import Draft
from cellcutter_core.choices.of_run import described
from cellcutter_core.choices.other_images import read_chosen
from cellcutter_core.choices.sources import read_source
from cellcutter_core.choices.uploads import as_channels, file_of, store_upload
from cellcutter_core.config import QUICK
from cellcutter_core.images.file_sets.given_files import named_images
from cellcutter_core.images.read_image import read_image
from cellcutter_core.images.regions import cut_out
from cellcutter_core.jobs.training import work
from cellcutter_core.markers.editing import add_marker, remove_marker
from cellcutter_core.markers.finding import Nuclei, find_nuclei
from cellcutter_core.pipeline import find_markers, find_mask, prepare
from cellcutter_core.runs.folder import runs_folder
from cellcutter_core.runs.other_images import find_others
from cellcutter_core.runs.store import Run
from cellcutter_core.simulation.sample import save
from pages.shared.python_code import MARKERS_FILE, config_code

REGION = (100, 100, 292, 292)
TINY = QUICK.replace(
    network=QUICK.network.replace(start="nothing", channels=4, depth=3, normalisation="none"),
    training=QUICK.training.replace(
        epochs=1, steps=2, crops=8, crops_at_once=8, warm_up=1, precision="float32"
    ),
)


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CELLCUTTER_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        st.cache_data.clear()
        st.cache_resource.clear()
        if not _:
            yield


def shown(page: str, choices: Choices, markers: Nuclei | None = None) -> str:
    """The code on a page."""
    draft = Draft()
    draft.save(choices)
    if markers is not None:
        draft.save_markers(choices, markers)
    app = at_page(page)
    app.query_params["draft"] = draft.id
    app.run()
    assert not app.exception
    assert [error.value for error in app.error] == []
    return app.code[0].value


def executed(code: str) -> dict[str, Any]:
    """What the names of a script stand for at its end; it has to say how to install, and print."""
    assert code.startswith("# Once, in the folder of the program: pip install .")
    assert not [part for part in re.findall(r"""["'](.*?)["']""", code) if Path(part).is_absolute()]
    names: dict[str, Any] = {}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "page", "exec"), names)
    assert printed.getvalue().strip()
    return names | {"printed": printed.getvalue()}


CHOICES = {
    "as it opens": Choices(region=REGION),
    "whole image": Choices(region=(0, 0, 512, 512)),
    "other sample": Choices(source={"kind": "sample", "seed": 2}, region=REGION),
    "roles": Choices(region=REGION, cell=("fluorescence", "bright field"), nucleus="nucleus"),
    "no nuclei": Choices(region=REGION, cell=("fluorescence",), nucleus="none"),
    "nuclei alone": Choices(region=REGION, cell=("nucleus",), nucleus="nucleus"),
    "nuclei alone, blobs": Choices(
        region=REGION, cell=("nucleus",), nucleus="nucleus"
    ).with_setting("markers", "automatic", False),
    "settings": Choices(region=REGION)
    .with_setting("mask", "automatic", False)
    .with_setting("mask", "prior", 0.9)
    .with_setting("markers", "automatic", False)
    .with_setting("markers", "min_sigma", 4.0),
    "settings, two channels": Choices(region=REGION, cell=("fluorescence", "nucleus"))
    .with_setting("mask", "automatic", False)
    .with_setting("mask", "prior", 0.8)
    .with_setting("mask", "scaling", "robust")
    .with_setting("markers", "diameter", 18.0),
}


def expected(choices: Choices) -> Any:
    image = sample(seed=choices.source.seed)
    if choices.cell:
        image = image.with_roles(cell=list(choices.cell), nucleus=choices.nucleus)
    return cut_out(image, choices.region)


@pytest.mark.parametrize("name", CHOICES)
def test_mask_and_markers(name: str) -> None:
    choices = CHOICES[name]
    image = expected(choices)
    nuclei = find_markers(image, choices.config)
    mask = find_mask(image, choices.config, nuclei)
    made = executed(shown("mask", choices))
    np.testing.assert_array_equal(made["image"].pixels, image.pixels)
    np.testing.assert_array_equal(made["nuclei"].regions, nuclei.regions)
    np.testing.assert_array_equal(made["mask"], mask)
    made = executed(shown("cells", choices))
    np.testing.assert_array_equal(made["nuclei"].points, nuclei.points)


def test_the_mask_of_nuclei_alone_with_markers_set_by_hand(tmp_path: Path) -> None:
    choices = CHOICES["nuclei alone"]
    image = expected(choices)
    found = find_markers(image, QUICK)
    edited = add_marker(remove_marker(found, 3), tuple(found.points[3]))
    tifffile.imwrite(tmp_path / MARKERS_FILE, edited.regions.astype(np.uint16))
    made = executed(shown("mask", choices, edited))
    np.testing.assert_array_equal(made["nuclei"].regions, edited.regions)
    np.testing.assert_array_equal(made["mask"], find_mask(image, QUICK, edited, given=True))
    # A disc was set where the nucleus was: it is not all of it.
    nucleus = found.regions == 4
    assert (edited.regions > 0)[nucleus].mean() < 0.5
    assert made["mask"][nucleus].mean() > 0.9


def test_data_of_an_uploaded_file(tmp_path: Path) -> None:
    save(sample((128, 128), seed=1), tmp_path / "mine.npz")
    source = store_upload("mine.npz", (tmp_path / "mine.npz").read_bytes())
    made = executed(shown("data", Choices(source=source, region=(0, 0, 100, 128))))
    whole = read_image(file_of(source))
    np.testing.assert_array_equal(made["image"].pixels, whole.pixels[:100])


def test_data_of_files_of_channels(tmp_path: Path) -> None:
    pixels = sample((128, 128), seed=1).pixels
    for index, name in enumerate(("actin.tif", "phase.tif", "dapi.tif")):
        tifffile.imwrite(tmp_path / name, pixels[..., index])
    kept = [store_upload(file.name, file.read_bytes()) for file in tmp_path.glob("*.tif")]
    choices = Choices(source=as_channels(kept).replace(inverted=False), region=(0, 0, 100, 128))
    image = executed(shown("data", choices))["image"]
    assert image.channels == ("actin", "dapi", "phase")
    assert (image.cell, image.nucleus) == ((0,), 1)
    np.testing.assert_array_equal(image.pixels, pixels[:100, :, [0, 2, 1]])


def test_data_with_true_cells_in_a_file(tmp_path: Path) -> None:
    image = sample((128, 128), seed=1)
    tifffile.imwrite(tmp_path / "cells.tif", image.channel("fluorescence"))
    tifffile.imwrite(tmp_path / "truth.tif", np.asarray(image.truth))
    kept = [store_upload(file.name, file.read_bytes()) for file in tmp_path.glob("*.tif")]
    made = executed(shown("data", Choices(source=as_channels(kept), region=(0, 10, 100, 128))))
    np.testing.assert_array_equal(made["image"].truth, np.asarray(image.truth)[:100, 10:])


def test_data_of_an_image_that_is_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dark on bright is judged by all of the image, also where a region would be judged other."""
    monkeypatch.setenv("CELLCUTTER_IMAGE_LIMIT", "5MB")
    bright = sample().channel("fluorescence")
    picture = np.tile(bright.max() + bright.min() - bright, (4, 4))
    rows, cols = np.mgrid[:200, :300]
    part = np.random.default_rng(0).normal(4500, 30, (200, 300))
    for number, (row, col) in enumerate(np.ndindex(3, 4)):
        disc = np.hypot(rows - 40 - 60 * row, cols - 40 - 70 * col) < 10
        part[disc] += -1500 if number % 4 == 0 else 1500
    picture[100:300, 200:500] = part
    tifffile.imwrite(tmp_path / "large.tif", picture)
    source = store_upload("large.tif", (tmp_path / "large.tif").read_bytes())
    region = (100, 200, 300, 500)
    assert not read_image(tmp_path / "large.tif", region=region).inverted
    made = executed(shown("data", Choices(source=source, region=region)))["image"]
    assert made.inverted
    expected = read_image(tmp_path / "large.tif", region=region, inverted=True)
    np.testing.assert_array_equal(made.pixels, expected.pixels)
    made = executed(shown("mask", Choices(source=source, region=region)))
    np.testing.assert_array_equal(made["image"].pixels, expected.pixels)
    # Each of several files is judged by all of itself.
    nuclei = np.tile(sample().channel("nucleus"), (4, 4))
    tifffile.imwrite(tmp_path / "x dapi.tif", nuclei)
    more = store_upload("x dapi.tif", (tmp_path / "x dapi.tif").read_bytes())
    monkeypatch.setenv("CELLCUTTER_IMAGE_LIMIT", "14MB")
    choices = Choices(source=as_channels([source, more]), region=region)
    made = executed(shown("data", choices))["image"]
    assert [one.inverted for one in made.appearances] == [True, False]
    np.testing.assert_array_equal(made.channel("large"), expected.pixels[..., 0])
    np.testing.assert_array_equal(made.channel("x dapi"), nuclei[100:300, 200:500])


def test_data_of_a_stained_section(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(90, 250, (80, 90, 3), np.uint8)
    tifffile.imwrite(tmp_path / "section.tif", picture, photometric="rgb")
    source = store_upload("section.tif", (tmp_path / "section.tif").read_bytes())
    choices = Choices(source=source.replace(stained=True), region=(0, 0, 80, 90))
    image = executed(shown("data", choices))["image"]
    expected = read_image(tmp_path / "section.tif", stained=True)
    assert image.channels == expected.channels
    assert "hematoxylin" in image.channels
    np.testing.assert_array_equal(image.pixels, expected.pixels)


def test_training_gives_the_labels_of_the_run(tmp_path: Path) -> None:
    choices = Choices(region=REGION, config=TINY)
    code = shown("train", choices)
    image = expected(choices)
    markers = find_nuclei(image.pixels[..., image.nucleus])
    edited = remove_marker(markers, 3)
    inputs, _ = prepare(image, TINY)
    run = Run.create(tmp_path / "run", inputs, TINY)
    work(run)
    made = executed(code)
    np.testing.assert_array_equal(made["drawing"].labels, run.epoch(1).labels)

    # With markers changed by hand, from the file that the page offers.
    code = shown("train", choices, edited)
    tifffile.imwrite(tmp_path / MARKERS_FILE, edited.regions.astype(np.uint16))
    labels = executed(code)["drawing"].labels
    assert len(np.unique(labels)) - 1 <= len(edited.points) == len(markers.points) - 1
    assert not np.array_equal(labels, run.epoch(1).labels)


def test_training_on_several_images_gives_the_labels_of_the_run(tmp_path: Path) -> None:
    for number in (1, 2):
        save(sample((160, 176), seed=number), tmp_path / f"{number}.npz")
    kept = [store_upload(f"{n}.npz", (tmp_path / f"{n}.npz").read_bytes()) for n in (1, 2)]
    first, *others = kept
    choices = Choices(
        source=first.replace(inverted=False),
        region=(0, 0, 150, 160),
        config=TINY,
        cell=("bright field",),
        nucleus="nucleus",
        others=others,
    )
    code = shown("train", choices)
    image = read_image("1.npz", inverted=False).with_roles(cell="bright field")
    image = cut_out(image, choices.region)
    inputs, _ = prepare(image, TINY)
    images = [read_chosen(other, choices, image.roles) for other in others]
    found = find_others(images, TINY, n_channels=1)
    run = Run.create(tmp_path / "run", inputs, TINY, others=found)
    work(run)
    made = executed(code)
    np.testing.assert_array_equal(made["drawing"].labels, run.epoch(1).labels)
    np.testing.assert_array_equal(
        made["of_others"][0].labels, tifffile.imread(run.path / "others" / "2-labels.tif")
    )
    assert made["others"][0].roles == image.roles

    # With markers of the first changed by hand, from the file that the page offers.
    nuclei = find_nuclei(image.pixels[..., image.nucleus])
    edited = remove_marker(nuclei, 3)
    code = shown("train", choices, edited)
    tifffile.imwrite(tmp_path / MARKERS_FILE, edited.regions.astype(np.uint16))
    labels = executed(code)["drawing"].labels
    assert len(np.unique(labels)) - 1 <= len(nuclei.points) - 1


def two_files(folder: Path, name: str, seed: int) -> Source:
    """An image with a file for each of two channels, uploaded."""
    image = sample((128, 128), seed=seed)
    kept = []
    for title, channel in (("cyto", "fluorescence"), ("dna", "nucleus")):
        file = folder / f"{name}_{title}.tif"
        tifffile.imwrite(file, image.channel(channel))
        kept.append(store_upload(file.name, file.read_bytes()))
    return as_channels(kept)


def test_training_on_several_images_of_several_files(tmp_path: Path) -> None:
    first, other = (two_files(tmp_path, name, seed) for name, seed in (("A", 1), ("B", 2)))
    choices = Choices(source=first, region=(0, 0, 128, 128), config=TINY, others=[other])
    made = executed(shown("train", choices))
    (given,) = made["others"]
    image = read_chosen(other, choices, made["image"].roles)
    assert (given.name, given.channels, given.roles) == ("B", ("cyto", "dna"), image.roles)
    np.testing.assert_array_equal(given.pixels, image.pixels)
    assert made["of_others"][0].labels.any()


def test_applying_to_images_of_several_files(tmp_path: Path) -> None:
    first, _ = (two_files(tmp_path, name, seed) for name, seed in (("A", 1), ("B", 2)))
    image = read_source(first)
    inputs, _ = prepare(image, TINY)
    about = {**image.roles, **described(Choices(source=first))}
    run = Run.create(runs_folder() / "r1", inputs, TINY, description=about)
    work(run)
    files = sorted(Path().glob("*.tif"))
    named, scenes = named_images(files, channels=first.channel_names)
    Application.create(run, named, scenes=scenes)
    own, other = labels_by_the_code_of_apply("r1")
    np.testing.assert_array_equal(own, run.epoch(1).labels)
    assert other.any()
    assert not np.array_equal(own, other)


@pytest.mark.parametrize("page", ["compare", "results"])
def test_the_code_of_a_run_finds_it_by_its_id(page: str) -> None:
    image = sample((128, 128))
    inputs, truth = prepare(image, TINY)
    run = Run.create(runs_folder() / "r1", inputs, TINY, truth=truth, description=image.roles)
    work(run)
    app = at_page(page)
    app.query_params["run"] = "r1"
    app.run()
    assert not app.exception
    made = executed(app.code[0].value)
    assert made["run"].path == run.path
    expected = "epoch 1: AP at IoU 0.5" if page == "compare" else "cells, in labels.tif"
    assert expected in made["printed"]


def labels_by_the_code_of_apply(run: str) -> Any:
    app = at_page("apply")
    app.query_params["run"] = run
    app.run()
    assert not app.exception
    found = executed(app.code[0].value)["outcomes"]
    return [tifffile.imread(f"applied/{outcome.name}-labels.tif") for outcome in found]


def test_applying_gives_the_labels_of_the_run_and_of_other_images(tmp_path: Path) -> None:
    for number in (1, 2):
        save(sample((128, 128), seed=number), tmp_path / f"{number}.npz")
    image = read_image("1.npz")
    inputs, _ = prepare(image, TINY)
    run = Run.create(runs_folder() / "r1", inputs, TINY, description=image.roles)
    work(run)
    Application.create(run, {name: Path(f"{name}.npz") for name in "12"}, how={"inverted": False})
    own, other = labels_by_the_code_of_apply("r1")
    np.testing.assert_array_equal(own, run.epoch(1).labels)
    np.testing.assert_array_equal(other, apply_run(run, read_image("2.npz")).labels)


def test_applying_to_all_images_of_a_file(tmp_path: Path) -> None:
    channels = ("fluorescence", "nucleus")
    with tifffile.TiffWriter(tmp_path / "two.ome.tif", ome=True) as tif:
        for seed in (1, 2):
            pixels = np.moveaxis(sample((128, 128), seed=seed).pixels[..., [0, 2]], 2, 0)
            tif.write(pixels, metadata={"axes": "CYX", "Channel": {"Name": list(channels)}})
    image = read_image("two.ome.tif", scene=0)
    inputs, _ = prepare(image, TINY)
    run = Run.create(runs_folder() / "r1", inputs, TINY, description=image.roles)
    work(run)
    named, scenes = named_images([Path("two.ome.tif")])
    Application.create(run, named, scenes=scenes, how={"inverted": False})
    own, other = labels_by_the_code_of_apply("r1")
    np.testing.assert_array_equal(own, run.epoch(1).labels)
    np.testing.assert_array_equal(other, apply_run(run, read_image("two.ome.tif", scene=1)).labels)


def test_settings_are_told_by_what_differs_from_their_preset() -> None:
    assert config_code(QUICK) == ("QUICK", ["config = QUICK"])
    name, lines = config_code(TINY)
    names: dict[str, Any] = {name: QUICK}
    exec("\n".join(lines), names)
    assert names["config"] == TINY
    assert "stem" not in "\n".join(lines)
