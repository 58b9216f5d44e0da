"""The text of a written network cut into words and signs, and a cursor with which a word is read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from striate.models.notation.mistake import NotationError, Span

_LARGEST = 99_999

# A hyphen that a letter follows parts two layers, as in conv3-32-relu; not that of soft-max, FC-K and conv1-K.
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
    """The words and signs of `text`; what only parts them is left out."""
    for match in _TOKEN.finditer(text):
        if match.lastgroup != "parting":
            yield Token("*" if match.lastgroup == "times" else match[0], Span(*match.span()))


class Cursor:
    """Reads one word from left to right; upper and lower case are the same to it."""

    def __init__(self, text: str, word: Span) -> None:
        self.text = text
        self.word = word
        self._position = word.start

    @property
    def rest(self) -> Span:
        """What is not read yet; empty behind the word."""
        return Span(self._position, self.word.end)

    def take(self, pattern: str) -> str | None:
        """Read what fits `pattern`, in lower case; None if nothing does."""
        fits = re.compile(pattern, re.IGNORECASE | re.ASCII).match(self.text, self._position, self.word.end)
        if fits is None:
            return None
        self._position = fits.end()
        return fits[0].lower()

    def need(self, pattern: str, expected: str) -> str:
        """As `take`, but it must be there: `expected` says what."""
        found = self.take(pattern)
        if found is None:
            self.refuse(f"Here belongs {expected}.")
        return found

    def number(self, what: str, *, least: int = 1) -> int:
        """Read a whole number; `what` names it, with an example."""
        at = self.rest
        number = int(self.need(r"[0-9]{1,12}", what))
        if not least <= number <= _LARGEST:
            raise NotationError(f"Here belongs {what}, from {least} to {_LARGEST:,}.", self.text, at)
        return number

    def finish(self, may_follow: str) -> None:
        """Nothing is left of the word: what may follow, if anything, is said."""
        if self._position < self.word.end:
            self.refuse(f"Here may stand the end of the word{', or ' if may_follow else ''}{may_follow}.")

    def refuse(self, sentence: str) -> NoReturn:
        """Raise the mistake at what is not read yet."""
        raise NotationError(sentence, self.text, self.rest)
