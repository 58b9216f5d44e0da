"""Write docs/reference/commands.md and recipes.md from help texts and settings types."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import io
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints
from unittest import mock

from striate.cli.commands import COMMANDS
from striate.cli.main import main
from striate.core.config import to_json
from striate.core.difference import difference
from striate.core.duration import Duration
from striate.core.registry import Registered
from striate.data.augmentation.augmentations import Augmentation
from striate.data.loading.sampling import Sampling
from striate.data.views import View
from striate.runs.freezing import Freezing
from striate.runs.initial import Initial
from striate.runs.recipe import Recipe
from striate.runs.recipes import RECIPES
from striate.runs.resizing import Resizing
from striate.runs.transfer import Transfer
from striate.tasks import Task
from striate.training import Average, Loss, OptimizerSettings, Schedule

REFERENCE = Path(__file__).parent / "reference"


def write() -> None:
    """Write all reference pages."""
    REFERENCE.mkdir(exist_ok=True)
    for name, text in {"commands.md": commands(), "recipes.md": recipes()}.items():
        (REFERENCE / name).write_text(text, "utf-8")


def commands() -> str:
    """Return the help of every command."""
    parts = ["# Commands", "Written by `make docs` from the help texts; `striate COMMAND --help` shows the same."]
    for name in COMMANDS:
        lines = [line.rstrip() for line in _help(name).strip().splitlines()]
        parts.append(f"## striate {name}\n\n```text\n" + "\n".join(lines) + "\n```")
    return "\n\n".join(parts) + "\n"


def _help(name: str) -> str:
    environment = {"COLUMNS": "100", "NO_COLOR": "1"}
    with mock.patch.dict(os.environ, environment), contextlib.redirect_stdout(io.StringIO()) as shown:
        try:
            main([name, "--help"])
        except SystemExit as ended:
            if ended.code:
                raise
    return shown.getvalue()


def recipes() -> str:
    """Return what each recipe sets, and everything that `--set` takes."""
    parts = [_INTRODUCTION]
    for name, recipe in RECIPES.items():
        parts += [f"## Recipe {name}", str(inspect.getdoc(recipe)), f"```text\n{_sets(recipe())}\n```"]
    parts += ["## Settings", "The settings of every recipe, with their defaults.", _table(_COLUMNS, _rows(Recipe))]
    for title, (kind, key, about) in _KINDS.items():
        parts += [f"## {title}", about]
        for name in kind.registry:
            parts += _member(name, kind.registry[name], key.format(name))
    return "\n\n".join(parts) + "\n"


_INTRODUCTION = """\
# Recipes

Written by `make docs` from the settings types. A recipe sets what its section lists; everything else has the default \
below. `striate train` prints what is in effect and why, and a run's `recipe.json` holds every setting.

`--set key=value` changes any setting, for one or several keys; in Python, `striate.train(data, set={"key": value})`. \
An unknown key, a wrong type or an impossible value is an error before anything is read.

- `--set optimizer.name=sgd` exchanges the optimizer for another with the defaults of that one, `--set \
optimizer.momentum=0.95` sets an option. The order does not matter. Losses and schedules work alike.
- `--set augmentation.shift=0.2` sets the strength of an augmentation, its first option; `--set \
augmentation.flip.probability=0.2` any option. `true` sets the default strength, `false` and `none` turn it off.
- `--set augmentation=flip,shift` replaces the whole list, and `--set augmentation=none` empties it.
- `none` removes an optional value.

In `recipe.json` and in Python, a loss is `{"name": "hinge", "margin": 0.5}` or its name alone, and so are optimizers, \
schedules and the members of the list of augmentations. In Python it may also be an instance of the type.

A type of your own is one of the choices as soon as it is registered. Its fields are its options, with types and \
defaults:

```py
from dataclasses import dataclass

import striate
from striate.training import LOSSES, Loss
from torch.nn.functional import cross_entropy


@dataclass(frozen=True, kw_only=True)
class Poly(Loss):  # PolyLoss: Leng et al. 2022, arXiv:2204.12511, eq. 6
    epsilon: float = 1.0

    def __call__(self, logits, targets):
        each = cross_entropy(logits, targets, reduction="none")
        return (each + self.epsilon * (1 - (-each).exp())).mean()


LOSSES.add("poly", Poly)
striate.train("photos/", set=["loss.name=poly", "loss.epsilon=2"])
```

The other registries are `OPTIMIZERS`, `SCHEDULES` and `AVERAGES` of `striate.training`, with the base classes \
`OptimizerSettings`, `Schedule` and `Average`, and `AUGMENTATIONS` of `striate.data.augmentation.augmentations`, with \
`Geometric` and `Photometric` (and `Colour` and `Mixing` of `.colours` and `.mixing`); `SAMPLINGS` of \
`striate.data.loading.sampling`, with `Sampling`; `TASKS` of `striate.tasks`, with `Task`; and `INITIALS`, \
`RESIZINGS` and `FREEZINGS` of `striate.runs.initial`, `.resizing` and `.freezing`, with `Initial`, `Resizing` and \
`Freezing`. A loss names the tasks that it suits in \
`tasks`, by default classification alone."""

_COLUMNS = ("setting", "type", "default", "meaning")
_KINDS: dict[str, tuple[type[Registered], str, str]] = {
    "Tasks": (Task, "task.", "The values of `task.name`, each with its options."),
    "Losses": (Loss, "loss.", "The values of `loss.name`, each with its options."),
    "Optimizers": (OptimizerSettings, "optimizer.", "The values of `optimizer.name`, each with its options."),
    "Transfer": (Transfer, "transfer.", "The values of `transfer.name` (`--transfer`), each with its options."),
    "Initial weights": (
        Initial,
        "initial.{}.",
        "The members of the list `initial`, which changes the random weights of a training from scratch in order: "
        "`--set initial=dirac,whitening`.",
    ),
    "Schedules": (Schedule, "schedule.", "The values of `schedule.name`, each with its options."),
    "Averages": (
        Average,
        "average.",
        "The values of `average.name`, each with its options. `--set average=ema` sets one with its defaults, and "
        "`none` removes it. The network with the averaged weights is evaluated, kept as the classifier, and saved with "
        "each checkpoint.",
    ),
    "Resizing": (
        Resizing,
        "resizing.",
        "The values of `resizing.name`, each with its options. `--set resizing=growing` sets one with its defaults, "
        "and `none` removes it. A network must take images of each size; one that does not is refused before the run "
        "begins. Evaluations are on images of full size.",
    ),
    "Freezing": (
        Freezing,
        "freezing.",
        "The values of `freezing.name`, each with its options. `--set freezing=layerwise` sets one with its defaults, "
        "and `none` removes it.",
    ),
    "Samplings": (Sampling, "sampling.", "The values of `sampling.name`."),
    "Augmentations": (
        Augmentation,
        "augmentation.{}.",
        "The members of the list `augmentation`, which is ordered and holds each name at most once. Consecutive "
        "geometric augmentations are composed and resample an image once.",
    ),
    "Views": (
        View,
        "{}.",
        "The members of the list `--views` of `striate predict` and `striate evaluate`, which is ordered and holds "
        "each name at most once: `--views shift=2,flip`. Each replaces every way of showing an image by several, and "
        "the answer is the mean of the probabilities. A value sets the first option.",
    ),
}
_WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    Duration: "duration",
    type(None): "none",
}


def _sets(recipe: Recipe) -> str:
    plain = Recipe(model="", epochs=Duration(1.0, "ep"))
    changed = difference(recipe, plain) | {"epochs": (None, str(recipe.epochs))}
    return "\n".join(f"{key}={_text(new)}" for key, (_, new) in changed.items())


def _rows(kind: type, where: str = "") -> list[list[str]]:
    rows: list[list[str]] = []
    for option in options(kind):
        key, default = f"{where}{option.name}", option.default
        if isinstance(default, Registered):
            rows.append([f"`{key}.name`", f"name of a registered {default.registry.kind}", default.name, option.about])
        elif dataclasses.is_dataclass(default) and not isinstance(default, Duration):
            rows += _rows(type(default), f"{key}.")
        else:
            shown = "–" if default is dataclasses.MISSING else _text(to_json(default))
            rows.append([f"`{key}`", _words(option.type), shown, option.about.replace("|", "\\|")])
    return rows


def _member(name: str, member: type[Registered], where: str) -> list[str]:
    summary = str(inspect.getdoc(member)).partition("\n\nArgs:")[0]
    parts = [f"### {name}", summary]
    if options(member):
        parts.append(_table(_COLUMNS, _rows(member, where)))
    return parts


def _words(hint: Any) -> str:
    """Return a type in words."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return " or ".join(map(str, arguments))
    if origin is tuple:
        noun, of, rest = _words(arguments[0]).partition(" of ")
        return f"list of {noun}s{of}{rest}"
    if arguments:
        return " or ".join(map(_words, arguments))
    if issubclass(hint, Registered):
        return hint.registry.kind
    return _WORDS[hint]


def _text(value: Any) -> str:
    """Return a value in JSON form as `--set` takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(item["name"] if isinstance(item, dict) else _text(item) for item in value)
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Option:
    """A field of a settings type, with its documentation from the `Args:` of the class or of a base class."""

    name: str
    type: Any
    default: Any
    about: str


def options(kind: type) -> list[Option]:
    """Return the options of a settings type. `MISSING` stands for no default."""
    hints, about = get_type_hints(kind), {}
    for base in reversed(kind.__mro__):
        _, _, described = inspect.cleandoc(vars(base).get("__doc__") or "").partition("Args:\n")
        for found in re.finditer(r"^    (\w+): ((?:.+\n?)(?:^     +.+\n?)*)", described, re.MULTILINE):
            about[found[1]] = " ".join(found[2].split())
    fields = [each for each in dataclasses.fields(kind) if each.metadata.get("option", True)]
    return [Option(each.name, hints[each.name], _default(each), about.get(each.name, "")) for each in fields]


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _table(columns: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    write()
