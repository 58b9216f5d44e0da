"""Fields, defaults and registered kinds of settings types, which `core.config` reads and writes."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Iterator
from dataclasses import MISSING
from typing import Any

from striate.core.duration import Duration
from striate.core.errors import ConfigError, nearest
from striate.core.registry import Registered


def setting_keys(kind: type) -> Iterator[str]:
    """Yield the dotted keys of a settings type, including the options of registered kinds and the members of lists."""
    hints = hints_of(kind)
    for name in fields_of(kind):
        hint = hints[name]
        if (listed := listed_kind(hint)) is not None:
            yield from (join(name, member) for member in listed.registry)
        elif (chosen := registered_kind(hint)) is not None:
            options = {option: None for member in chosen.registry.values() for option in fields_of(member)}
            yield from (join(name, option) for option in ("name", *options))
        elif dataclasses.is_dataclass(hint) and hint is not Duration:
            yield from (join(name, key) for key in setting_keys(typing.cast(type, hint)))
        else:
            yield name


def unknown_setting(kind: type, name: str, key: str, where: str) -> ConfigError:
    """Return the error for the unknown `key`, which ends in `name`; its last part alone (`lr`) finds the known one."""
    if issubclass(kind, Registered):
        thing = f"The {kind.registry.kind} {kind.registry.name_of(kind)!r}"
        hint = nearest(name, fields_of(kind)) if fields_of(kind) else "It has none."
        return ConfigError(f"{thing} has no option {name!r}. {hint}")
    known = [join(where, known) for known in setting_keys(kind)]
    ending = [candidate for candidate in known if candidate.split(".")[-1] == key.split(".")[-1]]
    hint = f"Did you mean {ending[0]!r}?" if ending else nearest(key, known)
    return ConfigError(f"There is no setting {key!r}. {hint}")


def join(where: str, key: str) -> str:
    """Return the dotted key of `key` in the group `where`."""
    return f"{where}.{key}" if where else key


@functools.cache
def hints_of(kind: type) -> dict[str, Any]:
    """Return the types of the fields; cached, since Python compiles each annotation again at every call."""
    return typing.get_type_hints(kind)


def fields_of(kind: type) -> dict[str, dataclasses.Field[Any]]:
    """Return the fields of a settings type that are settings, by name (see `NOT_AN_OPTION`)."""
    return {item.name: item for item in dataclasses.fields(kind) if item.metadata.get("option", True)}


def values_of(settings: object) -> dict[str, Any]:
    """Return the values of the fields."""
    return {name: getattr(settings, name) for name in fields_of(type(settings))}


def defaults_of(kind: type) -> dict[str, Any]:
    """Return the defaults of the fields that have one."""
    fields = fields_of(kind).items()
    factories = {name: item.default_factory() for name, item in fields if item.default_factory is not MISSING}
    return factories | {name: item.default for name, item in fields if item.default is not MISSING}


def is_group(value: object) -> bool:
    """Return whether `value` is a dataclass of settings."""
    return dataclasses.is_dataclass(value) and not isinstance(value, (Duration, type))


def registered_kind(hint: Any) -> type[Registered] | None:
    """Return the registered kind in `hint`, which may be optional; None if there is none."""
    kinds = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Registered)), None)


def listed_kind(hint: Any) -> type[Registered] | None:
    """Return the registered kind of the items if `hint` is a tuple."""
    return registered_kind(typing.get_args(hint)[0]) if typing.get_origin(hint) is tuple else None
