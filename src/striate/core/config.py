"""Frozen dataclasses as settings: to JSON and back, strict overrides, the difference between two, a digest.

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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field
from typing import Any, Literal, TypeVar

from striate.core.duration import Duration
from striate.core.errors import ConfigError, nearest
from striate.core.registry import Registered
from striate.core.scalars import read_scalar, switch, wrong_type

Settings = TypeVar("Settings")
Overrides = str | Sequence[str] | Mapping[str, object]


def to_json(settings: object) -> Any:
    """Return the plain JSON form of a dataclass of settings: durations as text, tuples as lists."""
    if _is_group(settings):
        name = {"name": settings.name} if isinstance(settings, Registered) else {}
        return name | {key: to_json(value) for key, value in _values(settings).items()}
    if isinstance(settings, tuple):
        return [to_json(item) for item in settings]
    return str(settings) if isinstance(settings, Duration) else settings


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
    return _change_fields(kind, _defaults(kind), changes, where)


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
    return _change_fields(type(settings), _values(settings), tree.parts, "")


def parse_overrides(changes: Overrides) -> list[tuple[str, object]]:
    """Return overrides in any form as (dotted key, value): a mapping, texts like "optimizer.lr=0.05", or one such text.

    Raises:
        ConfigError: a text is not of the form key=value.
    """
    if isinstance(changes, Mapping):
        return list(changes.items())
    return [_split(text) for text in ([changes] if isinstance(changes, str) else changes)]


def difference(settings: object, base: object, *, where: str = "") -> dict[str, tuple[Any, Any]]:
    """Map the dotted keys in which two settings of one type differ to (base's value, settings' value) in JSON form.

    An option that only one side has counts if it is not at its default; it is None on the other side.
    """
    return {key: pair for key, pair in _differences(base, settings, where) if pair[0] != pair[1]}


def setting_keys(kind: type) -> Iterator[str]:
    """Yield the dotted keys of a settings type, including the options of registered kinds and the members of lists."""
    hints = typing.get_type_hints(kind)
    for name in _fields(kind):
        hint = hints[name]
        if (listed := _listed(hint)) is not None:
            yield from (_join(name, member) for member in listed.registry)
        elif (chosen := _registered(hint)) is not None:
            options = {option: None for member in chosen.registry.values() for option in _fields(member)}
            yield from (_join(name, option) for option in ("name", *options))
        elif dataclasses.is_dataclass(hint) and hint is not Duration:
            yield from (_join(name, key) for key in setting_keys(typing.cast(type, hint)))
        else:
            yield name


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
    if (kind := _registered(hint)) is not None:
        return _change_registered(kind, current, change.parts, where)
    if (kind := _listed(hint)) is not None:
        return _change_list(kind, current, change.parts, where)
    if not _is_group(current):
        raise ConfigError(f"There is no setting {_first_key(change, where)!r}: {where!r} is a single value.")
    return _change_fields(type(current), _values(current), change.parts, where)


def _change_fields(kind: type[Settings], values: dict[str, Any], parts: Mapping[str, _Change], where: str) -> Settings:
    """Build a `kind` from the values of its fields, changed by `parts`."""
    hints, fields = typing.get_type_hints(kind), _fields(kind)
    for name, change in parts.items():
        if name not in fields:
            raise _unknown(kind, name, change, where)
        values[name] = _apply(hints[name], values.get(name), change, _join(where, name))
    for name in fields:
        if name not in values:
            raise ConfigError(f"The setting {_join(where, name)!r} is missing.")
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
        member = kind.registry[read_scalar(str, change.value, _join(where, "name"))]
    elif current is not None:
        member = type(current)
    else:
        raise ConfigError(f"The setting {_join(where, 'name')!r} is missing.")
    values = _values(current) if type(current) is member else _defaults(member)
    return _change_fields(member, values, options, where)


def _change_list(
    kind: type[Registered], current: tuple[Registered, ...], parts: Mapping[str, _Change], where: str
) -> tuple[Registered, ...]:
    """Change the members of a list of registered entries by name."""
    members = {member.name: member for member in current}
    for name, change in parts.items():
        member, key = kind.registry[name], _join(where, name)
        values = _values(members[name]) if name in members else _defaults(member)
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
        options = value if isinstance(value, Mapping) else _values(value)
        return _values(
            _change_fields(member, _defaults(member), {name: _Change(v) for name, v in options.items()}, key)
        )
    turned, names = switch(value), list(_fields(member))
    if turned:
        return _defaults(member)
    if not names and turned is None:
        raise ConfigError(f"{key} has no options: set it to true or false; received {value!r}.")
    if not names:
        return None
    hint, name = typing.get_type_hints(member)[names[0]], _join(key, names[0])
    return values | {names[0]: _read(hint, value if turned is None else 0, name)}


def _differences(old: Any, new: Any, where: str) -> Iterator[tuple[str, tuple[Any, Any]]]:
    if isinstance(old, Registered) and isinstance(new, Registered) and type(old) is not type(new):
        yield _join(where, "name"), (old.name, new.name)
        before, usual = _values(old), _defaults(type(new))
        for key, value in _values(new).items():
            if key in before or value != usual.get(key):
                yield _join(where, key), (to_json(before.get(key)), to_json(value))
    elif _is_group(old) and type(old) is type(new):
        for key, value in _values(old).items():
            yield from _differences(value, getattr(new, key), _join(where, key))
    elif isinstance(old, tuple) and isinstance(new, tuple) and all(isinstance(each, Registered) for each in old + new):
        yield from _list_differences(old, new, where)
    else:
        yield where, (to_json(old), to_json(new))


def _list_differences(
    old: tuple[Registered, ...], new: tuple[Registered, ...], where: str
) -> Iterator[tuple[str, tuple[Any, Any]]]:
    before, after = ({member.name: member for member in members} for members in (old, new))
    for name in before | after:
        key, one, other = _join(where, name), before.get(name), after.get(name)
        if one is not None and other is not None:
            yield from _differences(one, other, key)
            continue
        options = _values(other if one is None else one)
        pairs = {_join(key, option): value for option, value in options.items()} or {key: True}
        yield from ((each, (None, to_json(v)) if one is None else (to_json(v), None)) for each, v in pairs.items())
    if [name for name in before if name in after] != [name for name in after if name in before]:
        yield where, (list(before), list(after))


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _fields(kind: type) -> dict[str, dataclasses.Field[Any]]:
    return {item.name: item for item in dataclasses.fields(kind) if item.metadata.get("option", True)}


def _values(settings: object) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in _fields(type(settings))}


def _defaults(kind: type) -> dict[str, Any]:
    fields = _fields(kind).items()
    factories = {name: item.default_factory() for name, item in fields if item.default_factory is not MISSING}
    return factories | {name: item.default for name, item in fields if item.default is not MISSING}


def _is_group(value: object) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, (Duration, type))


def _registered(hint: Any) -> type[Registered] | None:
    """Return the registered kind in `hint`, which may be optional; None if there is none."""
    kinds = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Registered)), None)


def _listed(hint: Any) -> type[Registered] | None:
    """Return the registered kind of the items if `hint` is a tuple."""
    return _registered(typing.get_args(hint)[0]) if typing.get_origin(hint) is tuple else None


def _split(text: str) -> tuple[str, object]:
    key, equals, value = text.partition("=") if isinstance(text, str) else ("", "", "")
    if not equals or not key.strip():
        raise ConfigError(f"A setting is given as key=value, as in 'optimizer.lr=0.05'; received {text!r}.")
    return key.strip(), value.strip()


def _first_key(change: _Change, where: str) -> str:
    """Return the key of the first value in `change`."""
    for name, part in change.parts.items():
        return _first_key(part, _join(where, name))
    return where


def _unknown(kind: type, name: str, change: _Change, where: str) -> ConfigError:
    """Return the error for an unknown key, with the nearest known one, also for a last part alone (`lr`)."""
    if issubclass(kind, Registered):
        thing = f"The {kind.registry.kind} {kind.registry.name_of(kind)!r}"
        hint = nearest(name, _fields(kind)) if _fields(kind) else "It has none."
        return ConfigError(f"{thing} has no option {name!r}. {hint}")
    key, known = _first_key(change, _join(where, name)), [_join(where, known) for known in setting_keys(kind)]
    ending = [candidate for candidate in known if candidate.split(".")[-1] == key.split(".")[-1]]
    hint = f"Did you mean {ending[0]!r}?" if ending else nearest(key, known)
    return ConfigError(f"There is no setting {key!r}. {hint}")


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
    if isinstance(hint, type) and hint is not Duration and (dataclasses.is_dataclass(hint) or _registered(hint)):
        return value if isinstance(value, hint) else from_json(hint, value, where=key)
    return read_scalar(hint, value, key)


def _read_union(arguments: tuple[Any, ...], value: Any, key: str) -> Any:
    if value is None or value == "none":
        if type(None) not in arguments:
            raise wrong_type(key, "a value", value)
        return None
    (kind,) = (argument for argument in arguments if argument is not type(None))
    return _read(kind, value, key)
