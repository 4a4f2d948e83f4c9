"""A normalisation is fitted once on the whole image, and scales every part of it alike."""

from __future__ import annotations

import numpy as np
import pytest

from cellcutter_core.images import scaling
from cellcutter_core.images.scaling import Normalisation, logarithms


def noise() -> np.ndarray:
    return np.random.default_rng(0).gamma(2, (100, 7), (40, 50, 2)).astype(np.float32)


def test_a_part_is_scaled_as_in_the_whole() -> None:
    whole, part = noise(), np.s_[5:20, 30:]
    scale = Normalisation.fit(whole)
    np.testing.assert_array_equal(logarithms(whole[part], scale), logarithms(whole)[part])
    np.testing.assert_array_equal(scale.plane(whole[part]), scale.plane(whole)[part])
    assert scale.limits("minmax") == [(c.min(), c.max()) for c in np.moveaxis(whole, -1, 0)]
    expected = np.percentile(whole.astype(float), (0.1, 99.9), axis=(0, 1)).T
    np.testing.assert_array_equal(scale.limits("robust"), expected)


def test_each_statistic_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scale = Normalisation.fit(noise())
    one = scale.of([1])
    np.testing.assert_array_equal(one.mean, scale.mean[1:])
    first = [one.limits("robust"), logarithms(noise()[:9, :, 1:], one)]
    monkeypatch.setattr(scaling, "limits_of", None)
    monkeypatch.setattr(scaling, "_dark", None)
    assert scale.of((1,)) is one
    assert one.limits("robust") is first[0]
    np.testing.assert_array_equal(logarithms(noise()[:9, :, 1:], one), first[1])


def test_of_a_single_channel_the_plane_has_the_same_normalisation() -> None:
    one = Normalisation.fit(noise()[..., 0])
    assert one.of_plane is one
    both = Normalisation.fit(noise())
    np.testing.assert_allclose(both.of_plane.mean, (both.mean / both.spread).sum(), rtol=1e-6)
