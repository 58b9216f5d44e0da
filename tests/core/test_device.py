"""A plan changes settings of the process only while it is in effect."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from striate.core.device import ExecutionPlan


def found() -> tuple[int, bool, bytes]:
    state = torch.get_rng_state().numpy().tobytes()
    return torch.get_num_threads(), torch.backends.cudnn.deterministic, state


def test_threads_cudnn_and_random_state_are_as_before_when_a_plan_is_no_longer_in_effect() -> None:
    before = found()
    with ExecutionPlan(threads=before[0] + 1).in_effect():
        assert torch.get_num_threads() == before[0] + 1
        torch.backends.cudnn.deterministic = not before[1]  # as a plan on a GPU does
        torch.rand(3)
        assert all(now != then for now, then in zip(found(), before, strict=True))
    assert found() == before


def test_they_are_as_before_after_an_error() -> None:
    def fail() -> None:
        with ExecutionPlan(threads=before[0] + 1).in_effect():
            raise KeyError(float(torch.rand(1)))

    before = found()
    with pytest.raises(KeyError):
        fail()
    assert found() == before


def test_moving_a_model_changes_nothing_of_the_process() -> None:
    model, before = nn.Conv2d(1, 1, 1), found()
    ExecutionPlan(threads=before[0] + 1, layout="channels_last").adopt(model)
    assert found() == before
