"""A size of images as people write it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from numbers import Integral

from striate.core.errors import ConfigError


def size_of(size: object) -> tuple[int, int]:
    """Return (height, width) of `64`, `"64"`, `"48x64"` or `(48, 64)`.

    Raises:
        ConfigError: it is not a size.
    """
    if isinstance(size, str):
        match = re.fullmatch(r"([0-9]{1,6})(?:\s*[x×,]\s*([0-9]{1,6}))?", size.strip())
        if match is not None:
            return int(match[1]), int(match[2] or match[1])
    given: Sequence[object] = size if isinstance(size, (tuple, list)) else (size, size)
    sides = [int(side) for side in given if isinstance(side, Integral) and not isinstance(side, bool)]
    if len(sides) != 2 or len(given) != 2:
        raise ConfigError(f"A size is one number, or height x width as in 48x64; received {size!r}.")
    return sides[0], sides[1]
