"""The loop yields each event once, stops where it should, and holds nothing when it has stopped."""

from __future__ import annotations

import contextlib

import pytest
import torch

from rehearsal.small import MadeBatches, make_state, weights
from striate.core.device import ExecutionPlan
from striate.core.duration import Duration
from striate.core.errors import TrainingError
from striate.training import Evaluated, Event, SafePoint, StepDone, train


def tell(event: Event) -> tuple[str, int]:
    return type(event).__name__, event.clock.step


def test_every_step_has_its_events_in_order_and_evaluations_fall_due_at_epochs_and_at_the_end() -> None:
    state, batches = make_state(count=2), MadeBatches(2)
    events = list(train(state, batches, until=Duration.parse("3st"), evaluate=lambda: {"accuracy": 0.5}))
    assert [tell(event) for event in events] == [
        ("StepDone", 1),
        ("SafePoint", 1),
        ("StepDone", 2),
        ("Evaluated", 2),
        ("SafePoint", 2),
        ("StepDone", 3),
        ("Evaluated", 3),
        ("SafePoint", 3),
    ]
    assert batches.given == [(0, 0), (0, 1), (1, 0)]
    assert state.clock.step == 3


def test_evaluations_fall_due_by_steps_too() -> None:
    events = train(
        make_state(), MadeBatches(), until=Duration.parse("2ep"), evaluate=lambda: {}, every=Duration.parse("3st")
    )
    assert [event.clock.step for event in events if isinstance(event, Evaluated)] == [3, 6, 9, 10]


@pytest.mark.parametrize("stop", [1, 4, 5, 7])
def test_stopped_at_a_safe_point_and_continued_is_uninterrupted_in_weights_and_events(stop: int) -> None:
    until = Duration.parse("2ep")
    whole, parts = make_state(), make_state()
    all_events = [tell(event) for event in train(whole, MadeBatches(), until=until, evaluate=lambda: {})]
    told = []
    for event in train(parts, MadeBatches(), until=until, evaluate=lambda: {}):
        told.append(tell(event))
        if isinstance(event, SafePoint) and event.clock.step == stop:
            break
    told += [tell(event) for event in train(parts, MadeBatches(), until=until, evaluate=lambda: {})]
    assert told == all_events
    assert torch.equal(weights(parts.model), weights(whole.model))


def test_a_break_releases_the_batches() -> None:
    batches = MadeBatches()
    with contextlib.closing(train(make_state(), batches, until=Duration.parse("2ep"))) as events:
        next(events)
    assert batches.released == 1


def test_between_events_the_process_is_the_callers() -> None:
    def found() -> tuple[bytes, int, bool]:
        state = torch.get_rng_state().numpy().tobytes()
        return state, torch.get_num_threads(), torch.backends.cudnn.deterministic

    within: list[int] = []

    def evaluate() -> dict[str, float]:
        torch.rand(3)
        within.append(torch.get_num_threads())
        return {}

    before = found()
    state = make_state(plan=ExecutionPlan(threads=before[1] + 1))  # with dropout, which draws
    events = train(state, MadeBatches(), until=Duration.parse("1ep"), evaluate=evaluate)
    assert [found() == before for _ in events] == [True] * 11
    assert within == [before[1] + 1]
    broken = train(make_state(), MadeBatches(spoiled=(0, 0)), until=Duration.parse("1ep"))
    with pytest.raises(TrainingError):
        next(broken)
    assert found() == before


def test_a_training_that_is_over_does_nothing() -> None:
    state = make_state()
    until = Duration.parse("1ep")
    list(train(state, MadeBatches(), until=until))
    assert list(train(state, MadeBatches(), until=until)) == []


def test_the_step_tells_the_rate_that_it_used() -> None:
    state = make_state(schedule=lambda clock: 1.0 / (1 + clock.step))
    events = train(state, MadeBatches(), until=Duration.parse("3st"))
    rates = [event.learning_rate for event in events if isinstance(event, StepDone)]
    assert rates == pytest.approx([0.05, 0.025, 0.05 / 3])


def test_other_data_than_the_clock_counts_are_refused() -> None:
    with pytest.raises(TrainingError, match="has 5 steps, and the data give 4 batches"):
        next(train(make_state(), MadeBatches(4), until=Duration.parse("1ep")))
