"""A compressed classifier: size and accuracy at each stage, and where it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from striate.cli.show.console import console, percent, print_json, table

if TYPE_CHECKING:
    from striate.runs.compress import Compression


def show_compression(
    work: Callable[..., Compression],
    *,
    json: Annotated[bool, Parameter(help="print the stages as JSON.")] = False,
) -> None:
    """Print the stages and the folder."""
    found = work()
    if json:
        print_json({**asdict(found), "path": str(found.path.resolve())})
        return
    rows = []
    for stage in found.stages:
        interval = "" if stage.interval is None else " to ".join(percent(end, 1) for end in stage.interval)
        times = f"{found.stages[0].bytes / stage.bytes:.1f}×"
        rows.append(
            [stage.name, f"{stage.bytes:,}", times, percent(stage.kept, 1), percent(stage.accuracy, 2), interval]
        )
    columns = ["stage", "bytes", "smaller", "weights kept", "accuracy", "95 % interval"]
    screen = console()
    screen.print(table(columns, rows, left=1))
    seen = ", on which the run was trained too" if found.seen else ""
    screen.print(f"accuracy on the {found.images:,} images of the {found.split} split{seen}")
    screen.print(f"compressed to  {(found.path / 'classifier').resolve()}")
