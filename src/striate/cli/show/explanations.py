"""What an explanation found, picture by picture: the answer, where the sheet lies, and the line of its check."""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from striate.cli.show.console import complain, console, percent
from striate.cli.show.stages import followed
from striate.core.names import visible

if TYPE_CHECKING:
    from striate.classifier import Failure
    from striate.verbs.explain import Explanation


def show_explanations(events: Generator[Any, None, list[Explanation | Failure]]) -> None:
    """Print each as it comes; pictures that could not be read are named on standard error (status 1)."""
    from striate.classifier import Failure

    screen = console()

    def show(event: Explanation | Failure) -> None:
        if not isinstance(event, Failure):
            screen.print("\n".join(_lines(event)))

    failures = [result for result in followed(events, show) if isinstance(result, Failure)]
    for failure in failures:
        complain(f"{failure.name} cannot be read: {failure.reason}.")
    if failures:
        sys.exit(1)


def _lines(explanation: Explanation) -> list[str]:
    explained = explanation.explained
    prediction = explained.subject.prediction
    told = f"{visible(prediction.name)}: {prediction.label}, {percent(prediction.probability, 1)}"
    if explained.target != prediction.label:
        told += f"; explained: {explained.target}, {percent(prediction.probabilities[explained.target], 1)}"
    lines = [told]
    if len(explained.attributions) == 1:
        (attribution,) = explained.attributions
        place = f" at {attribution.at}" if attribution.at else ""
        lines.append(f"    method  {attribution.method.title}{place}")
        lines += [f"    note    {note}" for note in attribution.notes]
    else:
        lines.append(f"    method  {len(explained.attributions)} of them")
        lines += [f"    without {title}: {reason}" for title, reason in explained.unsuited]
    if explained.check is not None:
        lines.append(f"    check   {explained.check}")
    return [*lines, f"    sheet   {explanation.sheet}"]
