"""A plan changes settings of the process only while it is in effect."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import torch
from torch import nn

from striate.core.device import ExecutionPlan, float32_convolutions, out_of_memory


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


def test_a_gpu_without_a_number_is_the_one_that_is_selected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    assert [ExecutionPlan(device=name).number for name in ("cuda", "cuda:0", "cuda:2", "cpu")] == [1, 0, 2, 0]


def test_a_layer_that_draws_on_the_cpu_repeats_a_step_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []
    monkeypatch.setattr(torch.cuda, "device", lambda number: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "manual_seed", seeds.append)
    drawn = []
    for _ in range(2):
        ExecutionPlan(device="cuda:0").seed(7)
        drawn.append(torch.rand(()).item())
    assert drawn[0] == drawn[1]
    assert seeds == [7, 7]


@pytest.mark.parametrize(
    ("said", "short"),
    [
        ("[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: not enough memory: you tried to allocate", True),
        ("CUDA error: out of memory", True),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", True),
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", True),
        ("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED", False),
        ("mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)", False),
    ],
)
def test_short_memory_is_known_by_the_words_of_the_library_that_asked_for_it(said: str, short: bool) -> None:
    assert out_of_memory(RuntimeError(said)) is short


@pytest.mark.parametrize("newer", [False, True])
def test_convolutions_are_computed_in_float32_until_the_last_context_is_left(newer: bool) -> None:
    cudnn: Any = torch.backends.cudnn
    before = cudnn.allow_tf32
    assert before  # torch's default
    if newer:
        cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision = "tf32", "ieee"
    try:
        with float32_convolutions("cuda"):
            with float32_convolutions("cuda"):
                assert cudnn.conv.fp32_precision != "tf32"
            assert cudnn.conv.fp32_precision != "tf32"
            if not newer:
                with cudnn.flags(enabled=False):  # reads all settings, and restores them
                    assert not cudnn.enabled
                assert not cudnn.allow_tf32
        assert cudnn.conv.fp32_precision == "tf32"
        with float32_convolutions("cpu"):
            assert cudnn.conv.fp32_precision == "tf32"
    finally:
        cudnn.allow_tf32 = before
