"""Training owns nothing of the process: what it changes is as before when it returns, raises or is abandoned."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

import striate
from striate.core.device import ExecutionPlan
from striate.core.errors import TrainingError
from striate.runs import train
from striate.training import SafePoint

THINGS: dict[str, Callable[[], Any]] = {
    "torch's threads": torch.get_num_threads,
    "torch's random state": lambda: torch.get_rng_state().numpy().tobytes(),
    "NumPy's random state": lambda: str(np.random.get_state()),
    "cuDNN's switches": lambda: (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark),
    "deterministic algorithms": torch.are_deterministic_algorithms_enabled,
    "default type": torch.get_default_dtype,
    "gradient mode": torch.is_grad_enabled,
    "autocast": lambda: torch.is_autocast_enabled("cpu"),
    "environment": lambda: {name: value for name, value in os.environ.items() if not name.startswith("TORCH")},
    "working folder": os.getcwd,
    "signal handlers": lambda: [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
}


NOISE = torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def _loaders(images: Tensor) -> striate.Loaders:
    loader = DataLoader(TensorDataset(images, torch.arange(len(images)) % 2), batch_size=8, shuffle=True)
    return striate.Loaders(loader, loader, classes=("a", "b"), mean=(0.0,), std=(1.0,))


def returns() -> object:
    return striate.train(_loaders(NOISE), model="mlp", epochs=2)


def raises() -> object:
    with pytest.raises(TrainingError):
        striate.train(_loaders(torch.full((16, 1, 8, 8), float("nan"))), model="mlp", epochs=2)
    return None


def is_abandoned() -> object:
    events = striate.train.events(_loaders(NOISE), model="mlp", epochs=2)
    for event in events:
        if isinstance(event, SafePoint):
            break
    return events  # not closed, and referred to: nothing of it has ended


def is_closed_within_a_step() -> object:
    events = striate.train.events(_loaders(NOISE), model="mlp", epochs=2)
    next(events)
    next(events)
    events.close()
    return None


@pytest.mark.parametrize("end", [returns, raises, is_abandoned, is_closed_within_a_step])
def test_a_training_leaves_the_process_as_it_was(
    end: Callable[[], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    plan = ExecutionPlan(threads=torch.get_num_threads() + 1)
    monkeypatch.setattr(train, "choose_plan", lambda *_, **__: plan)
    before = {name: thing() for name, thing in THINGS.items()}
    held = end()
    after = {name: thing() for name, thing in THINGS.items()}
    assert [name for name in THINGS if after[name] != before[name]] == []
    del held
    assert [name for name, thing in THINGS.items() if thing() != before[name]] == []
