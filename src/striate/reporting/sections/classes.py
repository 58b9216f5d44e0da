"""Scores of each class, and the confusion matrix."""

from __future__ import annotations

from striate.metrics import ClassificationScores, ClassScore, ConfusedPair
from striate.reporting.charts import answers
from striate.reporting.html import Child, Html, h, name
from striate.reporting.material import IMAGES, RunMaterial
from striate.reporting.numbers import NOT_KNOWN, count, figure, listed, percent
from striate.reporting.page import Section, folded, table

_AT_ONCE = 24
_WEAKEST = 12
_PAIRS = 8
_HEADS = ("class", "images", "precision", "recall", "F1", "AUC")


def classes(material: RunMaterial) -> Section | None:
    """Show precision, recall, F1 and support of each class; of more than 24 classes the weakest first."""
    if material.unseen is None:
        return None
    key, scores = material.unseen
    rows = [_row(k, score, key) for k, score in enumerate(scores.per_class)]
    whole = table(_HEADS, rows, class_="scores")
    if len(rows) <= _AT_ONCE:
        return Section("classes", "Scores by class", _words(scores, key), whole)
    order = sorted(range(len(rows)), key=lambda k: (scores.per_class[k].f1 is None, scores.per_class[k].f1))
    weakest = table(_HEADS, [rows[k] for k in order[:_WEAKEST]], class_="scores")
    content = [h("h3", f"The {_WEAKEST} weakest"), weakest, folded(f"All {len(rows)} classes", whole)]
    return Section("classes", "Scores by class", _words(scores, key), content)


def _words(scores: ClassificationScores, key: str) -> list[Child]:
    said: list[Child] = [
        h("p", h("b", "Precision"), ": the fraction of the images predicted as the class that belong to it. "),
        h("p", h("b", "Recall"), ": the fraction of the images of the class that are predicted as it."),
    ]
    low, k = min((score.recall, k) for k, score in enumerate(scores.per_class) if score.recall is not None)
    if low < 1:
        found = figure(low, percent(low), f"{key}.per_class.{k}.recall")
        said.append(h("p", "Lowest recall: ", h("b", name(scores.classes[k])), ", ", found, "."))
    if scores.missing:
        missing = listed(scores.missing)
        said.append(h("p", f"Classes without {IMAGES[key]}, which are not evaluated: ", missing, ".", class_="warning"))
    return said


def _row(k: int, score: ClassScore, key: str) -> list[Child]:
    of = f"{key}.per_class.{k}"
    return [
        name(score.name),
        figure(score.support, count(score.support), f"{of}.support"),
        _bar(score.precision, f"{of}.precision"),
        _bar(score.recall, f"{of}.recall"),
        _bar(score.f1, f"{of}.f1"),
        figure(score.auc, NOT_KNOWN if score.auc is None else f"{score.auc:.3f}", f"{of}.auc"),
    ]


def _bar(value: float | None, of: str) -> list[Html]:
    if value is None:
        return [figure(None, NOT_KNOWN, of)]
    return [figure(value, percent(value), of), h("i", class_="bar right", style=f"--share:{value:.4f}")]


def confusions(material: RunMaterial) -> Section | None:
    """Show the confusion matrix, and list the pairs of classes most often confused."""
    if material.unseen is None:
        return None
    key, scores = material.unseen
    wrong = scores.count - scores.top1.correct
    lead: list[Child] = [h("p", _summary(scores, wrong))]
    lead.append(h("p", "Each row is a true class; a deeper colour is a larger fraction of the row."))
    drawn = answers.matrix(scores.confusion, scores.classes, key) if len(scores.classes) <= answers.MOST else None
    if drawn is None:
        lead.append(h("p", f"With {len(scores.classes)} classes the matrix is too large to draw."))
    content = h("div", drawn, _pairs(scores, key), class_="beside")
    return Section("confusion", "Confusion matrix", lead, content)


def _summary(scores: ClassificationScores, wrong: int) -> str:
    if not wrong:
        return f"No mistakes in {count(scores.count, 'image')}."
    pairs = scores.most_confused(len(scores.classes) ** 2)
    top = sum(pair.count for pair in pairs[:3])
    if len(pairs) > 3 and top / wrong >= 0.5:
        return f"{count(wrong, 'mistake')}; three pairs of classes account for {percent(top / wrong, 0)} of them."
    return f"{count(wrong, 'mistake')} in {count(len(pairs), 'pair')} of classes."


def _pairs(scores: ClassificationScores, key: str) -> Html | None:
    pairs = scores.most_confused(_PAIRS)
    if not pairs:
        return None
    items = [h("li", _pair(scores, pair, key)) for pair in pairs]
    return h("div", h("h3", "Most often confused"), h("ol", items, class_="pairs"))


def _pair(scores: ClassificationScores, pair: ConfusedPair, key: str) -> list[Child]:
    cell = f"{key}.confusion.{scores.classes.index(pair.given)}.{scores.classes.index(pair.predicted)}"
    return [
        h("span", name(pair.given), h("span", " → ", class_="arrow"), name(pair.predicted), class_="pair"),
        h("span", figure(pair.count, count(pair.count), cell), f" of {count(pair.support)}", class_="of"),
        h("i", class_="bar wrong", style=f"--share:{pair.count / pair.support:.4f}"),
    ]
