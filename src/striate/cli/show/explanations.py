"""What an explanation found, image by image: the answer, where the sheet lies, and the verdict of its check."""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from striate.cli.show.console import complain, console, percent, print_json, table
from striate.cli.show.stages import followed
from striate.core.names import visible

if TYPE_CHECKING:
    from rich.table import Table

    from striate.classifier import Failure
    from striate.explaining.checks import Check, Row
    from striate.verbs.explain import Explanation


def show_explanations(
    events: Generator[Any, None, list[Explanation | Failure]],
    *,
    json: Annotated[bool, Parameter(help="print one JSON list, with all numbers of the check.")] = False,
) -> None:
    """Print each as it comes; images that could not be read are named on standard error (status 1)."""
    from striate.classifier import Failure

    screen = console()

    def show(event: Explanation | Failure) -> None:
        if isinstance(event, Failure) or json:
            return
        screen.print("\n".join(_lines(event)))
        check = event.explained.check
        if check is not None and check.rows:
            screen.print(_table(check))

    results = followed(events, show)
    if json:
        print_json([_as_dict(result) for result in results if not isinstance(result, Failure)])
    failures = [result for result in results if isinstance(result, Failure)]
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
    lines.append(f"    sheet   {explanation.sheet}")
    if explained.check is not None:
        lines.append(f"    check   {explained.check}")
        if explained.check.undone:
            lines.append(f"    without {', '.join(explained.check.undone)}: not done within {explained.check.budget}")
    return lines


def _table(check: Check) -> Table:
    """A row for each thing that the check tried."""
    rows = [("", row.name, _number(row.value), _chance(row), row.said) for row in check.rows]
    return table(["   ", "check of the map", "value", "chance", "meaning"], rows, left=5)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _chance(row: Row) -> str:
    return "" if row.chance is None else f"{row.chance[0]:.3f} to {row.chance[1]:.3f}"


def _as_dict(explanation: Explanation) -> dict[str, object]:
    explained = explanation.explained
    return {
        "picture": explained.subject.prediction.name,
        "class": explanation.label,
        "explained": explanation.target,
        "probability": round(explanation.probability, 6),
        "methods": [attribution.method.name for attribution in explained.attributions],
        "sheet": str(explanation.sheet),
        "check": None if explained.check is None else explained.check.as_dict(),
    }
