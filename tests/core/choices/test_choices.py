"""Choices, what they decide, and how they are kept."""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from cellcutter_core.choices.choices import Choices, KeptFile, Source, changed, keys
from cellcutter_core.choices.draft import Draft, markers_digest
from cellcutter_core.choices.uploads import as_channels, file_of, files_of, store_upload
from cellcutter_core.markers.finding import Nuclei, marker_points


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CELLCUTTER_RUNS", str(tmp_path))
    return tmp_path


def some_markers() -> Nuclei:
    regions = np.zeros((8, 8), np.int32)
    regions[1:3, 1:3], regions[5:7, 5:7] = 1, 2
    return Nuclei(regions, marker_points(regions))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda c: c, ()),
        (lambda c: c.replace(pixel_size=0.3), ()),
        (lambda c: c.replace(source=c.source.replace(truth=KeptFile(name="t.tif"))), ()),
        (lambda c: c.replace(source=Source(seed=1)), ("image", "mask", "markers", "training")),
        (lambda c: c.replace(region=(0, 0, 99, 99)), ("image", "mask", "markers", "training")),
        # Nuclei are cell in the automatic mask.
        (
            lambda c: c.with_setting("markers", "diameter", 20),
            ("mask", "markers", "training"),
        ),
        (lambda c: c.with_setting("mask", "automatic", False), ("mask", "training")),
        # What is grey decides nothing.
        (lambda c: c.with_setting("mask", "scaling", "robust"), ()),
        (lambda c: c.with_setting("markers", "threshold", 0.2), ()),
        (lambda c: c.with_setting("training", "warm_up_radius", 9), ()),
        (lambda c: c.with_setting("training", "crops", 9), ("training",)),
        (lambda c: c.with_setting("training", "epochs", 3), ("training",)),
        (lambda c: c.with_setting("labels", "fill", False), ("training",)),
        (lambda c: c.replace(others=(Source(kind="file", name="b.tif"),)), ("training",)),
    ],
)
def test_a_change_reaches_what_comes_after_it(change, expected: tuple[str, ...]) -> None:
    before = Choices()
    assert changed(keys(change(before)), keys(before)) == expected


def test_the_same_mask_is_the_same_step_whatever_was_tried_before() -> None:
    before = Choices()
    tried = before.with_setting("mask", "automatic", False).with_setting("mask", "prior", 0.7)
    assert changed(keys(tried), keys(before)) == ("mask", "training")
    again = tried.with_setting("mask", "automatic", True)
    assert again != before
    assert changed(keys(again), keys(before)) == ()
    # Blobs have no diameter, and a square has as many crops as lie in it.
    blobs = before.with_setting("markers", "automatic", False)
    assert changed(keys(blobs.with_setting("markers", "diameter", 20)), keys(blobs)) == ()
    assert "markers" in changed(keys(blobs.with_setting("markers", "threshold", 0.2)), keys(blobs))
    square = before.with_setting("training", "area", 300)
    assert changed(keys(square.with_setting("training", "crops", 9)), keys(square)) == ()


def test_markers_do_not_decide_a_mask_with_chosen_settings() -> None:
    before = Choices().with_setting("mask", "automatic", False)
    after = before.with_setting("markers", "diameter", 20)
    assert changed(keys(after), keys(before)) == ("markers", "training")


def test_edited_markers_take_the_place_of_their_settings() -> None:
    digest = markers_digest(some_markers())
    before = Choices()
    assert changed(keys(before, edits=digest), keys(before)) == ("mask", "markers", "training")
    # Where the nuclei are the mask, they are found within the diameter around edited markers.
    other = before.with_setting("markers", "diameter", 20)
    assert changed(keys(other, edits=digest), keys(before, edits=digest)) == ("mask", "training")
    by_hand = [one.with_setting("mask", "automatic", False) for one in (before, other)]
    now, then = (keys(one, edits=digest) for one in by_hand)
    assert changed(now, then) == ()
    assert markers_digest(None) == ""


def test_markers_of_other_images_are_found_also_where_those_of_the_image_were_edited() -> None:
    before = Choices(others=(Source(kind="file", name="b.tif"),))
    before = before.with_setting("mask", "automatic", False)
    after = before.with_setting("markers", "diameter", 20)
    assert changed(keys(after, edits="some"), keys(before, edits="some")) == ("training",)


def test_other_images_are_read_as_the_image_where_they_say_nothing() -> None:
    other = Source(kind="file", name="b.tif", z="max")
    choices = Choices(source=Source(kind="file", name="a.tif", z=1, t=2), others=(other,))
    assert choices.reading_of(other) == {"z": "max", "t": 2}
    assert choices.source.is_same(choices.source.replace(z="max", t=None, scene=1, inverted=True))
    assert not choices.source.is_same(other)


def test_a_scene_decides_and_none_leaves_the_keys_of_before() -> None:
    other = Source(kind="file", name="b.tif")
    none = Choices(source=Source(kind="file", name="a.tif"), others=(other,))
    # Runs of before there were scenes have it in their descriptions.
    assert keys(none)["image"] == "2da1de6140dbb442"
    there = none.replace(source=none.source.replace(scene=0))
    assert changed(keys(there), keys(none)) == ("image", "mask", "markers", "training")
    there = none.replace(others=(other.replace(scene=1),))
    assert changed(keys(there), keys(none)) == ("training",)


def test_choices_of_before_there_were_other_images_come_back(runs: Path) -> None:
    draft = Draft()
    draft.save(Choices())
    file = runs / ".drafts" / draft.id / "choices.json"
    said = json.loads(file.read_text("utf-8"))
    del said["others"]
    file.write_text(json.dumps(said), "utf-8")
    assert Draft(draft.id).load() == Choices()


def test_a_setting_out_of_bounds_is_refused() -> None:
    with pytest.raises(ValueError, match="prior should be greater than 0 and less than 1"):
        Choices().with_setting("mask", "prior", 1.5)


def test_a_draft_comes_back_by_its_id() -> None:
    draft = Draft()
    assert not draft.exists
    chosen = Choices(region=(1, 2, 90, 80)).with_setting("mask", "prior", 0.7)
    draft.save(chosen)
    draft.save_markers(chosen, some_markers())
    again = Draft(draft.id)
    assert again.exists
    assert again.load() == chosen
    np.testing.assert_array_equal(again.markers(chosen).regions, some_markers().regions)
    np.testing.assert_array_equal(again.markers(chosen).points, some_markers().points)


def test_markers_belong_to_their_region() -> None:
    draft = Draft()
    here, there = Choices(region=(0, 0, 64, 64)), Choices(region=(9, 9, 99, 99))
    draft.save_markers(here, some_markers())
    assert draft.markers(there) is None
    # Another setting, the same region: they stay.
    assert draft.markers(here.with_setting("training", "epochs", 2)) is not None
    draft.save_markers(here, None)
    assert draft.markers(here) is None


def test_nothing_saved_gives_the_defaults() -> None:
    assert Draft().load() == Choices()


@pytest.mark.parametrize("text", ["{", "[]", '{"region": "x"}', '{"nonsense": 1}', ""])
def test_a_damaged_draft_says_so(text: str) -> None:
    draft = Draft()
    draft.save(Choices())
    next(Path(draft._folder).glob("choices.json")).write_text(text)
    with pytest.raises(ValueError, match=r"cannot be read .*; choose the image again"):
        draft.load()


def test_damaged_markers_say_so_whichever_byte_is_wrong() -> None:
    draft = Draft()
    draft.save_markers(Choices(), some_markers())
    [file] = draft._folder.glob("markers-*.npz")
    content, message = file.read_bytes(), "cannot be read .*; start again with the found markers"
    errors: list[ValueError] = []
    for number in range(len(content)):
        damaged = bytearray(content)
        damaged[number] ^= 0xFF
        file.write_bytes(damaged)
        try:
            draft.markers(Choices())
        except ValueError as error:
            errors.append(error)
    assert all(re.search(message, str(error)) for error in errors)
    # Of a wrong directory or checksum, and of compressed bytes that cannot be unpacked.
    assert {zipfile.BadZipFile, zlib.error} <= {type(error.__context__) for error in errors}
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=message):
        draft.markers(Choices())


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "x" * 99])
def test_what_is_no_id_opens_nothing(name: str) -> None:
    if name:
        with pytest.raises(ValueError, match="is not the id of a run"):
            Draft(name)
    else:
        assert Draft(name).id


def test_a_file_is_kept_once_under_its_content(runs: Path) -> None:
    first = store_upload("../../a folder\\cells.tif", b"content")
    assert first.name == "cells.tif"
    assert file_of(first).read_bytes() == b"content"
    assert file_of(first).is_relative_to(runs)
    assert store_upload("cells.tif", b"content") == first
    assert file_of(store_upload("cells.tif", b"other")) != file_of(first)
    assert file_of(first).read_bytes() == b"content"


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(ValueError, match=r"cells\.tif is empty"):
        store_upload("cells.tif", b"")


def test_a_file_cannot_be_asked_for_by_a_path() -> None:
    with pytest.raises(ValueError, match="digest"):
        Source(kind="file", name="x", digest="../../etc")
    source = Source(kind="file", name="../../passwd", digest="ab")
    assert file_of(source).name == "passwd"
    assert ".." not in file_of(source).parts


def test_files_of_one_image_are_kept_together_in_the_order_of_their_names(runs: Path) -> None:
    kept = [store_upload(f"{name}.tif", name.encode()) for name in ("dapi", "actin", "tubulin")]
    source = as_channels(kept)
    assert source.name == "actin.tif"
    assert source == as_channels(kept[::-1])
    assert source.title == "actin.tif and 2 more"
    assert as_channels(kept[:2]).title == "actin.tif and dapi.tif"
    assert as_channels(kept[:1]) == kept[0]
    assert [file.read_bytes() for file in files_of(source)] == [b"actin", b"dapi", b"tubulin"]
    assert all(file.is_relative_to(runs) for file in files_of(source))
    draft = Draft()
    draft.save(Choices(source=source))
    assert Draft(draft.id).load().source == source
    before = Choices(source=source)
    other = Choices(source=source.replace(more=source.more[:1]))
    assert "image" in changed(keys(other), keys(before))


def test_no_file_is_asked_for_by_a_path() -> None:
    with pytest.raises(ValueError, match="digest"):
        KeptFile(name="x", digest="../../etc")
    for name in ("/etc/passwd", "a.zarr", "file:///etc", "ftp://a/b", ""):
        with pytest.raises(ValueError, match="is not an address"):
            Source(kind="web", name=name)
    source = Source(kind="web", name="https://example.org/cells.zarr/?key=1")
    assert source.title == "cells.zarr"
    assert files_of(source) == files_of(Source()) == []


def test_how_to_read_is_what_was_said_and_no_more() -> None:
    assert Source().reading == {}
    said = {"z": "max", "t": 2, "scene": 1, "inverted": False, "stained": True}
    assert Source(**said).reading == said
