"""Predictions: a table for people, JSON and CSV for programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from striate.cli.show.console import complain, console, percent, print_csv, print_json, table
from striate.cli.show.results import end
from striate.core.errors import ConfigError

if TYPE_CHECKING:
    from striate.classifier import Classifier, Ensemble, Failure, Prediction
    from striate.predicting import Written


def show_predictions(
    work: Callable[..., list[Prediction | Failure] | Written],
    *,
    json: Annotated[bool, Parameter(help="print one JSON list, with the probability of every class.")] = False,
    csv: Annotated[bool, Parameter(help="print CSV, a line per image.")] = False,
) -> None:
    """Print the answer for each image; of a file, how many rows it has.

    Images that cannot be read are rows with a reason in JSON, in CSV and in a file; without a file they are also named
    on standard error (status 1).
    """
    from striate.classifier import Failure
    from striate.predicting import Written
    from striate.predicting.formats import cells, columns, fields

    if json and csv:
        raise ConfigError("Choose one of --json and --csv.")
    heads = iter([columns()])

    def print_row(result: Prediction | Failure) -> None:
        for row in (*heads, cells(result)):
            print_csv(row)

    results = work(on_start=_name_runtime, on_result=print_row) if csv else work(on_start=_name_runtime)
    if isinstance(results, Written):
        _print_written(results, json=json)
        return
    if json:
        print_json([fields(result) for result in results])
    elif not csv:
        _print_table([result for result in results if not isinstance(result, Failure)])
    end(result for result in results if isinstance(result, Failure))


def _name_runtime(classifier: Classifier | Ensemble) -> None:
    """Name the runtime on standard error, if it is another than torch, or why that of an export is not used."""
    for reason in {member.passed_over for member in classifier.members} - {""}:
        complain(reason)
    if classifier.runtime != "torch":
        complain(f"Computed by {classifier.runtime}; --runtime torch computes with torch.")


def _print_written(written: Written, *, json: bool) -> None:
    if json:
        print_json({"file": str(written.path), "images": written.images, "failures": written.failures})
        return
    if written.failures:
        complain(f"{written.failures:,} of {written.images:,} images cannot be read; the column error has the reasons.")
    console().print(f"{written.images:,} rows\n{written.path}")


def _print_table(answers: Sequence[Prediction]) -> None:
    with_sets = any(answer.among is not None for answer in answers)
    rows = []
    for answer in answers:
        others = list(answer.probabilities.items())[1:3]
        runners_up = ", ".join(f"{label} {percent(value, 1)}" for label, value in others if value >= 0.001)
        if answer.labels is not None:
            row = _of_labels(answer, answer.labels)
        elif answer.none_of_these:
            nearest = f"nearest: {answer.label} {percent(answer.probability, 1)}"
            row = [answer.name, "none of these", "", ", ".join(filter(None, (nearest, runners_up)))]
        else:
            row = [answer.name, answer.label, f"{percent(answer.probability, 1):>7}", runners_up]
        rows.append([*row, ", ".join(answer.among or ())] if with_sets else row)
    if rows:
        columns = ["image", "class", "probability", "then", *(["among"] if with_sets else [])]
        console().print(table(columns, rows, left=len(columns)))


def _of_labels(answer: Prediction, labels: Sequence[str]) -> list[str]:
    """Return the row of an image that may have several labels: these, then the most probable others."""
    others = [pair for pair in answer.probabilities.items() if pair[0] not in labels][:2]
    return [
        answer.name,
        ", ".join(labels) or "no label",
        ", ".join(percent(answer.probabilities[label], 1) for label in labels),
        ", ".join(f"{label} {percent(value, 1)}" for label, value in others if value >= 0.001),
    ]
