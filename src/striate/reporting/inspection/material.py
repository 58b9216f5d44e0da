"""What an inspection shows: plain pixels and words, so that its page can be drawn without the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import UInt8

Rgb: TypeAlias = UInt8[np.ndarray, "_ _ 3"]


@dataclass(frozen=True, eq=False)
class FilterSheet:
    """The filters of one convolution; `shown` of `count` are on the sheet, as `said`."""

    layer: str
    count: int
    size: tuple[int, int]
    shown: int
    sheet: Rgb
    said: str


@dataclass(frozen=True, eq=False)
class MapSheet:
    """The maps that a picture makes at one place; `shown` of `count` are on the sheet, each of `size` (y, x)."""

    place: str
    count: int
    size: tuple[int, int]
    shown: int
    sheet: Rgb


@dataclass(frozen=True, eq=False)
class UnitShown:
    """One unit (channel) of a place.

    `patches` are the patches that excite it most, `projections` what the deconvnet finds in each of them, in the same
    order (None where the network has no ReLU that it knows), `wanted` is the picture made for it (None where the time
    did not suffice). `largest` is its largest activation, `active` the share of its activations above zero.
    """

    number: int
    patches: Rgb
    projections: Rgb | None
    wanted: Rgb | None
    largest: float
    active: float


@dataclass(frozen=True, eq=False)
class PlaceShown:
    """Some of the units of a place; `sees` is the size of their patches. `redundant` are pairs with correlation."""

    place: str
    count: int
    sees: tuple[int, int]
    units: tuple[UnitShown, ...]
    dead: tuple[int, ...]
    redundant: tuple[tuple[int, int, float], ...]


@dataclass(frozen=True, eq=False)
class Moved:
    """How far places move, and how the answer falls, as the picture is changed: curves of (amount, value)."""

    change: str
    unit: str
    places: Mapping[str, Sequence[tuple[float, float]]]
    probability: Sequence[tuple[float, float]]


@dataclass(frozen=True, eq=False)
class Inspection:
    """Everything that was found in a network. `seen` pictures went through it, from `source`.

    `example` is the picture whose maps are shown, by its name. `classes` are the pictures made for classes, by name.
    `notes` say what is missing, and why.
    """

    title: str
    source: str
    seen: int
    filters: tuple[FilterSheet, ...]
    example: tuple[str, Rgb]
    maps: tuple[MapSheet, ...]
    places: tuple[PlaceShown, ...]
    classes: tuple[tuple[str, Rgb], ...]
    moved: tuple[Moved, ...]
    notes: tuple[str, ...]
