"""Rules that read a training's curves: over-fitting, under-fitting, and the learning rate."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence

from striate.core.proportion import Proportion, difference
from striate.diagnosing import thresholds
from striate.diagnosing.history import History, Point
from striate.diagnosing.layers import Measurement, judge_activations, judge_gradients
from striate.diagnosing.verdict import Verdict

_PARTS = 10
_FEWEST = 6  # points of the training loss from which its course is read


def overfitting(history: History) -> tuple[float, float] | None:
    """Return (the epoch after which the validation loss rose, its relative rise) if it rose for good, else None.

    It did if it ends more than `thresholds.RISE` above its lowest value while the training loss kept falling. Medians
    of neighbouring evaluations are compared (a fifth of all, at least three) against noise.
    """
    found = steady_rise(history)
    if found is None:
        return None
    before = [loss for x, loss in history.training_loss if x <= found[0]]
    return found if before and history.training_loss[-1][1] < before[-1] else None


def steady_rise(history: History) -> tuple[float, float] | None:
    """Return what `overfitting` does, whatever the training loss did meanwhile."""
    losses = history.validation_loss
    width = max(3, len(losses) // 5)
    steady = [
        (losses[k + width // 2][0], statistics.median(y for _, y in losses[k : k + width]))
        for k in range(len(losses) - width + 1)
    ]
    if not steady:
        return None
    turn, lowest = min(reversed(steady), key=lambda point: point[1])
    rise = steady[-1][1] / lowest - 1 if lowest > 0 else 0.0
    return (turn, rise) if rise > thresholds.RISE else None


def judge_fit(
    history: History, *, ended: bool, seen: Proportion | None = None, unseen: Proportion | None = None
) -> Verdict:
    """Name over-fitting, under-fitting, and what was only memorized, as labels at random are.

    C. Zhang et al., "Understanding deep learning requires rethinking generalization", ICLR 2017, arXiv:1611.03530.

    `seen` and `unseen` are the accuracies of the kept weights on training images and on others, where they are known.
    During a training its loss bounds the mistakes: a wrong answer costs at least ln 2.
    """
    rule = (
        "memorized: the training loss falls, and no evaluation is better than a constant answer; over-fitting: the "
        f"validation loss ends {100 * thresholds.RISE:g} % above its lowest value while the training loss falls, or "
        f"training images are answered better by {100 * thresholds.GAP:g} points or more; under-fitting: "
        f"training and validation loss end above {thresholds.UNFIT:g} of that of a constant answer, which is known for "
        "cross-entropy, and for the binary one where an image may have several classes"
    )
    if not all(math.isfinite(loss) for _, loss in (*history.training_loss, *history.validation_loss)):
        return Verdict("fit", "undecided", rule, "not all losses are finite")
    found = overfitting(history)
    gap = _gap(history, seen, unseen)
    levels = _levels(history.training_loss)
    more = "Use more images or augmentation, or regularize: dropout, weight decay, a smaller network, early stopping."
    if levels and _holds_for_none(history, levels[-1]):
        least = min(loss for _, loss in history.validation_loss)
        evidence = (
            f"the training loss fell to {levels[-1]:.3g}, and no evaluation is better than a constant answer: a loss "
            f"of {least:.3g} or more; a constant answer has {history.chance:.3g}"
        )
        return Verdict("fit", "memorized", rule, evidence, _CHECK)
    if found is not None:
        evidence = (
            f"after epoch {found[0]:.3g} the validation loss rose by {100 * found[1]:.0f} %, and the training loss fell"
        )
        return Verdict("fit", "over-fitting", rule, evidence, more)
    if gap is not None and gap > thresholds.GAP:
        evidence = f"training images are answered better than others by at least {100 * gap:.1f} percentage points"
        return Verdict("fit", "over-fitting", rule, evidence, more)
    if not levels or not history.validation_loss:
        return Verdict("fit", "undecided", rule, "there are no training steps or no evaluation yet")
    last = f"training loss {levels[-1]:.3g}, validation loss {history.validation_loss[-1][1]:.3g}"
    if ended and history.chance and _reached(history) > thresholds.UNFIT * history.chance:
        evidence = f"{last}; a constant answer has {history.chance:.3g}"
        return Verdict(
            "fit", "under-fitting", rule, evidence, "Train longer, use a larger network, or regularize less."
        )
    if not ended:
        return Verdict("fit", "no over-fitting so far", rule, last)
    if history.chance is None:
        return Verdict("fit", "no over-fitting", rule, f"{last}; under-fitting is not judged for this loss")
    return Verdict("fit", "good", rule, last)


_CHECK = (
    "Check labels and splits first, with 'striate audit': what the network learns from its images holds for no others."
)


def _holds_for_none(history: History, level: float) -> bool:
    """Return whether the training loss, now at `level`, fell while no evaluation was better than a constant answer.

    A network that has learned a few images by heart may have a high validation loss and many right answers. Where an
    image may have several classes, most of the answers are right in any case: this is not judged.
    """
    if history.validation_precision:
        return False
    chance, count = history.chance, history.validated
    scores = history.validation_balanced or history.validation_accuracy
    if not chance or not count or not scores or not history.validation_loss or level > thresholds.UNFIT * chance:
        return False
    if min(loss for _, loss in history.validation_loss) <= thresholds.NOTHING * chance:
        return False
    right = Proportion(round(max(score for _, score in scores) * count), count).interval
    return right is not None and right[0] <= math.exp(-chance)


def _gap(history: History, seen: Proportion | None, unseen: Proportion | None) -> float | None:
    """Return the lower end of the 95 % interval of training accuracy minus that on other images; None if unknown."""
    if seen is not None and unseen is not None:
        ends = difference(seen, unseen)
        return None if ends is None else ends[0]
    if not history.chance or not history.validated or not history.validation_accuracy or not history.training_loss:
        return None
    if history.validation_precision:  # the accuracy is that of single decisions
        return None
    count, accuracy = history.validated, history.validation_accuracy[-1][1]
    mistakes = _levels(history.training_loss)[-1] / math.log(2)
    right = Proportion(round(accuracy * count), count).interval
    return None if right is None else (1.0 - mistakes) - right[1]


def judge_rate(history: History, measurements: Sequence[Measurement], *, share: float) -> Verdict:
    """Judge by the loss and the size of the updates whether the learning rate is too high, too low or good.

    `share` is the share of the training that is over.
    """
    rule = (
        "too high: the loss is not finite, ends far above its lowest level, or stays at that of a constant answer with "
        f"updates above {thresholds.LARGE_UPDATE:g} of the weights, after a rise, or with layers that broke; too low: "
        f"it ends above {thresholds.UNFIT:g} of that of a constant answer with updates below "
        f"{thresholds.SMALL_UPDATE:g} of the weights, or while it falls as a line; good: it fell fast and levelled"
    )

    def verdict(outcome: str, evidence: str, remedy: str | None = None) -> Verdict:
        return Verdict("learning rate", outcome, rule, evidence, remedy)

    sound = sound_at_start(measurements)
    if sound is False:
        return verdict("undecided", "the layers were not sound before the first step, whatever the rate")
    ended = next((each for each in measurements if each.diverged), None)
    if ended is not None:
        return verdict("too high", f"the loss was not finite after step {ended.step} at {ended.rate:.3g}", _LOWER)
    losses = history.training_loss
    if len(losses) < _FEWEST:
        return verdict("undecided", "the training is too short for its loss to show it")
    levels, start = _levels(losses), losses[0][1]
    ratio = _update_at_highest_rate(history, measurements)
    lowest, last = min(levels), levels[-1]
    chance = history.chance or start
    updates = "" if ratio is None else f"; a step changes the weights by {ratio:.1g} of their size"
    course = f"the loss went from {start:.3g} to {last:.3g}{updates}"
    learned = min(lowest, _reached(history)) < thresholds.NOTHING * chance
    if last > thresholds.ROSE * lowest and last > thresholds.UNFIT * chance:
        return verdict("too high", f"the loss rose again from {lowest:.3g} to {last:.3g}{updates}", _LOWER)
    if not learned and max(y for _, y in losses) > thresholds.ROSE * max(start, chance):
        return verdict("too high", f"the loss rose to {max(y for _, y in losses):.3g}; {course}", _LOWER)
    if share < thresholds.EARLY:
        return verdict("undecided", f"the training has only begun; {course}")
    if not learned and sound and any(map(_is_broken, measurements)):
        return verdict("too high", f"layers that were sound at the start pass no gradient; {course}", _LOWER)
    if not learned and ratio is not None and ratio > thresholds.LARGE_UPDATE:
        return verdict("too high", course, _LOWER)
    high = _reached(history) > thresholds.UNFIT * chance and not any(map(_is_broken, measurements[-1:]))
    if high and (ratio < thresholds.SMALL_UPDATE if ratio is not None else _is_line(history)):
        return verdict("too low", course, "Raise the learning rate by 10; 'striate find-lr' suggests one.")
    if not learned:
        return verdict("undecided", course)
    return verdict("good", course)


_LOWER = "Lower the learning rate by 10; 'striate find-lr' suggests one."


def sound_at_start(measurements: Sequence[Measurement]) -> bool | None:
    """Return whether the layers passed gradients before the first step; None where they were not measured then."""
    first = next((each for each in measurements if each.step == 0 and each.layers), None)
    return None if first is None else not _is_broken(first)


def _is_broken(measurement: Measurement) -> bool:
    """Return whether layers are dead or saturated, or their gradients vanish or explode."""
    layers = measurement.layers
    return bool(layers) and (judge_activations(layers).fault or judge_gradients(measurement).fault)


def _levels(points: Sequence[Point]) -> list[float]:
    """Return the mean of a curve in each tenth of its points, or in as many parts as it has points."""
    parts = min(_PARTS, len(points))
    bounds = [len(points) * part // parts for part in range(parts + 1)] if parts else []
    return [statistics.fmean(y for _, y in points[low:high]) for low, high in itertools.pairwise(bounds)]


def _reached(history: History) -> float:
    """Return the last level of the loss.

    Of training or validation images, as augmentation makes the former harder; but a validation loss may be another than
    that of the training where a constant answer's is unknown.
    """
    validated = history.validation_loss[-1:] if history.chance else ()
    return min([_levels(history.training_loss)[-1], *(y for _, y in validated)])


def at_high_rate(history: History, measurements: Sequence[Measurement]) -> list[Measurement]:
    """Return the measurements of an update at a rate of at least a tenth of the highest one."""
    highest = max((rate for _, rate in history.learning_rate), default=0.0)
    return [each for each in measurements if each.update is not None and each.rate >= 0.1 * highest > 0]


def _update_at_highest_rate(history: History, measurements: Sequence[Measurement]) -> float | None:
    """Return the median ratio of update to weights, each in proportion to the highest rate."""
    highest = max(rate for _, rate in history.learning_rate)
    known = at_high_rate(history, measurements)
    return statistics.median((each.update or 0.0) * highest / each.rate for each in known) if known else None


def _is_line(history: History) -> bool:
    """Return whether the loss fell in the last third of all learning almost as much as in the second.

    Thirds are those of the sum of the learning rates, so that a decaying rate does not make the curve level.
    """
    rates = [rate for _, rate in history.learning_rate]
    total, passed, thirds = sum(rates), 0.0, ([], [], [])
    for rate, (_, loss) in zip(rates, history.training_loss, strict=True):
        thirds[min(2, int(3 * passed / total)) if total else 0].append(loss)
        passed += rate
    if not all(thirds):
        return False
    first, second, third = map(statistics.fmean, thirds)
    return 0 < third < second < first and second - third >= thresholds.STEADY * (first - second)
