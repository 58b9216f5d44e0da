"""Clusters of maps: a planted watermark is found, and eigenvalues tell how many parts a graph has."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from striate.core.errors import ConfigError
from striate.explaining import NotFiniteError, cluster_maps, grad_cam


def blob(y: float, x: float, width: float = 2.0) -> np.ndarray:
    rows, columns = np.mgrid[:24, :24]
    return np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * width**2)).astype(np.float32)


class Bright(nn.Module):
    """The score of class 0 is how much of the image is bright: an object, or a watermark."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 1, 3, padding=1, bias=False), nn.Linear(1, 2, bias=False)
        nn.init.constant_(self.conv.weight, 1 / 9)
        nn.init.constant_(self.head.weight, 1.0)

    def forward(self, images: Tensor) -> Tensor:
        return self.head((self.conv(images) - 0.3).relu().mean((2, 3)))


@pytest.mark.parametrize("seed", range(3))
def test_a_watermark_in_half_of_a_class_is_a_cluster_of_its_own(seed: int) -> None:
    draw = np.random.default_rng(seed)
    marked = draw.permutation(np.arange(40) % 2 == 0)
    images = draw.random((40, 1, 24, 24)).astype(np.float32) * 0.1
    for image, mark in zip(images, marked, strict=True):
        image[0] += blob(21, 21, 1.5) if mark else blob(*draw.uniform(4, 14, 2))
    found = cluster_maps(grad_cam(Bright(), torch.from_numpy(images), 0).map())
    own = [cluster for cluster in found.clusters if marked[cluster].any()]
    assert [sorted(cluster) for cluster in own] == [np.flatnonzero(marked).tolist()]
    assert found.alike[int(found.labels[marked][0])] > 0.95
    assert found.alike[int(found.labels[marked][0])] == found.alike.max()


def test_separate_parts_have_eigenvalues_of_0_and_sizes_in_order() -> None:
    draw = np.random.default_rng(0)
    places = [(4, 4)] * 5 + [(4, 20)] * 9 + [(20, 12)] * 7
    maps = [blob(*place) * draw.uniform(0.5, 2) + 0.01 * draw.random((24, 24)) for place in places]
    found = cluster_maps(np.stack(maps).astype(np.float32))
    assert [len(cluster) for cluster in found.clusters] == [9, 7, 5]
    assert found.labels.tolist() == [2] * 5 + [0] * 9 + [1] * 7
    np.testing.assert_allclose(found.eigenvalues[:3], 0, atol=1e-6)
    assert found.gap == pytest.approx(float(found.eigenvalues[3] - found.eigenvalues[2]), abs=1e-6)
    assert found.gap > 0.2
    assert (found.alike > 0.99).all()


def test_maps_that_are_all_the_same_are_one_cluster() -> None:
    found = cluster_maps(np.repeat(blob(5, 5)[None], 6, axis=0))
    assert found.labels.tolist() == [0] * 6
    assert found.alike.tolist() == pytest.approx([1.0])
    assert cluster_maps(np.zeros((6, 8, 8), np.float32)).labels.shape == (6,)


def test_mistakes_get_a_sentence() -> None:
    with pytest.raises(ConfigError, match="at least 4 maps"):
        cluster_maps(np.zeros((3, 8, 8), np.float32))
    with pytest.raises(NotFiniteError):
        cluster_maps(np.full((5, 8, 8), np.nan, np.float32))
