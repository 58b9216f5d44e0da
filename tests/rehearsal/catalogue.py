"""A catalogue of one set of weights, in place of the real one."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from striate.core.config import to_json
from striate.core.spec import InputSpec
from striate.models.weights import entries

SPEC = InputSpec(
    channels=("red", "green", "blue"), height=32, width=32, mean=(0.4, 0.5, 0.6), std=(0.2, 0.2, 0.2), decode_scale=0.0
)
CLASSES = ("cat", "dog", "owl")

WriteCatalogue = Callable[..., None]


@contextlib.contextmanager
def rehearsed_catalogue(folder: Path) -> Iterator[WriteCatalogue]:
    """Yield a function that writes the entry `tiny_vgg.test` with changes; in `folder` is also the cache."""

    def write(**changes: Any) -> None:
        entry = {
            "name": "tiny_vgg.test", "model": "tiny_vgg", "dialect": "striate", "input": to_json(SPEC),
            "classes": "three", "licence": "MIT", "file": "a.safetensors", "top1": 91.5, "default": True, **changes,
        }  # fmt: skip
        (folder / "catalogue" / "test.json").write_text(json.dumps([entry]))
        forget()

    def forget() -> None:
        for cached in (entries._raw, entries._defaults, entries.labels_of):
            cached.cache_clear()

    (folder / "catalogue" / "classes").mkdir(parents=True)
    (folder / "catalogue" / "classes" / "three.json").write_text(json.dumps(CLASSES))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(entries, "_FOLDER", folder / "catalogue")
        patch.setenv("STRIATE_CACHE", str(folder / "cache"))
        forget()
        yield write
    forget()
