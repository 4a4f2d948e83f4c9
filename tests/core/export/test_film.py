"""The film plays everywhere: its frames, times and colours as Pillow reads them back."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from cellcutter_core.export.formats.film import film
from cellcutter_core.simulation.sample import sample
from cellcutter_core.view.render import composite, overlay


@pytest.fixture(scope="module")
def pictures() -> list[NDArray[np.uint8]]:
    """Cells that appear by and by; twice the same in the middle."""
    image = sample((160, 200))
    assert image.truth is not None
    gray = composite(image.pixels)
    return [overlay(gray, np.where(image.truth <= n, image.truth, 0)) for n in (0, 5, 5, 12, 30)]


def played(content: bytes) -> tuple[list[NDArray[np.uint8]], list[int]]:
    with Image.open(io.BytesIO(content)) as gif:
        assert gif.format == "GIF"
        assert gif.info["loop"] == 0
        frames = [
            (np.asarray(frame.convert("RGB")), frame.info["duration"])
            for frame in ImageSequence.Iterator(gif)
        ]
    return [frame for frame, _ in frames], [duration for _, duration in frames]


def test_a_frame_for_each_epoch_and_the_last_is_held(pictures) -> None:
    frames, durations = played(film([(f"epoch {n}", p) for n, p in enumerate(pictures)]))
    assert durations == [500, 500, 500, 500, 2500]
    for frame, picture in zip(frames, pictures, strict=True):
        # Twice as large, with a strip beneath.
        assert frame.shape == (320 + 26, 400, 3)
        shown = frame[:320].reshape(160, 2, 200, 2, 3)
        np.testing.assert_array_equal(shown[:, 0, :, 0], shown[:, 1, :, 1])
        error = np.abs(shown[:, 0, :, 0].astype(int) - picture)
        assert error.mean() < 3
    bars = [
        (np.abs(frame[321].astype(int) - (240, 228, 66)).sum(axis=1) < 60).sum() for frame in frames
    ]
    assert bars == [80, 160, 240, 320, 400]


def test_a_long_film_of_a_large_image_is_fast_and_shrunk(pictures) -> None:
    large = np.tile(pictures[-1], (5, 5, 1))
    frames, durations = played(film([(f"epoch {n}", np.roll(large, n % 2)) for n in range(60)]))
    assert frames[0].shape == (720 * 800 // 1000 + 26, 720, 3)
    assert durations == [100] * 59 + [2500]


def test_what_stays_is_not_stored_again(pictures) -> None:
    """Even where opposite corners change."""
    frames = [pictures[-1].copy() for _ in range(20)]
    for number, frame in enumerate(frames):
        frame[:10, :10] = frame[-10:, -10:] = 10 * number
    assert len(film([("a", frame) for frame in frames])) < 2 * len(film([("a", frames[0])]))


def test_the_same_bytes_every_time(pictures) -> None:
    named = [("a", picture) for picture in pictures]
    assert film(named) == film(named)


def test_what_is_no_film(pictures) -> None:
    with pytest.raises(ValueError, match="no frame"):
        film([])
    with pytest.raises(ValueError, match="differ in size"):
        film([("a", pictures[0]), ("b", np.zeros((500, 500, 3), np.uint8))])
