"""Results as they are found, failures at the end, and the path of what a verb has written."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from striate.cli.show.console import complain, percent, print_path
from striate.core.names import visible

if TYPE_CHECKING:
    from striate.classifier import Failure, Prediction

Result = TypeVar("Result")


def followed(
    work: Callable[..., Iterable[Result | Failure]], show: Callable[[Result], None]
) -> tuple[list[Result], list[Failure]]:
    """Run `work(progress=…, on_result=…)` with a bar on standard error, and `show` each result in between.

    Returns the results, and the images that could not be read.
    """
    from striate.classifier import Failure
    from striate.verbs.show_progress import display

    results: list[Result] = []
    failures: list[Failure] = []

    with display() as shown:

        def found(result: Result | Failure) -> None:
            if isinstance(result, Failure):
                failures.append(result)
                return
            results.append(result)
            shown.clear()
            show(result)

        work(progress=shown.progress, on_result=found)
    return results, failures


def end(failures: Iterable[Failure]) -> None:
    """Name the images that could not be read on standard error; if there are any, exit with status 1."""
    failures = list(failures)
    for failure in failures:
        complain(f"{failure.name} cannot be read: {failure.reason}.")
    if failures:
        sys.exit(1)


def show_path(work: Callable[..., Path]) -> None:
    """Print the path of what a verb has written, and nothing else, for people and programs alike."""
    print_path(work().resolve())


def said(prediction: Prediction) -> str:
    """Return the answer for one image: the class, the labels, or that it is none of these, with the probability."""
    from striate.reporting.sheets.results import answer

    return visible(answer(prediction, lambda share: percent(share, 1)))
