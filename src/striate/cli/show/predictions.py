"""Answers about pictures: a table for people, JSON and CSV for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from striate.cli.show.console import complain, console, percent, print_csv, print_json, table
from striate.core.errors import ConfigError

if TYPE_CHECKING:
    from striate.classifier import Failure, Prediction


def show_predictions(
    predictions: Iterable[Prediction | Failure],
    *,
    json: Annotated[bool, Parameter(help="print one JSON list, with the probability of every class.")] = False,
    csv: Annotated[bool, Parameter(help="print CSV, a line per picture.")] = False,
) -> None:
    """Print what was said of each image; those that could not be read are rows with a reason in JSON and CSV, and are
    named on standard error (status 1)."""
    if json and csv:
        raise ConfigError("Choose one of --json and --csv.")
    failures: list[Failure] = []
    results = _noted(predictions, failures)
    if json:
        print_json([_as_dict(result) for result in results])
    elif csv:
        print_csv(["picture", "class", "probability", "error"], map(_as_row, results))
    else:
        _print_table(results)
    for failure in failures:
        complain(f"{failure.name} cannot be read: {failure.reason}.")
    if failures:
        sys.exit(1)


def _noted(predictions: Iterable[Prediction | Failure], failures: list[Failure]) -> Iterator[Prediction | Failure]:
    """The results as they come; the failures among them are noted."""
    from striate.classifier import Failure

    for result in predictions:
        if isinstance(result, Failure):
            failures.append(result)
        yield result


def _as_dict(result: Prediction | Failure) -> dict[str, object]:
    from striate.classifier import Failure

    if isinstance(result, Failure):
        return {
            "picture": result.name,
            "class": None,
            "probability": None,
            "probabilities": None,
            "error": result.reason,
        }
    return {
        "picture": result.name,
        "class": result.label,
        "probability": round(result.probability, 6),
        "probabilities": {label: round(value, 6) for label, value in result.probabilities.items()},
        "error": None,
    }


def _as_row(result: Prediction | Failure) -> tuple[str, str, str, str]:
    from striate.classifier import Failure

    if isinstance(result, Failure):
        return result.name, "", "", result.reason
    return result.name, result.label, f"{result.probability:.6f}", ""


def _print_table(results: Iterable[Prediction | Failure]) -> None:
    from striate.classifier import Failure

    rows = []
    for answer in results:
        if isinstance(answer, Failure):
            continue
        others = list(answer.probabilities.items())[1:3]
        runners_up = ", ".join(f"{label} {percent(value, 1)}" for label, value in others if value >= 0.001)
        rows.append([answer.name, answer.label, f"{percent(answer.probability, 1):>7}", runners_up])
    if rows:
        console().print(table(["picture", "class", "probability", "then"], rows, left=4))
