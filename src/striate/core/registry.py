"""Registries: names to entries of one kind, with errors for duplicate and unknown names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

from striate.core.errors import ConfigError, StriateError, nearest

Entry = TypeVar("Entry")


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Return a sort key in which numbers inside names count as numbers: `class2` comes before `class10`."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return [_number(part) if part.isdecimal() else (1, 0, part.casefold()) for part in parts]


def _number(digits: str) -> tuple[int, int, str]:
    """Return a sort key for a number of any length; Python refuses to convert thousands of digits to an `int`."""
    digits = digits.lstrip("0")
    return 0, len(digits), digits


class Registry(Mapping[str, Entry]):
    """Entries of one kind by name.

    `kind` is the noun of the error messages, `error` the exception raised for an unknown name. Iteration is in
    natural order of the names.
    """

    def __init__(self, kind: str, error: type[StriateError] = ConfigError) -> None:
        self.kind = kind
        self._error = error
        self._entries: dict[str, Entry] = {}
        self._expected: dict[str, str] = {}

    def expect(self, module: str, names: Iterable[str]) -> None:
        """Announce the entries that `module` adds: it is imported when one of them is first used."""
        self._expected |= dict.fromkeys(names, module)

    def add(self, name: str, entry: Entry) -> Entry:
        """Register `entry` as `name`; a second entry with the same name raises `ValueError`."""
        if name in self._entries:
            raise ValueError(f"{self.kind} {name!r} is registered twice")
        self._entries[name] = entry
        return entry

    def name_of(self, entry: Entry) -> str:
        """Return the name under which `entry` is registered.

        Raises:
            StriateError: it is not registered.
        """
        for name, known in self._entries.items():
            if known is entry:
                return name
        raise self._error(f"{entry!r} is not a registered {self.kind}. Register it first: REGISTRY.add(name, …).")

    def __getitem__(self, name: str) -> Entry:
        if name not in self._entries and name in self._expected:
            import_module(self._expected[name])
        if name not in self._entries:
            raise self._error(f"There is no {self.kind} {name!r}. {nearest(name, self)}")
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries or name in self._expected

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries | self._expected, key=natural_key))

    def __len__(self) -> int:
        return len(self._entries | self._expected)


NOT_AN_OPTION: Mapping[str, bool] = MappingProxyType({"option": False})
"""Metadata of a field of a `Registered` type that code sets: it is no option, and JSON leaves it out."""


class Registered:
    """Base class of settings with members that are chosen by name: tasks, losses, optimizers, schedules, augmentations.

    A kind is a subclass that sets `registry`. A member of the kind is a frozen dataclass derived from it and added to
    the registry. Its fields are its options: their types, defaults and documentation (the `Args:` of the docstring)
    are defined there and nowhere else. A registered member can be used in settings by name (`core.config`).
    """

    registry: ClassVar[Registry[Any]]

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "name" in vars(cls).get("__annotations__", {}):
            raise TypeError(f"{cls.__name__}: no option can be called 'name', which holds the registered name")

    @property
    def name(self) -> str:
        """Name under which the type is registered.

        Raises:
            ConfigError: it is not registered.
        """
        return self.registry.name_of(type(self))
