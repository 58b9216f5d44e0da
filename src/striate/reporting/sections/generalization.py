"""Scores on training, validation and test images, compared."""

from __future__ import annotations

from striate.core.proportion import Proportion, difference
from striate.metrics import ClassificationScores
from striate.reporting.html import Child, Html, h
from striate.reporting.material import RunMaterial
from striate.reporting.numbers import figure, interval, percent, proportion
from striate.reporting.page import Section, table

SMALL = 0.05
"""Largest gap between seen and unseen images, as the end of its interval, that is reported as small."""


def generalization(material: RunMaterial) -> Section | None:
    """Show accuracy, loss and calibration error of each split, and say what their differences mean."""
    judged = [
        (label, key, scores)
        for label, key, scores in (
            ("training", "train", material.train),
            ("validation", "validation", material.validation),
            ("test", "test", material.test),
        )
        if scores is not None
    ]
    if len(judged) < 2:
        return None
    rows = [_row(label, key, scores) for label, key, scores in judged]
    heads = ["split", "images", "accuracy", "95 % interval", "loss", "calibration error"]
    lead: list[Child] = [h("p", sentence, class_=kind) for sentence, kind in _sentences(material)]
    return Section("generalization", "Generalization", lead, table(heads, rows))


def _row(label: str, key: str, scores: ClassificationScores) -> list[Child]:
    calibrated = scores.calibrated
    error, place = (calibrated.ece, "calibrated") if calibrated else (scores.as_trained.ece, "as_trained")
    return [
        label,
        figure(scores.count, f"{scores.count:,}", f"{key}.top1.count"),
        proportion(scores.top1, f"{key}.top1"),
        h("span", interval(scores.top1, f"{key}.top1")),
        figure(scores.loss, f"{scores.loss:.3f}", f"{key}.loss"),
        figure(error, percent(error), f"{key}.{place}.ece"),
    ]


def _sentences(material: RunMaterial) -> list[tuple[Child, str | None]]:
    """Return each sentence with the CSS class of its paragraph."""
    said: list[tuple[Child, str | None]] = []
    unseen, word = (material.test, "test") if material.test else (material.validation, "validation")
    if material.train and unseen:
        said.append(_overfit(material.train.top1, unseen.top1, word))
    if material.validation and material.test:
        said.append(_optimistic(material.validation.top1, material.test.top1))
    if material.validation and material.selected:
        chosen = "The epoch was chosen, and the temperature was fitted, on the validation images, "
        said.append((chosen + "so their scores are optimistic.", None))
    if mirrored := material.mirrored:
        said.append((f"{mirrored}.", None))
        if mirrored.warning:
            said.append((f"{mirrored.warning[0].upper()}{mirrored.warning[1:]}.", "warning"))
    return said


def _overfit(seen: Proportion, unseen: Proportion, word: str) -> tuple[Child, str | None]:
    """Compare training images with unseen ones, as far as the number of images allows."""
    low, high = difference(seen, unseen) or (-1.0, 1.0)
    both = f"{_percent(seen)} of training images are correct, {_percent(unseen)} of {word} images"
    if low > 0:
        gap = f"a gap of {_points(low)} to {_points(high)} percentage points (95 % interval)"
        found: Html | str = h("b", "The model overfits") if low > SMALL else "Training images score better"
        return [found, f": {both}, {gap}."], "warning" if low > SMALL else None
    if high <= SMALL:
        gap = f"a gap of at most {_points(high)} percentage points (95 % interval)" if high > 0 else "no gap"
        return f"No overfitting was found: {both}, {gap}.", None
    return (
        f"Overfitting cannot be decided: {both}; with so few images the gap may be {_points(low)} to {_points(high)} "
        f"percentage points."
    ), None


def _optimistic(validation: Proportion, test: Proportion) -> tuple[Child, str | None]:
    """Compare validation images with test images."""
    low, high = difference(validation, test) or (-1.0, 1.0)
    both = f"{_percent(validation)} of validation images are correct, {_percent(test)} of test images"
    gap = f"{_points(low)} to {_points(high)} percentage points apart (95 % interval)"
    if low > 0:
        named = h("b", "Validation is better than test")
        return [named, f": {both}, {gap}. The test score is the unbiased one."], "warning"
    if high < 0:
        return [h("b", "Test is better than validation"), f": {both}, {gap}. The splits may differ in kind."], "warning"
    return f"Validation and test agree within their intervals: {both}.", None


def _percent(measured: Proportion) -> str:
    return percent(measured.value or 0.0)


def _points(difference: float) -> str:
    return f"{100 * difference:.1f}"
