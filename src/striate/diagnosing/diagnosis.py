"""The judgement on a training: every verdict, and the next thing to try."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from striate.core.proportion import Proportion
from striate.diagnosing.curves import judge_fit, judge_rate, sound_at_start
from striate.diagnosing.history import History
from striate.diagnosing.layers import Measurement, judge_activations, judge_gradients
from striate.diagnosing.verdict import Verdict

_SOUND = "No rule found a fault: try more augmentation, a larger network or a longer training, one at a time."
_UNKNOWN = "No rule found a fault, and the learning rate could not be judged: 'striate find-lr' suggests one."


@dataclass(frozen=True)
class Judgement:
    """Verdicts, in the order in which to act on them: what is broken first, and the fit last."""

    verdicts: tuple[Verdict, ...]

    @property
    def faults(self) -> tuple[Verdict, ...]:
        """The verdicts that name a fault."""
        return tuple(verdict for verdict in self.verdicts if verdict.fault)

    @property
    def next(self) -> str:
        """What to try next, in one sentence."""
        outcomes = {each.subject: each.outcome for each in self.verdicts}
        if "fit" not in outcomes:
            sound = "No rule found a fault in the layers."
        elif outcomes.get("learning rate") == "undecided":
            sound = _UNKNOWN
        else:
            sound = _SOUND
        return next((fault.remedy for fault in self.faults if fault.remedy), sound)

    def __str__(self) -> str:
        return "; ".join(f"{each.subject}: {each.outcome}" for each in self.verdicts)


def judge(
    history: History,
    measurements: Sequence[Measurement],
    *,
    share: float = 1.0,
    seen: Proportion | None = None,
    unseen: Proportion | None = None,
) -> Judgement:
    """Judge a training of which `share` is over by its curves and the measurements of its layers.

    `seen` and `unseen` are the accuracies of the kept weights on training images and on others, where they are known.
    """
    measured = next((each for each in reversed(measurements) if each.layers), None)
    layers = () if measured is None else judge_layers(measured, sound_at_start=sound_at_start(measurements)).verdicts
    rate = judge_rate(history, measurements, share=share)
    fit = judge_fit(history, ended=share >= 1.0, seen=seen, unseen=unseen)
    if (rate.outcome, fit.outcome) == ("good", "good"):
        layers = tuple(_remark(each) if each.outcome == "dead" else each for each in layers)
    # A rate that is too high breaks layers; layers that were broken from the start make any rate fail.
    return Judgement((rate, *layers, fit) if rate.fault else (*layers, rate, fit))


def judge_layers(measurement: Measurement, *, sound_at_start: bool | None = None) -> Judgement:
    """Judge a network by one measurement of its layers; `sound_at_start` chooses between remedies."""
    activations = judge_activations(measurement.layers, sound_at_start=sound_at_start)
    gradients = judge_gradients(measurement)
    lost = any(layer.dead == 1.0 for layer in measurement.layers)  # then gradients vanish for this reason
    return Judgement((activations, gradients) if lost else (gradients, activations))


def _remark(verdict: Verdict) -> Verdict:
    """Return the verdict without a remedy: a trained layer that is wider than it must be has units without a use."""
    return replace(verdict, evidence=f"{verdict.evidence}; loss and fit are good all the same", remedy=None)
