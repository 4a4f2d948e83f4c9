"""The whole image of a run on a part: from where it came, read as it was."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from cellcutter_core.choices import sources
from cellcutter_core.choices.choices import Source
from cellcutter_core.choices.sources import (
    is_of_a_part,
    read_somehow,
    read_source,
    whole_image_files,
)
from cellcutter_core.choices.uploads import as_channels, file_of, store_upload
from cellcutter_core.config import QUICK
from cellcutter_core.images.file_sets.channel_files import read_channel_files
from cellcutter_core.images.read_image import read_image
from cellcutter_core.images.reading.contents import TooLarge
from cellcutter_core.runs.description import Description

PIXELS = np.random.default_rng(0).integers(0, 200, (40, 50)).astype(np.uint8)


class Described:
    """Of a run, what it says of itself."""

    def __init__(self, **description: Any) -> None:
        self.description = Description(config=QUICK, **description)


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CELLCUTTER_RUNS", str(tmp_path))
    return tmp_path


def tiff(*planes: np.ndarray, axes: str) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.stack(planes), imagej=True, metadata={"axes": axes})
    return stream.getvalue()


def series(*stacks: np.ndarray, axes: str) -> bytes:
    """An OME-TIFF with an image for each of the stacks."""
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream, ome=True) as tif:
        for stack in stacks:
            tif.write(stack, metadata={"axes": axes})
    return stream.getvalue()


def whole_of(source: Source, **reading: Any) -> np.ndarray:
    """Read as `Trained.read` does: what is chosen here goes before what the run was read with."""
    run: Any = Described(choices={"source": source.model_dump(mode="json")}, reading=reading)
    files, how = whole_image_files(run)
    said = {**reading, **how}
    if len(files) > 1:
        return read_channel_files(files, **said).pixels
    return read_image(files[0], **said).pixels


def test_an_uploaded_file_is_itself() -> None:
    source = store_upload("a.tif", tiff(PIXELS, PIXELS[::-1], axes="ZYX"))
    source = source.replace(z=1, inverted=False)
    np.testing.assert_array_equal(whole_of(source, z=1, inverted=False)[..., 0], PIXELS[::-1])
    run: Any = Described(choices={"source": source.model_dump(mode="json")})
    assert whole_image_files(run) == ([file_of(source)], {"z": 1, "inverted": False})


def test_the_whole_image_has_the_pixel_size_of_the_run() -> None:
    """Which a person may have entered, and an image from an address has in no file."""
    about = {"choices": {"source": {"kind": "sample", "seed": 1}}, "pixel_size": [0.4, 0.2]}
    run: Any = Described(**about)
    files, how = whole_image_files(run)
    assert read_image(files[0], **how).pixel_size == (0.4, 0.2)


def test_an_image_too_large_to_be_read_from_its_address_is_to_be_downloaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def too_large(*_: Any, **__: Any) -> Any:
        raise TooLarge("cut out a region")

    monkeypatch.setattr(sources, "read_image", too_large)
    source = {"kind": "web", "name": "https://example.org/large.zarr"}
    run: Any = Described(choices={"source": source})
    with pytest.raises(ValueError, match=r"large\.zarr is too large .* download it"):
        whole_image_files(run)


@pytest.mark.parametrize("inverted", [False, True])
def test_channels_in_several_files_become_one(inverted: bool) -> None:
    planes = [tiff(p, p // 2, axes="ZYX") for p in (PIXELS, PIXELS[::-1])]
    kept = [store_upload(name, data) for name, data in zip(("a.tif", "b.tif"), planes, strict=True)]
    source = as_channels(kept).replace(z="max", inverted=inverted)
    expected = read_source(source).pixels
    assert expected.shape == (40, 50, 2)
    np.testing.assert_array_equal(whole_of(source, z="max", inverted=inverted), expected)


def test_one_of_several_images_whose_channels_lie_in_several_files() -> None:
    files = [series(p, p.T.reshape(p.shape), axes="YX") for p in (PIXELS, PIXELS[::-1])]
    kept = [store_upload(name, data) for name, data in zip(("a.tif", "b.tif"), files, strict=True)]
    source = as_channels(kept).replace(scene=1, inverted=False)
    expected = read_source(source).pixels
    np.testing.assert_array_equal(expected[..., 0], PIXELS.T.reshape(PIXELS.shape))
    np.testing.assert_array_equal(whole_of(source, scene=1, inverted=False), expected)


STACK = np.stack([PIXELS, PIXELS[::-1], PIXELS[:, ::-1]])


@pytest.mark.parametrize(
    ("data", "expected", "most"),
    [
        (tiff(PIXELS, axes="ZYX"), {}, 1),
        (tiff(*STACK, axes="ZYX"), {"z": "max"}, 3),
        (tiff(*STACK, axes="TYX"), {"t": 0}, 4),
        (tiff(STACK, STACK, axes="TZYX"), {"z": "max", "t": 0}, 4),
        (series(PIXELS, PIXELS[::-1], axes="YX"), {"scene": 0}, 2),
        (series(STACK, STACK, axes="ZYX"), {"scene": 0, "z": "max"}, 3),
        (series(STACK, STACK, axes="TYX"), {"scene": 0, "t": 0}, 4),
        (series(*[STACK[:, None] + STACK] * 2, axes="TZYX"), {"scene": 0, "z": "max", "t": 0}, 4),
        (b"no image", None, 4),
    ],
)
def test_what_is_not_said_is_found_in_few_tries(
    data: bytes, expected: dict[str, Any] | None, most: int
) -> None:
    source, tried = store_upload("a.tif", data), []

    def read(one: Source) -> Any:
        tried.append(one)
        return read_source(one)

    if expected is None:
        with pytest.raises(ValueError, match=r"a\.tif: is not an image"):
            read_somehow(source, read)
    else:
        found, _ = read_somehow(source, read)
        assert found.reading == expected
    assert len(tried) <= most


def test_what_each_of_several_files_needs_is_found() -> None:
    files = [tiff(*STACK, axes="TYX"), tiff(*STACK, axes="ZYX")]
    kept = [store_upload(name, data) for name, data in zip(("a.tif", "b.tif"), files, strict=True)]
    assert read_somehow(as_channels(kept), read_source)[0].reading == {"z": "max", "t": 0}


def test_what_is_said_stays() -> None:
    source = store_upload("a.tif", series(STACK, STACK, axes="ZYX")).replace(scene=1)
    assert read_somehow(source, read_source)[0].reading == {"scene": 1, "z": "max"}
    with pytest.raises(ValueError, match="scene is 2, "):
        read_somehow(source.replace(scene=2), read_source)


def test_what_is_of_a_part() -> None:
    for description, expected in (
        ({"region": [0, 0, 40, 50], "whole": [40, 50]}, False),
        ({"region": [0, 0, 40, 49], "whole": [40, 50]}, True),
        ({"region": [1, 0, 40, 50], "whole": [40, 50]}, True),
        # From the command line, or of an earlier version: nobody knows.
        ({"region": [1, 0, 40, 50]}, False),
        ({}, False),
    ):
        run: Any = Described(choices={}, **description)
        assert is_of_a_part(run) is expected
