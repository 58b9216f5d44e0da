"""Arguments of public functions are checked by their annotations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest

import striate
from striate.core.arguments import checked
from striate.core.errors import ConfigError

if TYPE_CHECKING:
    from striate.core.progress import Progress
    from striate.runs.folder import Run


@checked
def called(
    run: str | Path | Run = "",
    *words: str,
    count: int = 0,
    share: float | None = None,
    split: Literal["train", "test"] | None = None,
    dark: bool = False,
    size: str | int | tuple[int, int] = 1,
    changes: str | Sequence[str] | Mapping[str, object] = (),
    on_result: Callable[[Any], None] | None = None,
    progress: Progress | None = None,
) -> str:
    """Return "ran"."""
    return "ran"


@pytest.mark.parametrize(
    "arguments",
    [
        {"run": Path("x")}, {"run": object()}, {"count": np.int64(3)}, {"share": 1}, {"share": np.float32(0.5)},
        {"split": "test"}, {"dark": np.bool_(True)}, {"dark": 1}, {"size": (3, np.int64(4))}, {"size": [3, 4]},
        {"changes": ["a=1"]}, {"changes": {"a": 1}}, {"on_result": print}, {"progress": lambda *_: None},
    ],
)  # fmt: skip
def test_what_is_annotated_is_taken(arguments: dict[str, Any]) -> None:
    assert called(**arguments) == "ran"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"count": "3"}, r"count is a whole number; received '3'."),
        ({"count": True}, "a whole number; received True"),
        ({"count": 2.0}, "a whole number; received 2.0"),
        ({"share": "0.5"}, "share is a number or None"),
        ({"share": np.array([0.5])}, "share is a number or None"),
        ({"split": "nope"}, "split is 'train' or 'test' or None; received 'nope'"),
        ({"split": "tset"}, r"received 'tset'\. Did you mean 'test'\?"),
        ({"split": ["train"]}, "split is"),
        ({"dark": "no"}, "dark is True or False; received 'no'"),
        ({"size": (3, "4")}, "a tuple of a whole number and a whole number"),
        ({"size": (3, 4, 5)}, "size is"),
        ({"changes": 3}, "changes is a text, a list or a dictionary"),
        ({"changes": b"a=1"}, "changes is"),
        ({"on_result": "print"}, "on_result is a function or None"),
        ({"progress": 3}, "progress is a function or None"),
    ],
)
def test_another_type_is_refused_in_a_sentence(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        called(**arguments)


def test_each_of_several_words_is_checked() -> None:
    with pytest.raises(ConfigError, match="words is a text; received 3"):
        called("run", "one", 3)  # pyright: ignore[reportArgumentType]


def test_a_call_that_does_not_fit_raises_the_error_of_python() -> None:
    with pytest.raises(TypeError, match="called"):
        called(nope=3)  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        (striate.predict, {"coverage": "0.9"}), (striate.predict, {"device": None}), (striate.explain, {"method": 3}),
        (striate.explain, {"out": 3}), (striate.fool, {"epsilon": "4"}), (striate.fool, {"norm": ["linf"]}),
        (striate.evaluate, {"split": "nope"}), (striate.retrieve, {"count": 2.5}), (striate.load, {"weights": 3}),
        (striate.inspect, {"units": "x"}), (striate.train, {"name": 3}), (striate.resume, {"inexact": "no"}),
        (striate.train.events, {"seed": "x"}), (striate.summary, {"unshared": "x"}), (striate.create, {"classes": "5"}),
        (striate.list_models, {"like": 3}), (striate.concepts, {"target": 2.5}), (striate.clusters, {"images": "x"}),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)  # fmt: skip
def test_every_verb_checks_its_arguments(verb: Callable[..., Any], arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"^{next(iter(arguments))} is "):
        verb("runs/none", **arguments)
