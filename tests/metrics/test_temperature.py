"""The fitted temperature against a general minimiser, a known truth, and its limits."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import chi2

from striate.metrics import Temperature, fit_temperature, measure_temperature
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


@pytest.mark.parametrize("truth", [0.5, 1.0, 3.0])
def test_the_interval_holds_exactly_the_temperatures_that_wilks_does_not_refuse(truth: float) -> None:
    logits, targets = _drawn(truth, 150, 3)
    measured = measure_temperature(logits, targets, selected=False)
    least = min(cross_entropy(logits, targets, t) for t in np.geomspace(COLDEST, HOTTEST, 4001))
    for tried in np.geomspace(COLDEST, HOTTEST, 200):
        statistic = 2 * len(targets) * (cross_entropy(logits, targets, tried) - least)
        if abs(statistic - chi2.ppf(0.95, 1)) > 0.01:
            assert (measured.low <= tried <= measured.high) == (statistic < chi2.ppf(0.95, 1))


def test_the_interval_holds_the_true_temperature_nineteen_times_of_twenty() -> None:
    held = 0
    for seed in range(300):
        logits, targets = _drawn(1.6, 80, 1000 + seed)
        measured = measure_temperature(logits, targets, selected=False)
        held += measured.low <= 1.6 <= measured.high
    assert 0.92 <= held / 300 <= 0.98  # three standard errors around 95 %


@pytest.mark.parametrize(
    ("low", "fitted", "high", "selected", "used"),
    [
        (1.2, 1.5, 1.9, True, 1.5),
        (1.2, 1.5, 1.9, False, 1.5),
        (0.9, 1.3, 1.9, False, 1.0),
        (0.4, 0.6, 0.8, False, 0.6),
        (0.4, 0.6, 0.8, True, 1.0),
        (0.4, 0.9, 1.4, True, 1.0),
    ],
)
def test_a_temperature_is_used_only_where_it_is_shown_to_help(
    low: float, fitted: float, high: float, selected: bool, used: float
) -> None:
    measured = Temperature(fitted=fitted, low=low, high=high, count=80, selected=selected)
    assert measured.value == used
    assert Temperature.from_json(json.loads(json.dumps(measured.to_json()))) == measured
    assert measured.reason


def test_where_every_answer_is_right_the_interval_begins_at_the_limit_and_nothing_is_used() -> None:
    """84 answers with the logits 2 and 0: 84 · ln(1 + exp(-2 / T)) = 3.84 / 2 at T = 0.531."""
    measured = measure_temperature(np.tile([2.0, 0.0], (84, 1)), np.zeros(84, np.int64), selected=False)
    assert (measured.low, measured.fitted, measured.value) == (COLDEST, 1.0, 1.0)
    assert measured.high == pytest.approx(2 / -np.log(np.expm1(chi2.ppf(0.95, 1) / 2 / 84)))
    assert measured.high == pytest.approx(0.531, abs=5e-4)
    assert measured.reason == "all answers are right, so it is not determined"


def test_an_end_that_the_images_do_not_determine_is_the_limit() -> None:
    logits, _ = _drawn(1.0, 100, 2)
    measured = measure_temperature(logits, logits.argmax(axis=1), selected=False)
    assert (measured.low, measured.value) == (COLDEST, 1.0)
