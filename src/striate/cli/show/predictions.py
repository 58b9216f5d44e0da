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


def show_predictions(
    work: Callable[..., list[Prediction | Failure]],
    *,
    json: Annotated[bool, Parameter(help="print one JSON list, with the probability of every class.")] = False,
    csv: Annotated[bool, Parameter(help="print CSV, a line per image.")] = False,
) -> None:
    """Print the answer for each image.

    Images that cannot be read are rows with a reason in JSON and CSV, and are named on standard error (status 1).
    """
    from striate.classifier import Failure

    if json and csv:
        raise ConfigError("Choose one of --json and --csv.")
    if csv:
        print_csv(["image", "class", "probability", "none_of_these", "among", "error"])
        results = work(on_start=_name_runtime, on_result=lambda result: print_csv(_as_row(result)))
    else:
        results = work(on_start=_name_runtime)
    if json:
        print_json([_as_dict(result) for result in results])
    elif not csv:
        _print_table([result for result in results if not isinstance(result, Failure)])
    end(result for result in results if isinstance(result, Failure))


def _name_runtime(classifier: Classifier | Ensemble) -> None:
    """Name the runtime on standard error, if it is another than torch."""
    runtime = getattr(classifier, "runtime", "torch")
    if runtime != "torch":
        complain(f"Computed by {runtime}; --runtime torch computes with torch.")


_FIELDS = ("class", "probability", "probabilities", "none_of_these", "similarity", "p_value", "among")


def _as_dict(result: Prediction | Failure) -> dict[str, object]:
    from striate.classifier import Failure

    if isinstance(result, Failure):
        return {"image": result.name, **dict.fromkeys(_FIELDS), "error": result.reason}
    values = (
        result.label,
        round(result.probability, 6),
        {label: round(value, 6) for label, value in result.probabilities.items()},
        result.none_of_these,
        None if result.similarity is None else round(result.similarity, 6),
        None if result.p_value is None else round(result.p_value, 6),
        None if result.among is None else list(result.among),
    )
    labels = {} if result.labels is None else {"labels": list(result.labels)}
    return {"image": result.name, **dict(zip(_FIELDS, values, strict=True)), **labels, "error": None}


def _as_row(result: Prediction | Failure) -> tuple[str, ...]:
    from striate.classifier import Failure

    if isinstance(result, Failure):
        return result.name, "", "", "", "", result.reason
    if result.labels is not None:  # as a cell of the column labels of a list of images
        sure = (f"{result.probabilities[label]:.6f}" for label in result.labels)
        return result.name, ";".join(result.labels), ";".join(sure), "", "", ""
    outside = {None: "", True: "yes", False: "no"}[result.none_of_these]
    return result.name, result.label, f"{result.probability:.6f}", outside, " | ".join(result.among or ()), ""


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
