"""Explanations, image by image: the answer, the path of the sheet, and the verdict of its check."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from striate.cli.show.console import console, percent, print_json, table
from striate.cli.show.results import end, followed, said
from striate.core.names import visible

if TYPE_CHECKING:
    from rich.table import Table

    from striate.classifier import Failure
    from striate.explaining.checks import Check, Row
    from striate.verbs.explain import Explanation


def show_explanations(
    work: Callable[..., list[Explanation | Failure]],
    *,
    json: Annotated[bool, Parameter(help="print one JSON list, with all numbers of the check.")] = False,
) -> None:
    """Print each explanation as soon as it is there; images that cannot be read are named at the end (status 1)."""
    screen = console()

    def show(explanation: Explanation) -> None:
        screen.print("\n".join(_lines(explanation)))
        check = explanation.explained.check
        if check is not None and check.rows:
            screen.print(_table(check))

    explanations, failures = followed(work, (lambda _: None) if json else show)
    if json:
        print_json([_as_dict(explanation) for explanation in explanations])
    end(failures)


def _lines(explanation: Explanation) -> list[str]:
    explained = explanation.explained
    prediction = explained.subject.prediction
    told = f"{visible(prediction.name)}: {said(prediction)}"
    if prediction.labels is not None or prediction.none_of_these or explained.target != prediction.label:
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
        if explained.check.skipped:
            lines.append(f"    without {', '.join(explained.check.skipped)}: {explained.check.budget} were too short")
    return lines


def _table(check: Check) -> Table:
    """Return a table with a row for each test of the check."""
    rows = [("", row.name, _number(row.value), _chance(row), row.said) for row in check.rows]
    return table(["   ", "check of the map", "value", "chance", "meaning"], rows, left=5)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _chance(row: Row) -> str:
    return "" if row.chance is None else f"{row.chance[0]:.3f} to {row.chance[1]:.3f}"


def _as_dict(explanation: Explanation) -> dict[str, object]:
    explained = explanation.explained
    return {
        "image": explained.subject.prediction.name,
        "class": explanation.label,
        "explained": explanation.target,
        "probability": round(explanation.probability, 6),
        "methods": [attribution.method.name for attribution in explained.attributions],
        "sheet": str(explanation.sheet),
        "check": None if explained.check is None else explained.check.as_dict(),
    }
