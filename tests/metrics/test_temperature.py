"""The fitted temperature against a general minimiser, a known truth, and its limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from striate.metrics import fit_temperature
from striate.metrics.softmax import cross_entropy
from striate.metrics.temperature import COLDEST, HOTTEST


def _drawn(temperature: float, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and targets drawn from their softmax at `temperature`."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(count, 5)) * 4
    gumbel = -np.log(-np.log(random.uniform(size=logits.shape)))
    return logits, (logits / temperature + gumbel).argmax(axis=1)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("truth", [0.3, 1.0, 2.5, 8.0])
def test_finds_the_minimum_that_a_general_minimiser_finds(truth: float, seed: int) -> None:
    logits, targets = _drawn(truth, 200, seed)
    found: Any = minimize_scalar(
        lambda inverse: cross_entropy(logits, targets, 1 / inverse),
        bounds=(1 / HOTTEST, 1 / COLDEST),
        method="bounded",
        options={"xatol": 1e-9},
    )
    assert fit_temperature(logits, targets) == pytest.approx(1 / found.x, rel=1e-5)


def test_finds_the_temperature_that_the_targets_were_drawn_at() -> None:
    logits, targets = _drawn(2.0, 50_000, 0)
    assert fit_temperature(logits, targets) == pytest.approx(2.0, rel=0.03)


def test_survives_logits_of_any_size() -> None:
    logits, targets = _drawn(2.0, 500, 1)
    usual = fit_temperature(logits, targets)
    assert fit_temperature(logits + 1e6, targets) == pytest.approx(usual, rel=1e-6)
    assert fit_temperature(logits.astype(np.float32) * 3, targets) == pytest.approx(3 * usual, rel=1e-4)


def test_leaves_confidences_alone_where_every_answer_is_right() -> None:
    logits, _ = _drawn(1.0, 100, 2)
    assert fit_temperature(logits, logits.argmax(axis=1)) == 1.0


def test_stays_within_its_limits() -> None:
    wrong = np.tile([5.0, 0.0], (10, 1))
    assert fit_temperature(wrong, np.ones(10, dtype=np.int64)) == HOTTEST
    timid = np.tile([0.01, 0.0], (1000, 1))
    assert fit_temperature(timid, np.array([0] * 999 + [1])) == COLDEST
