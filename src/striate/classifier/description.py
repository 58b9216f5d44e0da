"""Read and check `classifier.json`, which may be untrusted or damaged."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from striate.classifier.provenance import Provenance
from striate.core.config import from_json
from striate.core.errors import ConfigError
from striate.core.spec import InputSpec, LabelSpec
from striate.models import Arguments
from striate.tasks import CLASSIFICATION, Task

# Outside of this range one probability is 1, or all are equal, for any logits.
_LEAST_TEMPERATURE, _MOST_TEMPERATURE = 1e-3, 1e3


@dataclass(frozen=True, kw_only=True)
class Described:
    """The parts of a classifier without its weights, checked against each other."""

    name: str
    arguments: Arguments
    input: InputSpec
    labels: LabelSpec
    provenance: Provenance
    temperature: float
    task: Task


def read_description(description: Mapping[str, Any]) -> Described:
    """Read the parsed content of `classifier.json`.

    Raises:
        ConfigError: a value is missing, of the wrong type, out of range, or contradicts another value.
    """
    input_spec = from_json(InputSpec, _group(description, "input"), where="input")
    labels = from_json(LabelSpec, _group(description, "labels"), where="labels")
    model = _group(description, "model")
    name = model.get("name")
    if not isinstance(name, str):
        raise ConfigError(f"model.name is a string; received {_told(name)}.")
    arguments = _arguments(_group(model, "arguments"))
    if arguments["classes"] != len(labels):
        raise ConfigError(f"The network has {arguments['classes']:,} outputs, and there are {len(labels):,} labels.")
    shape = (arguments["channels"], *arguments["size"])
    if shape != input_spec.shape:
        raise ConfigError(f"The network is built for images of {_by(shape)}, and the input is {_by(input_spec.shape)}.")
    return Described(
        name=name,
        arguments=arguments,
        input=input_spec,
        labels=labels,
        provenance=_provenance(_group(description, "provenance")),
        temperature=_temperature(description.get("temperature")),
        task=_task(description.get("task", CLASSIFICATION.name)),
    )


def _group(description: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = description.get(key)
    if not isinstance(value, Mapping):
        raise ConfigError(f"{key!r} is a group of settings; received {_told(value)}.")
    return value


def _arguments(stored: Mapping[str, Any]) -> Arguments:
    size = stored.get("size")
    numbers = [stored.get("classes"), stored.get("channels"), *(size if isinstance(size, list) else [None])]
    if len(numbers) != 4 or not all(type(number) is int for number in numbers):
        raise ConfigError(
            f"model.arguments are whole numbers: classes, channels and size (height, width); received {_told(stored)}."
        )
    return Arguments(classes=numbers[0], channels=numbers[1], size=(numbers[2], numbers[3]))


def _provenance(stored: Mapping[str, Any]) -> Provenance:
    known = {field.name: field for field in dataclasses.fields(Provenance)}
    unknown = [key for key in stored if key not in known]
    missing = [
        name
        for name, field in known.items()
        if name not in stored and field.default is field.default_factory is dataclasses.MISSING
    ]
    if unknown or missing:
        what = f"has no {missing[0]!r}" if missing else f"has {unknown[0]!r}, which is not known here"
        raise ConfigError(f"provenance {what}. Perhaps another version of Striate wrote it.")
    for key, value in stored.items():
        if not _FORMS[key](value):
            raise ConfigError(f"provenance.{key} has the wrong type: {_told(value)}.")
    return Provenance(**stored)


def _task(stored: object) -> Task:
    if not isinstance(stored, (str, Mapping)):
        raise ConfigError(f"task is a name or a group of settings; received {_told(stored)}.")
    return from_json(Task, stored, where="task")


def _temperature(value: object) -> float:
    if not _is_number(value) or not _LEAST_TEMPERATURE <= value <= _MOST_TEMPERATURE:  # pyright: ignore[reportOperatorIssue]
        raise ConfigError(
            f"temperature is a number from {_LEAST_TEMPERATURE:g} to {_MOST_TEMPERATURE:g}; received {_told(value)}."
        )
    return float(value)  # pyright: ignore[reportArgumentType]


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_number(value: object) -> bool:
    """Return whether `value` is a finite number that fits a float."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) if isinstance(value, float) else abs(value) < 2**63


def _is_whole(value: object) -> bool:
    return type(value) is int and _is_number(value)


def _are(check: Any) -> Any:
    """Return a check for mappings with text keys whose values all pass `check`."""
    return lambda value: (
        isinstance(value, Mapping) and all(isinstance(key, str) and check(item) for key, item in value.items())
    )


_FORMS: dict[str, Any] = {
    **dict.fromkeys(("run", "created", "data", "data_digest", "recipe", "recipe_digest"), _is_text),
    "seed": _is_whole,
    "epochs": _is_number,
    "circumstances": _are(_is_text),
    "scores": _are(_are(_is_number)),
    "temperature": _are(lambda value: isinstance(value, bool) or _is_number(value)),
    "unfinished": lambda value: value is None or isinstance(value, str),
}


def _told(value: object) -> str:
    """Return the representation of `value`, cut to 60 characters."""
    text = repr(value) if not isinstance(value, int) or abs(value) < 2**63 else "a number beyond 64 bits"
    return text if len(text) <= 60 else f"{text[:57]}…"


def _by(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
