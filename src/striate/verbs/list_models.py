"""List the networks of the zoo, or their pretrained weights."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Literal, overload

from striate.core.arguments import checked
from striate.core.errors import ConfigError, ModelError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from striate.models import ModelCard
    from striate.models.weights.entries import Entry

Order = Literal["name", "family", "year", "parameters", "macs"]

_UNITS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9}
_WILD = set("*?[")


class Networks(list["ModelCard"]):
    """Networks of the zoo; a notebook displays them as a table."""

    def _repr_html_(self) -> str:
        from striate.core.notebook import table

        columns = ("name", "family", "year", "input", "parameters", "MACs")
        return table(
            columns,
            [
                (card.name, card.family, card.year, _by(card.input), f"{card.parameters:,}", f"{card.macs:,}")
                for card in self
            ],
        )


class Weights(list["Entry"]):
    """Pretrained weights of the catalogue; a notebook displays them as a table."""

    def _repr_html_(self) -> str:
        from striate.core.notebook import table

        columns = ("name", "top-1", "size", "licence")
        return table(columns, [(entry.name, entry.top1 or "", _by(entry.input.size), entry.licence) for entry in self])


def _by(sides: Iterable[int]) -> str:
    return "×".join(map(str, sides))


@overload
def list_models(
    pattern: str | None = ...,
    /,
    *,
    weights: Literal[False] = ...,
    like: str | None = ...,
    family: str | None = ...,
    year: str | None = ...,
    parameters: str | None = ...,
    macs: str | None = ...,
    sort: Order = ...,
) -> Networks: ...
@overload
def list_models(
    pattern: str | None = ...,
    /,
    *,
    weights: Literal[True],
    like: str | None = ...,
    family: str | None = ...,
    year: str | None = ...,
    parameters: str | None = ...,
    macs: str | None = ...,
    sort: Order = ...,
) -> Weights: ...
@checked
def list_models(
    pattern: str | None = None,
    /,
    *,
    weights: bool = False,
    like: str | None = None,
    family: str | None = None,
    year: str | None = None,
    parameters: str | None = None,
    macs: str | None = None,
    sort: Order = "name",
) -> Networks | Weights:
    """List the networks that can be trained, with their year, input, parameters and multiply-accumulates.

    With weights, list the published weights of these networks instead: their accuracy, input and licence, and which of
    them are on this machine.

    Example:
        striate.list_models(like="resnet", parameters="30M", sort="macs")

    Args:
        pattern: only names that match, with * and ? as in file names, or that contain it.
        weights: list the catalogue of pretrained weights; the pattern is then that of their names.
        like: only networks of the same family as this one, or of families with a name that contains this word.
        family: only one family, as the table names it.
        year: only of a year, or of a range of years, as in 2012-2015 or 2016-.
        parameters: only with so many parameters at most, as in 5M, or in a range, as in 1M-25M or 100M-.
        macs: only with so many multiply-accumulates at most, as in 500M, or in a range, as in 1G-4G.
        sort: by name, family, year, parameters or macs; the smallest comes first.

    Raises:
        ModelError: there is no such name; the message offers the nearest.
        ConfigError: a range that cannot be read, or no such order.
    """
    from striate import models

    cards = models.list_models(None if weights else pattern)
    if not cards and pattern is not None and not _WILD & set(pattern):
        raise ModelError(f"No network's name contains {pattern!r}. {nearest(pattern, models.MODELS)}")
    everything = models.list_models()
    if like is not None:
        kin = _families(everything, like)
        cards = [card for card in cards if card.family in kin]
    if family is not None:
        families = {card.family for card in everything}
        if family not in families:
            raise ModelError(f"There is no family {family!r}. {nearest(family, sorted(families))}")
        cards = [card for card in cards if card.family == family]
    for kind, wanted in (("year", year), ("parameters", parameters), ("macs", macs)):
        if wanted is not None:
            least, most = _years(wanted) if kind == "year" else _range(kind, wanted)
            cards = [card for card in cards if least <= getattr(card, kind) <= most]
    cards = _sorted(cards, sort)
    return Weights(_published(cards, pattern)) if weights else Networks(cards)


def _published(cards: list[ModelCard], pattern: str | None) -> list[Entry]:
    """Return the catalogue's weights of these networks, in their order."""
    from striate.models.weights import entries

    found = entries.entries(pattern)
    if not found and pattern is not None and not _WILD & set(pattern):
        raise ModelError(f"No weights of the catalogue contain {pattern!r}. {entries.suggestion(pattern)}")
    return [entry for card in cards for entry in found if entry.model == card.name]


def _families(cards: list[ModelCard], word: str) -> set[str]:
    """Return the families of a network; if there is no such network, those of names with a word that begins so.

    `lenet` finds `lenet5`, and not `mobilenet_v2`.
    """
    folded = word.casefold()
    exactly = {card.family for card in cards if card.name.casefold() == folded}
    begins = re.compile(rf"(?:^|[^a-z]){re.escape(folded)}")
    found = exactly or {
        card.family for card in cards if begins.search(card.name.casefold()) or begins.search(card.family)
    }
    if not found:
        known = [card.name for card in cards]
        raise ModelError(f"No network is like {word!r}. {nearest(word, known)}")
    return found


def _sorted(cards: Iterable[ModelCard], order: str) -> list[ModelCard]:
    """Sort cards; equal ones keep the order of their names."""
    known = ("name", "family", "year", "parameters", "macs")
    if order not in known:
        raise ConfigError(f"Networks are sorted by {', '.join(known)}; received {order!r}. {nearest(order, known)}")
    return list(cards) if order == "name" else sorted(cards, key=lambda card: getattr(card, order))


def _years(text: str) -> tuple[float, float]:
    """Return the first and last year of a text; `2015` is that year alone, where other numbers are a maximum."""
    return (int(text), int(text)) if re.fullmatch(r"\d{4}", text.strip()) else _range("year", text)


def _range(kind: str, text: str) -> tuple[float, float]:
    """Return the least and the most of `5M`, `1M-5M`, `1M-` or `-5M`."""
    number = r"(\d+(?:\.\d+)?)\s*([kmgb]?)"
    found = re.fullmatch(rf"(?:(?:{number})?\s*[-–]\s*)?(?:{number})?", text.strip().replace(",", ""), re.IGNORECASE)
    if found is None or not any(found.groups()):
        example = "2015, 2012-2015 or 2016-" if kind == "year" else "5M, 1M-25M or 100M-"
        raise ConfigError(f"{kind} is a number or a range of them, as in {example}; received {text!r}.")
    least, its_unit, most, other_unit = found.groups()
    return _value(least, its_unit, 0), _value(most, other_unit, math.inf)


def _value(number: str | None, unit: str | None, missing: float) -> float:
    return missing if number is None else float(number) * _UNITS[(unit or "").lower()]
