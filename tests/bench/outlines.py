"""Micrographs of stained membranes, drawn from true cells: outlines that have an exact truth."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SIGMA = 1.2
"""Half-width of a line in pixels."""
BACKGROUND, NOISE = 0.1, 0.05
"""Brightness of everything, and the noise's standard deviation. A typical line between two cells
has about 1."""
UNEVEN = (0.5, 1.5)
"""How bright the membrane of the faintest and of the strongest cell is."""
COUNTS = 4000
"""Brightness 1 in the file."""


def draw_outlines(cells: NDArray[Any], *, seed: int = 0) -> NDArray[np.uint16]:
    """Draw a line along the border of every cell.

    Each cell has a membrane of its own, one pixel wide and as bright as chance has it, so where two
    cells touch there are two side by side. Then all is blurred by `SIGMA`, and noise is added.

    Parameters
    ----------
    cells : (H, W) array of integers
        True cells; 0 is background.
    seed : int
        The same cells and seed give the same image.

    Returns
    -------
    (H, W) uint16

    Examples
    --------
    >>> cells = np.repeat([[1] * 20 + [2] * 20], 20, axis=0)
    >>> image = draw_outlines(cells)
    >>> bool(image[10, 19] > 2 * image[10, 10])
    True
    """
    from scipy.ndimage import gaussian_filter
    from skimage.segmentation import find_boundaries

    rng = np.random.default_rng(seed)
    strength = rng.uniform(*UNEVEN, int(cells.max()) + 1)
    membrane = find_boundaries(cells, connectivity=1, mode="inner") & (cells > 0)
    # Two lines of one pixel that are blurred have this height in their middle.
    height = 2 / (SIGMA * np.sqrt(2 * np.pi))
    lines = gaussian_filter(np.where(membrane, strength[cells], 0.0), SIGMA) / height
    image = lines + BACKGROUND + rng.normal(0, NOISE, cells.shape)
    return np.round(COUNTS * np.clip(image, 0, None)).astype(np.uint16)
