"""Frozen dataclasses as settings: to JSON and back, strict overrides, the difference between two, a digest.

A setting is a bool, int, float, str, `Literal`, `Duration`, an optional one, a tuple of one kind, or another frozen
dataclass of settings. Anything else is a defect in the dataclass and raises `TypeError`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

from striate.core.duration import Duration
from striate.core.errors import ConfigError, nearest

Settings = TypeVar("Settings")
Overrides = str | Sequence[str] | Mapping[str, object]


def to_json(settings: object) -> Any:
    """The plain JSON form of a dataclass of settings (durations as text, tuples as lists)."""
    if dataclasses.is_dataclass(settings) and not isinstance(settings, (Duration, type)):
        return {field.name: to_json(getattr(settings, field.name)) for field in dataclasses.fields(settings)}
    if isinstance(settings, tuple):
        return [to_json(item) for item in settings]
    return str(settings) if isinstance(settings, Duration) else settings


def from_json(kind: type[Settings], value: object, *, where: str = "") -> Settings:
    """Build a `kind` from its JSON form.

    Raises:
        ConfigError: a key that `kind` does not have, one it needs and is missing, or a value of the wrong type; the
            sentence names the key in full and the nearest right one.
    """
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where or kind.__name__} is a group of settings; received {value!r}.")
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # pyright: ignore[reportArgumentType]
    for key in value:
        if key not in fields:
            raise ConfigError(f"There is no setting {_join(where, key)!r}. {nearest(key, fields)}")
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in value:
            raise ConfigError(f"The setting {_join(where, name)!r} is missing.")
    return kind(**{key: _read(hints[key], item, _join(where, key)) for key, item in value.items()})


def override(settings: Settings, changes: Overrides) -> Settings:
    """`settings` with dotted keys replaced: `["epochs=20", "optimizer.lr=0.05"]` or the same as a mapping.

    Strict: an unknown key, a value of the wrong type or an impossible one is an error, never a silent no-op.

    Raises:
        ConfigError: what was wrong with which key.
    """
    for key, value in pairs(changes):
        settings = _replace(settings, key.split("."), value, key)
    return settings


def pairs(changes: Overrides) -> list[tuple[str, object]]:
    """Overrides in any form as (dotted key, value): a mapping, texts like "optimizer.lr=0.05", or one such text.

    Raises:
        ConfigError: a text is not of the form key=value.
    """
    if isinstance(changes, Mapping):
        return list(changes.items())
    return [_split(text) for text in ([changes] if isinstance(changes, str) else changes)]


def difference(settings: object, base: object, *, where: str = "") -> dict[str, tuple[Any, Any]]:
    """The dotted keys in which two settings of one kind differ: key to (base's value, settings' value) in JSON form."""
    changed: dict[str, tuple[Any, Any]] = {}
    for field in dataclasses.fields(settings):  # pyright: ignore[reportArgumentType]
        old, new = getattr(base, field.name), getattr(settings, field.name)
        key = _join(where, field.name)
        if _is_group(old) and type(old) is type(new):
            changed |= difference(new, old, where=key)
        elif old != new:
            changed[key] = (to_json(old), to_json(new))
    return changed


def digest(settings: object) -> str:
    """SHA-256 of the JSON form with sorted keys: equal settings have equal digests, in every version and order."""
    text = json.dumps(to_json(settings), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _is_group(value: object) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, (Duration, type))


def _split(text: str) -> tuple[str, object]:
    if not isinstance(text, str):
        raise ConfigError(f"A setting is given as key=value, as in 'optimizer.lr=0.05'; received {text!r}.")
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"A setting is given as key=value, as in 'optimizer.lr=0.05'; received {text!r}.")
    return key.strip(), value.strip()


def _replace(settings: Settings, path: list[str], value: object, key: str, where: str = "") -> Settings:
    hints = typing.get_type_hints(type(settings))
    name, rest = path[0], path[1:]
    if name not in hints:
        raise ConfigError(f"There is no setting {key!r}. {_nearest_key(settings, key, where)}")
    current, here = getattr(settings, name), _join(where, name)
    if rest and not _is_group(current):
        raise ConfigError(f"There is no setting {key!r}: {here!r} is a single value.")
    new = _replace(current, rest, value, key, here) if rest else _read(hints[name], value, key)
    return dataclasses.replace(settings, **{name: new})  # pyright: ignore[reportArgumentType]


def _nearest_key(settings: object, key: str, where: str) -> str:
    """Offer the nearest key; of a lone last part too (`lr` for `optimizer.lr` is what people type)."""
    known = _keys(settings, where)
    ending = [name for name in known if name.split(".")[-1] == key.split(".")[-1]]
    return f"Did you mean {ending[0]!r}?" if ending else nearest(key, known)


def _keys(settings: object, where: str = "") -> list[str]:
    keys: list[str] = []
    for field in dataclasses.fields(settings):  # pyright: ignore[reportArgumentType]
        value, name = getattr(settings, field.name), _join(where, field.name)
        keys += _keys(value, name) if _is_group(value) else [name]
    return keys


def _read(hint: Any, value: Any, key: str) -> Any:
    """`value`, from JSON or from a command line's text, as the type `hint`."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _read_union(arguments, value, key)
    if origin is Literal:
        if value not in arguments:
            raise ConfigError(f"{key} is one of {', '.join(map(str, arguments))}; received {value!r}.")
        return value
    if origin is tuple:
        items = (value.split(",") if value.strip() else []) if isinstance(value, str) else value
        if not isinstance(items, (list, tuple)):
            raise _wrong(key, "a list", value)
        return tuple(_read(arguments[0], item, key) for item in items)
    if dataclasses.is_dataclass(hint) and hint is not Duration:
        return (
            value if isinstance(value, typing.cast(type, hint)) else from_json(typing.cast(Any, hint), value, where=key)
        )
    reader = _READERS.get(hint)
    if reader is None:
        raise TypeError(f"{key}: settings cannot be of type {hint}")
    return reader(value, key)


def _read_union(arguments: tuple[Any, ...], value: Any, key: str) -> Any:
    if value is None or value == "none":
        if type(None) not in arguments:
            raise _wrong(key, "a value", value)
        return None
    (kind,) = (argument for argument in arguments if argument is not type(None))
    return _read(kind, value, key)


def _wrong(key: str, expected: str, value: object) -> ConfigError:
    return ConfigError(f"{key} is {expected}; received {value!r}.")


def _read_bool(value: Any, key: str) -> bool:
    known = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in known:
        return known[value.lower()]
    raise _wrong(key, "true or false", value)


def _read_int(value: Any, key: str) -> int:
    try:
        if isinstance(value, (bool, float)):
            raise ValueError
        return int(value)
    except (ValueError, TypeError) as error:
        raise _wrong(key, "a whole number", value) from error


def _read_float(value: Any, key: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (ValueError, TypeError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise _wrong(key, "a number", value)
    return number


def _read_str(value: Any, key: str) -> str:
    if not isinstance(value, str):
        raise _wrong(key, "a text", value)
    return value


def _read_duration(value: Any, key: str) -> Duration:
    try:
        return Duration.parse(value)
    except ConfigError as error:
        raise ConfigError(f"{key}: {error}") from error


_READERS: dict[Any, Any] = {
    bool: _read_bool,
    int: _read_int,
    float: _read_float,
    str: _read_str,
    Duration: _read_duration,
}
