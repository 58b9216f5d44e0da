"""Verdicts on curves and layers that were made to have a fault, and on sound ones."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from striate.core.proportion import Proportion
from striate.diagnosing import History, Judgement, LayerHealth, Measurement, judge, judge_layers, thresholds

LN10 = math.log(10)
FAST = [2.3, 1.2, 0.8, 0.5, 0.4, 0.3, 0.28, 0.26, 0.25, 0.25, 0.24, 0.24]


def history(training: list[float], validation: list[float] | None = None, **changes: Any) -> History:
    def points(values: list[float]) -> tuple[tuple[float, float], ...]:
        return tuple((float(epoch + 1), value) for epoch, value in enumerate(values))

    rate = changes.pop("rate", [0.1] * len(training))
    accuracy = changes.pop("accuracy", [])
    losses = training if validation is None else validation
    facts = {"chance": LN10, "validated": 1000} | changes
    return History(points(training), points(losses), points(accuracy), points(rate), float(len(training)), **facts)


def layer(**changes: Any) -> LayerHealth:
    sound: dict[str, Any] = {
        "name": "fc", "units": 16, "mean": 0.0, "std": 1.0, "activation": "relu", "dead": 0.1, "signal": 1.0,
        "gradient": 1.0, "weight": 1.0,
    }  # fmt: skip
    return LayerHealth(**sound | changes)


def measured(*layers: LayerHealth, step: int = 100, **changes: Any) -> Measurement:
    return Measurement(step=step, epoch=step / 10, rate=0.1, layers=layers or (layer(), layer()), **changes)


def moving(ratio: float) -> Measurement:
    return measured(layer(update=ratio), layer(update=ratio))


def outcomes(found: Judgement) -> dict[str, str]:
    return {each.subject: each.outcome for each in found.verdicts}


START = measured(step=0)


def test_a_sound_training_has_no_fault() -> None:
    found = judge(history(FAST), [START, moving(1e-3)])
    assert outcomes(found) == {
        "gradients": "healthy", "activations": "healthy", "learning rate": "good", "fit": "good",
    }  # fmt: skip
    assert found.faults == ()
    assert found.next.startswith("No rule found a fault")


@pytest.mark.parametrize(
    ("curve", "measurements", "outcome"),
    [
        (FAST[:2], [measured(diverged=True)], "too high"),
        ([2.3, 1.0, 0.5, 0.4, 2.3, 2.3, 2.3, 2.3], [], "too high"),
        ([2.3, 40.0, 5.0, 2.4, 2.3, 2.3, 2.3, 2.3], [], "too high"),
        ([2.5, 2.3, 2.31, 2.3, 2.31, 2.3, 2.3, 2.3], [START, measured(layer(dead=1.0), layer())], "too high"),
        ([2.4, 2.3, 2.31, 2.3, 2.31, 2.3, 2.3, 2.3], [START, moving(0.1)], "too high"),
        ([2.4, 2.3, 2.31, 2.3, 2.31, 2.3, 2.3, 2.3], [START, moving(1e-3)], "undecided"),
        ([4.0, 3.9, 3.8, 3.7, 3.6, 3.5, 3.4, 3.3], [START, moving(1e-5)], "too low"),
        ([2.30, 2.25, 2.2, 2.15, 2.1, 2.05, 2.0, 1.95], [], "too low"),
        ([2.3, 1.8, 1.5, 1.4, 1.35, 1.33, 1.32, 1.32], [], "good"),
        ([2.3, 1.8, 1.5, 1.4, 1.35, 1.33, 1.32, 1.32], [START, moving(1e-3)], "good"),
        ([2.3, 1.0, 0.5, 0.1, 0.05, 0.03, 0.02, 0.01], [START, moving(1e-5)], "good"),
        ([2.3, 2.3, 2.3, 2.3, 2.3, 2.3, 2.3, 2.3], [measured(layer(dead=1.0), layer(), step=0)], "undecided"),
        (FAST[:3], [], "undecided"),
    ],
    ids=[
        "not finite", "rose again", "rose and stays at chance", "layers died", "large updates", "nothing learned",
        "small updates", "a line", "levels", "levels at usual updates", "small updates of a trained network",
        "dead from the start", "short",
    ],
)  # fmt: skip
def test_the_learning_rate_is_told_from_curve_and_updates(
    curve: list[float], measurements: list[Measurement], outcome: str
) -> None:
    assert outcomes(judge(history(curve), measurements))["learning rate"] == outcome


def test_a_decaying_rate_does_not_turn_a_line_into_a_curve_that_levels() -> None:
    """The loss falls by the same amount for each unit of the summed rate, and so levels where the rate decays."""
    rate = [0.1 * 0.7**epoch for epoch in range(12)]
    curve, loss = [], 2.3
    for each in rate:
        loss -= each
        curve.append(loss)
    assert outcomes(judge(history(curve, rate=rate), []))["learning rate"] == "too low"


def test_a_training_that_has_only_begun_is_not_blamed_for_a_slow_start() -> None:
    slow, updates = history([2.3, 2.3, 2.29, 2.29, 2.28, 2.28]), [START, moving(1e-5)]
    assert outcomes(judge(slow, updates, share=0.1)) | {"learning rate": "", "fit": ""} == outcomes(
        judge(slow, updates)
    ) | {"learning rate": "", "fit": ""}
    assert not judge(slow, updates, share=0.1).faults
    assert {fault.outcome for fault in judge(slow, updates).faults} == {"too low", "under-fitting"}


def test_over_fitting_is_named_by_a_rise_and_by_a_gap() -> None:
    rises = [1.0, 0.8, 0.6, 0.5, 0.5, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.0]
    assert outcomes(judge(history(FAST, rises), []))["fit"] == "over-fitting"
    fitted = [*FAST[:6], *[0.01] * 6]
    level = history(fitted, [0.5] * 12, accuracy=[0.85] * 12)
    assert outcomes(judge(level, []))["fit"] == "over-fitting"
    assert outcomes(judge(replace(level, chance=None), []))["fit"] == "no over-fitting", "bounds no mistakes"
    assert outcomes(judge(replace(level, validated=20), []))["fit"] == "good", "20 images do not show a gap"
    assert outcomes(judge(history(FAST, [0.5] * 12, accuracy=[0.85] * 12), []))["fit"] == "good"


def test_the_accuracies_of_the_kept_weights_decide_where_they_are_known() -> None:
    seen, alike, worse = Proportion(990, 1000), Proportion(970, 1000), Proportion(850, 1000)
    assert outcomes(judge(history(FAST), [], seen=seen, unseen=alike))["fit"] == "good"
    assert outcomes(judge(history(FAST), [], seen=seen, unseen=worse))["fit"] == "over-fitting"


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_the_fit_is_undecided_where_a_loss_is_not_finite(loss: float) -> None:
    broken = history(FAST, [*FAST[:8], *[loss] * 4])
    assert outcomes(judge(broken, []))["fit"] == outcomes(judge(broken, [], share=0.5))["fit"] == "undecided"


def test_under_fitting_is_a_loss_near_that_of_a_constant_answer() -> None:
    high = [2.3, 1.9, 1.7, 1.6, 1.55, 1.52, 1.51, 1.5]
    assert outcomes(judge(history(high), []))["fit"] == "under-fitting"
    assert outcomes(judge(history(high, [0.9] * 8), []))["fit"] == "good", "augmentation makes training images harder"
    unknown = judge(history(high, chance=None), []).verdicts[-1]
    assert (unknown.outcome, unknown.fault) == ("no over-fitting", False)
    assert unknown.evidence.endswith("under-fitting is not judged for this loss")


def test_a_loss_of_another_kind_is_not_compared_with_that_of_validation() -> None:
    flat = judge(history([10.4] * 8, [2.52] * 8, chance=None), [])
    assert outcomes(flat)["learning rate"] == "undecided"
    assert flat.next.startswith("No rule found a fault, and the learning rate could not be judged")
    assert outcomes(judge(history([10.4] * 8, [2.52] * 8, chance=None), [moving(1e-6)]))["learning rate"] == "too low"


def test_a_rate_is_not_too_low_where_layers_have_died() -> None:
    line = history([2.30, 2.25, 2.2, 2.15, 2.1, 2.05, 2.0, 1.95])
    died = judge(line, [START, measured(layer(dead=1.0), layer())])
    assert [(each.subject, each.outcome) for each in died.faults] == [("activations", "dead"), ("fit", "under-fitting")]


@pytest.mark.parametrize(
    ("layers", "outcome"),
    [
        ((layer(dead=thresholds.DEAD), layer()), "dead"),
        ((layer(dead=thresholds.DEAD - 0.01), layer()), "healthy"),
        ((layer(dead=0.5, units=2), layer()), "healthy"),
        ((layer(saturated=0.7), layer(saturated=0.1), layer(saturated=0.1)), "healthy"),
        ((layer(saturated=0.7), layer(saturated=0.6), layer(saturated=0.1)), "saturated"),
        ((layer(saturated=0.95), layer(saturated=0.1), layer(saturated=0.1)), "saturated"),
        ((layer(activation=None, dead=None), layer(activation=None, dead=None)), "not measured"),
    ],
    ids=["dead", "some dead", "one of two", "first layer", "most layers", "one stuck", "no function"],
)
def test_activations(layers: tuple[LayerHealth, ...], outcome: str) -> None:
    assert outcomes(judge_layers(measured(*layers)))["activations"] == outcome


@pytest.mark.parametrize(
    ("layers", "outcome"),
    [
        ((layer(signal=1e-4), layer()), "vanishing"),
        ((layer(signal=1e4), layer()), "exploding"),
        ((layer(std=math.nan), layer()), "exploding"),
        ((layer(signal=0.01), layer()), "healthy"),
        ((layer(), layer(signal=1e-9), layer()), "healthy"),
        ((layer(), layer(signal=0.0)), "not measured"),
        ((layer(),), "not measured"),
        ((layer(signal=None), layer(), layer()), "healthy"),
        ((layer(signal=None), layer()), "not measured"),
    ],
    ids=[
        "vanishing",
        "exploding",
        "not finite",
        "a little",
        "a scaled branch",
        "nothing left",
        "one layer",
        "a frozen layer",
        "one layer that is not frozen",
    ],
)
def test_gradients(layers: tuple[LayerHealth, ...], outcome: str) -> None:
    assert outcomes(judge_layers(measured(*layers)))["gradients"] == outcome


def test_the_next_step_is_against_the_first_cause() -> None:
    dead, flat = measured(layer(dead=1.0, signal=0.0), layer()), history([2.3] * 8)
    born = judge(flat, [replace(dead, step=0), dead])
    assert [fault.outcome for fault in born.faults] == ["dead", "vanishing", "under-fitting"]  # a cause, its effects
    assert born.next.startswith("Initialize the biases with 0")
    died = judge(flat, [START, dead])
    assert [fault.outcome for fault in died.faults] == ["too high", "dead", "vanishing", "under-fitting"]
    assert died.next.startswith("Lower the learning rate")


def test_dead_units_of_a_training_that_went_well_are_a_remark() -> None:
    measurements = [START, measured(layer(dead=0.7, update=1e-3), layer(update=1e-3))]
    well = judge(history(FAST), measurements)
    assert outcomes(well)["activations"] == "dead"
    assert well.verdicts[1].evidence.endswith("; loss and fit are good all the same")
    assert well.faults == ()
    over = judge(history(FAST, [*FAST[:6], *(0.1 * (5 + epoch) for epoch in range(6))]), measurements)
    assert [fault.outcome for fault in over.faults] == ["dead", "over-fitting"]


@pytest.mark.parametrize(
    ("validation", "accuracy", "said"),
    [
        ([2.3, 2.31, 2.4, 2.6, 2.9, 3.2, 3.6, 4.0], 0.1, True),
        ([2.3, 2.31, 2.4, 2.6, 2.9, 3.2, 3.6, 4.0], 0.4, False),  # few images: sure of its mistakes, often right
        ([1.9, 1.8, 1.9, 2.6, 2.9, 3.2, 3.6, 4.0], 0.1, False),
    ],
    ids=["labels at random", "few images", "something learned"],
)
def test_what_holds_for_no_other_image_is_a_fault_of_labels_or_splits(
    validation: list[float], accuracy: float, said: bool
) -> None:
    found = judge(history([2.3, 2.0, 1.2, 0.6, 0.2, 0.05, 0.01, 0.001], validation, accuracy=[accuracy] * 8), [START])
    fit = found.verdicts[-1]
    assert fit.outcome == ("memorized" if said else "over-fitting")
    assert str(fit.remedy).startswith("Check labels and splits first") == said


def test_evidence_of_healthy_layers_says_none_where_there_is_none() -> None:
    def evidence(**changes: Any) -> str:
        return judge_layers(measured(layer(**changes), layer(**changes))).verdicts[1].evidence

    assert evidence(dead=0.0) == "no unit is dead"
    assert evidence(dead=0.25, saturated=0.0) == "at most 25 % of a layer's units are dead and no output is saturated"
