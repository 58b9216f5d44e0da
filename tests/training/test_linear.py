"""Linear classifiers on features, judged by scikit-learn."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
import torch

from rehearsal.small import MadeBatches, make_model, make_state
from striate.core.duration import Duration
from striate.core.errors import TrainingError
from striate.training import LayerRate, step
from striate.training.linear import fit_each, fit_linear, nearest_labels
from striate.training.optimizers import SGD

DRAW = np.random.default_rng(0)


def _made(count: int, width: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    targets = DRAW.integers(0, classes, count)
    features = DRAW.normal(size=(count, width)) * DRAW.uniform(0.1, 3, width) + targets[:, None]
    return features.astype(np.float32), targets


def _standardised(features: np.ndarray) -> np.ndarray:
    rows = features.astype(np.float64)
    return (rows - rows.mean(axis=0)) / rows.std(axis=0) / np.sqrt(rows.shape[1])


@pytest.mark.parametrize(("count", "width"), [(60, 8), (40, 90)])
def test_logistic_regression_is_that_of_scikit_learn(count: int, width: int) -> None:
    linear_model = importlib.import_module("sklearn.linear_model")
    features, targets = _made(count, width, 3)
    rows = _standardised(features)
    theirs = linear_model.LogisticRegression(C=10.0, tol=1e-10, max_iter=10_000).fit(rows, targets)
    logits = torch.from_numpy(fit_linear(features, targets, 3, c=10.0)(features))
    np.testing.assert_allclose(logits.softmax(dim=1).numpy(), theirs.predict_proba(rows), atol=2e-4)


def test_the_svm_is_that_of_scikit_learn() -> None:
    svm = importlib.import_module("sklearn.svm")
    features, targets = _made(60, 8, 3)
    rows = _standardised(features)
    theirs = svm.LinearSVC(C=1.0, dual=False, tol=1e-10, max_iter=100_000, intercept_scaling=1e3).fit(rows, targets)
    ours = fit_linear(features, targets, 3, kind="svm", c=1.0)(features)
    np.testing.assert_allclose(ours, theirs.decision_function(rows), atol=1e-3)


@pytest.mark.parametrize("kind", ["logistic", "svm"])
@pytest.mark.parametrize("width", [8, 90])
def test_several_labels_are_fitted_one_by_one(kind: str, width: int) -> None:
    features, targets = _made(60, width, 3)
    several = np.stack([targets == 0, targets > 0, DRAW.random(60) < 0.3], axis=1)
    rows, ours = _standardised(features), fit_linear(features, several.astype(np.uint8), 3, kind=kind, c=10.0)(features)
    for k, present in enumerate(several.T):
        if kind == "svm":
            theirs = importlib.import_module("sklearn.svm").LinearSVC(
                C=10.0, dual=False, tol=1e-10, max_iter=100_000, intercept_scaling=1e3
            )
        else:
            theirs = importlib.import_module("sklearn.linear_model").LogisticRegression(
                C=10.0, tol=1e-10, max_iter=10_000
            )
        expected = theirs.fit(rows, present).decision_function(rows)
        np.testing.assert_allclose(ours[:, k], expected, atol=2e-3)


@pytest.mark.parametrize("kind", ["logistic", "svm"])
def test_strengths_one_after_another_give_what_each_gives_alone(kind: str) -> None:
    features, targets = _made(40, 90, 3)
    for c, found in zip((1.0, 10.0), fit_each(features, targets, 3, kind=kind, strengths=(1.0, 10.0)), strict=True):
        alone = fit_linear(features, targets, 3, kind=kind, c=c)
        np.testing.assert_allclose(found(features), alone(features), atol=2e-3)


def test_a_feature_that_never_changes_does_nothing_and_one_that_is_no_number_is_refused() -> None:
    features, targets = _made(20, 4, 2)
    features[:, 1] = 7.0
    assert (fit_linear(features, targets, 2).weight[:, 1] == 0).all()
    features[0, 0] = np.nan
    with pytest.raises(TrainingError, match="not finite"):
        fit_linear(features, targets, 2)


def test_the_nearest_features_vote() -> None:
    features, targets = np.eye(4, dtype=np.float32)[:, :3] + 0.01, np.array([0, 1, 1, 0])
    asked = np.array([[5.0, 0.0, 0.0], [0.0, 2.0, 0.5]], np.float32)
    assert nearest_labels(features, targets, asked, k=1).tolist() == [0, 1]
    assert nearest_labels(features, targets, asked, k=3)[1] == 1
    several = np.array([[1, 0], [0, 1], [1, 1], [0, 0]])
    assert nearest_labels(features, several, asked, k=1).tolist() == [[True, False], [False, True]]
    assert nearest_labels(features, several, asked, k=3)[1].tolist() == [False, True]


def test_layers_have_their_own_rates_and_starts() -> None:
    model: Any = make_model(dropout=0.0)
    convolution, norm = model[0], model[1]
    low, high = [*convolution.parameters(), *norm.parameters()], list(model[5].parameters())
    optimizer = SGD(lr=0.2, momentum=0.0).create(model, (LayerRate(high), LayerRate(low, 0.1, start=0.5)))
    assert sorted({round(group["lr"], 9) for group in optimizer.param_groups}) == [0.02, 0.2]
    state = make_state(model, optimizer=optimizer)
    state.length = Duration.parse("4st")
    state.begin()
    before = [convolution.weight.detach().clone(), norm.running_mean.clone()]
    for number in range(4):
        step(state, next(MadeBatches().epoch(0)))
        state.clock = state.clock.tick(0.0)
        frozen = torch.equal(convolution.weight, before[0]) and torch.equal(norm.running_mean, before[1])
        assert frozen == (number < 2)
        assert norm.training == (number >= 2)
