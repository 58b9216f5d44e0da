"""Who is taken for whom."""

from __future__ import annotations

from striate.metrics import ConfusedPair, Judgement
from striate.reporting.charts import matrix
from striate.reporting.html import Child, Html, h, name
from striate.reporting.material import RunMaterial
from striate.reporting.numbers import count, figure, percent
from striate.reporting.page import Section

_PAIRS = 8


def confusions(material: RunMaterial) -> Section | None:
    """The confusion matrix, and the pairs most often confused in words."""
    judgement = material.test
    if judgement is None:
        return None
    wrong = judgement.count - judgement.top1.correct
    lead: list[Child] = [h("p", _summary(judgement, wrong))]
    lead.append(h("p", "Each row is a true class; the deeper a cell, the larger its share of the row."))
    drawn = matrix.matrix(judgement.confusion, judgement.classes) if len(judgement.classes) <= matrix.MOST else None
    if drawn is None:
        lead.append(h("p", f"With {len(judgement.classes)} classes the matrix is too fine to draw."))
    content = h("div", drawn, _pairs(judgement), class_="beside")
    return Section("confusion", "What it confuses", lead, content)


def _summary(judgement: Judgement, wrong: int) -> str:
    if not wrong:
        return f"Nothing: all {count(judgement.count, 'image')} were answered right."
    pairs = judgement.most_confused(len(judgement.classes) ** 2)
    top = sum(pair.count for pair in pairs[:3])
    if len(pairs) > 3 and top / wrong >= 0.5:
        return f"{count(wrong, 'mistake')}; three pairs of classes account for {percent(top / wrong, 0)} of them."
    return f"{count(wrong, 'mistake')} in {count(len(pairs), 'pair')} of classes."


def _pairs(judgement: Judgement) -> Html | None:
    pairs = judgement.most_confused(_PAIRS)
    if not pairs:
        return None
    items = [h("li", _pair(judgement, pair)) for pair in pairs]
    return h("div", h("h3", "Most often confused"), h("ol", items, class_="pairs"))


def _pair(judgement: Judgement, pair: ConfusedPair) -> list[Child]:
    cell = f"test.confusion.{judgement.classes.index(pair.given)}.{judgement.classes.index(pair.predicted)}"
    return [
        h("span", name(pair.given), h("span", " → ", class_="arrow"), name(pair.predicted), class_="pair"),
        h("span", figure(pair.count, count(pair.count), cell), f" of {count(pair.support)}", class_="of"),
        h("i", class_="bar wrong", style=f"--share:{pair.count / pair.support:.4f}"),
    ]
