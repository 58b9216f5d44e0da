"""The difference between two settings of one type, and the settings of one as dotted keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from striate.core.config import to_json
from striate.core.registry import Registered
from striate.core.settings_types import defaults_of, is_group, join, values_of


def difference(settings: object, base: object, *, where: str = "") -> dict[str, tuple[Any, Any]]:
    """Map the dotted keys in which two settings of one type differ to (base's value, settings' value) in JSON form.

    An option that only one side has counts if it is not at its default; it is None on the other side.
    """
    return {key: pair for key, pair in _differences(base, settings, where) if pair[0] != pair[1]}


def dotted(settings: object, *, where: str = "") -> dict[str, Any]:
    """Map the dotted keys of all settings to their values in JSON form, as `core.config.override` takes them.

    A list of registered entries is the list of their names, followed by the options of each.
    """
    if isinstance(settings, tuple) and all(isinstance(each, Registered) for each in settings):
        flat = {where: [each.name for each in settings]}
        for each in settings:
            flat |= dotted(each, where=join(where, each.name))
            del flat[join(join(where, each.name), "name")]
        return flat
    if not is_group(settings):
        return {where: to_json(settings)}
    flat = {join(where, "name"): settings.name} if isinstance(settings, Registered) else {}
    for key, value in values_of(settings).items():
        flat |= dotted(value, where=join(where, key))
    return flat


def _differences(old: Any, new: Any, where: str) -> Iterator[tuple[str, tuple[Any, Any]]]:
    if isinstance(old, Registered | None) and isinstance(new, Registered) and type(old) is not type(new):
        yield join(where, "name"), (None if old is None else old.name, new.name)
        before, usual = {} if old is None else values_of(old), defaults_of(type(new))
        for key, value in values_of(new).items():
            if key in before or value != usual.get(key):
                yield join(where, key), (to_json(before.get(key)), to_json(value))
    elif is_group(old) and type(old) is type(new):
        for key, value in values_of(old).items():
            yield from _differences(value, getattr(new, key), join(where, key))
    elif isinstance(old, tuple) and isinstance(new, tuple) and all(isinstance(each, Registered) for each in old + new):
        yield from _list_differences(old, new, where)
    else:
        yield where, (to_json(old), to_json(new))


def _list_differences(
    old: tuple[Registered, ...], new: tuple[Registered, ...], where: str
) -> Iterator[tuple[str, tuple[Any, Any]]]:
    before, after = ({member.name: member for member in members} for members in (old, new))
    for name in before | after:
        key, one, other = join(where, name), before.get(name), after.get(name)
        if one is not None and other is not None:
            yield from _differences(one, other, key)
            continue
        options = values_of(other if one is None else one)
        pairs = {join(key, option): value for option, value in options.items()} or {key: True}
        yield from ((each, (None, to_json(v)) if one is None else (to_json(v), None)) for each, v in pairs.items())
    if [name for name in before if name in after] != [name for name in after if name in before]:
        yield where, (list(before), list(after))
