"""Frozen dataclasses as settings: to JSON and back, strict overrides, a digest.

A setting is a bool, int, float, str, `Literal`, `Duration`, an optional one, a tuple of one kind, another frozen
dataclass of settings, or a registered one (`core.registry.Registered`), whose JSON form holds its `name`. Any other
type is a defect of the dataclass and raises `TypeError`.

A settings type checks its values in `__post_init__` (`core.scalars.check_range`). Its error messages begin with the
name of the field, which becomes the full key: "momentum must be …" is reported as "optimizer.momentum must be …".
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from striate.core.duration import Duration
from striate.core.errors import ConfigError
from striate.core.registry import Registered
from striate.core.scalars import read_scalar, switch, wrong_type
from striate.core.settings_types import (
    defaults_of,
    fields_of,
    hints_of,
    is_group,
    join,
    listed_kind,
    registered_kind,
    unknown_setting,
    values_of,
)

Settings = TypeVar("Settings")
Overrides = str | Sequence[str] | Mapping[str, object]


def to_json(settings: object) -> Any:
    """Return the plain JSON form of a dataclass of settings: durations as text, tuples as lists."""
    if is_group(settings):
        name = {"name": settings.name} if isinstance(settings, Registered) else {}
        return name | {key: to_json(value) for key, value in values_of(settings).items()}
    if isinstance(settings, tuple):
        return [to_json(item) for item in settings]
    return str(settings) if isinstance(settings, Duration) else settings


def written(value: object) -> str:
    """Return the plain JSON value of a setting as it is typed after `--set key=`: `none`, `true`, `flip,shift`."""
    if value is None or value == []:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return ",".join(map(written, value))
    if isinstance(value, float) and float(short := f"{value:.6g}") == value:
        return short
    return str(value)


def from_json(kind: type[Settings], value: object, *, where: str = "") -> Settings:
    """Build a `kind` from its JSON form; for a registered kind, a name alone is its defaults.

    Raises:
        ConfigError: an unknown key, a missing one, or a value of the wrong type or out of range. The message names the
            key in full, and the nearest known one.
    """
    if issubclass(kind, Registered) and isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where or kind.__name__} is a group of settings; received {value!r}.")
    changes = {key: _Change(item) for key, item in value.items()}
    if issubclass(kind, Registered):
        return typing.cast(Settings, _change_registered(kind, None, changes, where))
    return _change_fields(kind, defaults_of(kind), changes, where)


def override(settings: Settings, changes: Overrides) -> Settings:
    """Return `settings` with dotted keys replaced: `["epochs=20", "optimizer.lr=0.05"]`, or the same as a mapping.

    Strict: an unknown key, a value of the wrong type or one out of range is an error. If a key occurs twice, the later
    value counts; otherwise the order does not matter. A group is checked after all its changes.

    `GROUP.name` replaces a registered entry by another one with its defaults. A member of a list of registered entries
    is addressed by name: `LIST.NAME.OPTION=VALUE`, or `LIST.NAME=VALUE` for its first option. `LIST.NAME=true` sets a
    member to its defaults, and `LIST.NAME=false` (or `none`) sets its first option to 0. A member that the list lacks
    is appended. A whole list is written as names, as in `LIST=flip,shift`, or `none`.

    Raises:
        ConfigError: which key is wrong, and why.
    """
    tree = _Change()
    for key, value in parse_overrides(changes):
        tree.add(key.split("."), value)
    return _change_fields(type(settings), values_of(settings), tree.parts, "")


def parse_overrides(changes: Overrides) -> list[tuple[str, object]]:
    """Return overrides in any form as (dotted key, value): a mapping, texts like "optimizer.lr=0.05", or one such text.

    Raises:
        ConfigError: a text is not of the form key=value, or a key is no text.
    """
    if isinstance(changes, Mapping):
        for key in changes:
            if not isinstance(key, str):
                raise ConfigError(f"A setting has a name, as in {{'optimizer.lr': 0.05}}; received {key!r}.")
        return list(changes.items())
    return [_split(text) for text in ([changes] if isinstance(changes, str) else changes)]


def digest(settings: object) -> str:
    """Return the SHA-256 of the JSON form with sorted keys, the same in every version and order of fields."""
    text = json.dumps(to_json(settings), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


_UNCHANGED = object()


@dataclass
class _Change:
    """Changes of one setting: a new value, then changes of its parts."""

    value: object = _UNCHANGED
    parts: dict[str, _Change] = field(default_factory=dict)

    def add(self, path: Sequence[str], value: object) -> None:
        if path:
            self.parts.setdefault(path[0], _Change()).add(path[1:], value)
        else:
            self.value, self.parts = value, {}


def _apply(hint: Any, current: Any, change: _Change, where: str) -> Any:
    """Return `current`, a value of type `hint`, after `change`."""
    if change.value is not _UNCHANGED:
        current = _read(hint, change.value, where)
    if not change.parts:
        return current
    if (kind := registered_kind(hint)) is not None:
        return _change_registered(kind, current, change.parts, where)
    if (kind := listed_kind(hint)) is not None:
        return _change_list(kind, current, change.parts, where)
    if not is_group(current):
        raise ConfigError(f"There is no setting {_first_key(change, where)!r}: {where!r} is a single value.")
    return _change_fields(type(current), values_of(current), change.parts, where)


def _change_fields(kind: type[Settings], values: dict[str, Any], parts: Mapping[str, _Change], where: str) -> Settings:
    """Build a `kind` from the values of its fields, changed by `parts`."""
    hints, fields = hints_of(kind), fields_of(kind)
    for name, change in parts.items():
        if name not in fields:
            raise unknown_setting(kind, name, _first_key(change, join(where, name)), where)
        values[name] = _apply(hints[name], values.get(name), change, join(where, name))
    for name in fields:
        if name not in values:
            raise ConfigError(f"The setting {join(where, name)!r} is missing.")
    try:
        return kind(**values)
    except ConfigError as error:
        begins = re.match(r"\w+", str(error))
        joint = "." if begins and begins[0] in fields else ": "
        raise ConfigError(f"{where}{joint}{error}" if where else str(error)) from error


def _change_registered(
    kind: type[Registered], current: Registered | None, parts: Mapping[str, _Change], where: str
) -> Registered:
    """Change options of `current`; another name replaces it by that member of `kind` with its defaults."""
    options = dict(parts)
    change = options.pop("name", None)
    if change is not None:
        member = kind.registry[read_scalar(str, change.value, join(where, "name"))]
    elif current is not None:
        member = type(current)
    else:
        choices = ", ".join(kind.registry)
        raise ConfigError(
            f"{where} is none, which has no options. Set {join(where, 'name')} too, to one of: {choices}."
        )
    values = values_of(current) if type(current) is member else defaults_of(member)
    return _change_fields(member, values, options, where)


def _change_list(
    kind: type[Registered], current: tuple[Registered, ...], parts: Mapping[str, _Change], where: str
) -> tuple[Registered, ...]:
    """Change the members of a list of registered entries by name."""
    members = {member.name: member for member in current}
    for name, change in parts.items():
        member, key = kind.registry[name], join(where, name)
        values = values_of(members[name]) if name in members else defaults_of(member)
        if change.value is not _UNCHANGED:
            values = _member_values(member, values, change.value, key)
        if values is None:
            members.pop(name, None)
        else:
            members[name] = _change_fields(member, values, change.parts, key)
    return tuple(members.values())


def _member_values(member: type[Registered], values: dict[str, Any], value: object, key: str) -> dict[str, Any] | None:
    """Return the options of a list's member after it is set to a single `value`; None removes the member."""
    if isinstance(value, (member, Mapping)):
        options = value if isinstance(value, Mapping) else values_of(value)
        return values_of(
            _change_fields(member, defaults_of(member), {name: _Change(v) for name, v in options.items()}, key)
        )
    turned, names = switch(value), list(fields_of(member))
    if turned:
        return defaults_of(member)
    if not names and turned is None:
        raise ConfigError(f"{key} has no options: set it to true or false; received {value!r}.")
    if not names:
        return None
    hint, name = hints_of(member)[names[0]], join(key, names[0])
    return values | {names[0]: _read(hint, value if turned is None else 0, name)}


def _split(text: str) -> tuple[str, object]:
    key, equals, value = text.partition("=") if isinstance(text, str) else ("", "", "")
    if not equals or not key.strip():
        raise ConfigError(f"A setting is given as key=value, as in 'optimizer.lr=0.05'; received {text!r}.")
    return key.strip(), value.strip()


def _first_key(change: _Change, where: str) -> str:
    """Return the key of the first value in `change`."""
    for name, part in change.parts.items():
        return _first_key(part, join(where, name))
    return where


def _read(hint: Any, value: Any, key: str) -> Any:
    """Convert `value`, from JSON or from the text of a command line, to the type `hint`."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _read_union(arguments, value, key)
    if origin is Literal:
        if value not in arguments:
            raise ConfigError(f"{key} is one of {', '.join(map(str, arguments))}; received {value!r}.")
        return value
    if origin is tuple:
        items = [item.strip() for item in value.split(",")] if isinstance(value, str) else value
        if items in ([""], ["none"]):
            items = []
        if not isinstance(items, (list, tuple)):
            raise wrong_type(key, "a list", value)
        return tuple(_read(arguments[0], item, key) for item in items)
    if isinstance(hint, type) and hint is not Duration and (dataclasses.is_dataclass(hint) or registered_kind(hint)):
        return value if isinstance(value, hint) else from_json(hint, value, where=key)
    return read_scalar(hint, value, key)


def _read_union(arguments: tuple[Any, ...], value: Any, key: str) -> Any:
    if value is None or value == "none":
        if type(None) not in arguments:
            raise wrong_type(key, "a value", value)
        return None
    (kind,) = (argument for argument in arguments if argument is not type(None))
    return _read(kind, value, key)
