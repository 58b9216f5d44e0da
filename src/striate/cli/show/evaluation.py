"""The evaluation of a classifier: sentences and a table for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from striate.cli.show.console import complain, console, percent, print_json, table
from striate.core.config import to_json

if TYPE_CHECKING:
    from rich.console import Console

    from striate.metrics import ClassificationScores, MultilabelScores, Scores
    from striate.verbs.evaluate import Verdict

_PAIRS = 5


def show_verdict(
    work: Callable[..., Verdict],
    *,
    json: Annotated[bool, Parameter(help="print JSON, with the confusion matrix and the calibration.")] = False,
) -> None:
    """Print accuracy with its interval, the other scores, the classes, and those that are confused."""
    verdict = work()
    if json:
        seen = None if verdict.seen is None else asdict(verdict.seen)
        content = {"data": verdict.data, "split": verdict.split, "unreadable": verdict.unreadable, "seen": seen}
        averaged = {"views": to_json(verdict.views), "classifiers": verdict.classifiers}
        averaged["unstored"] = verdict.unstored
        print_json({**content, **averaged, "unknown": list(verdict.unknown), **verdict.scores.to_json()})
        return
    screen = console()
    averaged = averaged_sentence(verdict)
    screen.print(f"{verdict.data}, {verdict.split}: {sentence(verdict.scores)}")
    screen.print(f"{averaged}\n" if averaged else "")
    _print_scores(screen, verdict.scores, averaged=bool(averaged))
    screen.print(seen_sentence(verdict))
    if verdict.unknown:
        names = ", ".join(verdict.unknown)
        screen.print(f"Left out, because the classifier does not know their class: images of {names}.")
    if verdict.unreadable:
        screen.print(f"Images left out because they cannot be read: {verdict.unreadable:,}.")
    if verdict.unstored:
        complain(f"The run does not keep these scores. {verdict.unstored}")


def averaged_sentence(verdict: Verdict) -> str:
    """Return a sentence on what was averaged; empty where one classifier saw each image once."""
    from striate.data.views import looks_count, views_text

    parts = [f"{verdict.classifiers} classifiers"] if verdict.classifiers > 1 else []
    if verdict.views:
        parts.append(f"{looks_count(verdict.views)} views of each image ({views_text(verdict.views)})")
    return f"Averaged: the probabilities of {' and '.join(parts)}." if parts else ""


def seen_sentence(verdict: Verdict) -> str:
    """Return a sentence on images that the classifier has seen before."""
    seen = verdict.seen
    if seen is None:
        return "Whether the classifier was trained on some of these images is not known: it has no record of them."
    if not seen.total:
        none = "None of these images was seen in training or validation"
        pixels = ", by its pixels; copies that were resized or compressed again are recognised only within the run"
        return f"{none}{pixels if seen.alike is None else ''}."
    if seen.left_out:
        return (
            f"Warning: images left out because the classifier has seen them: {seen.total:,} ({seen}). "
            "To evaluate them too: --all-images"
        )
    return f"Warning: {seen.total:,} of these images were seen before ({seen}), so this is no test on unseen images."


def sentence(scores: Scores) -> str:
    """Return one line, for single-label classes `98.61 % of 359 right (95 % interval 96.8 % to 99.4 %)`."""
    from striate.metrics import ClassificationScores

    if not isinstance(scores, ClassificationScores):
        return str(scores)
    interval = scores.top1.interval
    between = f" (95 % interval {percent(interval[0], 1)} to {percent(interval[1], 1)})" if interval else ""
    right = f"{percent(scores.top1.value)} of {scores.count:,} right{between}"
    if not scores.imbalanced:
        return right
    return f"balanced accuracy {percent(scores.balanced_accuracy)}, macro F1 {percent(scores.macro_f1)}; {right}"


def _print_scores(screen: Console, scores: Scores, *, averaged: bool) -> None:
    from striate.metrics import ClassificationScores, MultilabelScores

    if isinstance(scores, MultilabelScores):
        screen.print(f"loss               {scores.loss:.4f}\n")
        screen.print(_labels(scores))
        return
    if not isinstance(scores, ClassificationScores):
        screen.print("\n".join(f"{name:<18} {score:.4g}" for name, score in scores.summary().items()))
        return
    screen.print("\n".join(_scores(scores, averaged=averaged)))
    screen.print()
    screen.print(_classes(scores))
    for pair in scores.most_confused(_PAIRS):
        screen.print(f"{pair.given} taken for {pair.predicted}: {pair.count}")


def _scores(scores: ClassificationScores, *, averaged: bool) -> list[str]:
    shown = scores.calibrated or scores.as_trained
    of = "of the average" if averaged else f"at temperature {shown.temperature:.3g}"
    lines = [
        f"balanced accuracy  {percent(scores.balanced_accuracy)}",
        f"macro F1           {percent(scores.macro_f1)}",
        f"ROC AUC            {_number(scores.auc)}",
        f"loss               {scores.loss:.4f}",
        f"calibration error  {percent(shown.ece)} {of}",
    ]
    if scores.top5 is not None:
        lines.insert(0, f"top-5 accuracy     {percent(scores.top5.value)}")
    return lines


def _classes(scores: ClassificationScores) -> object:
    rows = [
        [score.name, score.support, percent(score.precision, 1), percent(score.recall, 1), percent(score.f1, 1)]
        for score in scores.per_class
    ]
    return table(["class", "images", "precision", "recall", "F1"], rows)


def _labels(scores: MultilabelScores) -> object:
    parts = ("average_precision", "precision", "recall", "f1")
    rows = [
        [score.name, score.support, *(percent(getattr(score, part), 1) for part in parts), f"{score.threshold:.3g}"]
        for score in scores.per_class
    ]
    return table(["class", "images", "average precision", "precision", "recall", "F1", "threshold"], rows)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
