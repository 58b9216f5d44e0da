"""Ask one model of the zoo everything: its promises, its beginning, and each of its judges.

Loading this module loads the judges' libraries, once for all the processes that are forked from it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from _peak import peak_bytes
from judges.collected import all_judges
from judges.parity import Judge, compare
from promises import at_work, beginning, declared, published
from promises.subject import Promise, Subject, smallest_of_each_family
from striate.models import meta_model
from striate.tracing import describe

PROMISES: tuple[Promise, ...] = (
    *declared.PROMISES,
    published.its_published_figures_are_its_own,
    *at_work.PROMISES,
    beginning.it_starts_with_sensible_sizes,
)
# Multiply-accumulates of one image up to which gradients are compared too: they need much memory, in float64.
MOST_FOR_GRADIENTS = 8e9


def ask(name: str) -> dict[str, Any]:
    """Which promises are kept, and what went wrong with the others; the beginning; how far each judge is apart."""
    began = time.perf_counter()
    subject, problems = Subject(name), []
    kept = sum([_holds(promise.__name__, lambda promise=promise: promise(subject), problems) for promise in PROMISES])
    found: dict[str, Any] = {"promises": len(PROMISES), "kept": kept, "judges": {}, "steps": None}
    if name in smallest_of_each_family():
        _holds("memorises", lambda: found.update(steps=_memorise(subject)), problems)
    for judge in all_judges():
        if judge.name == name:
            _holds(judge.library, lambda judge=judge: found["judges"].update(_judged(judge)), problems)
    return found | {"problems": problems, "seconds": time.perf_counter() - began, "peak_bytes": peak_bytes()}


def _holds(what: str, question: Callable[[], object], problems: list[str]) -> bool:
    try:
        question()
    except Exception as error:  # whatever goes wrong is an answer, and the other questions are asked all the same
        said = (str(error) or repr(error)).strip().splitlines()[0]
        problems.append(f"{what}: {type(error).__name__}: {said}")
        return False
    return True


def _memorise(subject: Subject) -> int:
    steps = beginning.steps_to_memorise(subject)
    assert steps is not None, f"not within {beginning.STEPS} updates"
    return steps


def _judged(judge: Judge) -> dict[str, dict[str, float | None]]:
    """How far the two are apart, by the judge's library."""
    channels, height, width = judge.input
    sketch = meta_model(judge.name, classes=2, channels=channels, size=(height, width))
    small = describe(sketch, judge.input).totals.macs <= MOST_FOR_GRADIENTS
    found = compare(judge, gradients=small)
    for part in (found.logits, found.training, found.gradients):
        assert part is None or part <= judge.tolerance, str(found)
    return {judge.library: {"logits": found.logits, "training": found.training, "gradients": found.gradients}}
