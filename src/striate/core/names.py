"""Names that somebody else chose, of files and classes: the form in which they are compared, and shown."""

from __future__ import annotations

import re
import unicodedata

# The direction of writing: marks, embeddings, overrides and isolates. A name has no business changing it for others.
_DIRECTIONS = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_CONTROLS = "\x00-\x1f\x7f-\x9f\u2028\u2029"
_SURROGATES = "\ud800-\udfff"

_UNENCODABLE = re.compile(f"[{_SURROGATES}]")
_UNSEEN = re.compile(f"[{_CONTROLS}{_DIRECTIONS}{_SURROGATES}]")
_UNSEEN_IN_TEXT = re.compile(f"(?!\n)[{_CONTROLS}{_DIRECTIONS}{_SURROGATES}]")


def legible(name: str) -> str:
    r"""`name` as text that can be encoded: bytes that are not UTF-8 (Python holds them as surrogates) are spelled out.

    Different names stay different.

    >>> legible("caf\udce9")
    'caf\\xe9'
    """
    return _UNENCODABLE.sub(_spelled, name)


def canonical(name: str) -> str:
    """The one form in which names are compared: legible, in composed Unicode (NFC).

    Disks and archives from a Mac spell é as e and an accent; both spellings are one name.
    """
    return unicodedata.normalize("NFC", legible(name))


def visible(name: str) -> str:
    r"""`name` as it may be shown: what would act on a terminal, turn the direction of writing, or be invisible is
    spelled out.

    >>> visible("red\x1b[31m")
    'red\\u001b[31m'
    """
    return _UNSEEN.sub(_spelled, name)


def visible_lines(text: str) -> str:
    """Like `visible`, for text of several lines: line breaks stay."""
    return _UNSEEN_IN_TEXT.sub(_spelled, text)


def json_escaped(document: str) -> str:
    r"""A JSON document in which the same characters are escaped as JSON escapes them: it says what it said.

    >>> json_escaped('["\x9b"]')
    '["\\u009b"]'
    """
    return _UNSEEN_IN_TEXT.sub(lambda match: f"\\u{ord(match[0]):04x}", document)


def _spelled(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a name that is not UTF-8 (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}"
