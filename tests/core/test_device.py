"""A plan changes settings of the process, which belong to somebody else afterwards."""

from __future__ import annotations

from collections.abc import Generator

import pytest
import torch
from torch import nn

from striate.core.device import ExecutionPlan, settings_kept


def settings() -> tuple[int, bool]:
    return torch.get_num_threads(), torch.backends.cudnn.deterministic


def working() -> Generator[None, None, None]:
    with settings_kept():
        ExecutionPlan(threads=3).adopt(nn.Linear(1, 1))
        torch.backends.cudnn.deterministic = not torch.backends.cudnn.deterministic  # as a plan on a GPU does
        yield


def test_threads_and_cudnn_are_as_they_were_after_the_work() -> None:
    before = settings()
    for _ in working():
        assert settings() == (3, not before[1])
    assert settings() == before


def test_they_are_as_they_were_after_an_error_and_when_nobody_reads_on() -> None:
    before = settings()
    with pytest.raises(KeyError):
        working().throw(KeyError())
    for _ in working():
        break
    assert settings() == before
