"""The images most similar to each image, with their classes and similarities."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from striate.cli.show.console import console, percent, print_csv, print_json
from striate.cli.show.results import end, followed
from striate.core.errors import ConfigError
from striate.core.names import visible

if TYPE_CHECKING:
    from striate.classifier import Failure
    from striate.verbs.retrieve import Retrieved


def show_neighbours(
    work: Callable[..., list[Retrieved | Failure]],
    *,
    json: Annotated[bool, Parameter(help="print one JSON list.")] = False,
    csv: Annotated[bool, Parameter(help="print CSV, a line for each image that was found.")] = False,
) -> None:
    """Print the neighbours of each image; images that cannot be read are named at the end (status 1)."""
    if json and csv:
        raise ConfigError("Choose one of --json and --csv.")
    screen = console()
    if csv:
        print_csv(["image", "rank", "found", "class", "similarity"])

    def show(retrieved: Retrieved) -> None:
        if csv:
            for rank, one in enumerate(retrieved.neighbours, start=1):
                print_csv([retrieved.name, rank, one.name, one.label, f"{one.similarity:.6f}"])
        elif not json:
            screen.print("\n".join(_lines(retrieved)))

    found, failures = followed(work, show)
    if json:
        print_json([_as_dict(retrieved) for retrieved in found])
    end(failures)


def _lines(retrieved: Retrieved) -> list[str]:
    prediction = retrieved.subject.prediction
    return [
        f"{visible(retrieved.name)}: {prediction.label}, {percent(prediction.probability, 1)}",
        *(f"    {one.similarity:6.3f}  {visible(one.label)}  {visible(one.name)}" for one in retrieved.neighbours),
        f"    sheet   {retrieved.sheet}",
    ]


def _as_dict(retrieved: Retrieved) -> dict[str, Any]:
    prediction = retrieved.subject.prediction
    return {
        "image": retrieved.name,
        "label": prediction.label,
        "probability": prediction.probability,
        "sheet": str(retrieved.sheet),
        "nearest": [
            {"image": one.name, "class": one.label, "similarity": one.similarity} for one in retrieved.neighbours
        ],
    }
