"""A short repr for results that hold arrays."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from torch import Tensor

_LONGEST = 60  # characters of a value


class ShortRepr:
    """Base for dataclasses (`repr=False`): show arrays by dtype and shape, and cut long values."""

    def __repr__(self) -> str:
        known: Any = self
        told = ", ".join(f"{field.name}={_short(getattr(self, field.name))}" for field in fields(known))
        return f"{type(self).__name__}({told})"


def _short(value: object) -> str:
    if isinstance(value, (np.ndarray, Tensor)):
        return f"<{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}>"
    if isinstance(value, (tuple, list)) and len(value) > 4:
        return f"<{len(value)} of {type(value[0]).__name__}>"
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
