"""The diagnosis of a training: its verdicts, what to try next, and the layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from striate.cli.show.console import console, percent, print_json, table

if TYPE_CHECKING:
    from striate.verbs.diagnose import Diagnosis


def show_diagnosis(
    work: Callable[..., Diagnosis],
    *,
    rules: Annotated[bool, Parameter(help="also print the rule of each verdict.")] = False,
    json: Annotated[bool, Parameter(help="print JSON, with every measurement.")] = False,
) -> None:
    """Print each verdict with its reason, the next thing to try, and a row for each layer."""
    found = work()
    if json:
        print_json(found.to_json())
        return
    screen = console()
    for verdict in found.verdicts:
        screen.print(f"{verdict.subject:<15}{verdict.outcome}: {verdict.evidence}")
        if rules:
            screen.print(f"{'':<15}{verdict.rule}")
    screen.print(f"{'next':<15}{found.next}")
    if not found.layers:
        return
    last = found.layers[-1].signal
    columns = ("layer", "function", "dead", "saturated", "gradient", "update")
    rows = [
        (
            layer.name,
            layer.activation or "–",
            percent(layer.dead, 0),
            percent(layer.saturated, 0),
            f"{layer.signal / last:.2g}" if last and layer.signal is not None else "–",
            "–" if layer.update is None else f"{layer.update:.1g}",
        )
        for layer in found.layers
    ]
    screen.print()
    screen.print(table(columns, rows, left=2))
