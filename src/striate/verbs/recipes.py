"""List the recipes, show one, or compare two."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from striate.core.arguments import checked
from striate.core.errors import ConfigError

if TYPE_CHECKING:
    from striate.runs.recipe import Recipe


@dataclass(frozen=True)
class NamedRecipe:
    """A recipe with its name; `about` describes its purpose, its source, and how it differs from the source."""

    name: str
    about: str
    recipe: Recipe

    @property
    def first(self) -> str:
        """The first sentence of `about`."""
        return " ".join(self.about.partition("\n\n")[0].split())

    @property
    def settings(self) -> dict[str, Any]:
        """All settings by their dotted keys, in JSON form."""
        from striate.core.difference import dotted

        return dotted(self.recipe)

    def __repr__(self) -> str:
        return f"NamedRecipe({self.name!r}: {self.first})"

    def _repr_html_(self) -> str:
        from striate.core.config import written
        from striate.core.notebook import table

        return table(
            ("setting", "value"),
            [(key, written(value)) for key, value in self.settings.items()],
            left=2,
            title=f"{self.name}: {self.first}",
        )


@dataclass(frozen=True)
class RecipeDifference:
    """The settings in which two recipes differ: `values` maps a dotted key to the value of each, in JSON form.

    The value is None where the other recipe alone has such an option.
    """

    names: tuple[str, str]
    values: dict[str, tuple[Any, Any]]

    def __repr__(self) -> str:
        return f"RecipeDifference({self.names[0]!r}, {self.names[1]!r}: {len(self.values)} settings)"

    def _repr_html_(self) -> str:
        from striate.core.config import written
        from striate.core.notebook import table

        return table(("setting", *self.names), [(key, *map(written, pair)) for key, pair in self.values.items()])


@overload
def recipes(*, show: None = ..., diff: None = ...) -> list[NamedRecipe]: ...
@overload
def recipes(*, show: str | Path, diff: None = ...) -> NamedRecipe: ...
@overload
def recipes(*, show: None = ..., diff: tuple[str, str]) -> RecipeDifference: ...
@checked
def recipes(
    *, show: str | Path | None = None, diff: tuple[str, str] | None = None
) -> list[NamedRecipe] | NamedRecipe | RecipeDifference:
    """List the recipes to train by, show all settings of one, or compare two.

    A recipe holds every setting of a training. 'striate train DATA --recipe NAME' trains by it, and --set changes any
    setting. In place of a name, the folder of a run is the recipe that the run was trained by.

    Example:
        striate.recipes(diff=("mnist", "keras_cifar10")).values

    Args:
        show: a recipe's name, or a run's folder: show all its settings.
        diff: two recipes' names, or runs' folders: show the settings in which they differ.

    Raises:
        ConfigError: there is no such recipe, or both a recipe and a comparison are requested.
        RunError: the run is damaged.
    """
    from striate.runs.recipes import RECIPES

    if show is not None and diff is not None:
        raise ConfigError("Show one recipe or compare two; received both. Leave show or diff out.")
    if show is not None:
        return _named(show)
    if diff is None:
        return [_named(name) for name in RECIPES]

    from striate.core.difference import difference

    first, second = map(_named, diff)
    return RecipeDifference((first.name, second.name), difference(second.recipe, first.recipe))


def _named(name: str | Path) -> NamedRecipe:
    """Return the recipe of this name, or else that of the run in this folder."""
    import inspect

    from striate.runs.folder import Run
    from striate.runs.plan import Plan
    from striate.runs.recipes import RECIPES

    text, run = str(name), Run(Path(name))
    if text not in RECIPES and run.recipe_file.exists():
        plan = Plan.read(run)
        return NamedRecipe(text, f"The recipe of the run {text}, made from {plan.base}.", plan.recipe)
    make = RECIPES[text]
    return NamedRecipe(text, inspect.getdoc(make) or "", make())
