"""HTML that is balanced and escaped by construction: text becomes markup in one place only."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Any, TypeAlias

from striate.core.names import visible

_VOID = {"br", "img", "meta", "source"}


class Html(str):
    """Markup. Every other string is text, and is escaped before it becomes part of a page."""

    __slots__ = ()


# The members of an iterable are children too; the checker that runs in tests cannot follow a type into itself.
Child: TypeAlias = str | Iterable[Any] | None
Value: TypeAlias = str | int | float | None


def escape(text: str) -> Html:
    """`text` as it may stand between tags and inside quoted attributes.

    What would be invisible or cannot be written as UTF-8 is spelled out: control characters, characters that change
    the writing direction, and the surrogates that stand for the bytes of a file name that is no UTF-8.
    """
    return Html(html.escape(visible(text)))


def join(children: Iterable[Child]) -> Html:
    """Children one after another; text is escaped, None is nothing, lists are laid out."""
    parts: list[str] = []
    for child in children:
        if isinstance(child, Html):
            parts.append(child)
        elif isinstance(child, str):
            parts.append(escape(child))
        elif child is not None:
            parts.append(join(child))
    return Html("".join(parts))


def h(tag: str, *children: Child, **attributes: Value) -> Html:
    """One element. `class_` is written `class`, other underscores become hyphens; None and False leave one out."""
    written = "".join(
        f" {_attribute(name)}" if value is True else f' {_attribute(name)}="{escape(_plain(value))}"'
        for name, value in attributes.items()
        if value is not None and value is not False
    )
    return Html(f"<{tag}{written}>" if tag in _VOID else f"<{tag}{written}>{join(children)}</{tag}>")


def name(text: str, **attributes: Value) -> Html:
    """A name that somebody else chose, isolated so that its writing direction stays its own."""
    return h("bdi", text, **attributes)


def _attribute(name: str) -> str:
    return name.rstrip("_").replace("_", "-")


def _plain(value: str | int | float) -> str:
    """Numbers in attributes are coordinates: two decimals are a fiftieth of a pixel."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
