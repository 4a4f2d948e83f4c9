"""Joins pieces to nuclei: decides which neighbouring pieces belong together.

An image is first cut into more pieces than it has nuclei, so that no piece spans two nuclei. Pieces
are then joined, best pair first, as long as a pair looks more like one nucleus than like two. This
is judged by the shape of the pair, by the depth of the valley between its pieces, and by the width
of the neck. After Lin et al. (2005), Cytometry A 63, 20-33, who merge the basins of a watershed by
a model of the object; here the model is an ellipse, whose moments are sums over its pieces.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cellcutter_core.images.local_contrast import Labels, LocalContrast

Floats = NDArray[np.float64]

# Weights of the features of two neighbouring pieces: positive for one nucleus, negative for two.
# They come from a logistic regression, rounded, on pairs of pieces with known truth from the
# development images (also reduced, enlarged, blurred and noisy). Fitted without one of the three
# sources of images, they order the pairs of that source nearly as well: area under the curve 0.93
# to 0.95, against 0.95 to 0.98 when fitted on that source alone. Size matters most: with a quarter
# less weight too many pieces are joined, with a quarter more too few.
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

# A bound against endless loops; joining ends long before.
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

    1 for a filled ellipse with any axes, 0.89 for two discs that touch, less for more ragged
    shapes, 0 for an empty region.

    Parameters
    ----------
    moment : (..., 6)
        As returned by `moments`. The moments of a union are the sums of those of its parts.
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
        Of the same image.

    Returns
    -------
    (H, W) int32
        All pixels of a nucleus have the number of one of its pieces.
    """
    graph = _Graph(pieces, contrast)
    for _ in range(MOST_ROUNDS):
        if not graph.join_best_pairs():
            break
    return graph.owner[pieces]


class _Graph:
    """Properties of regions and of pairs of neighbouring regions that joining needs."""

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
        """Combine all entries for the same two regions into one pair."""
        n = len(self.owner)
        key = np.minimum(a, b).astype(np.int64) * n + np.maximum(a, b)
        pairs, entry = np.unique(key, return_inverse=True)
        self.a, self.b = (pairs // n).astype(np.int32), (pairs % n).astype(np.int32)
        # For the line of contact: its length, the sum of heights along it, and its deepest point.
        self.length = np.bincount(entry, length, minlength=len(pairs))
        self.height = np.bincount(entry, height, minlength=len(pairs))
        self.neck = np.zeros(len(pairs))
        np.maximum.at(self.neck, entry, depth)

    def _evidence(self) -> Floats:
        """A score for each pair, positive if it looks like one nucleus."""
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
        """Join all pairs that are each other's best choice; False if there are none."""
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
            # With equal scores a region can be in two best pairs: the first one counts.
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
