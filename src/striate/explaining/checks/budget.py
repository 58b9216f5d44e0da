"""Split work into pieces, as many as a given time allows."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from striate.core.duration import Clock, Duration
from striate.core.errors import ConfigError

Piece = TypeVar("Piece")


class Budget:
    """A time limit that starts now, such as "30s" or "2min"; a bare number is in seconds.

    Raises:
        ConfigError: the text is not a length of time.
    """

    def __init__(self, length: str | int | float, now: Callable[[], float] = time.monotonic) -> None:
        self._length = Duration.parse(f"{length}s" if re.fullmatch(r"[0-9]+(\.[0-9]+)?", str(length)) else str(length))
        if self._length.steps(1) is not None:
            raise ConfigError(f"The budget of a check is a time, as in '30s' or '2min'; received {length!r}.")
        self._now, self._start = now, now()

    def __str__(self) -> str:
        return str(self._length)

    def spend(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """Yield the pieces that fit into the time left, if each takes as long as the longest of them so far.

        The first is yielded if any time is left, because its duration is not known. The budget is exceeded by less than
        one piece.
        """
        longest = 0.0
        for piece in pieces:
            start = self._now()
            if not self._fits(longest):
                return
            yield piece
            longest = max(longest, self._now() - start)

    def _fits(self, seconds: float) -> bool:
        return not self._length.reached(Clock(1, seconds=self._now() - self._start + seconds))
