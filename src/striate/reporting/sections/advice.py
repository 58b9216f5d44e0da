"""What to do next, from a cross-validation: labels to check, classes to photograph, whether more images would help."""

from __future__ import annotations

import statistics

from striate.core.proportion import Proportion, difference
from striate.metrics import ClassificationScores
from striate.reporting.html import Child, Html, h, name
from striate.reporting.material import RunMaterial
from striate.reporting.numbers import count, figure, interval, listed, percent, proportion
from striate.reporting.page import Section, table
from striate.reporting.sections.confidence import refusal
from striate.reporting.sections.examples import gallery
from striate.runs.cross_validation import CurvePoint

_FEWER = 0.5
"""Fraction of the median number of images per class below which a class has few."""
_WORTH_WHILE = 0.15
"""Fraction of the mistakes that the last doubling of the images removes where more images are worth while."""
_LEAST = 3
"""Fewest images that the last doubling must bring right."""
_PAIRS = 3


def advice(material: RunMaterial) -> Section | None:
    """Say what the cross-validation shows, and what would improve the classifier."""
    scores = material.folds
    if scores is None:
        return None
    lead: list[Child] = [h("p", sentence) for sentence in _expected(scores)]
    steps = [
        *_labels(scores, material.labels),
        *_confused(scores),
        *_classes(scores),
        *_more(material.curve),
        *([refusal(material)] if material.refused_by else []),
    ]
    content: list[Child] = [h("ol", [h("li", step) for step in steps], class_="steps")]
    if material.suspects:
        content += [h("h3", "Labels to check"), gallery(material.suspects, "gallery why")]
    if material.curve:
        content += [h("h3", "Accuracy by number of images per class"), _curve(material.curve)]
    return Section("next", "What to do next", lead, content)


def _expected(scores: ClassificationScores) -> list[Child]:
    return [
        [
            "In cross-validation, each image was answered by a classifier that was trained on the other folds: ",
            proportion(scores.top1, "folds.top1"),
            " of ",
            figure(scores.count, count(scores.count), "folds.top1.count"),
            " images are correct (95 % interval ",
            h("span", interval(scores.top1, "folds.top1")),
            ").",
        ],
        "The classifier of this run was trained on all of them. On new images of the same kind it is expected to be as "
        "accurate, or slightly more.",
    ]


def _labels(scores: ClassificationScores, listed_in_file: bool) -> list[Child]:
    wrong = scores.count - scores.top1.correct
    if not wrong:
        return ["No label is contradicted."]
    where = " labels.csv lists them first; correct it and train on it." if listed_in_file else ""
    return [
        f"Check the labels of the {count(wrong, 'image')} whose label is contradicted, the most confident answers "
        f"first: they are mislabelled, or hard.{where}"
    ]


def _confused(scores: ClassificationScores) -> list[Child]:
    said: list[Child] = []
    for pair in scores.most_confused(_PAIRS):
        if pair.count > 1:
            of = f"{pair.count} of {count(pair.support, 'image')}"
            said.append([name(pair.given), " is taken for ", name(pair.predicted), f" ({of})."])
    return said


def _classes(scores: ClassificationScores) -> list[Child]:
    """Name the classes that are recognised significantly less often than the average, and those with few images."""
    overall = scores.top1.value or 0.0
    weak = []
    for each in scores.per_class:
        ends = Proportion(each.correct, each.support).interval
        if ends is not None and ends[1] < overall:
            weak.append(each.name)
    half = _FEWER * statistics.median(each.support for each in scores.per_class)
    few = [each.name for each in scores.per_class if each.support < half]
    said: list[Child] = []
    if weak:
        said.append(f"Add images of {listed(weak)}: recognised less often than the others.")
    if rest := [label for label in few if label not in weak]:
        said.append(f"Add images of {listed(rest)}: fewer than half as many as the other classes have.")
    return said


def _more(curve: tuple[CurvePoint, ...]) -> list[Child]:
    """Say whether more images would help, by what the last doubling has brought."""
    if len(curve) < 2:
        return []
    last = curve[-1]
    half = next((point for point in reversed(curve[:-1]) if 2 * point.per_class <= last.per_class), curve[0])
    before, after = half.accuracy, last.accuracy
    fewer = (after.correct - before.correct) / max(1, before.count - before.correct)
    ends = difference(after, before) or (0.0, 0.0)
    grew = f"from {half.per_class} to {last.per_class} images per class, {_share(before)} became {_share(after)}"
    if fewer < _WORTH_WHILE or after.correct - before.correct < _LEAST:
        return [f"More images of the same kind would hardly help: {grew}. Images unlike these may."]
    word = "would probably help" if ends[0] > 0 else "may help, which so few images do not prove"
    return [f"More images {word}: {grew}."]


def _curve(curve: tuple[CurvePoint, ...]) -> Html:
    rows: list[list[Child]] = []
    for point in curve:
        low, high = point.accuracy.interval or (0.0, 1.0)
        rows.append([str(point.per_class), _share(point.accuracy), f"{percent(low)} – {percent(high)}"])
    return table(["images per class", "accuracy", "95 % interval"], rows, numeric_from=0)


def _share(measured: Proportion) -> str:
    return percent(measured.value or 0.0)
