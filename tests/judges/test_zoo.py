"""The zoo against other libraries: one member of each family here, all of them by `make zoo`."""

from __future__ import annotations

import pytest

from judges.collected import all_judges, one_of_each_family
from judges.parity import Judge, compare
from striate.models import MODELS


def test_every_judge_judges_a_model_of_the_zoo_once() -> None:
    pairs = [(judge.name, judge.library) for judge in all_judges()]
    assert {name for name, _ in pairs} <= set(MODELS)
    assert sorted(set(pairs)) == sorted(pairs)


@pytest.mark.parametrize("judge", one_of_each_family(), ids=lambda judge: f"{judge.name}-{judge.library}")
def test_the_same_weights_give_the_same_logits_and_gradients(judge: Judge) -> None:
    found = compare(judge, gradients=True)
    assert found.logits <= judge.tolerance, found
    assert found.gradients is not None, found
    assert found.gradients <= judge.tolerance, found
    assert found.training is None or found.training <= judge.tolerance, found
