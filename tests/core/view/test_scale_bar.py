"""A scale bar is as long as it says, is seen on any picture, and is never in the labels."""

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image as Picture

from cellcutter_core.config import QUICK
from cellcutter_core.export import content
from cellcutter_core.runs.store import Run
from cellcutter_core.training.inputs import Inputs
from cellcutter_core.training.predicted_labels import Prediction
from cellcutter_core.view.scale_bar import bar_length, length_in_words, with_scale_bar


def plain(shape: tuple[int, int], gray: int) -> NDArray[np.uint8]:
    return np.full((*shape, 3), gray, np.uint8)


def longest_white(picture: NDArray[np.uint8]) -> int:
    """Pixels of the longest white run along a row."""
    longest = 0
    for row in (picture == 255).all(axis=2):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(int), [0]])))
        longest = max(longest, *np.diff(edges)[::2].tolist(), 0)
    return longest


@pytest.mark.parametrize(
    ("width", "length"),
    [(100, 20), (99, 20), (200, 50), (150, 20), (500, 100), (1, 0.2), (7e4, 1e4)],
)
def test_it_is_round_and_about_a_fifth(width: float, length: float) -> None:
    assert bar_length(width) == pytest.approx(length)


def test_every_width_has_a_bar_of_an_eighth_to_a_third() -> None:
    for width in np.geomspace(1e-3, 1e6, 500):
        found = bar_length(width)
        assert width / 8 < found < width / 3
        assert f"{found:.0e}"[0] in "125"


def test_units() -> None:
    texts = {1: "1 µm", 200: "200 µm", 0.05: "50 nm", 1000: "1 mm", 0.0005: "0.5 nm"}
    for micrometres, text in texts.items():
        assert length_in_words(micrometres) == text


@pytest.mark.parametrize("gray", [0, 128, 254])
def test_it_is_as_long_as_it_says_and_has_both_colours(gray: int) -> None:
    before = plain((300, 400), gray)
    after = with_scale_bar(before, 0.5)
    # 400 pixels are 200 µm; a bar of 50 µm has 100 pixels.
    assert longest_white(after) == 100
    changed = (after != before).any(axis=2)
    assert 0 < changed.mean() < 0.03
    assert (after[changed] == 0).all(axis=1).any() or gray == 0
    rows, cols = np.nonzero(changed)
    assert rows.min() > 200
    assert cols.min() > 250
    assert (before == gray).all()


def test_without_a_size_or_room_there_is_none() -> None:
    picture = plain((300, 400), 90)
    assert (with_scale_bar(picture, None) == 90).all()
    for shape in ((300, 20), (20, 300), (1, 1)):
        assert (with_scale_bar(plain(shape, 90), 0.5) == 90).all()


def test_it_is_in_overlay_and_borders_and_never_in_the_labels(tmp_path: Path) -> None:
    labels = np.zeros((200, 240), np.int32)
    labels[5:195, 5:235] = 1
    files = {}
    for name, size in (("with", 0.5), ("without", None)):
        inputs = Inputs(np.ones((200, 240, 1), np.float32), labels > 0, np.array([[9.0, 9.0]]))
        run = Run.create(tmp_path / name, inputs, QUICK, description={"pixel_size": size})
        run.add_epoch(1, Prediction(labels, labels * 0, np.zeros(labels.shape, np.float32)))
        for format in ("overlay", "borders", "labels"):
            files[name, format] = content(run, format)
    # 240 pixels are 120 µm, and 20 µm are 40 pixels.
    for format in ("overlay", "borders"):
        one, other = (
            np.asarray(Picture.open(io.BytesIO(files[name, format])).convert("RGB"))
            for name in ("with", "without")
        )
        assert longest_white(one) == 40
        assert longest_white(other) == 0
    for name in ("with", "without"):
        np.testing.assert_array_equal(tifffile.imread(io.BytesIO(files[name, "labels"])), labels)
