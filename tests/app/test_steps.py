"""The pages before training: what a visitor sees, changes and gets wrong."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import streamlit as st
import tifffile
from opening import at_page
from patience import LONGEST
from samples import sample
from streamlit.testing.v1 import AppTest

from cellcutter_core.choices.choices import Choices, Source, keys
from cellcutter_core.choices.draft import Draft, markers_digest
from cellcutter_core.choices.uploads import store_upload
from cellcutter_core.config import PAPER
from cellcutter_core.export.formats.geojson import geojson
from cellcutter_core.export.formats.ome_zarr import ome_zarr
from cellcutter_core.export.formats.rois import roi_set
from cellcutter_core.images.image import Image
from cellcutter_core.simulation.sample import save
from pages.parts.data import channel_card
from pages.shared import state
from pages.shared.caching import cached_steps
from pages.shared.caching.in_child import NotYet
from pages.shared.viewer.picture import Edit


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every AppTest is the same session to the caches, so they begin empty."""
    monkeypatch.setenv("CELLCUTTER_RUNS", str(tmp_path / "runs"))
    st.cache_data.clear()
    st.cache_resource.clear()
    yield
    st.cache_data.clear()
    st.cache_resource.clear()


def opened(page: str, choices: Choices | None = None) -> AppTest:
    """A page of the app on a small part of the sample, or on other choices."""
    app = at_page(page)
    draft = Draft()
    draft.save(choices or Choices(region=(100, 100, 292, 292)))
    app.query_params["draft"] = draft.id
    app.run()
    assert not app.exception
    return app


def chosen(app: AppTest) -> Choices:
    return app.session_state[state.CHOICES]


def box_sent(app: AppTest) -> list[int]:
    """The region that the picture shows and describes."""
    viewers = [one.proto for one in app.get("bidi_component")]
    found = [json.loads(one.json)[0] for one in viewers if "viewer" in one.component_name]
    return next(data["box"] for data in found if data["mode"] == "region")


def metric(app: AppTest, label: str) -> str:
    return next(m.value for m in app.metric if m.label == label)


@pytest.mark.parametrize("page", ["overview", "data", "mask", "cells", "train", "compare", "apply"])
def test_every_page_opens_on_the_sample_for_a_new_visitor(page: str) -> None:
    app = at_page(page).run()
    assert not app.exception
    assert not app.error
    assert app.title[0].value


# Data ---------------------------------------------------------------------------------------------


def test_another_sample_is_another_image() -> None:
    app = opened("data")
    app.number_input(key="data_seed").set_value(3).run()
    assert not app.exception
    assert chosen(app).source == Source(seed=3)
    assert chosen(app).region is None


def test_channels_are_counted_once_and_only_a_moved_window_is_drawn_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[str] = []

    def noting(make: Any, *given: Any, **more: Any) -> Any:
        made.append(make.__name__)
        return make(*given, **more)

    for name in ("counted_in_bars", "_png"):
        monkeypatch.setattr(channel_card, name, partial(noting, getattr(channel_card, name)))
    stack = np.stack([sample((96, 120)).pixels[..., number % 3] for number in range(6)])
    app = opened("data")
    app.segmented_control(key="data_kind").set_value("file").run()
    made.clear()
    given = ("six.tif", tiff(stack, imagej=True, metadata={"axes": "CYX"}), "")
    app.file_uploader(key="data_upload").set_value([given]).run()
    assert len(app.multiselect(key="data_cell").options) == 6
    assert sorted(made) == ["_png"] * 6 + ["counted_in_bars"] * 6
    made.clear()
    window = app.slider[0]
    window.set_value((window.min, window.value[1])).run()
    assert not app.exception
    assert made == ["_png"]


def test_roles_can_be_changed_and_are_kept() -> None:
    app = opened("data")
    app.selectbox(key="data_nucleus").select("none").run()
    app.multiselect(key="data_cell").set_value(["fluorescence", "bright field"]).run()
    assert not app.exception
    assert chosen(app).nucleus == "none"
    assert chosen(app).cell == ("fluorescence", "bright field")
    again = at_page("overview")
    again.query_params["draft"] = app.session_state[state.DRAFT].id
    assert chosen(again.run()) == chosen(app)


def test_the_notebooks_view_and_back() -> None:
    app = opened("data")
    next(b for b in app.button if b.label.startswith("The notebook")).click().run()
    assert chosen(app).region == (100, 200, 300, 400)
    next(b for b in app.button if b.label == "Whole image").click().run()
    # It is the default region of an image as small as this.
    assert chosen(app).region is None
    assert box_sent(app) == [0, 0, 512, 512]
    next(b for b in app.button if b.label.startswith("Most interesting")).click().run()
    assert chosen(app).region is None


def test_a_region_that_was_dragged() -> None:
    app = opened("data")
    app.session_state["data_region-edit"] = (10, 20, 150, 180)
    app.run()
    assert chosen(app).region == (10, 20, 150, 180)


def test_a_region_that_cannot_be_saved_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[Choices] = []

    def full(self: Draft, choices: Choices) -> None:
        tries.append(choices)
        assert len(tries) < 5, "the page tries it without end"
        raise ValueError("cannot write: disk full")

    app = opened("data")
    monkeypatch.setattr(Draft, "save", full)
    app.session_state[state.CHOICES] = Choices(region=(600, 600, 700, 700))
    app.run()
    assert not app.exception
    assert [error.value for error in app.error] == ["cannot write: disk full"]


def test_an_uploaded_file_becomes_the_image(tmp_path: Path) -> None:
    file = tmp_path / "mine.npz"
    save(sample((128, 160), seed=5), file)
    app = opened("data")
    app.segmented_control(key="data_kind").set_value("file").run()
    app.file_uploader(key="data_upload").upload("mine.npz", file.read_bytes()).run()
    assert not app.exception
    assert not app.error
    assert chosen(app).source.name == "mine.npz"
    assert any("128 × 160 pixels, 3 channels" in m.value for m in app.markdown)


def test_the_window_of_a_narrow_range_of_intensities_can_be_moved() -> None:
    app = opened("data")
    app.segmented_control(key="data_kind").set_value("file").run()
    narrow = (sample((96, 120)).pixels[..., 0] / 50_000).astype(np.float32)
    app.file_uploader(key="data_upload").upload("narrow.tif", tiff(narrow)).run()
    window = app.slider[0]
    assert window.step < (window.max - window.min) / 100


def test_an_overexposed_image_is_said_to_be_one() -> None:
    pixels = sample((128, 160), seed=5).pixels[..., 0].astype(np.uint16)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.minimum(pixels, int(np.percentile(pixels, 75))))
    app = opened("data")
    assert not any("cut off" in warning.value for warning in app.warning)
    app.segmented_control(key="data_kind").set_value("file").run()
    app.file_uploader(key="data_upload").upload("white.tif", buffer.getvalue()).run()
    assert not app.exception
    (warning,) = app.warning
    assert "of the pixels of gray have its highest value" in warning.value


def test_of_an_uploaded_stack_plane_and_time_point_are_chosen() -> None:
    planes = np.moveaxis(sample((96, 96)).pixels[..., [0, 2]], -1, 0)
    stack = np.stack([np.stack([planes // (2 + z) + t for z in range(3)]) for t in range(2)])
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, stack, imagej=True, metadata={"axes": "TZCYX"})
    app = opened("data")
    app.segmented_control(key="data_kind").set_value("file").run()
    app.file_uploader(key="data_upload").upload("stack.tif", buffer.getvalue()).run()
    assert not app.error
    assert (chosen(app).source.z, chosen(app).source.t) == ("max", 0)
    app.toggle(key="data_projected").set_value(False).run()
    app.number_input(key="data_z").set_value(2).run()
    app.number_input(key="data_t").set_value(1).run()
    assert not app.exception
    assert (chosen(app).source.z, chosen(app).source.t) == (2, 1)
    script = next(code.value for code in app.code if "read_image" in code.value)
    assert "read_image('stack.tif', z=2, t=1" in script
    # Beyond the last one: told, and the controls are there to go back.
    app.number_input(key="data_z").set_value(3).run()
    assert "z is 3" in app.error[0].value
    app.number_input(key="data_z").set_value(1).run()
    assert not app.error


def test_of_an_uploaded_file_with_several_images_one_is_chosen() -> None:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, ome=True) as tif:
        for seed in range(2):
            tif.write(sample((96, 96), seed=seed).pixels[..., 0])
    app = opened("data")
    app.segmented_control(key="data_kind").set_value("file").run()
    app.file_uploader(key="data_upload").upload("two.ome.tif", buffer.getvalue()).run()
    assert not app.exception
    assert not app.error
    assert chosen(app).source.reading == {"scene": 0}
    choice = app.selectbox(key="data_scene")
    assert choice.options == ["0: Image0, 96 × 96", "1: Image1, 96 × 96"]
    choice.select(1).run()
    assert not app.exception
    assert chosen(app).source.reading == {"scene": 1}
    script = next(code.value for code in app.code if "read_image" in code.value)
    assert "read_image('two.ome.tif', scene=1" in script
    app.selectbox(key="data_scene").select(0).run()
    assert not app.error
    assert chosen(app).source.reading == {"scene": 0}


def test_the_data_sets_of_an_hdf5_file_are_shown_with_names_and_shapes() -> None:
    buffer = io.BytesIO()
    pixels = sample((96, 120)).pixels
    with h5py.File(buffer, "w") as file:
        file["raw/cells"] = pixels[..., 0]
        file["raw/stack"] = np.stack([pixels[..., 0], pixels[..., 2]] * 10)
        file["points"] = np.zeros((40, 2))
        file["raw/[a](b) $x$"] = pixels[:48, :60, 2]
    app = opened("data")
    app.segmented_control(key="data_kind").set_value("file").run()
    app.file_uploader(key="data_upload").upload("a.h5", buffer.getvalue()).run()
    assert not app.exception
    assert not app.error
    choice = app.selectbox(key="data_scene")
    assert choice.options == [
        "0: raw/[a](b) $x$, 48 × 60",
        "1: raw/cells, 96 × 120",
        "2: raw/stack, 20 × 96 × 120",
    ]
    assert any("48 × 60 pixels, 1 channel" in m.value for m in app.markdown)
    choice.select(1).run()
    assert any("96 × 120 pixels, 1 channel" in m.value for m in app.markdown)
    # A stack gets a plane to begin with.
    app.selectbox(key="data_scene").select(2).run()
    assert not app.exception
    assert not app.error
    assert chosen(app).source.reading == {"scene": 2, "z": "max"}


def test_an_image_is_turned_over_and_back() -> None:
    pixels = sample((128, 128)).pixels[..., 0]
    buffer = io.BytesIO()
    np.save(buffer, pixels.max() - pixels)
    app = opened("data")
    app.segmented_control(key="data_kind").set_value("file").run()
    app.file_uploader(key="data_upload").upload("dark.npy", buffer.getvalue()).run()
    judged = app.toggle(key="data_inverted").value
    assert judged == any("intensities are inverted" in m.value for m in app.markdown)
    app.toggle(key="data_inverted").set_value(not judged).run()
    assert not app.exception
    assert chosen(app).source.inverted == (not judged)
    assert judged != any("intensities are inverted" in m.value for m in app.markdown)


def tiff(pixels: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()


def test_an_image_too_large_to_be_read_is_shown_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLCUTTER_IMAGE_LIMIT", "5MB")
    planes = np.moveaxis(sample().pixels[..., [0, 2]], -1, 0)
    large = tiff(np.tile(planes, (1, 4, 4)), imagej=True, metadata={"axes": "CYX"})
    app = opened("data")
    app.segmented_control(key="data_kind").set_value("file").run()
    app.file_uploader(key="data_upload").upload("large.tif", large).run()
    assert not app.exception
    assert not app.error
    assert any("2048 × 2048 pixels, 2 channels" in m.value for m in app.markdown)
    assert any("shown 2 times smaller" in caption.value for caption in app.caption)
    top, left, bottom, right = box_sent(app)
    assert (bottom - top, right - left) == (512, 512)
    assert next(b for b in app.button if b.label == "Whole image").disabled
    app.switch_page("pages/mask.py").run()
    assert not app.exception
    assert not app.error
    assert 0.2 < float(metric(app, "Mask area").rstrip("%")) / 100 < 1
    # A region that does not fit either is told where it is chosen, with one that does.
    app.switch_page("pages/data.py").run()
    app.session_state[state.CHOICES] = chosen(app).replace(region=(0, 0, 2048, 2000))
    app.run()
    assert not app.exception
    assert "a region of at most" in app.error[0].value


def test_files_uploaded_together_are_the_channels_of_one_image() -> None:
    pixels = sample((96, 120)).pixels
    given = [("dapi.tif", tiff(pixels[..., 2]), ""), ("actin.tif", tiff(pixels[..., 0]), "")]
    app = opened("data")
    app.segmented_control(key="data_kind").set_value("file").run()
    app.file_uploader(key="data_upload").set_value(given).run()
    assert not app.exception
    assert not app.error
    assert chosen(app).source.title == "actin.tif and dapi.tif"
    assert any("96 × 120 pixels, 2 channels" in m.value for m in app.markdown)
    assert app.multiselect(key="data_cell").value == ["actin"]
    assert app.selectbox(key="data_nucleus").value == "dapi"
    # A reload finds them again.
    again = at_page("data")
    again.query_params["draft"] = app.session_state[state.DRAFT].id
    again.run()
    assert not again.error
    assert again.multiselect(key="data_cell").options == ["actin", "dapi"]
    # Files that do not belong together are told, both of them, and nothing changes.
    other = ("other.tif", tiff(pixels[:50, :, 1]), "")
    app.file_uploader(key="data_upload").set_value([*given, other]).run()
    assert "actin.tif has 96 × 120 pixels and other.tif 50 × 120" in app.error[0].value
    assert chosen(app).source.title == "actin.tif and dapi.tif"
    app.file_uploader(key="data_upload").set_value(None).run()
    assert not app.exception
    assert chosen(app).source.title == "actin.tif and dapi.tif"


def test_true_cells_that_lie_in_another_plane_are_said() -> None:
    image = sample((96, 120))
    assert image.truth is not None
    drawn = geojson(image.truth)
    for number, cell in enumerate(drawn["features"]):
        cell["geometry"]["plane"] = {"z": 1 if number < 3 else 0}
    stack = np.stack([image.pixels[..., 0]] * 2)
    given = [
        ("cells.tif", tiff(stack, imagej=True, metadata={"axes": "ZYX"}), ""),
        ("truth.geojson", json.dumps(drawn).encode(), ""),
    ]
    app = opened("data")
    app.segmented_control(key="data_kind").set_value("file").run()
    app.file_uploader(key="data_upload").set_value(given).run()
    assert not app.exception
    # In the projection there are all of them.
    assert chosen(app).source.z == "max"
    assert not any("left out" in warning.value for warning in app.warning)
    app.toggle(key="data_projected").set_value(False).run()
    assert not app.exception
    n = len(drawn["features"])
    said = f"truth.geojson: 3 of {n} areas are left out: they do not lie in the plane z = 0"
    assert [w.value for w in app.warning if "left out" in w.value] == [f"True cells: {said}."]
    # It is said as often as the page is seen.
    assert any("left out" in warning.value for warning in app.run().warning)


def test_pixel_sizes_that_disagree_are_said() -> None:
    image = sample((96, 120))
    given = []
    for name, size in (("actin", 0.2), ("dapi", 0.4)):
        about = {"axes": "YX", "PhysicalSizeX": size, "PhysicalSizeY": size}
        plane = image.channel("nucleus" if name == "dapi" else "fluorescence")
        given.append((f"{name}.ome.tif", tiff(plane, ome=True, metadata=about), ""))
    app = opened("data")
    app.segmented_control(key="data_kind").set_value("file").run()
    app.file_uploader(key="data_upload").set_value(given).run()
    assert not app.exception
    said = "actin.ome.tif 0.2 µm and dapi.ome.tif 0.4 µm. That of actin.ome.tif is used."
    assert any(said in warning.value for warning in app.warning)
    assert app.number_input(key="data_pixel_size").value == 0.2
    app.number_input(key="data_pixel_size").set_value(0.3).run()
    assert not any("different pixel sizes" in warning.value for warning in app.warning)


def test_what_was_found_of_an_image_is_shown_with_how_sure_it_is() -> None:
    image = sample((200, 200))
    size = {"PhysicalSizeX": 0.2, "PhysicalSizeY": 0.4}
    given = [
        (f"s_w{number}.ome.tif", tiff(plane, ome=True, metadata={"axes": "YX", **size}), "")
        for number, plane in enumerate((image.channel("nucleus"), image.channel("fluorescence")), 1)
    ]
    app = opened("data")
    app.segmented_control(key="data_kind").set_value("file").run()
    app.file_uploader(key="data_upload").set_value(given).run()
    assert not app.exception
    assert not app.error
    # The names say nothing of what they show.
    assert app.multiselect(key="data_cell").value == ["s_w2"]
    assert app.selectbox(key="data_nucleus").value == "s_w1"
    shown = [caption.value for caption in app.caption]
    assert any(text.startswith("s_w1 (likely: only it shows compact") for text in shown)
    assert "From the file: 0.4 µm high and 0.2 µm wide." in shown
    assert any(text.startswith("Pixels are not square") for text in shown)
    app.number_input(key="data_pixel_height").set_value(0.2).run()
    assert not app.exception
    assert chosen(app).pixel_size == 0.2
    assert app.number_input(key="data_pixel_size").value == 0.2
    shown = [caption.value for caption in app.caption]
    assert "As entered. In the file: 0.4 µm high and 0.2 µm wide." in shown
    app.selectbox(key="data_nucleus").select("none").run()
    assert "none (chosen)" in [caption.value for caption in app.caption]
    # A label image alone is told, and what was there stays.
    labels = ("labels.tif", tiff(np.asarray(image.truth).astype(np.uint16)), "")
    app.file_uploader(key="data_upload").set_value([labels]).run()
    assert "labels.tif: is a label image" in app.error[0].value
    assert chosen(app).source.file_names == ["s_w1.ome.tif", "s_w2.ome.tif"]


def test_a_label_image_uploaded_with_an_image_is_its_truth() -> None:
    image = sample((96, 120))
    given = [
        ("A1_dapi.tif", tiff(image.pixels[..., 2]), ""),
        ("A1_actin.tif", tiff(image.pixels[..., 0]), ""),
    ]
    app = opened("data")
    app.segmented_control(key="data_kind").set_value("file").run()
    app.file_uploader(key="data_upload").set_value(given).run()
    app.session_state[state.CHOICES] = chosen(app).replace(region=(0, 0, 90, 90))
    # What was chosen stays when the truth comes, and when it goes.
    truth = ("truth.tif", tiff(np.asarray(image.truth)), "")
    for more, there in (([truth], True), ([], False), ([truth], True)):
        app.file_uploader(key="data_upload").set_value([*given, *more]).run()
        assert not app.exception
        assert not app.error
        assert chosen(app).source.title == "A1_actin.tif and A1_dapi.tif"
        assert chosen(app).region == (0, 0, 90, 90)
        assert any("runs are scored" in m.value for m in app.markdown) == there
        assert any("its true cells: truth.tif" in c.value for c in app.caption) == there
    app.switch_page("pages/mask.py").run()
    assert float(metric(app, "IoU with the truth")) > 0.5
    # One that does not fit is told, and what was there stays.
    app.switch_page("pages/data.py").run()
    small = ("small.tif", tiff(np.asarray(image.truth)[:50]), "")
    app.file_uploader(key="data_upload").set_value([*given, small]).run()
    assert "truth has shape (50, 120)" in app.error[0].value
    assert chosen(app).source.truth is not None
    assert chosen(app).source.truth.name == "truth.tif"


def test_a_broken_file_among_good_ones_is_left_out() -> None:
    image = sample((96, 120))
    good = ("A1_dapi.tif", tiff(image.pixels[..., 2]), "")
    broken = ("broken.tif", b"no image at all", "")
    app = opened("data")
    app.segmented_control(key="data_kind").set_value("file").run()
    app.file_uploader(key="data_upload").set_value([broken]).run()
    assert "broken.tif: is not an image in a known format" in app.error[0].value
    assert chosen(app).source.kind == "sample"
    app.file_uploader(key="data_upload").set_value([broken, good]).run()
    assert not app.exception
    assert chosen(app).source.title == "A1_dapi.tif"
    assert "broken.tif: is not an image" in app.error[0].value
    assert app.error[0].value.endswith("(left out)")
    # Files of two images are taken, and asked about.
    assert not app.warning
    other = ("B2_actin.tif", tiff(image.pixels[..., 0]), "")
    app.file_uploader(key="data_upload").set_value([good, other]).run()
    assert "differ in more than the channel" in app.warning[0].value


def test_a_zipped_ome_zarr() -> None:
    seen = sample((96, 120))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in ome_zarr(seen.pixels, seen.truth, channels=seen.channels).items():
            archive.writestr(f"image.ome.zarr/{name}", content)
    app = opened("data")
    app.segmented_control(key="data_kind").set_value("file").run()
    app.file_uploader(key="data_upload").upload("image.zip", buffer.getvalue()).run()
    assert not app.exception
    assert not app.error
    assert app.multiselect(key="data_cell").options == list(seen.channels)


def test_an_address_is_read_from_the_public_internet_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def read(name: str, **how: object) -> Image:
        asked.append((name, how))
        if "stack" in name and "z" not in how:
            raise ValueError("stack.zarr: is a stack; give z=0 to 3")
        return sample((96, 120))

    monkeypatch.setattr("cellcutter_core.choices.sources.read_image", read)
    app = opened("data")
    app.segmented_control(key="data_kind").set_value("file").run()
    app.text_input(key="data_address").set_value(" https://example.org/stack.zarr ").run()
    assert not app.exception
    assert not app.error
    source = chosen(app).source
    assert (source.kind, source.title, source.z) == ("web", "stack.zarr", "max")
    assert asked[-1] == ("https://example.org/stack.zarr", {"public_only": True, "z": "max"})
    script = next(code.value for code in app.code if "read_image" in code.value)
    assert "read_image('https://example.org/stack.zarr', z='max')" in script
    again = at_page("data")
    again.query_params["draft"] = app.session_state[state.DRAFT].id
    again.run()
    assert not again.error
    assert again.segmented_control(key="data_kind").value == "file"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("/etc", "is not an address"),
        ("file:///etc/passwd", "is not an address"),
        ("http://127.0.0.1:9/a.zarr", "a.zarr: "),
    ],
)
def test_an_address_that_leads_elsewhere_is_told(address: str, message: str) -> None:
    app = opened("data")
    before = chosen(app)
    app.segmented_control(key="data_kind").set_value("file").run()
    app.text_input(key="data_address").set_value(address).run()
    assert not app.exception
    assert message in app.error[0].value
    assert chosen(app) == before


def stained_section() -> bytes:
    """Nuclei in violet on pink tissue, seen in transmitted light."""
    rng = np.random.default_rng(0)
    rows, cols = np.mgrid[:96, :120]
    picture = np.full((96, 120, 3), (235, 190, 215), np.uint8)
    for row, col in rng.uniform(10, 86, (30, 2)):
        picture[(rows - row) ** 2 + (cols - col) ** 2 < 20] = (90, 60, 140)
    return tiff(picture + rng.integers(0, 9, picture.shape, np.uint8), photometric="rgb")


def test_a_stained_section_is_said_and_unsaid() -> None:
    app = opened("data")
    app.segmented_control(key="data_kind").set_value("file").run()
    app.file_uploader(key="data_upload").upload("section.tif", stained_section()).run()
    assert not app.error
    judged = app.toggle(key="data_stained").value
    for wanted in (True, False, True):
        if app.toggle(key="data_stained").value is not wanted:
            app.toggle(key="data_stained").set_value(wanted).run()
            # Back to what it is judged to be is as if nothing had been said.
            assert chosen(app).source.stained is (None if wanted is judged else wanted)
        assert not app.exception
        assert not app.error
        assert ("hematoxylin" in app.multiselect(key="data_cell").options) is wanted
        assert app.toggle(key="data_inverted").disabled is wanted
    app.toggle(key="data_stained").set_value(not judged).run()
    script = next(code.value for code in app.code if "read_image" in code.value)
    assert f"read_image('section.tif', stained={not judged})" in script


def test_what_has_no_colours_has_no_stains() -> None:
    app = opened("data")
    app.segmented_control(key="data_kind").set_value("file").run()
    gray = sample((96, 96)).pixels[..., 0]
    app.file_uploader(key="data_upload").upload("gray.tif", tiff(gray)).run()
    assert not app.error
    assert "data_stained" not in [toggle.key for toggle in app.toggle]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("broken.tif", b"II*\0rubbish", "broken.tif"),
        ("text.png", b"not a picture", "text.png"),
        ("empty.npz", b"", "is empty"),
        ("flat.npy", None, "constant"),
    ],
)
def test_a_bad_upload_is_told_and_what_was_there_stays(
    name: str, content: bytes | None, message: str
) -> None:
    if content is None:
        buffer = io.BytesIO()
        np.save(buffer, np.zeros((100, 100), np.uint8))
        content = buffer.getvalue()
    app = opened("data")
    before = chosen(app)
    app.segmented_control(key="data_kind").set_value("file").run()
    app.file_uploader(key="data_upload").upload(name, content).run()
    assert not app.exception
    assert message in app.error[0].value
    assert "\n" not in app.error[0].value
    assert chosen(app) == before


@pytest.mark.parametrize("then", ["sample", "file"])
def test_the_papers_image_without_a_network_says_so_until_the_next_choice(
    monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    def offline(name: str) -> Path:
        raise ValueError(f"{name} cannot be fetched: there is no network")

    monkeypatch.setattr("cellcutter_core.images.paper_data.fetch_paper", offline)
    monkeypatch.setattr("cellcutter_core.choices.sources.fetch_paper", offline)
    app = opened("data")
    before = chosen(app)
    app.segmented_control(key="data_kind").set_value("paper").run()
    assert not app.exception
    assert "a1 cannot be fetched: there is no network" in app.error[0].value
    # What was there before stays, and is shown.
    assert chosen(app) == before
    assert any("Until you choose one" in caption.value for caption in app.caption)
    app.selectbox(key="data_paper").select("a2").run()
    assert ["a2 cannot be fetched" in error.value for error in app.error] == [True]
    app.segmented_control(key="data_kind").set_value(then).run()
    assert not app.error
    assert chosen(app) == before


def test_an_image_that_is_gone_is_told_until_the_next_choice(tmp_path: Path) -> None:
    gone = Source(kind="file", name="a.tif", digest="ab" * 32)
    app = opened("data", Choices(source=gone))
    assert len(app.error) == 1
    app.segmented_control(key="data_kind").set_value("sample").run()
    assert not app.error
    assert chosen(app).source == Source()
    app = opened("data", Choices(source=Source(kind="paper", name="a9")))
    assert len(app.error) == 1
    app.segmented_control(key="data_kind").set_value("file").run()
    assert not app.error
    assert app.file_uploader(key="data_upload")


def test_use_your_own_image_leads_to_the_uploader(tmp_path: Path) -> None:
    app = opened("overview")
    next(one for one in app.button if one.label == "Use your own image").click().run()
    # The button leads to the page, where a browser goes on by itself.
    app.switch_page("pages/data.py").run()
    assert not app.exception
    assert app.segmented_control(key="data_kind").value == "file"
    file = tmp_path / "mine.npz"
    save(sample((128, 160), seed=5), file)
    app.file_uploader(key="data_upload").upload("mine.npz", file.read_bytes()).run()
    assert chosen(app).source.name == "mine.npz"
    assert not any("Until you choose one" in caption.value for caption in app.caption)


# Mask ---------------------------------------------------------------------------------------------


def by_hand(app: AppTest) -> AppTest:
    return app.toggle(key="mask_automatic").set_value(False).run()


def area(app: AppTest) -> float:
    return float(metric(app, "Mask area")[:-1])


def test_the_graph_cut_begins_near_the_automatic_mask() -> None:
    app = opened("mask")
    automatic = area(app)
    by_hand(app)
    assert not app.exception
    assert not app.error
    assert abs(area(app) - automatic) < 5
    assert float(metric(app, "IoU with the truth")) > 0.93
    assert chosen(app).config.mask.prior != PAPER.mask.prior


def test_all_of_the_prior_slider_does_something() -> None:
    app = by_hand(opened("mask"))
    slider = app.select_slider(key="mask_prior")
    stops = [float(option) for option in slider.options]
    areas = []
    for stop in stops[:: len(stops) // 5]:
        app.select_slider(key="mask_prior").set_value(stop).run()
        assert not app.exception
        areas.append(area(app))
    assert areas[0] < 5
    assert areas[-1] > 90
    steps = np.diff(areas)
    assert (steps > 1).all()
    assert steps.max() < 60


def test_published_values_are_a_click_away_and_the_way_back_too() -> None:
    app = by_hand(opened("mask"))
    suited = chosen(app).config.mask
    app.button(key="mask_published").click().run()
    assert not app.exception
    assert chosen(app).config.mask == PAPER.mask.replace(automatic=False)
    app.button(key="mask_suit").click().run()
    assert chosen(app).config.mask == suited


def test_values_chosen_by_hand_are_there_again_after_automatic() -> None:
    app = by_hand(opened("mask"))
    app.select_slider(key="mask_max_weight").set_value(3).run()
    mine = chosen(app).config.mask
    app.toggle(key="mask_automatic").set_value(True).run()
    by_hand(app)
    assert chosen(app).config.mask == mine
    assert mine.max_weight == 3


@pytest.mark.parametrize(
    ("largest", "is_long", "shown"),
    [
        (0, False, ["rough", "better", "mask"]),
        (10**6, False, ["mask"]),
        (10**6, True, ["rough", "mask"]),
    ],
)
def test_previews_are_shown_only_where_the_cut_takes_long(
    monkeypatch: pytest.MonkeyPatch, largest: int, is_long: bool, shown: list[str]
) -> None:
    monkeypatch.setattr(cached_steps, "LARGEST_WITHOUT_PREVIEW", largest)
    monkeypatch.setattr(cached_steps, "PREVIEW_AFTER", -1 if is_long else LONGEST)
    app = by_hand(opened("mask"))
    seen: list[str] = []
    rough_preview, known_mask = cached_steps.rough_preview, cached_steps.known_mask
    better_preview = cached_steps.better_preview

    def known_in_time(*, ask: bool = False) -> tuple[np.ndarray, float]:
        if is_long and not seen:
            raise NotYet("aside_mask", "mask")
        return known_mask(ask=ask)

    def rough_then_better(note: Any) -> np.ndarray:
        seen.append("better" if "better" in seen else "rough")
        return rough_preview(note)

    def there_is_a_better_one(note: Any) -> bool:
        is_new = better_preview(note)
        seen.append("better" if is_new else "mask")
        return is_new

    monkeypatch.setattr(cached_steps, "rough_preview", rough_then_better)
    monkeypatch.setattr(cached_steps, "better_preview", there_is_a_better_one)
    monkeypatch.setattr(cached_steps, "known_mask", known_in_time)
    before = area(app)
    slider = app.select_slider(key="mask_prior")
    slider.set_value(float(slider.options[20])).run()
    assert not app.exception
    assert area(app) < before
    assert metric(app, "Time").endswith(" s")
    # A preview that is asked for again shows the better one.
    assert list(dict.fromkeys([*seen, "mask"])) == shown


@pytest.mark.parametrize("failing", ["better_preview", "timed_mask"])
def test_a_mask_that_cannot_be_computed_is_told_beside_its_preview(
    monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    app = by_hand(opened("mask"))
    n_failed = 0

    def fail(note: Any = None) -> Any:
        nonlocal n_failed
        n_failed += 1
        raise ValueError("the computation ended without an answer")

    def never(*, ask: bool = False) -> Any:
        raise NotYet("aside_mask", "mask")

    monkeypatch.setattr(cached_steps, "known_mask", never)
    monkeypatch.setattr(cached_steps, "LARGEST_WITHOUT_PREVIEW", 0)
    monkeypatch.setattr(cached_steps, failing, fail)
    slider = app.select_slider(key="mask_prior")
    slider.set_value(float(slider.options[20])).run()
    assert n_failed == 1
    assert any("without an answer" in error.value for error in app.error)
    assert metric(app, "Time") == "preview"


def test_a_mask_that_was_cancelled_is_computed_when_asked_for() -> None:
    app = opened("mask")
    key = keys(chosen(app), edits=markers_digest(None))["mask"]
    # What is kept of it is of no use to somebody who comes after.
    st.cache_resource.clear()
    app.session_state["aside_mask_cancelled"] = f"mask {key}"
    app.switch_page("pages/mask.py").run()
    assert not app.exception
    assert any("Cancelled" in info.value for info in app.info)
    assert not any(m.label == "Mask area" for m in app.metric)
    app.button(key="again_aside_mask").click().run()
    assert not app.exception
    assert not any("Cancelled" in info.value for info in app.info)
    assert metric(app, "Mask area")


def test_other_controls_work_after_a_mask_was_cancelled() -> None:
    app = opened("mask")
    key = keys(chosen(app), edits=markers_digest(None))["mask"]
    st.cache_resource.clear()
    app.session_state["aside_mask_cancelled"] = f"mask {key}"
    # The grid has the cut of this image without the automatic mask to come near to.
    app.toggle(key="mask_grid_shown").set_value(True).run()
    assert not app.exception
    assert sum("Cancelled" in info.value for info in app.info) == 1
    app.toggle(key="mask_automatic").set_value(False).run()
    assert not app.exception
    assert not app.error
    assert not chosen(app).config.mask.automatic
    assert metric(app, "Mask area")


def test_a_mask_of_everything_is_told_and_the_sliders_stay() -> None:
    app = by_hand(opened("mask"))
    app.button(key="mask_published").click().run()
    assert not app.exception
    assert "covers every pixel" in app.error[0].value
    assert metric(app, "Mask area") == "100.0%"
    app.button(key="mask_suit").click().run()
    assert not app.error, app.error[0].value


def test_the_grid_opens() -> None:
    app = opened("mask")
    app.toggle(key="mask_grid_shown").set_value(True).run()
    assert not app.exception
    assert not app.error
    by_hand(app)
    assert not app.exception
    assert not app.error


# Cells --------------------------------------------------------------------------------------------


def edit(app: AppTest, change: Edit) -> AppTest:
    app.session_state["cells_editor-edit"] = change
    app.run()
    assert not app.exception
    return app


def test_markers_are_added_removed_moved_and_undone() -> None:
    app = opened("cells")
    n = int(metric(app, "Markers"))
    first = app.session_state[state.EDITS]
    assert first is None
    edit(app, Edit("remove", 0, None))
    assert int(metric(app, "Markers")) == n - 1
    free = np.argwhere(app.session_state[state.EDITS].regions == 0)[0]
    edit(app, Edit("add", None, tuple(free.tolist())))
    assert int(metric(app, "Markers")) == n
    next(b for b in app.button if b.label == "Undo").click().run()
    assert int(metric(app, "Markers")) == n - 1
    next(b for b in app.button if b.label == "Undo").click().run()
    assert int(metric(app, "Markers")) == n
    assert app.session_state[state.EDITS] is None
    next(b for b in app.button if b.label == "Redo").click().run()
    assert int(metric(app, "Markers")) == n - 1


def test_a_marker_that_is_added_and_removed_again_is_no_change() -> None:
    app = opened("cells")
    n = int(metric(app, "Markers"))
    free = np.argwhere(state_markers(app) == 0)[0]
    edit(app, Edit("add", None, tuple(free.tolist())))
    assert len(app.session_state[state.EDITS].points) == n + 1
    edit(app, Edit("remove", n, None))
    assert int(metric(app, "Markers")) == n
    assert app.session_state[state.EDITS] is None
    next(b for b in app.button if b.label == "Undo").click().run()
    assert int(metric(app, "Markers")) == n + 1


def test_edits_survive_a_reload() -> None:
    app = opened("cells")
    n = int(metric(app, "Markers"))
    edit(app, Edit("remove", 0, None))
    again = at_page("cells")
    again.query_params["draft"] = app.session_state[state.DRAFT].id
    again.run()
    assert int(metric(again, "Markers")) == n - 1


def test_an_edit_that_cannot_be_is_told() -> None:
    app = opened("cells")
    n = int(metric(app, "Markers"))
    regions = state_markers(app)
    taken = np.argwhere(regions > 0)[0]
    edit(app, Edit("add", None, tuple(taken.tolist())))
    assert "a marker at row" in app.error[0].value
    assert int(metric(app, "Markers")) == n


def state_markers(app: AppTest) -> np.ndarray:
    """Regions of the markers, as an edit that is undone leaves them."""
    edit(app, Edit("remove", 0, None))
    regions = app.session_state[state.EDITS].regions
    next(b for b in app.button if b.label == "Undo").click().run()
    return regions


def test_blobs_with_settings_that_contradict_each_other_are_told() -> None:
    app = opened("cells")
    app.toggle(key="markers_automatic").set_value(False).run()
    app.slider(key="markers_max_sigma").set_value(4.0).run()
    app.slider(key="markers_min_sigma").set_value(8.0).run()
    assert not app.exception
    assert "below min_sigma" in app.error[0].value
    # The setting is as it was, and the slider shows it.
    assert chosen(app).config.markers.min_sigma == 3
    assert app.slider(key="markers_min_sigma").value == 3


def test_a_marker_file_takes_the_place_of_what_was_found() -> None:
    app = opened("cells")
    # They are counted in the whole image, of which this is a region.
    csv = b"row,col\n130,130\n200,160\n9,9\n"
    app.file_uploader(key="cells_upload").upload("points.csv", csv).run()
    assert not app.exception
    assert int(metric(app, "Markers")) == 2
    app.file_uploader(key="cells_upload").upload("bad.csv", b"row,col\n9999,1\n").run()
    assert "outside of the image" in app.error[0].value
    assert int(metric(app, "Markers")) == 2
    rois = roi_set(np.asarray(sample().truth))
    app.file_uploader(key="cells_upload").upload("RoiSet.zip", rois).run()
    assert not app.exception
    there = np.unique(np.asarray(sample().truth)[100:292, 100:292])
    assert int(metric(app, "Markers")) == len(there) - 1
    # A detection is taken, and what was drawn around several is said to be left out.
    ring = [[150, 150], [170, 150], [170, 170], [150, 170], [150, 150]]
    shapes = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {"objectType": sort},
        }
        for sort in ("annotation", "detection")
    ]
    app.file_uploader(key="cells_upload").upload("a.geojson", json.dumps(shapes).encode()).run()
    assert not app.exception
    assert int(metric(app, "Markers")) == 1
    assert "a.geojson: 1 annotations are left out" in app.warning[0].value
    # Which plane the image shows is not known.
    planes = b"index,axis-0,axis-1,axis-2\n0,0,30,30\n1,1,60,60\n"
    app.file_uploader(key="cells_upload").upload("napari.csv", planes).run()
    assert "points in several planes, z = 0 to 1" in app.error[0].value
    assert int(metric(app, "Markers")) == 1


def none_is_found() -> None:
    raise ValueError("no marker was found")


@pytest.mark.parametrize("find", [none_is_found, st.stop])
def test_an_edit_is_kept_also_if_no_marker_is_found_or_the_search_is_ended(
    find: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened("cells")
    csv = b"row,col\n130,130\n200,160\n"
    app.file_uploader(key="cells_upload").upload("points.csv", csv).run()
    monkeypatch.setattr(cached_steps, "found_markers", find)
    edit(app, Edit("remove", 0, None))
    assert not app.error
    app.run()
    assert int(metric(app, "Markers")) == 1


def test_only_so_many_edits_are_kept_for_undo(monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("cells")
    n = int(metric(app, "Markers"))
    monkeypatch.setattr(state, "UNDO_MEMORY", 2 * 4 * 192**2)
    for _ in range(5):
        edit(app, Edit("remove", 0, None))
    assert [len(one.points) for one in app.session_state[state.UNDO]] == [n - 3, n - 4]


def test_selecting_a_marker_shows_its_crop() -> None:
    app = opened("cells")
    edit(app, Edit("select", 4, None))
    assert any("Cell 5, selected in the image" in c.value for c in app.caption)


def is_selected(app: AppTest, number: int | None) -> bool:
    """Whether this cell is the one selected in the image; with None, whether none is."""
    [told] = [c.value for c in app.caption if "selected in the image" in c.value] or [None]
    return told is None if number is None else str(told).startswith(f"Cell {number}, ")


def test_another_marker_of_the_same_number_is_not_selected() -> None:
    app = opened("cells")
    edit(app, Edit("select", 4, None))
    assert is_selected(app, 5)
    # Another region has other markers, more than 5.
    app.session_state[state.CHOICES] = chosen(app).replace(region=(0, 0, 192, 192))
    app.run()
    assert not app.exception
    assert int(metric(app, "Markers")) > 5
    assert is_selected(app, None)


def test_undo_and_redo_select_no_other_marker() -> None:
    app = opened("cells")
    edit(app, Edit("remove", 0, None))
    edit(app, Edit("select", 4, None))
    # That was the sixth cell of those found.
    next(b for b in app.button if b.label == "Undo").click().run()
    assert is_selected(app, None)
    edit(app, Edit("select", 2, None))
    assert is_selected(app, 3)
    next(b for b in app.button if b.label == "Redo").click().run()
    assert is_selected(app, None)


def test_a_marker_that_is_moved_or_added_stays_selected() -> None:
    app = opened("cells")
    n = int(metric(app, "Markers"))
    free = np.argwhere(state_markers(app) == 0)
    edit(app, Edit("add", None, tuple(free[0].tolist())))
    assert is_selected(app, n + 1)
    edit(app, Edit("move", n, tuple(free[1].tolist())))
    assert is_selected(app, n + 1)
    edit(app, Edit("remove", n, None))
    assert is_selected(app, None)


def test_no_nucleus_channel_is_no_trouble() -> None:
    app = opened("cells", Choices(region=(100, 100, 292, 292), nucleus="none"))
    assert not app.error
    assert int(metric(app, "Markers")) > 5


# What nobody sees ---------------------------------------------------------------------------------


def test_a_large_region_waits_to_be_asked(tmp_path: Path) -> None:
    pixels = np.zeros((1200, 1200), np.uint16)
    pixels[100:292, 100:292] = sample((192, 192)).pixels[..., 0]
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels)
    source = store_upload("large.tif", buffer.getvalue())
    app = opened("mask", Choices(source=source, region=(0, 0, 1200, 1200)))
    assert "starts when you click" in app.warning[0].value
    assert not app.metric


def test_an_id_that_is_none_is_told_and_the_sample_is_there() -> None:
    app = at_page("overview")
    app.query_params["draft"] = "../../etc"
    app.run()
    assert not app.exception
    assert "is not the id" in app.error[0].value
    assert chosen(app) == Choices()


def test_a_run_that_is_not_there_is_told() -> None:
    app = at_page("overview")
    app.query_params["run"] = "20200101-000000-xxxxx"
    app.run()
    assert not app.exception
    assert "there is no run" in app.error[0].value
