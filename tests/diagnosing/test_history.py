"""Curves from events, and over-fitting named only where it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from striate.core.duration import Clock
from striate.diagnosing import History, last_clock, overfitting, read_history


def _clock(step: int, per_epoch: int) -> dict[str, int]:
    return {"epoch": step // per_epoch, "step": step}


def _events(per_epoch: int, epochs: int, every: int) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = [{"event": "started", "seed": 0}]
    for step in range(1, per_epoch * epochs + 1):
        clock = _clock(step, per_epoch)
        events.append({"event": "step", "clock": clock, "loss": 1 / step, "lr": 0.1})
        if step % every == 0:
            events.append({"event": "evaluated", "clock": clock, "scores": {"loss": 0.5, "accuracy": step / 1000}})
    return events


@pytest.mark.parametrize("every", [7, 10, 13])
def test_places_are_in_epochs_whenever_was_evaluated(every: int) -> None:
    history = read_history(_events(per_epoch=10, epochs=4, every=every))
    assert history.epochs == 4.0
    assert history.validation_accuracy[0] == (every / 10, every / 1000)
    assert history.training_loss[-1] == (4.0, 1 / 40)
    assert len(history.learning_rate) == 40


def test_no_events_are_no_curves() -> None:
    assert read_history([]) == History((), (), (), (), 0.0)


def test_the_loss_of_a_constant_answer_is_that_of_the_frequencies_of_the_classes() -> None:
    """Of 8 images, 2 have the first class and 4 the second: ln 4 / 4 + 3 ln (4/3) / 4, and ln 2."""
    recipe = {"task": {"name": "multilabel"}, "loss": {"name": "binary_cross_entropy", "label_smoothing": 0.0}}
    started = {"event": "started", "recipe": recipe, "counts": {"train": 8}, "class_counts": [2, 4]}
    by_hand = 0.25 * np.log(4) + 0.75 * np.log(4 / 3) + np.log(2)
    assert read_history([started]).chance == pytest.approx(by_hand)
    smoothed = {**recipe, "loss": {**recipe["loss"], "label_smoothing": 0.5}}
    eighths = -(0.375 * np.log(0.375) + 0.625 * np.log(0.625))
    assert read_history([{**started, "recipe": smoothed}]).chance == pytest.approx(eighths + np.log(2))
    weighted = {**recipe, "loss": {**recipe["loss"], "class_balance": 0.9}}
    assert read_history([{**started, "recipe": weighted}]).chance is None
    assert read_history([{**started, "class_counts": None}]).chance is None


@pytest.mark.parametrize("known", [True, False])
def test_a_training_within_its_first_epoch_is_a_part_of_it_where_the_log_has_its_steps(known: bool) -> None:
    """5 of 20 steps; an older log does not have their number, and the run is taken for one epoch."""
    events: list[dict[str, Any]] = [{"event": "started"} | ({"steps_per_epoch": 20} if known else {})]
    events += [{"event": "step", "clock": _clock(step, 20), "loss": 1.0, "lr": 0.1} for step in range(1, 6)]
    events[-1]["wall"] = {"seconds": 7.0}
    history = read_history(events)
    assert history.epochs == (0.25 if known else 1.0)
    assert [x for x, _ in history.training_loss] == [step / (20 if known else 5) for step in range(1, 6)]
    assert last_clock(events) == Clock(20 if known else 5, 5, 7.0)


def test_a_training_that_was_short_of_memory_before_its_first_step_has_a_position() -> None:
    short = {"event": "memory_short", "clock": _clock(0, 20), "micro_batch": 4, "normalized": False}
    assert last_clock([{"event": "started"}, short]) == Clock(1, 0, 0.0)


def _history(training: list[float], validation: list[float]) -> History:
    def points(values: list[float]) -> tuple[tuple[float, float], ...]:
        return tuple((float(epoch + 1), value) for epoch, value in enumerate(values))

    return History(points(training), points(validation), (), (), float(len(validation)))


FALLING = [1.0 / (epoch + 1) for epoch in range(12)]


def test_overfitting_is_named_with_its_epoch_and_its_rise() -> None:
    found = overfitting(_history(FALLING, [1.0, 0.8, 0.6, 0.5, 0.5, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.0]))
    assert found == (6.0, pytest.approx(1.0))


@pytest.mark.parametrize(
    ("training", "validation"),
    [
        (FALLING, FALLING),
        (FALLING, [0.5] * 11 + [0.9]),
        (FALLING, [1.0, 0.9]),
        ([1.0] * 12, [0.5] * 6 + [1.0] * 6),
    ],
    ids=["falls with the training loss", "one bad evaluation", "too few", "training loss does not fall"],
)
def test_other_curves_are_not_reported_as_overfitting(training: list[float], validation: list[float]) -> None:
    assert overfitting(_history(training, validation)) is None


def test_noise_around_a_level_is_not_overfitting() -> None:
    for seed in range(50):
        noise = np.random.default_rng(seed).uniform(0.9, 1.1, 90)
        falling = [1.0 / (epoch + 1) for epoch in range(90)]
        assert overfitting(_history(falling, (0.05 * noise).tolist())) is None
