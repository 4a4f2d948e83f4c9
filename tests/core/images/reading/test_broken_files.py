"""Whatever a file holds, reading it ends in a result or in one clear line.

The whole campaign is `python tests/bench/fuzz.py`; here are the first of its files.
"""

import tracemalloc
from collections import Counter

import numpy as np
import pytest
from broken_files import MAX_BYTES, READERS, campaign, make_case
from small_files import SHAPE, blank, bombs, whole_files

from cellcutter_core.images.read_image import read_image
from cellcutter_core.label_image import markers_from_points
from cellcutter_core.markers.given_markers import read_markers

pytest.importorskip("resource", reason="memory is limited the way of Unix")


def test_every_end_is_a_result_or_a_clear_line() -> None:
    ends = list(campaign(0, 0, 400))
    assert [number for number, _, _ in ends] == list(range(400))
    assert not [end for end in ends if end[1].startswith("wrong")]
    # Both happen, or this test shows nothing.
    counted = Counter(ended for _, ended, _ in ends)
    assert min(counted["result"], counted["refused"]) > 30


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("long header.npy", "expected 2147483647 bytes got 50"),
        ("long header.npz", "expected 2147483647 bytes got 50"),
        ("long entry.npz", "an impossible size of 'image.npy'"),
        ("short entry.npz", "an impossible size of 'image.npy'"),
        ("long entry.zarr.zip", "an impossible size of '0/.zarray'"),
        ("bz2 bomb.npz", "a method that is not supported .number 12.; pack it again"),
    ],
)
def test_no_memory_is_taken_for_what_a_header_promises(
    tmp_path, monkeypatch, name, message
) -> None:
    monkeypatch.setenv("CELLCUTTER_IMAGE_LIMIT", str(MAX_BYTES))
    path = tmp_path / name
    path.write_bytes(bombs()[name])
    for read in READERS.values():
        tracemalloc.start()
        try:
            with pytest.raises(ValueError, match=message):
                read(path)
            assert tracemalloc.get_traced_memory()[1] < 5e6
        finally:
            tracemalloc.stop()


def test_a_case_is_the_same_every_time() -> None:
    assert make_case(3, 500) == make_case(3, 500) != make_case(4, 500)


def test_whole_files_are_read(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("CELLCUTTER_IMAGE_LIMIT", str(MAX_BYTES))
    for name, data in whole_files().items():
        path = tmp_path / name
        path.write_bytes(data)
        plane = {"z": 1, "t": 0} if "stack" in name else {"t": 1} if "animated" in name else {}
        if name == "several.h5":
            plane = {"scene": "a/gray16"}
        # Labels are no image to segment.
        kinds = {"points": "markers", "plain.txt": "markers", "labels": "labels"}
        reader = next((kinds[start] for start in kinds if name.startswith(start)), "image")
        READERS[reader](path, **plane)


def test_an_array_called_data_is_an_image(tmp_path) -> None:
    # Only with six channels it is of the paper's layout.
    np.savez(tmp_path / "a.npz", data=np.arange(600).reshape(SHAPE))
    assert read_image(tmp_path / "a.npz").shape == SHAPE


@pytest.mark.parametrize("name", ["points", "row"])
def test_a_message_begins_with_the_name_of_the_file(tmp_path, name) -> None:
    # Also where it would begin with that word without it.
    (tmp_path / name).write_text("row,col\n")
    with pytest.raises(ValueError, match=f"^{name}: points is empty"):
        read_markers(tmp_path / name, blank(SHAPE))


@pytest.mark.parametrize(
    ("name", "shown"),
    [("esc\x1b[31m.tif", "esc�[31m.tif"), ("bytes\udcff.tif", "bytes�.tif"), ("µm 細.tif",) * 2],
)
def test_a_name_that_a_terminal_would_obey(tmp_path, name, shown) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ValueError, match="not an image") as caught:
        read_image(tmp_path / name)
    assert str(caught.value).startswith(f"{shown}: ")


def test_many_points_take_little_memory(tmp_path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"row,col\n" + b"1,2\n" * 200_000)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="in the same pixel as another"):
            read_markers(path, blank(SHAPE))
        # Of 200,000 lists of two texts it was 60 MB and more.
        assert tracemalloc.get_traced_memory()[1] < 30e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("points", ["1e300,1\n-1e300,5\n", "9" * 300 + ",1\n"])
def test_points_far_away(tmp_path, points) -> None:
    (tmp_path / "a.csv").write_text("row,col\n" + points)
    with pytest.raises(ValueError, match=r"^a\.csv: points: . of . lie outside"):
        read_markers(tmp_path / "a.csv", blank(SHAPE))


def test_a_decimal_comma_between_tabs(tmp_path) -> None:
    (tmp_path / "a.txt").write_text("row\tcol\n2,4\t3\n")
    found = read_markers(tmp_path / "a.txt", blank(SHAPE))
    np.testing.assert_array_equal(found, markers_from_points([(2, 3)], SHAPE))
