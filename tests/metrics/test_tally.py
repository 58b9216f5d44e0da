"""Tallies of batches add up to the tally of the whole, whatever the batches."""

from __future__ import annotations

import numpy as np
import pytest

from striate.metrics import Tally, judge


@pytest.mark.parametrize("batch", [1, 7, 64, 100, 1000])
def test_batches_add_up_to_the_whole(batch: int) -> None:
    random = np.random.default_rng(0)
    logits, targets = random.normal(size=(100, 3)) * 2, random.integers(0, 3, 100)
    total = Tally()
    for start in range(0, 100, batch):
        total += Tally.of(logits[start : start + batch], targets[start : start + batch])
    whole = judge(logits, targets, ["a", "b", "c"])
    assert total.accuracy == whole.top1
    assert total.loss == pytest.approx(whole.loss)


def test_nothing_has_no_loss() -> None:
    assert Tally().loss is None
    assert Tally() + Tally.of(np.zeros((0, 2)), np.zeros(0, dtype=np.int64)) == Tally()
