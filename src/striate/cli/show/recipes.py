"""The list of recipes, the settings of one, or the difference of two."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from striate.cli.show.console import console, print_json, table

if TYPE_CHECKING:
    from striate.verbs.recipes import NamedRecipe, RecipeDifference


def show_recipes(
    work: Callable[..., list[NamedRecipe] | NamedRecipe | RecipeDifference],
    *,
    json: Annotated[bool, Parameter(help="print JSON, with every setting.")] = False,
) -> None:
    """Print a paragraph for each recipe, a line for each setting of one, or a line for each difference."""
    found, screen = work(), console()

    from striate.core.config import to_json, written
    from striate.verbs.recipes import NamedRecipe, RecipeDifference

    if isinstance(found, RecipeDifference):
        if json:
            print_json({key: dict(zip(("first", "second"), pair, strict=True)) for key, pair in found.values.items()})
        elif not found.values:
            screen.print(f"{found.names[0]} and {found.names[1]} have the same settings.")
        else:
            rows = [(key, written(first), written(second)) for key, (first, second) in found.values.items()]
            screen.print(table(["setting", *found.names], rows, left=3))
    elif isinstance(found, NamedRecipe):
        if json:
            print_json(to_json(found.recipe))
            return
        screen.print(f"{found.about}\n")
        screen.print(table(["setting", "value"], [(k, written(v)) for k, v in found.settings.items()], left=2))
    elif json:
        print_json([{"name": each.name, "about": each.first, "recipe": to_json(each.recipe)} for each in found])
    else:
        widest = max(len(each.name) for each in found)
        screen.print("\n".join(f"{each.name:<{widest}}  {each.first}" for each in found))
        screen.print(
            "\nAll settings of one: striate recipes --show NAME. Train by it: striate train DATA --recipe NAME"
        )
