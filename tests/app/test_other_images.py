"""Several images at once: chosen on the page Train, handed to the run, found on Results."""

import dataclasses
import io
import zipfile
from dataclasses import asdict

import numpy as np
import pytest
import streamlit as st
import tifffile
from made_runs import REGION, asked, make_run, open_page, shown, words
from opening import at_page
from samples import sample
from streamlit.testing.v1 import AppTest
from test_memory import arrays_held_by

from cellcutter_core.apply.outcomes import Outcome
from cellcutter_core.apply.training_images import zip_of_others
from cellcutter_core.choices.choices import Choices
from cellcutter_core.choices.draft import Draft
from cellcutter_core.choices.of_run import described
from cellcutter_core.choices.uploads import file_of, store_upload
from cellcutter_core.config import QUICK, starting
from cellcutter_core.export import png_file
from cellcutter_core.runs.folder import find_run, list_runs
from cellcutter_core.runs.other_images import find_others
from cellcutter_core.simulation.sample import save

__all__ = ["asked"]

pytestmark = pytest.mark.usefixtures("asked")


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("others")
    for number, name in enumerate(("b.npz", "c.npz"), 1):
        save(sample((128, 144), seed=number), folder / name)
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def upload(app: AppTest, **more: bytes) -> AppTest:
    for name, content in more.items():
        app.file_uploader[0].upload(name.replace("_", "."), content)
    return shown(app.run())


def others_of(app: AppTest) -> list[str]:
    return [other.name for other in app.session_state["choices"].others]


def with_others(files: dict[str, bytes]) -> AppTest:
    return upload(open_page("train"), b_npz=files["b.npz"], c_npz=files["c.npz"])


def test_each_is_read_when_it_is_given_and_what_is_wrong_stands_by_its_name(files):
    app = upload(open_page("train"), b_npz=files["b.npz"], cut_tif=b"II*\0", c_npz=files["c.npz"])
    assert others_of(app) == ["b.npz", "c.npz"]
    (warning,) = app.warning
    assert "- `cut.tif`: " in warning.value
    assert "b.npz" not in warning.value
    said = words(app)
    assert "`b.npz` · 128 × 144 pixels · cells: fluorescence · nuclei: nucleus" in said
    assert "About" in said
    # The same again, and another one of the same name.
    app = upload(app, again_npz=files["b.npz"], c_npz=files["b.npz"] + b"\0")
    assert others_of(app) == ["b.npz", "c.npz"]
    assert "- `again.npz`: is b.npz, which is already trained on" in app.warning[0].value
    assert "- `c.npz`: there is another image with this name" in app.warning[0].value


def test_of_a_file_with_several_images_all_are_taken_but_the_image_itself(files):
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream, ome=True) as tif:
        for seed in range(3):
            pixels = np.moveaxis(sample((128, 144), seed=seed).pixels[..., [0, 2]], 2, 0)
            tif.write(pixels, metadata={"axes": "CYX", "Channel": {"Name": ["actin", "DAPI"]}})
    source = store_upload("three.ome.tif", stream.getvalue()).replace(scene=1)
    app = open_page("train")
    app.session_state["choices"] = Choices(source=source, region=(0, 0, 128, 144))
    app = shown(app.run())
    app.file_uploader[0].upload("three.ome.tif", stream.getvalue())
    app = shown(app.run())
    others = app.session_state["choices"].others
    assert [(other.name, other.scene) for other in others] == [("three.ome.tif", n) for n in (0, 2)]
    said = words(app)
    assert "cells: actin · nuclei: DAPI · scene = 2" in said
    app.file_uploader[0].upload("three.ome.tif", stream.getvalue())
    app = shown(app.run())
    assert "which is already trained on" in app.warning[0].value
    # One of them is taken away, and the others are told apart in the run.
    button = next(b for b in app.button if b.key and b.key.startswith("train_remove_0"))
    app = shown(button.click().run())
    app = shown(app.button(key="train_start").click().run())
    (summary,), _ = list_runs()
    run = find_run(summary.id)
    assert run.description.others == ("three.ome-scene2.tif",)
    np.testing.assert_array_equal(
        run.others[0].image.pixels, sample((128, 144), seed=2).pixels[..., [0, 2]]
    )


def test_one_with_other_channels_is_refused(files, tmp_path):
    app = open_page("train")
    chosen = app.session_state["choices"]
    # The taught network sees the mean of the channels, however many there are.
    app.session_state["choices"] = chosen.replace(
        cell=("fluorescence", "bright field"), config=starting(QUICK, "nothing")
    )
    np.savez(tmp_path / "one.npz", image=sample((128, 128), seed=1).pixels[..., :1])
    app = upload(shown(app.run()), one_npz=(tmp_path / "one.npz").read_bytes())
    assert not others_of(app)
    assert "- `one.npz`: the network would see 1 of its channels" in app.warning[0].value


def test_another_stain_is_not_trained_on_without_a_word(files):
    stream = io.BytesIO()
    pixels = np.moveaxis(sample((128, 144), seed=2).pixels[..., [0, 2]], 2, 0)
    names = {"axes": "CYX", "Channel": {"Name": ["tubulin", "DAPI"]}}
    tifffile.imwrite(stream, pixels, ome=True, metadata=names)
    app = upload(open_page("train"), b_npz=files["b.npz"], c_tif=stream.getvalue())
    assert others_of(app) == ["b.npz", "c.tif"]
    assert words(app).count("the network sees") == 1
    assert "nuclei: DAPI · :orange[the network sees tubulin in place of fluorescence]" in words(app)


def test_they_are_taken_away_one_by_one_or_all(files):
    app = with_others(files)
    button = next(b for b in app.button if b.key and b.key.startswith("train_remove_0"))
    app = shown(button.click().run())
    assert others_of(app) == ["c.npz"]
    app = upload(app, b_npz=files["b.npz"])
    assert others_of(app) == ["c.npz", "b.npz"]
    app = shown(app.button(key="train_remove_all").click().run())
    assert not others_of(app)
    assert not [b for b in app.button if b.key and b.key.startswith("train_remove")]


def test_a_reload_and_another_way_to_read_the_image_keep_them_and_another_image_does_not(files):
    app = with_others(files)
    again = at_page("train")
    again.query_params["draft"] = app.session_state["draft"].id
    again = shown(again.run())
    assert others_of(again) == ["b.npz", "c.npz"]
    assert "`c.npz` · 128 × 144 pixels" in words(again)
    again = shown(again.switch_page("pages/data.py").run())
    again = shown(again.number_input(key="data_seed").set_value(3).run())
    assert not others_of(again)


def test_start_prepares_them_and_hands_them_over(files, asked):
    app = shown(with_others(files).button(key="train_start").click().run())
    assert not app.error
    (summary,), _ = list_runs()
    assert asked == [("submit", summary.id, {})]
    run = find_run(summary.id)
    assert run.description.others == ("b.npz", "c.npz")
    first, second = run.others
    assert first.image.shape == second.image.shape == (128, 144)
    assert first.image.roles == {"cell": ["fluorescence"], "nucleus": "nucleus"}
    np.testing.assert_array_equal(second.image.pixels, sample((128, 144), seed=2).pixels)
    # By now their cells are known.
    said = words(app)
    assert f"nuclei: nucleus · {len(first.inputs.points)} cells" in said
    assert "add to it" not in said
    # What is trained on is what is chosen, until that changes.
    assert not app.warning
    button = next(b for b in app.button if b.key and b.key.startswith("train_remove_1"))
    app = shown(button.click().run())
    assert not app.warning
    assert "The next run differs from the open one: other images to train on" in words(app)
    app = shown(app.button(key="train_duplicate").click().run())
    assert others_of(app) == ["b.npz", "c.npz"]
    assert not app.warning
    assert "The next run differs" not in words(app)


def test_what_is_wrong_with_one_at_the_start_names_it_and_starts_nothing(files, asked):
    app = with_others(files)
    chosen = app.session_state["choices"]
    dark = np.zeros((64, 64, 3), np.uint8)
    dark[:2, :2] = 1
    stream = io.BytesIO()
    np.savez(stream, image=dark, channels=np.array(sample((128, 128)).channels))
    bad = store_upload("dark.npz", stream.getvalue())
    app.session_state["choices"] = chosen.replace(others=(*chosen.others, bad))
    app = shown(app.button(key="train_start").click().run())
    assert app.error[0].value.startswith("dark.npz: ")
    assert not asked
    assert not list_runs()[0]


def test_one_whose_file_is_gone_says_so_in_the_list_and_at_the_start(files, asked):
    app = with_others(files)
    file_of(app.session_state["choices"].others[1]).unlink()
    app = at_page("train")
    draft = Draft()
    kept = store_upload("b.npz", files["b.npz"])
    draft.save(Choices(region=REGION, others=(kept, kept.replace(name="c.npz"))))
    app.query_params["draft"] = draft.id
    app = shown(app.run())
    assert "`c.npz` · :red[is no longer kept here; remove it and add it again]" in words(app)
    app = shown(app.button(key="train_start").click().run())
    assert app.error[0].value.startswith("c.npz: is no longer kept here")
    assert not asked


@pytest.fixture
def run(files):
    """A finished run that was trained on two others."""
    made = make_run("r1", epochs=(1, 60))
    kept = tuple(store_upload(name, files[name]) for name in ("b.npz", "c.npz"))
    made.describe(**described(Choices(region=REGION, config=made.config, others=kept)))
    (made.path / "others").mkdir()
    others = [sample((128, 144), seed=number) for number in (1, 2)]
    for number, image in enumerate(others, 1):
        named = dataclasses.replace(image, name=f"{'abc'[number]}.npz")
        (other,) = find_others([named], QUICK, n_channels=1)
        with (made.path / "others" / f"{number:04d}.npz").open("wb") as file:
            np.savez(file, **other.arrays())
    return made


GOOD = Outcome("b", "b.npz", 2.0, cells=17, median_area=410.5, mask_fraction=0.5)
BAD = Outcome("c", "c.npz", 0.1, "no memory is left")


def found(run, *outcomes):
    for outcome in outcomes:
        run.record("other", outcome=asdict(outcome))
    (run.path / "others" / "b-labels.tif").write_bytes(b"labels")
    picture = np.full((20, 30, 3), 200, np.uint8)
    (run.path / "others" / "b-overlay.png").write_bytes(png_file(picture))


def offered(app: AppTest) -> dict[str, bool]:
    """Label and whether it can be clicked of each download of the other images."""
    buttons = [one.proto for one in app.get("download_button")]
    return {b.label: not b.disabled for b in buttons if "results_other" in b.id}


def test_results_show_what_was_found_in_the_others(run):
    found(run, GOOD, BAD)
    app = open_page("results", run)
    assert "The 2 other images" in words(app)
    assert "- `c.npz`: no memory is left" in app.warning[0].value
    table = next(one.value for one in app.dataframe if "trouble" in one.value)
    assert next(iter(table["cells"])) == 17
    assert offered(app) == {
        "Its label image": True,
        "Its table of cells": False,
        "All of them": True,
    }
    with zipfile.ZipFile(io.BytesIO(zip_of_others(run))) as archive:
        assert archive.namelist() == ["b-labels.tif", "b-overlay.png"]


def test_where_a_stop_left_some_without_cells_it_says_how_many(run):
    found(run, GOOD)
    app = open_page("results", run)
    assert "before the cells of 1 of the 2 images were found" in app.warning[0].value


def test_before_they_are_found_it_says_when_they_will_be(run):
    app = open_page("results", run)
    assert "at the end of a training" in app.info[0].value
    assert not offered(app)
    assert not [
        one for one in open_page("results", make_run("r2")).subheader if "other" in one.value
    ]


def test_the_others_of_a_run_from_elsewhere_come_with_it(run):
    """Its description knows nothing of them, but they are in its folder."""
    run.describe(**described(Choices(region=REGION, config=run.config)))
    app = open_page("train", run)
    app = shown(app.button(key="train_duplicate").click().run())
    assert not app.error
    assert others_of(app) == ["b.npz", "c.npz"]
    assert not app.warning


def test_where_they_cannot_be_had_from_the_run_it_says_so(run):
    (run.path / "others" / "0002.npz").write_bytes(b"no longer whole")
    file_of(Choices(**run.description.choices).others[1]).unlink()
    app = open_page("train", run)
    app = shown(app.button(key="train_duplicate").click().run())
    assert "0002.npz is damaged" in app.error[0].value
    assert not others_of(app)


def test_what_widgets_call_holds_none_of_their_pixels(files, run):
    found(run, GOOD)
    for app in (with_others(files), open_page("results", run)):
        st.cache_data.clear()
        st.cache_resource.clear()
        assert arrays_held_by(app.session_state) == []
