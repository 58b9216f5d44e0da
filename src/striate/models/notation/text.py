"""The text of a written network: its words and signs, a cursor that reads one word, and mistakes with their place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from striate.core.errors import ModelError
from striate.tracing import EmptyMapError

_AROUND = 36  # characters shown on either side of the mistake


@dataclass(frozen=True)
class Span:
    """A range of the text, from `start` to before `end`."""

    start: int
    end: int


class NotationError(ModelError):
    """A network that cannot be read, or a layer of it that does not fit.

    Its message is a sentence, then the text around `at` and, in the next line, carets under the mistake.
    """

    def __init__(self, sentence: str, text: str, at: Span) -> None:
        super().__init__(f"{sentence}\n{_pointed(text, at)}")


class LostMapError(NotationError, EmptyMapError):
    """A layer's window is larger than its input map: the images are too small."""


def _pointed(text: str, at: Span) -> str:
    """Return the text around `at` in one line with carets below it, at least one."""
    line = "".join(sign if sign.isprintable() else " " for sign in text)
    first, last = max(0, at.start - _AROUND), min(len(line), at.end + _AROUND)
    before, behind = ("… " if first else "", " …" if last < len(line) else "")
    carets = "^" * max(1, at.end - at.start)
    return f"  {before}{line[first:last]}{behind}\n  {' ' * (len(before) + at.start - first)}{carets}"


_LARGEST = 99_999

# A hyphen before a letter separates two layers, as in conv3-32-relu; not that of soft-max, FC-K and conv1-K.
_PARTING = r"->|→|-(?=[a-z(\[{\s])(?!k(?![a-z]))|\s+"
_TOKEN = re.compile(
    rf"(?P<parting>{_PARTING})|(?P<bracket>[()\[\]{{}}])|(?P<times>[*×])|(?P<bar>\|)"
    rf"|(?P<word>(?:soft-?max(?![a-z])|(?!{_PARTING})[^()\[\]{{}}*×|])+)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Token:
    """A word, or one of the signs `( ) [ ] { } * |`."""

    text: str
    at: Span


def tokens(text: str) -> Iterator[Token]:
    """Yield the words and signs of `text`, without separators."""
    for match in _TOKEN.finditer(text):
        if match.lastgroup != "parting":
            yield Token("*" if match.lastgroup == "times" else match[0], Span(*match.span()))


class Cursor:
    """Reads one word from left to right, ignoring case."""

    def __init__(self, text: str, word: Span) -> None:
        self.text = text
        self.word = word
        self._position = word.start

    @property
    def rest(self) -> Span:
        """The part of the word that is not read yet."""
        return Span(self._position, self.word.end)

    def take(self, pattern: str) -> str | None:
        """Read a match of `pattern`, in lower case; return None without one."""
        fits = re.compile(pattern, re.IGNORECASE | re.ASCII).match(self.text, self._position, self.word.end)
        if fits is None:
            return None
        self._position = fits.end()
        return fits[0].lower()

    def need(self, pattern: str, expected: str) -> str:
        """Read a match of `pattern`; without one, the error names what is `expected`."""
        found = self.take(pattern)
        if found is None:
            self.refuse(f"Expected {expected}.")
        return found

    def number(self, what: str, *, least: int = 1) -> int:
        """Read a whole number; `what` names it, with an example."""
        at = self.rest
        number = int(self.need(r"[0-9]{1,12}", what))
        if not least <= number <= _LARGEST:
            raise NotationError(f"Expected {what}, from {least} to {_LARGEST:,}.", self.text, at)
        return number

    def finish(self, may_follow: str) -> None:
        """Check that nothing is left of the word; the error names what may follow."""
        if self._position < self.word.end:
            self.refuse(f"Expected the end of the word{', or ' if may_follow else ''}{may_follow}.")

    def refuse(self, sentence: str) -> NoReturn:
        """Raise a mistake at the part that is not read yet."""
        raise NotationError(sentence, self.text, self.rest)
