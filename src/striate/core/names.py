"""Names of files and classes from outside: the forms for comparison and for display."""

from __future__ import annotations

import re
import unicodedata

# Writing direction: marks, embeddings, overrides and isolates. A name must not change it for the text around it.
_DIRECTIONS = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_CONTROLS = "\x00-\x1f\x7f-\x9f\u2028\u2029"
_SURROGATES = "\ud800-\udfff"

_UNENCODABLE = re.compile(f"[{_SURROGATES}]")
_UNSEEN = re.compile(f"[{_CONTROLS}{_DIRECTIONS}{_SURROGATES}]")
_UNSEEN_IN_TEXT = re.compile(f"(?!\n)[{_CONTROLS}{_DIRECTIONS}{_SURROGATES}]")


def legible(name: str) -> str:
    r"""Return `name` as text that can be encoded: bytes that are not UTF-8 (surrogates in Python) are escaped.

    Different names stay different.

    >>> legible("caf\udce9")
    'caf\\xe9'
    """
    return name if name.isascii() else _UNENCODABLE.sub(_spelled, name)


def canonical(name: str) -> str:
    """Return the form of a name for comparisons: legible, in composed Unicode (NFC).

    Disks and archives from a Mac store é as e and an accent; both forms are one name.
    """
    return name if name.isascii() else unicodedata.normalize("NFC", legible(name))


def visible(name: str) -> str:
    r"""Return `name` for display, with control, direction and invisible characters escaped.

    >>> visible("red\x1b[31m")
    'red\\u001b[31m'
    """
    return _UNSEEN.sub(_spelled, name)


def visible_lines(text: str) -> str:
    """Return text of several lines for display, as `visible` does, with its line breaks."""
    return _UNSEEN_IN_TEXT.sub(_spelled, text)


def json_escaped(document: str) -> str:
    r"""Return a JSON document with the same characters as JSON escapes, so that its values do not change.

    >>> json_escaped('["\x9b"]')
    '["\\u009b"]'
    """
    return _UNSEEN_IN_TEXT.sub(lambda match: f"\\u{ord(match[0]):04x}", document)


def _spelled(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a name that is not UTF-8 (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}"
