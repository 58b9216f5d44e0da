"""The execution plan is chosen by a short measured trial, on a copy, and remembered for this machine and network."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from striate.core.config import from_json, to_json
from striate.core.device import ExecutionPlan, Layout, Precision, machine, plain_plan
from striate.core.errors import StriateError
from striate.core.files import cache_folder, write_json

WINS_BY = 1.10
"""A plan takes another's place if it is this many times as fast: less is noise, and the choice should repeat itself."""

TOLERANCES: dict[Precision, float] = {"float32": 1e-3, "bf16": 0.1}
"""How far a plan's gradient may be from that of the plain plan, as a share of its length. bf16 keeps 8 bits, so that
one rounding is off by up to 0.4 %, and layers add theirs up."""

_WARMUP, _LEAST_ROUNDS, _MOST_ROUNDS, _SECONDS = 2, 3, 12, 0.5

Sample = tuple[Float[Tensor, "n c h w"], Int[Tensor, " n"]]


def choose_plan(
    model: nn.Module,
    shape: tuple[int, int, int, int],
    *,
    precision: Literal["auto", "float32"] = "auto",
    device: str | None = None,
) -> ExecutionPlan:
    """How to train `model` on batches of `shape` (pictures, channels, height, width) on this machine.

    Memory layouts and bf16 autocast are tried by a few training steps on a deep copy with made-up pictures: no weights,
    buffers, random draws or batches of the run are consumed. A plan is admitted if its gradient is that of the plain
    float32 plan within `TOLERANCES`, and wins if it is `WINS_BY` times as fast as the best before it in the fixed order
    of `candidates`. `precision="float32"` admits no other. The answer is cached for this machine, network and shape.
    """
    plans = candidates(model, plain_plan(device), precision)
    if len(plans) == 1:
        return plans[0]
    file = cache_folder() / "plans" / f"{_fingerprint(model, shape, plans)}.json"
    cached = _cached(file, plans)
    if cached is not None:
        return cached
    with _untouched_randomness(plans[0]):
        chosen = fastest(seconds_per_step(model, shape, _admitted(model, shape, plans)))
    with contextlib.suppress(
        StriateError, OSError
    ):  # a cache that cannot be written costs the next trial, not this run
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, to_json(chosen))
    return chosen


def candidates(model: nn.Module, plain: ExecutionPlan, precision: Literal["auto", "float32"]) -> list[ExecutionPlan]:
    """The plans to try, in the fixed order: float32 before bf16, channels first before channels last.

    A network without convolutions has no layout to choose. torch's bf16 on Apple's GPUs is left out: their autocast
    does not cover the operations that a convolutional network needs.
    """
    spatial = any(parameter.ndim == 4 for parameter in model.parameters())
    layouts: tuple[Layout, ...] = ("contiguous", "channels_last") if spatial else ("contiguous",)
    reduced = precision == "auto" and plain.device != "mps"
    precisions: tuple[Precision, ...] = ("float32", "bf16") if reduced else ("float32",)
    return [replace(plain, layout=layout, precision=kind) for kind in precisions for layout in layouts]


def gradient(model: nn.Module, sample: Sample, plan: ExecutionPlan) -> Float[Tensor, " p"]:
    """The gradient of the cross-entropy of `sample` under `plan`, all parameters in one row.

    In evaluation mode: dropout fills its masks in the order of memory, so that under another layout other units drop.
    """
    model = plan.adopt(copy.deepcopy(model)).eval()
    _forward_backward(model, sample, plan)
    rows = [p.grad.float().reshape(-1).cpu() for p in model.parameters() if p.grad is not None]
    return torch.cat(rows)


def seconds_per_step(
    model: nn.Module, shape: tuple[int, int, int, int], plans: Iterable[ExecutionPlan]
) -> dict[ExecutionPlan, float]:
    """The time of a training step under each plan: the median over rounds in which the plans take turns."""
    times: dict[ExecutionPlan, list[float]] = {}
    models: dict[ExecutionPlan, nn.Module] = {}
    sample = _made_up(model, shape)
    for plan in plans:
        models[plan], times[plan] = plan.adopt(copy.deepcopy(model)).train(), []
        for _ in range(_WARMUP):
            _step_seconds(models[plan], sample, plan)
    started = time.perf_counter()
    for turn in range(_MOST_ROUNDS):
        if turn >= _LEAST_ROUNDS and time.perf_counter() - started > _SECONDS * len(models):
            break
        for plan, copied in models.items():
            times[plan].append(_step_seconds(copied, sample, plan))
    return {plan: sorted(measured)[len(measured) // 2] for plan, measured in times.items()}


def fastest(seconds: dict[ExecutionPlan, float]) -> ExecutionPlan:
    """The first plan, or a later one that is `WINS_BY` times as fast as the best so far."""
    first, *others = seconds
    best = first
    for plan in others:
        if seconds[plan] * WINS_BY <= seconds[best]:
            best = plan
    return best


def _admitted(
    model: nn.Module, shape: tuple[int, int, int, int], plans: list[ExecutionPlan]
) -> Iterator[ExecutionPlan]:
    """The first plan, and those of the others that run here and compute the same within their tolerance."""
    sample = _made_up(model, shape)
    truth = gradient(model, sample, plans[0])
    for plan in plans:
        try:
            error = torch.linalg.vector_norm(gradient(model, sample, plan) - truth)
        except RuntimeError:  # an operation that this device does not have in this precision
            continue
        if plan == plans[0] or bool(error <= TOLERANCES[plan.precision] * torch.linalg.vector_norm(truth)):
            yield plan


def _made_up(model: nn.Module, shape: tuple[int, int, int, int]) -> Sample:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(shape, generator=generator)
    with torch.no_grad():
        classes = copy.deepcopy(model).eval()(images[:1].to(next(model.parameters()).device)).shape[1]
    return images, torch.randint(classes, shape[:1], generator=generator)


def _forward_backward(model: nn.Module, sample: Sample, plan: ExecutionPlan) -> None:
    images, targets = sample
    with plan.autocast():
        logits = model(plan.place(images))
    F.cross_entropy(logits.float(), targets.to(logits.device)).backward()


def _step_seconds(model: nn.Module, sample: Sample, plan: ExecutionPlan) -> float:
    started = time.perf_counter()
    _forward_backward(model, sample, plan)
    for parameter in model.parameters():
        parameter.grad = None  # the update is the same under every plan, and the copy had better not diverge
    if plan.device != "cpu":
        torch.accelerator.synchronize()
    return time.perf_counter() - started


@contextlib.contextmanager
def _untouched_randomness(plan: ExecutionPlan) -> Iterator[None]:
    """Inside, torch's generators may be used and its threads set; afterwards both are as before."""
    threads = torch.get_num_threads()
    accelerator = plan.device != "cpu"
    with torch.random.fork_rng([0] if accelerator else [], device_type=plan.device if accelerator else "cuda"):
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def _fingerprint(model: nn.Module, shape: tuple[int, int, int, int], plans: list[ExecutionPlan]) -> str:
    facts = [machine(plans[0].device), torch.__version__, str(model), shape, [to_json(plan) for plan in plans]]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _cached(file: Path, plans: list[ExecutionPlan]) -> ExecutionPlan | None:
    with contextlib.suppress(OSError, ValueError, StriateError):
        plan = from_json(ExecutionPlan, json.loads(file.read_text(encoding="utf-8")))
        return plan if plan in plans else None
    return None
