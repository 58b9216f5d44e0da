"""What `make zoo` found, and wrote into `results/`: it asks everything of every model, which takes hours in all."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from promises.behaviour import digest_of

_RESULT = Path(__file__).resolve().parents[2] / "results" / "zoo.json"


@functools.cache
def study() -> dict[str, Any]:
    """The study as it was written."""
    return json.loads(_RESULT.read_text(encoding="utf-8"))


def models() -> dict[str, dict[str, str]]:
    """What was found of each model: cells by the names of their columns."""
    table = study()["tables"]["Models"]
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
    return {row["model"]: row for row in rows}


def kept_every_promise(name: str) -> None:
    """`make zoo` found that the model keeps all promises.

    Raises:
        AssertionError: it does not, or was not asked since what it computes changed.
    """
    assert models()[name]["code"] == digest_of(name), f"{name} computes something else since: make zoo"
    kept, promises = models()[name]["promises kept"].split(" of ")
    assert kept == promises
