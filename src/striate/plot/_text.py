"""Text in figures: how wide it is, and how it is broken or cut to fit.

Names in it come from outside. What would act is spelled out, and what is written from right to left stays where it is
in the line, as it does in HTML between tags `bdi`.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from striate.core.names import visible

_LABEL = 24  # characters, at most, of a name in a legend or beside a value
_MEAN = 0.6  # width of a letter of another font, as a fraction of the size
_MEASURED = 1000  # points
_PIECE = re.compile(r"\s*(?:[^\s-]+-*|-+)")  # a word, or a part of one up to its hyphens, with the space before it
_FROM_LEFT = "\u200e"  # has no width, and the direction of a Latin letter
_FROM_RIGHT = "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]"  # Hebrew, Arabic and their neighbours
_RUN = re.compile(f"{_FROM_RIGHT}+(?:\\s+{_FROM_RIGHT}+)*")


def is_wide(character: str) -> bool:
    """Return whether a character, as those of Chinese, Japanese and Korean, is about as wide as two letters."""
    return unicodedata.east_asian_width(character) in "WF"


def inches(text: str, size: float) -> float:
    """Return the width of `text` in letters of `size` points."""
    return sum(map(_advance, text)) * size / 72


def broken(text: str, width: float, size: float) -> list[str]:
    """Break `text` into lines of at most `width` inches: between words, after hyphens, and in words that are wider."""
    lines = [""]
    for piece in _PIECE.findall(visible(text)):
        if lines[-1] and inches(lines[-1] + piece, size) <= width:
            lines[-1] += piece
            continue
        lines += [""] if lines[-1] else []
        for character in piece.lstrip():
            if lines[-1] and inches(lines[-1] + character, size) > width:
                lines.append("")
            lines[-1] += character
    return [_from_left(line) for line in lines if line]


def label(name: str) -> str:
    """Return a name for a legend, or to stand beside a value."""
    return _from_left(cut(visible(name), _LABEL))


def cut(text: str, most: int) -> str:
    """Shorten `text` to `most` characters: its start and its end around an ellipsis."""
    return text if len(text) <= most else f"{text[: most - most // 3 - 1]}…{text[-(most // 3) :]}"


def _from_left(line: str) -> str:
    """Return `line` so that its parts follow each other from left to right, whichever way they are written."""
    return _RUN.sub(rf"{_FROM_LEFT}\g<0>{_FROM_LEFT}", line)


@cache
def _advance(character: str) -> float:
    """Return the width of a character as a fraction of the size of its font."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    font = get_font(findfont(FontProperties(family=["sans-serif"])))
    if not font.get_char_index(ord(character)):
        return 1.0 if is_wide(character) else 0.0 if unicodedata.combining(character) else _MEAN
    font.set_size(_MEASURED, 72)
    return font.load_char(ord(character)).linearHoriAdvance / 65536 / _MEASURED
