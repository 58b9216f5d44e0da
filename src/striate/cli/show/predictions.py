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
    """Print what was said of each picture; those that could not be read are named on standard error (status 1)."""
    if json and csv:
        raise ConfigError("Choose one of --json and --csv.")
    failures: list[Failure] = []
    answers = _answers(predictions, failures)
    if json:
        print_json([_as_dict(answer) for answer in answers])
    elif csv:
        rows = ([answer.name, answer.label, f"{answer.probability:.6f}"] for answer in answers)
        print_csv(["picture", "class", "probability"], rows)
    else:
        _print_table(answers)
    for failure in failures:
        complain(f"{failure.name} cannot be read: {failure.reason}.")
    if failures:
        sys.exit(1)


def _answers(predictions: Iterable[Prediction | Failure], failures: list[Failure]) -> Iterator[Prediction]:
    from striate.classifier import Failure

    for prediction in predictions:
        if isinstance(prediction, Failure):
            failures.append(prediction)
        else:
            yield prediction


def _as_dict(answer: Prediction) -> dict[str, object]:
    return {
        "picture": answer.name,
        "class": answer.label,
        "probability": round(answer.probability, 6),
        "probabilities": {label: round(value, 6) for label, value in answer.probabilities.items()},
    }


def _print_table(answers: Iterable[Prediction]) -> None:
    rows = []
    for answer in answers:
        others = list(answer.probabilities.items())[1:3]
        runners_up = ", ".join(f"{label} {percent(value, 1)}" for label, value in others if value >= 0.001)
        rows.append([answer.name, answer.label, f"{percent(answer.probability, 1):>7}", runners_up])
    if rows:
        console().print(table(["picture", "class", "probability", "then"], rows, left=4))
