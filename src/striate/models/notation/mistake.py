"""A mistake in a written network, with a caret under it."""

from __future__ import annotations

from dataclasses import dataclass

from striate.core.errors import ModelError
from striate.tracing import EmptyMapError

_AROUND = 36  # characters shown on either side of the mistake


@dataclass(frozen=True)
class Span:
    """Where something stands in the text: from `start` up to `end`, which is not part of it."""

    start: int
    end: int


class NotationError(ModelError):
    """A network that cannot be read, or a layer of it that does not fit.

    Its message is a sentence, then the text around `at` and, in the next line, carets under the mistake.
    """

    def __init__(self, sentence: str, text: str, at: Span) -> None:
        super().__init__(f"{sentence}\n{_pointed(text, at)}")


class LostMapError(NotationError, EmptyMapError):
    """A layer's window is larger than the map it is given: the pictures are too small."""


def _pointed(text: str, at: Span) -> str:
    """The text around `at` in one line, as long as it was, and carets below; one stands even where nothing is."""
    line = "".join(sign if sign.isprintable() else " " for sign in text)
    first, last = max(0, at.start - _AROUND), min(len(line), at.end + _AROUND)
    before, behind = ("… " if first else "", " …" if last < len(line) else "")
    carets = "^" * max(1, at.end - at.start)
    return f"  {before}{line[first:last]}{behind}\n  {' ' * (len(before) + at.start - first)}{carets}"
