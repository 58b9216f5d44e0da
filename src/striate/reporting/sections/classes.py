"""Every class by itself."""

from __future__ import annotations

from striate.metrics import ClassScore, Judgement
from striate.reporting.html import Child, Html, h, name
from striate.reporting.material import RunMaterial
from striate.reporting.numbers import NOT_KNOWN, count, figure, listed, percent
from striate.reporting.page import Section, folded, table

_AT_ONCE = 24
_WEAKEST = 12
_HEADS = ("class", "images", "precision", "recall", "F1", "AUC")


def classes(material: RunMaterial) -> Section | None:
    """Precision, recall, F1 and support with small bars; of many classes the weakest first."""
    judgement = material.test
    if judgement is None:
        return None
    rows = [_row(k, score) for k, score in enumerate(judgement.per_class)]
    whole = table(_HEADS, rows, class_="scores")
    if len(rows) <= _AT_ONCE:
        return Section("classes", "Class by class", _words(judgement), whole)
    order = sorted(range(len(rows)), key=lambda k: (judgement.per_class[k].f1 is None, judgement.per_class[k].f1))
    weakest = table(_HEADS, [rows[k] for k in order[:_WEAKEST]], class_="scores")
    content = [h("h3", f"The {_WEAKEST} weakest"), weakest, folded(f"All {len(rows)} classes", whole)]
    return Section("classes", "Class by class", _words(judgement), content)


def _words(judgement: Judgement) -> list[Child]:
    said: list[Child] = [
        h("p", h("b", "Precision"), ": of the images it called so, how many were. ", h("b", "Recall"),
          ": of the images that were so, how many it found."),
    ]  # fmt: skip
    low, k = min((score.recall, k) for k, score in enumerate(judgement.per_class) if score.recall is not None)
    if low < 1:
        found = figure(low, percent(low), f"test.per_class.{k}.recall")
        said.append(h("p", "Hardest to find: ", h("b", name(judgement.classes[k])), ", with ", found, " found."))
    if judgement.missing:
        said.append(h(
            "p", "Without test images, so not judged: ", listed(judgement.missing), ".", class_="warning"
        ))  # fmt: skip
    return said


def _row(k: int, score: ClassScore) -> list[Child]:
    of = f"test.per_class.{k}"
    return [
        name(score.name),
        figure(score.support, count(score.support), f"{of}.support"),
        _bar(score.precision, f"{of}.precision"),
        _bar(score.recall, f"{of}.recall"),
        _bar(score.f1, f"{of}.f1"),
        figure(score.auc, NOT_KNOWN if score.auc is None else f"{score.auc:.3f}", f"{of}.auc"),
    ]


def _bar(share: float | None, of: str) -> list[Html]:
    if share is None:
        return [figure(None, NOT_KNOWN, of)]
    return [figure(share, percent(share), of), h("i", class_="bar right", style=f"--share:{share:.4f}")]
