"""docs/reference/: the help of every command and the settings of every recipe, written from the program itself."""

from __future__ import annotations

import dataclasses
import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from striate.cli.commands import COMMANDS
from striate.core.config import to_json
from striate.runs.effect import default_in_words
from striate.runs.recipe import Recipe
from striate.runs.recipes import RECIPES

REFERENCE = Path(__file__).parent / "reference"


def write() -> None:
    """Write all reference pages."""
    REFERENCE.mkdir(exist_ok=True)
    for name, text in {"commands.md": commands(), "recipes.md": recipes()}.items():
        (REFERENCE / name).write_text(text, "utf-8")


def commands() -> str:
    """What `striate COMMAND --help` says."""
    parts = ["# Commands", "Written by `make docs` from the help texts; `striate COMMAND --help` says the same."]
    for name in COMMANDS:
        shown = subprocess.run(
            [sys.executable, "-m", "striate", name, "--help"],
            env=os.environ | {"COLUMNS": "100", "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        lines = [line.rstrip() for line in shown.stdout.strip().splitlines()]
        parts.append(f"## striate {name}\n\n```text\n" + "\n".join(lines) + "\n```")
    return "\n\n".join(parts) + "\n"


def recipes() -> str:
    """Every setting with its value in every recipe."""
    made = {name: recipe() for name, recipe in RECIPES.items()}
    columns = [_settings(recipe) for recipe in made.values()]
    parts = [
        "# Recipes",
        "Written by `make docs`. Each setting can be changed with `--set key=value`; `none` takes a value away. "
        "*from the data*: it is decided when the data are known, and `striate train` prints what is in effect and why; "
        "colour images are then shifted, scaled, changed in light and, where the class names allow it, mirrored. "
        "*default*: that of the loss, optimizer or schedule. –: the one that is chosen has no such option.",
        "\n".join(f"- `{name}`: {inspect.getdoc(recipe)}" for name, recipe in RECIPES.items()),
        _table(("setting", *made), _rows(made, columns)),
    ]
    return "\n\n".join(parts) + "\n"


def _settings(group: Any, where: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in dataclasses.fields(group):
        value, key = getattr(group, field.name), f"{where}{field.name}"
        plain = to_json(value)
        found |= _settings(value, f"{key}.") if isinstance(plain, dict) else {key: plain}
    return found


def _rows(made: dict[str, Recipe], columns: list[dict[str, Any]]) -> list[list[str]]:
    recipes = list(zip(made.values(), columns, strict=True))
    return [[f"`{key}`", *(_cell(key, column[key], recipe) for recipe, column in recipes)] for key in columns[0]]


def _cell(key: str, value: Any, recipe: Recipe) -> str:
    if value is None:
        return default_in_words(key, recipe)
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def _table(columns: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    write()
