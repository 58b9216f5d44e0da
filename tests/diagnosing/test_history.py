"""Curves from events, and over-fitting named only where it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from striate.diagnosing import History, overfitting, read_history


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
