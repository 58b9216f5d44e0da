"""Durations with units, and the clock on which they are read."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.core.duration import Clock, Duration
from striate.core.errors import ConfigError


def test_a_clock_counts_steps_epochs_and_seconds() -> None:
    clock = Clock(steps_per_epoch=3)
    seen = []
    for _ in range(7):
        seen.append((clock.step, clock.epoch, clock.step_in_epoch, clock.at_epoch_end))
        clock = clock.tick(0.5)
    assert seen == [
        (0, 0, 0, False), (1, 0, 1, False), (2, 0, 2, False), (3, 1, 0, True), (4, 1, 1, False), (5, 1, 2, False),
        (6, 2, 0, True),
    ]  # fmt: skip
    assert clock.seconds == 3.5
    assert clock.epochs == pytest.approx(7 / 3)
    assert clock.steps_per_epoch == 3


@pytest.mark.parametrize(
    ("text", "amount", "unit", "shown"),
    [
        ("90ep", 90, "ep", "90ep"),
        (30, 30, "ep", "30ep"),
        ("5000st", 5000, "st", "5000st"),
        ("1.5ep", 1.5, "ep", "1.5ep"),
        (" .5 h ", 0.5, "h", "0.5h"),
        ("10min", 10, "min", "10min"),
        ("+3s", 3, "s", "3s"),
        (Duration(2.0, "ep"), 2, "ep", "2ep"),
    ],
)
def test_a_duration_is_read_with_its_unit_and_a_bare_number_counts_epochs(
    text: str | int | Duration, amount: float, unit: str, shown: str
) -> None:
    duration = Duration.parse(text)
    assert (duration.amount, duration.unit, str(duration)) == (amount, unit, shown)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("soon", "a number and a unit.*received 'soon'"),
        ("", "a number and a unit"),
        ("3 4ep", "a number and a unit"),
        ("5weeks", "ends in one of ep, st, s, min, h; received 'weeks'"),
        ("0ep", "must be above 0; received 0ep"),
        ("-3ep", "must be above 0; received -3ep"),
        ("1.5st", "A number of steps is a whole number; received 1.5st"),
    ],
)
def test_an_invalid_duration_is_refused_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Duration.parse(text)


@pytest.mark.parametrize("amount", [float("inf"), float("nan")])
def test_a_duration_ends(amount: float) -> None:
    with pytest.raises(ConfigError, match="must be above 0"):
        Duration(amount, "ep")


@given(st.floats(1e-9, 1e12), st.sampled_from(["ep", "st", "min", "s"]))
def test_the_text_of_a_duration_reads_as_the_same_duration(amount: float, unit: str) -> None:
    duration = Duration(float(math.ceil(amount)) if unit == "st" else amount, unit)
    assert Duration.parse(str(duration)) == duration


def test_tenths_of_epochs_have_the_updates_of_exact_arithmetic() -> None:
    for tenths, steps_per_epoch in itertools.product(range(1, 130), range(1, 130)):
        duration, updates = Duration(tenths / 10, "ep"), -(-tenths * steps_per_epoch // 10)
        assert duration.steps(steps_per_epoch) == updates
        assert duration.reached(Clock(steps_per_epoch, step=updates))
        assert not duration.reached(Clock(steps_per_epoch, step=updates - 1))


@pytest.mark.parametrize(
    ("text", "clock", "progress"),
    [
        ("2ep", Clock(10, step=5), 0.25),
        ("40st", Clock(10, step=5), 0.125),
        ("2min", Clock(10, step=5, seconds=30.0), 0.25),
        ("1h", Clock(10, seconds=7200.0), 2.0),
        ("30s", Clock(10, seconds=15.0), 0.5),
    ],
)
def test_progress_is_the_share_that_has_passed(text: str, clock: Clock, progress: float) -> None:
    assert Duration.parse(text).progress(clock) == pytest.approx(progress)


def test_a_duration_is_reached_at_its_last_step_and_not_before() -> None:
    duration = Duration.parse("2ep")
    assert not duration.reached(Clock(10, step=19))
    assert duration.reached(Clock(10, step=20))
    assert duration.reached(Clock(10, step=21))


@pytest.mark.parametrize(("text", "steps"), [("2ep", 20), ("0.25ep", 3), ("7st", 7), ("3min", None)])
def test_steps_are_rounded_up_and_a_time_has_no_number_of_them(text: str, steps: int | None) -> None:
    assert Duration.parse(text).steps(10) == steps


@given(st.sampled_from([0.1, 0.3, 0.7, 1.1, 2.5, 12.3]), st.integers(1, 1000))
def test_a_duration_is_reached_exactly_after_its_steps(epochs: float, steps_per_epoch: int) -> None:
    duration = Duration(epochs, "ep")
    steps = duration.steps(steps_per_epoch)
    assert steps is not None
    assert duration.reached(Clock(steps_per_epoch, step=steps))
    assert not duration.reached(Clock(steps_per_epoch, step=steps - 1))
