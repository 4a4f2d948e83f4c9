"""Images a tissue in the three channels of the built-in sample.

First the light is computed (1 is a typical cell), then lens and camera are applied. Coordinates are
(row, col), lengths are in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cellcutter_core.label_image import distance_inside
from cellcutter_core.simulation.shapes import Bools, Floats, smooth_noise
from cellcutter_core.simulation.tissue import Tissue

MARGIN = 6  # pixels around a cell that its light still reaches
TILE = 320  # side of the texture tiles from which every cell takes its own piece


def micrograph(tissue: Tissue, *, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Fluorescence, bright field and nucleus channel of a tissue.

    Parameters
    ----------
    tissue : Tissue
        Cells and nuclei, (H, W).
    rng : numpy.random.Generator
        Source of all randomness.

    Returns
    -------
    (H, W, 3) uint16 array
    """
    cell_rng, debris_rng, *channel_rngs = rng.spawn(5)
    body, height, dna = _draw_cells(tissue, rng=cell_rng)
    _scatter_debris(dna, body, rng=debris_rng)
    dna += 0.035 * body  # stain outside of nuclei
    channels = (
        _camera(_lens(body, rng=channel_rngs[0]), 260, rng=channel_rngs[0]),
        _camera(phase_contrast(height, rng=channel_rngs[1]), 1500, rng=channel_rngs[1]),
        _camera(_lens(dna, rng=channel_rngs[2]), 700, rng=channel_rngs[2]),
    )
    return np.stack(channels, axis=-1)


@dataclass(frozen=True, eq=False)
class _Textures:
    """Noise tiles (TILE, TILE) of mean 0; `fibres` run along the rows axis."""

    fine: Floats
    coarse: Floats
    fibres: Floats
    spots: Floats


def _textures(*, rng: np.random.Generator) -> _Textures:
    shape = (TILE, TILE)
    fine = 0.7 * smooth_noise(shape, 1.7, rng=rng) + 0.7 * smooth_noise(shape, 3.3, rng=rng)
    fibres = smooth_noise(shape, (18, 1.6), rng=rng) + 0.6 * smooth_noise(shape, (8, 1.2), rng=rng)
    spots = np.maximum(smooth_noise(shape, 1.8, rng=rng) - 1.9, 0)
    return _Textures(fine, smooth_noise(shape, 7, rng=rng), fibres, spots)


@dataclass(frozen=True, eq=False)
class _View:
    """One cell in its window: signed distances to its outlines, positive inside."""

    depth: Floats
    nucleus_depth: Floats
    rows: Floats  # from the middle of the window, along its long axis
    cols: Floats
    rounded: bool


def _draw_cells(tissue: Tissue, *, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Light of the cell bodies, optical height, and light of the nuclei, each (H, W)."""
    textures = _textures(rng=rng)
    layers = np.zeros((3, *np.add(tissue.cells.shape, 2 * MARGIN)))
    # Cells spread over each other but not over empty ground, where the truth is their outline.
    ground = np.pad(ndimage.distance_transform_edt(tissue.cells == 0), MARGIN, mode="edge")
    tissue_edge = step(0.8 - ground, 0.4)
    # A cell cut by the image border continues beyond it.
    cells, nuclei = (np.pad(a, MARGIN, mode="edge") for a in (tissue.cells, tissue.nuclei))
    inside, nucleus_inside = distance_inside(cells), distance_inside(nuclei)

    for k, box in enumerate(ndimage.find_objects(tissue.cells)):
        outer = tuple(slice(s.start, s.stop + 2 * MARGIN) for s in box)
        angle = tissue.direction[k]
        rows, cols = (np.arange(s.stop - s.start) - (s.stop - s.start - 1) / 2 for s in outer)
        view = _View(
            _signed(cells[outer] == k + 1, inside[outer]),
            _signed(nuclei[outer] == k + 1, nucleus_inside[outer]),
            np.cos(angle) * rows[:, None] + np.sin(angle) * cols,
            np.cos(angle) * cols - np.sin(angle) * rows[:, None],
            bool(tissue.rounded[k]),
        )
        layers[0][outer] += tissue_edge[outer] * _cytoplasm(view, textures, rng=rng)
        layers[1][outer] += tissue_edge[outer] * _height(view, textures, rng=rng)
        layers[2][outer] += _nucleus(view, textures, rng=rng)
    body, height, dna = (layer[MARGIN:-MARGIN, MARGIN:-MARGIN] for layer in layers)
    return body, height, dna


def _signed(region: Bools, inside: Floats) -> Floats:
    """Distance to the outline of a region, positive inside, 0 half way between two pixels."""
    return np.where(region, inside - 0.5, 0.5 - ndimage.distance_transform_edt(~region))


def _piece(tile: Floats, view: _View, *, rng: np.random.Generator) -> Floats:
    """A random piece of a texture tile, as large as the window."""
    height, width = view.depth.shape
    row, col = rng.integers(0, (TILE - height, TILE - width))
    return tile[row : row + height, col : col + width]


def _fibres(textures: _Textures, view: _View, *, rng: np.random.Generator) -> Floats:
    """A random piece of the fibres, turned along the cell."""
    start = rng.uniform(0, TILE, 2)
    at = np.stack([view.rows + start[0], view.cols + start[1]])
    fibres: Floats = ndimage.map_coordinates(textures.fibres, at, order=1, mode="grid-wrap")
    return fibres


def step(distance: Floats, width: float) -> Floats:
    """Smooth step from 0 to 1 where a signed distance passes 0."""
    return 0.5 + 0.5 * np.tanh(distance / (2 * width))


def _cytoplasm(view: _View, textures: _Textures, *, rng: np.random.Generator) -> Floats:
    """Light of one cell body: its plasm, its cortex and a few bright grains."""
    ruffle = _piece(textures.coarse, view, rng=rng)
    # Its edge: drawn back from the neighbour in places, spread over it in others.
    depth = view.depth + rng.uniform(-0.6, 1.6) + 0.8 * ruffle
    brightness = rng.lognormal(0, 0.4) * (rng.uniform(2, 4) if view.rounded else 1)
    if rng.random() < 0.04:
        brightness *= rng.uniform(1.8, 3)

    slope = rng.uniform(-0.4, 0.4) * view.rows / (np.abs(view.rows).max() + 1)
    grain = 1 + 0.2 * _piece(textures.fine, view, rng=rng) + 0.10 * ruffle
    grain += rng.uniform(0, 0.16) * _fibres(textures, view, rng=rng)
    plasm = (0.5 + 0.25 * (1 - np.exp(-np.maximum(depth, 0) / 6))) * (1 + slope)
    plasm *= np.maximum(grain, 0.3)
    # The dye is weaker in the nucleus and stronger around it.
    near_nucleus = np.exp(-((np.minimum(view.nucleus_depth, 0) / 4) ** 2))
    plasm *= 1 + rng.uniform(0, 0.5) * near_nucleus
    plasm *= 1 - rng.uniform(0, 0.6) * step(view.nucleus_depth, 1.0)
    if rng.random() < 0.15:
        bubbles = _piece(textures.coarse, view, rng=rng)
        plasm *= 1 - 0.6 * step(bubbles - 1.5, 0.1)
        plasm += 0.35 * np.exp(-(((bubbles - 1.35) / 0.2) ** 2) / 2)

    low, usual, high = rng.uniform(0.15, 0.4), rng.uniform(0.5, 1.1), rng.uniform(1.0, 1.9)
    strength = rng.choice([low, usual, high], p=[0.2, 0.55, 0.25])
    patchy = np.maximum(0.8 + 0.35 * _piece(textures.coarse, view, rng=rng), 0.1)
    cortex = strength * patchy * np.exp(-(((depth - 1.4) / 1.2) ** 2) / 2)
    grains = rng.choice([0.1, 0.6, 1.6], p=[0.6, 0.3, 0.1]) * _piece(textures.spots, view, rng=rng)
    light: Floats = brightness * step(depth, 0.5) * (plasm + cortex + grains)
    return light


def _height(view: _View, textures: _Textures, *, rng: np.random.Generator) -> Floats:
    """Optical height of one cell: a dome with a nucleus, nucleoli and granules in it."""
    tall = rng.lognormal(0, 0.25) * (3.2 if view.rounded else 1)
    depth = view.depth + rng.uniform(0, 1.6) + 0.6 * _piece(textures.coarse, view, rng=rng)
    dome = 1 - np.exp(-np.maximum(depth, 0) / rng.uniform(2, 7))
    granules = 0.13 * _piece(textures.fine, view, rng=rng)
    granules += 0.4 * np.minimum(_piece(textures.spots, view, rng=rng), 1)
    nucleus = 0.3 * step(view.nucleus_depth, 0.8)
    rim = 0.15 * np.exp(-((view.nucleus_depth / 1.2) ** 2))
    nucleoli = 1.2 * np.minimum(_piece(textures.spots, view, rng=rng), 0.5) * nucleus
    return tall * dome * (1 + granules * (1 - 2 * nucleus) + nucleus + rim + nucleoli)


def _nucleus(view: _View, textures: _Textures, *, rng: np.random.Generator) -> Floats:
    """Light of one nucleus: a flat dome of mottled chromatin with dark dots."""
    brightness = rng.lognormal(0, 0.32) * (rng.uniform(1.8, 3) if view.rounded else 1)
    depth = view.nucleus_depth
    dome = 0.65 + 0.35 * (1 - np.exp(-np.maximum(depth, 0) / 3))
    chromatin = 1 + 0.12 * _piece(textures.fine, view, rng=rng)
    chromatin += 0.12 * _piece(textures.coarse, view, rng=rng)
    chromatin -= np.minimum(_piece(textures.spots, view, rng=rng), 0.5)
    light: Floats = dome * np.maximum(chromatin, 0.3) * step(depth, rng.uniform(0.4, 1.1))
    return brightness * light


def _scatter_debris(dna: Floats, body: Floats, *, rng: np.random.Generator) -> None:
    """Add specks of debris, in place: all to the nucleus channel, half also to the cell bodies."""
    shape = dna.shape
    for _ in range(max(1, dna.size // 16000)):
        centre = rng.uniform(0, shape)
        sigma, light = rng.uniform(0.7, 1.7), rng.uniform(0.2, 1.3)
        low = np.clip(centre - 6, 0, shape).astype(int)
        high = np.clip(centre + 7, 0, shape).astype(int)
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        y, x = np.mgrid[box]
        speck = light * np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / (2 * sigma**2))
        dna[box] += speck
        body[box] += rng.choice([0, 0.8]) * speck


def _lens(light: Floats, *, rng: np.random.Generator) -> Floats:
    """Blur that varies over the field, light from out of focus, uneven illumination."""
    focus = step(smooth_noise(light.shape, 120, rng=rng), 0.6)
    sharp, soft = ndimage.gaussian_filter(light, 0.6), ndimage.gaussian_filter(light, 1.3)
    haze = light
    for _ in range(3):
        haze = ndimage.uniform_filter(haze, 25, mode="nearest")
    image: Floats = focus * sharp + (1 - focus) * soft + 0.09 * haze
    return _illumination(light.shape, rng=rng) * image


def _illumination(shape: tuple[int, ...], *, rng: np.random.Generator) -> Floats:
    """1 at the brightest place, falling off to 0.7 at the furthest corner or above."""
    centre = rng.uniform(0.3, 0.7, 2)
    rows, cols = (((np.arange(n) / n) - c) ** 2 for n, c in zip(shape, centre, strict=True))
    falling: Floats = 0.3 * (rows[:, None] + cols[None, :])
    return 1 - falling


def phase_contrast(height: Floats, *, rng: np.random.Generator) -> Floats:
    """Phase contrast of cells: dark bodies, bright halos, fine edges."""
    near, far = ndimage.gaussian_filter(height, 0.8), height
    for _ in range(2):
        far = ndimage.uniform_filter(far, 13, mode="nearest")
    edges = near - ndimage.gaussian_filter(height, 2.0)
    ground = 1 + 0.02 * smooth_noise(height.shape, 60, rng=rng)
    # A delay of more than half a wave is bright again, so rounded cells shine.
    phase = np.sin(2.0 * (near - far))
    image: Floats = ground - 0.16 * phase - 0.25 * edges
    return _illumination(height.shape, rng=rng) * image


def _camera(light: Floats, exposure: float, *, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Counts over an offset of 200, with shot noise at 2 electrons per count and read noise."""
    counts = exposure * np.maximum(light, 0)
    # Gaussian shot noise takes one random number per pixel whatever the light. So a rounding
    # difference between machines changes only its own pixel.
    counts += np.sqrt(counts / 2 + 8.0**2) * rng.standard_normal(light.shape)
    return np.clip(np.rint(counts + 200), 0, 65535).astype(np.uint16)
