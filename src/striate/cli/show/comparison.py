"""The comparison of runs: tables for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from striate.cli.show.console import console, print_json, table

if TYPE_CHECKING:
    from striate.verbs.compare import Comparison


def show_comparison(
    work: Callable[..., Comparison],
    *,
    json: Annotated[bool, Parameter(help="print JSON, with all scores and curves.")] = False,
) -> None:
    """Print the settings that differ, the scores, the pairs and the outcome."""
    found = work()
    if json:
        print_json(found.to_json())
        return

    from striate.core.config import written
    from striate.reporting.comparison.page import PAIR_HEADS, pair_row, score_rows

    names, screen = [each.name for each in found.runs], console()
    if found.settings:
        rows = [(key, *map(written, values)) for key, values in found.settings.items()]
        screen.print(table(["setting", *names], rows))
    else:
        screen.print("All settings are equal.")
    screen.print()
    screen.print(table(["", *names], score_rows(found.material)))
    if found.pairs:
        screen.print()
        screen.print(table(PAIR_HEADS, list(map(pair_row, found.pairs))))
        screen.print(
            "\n'Only one right': images that the first or the second of the two alone answers correctly. p: McNemar's\n"
            "exact test, adjusted for the number of pairs by Holm's method. The intervals are of one pair each."
        )
    screen.print()
    for sentence in (found.verdict, *found.notes):
        screen.print(sentence)
