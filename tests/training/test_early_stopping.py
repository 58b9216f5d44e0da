"""Early stopping, followed by hand over short stories of scores."""

from __future__ import annotations

import math

import pytest

from striate.core.errors import ConfigError, TrainingError
from striate.training import EarlyStopping


def follow(stopping: EarlyStopping, values: list[float]) -> list[bool]:
    exhausted = []
    for step, value in enumerate(values, start=1):
        stopping.note(step, {stopping.metric: value})
        exhausted.append(stopping.exhausted)
    return exhausted


def test_more_accuracy_is_better_and_patience_counts_evaluations_without_a_better_one() -> None:
    stopping = EarlyStopping("accuracy", patience=2)
    assert follow(stopping, [0.5, 0.6, 0.6, 0.7, 0.69, 0.7]) == [False, False, False, False, False, True]
    assert (stopping.best_step, stopping.best_value) == (4, 0.7)
    assert stopping.reason == "the validation accuracy has not improved for 2 evaluations"


def test_less_loss_is_better() -> None:
    stopping = EarlyStopping("loss", patience=1)
    assert follow(stopping, [2.0, 1.0, 1.5]) == [False, False, True]
    assert stopping.best_step == 2


def test_without_patience_it_only_remembers_the_first_of_the_best() -> None:
    stopping = EarlyStopping("accuracy")
    assert not any(follow(stopping, [0.9] + [0.1] * 50))
    assert stopping.best_step == 1


def test_not_a_number_is_never_the_best() -> None:
    stopping = EarlyStopping("loss", patience=2)
    assert follow(stopping, [math.nan, 1.0, math.nan, -math.inf]) == [False, False, False, True]
    assert stopping.best_step == 2


def test_evaluations_before_the_metric_was_chosen_do_not_count() -> None:
    scores = [{"loss": 1.0}, {"loss": 2.0, "macro_f1": 0.5}, {"loss": 3.0, "macro_f1": 0.4}]
    log = [{"event": "evaluated", "clock": {"step": step}, "scores": each} for step, each in enumerate(scores, start=1)]
    stopping = EarlyStopping("macro_f1", patience=2)
    stopping.recall([{"event": "started"}, *log, {"event": "stopped", "clock": {"step": 3}}])
    assert (stopping.best_step, stopping.waited) == (2, 1)


def test_unknown_metrics_and_impossible_patience_are_sentences() -> None:
    with pytest.raises(ConfigError, match="There is no metric 'accurancy'"):
        EarlyStopping("accurancy")
    with pytest.raises(ConfigError, match="at least 1 evaluation, or none; received 0"):
        EarlyStopping("loss", patience=0)
    with pytest.raises(TrainingError, match="needs the score 'accuracy'; the evaluation returns loss only"):
        EarlyStopping("accuracy").note(1, {"loss": 1.0})
