"""Similarity of maps, compared with SciPy and scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity as judge

from striate.explaining.checks.similarity import rank_correlation, structural_similarity


def _maps(count: int, height: int, width: int, seed: int, levels: int | None = None) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(count, height, width)).astype(np.float32)
    return drawn if levels is None else np.round(drawn * levels)


@pytest.mark.parametrize("levels", [None, 2, 1], ids=["all different", "some ties", "many ties"])
def test_rank_correlation_is_spearmans(levels: int | None) -> None:
    one = _maps(5, 9, 14, 0, levels)
    other = one + _maps(5, 9, 14, 1, levels)
    expected = [np.asarray(spearmanr(a.ravel(), b.ravel()))[0] for a, b in zip(one, other, strict=True)]
    np.testing.assert_allclose(rank_correlation(one, other), expected, rtol=1e-12)


def test_a_constant_map_agrees_with_none() -> None:
    assert rank_correlation(np.ones((1, 4, 4), np.float32), _maps(1, 4, 4, 0)).tolist() == [0.0]


@pytest.mark.parametrize(("height", "width"), [(11, 11), (24, 31)])
def test_structural_similarity_is_wangs(height: int, width: int) -> None:
    one = _maps(4, height, width, 0)
    other = one + 0.5 * _maps(4, height, width, 1)
    expected = [
        judge(_stretched(a), _stretched(b), data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
        for a, b in zip(one, other, strict=True)
    ]
    np.testing.assert_allclose(structural_similarity(one, other), expected, rtol=1e-10)


def test_structural_similarity_of_a_map_with_itself_is_one_however_small_or_flat() -> None:
    for maps in (_maps(2, 1, 1, 0), _maps(2, 4, 7, 0), np.zeros((2, 16, 16), np.float32)):
        np.testing.assert_allclose(structural_similarity(maps, maps), 1, rtol=1e-12)


def _stretched(values: np.ndarray) -> np.ndarray:
    values = values.astype(np.float64)
    return (values - values.min()) / (values.max() - values.min())
