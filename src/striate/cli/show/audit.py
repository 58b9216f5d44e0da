"""The audit of a data set: what is in it, and what may be wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from striate.cli.show.console import console, print_json, table
from striate.core.names import visible

if TYPE_CHECKING:
    from striate.data.audit import Audit
    from striate.verbs.audit import AugmentedImages

_MARKS = {"fine": " ", "note": "·", "warning": "!"}
_NAMES = 5


def show_audit(
    work: Callable[..., Audit | AugmentedImages],
    *,
    json: Annotated[
        bool, Parameter(help="print JSON, with every unreadable file and every group of duplicates.")
    ] = False,
    all: Annotated[bool, Parameter(help="name all images that a finding is about, not only the first few.")] = False,
) -> None:
    """Print the counts per class and split, then the findings, with a mark at warnings; or the path of a sheet."""
    from striate.verbs.audit import AugmentedImages

    audit = work()
    if json:
        print_json(audit.to_json())
        return
    screen = console()
    if isinstance(audit, AugmentedImages):
        screen.print(f"recipe   {audit.recipe}")
        screen.print(f"augment  {audit.augmentation}")
        screen.print(f"sheet    {audit.image}")
        return
    rows = [[row.name, row.train, row.val, row.test, row.total] for row in audit.classes]
    counts = [len(audit.splits[split]) for split in ("train", "val", "test")]  # an image may have several classes
    total = ["images" if audit.dataset.has_label_sets else "all", *counts, int(audit.index.readable.sum())]
    screen.print(f"{audit.dataset.source}\n")
    screen.print(table(["class", "train", "val", "test", "all"], rows, total=total))
    screen.print()
    for finding in audit.findings:
        screen.print(f"{_MARKS[finding.level]} {finding.sentence}")
        for name in finding.names if all else finding.names[:_NAMES]:
            screen.print(f"    {visible(name)}")
        if not all and len(finding.names) > _NAMES:
            screen.print(f"    and {len(finding.names) - _NAMES:,} more (--all names them)")
