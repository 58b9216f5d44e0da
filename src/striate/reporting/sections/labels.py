"""Scores of each class where an image may have several."""

from __future__ import annotations

from striate.metrics.multilabel import LabelScore
from striate.reporting.html import Child, h, name
from striate.reporting.material import RunMaterial
from striate.reporting.numbers import NOT_KNOWN, count, figure, percent
from striate.reporting.page import Section, facts, table

_HEADS = ("class", "images", "average precision", "precision", "recall", "F1", "threshold")


def labels(material: RunMaterial) -> Section | None:
    """Show mean average precision, micro and macro F1, and the scores of each class at its threshold."""
    if material.labelled is None:
        return None
    key, scores = material.labelled
    means = ("mean_average_precision", "micro_f1", "macro_f1")
    titles = ("mean average precision", "micro F1: all decisions together", "macro F1: mean of the classes")
    pairs: list[tuple[str, Child]] = [
        (title, _share(getattr(scores, part), f"{key}.{part}")) for title, part in zip(titles, means, strict=True)
    ]
    exact = figure(scores.exact.value, str(scores.exact), f"{key}.exact.value")
    pairs += [
        ("images with all labels right", exact),
        ("loss", figure(scores.loss, f"{scores.loss:.4f}", f"{key}.loss")),
    ]
    rows = [_row(k, score, key) for k, score in enumerate(scores.per_class)]
    lead = [
        h("p", "An image has every class whose probability reaches its threshold, whatever the others."),
        h("p", f"Average precision does not depend on the thresholds. Unless the recipe sets them, they are those of "
               f"the highest F1 {'in the cross-validation' if key == 'folds' else 'on the validation images'}, drawn "
               "towards ½ where few images have the class, and ½ where it is not recognised better than by chance."),
    ]  # fmt: skip
    if key == "val":
        lead.append(h("p", "These are the validation images, which fitted the thresholds: expect less on new images."))
    return Section("labels", "Labels", lead, [facts(pairs), table(_HEADS, rows, class_="scores")])


def _row(k: int, score: LabelScore, key: str) -> list[Child]:
    of = f"{key}.per_class.{k}"
    parts = ("average_precision", "precision", "recall", "f1")
    return [
        name(score.name),
        figure(score.support, count(score.support), f"{of}.support"),
        *(_share(getattr(score, part), f"{of}.{part}") for part in parts),
        figure(score.threshold, f"{score.threshold:.3g}", f"{of}.threshold"),
    ]


def _share(value: float | None, key: str) -> Child:
    return figure(value, NOT_KNOWN if value is None else percent(value), key)
