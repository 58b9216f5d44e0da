"""Names of places in a network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from striate.core.errors import StriateError, closest, nearest
from striate.core.protocols import Described
from striate.hooks._compiled import eager, modules_by_path, scripted

_OPERATION = re.compile(r"([a-z]\w*):([1-9]\d*)")


class PlaceError(StriateError):
    """A place that a network does not have, or that cannot be looked into."""


@dataclass(frozen=True)
class Operation:
    """The `number`-th operation called `name` in a forward pass, counted from 1."""

    name: str
    number: int


def place_name(model: nn.Module, place: Any) -> str:
    """Return the name of a place: a name as it is, a module of `model` as its path.

    Raises:
        PlaceError: it is neither.
    """
    if isinstance(place, str):
        return place
    if isinstance(place, nn.Module):
        for path, module in modules_by_path(eager(model)).items():
            if module is eager(place):
                return path
        raise PlaceError(
            f"A place must be a module of the network; received a {type(place).__name__} that is not: take it from "
            f"this network, or name it by its path."
        )
    raise PlaceError(
        f"A place must be a name (a feature map, a module's path, an operation such as 'relu:3') or a module of the "
        f"network; received {place!r}."
    )


def place_names(model: nn.Module, places: Any) -> tuple[str, ...]:
    """Return the names of one place or several, each once.

    Raises:
        PlaceError: one of them is neither a name nor a module of `model`, or there are none.
    """
    one = isinstance(places, (str, nn.Module)) and not isinstance(places, (nn.ModuleList, nn.Sequential))
    if isinstance(places, nn.Sequential) and any(module is places for module in model.modules()):
        one = True
    if not one and not isinstance(places, Iterable):
        raise PlaceError(f"Places must be names or modules, one or several; received {places!r}.")
    several: Any = [places] if one else places
    names = tuple(dict.fromkeys(place_name(model, place) for place in several))
    if not names:
        raise PlaceError("Expected one place or several; received none.")
    return names


def find(model: nn.Module, names: Iterable[str]) -> list[nn.Module | Operation]:
    """Look up places: first as a declared feature map, then as a module's path, then as an operation ("relu:3").

    Raises:
        PlaceError: there is no such place, or it lies in a scripted region, where nothing can be seen.
    """
    declared = dict(model.feature_maps) if isinstance(model, Described) else {}
    modules, regions = modules_by_path(model), scripted(model)
    return [_find(name, declared, modules, regions) for name in names]


def _find(
    name: str, declared: Mapping[str, str], modules: Mapping[str, nn.Module], regions: Sequence[str]
) -> nn.Module | Operation:
    path = declared.get(name, name)
    if path in modules:
        for region in regions:
            if region in ("", path) or path.startswith(f"{region}."):
                raise PlaceError(
                    f"Place {name!r} is or lies within {_called(region)}, which is scripted and hides its operations: "
                    f"use the network before scripting."
                )
        return modules[path]
    match = _OPERATION.fullmatch(name)
    if match is None:
        raise PlaceError(
            f"A place must be a feature map, a module's path, or an operation such as 'relu:3'; received {name!r}. "
            f"{_known(name, declared, modules)}"
        )
    if regions:
        raise PlaceError(
            f"Operations cannot be counted past {_called(regions[0])}, which is scripted: name a module instead of "
            f"{name!r}, or use the network before scripting."
        )
    return Operation(match[1], int(match[2]))


def _known(name: str, declared: Iterable[str], modules: Iterable[str]) -> str:
    """Suggest the closest place, and list the feature maps; of a network without any, list the modules."""
    maps = ", ".join(declared)
    close = closest(name, [*declared, *modules])
    if not maps:
        return nearest(name, modules)
    return " ".join([*([f"Did you mean {close!r}?"] if close else []), f"The feature maps are {maps}."])


def _called(path: str) -> str:
    return f"module {path!r}" if path else "the network"
