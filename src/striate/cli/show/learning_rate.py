"""The result of a learning-rate range test: the suggestion, its rule, and the command to train with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from striate.cli.show.console import console, print_json

if TYPE_CHECKING:
    from striate.verbs.find_lr import LearningRate


def show_learning_rate(
    work: Callable[..., LearningRate],
    *,
    json: Annotated[bool, Parameter(help="print JSON, with every rate and loss.")] = False,
) -> None:
    """Print the suggestion with its rule, how the test ended, the image, and the command to train."""
    found = work()
    if json:
        print_json(found.to_json())
        return
    screen = console()
    suggestion = "none" if found.suggestion is None else f"{found.suggestion:g}"
    screen.print(f"learning rate  {suggestion} ({found.reason})")
    screen.print(f"tested         {found.model} with {found.optimizer}, {len(found.test.losses)} steps; {found.ending}")
    screen.print(f"curve          {found.image}")
    if found.hint is not None:
        screen.print(f"train          {found.hint}")
