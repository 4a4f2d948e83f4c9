"""Images of a tissue under random stains and microscopes, more varied than in nature.

A network taught on images that vary this much treats a real image as one more variation. This is
domain randomisation, as in SynthSeg (Billot et al., Medical Image Analysis 2023) for brain scans
and AnyStar (Dey et al., WACV 2024) for nuclei. Everything is computed for all cells at once from
maps of distances, in time linear in the number of pixels. Coordinates are (row, col), lengths are
in pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import expand_labels

from cellcutter_core.label_image import distance_inside
from cellcutter_core.simulation.optics import phase_contrast, step
from cellcutter_core.simulation.shapes import Bools, Floats, Labels, smooth_noise
from cellcutter_core.simulation.tissue import Tissue

Stain = Literal["cytoplasm", "cortex", "membrane", "nuclei", "phase"]

TILE = 256  # side of the texture tiles from which every cell takes its own piece


def light_of(tissue: Tissue, stain: Stain, *, rng: np.random.Generator) -> Floats:
    """Light of a stained tissue before lens and camera.

    Parameters
    ----------
    tissue : Tissue
    stain : {"cytoplasm", "cortex", "membrane", "nuclei", "phase"}
        What is stained: the body of cells; their cortex, as actin does; their outline around a
        dark inside; the whole object, like a nucleus; or nothing, in phase contrast.
    rng : numpy.random.Generator
        Source of all randomness.

    Returns
    -------
    (H, W) float array
        About 1 in a typical cell.
    """
    if stain == "phase":
        return phase_contrast(_height(_Maps(tissue, rng=rng), rng=rng), rng=rng)
    draw = {"nuclei": _chromatin}.get(stain, partial(_body, stain=stain))
    over = rng.choice([0, rng.uniform(0.5, 5)], p=[0.6, 0.4])
    if not over:
        return _shining(_Maps(tissue, rng=rng), draw, rng=rng)
    # Translucent cells overlap: draw one half of the cells, then the other, each grown a little.
    half, seed = rng.random(len(tissue.direction) + 1) < 0.5, rng.integers(2**32)
    total = np.zeros(tissue.cells.shape)
    for chosen in (half, ~half):
        spread = expand_labels(np.where(chosen[tissue.cells], tissue.cells, 0), over)
        part = replace(tissue, cells=np.where(tissue.cells > 0, spread, 0))
        # The same seed, so that both halves have the same stain and each cell its brightness.
        again = np.random.default_rng(seed)
        total += _shining(_Maps(part, rng=again), draw, rng=again)
    return total


def _shining(maps: _Maps, draw: Callable[..., Floats], *, rng: np.random.Generator) -> Floats:
    return draw(maps, rng=rng) * maps.brightness(rng=rng)


class _Maps:
    """Distances and textures of a tissue, each (H, W)."""

    def __init__(self, tissue: Tissue, *, rng: np.random.Generator) -> None:
        self.cells: Labels = tissue.cells
        self.inside: Bools = tissue.cells > 0
        self.n = len(tissue.direction) + 1
        self.rounded = np.concatenate([[False], tissue.rounded])
        self.depth: Floats = np.where(self.inside, distance_inside(tissue.cells) - 0.5, 0)
        nuclei = tissue.nuclei > 0
        self.to_nucleus: Floats = ndimage.distance_transform_edt(~nuclei)
        self.nucleus_depth: Floats = np.where(
            nuclei, ndimage.distance_transform_edt(nuclei) - 0.5, 0.5 - self.to_nucleus
        )
        # Distance to empty ground. A pixel nearer to that than to a neighbour is at a free edge.
        self.to_ground: Floats = ndimage.distance_transform_edt(self.inside)
        self._origin = rng.integers(0, TILE, (self.n, 2))

    def each(self, values: Floats) -> Floats:
        """(H, W): the value of each cell on all its pixels."""
        return values[self.cells]

    def texture(self, scale: float | tuple[float, float], *, rng: np.random.Generator) -> Floats:
        """Noise of mean 0 and standard deviation 1; each cell has a different piece of it."""
        tile = smooth_noise((TILE, TILE), scale, rng=rng)
        # Fibres run in one direction within a cell, which differs between cells.
        both = np.stack([tile, tile.T])
        rows, cols = np.indices(self.cells.shape)
        origin = self._origin[self.cells]
        turned = (self._origin[:, 0] % 2)[self.cells]
        row, col = (rows + origin[..., 0]) % TILE, (cols + origin[..., 1]) % TILE
        return np.asarray(both[turned, row, col])

    def brightness(self, *, rng: np.random.Generator) -> Floats:
        """Brightness, which varies from cell to cell and from region to region."""
        values = rng.lognormal(0, rng.uniform(0.05, 0.6), self.n)
        values *= np.where(self.rounded, rng.uniform(1, 4, self.n), 1)
        values *= np.where(rng.random(self.n) < 0.03, rng.uniform(1.5, 3, self.n), 1)
        regions = smooth_noise(self.cells.shape, rng.uniform(40, 160), rng=rng)
        return self.each(values) * np.exp(rng.uniform(0, 0.4) * regions)


def _spread_of(low: float, high: float, n: int, *, rng: np.random.Generator) -> Floats:
    """A value for each of n cells, around one random value for the whole tissue."""
    middle = rng.uniform(low, high)
    return np.clip(middle * rng.lognormal(0, rng.uniform(0, 0.5), n), low / 2, high * 1.5)


def _grain(maps: _Maps, *, rng: np.random.Generator) -> Floats:
    """Texture with values around 1."""
    grain = 1 + rng.uniform(0, 0.35) * maps.texture(rng.uniform(1, 2.5), rng=rng)
    grain += rng.uniform(0, 0.3) * maps.texture(rng.uniform(3, 9), rng=rng)
    if rng.random() < 0.5:
        length, width = rng.uniform(8, 20), rng.uniform(1.1, 2)
        grain += rng.uniform(0, 0.4) * maps.texture((length, width), rng=rng)
    return np.maximum(grain, 0.15)


def _body(maps: _Maps, *, stain: Stain, rng: np.random.Generator) -> Floats:
    """Light of cell bodies: plasm, cortex and bright grains."""
    n, depth = maps.n, maps.depth
    ruffle = maps.texture(rng.uniform(4, 9), rng=rng)
    depth = depth + rng.uniform(0, 0.8) * ruffle
    floor, rise = rng.uniform(0.1, 0.9), maps.each(_spread_of(2, 14, n, rng=rng))
    plasm = floor + (1 - floor) * (1 - np.exp(-np.maximum(depth, 0) / rise))
    plasm *= _grain(maps, rng=rng)
    # The dye gathers around the nucleus, fades towards the rim, and may be weaker in the nucleus.
    around = np.exp(-((np.minimum(maps.nucleus_depth, 0) / rng.uniform(3, 12)) ** 2))
    plasm *= 1 + maps.each(rng.uniform(0, rng.uniform(0, 1.5), n)) * around
    shadow = maps.each(rng.uniform(-0.3, rng.uniform(0, 0.8), n))
    plasm *= 1 - shadow * step(maps.nucleus_depth, rng.uniform(0.5, 2))
    if rng.random() < 0.25:
        bubbles = maps.texture(rng.uniform(3, 6), rng=rng)
        plasm *= 1 - rng.uniform(0.3, 0.8) * step(bubbles - rng.uniform(1, 1.8), 0.1)

    amount = {"cytoplasm": (0.0, 0.25), "cortex": (0.3, 2.0), "membrane": (0.8, 3.0)}[stain]
    strength = maps.each(rng.uniform(*amount) * rng.lognormal(0, rng.uniform(0, 0.6), n))
    # A free edge is weaker or stronger than the border of two cells, where two cortices meet.
    free = step(maps.depth + rng.uniform(1, 3) - maps.to_ground, 0.8)
    strength = strength * (1 + (rng.uniform(0.2, 1.5) - 1) * free)
    patchy = np.maximum(1 + rng.uniform(0, 0.6) * ruffle, 0.05)
    if rng.random() < 0.4:
        patchy *= step(maps.texture(rng.uniform(5, 12), rng=rng) + rng.uniform(0, 2), 0.2)
    width = rng.uniform(0.6, 1.9)
    cortex = strength * patchy * np.exp(-(((depth - rng.uniform(0.2, 1.6)) / width) ** 2) / 2)
    if stain == "membrane":
        plasm *= rng.uniform(0, 0.25)
    elif rng.random() < 0.2:
        plasm *= rng.uniform(0.2, 0.6)
    grains = np.maximum(maps.texture(rng.uniform(1.2, 2.4), rng=rng) - rng.uniform(1.4, 2.4), 0)
    light = plasm + cortex + rng.choice([0, 0.3, 1.2], p=[0.5, 0.35, 0.15]) * grains
    return np.where(maps.inside, light, 0)


def _chromatin(maps: _Maps, *, rng: np.random.Generator) -> Floats:
    """Light of nuclei: flat or domed, mottled, with nucleoli."""
    floor = rng.uniform(0.2, 0.95)
    dome = floor + (1 - floor) * (1 - np.exp(-np.maximum(maps.depth, 0) / rng.uniform(2, 8)))
    light = dome * _grain(maps, rng=rng)
    spots = maps.texture(rng.uniform(1.6, 4), rng=rng)
    light *= 1 - rng.uniform(0, 0.6) * step(spots - rng.uniform(1, 2), 0.2)
    light *= 1 + rng.uniform(0, 0.8) * step(-spots - rng.uniform(1.2, 2.2), 0.2)
    return np.where(maps.inside, light, 0)


def _height(maps: _Maps, *, rng: np.random.Generator) -> Floats:
    """Optical height of cells: domes with nuclei and granules."""
    tall = maps.each(rng.lognormal(0, 0.3, maps.n) * np.where(maps.rounded, 3, 1))
    dome = 1 - np.exp(-np.maximum(maps.depth, 0) / rng.uniform(2, 9))
    granules = 1 + rng.uniform(0, 0.3) * maps.texture(rng.uniform(1.2, 2.5), rng=rng)
    nucleus = rng.uniform(0, 0.5) * step(maps.nucleus_depth, 0.8)
    return np.where(maps.inside, rng.uniform(0.5, 1.5) * tall * dome * granules + nucleus, 0)


def seen_through(light: Floats, *, rng: np.random.Generator) -> NDArray[np.float32]:
    """What a camera records through a lens, in random quality from excellent to poor.

    Simulates blur, cells out of focus, haze, uneven illumination and background, a magnification
    too low for the detail, noise, gamma, saturation and 8 bits.

    Parameters
    ----------
    light : (H, W) float array
    rng : numpy.random.Generator

    Returns
    -------
    (H, W) float32 array
        Counts of at least 0, on a scale that differs from image to image.
    """
    shape = light.shape
    focus = step(smooth_noise(shape, rng.uniform(50, 200), rng=rng), 0.6)
    sharp = rng.uniform(0.3, 1.2)
    image = focus * ndimage.gaussian_filter(light, sharp)
    image += (1 - focus) * ndimage.gaussian_filter(light, sharp + rng.uniform(0, 1.2))
    if rng.random() < 0.3:  # another layer of cells, out of focus
        shift = rng.integers(8, 60, 2)
        other = np.roll(light, shift, (0, 1))[:: rng.choice([-1, 1])]
        image += rng.uniform(0, 0.5) * ndimage.gaussian_filter(other, rng.uniform(3, 9))
    haze = ndimage.gaussian_filter(light, rng.uniform(8, 30), mode="nearest", truncate=2)
    image += rng.choice([0, rng.uniform(0, 0.2), rng.uniform(0.1, 0.5)]) * haze
    image += rng.uniform(0, 0.2) * np.exp(0.5 * smooth_noise(shape, rng.uniform(60, 200), rng=rng))
    image *= _illumination(shape, rng=rng)
    if rng.random() < 0.35:  # as if recorded with fewer pixels per cell
        image = _coarse(image, rng.uniform(0.25, 0.9), rng=rng)
    else:
        image = _noisy(image, rng=rng)
    image = np.maximum(image, 0)
    top = np.quantile(image, 0.999) + 1e-9
    if rng.random() < 0.15:
        image = np.minimum(image, np.quantile(image, rng.uniform(0.9, 0.99)))
    if rng.random() < 0.3:
        image = top * (image / top) ** rng.uniform(0.6, 1.6)
    levels = 255 if rng.random() < 0.3 else 10.0 ** rng.uniform(3, 4.5)
    return np.asarray(np.rint(np.minimum(levels * image / top, 1.5 * levels)), np.float32)


def _illumination(shape: tuple[int, ...], *, rng: np.random.Generator) -> Floats:
    strength = rng.choice([0, rng.uniform(0, 0.7)])
    rows, cols = (((np.arange(n) / n) - rng.uniform(0.2, 0.8)) ** 2 for n in shape)
    falling: Floats = np.maximum(1 - strength * 2 * (rows[:, None] + cols[None, :]), 0.2)
    return falling


def _noisy(image: Floats, *, rng: np.random.Generator) -> Floats:
    """Add shot noise and read noise; either may dominate."""
    shot, read = 10.0 ** rng.uniform(-3.5, -1.2), 10.0 ** rng.uniform(-3, -1.1)
    noise = np.sqrt(shot * np.maximum(image, 0) + read**2)
    return np.asarray(image + noise * rng.standard_normal(image.shape))


def _coarse(image: Floats, zoom: float, *, rng: np.random.Generator) -> Floats:
    """Record the image with fewer pixels, and enlarge it again."""
    from skimage.transform import resize

    small = tuple(max(round(n * zoom), 8) for n in image.shape)
    recorded = _noisy(resize(image, small, order=1, anti_aliasing=True), rng=rng)
    return np.asarray(resize(recorded, image.shape, order=1), np.float64)
