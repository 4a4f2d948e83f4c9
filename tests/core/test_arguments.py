"""What a caller gives in place of what is wanted: a line that says what to give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cellcutter_core as core

PIXELS = np.random.default_rng(0).integers(0, 99, (40, 50, 2))
IMAGE = core.Image(PIXELS, ("a", "b"))


def dataset() -> core.Dataset:
    markers = np.zeros((64, 64), int)
    markers[30:34, 30:34] = 1
    return core.Dataset(np.random.default_rng(0).normal(size=(64, 64)), markers, crop_size=32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: core.segment(PIXELS), r"image is an array of shape \(40, 50, 2\).*Image\(array"),
        (lambda: core.segment("a.tif"), r"image is 'a.tif', .*read_image\('a.tif'\)"),
        (lambda: core.segment(Path("a.tif")), r"image is 'a.tif', .*read_image\('a.tif'\)"),
        (lambda: core.segment(None), "image is None"),
        (lambda: core.segment(IMAGE, "quick"), "config is 'quick', .*; give QUICK or PAPER"),
        (lambda: core.prepare(PIXELS, core.QUICK), "image is an array"),
        (lambda: core.prepare(IMAGE, None), "config is None"),
        (lambda: core.segment_together(IMAGE), "images is an object of Image; give a list"),
        (lambda: core.segment_together("a.tif"), "images is 'a.tif'; give a list"),
        (lambda: core.segment_together(["a.tif"]), "image is 'a.tif'"),
        (lambda: core.read_image(PIXELS), "path is an array of shape"),
        (lambda: core.train_self_supervised(dataset(), None), r"network is None, .*UNet4\(bn="),
        (lambda: core.train_self_supervised(dataset(), 30), "network is 30"),
        (lambda: core.train_self_supervised(IMAGE, core.UNet4()), "data is an object of Image"),
        (lambda: core.train_self_supervised(core.UNet4(), dataset()), "data is an object of UNet"),
        (lambda: core.train_self_supervised([PIXELS], core.UNet4()), "data is an array"),
        (lambda: core.Training(dataset(), core.UNet4(), 30), "settings is 30"),
        (lambda: core.draw_label(dataset(), None), "network is None"),
        (lambda: core.draw_border(PIXELS, core.UNet4()), "data is an array"),
        (lambda: core.draw(dataset(), core.UNet4()), "data is an object of UNet"),
        (lambda: core.apply_run("results", IMAGE), r"run is 'results', .*Run\('results'\)"),
        (lambda: core.Image(PIXELS, "ab"), "channels is 'ab'; give a list of 2 names"),
        (lambda: core.Image(PIXELS, None), "channels is None; give a list of 2 names"),
        (lambda: core.Image(PIXELS, ("a", "b"), cell="a"), "cell is 'a', .* number of a channel"),
        (lambda: core.Image(PIXELS, ("a", "b"), cell=None), "cell is None"),
        (lambda: core.Image(PIXELS, ("a", "b"), nucleus="b"), "nucleus is 'b', .*with_roles"),
        (lambda: core.Image(PIXELS, ("a", "b"), nucleus=2), "nucleus is 2; give indices"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_argument_is_said(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        list(call())
    assert "\n" not in str(caught.value)


def test_one_channel_shows_the_cell_without_a_list() -> None:
    for cell in (1, np.int64(1), (1,), [np.uint8(1)]):
        image = core.Image(PIXELS, ["a", "b"], cell=cell, nucleus=np.int16(0))
        assert (image.cell, image.nucleus, image.channels) == ((1,), 0, ("a", "b"))
        assert type(image.cell[0]) is type(image.nucleus) is int
