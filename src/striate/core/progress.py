"""How long work says how far it is."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Report(Protocol):
    """Is told that `done` of `total` pieces are done: of the work itself, or of that part of it which `stage` names."""

    def __call__(self, done: int, total: int, stage: str | None = None, /) -> None: ...
