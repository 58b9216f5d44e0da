"""The one place that decodes."""

from __future__ import annotations

from pathlib import Path

from striate.core.errors import DataError
from striate.core.spec import InputSpec
from striate.data.picture import Picture


class Unreadable(DataError):
    """A picture that cannot be read; `reason` is one phrase, `name` the file."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} cannot be read: {reason}.")
        self.name = name
        self.reason = reason


def decode(source: Path | bytes, spec: InputSpec | None = None) -> Picture:
    """Decode a picture."""
    raise NotImplementedError
