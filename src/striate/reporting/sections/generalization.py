"""Training, validation and test beside each other: what the scores of seen images are worth on unseen ones."""

from __future__ import annotations

from striate.core.proportion import Proportion, difference
from striate.metrics import Judgement
from striate.reporting.html import Child, Html, h
from striate.reporting.material import RunMaterial
from striate.reporting.numbers import figure, interval, percent, proportion
from striate.reporting.page import Section, table

SMALL = 0.05
"""A gap between seen and unseen images that is at most this large, with its whole interval, is called small."""


def generalization(material: RunMaterial) -> Section | None:
    """Accuracy, loss and calibration error of each split, and what their differences allow to be said."""
    judged = [
        (label, key, judgement)
        for label, key, judgement in (
            ("training", "train", material.train),
            ("validation", "validation", material.validation),
            ("test", "test", material.test),
        )
        if judgement is not None
    ]
    if len(judged) < 2:
        return None
    rows = [_row(label, key, judgement) for label, key, judgement in judged]
    heads = ["split", "images", "accuracy", "95 % interval", "loss", "calibration error"]
    lead: list[Child] = [h("p", sentence, class_=kind) for sentence, kind in _sentences(material)]
    return Section("generalization", "On images it has not seen", lead, table(heads, rows))


def _row(label: str, key: str, judgement: Judgement) -> list[Child]:
    calibrated = judgement.calibrated
    error, place = (calibrated.ece, "calibrated") if calibrated else (judgement.as_trained.ece, "as_trained")
    return [
        label,
        figure(judgement.count, f"{judgement.count:,}", f"{key}.top1.count"),
        proportion(judgement.top1, f"{key}.top1"),
        h("span", interval(judgement.top1, f"{key}.top1")),
        figure(judgement.loss, f"{judgement.loss:.3f}", f"{key}.loss"),
        figure(error, percent(error), f"{key}.{place}.ece"),
    ]


def _sentences(material: RunMaterial) -> list[tuple[Child, str | None]]:
    """Each sentence with the class of its paragraph: a warning, or none."""
    said: list[tuple[Child, str | None]] = []
    unseen, word = (material.test, "test") if material.test else (material.validation, "validation")
    if material.train and unseen:
        said.append(_overfit(material.train.top1, unseen.top1, word))
    if material.validation and material.test:
        said.append(_optimistic(material.validation.top1, material.test.top1))
    if material.validation and material.selected:
        told = "The epoch was chosen by its score on the validation images, and the temperature was fitted on them: "
        said.append((told + "they are no longer unseen, and their scores are optimistic.", None))
    return said


def _overfit(seen: Proportion, unseen: Proportion, word: str) -> tuple[Child, str | None]:
    """Whether the classifier does better on what it was trained on, as far as the numbers of images allow to say."""
    low, high = difference(seen, unseen) or (-1.0, 1.0)
    both = f"{_share(seen)} of training images are right, {_share(unseen)} of {word} images"
    if low > 0:
        gap = f"{_points(low)} to {_points(high)} percentage points more (95 % interval)"
        found: Html | str = h("b", "It over-fits") if low > SMALL else "It does better on what it was trained on"
        return [found, f": {both}, {gap}."], "warning" if low > SMALL else None
    if high <= SMALL:
        return f"No over-fitting was found: {both}, at most {_points(high)} percentage points more (95 %).", None
    return (
        f"Whether it over-fits is not decided: {both}; with so few images the gap lies anywhere from {_points(low)} to "
        f"{_points(high)} percentage points."
    ), None


def _optimistic(validation: Proportion, test: Proportion) -> tuple[Child, str | None]:
    """Whether validation and test tell the same."""
    low, high = difference(validation, test) or (-1.0, 1.0)
    both = f"{_share(validation)} of validation images are right, {_share(test)} of test images"
    gap = f"{_points(low)} to {_points(high)} percentage points apart (95 % interval)"
    if low > 0:
        named = h("b", "Validation is better than test")
        return [named, f": {both}, {gap}. Believe the test: it chose nothing."], "warning"
    if high < 0:
        return [h("b", "Test is better than validation"), f": {both}, {gap}. The splits may differ in kind."], "warning"
    return f"Validation and test agree within their intervals: {both}.", None


def _share(measured: Proportion) -> str:
    return percent(measured.value or 0.0)


def _points(share: float) -> str:
    return f"{100 * share:.1f}"
