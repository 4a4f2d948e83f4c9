"""Label images whose cells have every form that is hard to outline, and a filling to check by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_DRAWN = {
    "pixel": ["1"],
    "bar": ["0110"],
    "hole": ["111", "101", "111"],
    "holes that touch at a corner": ["1111", "1011", "1101", "1111"],
    "hole that touches the outside": ["1110", "1011", "1111"],
    "ends that meet at a corner": ["0111", "1001", "1101", "0010", "1110"],
    "ring closed by corners alone": ["010", "101", "010"],
    "pieces": ["1101", "0000", "1111"],
    "piece in a hole": ["11111", "10001", "10101", "10001", "11111"],
    "cell in a hole": ["11111", "12221", "12021", "12221", "11111"],
    "neighbours": ["1122", "1322", "3332"],
    "ids with gaps": ["0090", "0990", "2000"],
}

IMAGES: dict[str, NDArray[np.int64]] = {
    **{name: np.array([list(map(int, row)) for row in rows]) for name, rows in _DRAWN.items()},
    **{
        f"noise of {n}": np.random.default_rng(n).integers(0, n, (23, 31), dtype=np.int64)
        for n in (2, 3, 9)
    },
}


def filled(rings: list[NDArray[np.int32]], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Even-odd filling of (row, col) corners: every upright edge turns over what is right of it."""
    inside = np.zeros(shape, bool)
    for ring in rings:
        for (row, col), (next_row, next_col) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            assert (row == next_row) != (col == next_col), "an edge runs along a row or a column"
            inside[min(row, next_row) : max(row, next_row), col:] ^= True
    return inside
