"""Clusters of maps: the strategies by which a network recognizes a class, shortcuts among them.

maps = grad_cam(network, images, target=3).map()           # images of class 3
found = cluster_maps(maps)
found.clusters                                             # the numbers of the images of each cluster
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int

from striate.core.errors import ConfigError
from striate.explaining._repr import ShortRepr
from striate.explaining.attribution._method import NotFiniteError

_SIDE = 16  # maps are averaged down to this side: a strategy is where a network looks, not the outline of one object
_FEWEST = 4
_ROUNDS = 100
_NEIGHBOUR = 7
_NEARLY_SAME = 0.02  # a distance of maps of length 1 that is none: copies are not divided by their noise


@dataclass(frozen=True, eq=False, repr=False)
class MapClusters(ShortRepr):
    """Maps grouped by where they are large.

    `labels` (n): the cluster of each map, from 0, the largest cluster first. `eigenvalues` (m): the smallest ones of
    the graph Laplacian, ascending from 0; `gap` is the step after that of the last cluster, on which their number is
    decided. A wide gap means clusters that are far apart. `alike` (k): the mean cosine between two maps of a cluster,
    1 for a single map; a mark that is always in the same place gives values near 1.
    """

    labels: Int[np.ndarray, " n"]
    alike: Float[np.ndarray, " k"]
    eigenvalues: Float[np.ndarray, " m"]
    gap: float

    @property
    def clusters(self) -> tuple[Int[np.ndarray, " _"], ...]:
        """The numbers of the maps of each cluster."""
        return tuple(np.flatnonzero(self.labels == label) for label in range(int(self.labels.max()) + 1))


def cluster_maps(maps: Float[np.ndarray, "n h w"], *, most: int = 8) -> MapClusters:
    """Cluster the maps of images of one class: Lapuschkin et al. 2019, arXiv:1902.10178, "Spectral Relevance Analysis".

    The maps are averaged down to at most 16 × 16, divided by their lengths, and joined by a graph. The eigenvalues of
    its normalized Laplacian give the number of parts into which it almost falls, at most `most`: the widest gap between
    two that follow each other (the eigengap). The parts are found by k-means on the eigenvectors (Ng, Jordan and Weiss
    2001).

    Differences from the paper: it joins each map to its nearest neighbours, with one weight; here a weight falls off
    with the distance, relative to that of the seventh neighbour (Zelnik-Manor and Perona 2004), since neighbours alone
    divide nearly equal maps, which a watermark gives, at random. It reads the number of clusters off the eigenvalues
    and an embedding by t-SNE; here the gap decides. The result is the same for the same maps.

    A person decides by its images whether a cluster is a shortcut: a mark that only images of one class have, such as a
    watermark.

    Raises:
        ConfigError: there are fewer than 4 maps, or `most` is less than 1.
        NotFiniteError: a value is NaN or infinite.
    """
    if maps.ndim != 3 or len(maps) < _FEWEST or most < 1:
        raise ConfigError(
            f"Clusters need at least {_FEWEST} maps (n, h, w), and at least 1 cluster; received maps of shape "
            f"{maps.shape} and most={most}."
        )
    if not np.isfinite(maps).all():
        raise NotFiniteError("The maps to cluster must be finite; received NaN or infinite values.")
    points = _points(maps)
    values, vectors = np.linalg.eigh(_laplacian(points))
    gaps = np.diff(values[: min(most, len(maps) - 1) + 1])
    count = int(gaps.argmax()) + 1
    labels = _by_size(_parted(vectors[:, :count]) if count > 1 else np.zeros(len(maps), np.int64))
    alike = np.array([_alike(points[labels == label]) for label in range(labels.max() + 1)], np.float32)
    return MapClusters(labels, alike, values[: len(gaps) + 1].astype(np.float32), float(gaps[count - 1]))


def _points(maps: Float[np.ndarray, "n h w"]) -> Float[np.ndarray, "n d"]:
    """Return each map as a vector: averaged down, of length 1 (of length 0 if it is 0 everywhere)."""
    size = min(_SIDE, maps.shape[1]), min(_SIDE, maps.shape[2])
    flat = F.adaptive_avg_pool2d(torch.from_numpy(maps).double()[:, None], size).flatten(1).numpy()
    lengths = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.divide(flat, lengths, out=np.zeros_like(flat), where=lengths > 0)


def _laplacian(points: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n n"]:
    """Return I - D^-½ A D^-½ with A = exp(-d²/σσ'), where σ is the distance of a point to one of its nearest."""
    squared = np.maximum(2 * (1 - points @ points.T), 0)  # a map of zeros is as far from itself as from the others
    np.fill_diagonal(squared, 0)
    neighbour = max(2, min(_NEIGHBOUR, len(points) // 5))
    reach = np.sqrt(np.sort(squared, axis=1)[:, neighbour]) + _NEARLY_SAME
    joined = np.exp(-squared / (reach[:, None] * reach[None, :]))
    np.fill_diagonal(joined, 0)
    root = np.sqrt(np.maximum(joined.sum(1), np.finfo(np.float64).tiny))
    return np.eye(len(points)) - joined / root[:, None] / root[None, :]


def _parted(vectors: Float[np.ndarray, "n k"]) -> Int[np.ndarray, " n"]:
    """Run k-means on the rows, divided by their lengths, from k rows that are far apart."""
    rows = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    chosen = [0]
    while len(chosen) < rows.shape[1]:
        chosen.append(int(_distances(rows, rows[chosen]).min(1).argmax()))
    centres = rows[chosen]
    labels = np.full(len(rows), -1)
    for _ in range(_ROUNDS):
        found = _distances(rows, centres).argmin(1)
        if (found == labels).all():
            break
        labels = found
        centres = np.stack(
            [rows[labels == k].mean(0) if (labels == k).any() else centres[k] for k in range(len(chosen))]
        )
    return labels


def _alike(points: Float[np.ndarray, "n d"]) -> float:
    """Return the mean cosine of all pairs of different points."""
    pairs = len(points) * (len(points) - 1)
    cosines = points @ points.T
    return float((cosines.sum() - np.trace(cosines)) / pairs) if pairs else 1.0


def _distances(rows: Float[np.ndarray, "n d"], centres: Float[np.ndarray, "k d"]) -> Float[np.ndarray, "n k"]:
    return np.square(rows[:, None] - centres[None]).sum(2)


def _by_size(labels: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Return the labels with clusters ordered by size, the largest first; of equal ones, the first that appears."""
    present, first, counts = np.unique(labels, return_index=True, return_counts=True)
    order = sorted(range(len(present)), key=lambda k: (-counts[k], first[k]))
    numbers = np.empty(len(present), np.int64)
    numbers[order] = np.arange(len(present))
    return numbers[np.searchsorted(present, labels)]
