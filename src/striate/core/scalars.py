"""Single values of settings: conversion from JSON or the text of a command line, and range checks."""

from __future__ import annotations

import math
from typing import Any

from striate.core.duration import Duration
from striate.core.errors import ConfigError

_SWITCHES = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def read_scalar(kind: Any, value: Any, key: str) -> Any:
    """Convert `value` to the type `kind`: bool, int, float, str or `Duration`.

    Raises:
        ConfigError: the value is of another type.
        TypeError: there are no settings of type `kind`.
    """
    reader = _READERS.get(kind)
    if reader is None:
        raise TypeError(f"{key}: settings cannot be of type {kind}")
    return reader(value, key)


def switch(value: object) -> bool | None:
    """Interpret a value as on (True) or off (False); None if it is neither."""
    if value is None or value == "none":
        return False
    return value if isinstance(value, bool) else _SWITCHES.get(value.lower()) if isinstance(value, str) else None


def wrong_type(key: str, expected: str, value: object) -> ConfigError:
    """Return the error for a value of the wrong type."""
    return ConfigError(f"{key} is {expected}; received {value!r}.")


def check_range(
    settings: object,
    *names: str,
    above: int | float | None = None,
    at_least: int | float | None = None,
    at_most: int | float | None = None,
    below: int | float | None = None,
) -> None:
    """Check that the fields `names` of `settings` are None or within the given bounds.

    Raises:
        ConfigError: a value out of range; the message holds the rule and the value.
    """
    bounds = {"above": above, "at least": at_least, "at most": at_most, "below": below}
    rule = " and ".join(f"{word} {bound:g}" for word, bound in bounds.items() if bound is not None)
    for name in names:
        value = getattr(settings, name)
        outside = value is not None and (
            (above is not None and not value > above)
            or (at_least is not None and not value >= at_least)
            or (at_most is not None and not value <= at_most)
            or (below is not None and not value < below)
        )
        if outside:
            raise ConfigError(f"{name} must be {rule}; received {value:g}.")


def _read_bool(value: Any, key: str) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _SWITCHES:
        return _SWITCHES[value.lower()]
    raise wrong_type(key, "true or false", value)


def _read_int(value: Any, key: str) -> int:
    try:
        if isinstance(value, (bool, float)):
            raise ValueError
        return int(value)
    except (ValueError, TypeError) as error:
        raise wrong_type(key, "a whole number", value) from error


def _read_float(value: Any, key: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (ValueError, TypeError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise wrong_type(key, "a number", value)
    return number


def _read_str(value: Any, key: str) -> str:
    if not isinstance(value, str):
        raise wrong_type(key, "a text", value)
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
