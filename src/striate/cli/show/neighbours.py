"""The training images most like each image, with their classes and similarities."""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from striate.cli.show.console import complain, console, percent, print_json
from striate.cli.show.stages import followed
from striate.core.names import visible

if TYPE_CHECKING:
    from striate.classifier import Failure
    from striate.verbs.nearest import Nearest


def show_neighbours(
    events: Generator[Any, None, list[Nearest | Failure]],
    *,
    json: Annotated[bool, Parameter(help="print one JSON list.")] = False,
) -> None:
    """Print each as it comes; images that could not be read are named on standard error (status 1)."""
    from striate.classifier import Failure

    screen = console()

    def show(event: Nearest | Failure) -> None:
        if not isinstance(event, Failure) and not json:
            screen.print("\n".join(_lines(event)))

    results = followed(events, show)
    if json:
        print_json([_as_dict(result) for result in results if not isinstance(result, Failure)])
    failures = [result for result in results if isinstance(result, Failure)]
    for failure in failures:
        complain(f"{failure.name} cannot be read: {failure.reason}.")
    if failures:
        sys.exit(1)


def _lines(nearest: Nearest) -> list[str]:
    prediction = nearest.found.prediction
    return [
        f"{visible(nearest.name)}: {prediction.label}, {percent(prediction.probability, 1)}",
        *(f"    {one.similarity:6.3f}  {visible(one.label)}  {visible(one.name)}" for one in nearest.neighbours),
        f"    sheet   {nearest.sheet}",
    ]


def _as_dict(nearest: Nearest) -> dict[str, Any]:
    prediction = nearest.found.prediction
    return {
        "image": nearest.name,
        "label": prediction.label,
        "probability": prediction.probability,
        "sheet": str(nearest.sheet),
        "nearest": [
            {"image": one.name, "class": one.label, "similarity": one.similarity} for one in nearest.neighbours
        ],
    }
