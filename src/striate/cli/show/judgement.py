"""How well a classifier does: sentences and a table for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from striate.cli.show.console import console, percent, print_json, table
from striate.cli.show.stages import followed

if TYPE_CHECKING:
    from striate.metrics import Judgement
    from striate.recipes.stage import Progress
    from striate.verbs.evaluate import Verdict

_PAIRS = 5


def show_verdict(
    events: Generator[Progress, None, Verdict],
    *,
    json: Annotated[bool, Parameter(help="print JSON, with the confusion matrix and the calibration.")] = False,
) -> None:
    """Print accuracy with its interval, the other scores, each class, and what is confused with what."""
    verdict = followed(events)
    if json:
        content = {"data": verdict.data, "split": verdict.split, "unreadable": verdict.unreadable}
        print_json({**content, "unknown": list(verdict.unknown), **verdict.judgement.to_json()})
        return
    screen = console()
    screen.print(f"{verdict.data}, {verdict.split}: {sentence(verdict.judgement)}\n")
    screen.print("\n".join(_scores(verdict.judgement)))
    screen.print()
    screen.print(_classes(verdict.judgement))
    for pair in verdict.judgement.most_confused(_PAIRS):
        screen.print(f"{pair.given} taken for {pair.predicted}: {pair.count}")
    if verdict.unknown:
        names = ", ".join(verdict.unknown)
        screen.print(f"Left out, because the classifier does not know their class: pictures of {names}.")
    if verdict.unreadable:
        screen.print(f"Pictures left out because they cannot be read: {verdict.unreadable:,}.")


def sentence(judgement: Judgement) -> str:
    """`98.61 % of 359 right (95 % interval 96.8 % to 99.4 %)`."""
    interval = judgement.top1.interval
    between = f" (95 % interval {percent(interval[0], 1)} to {percent(interval[1], 1)})" if interval else ""
    return f"{percent(judgement.top1.value)} of {judgement.count:,} right{between}"


def _scores(judgement: Judgement) -> list[str]:
    shown = judgement.calibrated or judgement.as_trained
    lines = [
        f"balanced accuracy  {percent(judgement.balanced_accuracy)}",
        f"macro F1           {percent(judgement.macro_f1)}",
        f"ROC AUC            {_number(judgement.auc)}",
        f"loss               {judgement.loss:.4f}",
        f"calibration error  {percent(shown.ece)} at temperature {shown.temperature:.3g}",
    ]
    if judgement.top5 is not None:
        lines.insert(0, f"top-5 accuracy     {percent(judgement.top5.value)}")
    return lines


def _classes(judgement: Judgement) -> object:
    rows = [
        [score.name, score.support, percent(score.precision, 1), percent(score.recall, 1), percent(score.f1, 1)]
        for score in judgement.per_class
    ]
    return table(["class", "pictures", "precision", "recall", "F1"], rows)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
