"""The figure of a comparison: curves of all runs, and scores with their intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.metrics import ClassificationScores
from striate.plot import LIGHT, Intervals, Panel, Theme, panels
from striate.reporting.comparison.material import Material

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CURVES = {
    "training_loss": "training loss",
    "validation_loss": "validation loss",
    "validation_accuracy": "validation accuracy / %",
}
JUDGED_ON = {
    "test": "test images",
    "folds": "images of the folds",
    "val": "validation images",
    "train": "training images",
}


def comparison_figure(material: Material, *, theme: Theme = LIGHT) -> Figure | None:
    """Draw the curves that at least one run has, and the accuracies of the evaluation that runs share.

    None if there is neither: the runs have not begun.
    """
    shown: list[Panel | Intervals] = []
    for field, label in _CURVES.items():
        scale = 100.0 if label.endswith("%") else 1.0
        curves = {
            each.name: [(x, scale * y) for x, y in points]
            for each in material.runs
            if (points := getattr(each.history, field))
        }
        if curves:
            shown.append(Panel("epoch", label, curves))
    values = {}
    for each in material.runs:
        found = each.evaluations.get(material.judged or "")
        if found is not None and isinstance(found.scores, ClassificationScores) and found.scores.top1.interval:
            low, high = found.scores.top1.interval
            values[each.name] = (100 * low, 100 * (found.scores.top1.value or 0.0), 100 * high)
    if values:
        across = f"accuracy on {JUDGED_ON[str(material.judged)]} / %, with 95 % interval"
        shown.append(Intervals(across, values))
    return panels([each.name for each in material.runs], shown, theme=theme) if shown else None
