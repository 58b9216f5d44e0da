"""What every registered schedule promises: a pure function of the position, right at its knots, at most 1."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
import torch
from torch.optim import SGD
from torch.optim import lr_scheduler as judge

from striate.core.config import from_json
from striate.core.duration import Clock, Duration
from striate.core.errors import ConfigError, TrainingError
from striate.training.plateau import FollowsEvaluations, Plateau
from striate.training.schedules import (
    SCHEDULES,
    Cosine,
    CosineRestarts,
    Exponential,
    Milestones,
    OneCycle,
    Polynomial,
    Position,
    Schedule,
    Step,
    TimeDecay,
)

LENGTHS = ["10ep", "500st"]


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("length", LENGTHS)
def test_a_factor_between_nothing_and_the_base_rate_that_moves_every_update(name: str, length: str) -> None:
    factor = SCHEDULES[name]().over(Duration.parse(length))
    values = [factor(Clock(50, at)) for at in range(500)]
    assert all(0 < value <= 1 for value in values)


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_same_position_has_the_same_factor_in_any_order_and_after_the_end(name: str) -> None:
    factor = SCHEDULES[name]().over(Duration.parse("4ep"))
    forward = [factor(Clock(25, at)) for at in range(100)]
    assert [factor(Clock(25, at)) for at in reversed(range(100))] == forward[::-1]
    assert 0 <= factor(Clock(25, 130)) <= 1


@pytest.mark.parametrize("name", SCHEDULES)
def test_epochs_and_the_same_number_of_steps_are_the_same_length(name: str) -> None:
    by_epochs, by_steps = (SCHEDULES[name]().over(Duration.parse(text)) for text in ("4ep", "100st"))
    assert [by_epochs(Clock(25, at)) for at in range(100)] == pytest.approx(
        [by_steps(Clock(25, at)) for at in range(100)]
    )


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_length_of_time_follows_the_seconds(name: str) -> None:
    factor = SCHEDULES[name]().over(Duration.parse("10min"))
    assert all(0 <= factor(Clock(10, 3, seconds)) <= 1 for seconds in (0.0, 300.0, 601.0))


@pytest.mark.parametrize(
    ("fraction", "value"),
    [(0.0, 0.0), (0.1, 0.5), (0.2, 1.0), (0.6, 0.55), (1.0, 0.1)],
)
def test_cosine_at_its_knots(fraction: float, value: float) -> None:
    schedule = Cosine(warmup_fraction=0.2, final_factor=0.1)
    assert schedule(Position(epochs=99.0, fraction=fraction)) == pytest.approx(value)


@pytest.mark.parametrize(
    ("fraction", "value"),
    [(0.0, 0.04), (0.15, 0.52), (0.3, 1.0), (0.65, 0.5), (1.0, 0.0)],
)
def test_one_cycle_at_its_knots(fraction: float, value: float) -> None:
    assert OneCycle()(Position(epochs=99.0, fraction=fraction)) == pytest.approx(value)


@pytest.mark.parametrize(("epochs", "value"), [(0.0, 1.0), (29.99, 1.0), (30.0, 0.1), (60.0, 0.01), (89.0, 0.01)])
def test_step_at_its_knots(epochs: float, value: float) -> None:
    assert Step()(Position(epochs=epochs, fraction=0.5)) == pytest.approx(value)


@pytest.mark.parametrize(("epochs", "value"), [(0.0, 1.0), (2.0, 0.5), (6.0, 0.25)])
def test_time_decay_at_its_knots(epochs: float, value: float) -> None:
    assert TimeDecay(decay_per_epoch=0.5)(Position(epochs=epochs, fraction=0.5)) == pytest.approx(value)


@pytest.mark.parametrize(
    ("epochs", "value"), [(0.0, 1.0), (1.99, 1.0), (2.0, 0.5), (4.99, 0.5), (5.0, 0.25), (99.0, 0.25)]
)
def test_milestones_at_their_knots(epochs: float, value: float) -> None:
    assert Milestones(at_epochs=(2.0, 5.0), factor=0.5)(Position(epochs=epochs, fraction=0.5)) == pytest.approx(value)


@pytest.mark.parametrize(("fraction", "value"), [(0.0, 0.0), (0.1, 0.5), (0.2, 1.0), (0.6, 0.325), (1.0, 0.1)])
def test_polynomial_at_its_knots(fraction: float, value: float) -> None:
    schedule = Polynomial(power=2.0, warmup_fraction=0.2, final_factor=0.1)
    assert schedule(Position(epochs=99.0, fraction=fraction)) == pytest.approx(value)


def restarts_one_by_one(step: float, *, first: float, growth: float, warmup: float, low: float) -> Iterator[float]:
    """Yield Loshchilov and Hutter's eq. 5 after each step of epochs: T_cur is counted up, and a restart resets it."""
    epochs = 0.0
    while epochs < warmup - step / 2:
        yield epochs / warmup
        epochs += step
    passed, length = 0.0, first
    while True:
        yield low + (1 - low) / 2 * (1 + math.cos(passed / length * math.pi))
        passed += step
        if passed > length - step / 2:
            passed, length = 0.0, length * growth


@pytest.mark.parametrize("growth", [1.0, 2.0, 3.0])
def test_restarts_are_those_of_the_paper_counted_one_by_one(growth: float) -> None:
    schedule = CosineRestarts(first_epochs=2.0, growth=growth, warmup_epochs=1.5, final_factor=0.1)
    expected = islice(restarts_one_by_one(0.25, first=2.0, growth=growth, warmup=1.5, low=0.1), 400)
    # An update lies in the middle of its interval, past a restart by more than rounding.
    positions = [Position(epochs=0.25 * at + 1e-9, fraction=0.0) for at in range(400)]
    assert [schedule(position) for position in positions] == pytest.approx(list(expected), abs=1e-7)


def test_an_update_uses_the_middle_of_its_stretch() -> None:
    factor = Cosine().over(Duration.parse("4st"))
    assert [factor(Clock(2, at)) for at in range(4)] == pytest.approx(
        [(1 + math.cos(math.pi * fraction)) / 2 for fraction in (0.125, 0.375, 0.625, 0.875)]
    )
    halves = Step(every_epochs=2.0, factor=0.5).over(Duration.parse("4ep"))
    assert [halves(Clock(3, at)) for at in range(12)] == [1.0] * 6 + [0.5] * 6


def rates(scheduler: judge.LRScheduler, count: int) -> list[float]:
    values = []
    for _ in range(count):
        values.append(scheduler.get_last_lr()[0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch wants an update before each step; here there is nothing to update
            scheduler.step()
    return values


def optimizer() -> SGD:
    return SGD([torch.zeros(1, requires_grad=True)], lr=1.0)


def test_cosine_and_one_cycle_and_step_are_torchs_at_the_same_positions() -> None:
    fractions = [at / 20 for at in range(21)]
    annealing = judge.CosineAnnealingLR(optimizer(), T_max=20)
    assert [Cosine()(Position(0.0, fraction)) for fraction in fractions] == pytest.approx(
        rates(annealing, 21), abs=1e-12
    )
    cycle = judge.OneCycleLR(
        optimizer(), max_lr=1.0, total_steps=21, pct_start=(0.3 * 20 + 1) / 21, div_factor=25, final_div_factor=1e12
    )
    assert [OneCycle()(Position(0.0, fraction)) for fraction in fractions] == pytest.approx(rates(cycle, 21), abs=1e-9)
    steps = judge.StepLR(optimizer(), step_size=30, gamma=0.1)
    assert [Step()(Position(float(at), 0.0)) for at in range(90)] == pytest.approx(rates(steps, 90))


def test_the_others_are_torchs_at_the_same_epochs() -> None:
    epochs = [Position(float(at), at / 40) for at in range(40)]
    assert [Milestones(at_epochs=(7.0, 30.0))(place) for place in epochs] == pytest.approx(
        rates(judge.MultiStepLR(optimizer(), [7, 30], gamma=0.1), 40)
    )
    assert [Exponential(factor_per_epoch=0.9)(place) for place in epochs] == pytest.approx(
        rates(judge.ExponentialLR(optimizer(), gamma=0.9), 40)
    )
    assert [Polynomial(power=0.9)(place) for place in epochs] == pytest.approx(
        rates(judge.PolynomialLR(optimizer(), total_iters=40, power=0.9), 40)
    )
    for growth in (1, 2):
        restarts = judge.CosineAnnealingWarmRestarts(optimizer(), T_0=5, T_mult=growth, eta_min=0.01)
        ours = CosineRestarts(first_epochs=5.0, growth=float(growth), final_factor=0.01)
        assert [ours(place) for place in epochs] == pytest.approx(rates(restarts, 40), abs=1e-12)


@pytest.mark.parametrize("metric", ["loss", "accuracy"])
@pytest.mark.parametrize("options", [{}, {"patience": 1}, {"cooldown": 3}, {"minimum_factor": 0.3, "threshold": 0.05}])
def test_plateau_is_torchs_with_a_patience_of_one_less(metric: str, options: dict[str, float]) -> None:
    plateau = from_json(Plateau, {"name": "plateau", "factor": 0.5, "metric": metric, **options})
    rate = optimizer()
    torchs = judge.ReduceLROnPlateau(
        rate,
        "min" if metric == "loss" else "max",
        factor=0.5,
        patience=plateau.patience - 1,
        threshold=plateau.threshold,
        cooldown=plateau.cooldown,
        min_lr=plateau.minimum_factor,
        eps=0.0,
    )
    factor = plateau.over(Duration.parse("60ep"))
    assert isinstance(factor, FollowsEvaluations)
    generator = torch.Generator().manual_seed(0)
    factors = []
    for at, noise in enumerate(torch.randn(60, generator=generator).tolist()):
        score = math.nan if at in (0, 9) else 2 + (-1 if metric == "loss" else 1) * at / 60 + 0.2 * noise
        factor.note({metric: score})
        torchs.step(score)
        factors.append(factor(Clock(1, at)))
        assert factors[-1] == pytest.approx(rate.param_groups[0]["lr"])
    assert len(set(factors)) > 1


def test_plateau_names_the_score_that_is_missing() -> None:
    factor = Plateau(metric="accuracy").over(Duration.parse("1ep"))
    assert isinstance(factor, FollowsEvaluations)
    with pytest.raises(TrainingError, match="The schedule needs the score 'accuracy'; the evaluation returns loss"):
        factor.note({"loss": 1.0})


@pytest.mark.parametrize(
    ("name", "chosen", "sentence"),
    [
        ("cosine", {"warmup_fraction": 1.0}, "warmup_fraction must be at least 0 and below 1; received 1"),
        ("one_cycle", {"final_factor": -0.1}, "final_factor must be at least 0 and at most 1; received -0.1"),
        ("one_cycle", {"start_factor": 2.0}, "start_factor must be at least 0 and at most 1; received 2"),
        ("step", {"every_epochs": 0.0}, "every_epochs must be above 0; received 0"),
        ("time_decay", {"decay_per_epoch": -1.0}, "decay_per_epoch must be at least 0; received -1"),
        ("milestones", {"at_epochs": [3, 2]}, "at_epochs must be epochs above 0 in ascending order; received 3, 2"),
        ("milestones", {"at_epochs": "none"}, "at_epochs must be epochs above 0 in ascending order; received none"),
        ("exponential", {"factor_per_epoch": 1.1}, "factor_per_epoch must be above 0 and at most 1; received 1.1"),
        ("polynomial", {"power": 0.0}, "power must be above 0; received 0"),
        ("cosine_restarts", {"growth": 0.5}, "growth must be at least 1; received 0.5"),
        ("plateau", {"patience": 0}, "patience must be at least 1; received 0"),
        ("plateau", {"factor": 1.0}, "factor must be above 0 and below 1; received 1"),
        ("constant", {"warmup_fraction": 0.1}, "The schedule 'constant' has no option 'warmup_fraction'. It has none."),
        ("step", {"factr": 0.1}, "The schedule 'step' has no option 'factr'. Did you mean 'factor'"),
    ],
)
def test_what_cannot_be_is_refused_before_the_training(name: str, chosen: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        from_json(Schedule, {"name": name, **chosen})
