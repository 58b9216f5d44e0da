"""What `make zoo` found, and wrote into `results/`: it checks everything of every model, which takes hours in all."""

from __future__ import annotations

import ast
import functools
import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from promises.behaviour import digest_of
from striate.models import MODELS

_REPOSITORY = Path(__file__).resolve().parents[2]
_RESULT = _REPOSITORY / "results" / "zoo.json"
_SOURCES = (
    *("src/striate/models/*.py", "src/striate/models/families/*.py", "src/striate/models/cards/*.json"),
    *("src/striate/layers/*.py", "src/striate/core/protocols.py", "tests/promises/behaviour.py"),
)


@functools.cache
def study() -> dict[str, Any]:
    """The study as it was written."""
    return json.loads(_RESULT.read_text(encoding="utf-8"))


def models() -> dict[str, dict[str, str]]:
    """What was found of each model: cells by the names of their columns."""
    table = study()["tables"]["Models"]
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
    return {row["model"]: row for row in rows}


def sources(repository: Path = _REPOSITORY) -> str:
    """Return the digest of torch's version, and of the files that say what networks compute and how it is digested.

    Of Python it is the code alone: a comment, a docstring or a line break computes nothing.
    """
    digest = hashlib.sha256(torch.__version__.encode())
    for pattern in _SOURCES:
        for path in sorted(repository.glob(pattern)):
            content = _code(path.read_bytes()) if path.suffix == ".py" else path.read_bytes()
            digest.update(path.relative_to(repository).as_posix().encode() + b"\0" + content + b"\0")
    return digest.hexdigest()[:16]


def _code(source: bytes) -> bytes:
    """Return the code without comments and docstrings, in one layout."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            del node.body[0]
    return ast.unparse(tree).encode()


def note_of_sources() -> str:
    """The line of the study that says of which sources it is."""
    return f"Digest of the sources, with torch {torch.__version__}: {sources()}."


@functools.cache
def of_these_sources() -> bool:
    """Whether the digests of the study were taken with the sources as they are: to take them again would give the same.

    Any other code in these files makes all digests be taken, a minute's work, until `make zoo` has written the study
    again (which asks only the models that compute something else).
    """
    return note_of_sources() in study()["notes"]


def kept_every_promise(name: str) -> None:
    """`make zoo` found that the model keeps all promises.

    Raises:
        AssertionError: it does not, or was not asked since what it computes or its card changed.
    """
    found, card = models()[name], MODELS[name].card
    assert of_these_sources() or found["code"] == digest_of(name), f"{name} computes something else since: make zoo"
    counted = {"parameters": card.parameters, "multiply-accumulates": card.macs, "depth": card.depth}
    assert {key: int(found[key].replace(",", "")) for key in counted} == counted, f"the card of {name} is another since"
    kept, promises = found["promises kept"].split(" of ")
    assert kept == promises
