"""The training images most similar to each image, with their classes and similarities."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from striate.cli.show.console import console, percent, print_json
from striate.cli.show.results import end, followed
from striate.core.names import visible

if TYPE_CHECKING:
    from striate.classifier import Failure
    from striate.verbs.nearest import Nearest


def show_neighbours(
    work: Callable[..., list[Nearest | Failure]],
    *,
    json: Annotated[bool, Parameter(help="print one JSON list.")] = False,
) -> None:
    """Print the neighbours of each image; images that cannot be read are named at the end (status 1)."""
    screen = console()

    def show(nearest: Nearest) -> None:
        screen.print("\n".join(_lines(nearest)))

    found, failures = followed(work, (lambda _: None) if json else show)
    if json:
        print_json([_as_dict(nearest) for nearest in found])
    end(failures)


def _lines(nearest: Nearest) -> list[str]:
    prediction = nearest.subject.prediction
    return [
        f"{visible(nearest.name)}: {prediction.label}, {percent(prediction.probability, 1)}",
        *(f"    {one.similarity:6.3f}  {visible(one.label)}  {visible(one.name)}" for one in nearest.neighbours),
        f"    sheet   {nearest.sheet}",
    ]


def _as_dict(nearest: Nearest) -> dict[str, Any]:
    prediction = nearest.subject.prediction
    return {
        "image": nearest.name,
        "label": prediction.label,
        "probability": prediction.probability,
        "sheet": str(nearest.sheet),
        "nearest": [
            {"image": one.name, "class": one.label, "similarity": one.similarity} for one in nearest.neighbours
        ],
    }
