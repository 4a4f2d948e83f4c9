"""Pieces of nuclei to nuclei: which neighbouring pieces belong together.

An image is first cut into more pieces than it has nuclei, so that no two nuclei share one. Pieces
are then joined, best pair first, as long as the pair looks more like one nucleus than like two: by
the shape that comes out, by how deep the valley between them is, and by how narrow their neck is.
After Lin et al. (2005), Cytometry A 63, 20-33, who merge the basins of a watershed by a model of
the object; here the model is an ellipse, whose moments are sums over its pieces.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cellcutter_core.images.local_contrast import Labels, LocalContrast

Floats = NDArray[np.float64]

# How much each observation on two neighbouring pieces speaks for one nucleus (positive) or for two.
# Chosen on pairs of pieces of the development images (also reduced, enlarged, blurred and noisy)
# whose truth is known, by a logistic regression, and rounded. Chosen without any one of the three
# sources of images, the pairs of that source are ordered nearly as well (area under the curve 0.93
# to 0.95 against 0.95 to 0.98 when chosen on it alone). Size counts most: a quarter less of it
# joins too much, a quarter more splits too much.
EVIDENCE = {
    "always": 2.0,
    "more_elliptic": 6.5,
    "valley": -4.0,
    "step": -7.0,
    "size": -4.5,
    "contact": 0.5,
    "neck": 2.75,
    "smaller": 4.2,
}

# Joining is over long before this; it is a bound against endless loops.
MOST_ROUNDS = 200


def moments(labels: Labels) -> Floats:
    """(n + 1, 6): for each label from 0 its area and the sums of r, c, r², c² and r·c."""
    n = int(labels.max()) + 1
    rows, cols = np.nonzero(labels)
    ids = labels[rows, cols]
    r, c = rows.astype(np.float64), cols.astype(np.float64)
    sums = (np.bincount(ids, w, minlength=n) for w in (r, c, r * r, c * c, r * c))
    return np.stack([np.bincount(ids, minlength=n).astype(np.float64), *sums], axis=-1)


def ellipticity(moment: Floats) -> Floats:
    """Area of a region over the area of the ellipse that has the region's second moments.

    1 for a filled ellipse whatever its axes, 0.89 for two discs that touch, less for anything
    more ragged; 0 for an empty region.

    Parameters
    ----------
    moment : (..., 6)
        As `moments` gives them; those of a union are the sums of those of its parts.
    """
    area = np.maximum(moment[..., 0], 1)
    row, col = moment[..., 1] / area, moment[..., 2] / area
    # A pixel is a square, not a point: 1/12 is its own variance.
    row_row = moment[..., 3] / area - row**2 + 1 / 12
    col_col = moment[..., 4] / area - col**2 + 1 / 12
    row_col = moment[..., 5] / area - row * col
    determinant = np.maximum(row_row * col_col - row_col**2, 1e-12)
    return np.asarray(moment[..., 0] / (4 * np.pi * np.sqrt(determinant)), np.float64)


def join_pieces(pieces: Labels, contrast: LocalContrast) -> Labels:
    """Join pieces to nuclei.

    Parameters
    ----------
    pieces : (H, W) int32
        Each piece within one nucleus, 0 for background.
    contrast : LocalContrast
        Of the image that the pieces are of.

    Returns
    -------
    (H, W) int32
        Each pixel has the number of one of the pieces of its nucleus.
    """
    graph = _Graph(pieces, contrast)
    for _ in range(MOST_ROUNDS):
        if not graph.join_best_pairs():
            break
    return graph.owner[pieces]


class _Graph:
    """Regions with what joining needs to know of them, and every pair of neighbours."""

    def __init__(self, pieces: Labels, contrast: LocalContrast) -> None:
        self.diameter = contrast.diameter
        self.owner = np.arange(int(pieces.max()) + 1, dtype=np.int32)
        self.moments = moments(pieces)
        self.plateau = contrast.plateaus(pieces)
        depth = ndimage.distance_transform_edt(pieces > 0)
        self.depth = np.zeros(len(self.owner))
        np.maximum.at(self.depth, pieces.ravel(), depth.ravel())
        firsts, seconds, heights, depths = [], [], [], []
        for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
            a, b = pieces[one], pieces[other]
            touch = (a != b) & (a > 0) & (b > 0)
            firsts.append(a[touch])
            seconds.append(b[touch])
            heights.append((contrast.height[one][touch] + contrast.height[other][touch]) / 2)
            depths.append(np.maximum(depth[one][touch], depth[other][touch]))
        first = np.concatenate(firsts)
        self._group(
            first,
            np.concatenate(seconds),
            np.ones(len(first)),
            np.concatenate(heights).astype(np.float64),
            np.concatenate(depths),
        )

    def _group(
        self,
        a: NDArray[np.int32],
        b: NDArray[np.int32],
        length: Floats,
        height: Floats,
        depth: Floats,
    ) -> None:
        """Make one pair of all entries for the same two regions."""
        n = len(self.owner)
        key = np.minimum(a, b).astype(np.int64) * n + np.maximum(a, b)
        pairs, entry = np.unique(key, return_inverse=True)
        self.a, self.b = (pairs // n).astype(np.int32), (pairs % n).astype(np.int32)
        # Of the line of contact: its length, the sum of the heights along it, its deepest point.
        self.length = np.bincount(entry, length, minlength=len(pairs))
        self.height = np.bincount(entry, height, minlength=len(pairs))
        self.neck = np.zeros(len(pairs))
        np.maximum.at(self.neck, entry, depth)

    def _evidence(self) -> Floats:
        """For each pair: positive where it looks like one nucleus."""
        a, b = self.a, self.b
        area_a, area_b = self.moments[a, 0], self.moments[b, 0]
        area = area_a + area_b
        shape = ellipticity(self.moments)
        apart = (shape[a] * area_a + shape[b] * area_b) / area
        smaller = 2 * np.sqrt(np.minimum(area_a, area_b) / np.pi)
        dim = np.maximum(np.minimum(self.plateau[a], self.plateau[b]), 1e-12)
        bright = np.maximum(np.maximum(self.plateau[a], self.plateau[b]), 1e-12)
        between = self.height / self.length
        seen = {
            "always": 1.0,
            "more_elliptic": ellipticity(self.moments[a] + self.moments[b]) - apart,
            "valley": np.clip(1 - between / dim, -1, 1),
            "step": np.clip(1 - between / bright, -1, 1),
            "size": 2 * np.sqrt(area / np.pi) / self.diameter,
            "contact": np.minimum(self.length / smaller, 3),
            "neck": self.neck / np.maximum(np.minimum(self.depth[a], self.depth[b]), 0.5),
            "smaller": np.minimum(smaller / self.diameter, 0.5),
        }
        return np.asarray(sum(EVIDENCE[name] * value for name, value in seen.items()))

    def join_best_pairs(self) -> bool:
        """Join all pairs that are each other's best choice; False if there is none left."""
        if not len(self.a):
            return False
        evidence = self._evidence()
        best = np.full(len(self.owner), -np.inf)
        np.maximum.at(best, self.a, evidence)
        np.maximum.at(best, self.b, evidence)
        mutual = (evidence > 0) & (evidence >= best[self.a]) & (evidence >= best[self.b])
        into = np.arange(len(self.owner), dtype=np.int32)
        taken = np.zeros(len(self.owner), dtype=bool)
        for a, b in zip(self.a[mutual], self.b[mutual], strict=True):
            # Equal evidence can make a region part of two best pairs: the first one counts.
            if not taken[a] and not taken[b]:
                taken[a] = taken[b] = True
                into[b] = a
        gone = np.flatnonzero(into != np.arange(len(into)))
        if not len(gone):
            return False
        kept = into[gone]
        area, gone_area = self.moments[kept, 0], self.moments[gone, 0]
        self.plateau[kept] = (self.plateau[kept] * area + self.plateau[gone] * gone_area) / (
            area + gone_area
        )
        self.moments[kept] += self.moments[gone]
        self.depth[kept] = np.maximum(self.depth[kept], self.depth[gone])
        self.owner = into[self.owner]
        a, b = into[self.a], into[self.b]
        apart = a != b
        self._group(a[apart], b[apart], self.length[apart], self.height[apart], self.neck[apart])
        return True
