"""The execution plan is chosen by a short measured trial, on a copy, and remembered for this machine and network."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from striate.core.backward import backward, divisible
from striate.core.config import from_json, to_json
from striate.core.device import ExecutionPlan, Layout, Precision, computes_in_bf16, machine, plain_plan
from striate.core.errors import StriateError
from striate.core.files import cache_folder, read_regular, write_json
from striate.core.progress import Progress, silent

WINS_BY = 1.10
"""A plan takes another's place if it is this many times as fast: less is noise, and the choice should repeat itself."""

MORE_CORES_WIN_BY = 1.25
"""More cores must gain more: they are taken from the decoding of pictures and from other programs. And torch's threads
wait for each other by spinning, so that another busy program costs them most of their speed (LeNet-5 on two cores, one
of them busy: a tenth is left)."""

TOLERANCES: dict[Precision, float] = {"float32": 1e-3, "bf16": 0.1}
"""How far a plan's gradient may be from that of the plain plan, as a share of its length. bf16 keeps 8 bits, so that
one rounding is off by up to 0.4 %, and layers add theirs up."""

_STAGE = "trying ways to compute a step"
_WARMUP, _HOPELESS = 3, 2.0
_LEAST_ROUNDS, _MOST_ROUNDS, _SECONDS = 3, 12, 0.3


class Sample(NamedTuple):
    """What a trial steps on: pictures, their classes, and the weight of auxiliary classifiers (see `backward`)."""

    images: Float[Tensor, "n c h w"]
    targets: Int[Tensor, " n"]
    auxiliary: float = 0.0


def choose_plan(
    model: nn.Module,
    shape: tuple[int, int, int, int],
    *,
    precision: Literal["auto", "float32"] = "auto",
    device: str | None = None,
    auxiliary: float = 0.0,
    progress: Progress = silent,
) -> ExecutionPlan:
    """How to train `model` on batches of `shape` (pictures, channels, height, width) on this machine.

    Memory layouts, bf16 autocast, and one core or all (by parts of the batch, or by torch's threads) are tried by a few
    training steps on a deep copy with made-up pictures: no weights, buffers, random draws or batches of the run are
    consumed. A plan is admitted if its gradient is that of the plain float32 plan within `TOLERANCES`, and wins if it
    is `WINS_BY` times as fast as the best before it in the fixed order of `candidates` (`MORE_CORES_WIN_BY`, if it
    takes more cores). `precision="float32"` admits no other. Auxiliary classifiers take part, at their weight. The
    answer is cached for this machine, network and shape. `progress` counts the plans tried.
    """
    plans = candidates(model, plain_plan(device), precision)
    if len(plans) == 1:
        return plans[0]
    file = cache_folder() / "plans" / f"{_fingerprint(model, shape, plans, auxiliary)}.json"
    cached = _cached(file, plans)
    if cached is not None:
        return cached
    with _untouched_randomness(plans[0]):
        sample = _made_up(model, shape, auxiliary)
        seconds = seconds_per_step(model, sample, plans, progress)
        chosen = choose(seconds, lambda plan: agrees(model, sample, plan, plans[0]))
    with contextlib.suppress(StriateError, OSError):  # an unwritable cache costs the next trial, not this run
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, to_json(chosen))
    return chosen


def candidates(model: nn.Module, plain: ExecutionPlan, precision: Literal["auto", "float32"]) -> list[ExecutionPlan]:
    """The plans to try, in the fixed order: one core, all by parts, all by threads; float32 before bf16; channels first
    before channels last.

    A network without convolutions has no layout to choose. bf16 is left out where it would be emulated, some twenty
    times slower than float32: to find that out anew would take longer than many a training.
    """
    spatial = any(parameter.ndim == 4 for parameter in model.parameters())
    layouts: tuple[Layout, ...] = ("contiguous", "channels_last") if spatial else ("contiguous",)
    reduced = precision == "auto" and computes_in_bf16(plain.device)
    precisions: tuple[Precision, ...] = ("float32", "bf16") if reduced else ("float32",)
    shares = [(plain.threads, 1)]  # of the cores: threads for an operation, parts of a batch
    if plain.device == "cpu" and plain.threads > 1:
        shares = [(1, 1), *([(1, plain.threads)] if divisible(model) else []), *shares]
    return [
        replace(plain, layout=layout, precision=kind, threads=threads, parts=parts)
        for threads, parts in shares
        for kind in precisions
        for layout in layouts
    ]


def choose(seconds: Mapping[ExecutionPlan, float], admitted: Callable[[ExecutionPlan], bool]) -> ExecutionPlan:
    """The first plan, or a later admitted one that wins against the best before it by the factor it needs."""
    best, *others = seconds
    for plan in others:
        factor = WINS_BY if plan.cores <= best.cores else MORE_CORES_WIN_BY
        if seconds[plan] * factor <= seconds[best] and admitted(plan):
            best = plan
    return best


def seconds_per_step(
    model: nn.Module,
    sample: Sample,
    plans: Sequence[ExecutionPlan],
    progress: Progress = silent,
) -> dict[ExecutionPlan, float]:
    """The time of a training step under each plan: the median over rounds in which the plans take turns.

    A plan that cannot run here, or is `_HOPELESS` times slower than another already when it warms up, is left out.
    """
    models: dict[ExecutionPlan, nn.Module] = {}
    times: dict[ExecutionPlan, list[float]] = {}
    alone: dict[tuple[Layout, Precision], float] = {}
    best = math.inf
    for number, plan in enumerate(plans):
        progress(_STAGE, number, len(plans))
        if alone.get((plan.layout, plan.precision), 0.0) / plan.cores > best:
            continue  # it would lose even if all its cores helped perfectly
        copied = plan.adopt(copy.deepcopy(model)).train()
        try:
            warm = min(_step_seconds(copied, sample, plan) for _ in range(_WARMUP))
        except RuntimeError:  # an operation that this device does not have in this precision
            if not models:
                raise  # nor in the plain one
            continue
        best = min(best, warm)
        if plan.cores == 1:
            alone[plan.layout, plan.precision] = warm
        if warm <= best * _HOPELESS:
            models[plan], times[plan] = copied, []
    started = time.perf_counter()
    for turn in range(_MOST_ROUNDS):
        if turn >= _LEAST_ROUNDS and time.perf_counter() - started > _SECONDS * len(models):
            break
        for plan, copied in models.items():
            times[plan].append(_step_seconds(copied, sample, plan))
    progress(_STAGE, len(plans), len(plans))
    return {plan: statistics.median(measured) for plan, measured in times.items()}


def agrees(model: nn.Module, sample: Sample, plan: ExecutionPlan, plain: ExecutionPlan) -> bool:
    """Whether the gradient under `plan` is that under `plain`, within the tolerance of its precision."""
    truth = gradient(model, sample, plain)
    error = torch.linalg.vector_norm(gradient(model, sample, plan) - truth)
    return bool(error <= TOLERANCES[plan.precision] * torch.linalg.vector_norm(truth))


def gradient(model: nn.Module, sample: Sample, plan: ExecutionPlan) -> Float[Tensor, " p"]:
    """The gradient of the cross-entropy of `sample` under `plan`, all parameters in one row.

    In evaluation mode: dropout fills its masks in the order of memory, so that under another layout other units drop.
    """
    copied = plan.adopt(copy.deepcopy(model)).eval()
    _forward_backward(copied, sample, plan)
    return torch.cat([p.grad.float().reshape(-1).cpu() for p in copied.parameters() if p.grad is not None])


def _made_up(model: nn.Module, shape: tuple[int, int, int, int], auxiliary: float) -> Sample:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(shape, generator=generator)
    with torch.no_grad():
        classes = copy.deepcopy(model).eval()(images[:1].to(next(model.parameters()).device)).shape[1]
    return Sample(images, torch.randint(classes, shape[:1], generator=generator), auxiliary)


def _forward_backward(model: nn.Module, sample: Sample, plan: ExecutionPlan) -> None:
    images = plan.place(sample.images)
    targets = sample.targets.to(images.device)
    backward(model, F.cross_entropy, images, targets, plan, auxiliary=sample.auxiliary)


def _step_seconds(model: nn.Module, sample: Sample, plan: ExecutionPlan) -> float:
    torch.set_num_threads(plan.threads)
    started = time.perf_counter()
    _forward_backward(model, sample, plan)
    for parameter in model.parameters():
        parameter.grad = None  # the update is the same under every plan, and the copy had better not diverge
    if plan.device != "cpu":
        torch.accelerator.synchronize(plan.device)
    return time.perf_counter() - started


@contextlib.contextmanager
def _untouched_randomness(plan: ExecutionPlan) -> Iterator[None]:
    """Inside, torch's generators may be used and its threads set; afterwards both are as before."""
    threads = torch.get_num_threads()
    accelerator = plan.device != "cpu"
    with torch.random.fork_rng([plan.number] if accelerator else [], device_type=plan.kind if accelerator else "cuda"):
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def _fingerprint(
    model: nn.Module, shape: tuple[int, int, int, int], plans: list[ExecutionPlan], auxiliary: float
) -> str:
    tried = [to_json(plan) for plan in plans]
    facts = [machine(plans[0].device), torch.__version__, str(model), shape, auxiliary, tried]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _cached(file: Path, plans: list[ExecutionPlan]) -> ExecutionPlan | None:
    with contextlib.suppress(OSError, ValueError, StriateError):
        plan = from_json(ExecutionPlan, json.loads(read_regular(file)))
        return plan if plan in plans else None
    return None
