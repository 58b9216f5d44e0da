"""Autotuning: choose the execution plan by timing a few training steps on copies of the model.

`torch.compile` is not among the plans. On one AVX2 core it makes a step of ResNet-20 (32×32, batch 128) 1.11 times as
fast, after 89 s of processor time for the first compiled step: it pays after some 1,100 steps, and a trial of it costs
as much as it saves until then. It also needs a C++ compiler on the user's machine. On a GPU (H100), the first compiled
step of the network of `cifar_fast` (32×32, batch 1,000, bf16) takes 52 s, and the others are no faster than plain ones.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import json
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from striate.core.batch import Batch
from striate.core.config import from_json, to_json
from striate.core.device import ExecutionPlan, Layout, Precision, computes_in_bf16, machine, out_of_memory, plain_plan
from striate.core.errors import StriateError, first_line
from striate.core.files import cache_folder, read_regular, write_json
from striate.core.progress import Progress, silent
from striate.core.rng import torch_random_state_kept
from striate.tasks import CLASSIFICATION, Task
from striate.training.backward import backward, is_samplewise
from striate.training.captured import is_capturable
from striate.training.shortage import divided

WINS_BY = 1.10
"""A plan replaces another if it is this many times as fast: smaller gains are noise and not reproducible."""

MORE_CORES_WIN_BY = 1.25
"""A plan with more cores must gain more, because image decoding and other programs need them too. Torch's threads wait
for each other by spinning, so another busy program slows them most (LeNet-5, one of two cores busy: to a tenth)."""

TOLERANCES: dict[Precision, float] = {"float32": 1e-3, "bf16": 0.1}
"""Largest distance of a plan's gradient from that of the plain plan, relative to the norm of the latter. bf16 keeps 8
bits, so the relative error of one rounding is up to 0.4 %, and the errors of layers accumulate."""

_STAGE = "trying ways to compute a step"
_WARMUP, _HOPELESS = 3, 2.0
_LEAST_ROUNDS, _MOST_ROUNDS, _SECONDS = 3, 5, 0.3  # twelve rounds chose no better than three (80 were measured)
_LONG = 1.0  # seconds of a step that one warm-up and one round measure well enough: more would cost minutes


def choose_plan(
    model: nn.Module,
    shape: tuple[int, int, int, int],
    *,
    precision: Literal["auto", "float32"] = "auto",
    device: str | None = None,
    task: Task = CLASSIFICATION,
    micro_batch: int | None = None,
    recompute: bool = False,
    progress: Progress = silent,
) -> ExecutionPlan:
    """Choose the fastest plan to train `model` on batches of `shape` (images, channels, height, width) on this machine.

    Memory layouts, bf16 autocast, and one core or all (by parts of the batch, or by torch's threads) are timed by a few
    training steps of `task` on deep copies with random images: weights, buffers, random state and data of the run are
    not used. A plan is admitted if its gradient equals that of the plain float32 plan within `TOLERANCES`. It wins if
    it is `WINS_BY` times as fast as the best plan before it in the fixed order of `candidates` (`MORE_CORES_WIN_BY`, if
    it uses more cores). On a GPU, the winner is tried with captured kernels then, if the model may be captured.
    `precision="float32"` admits no other precision. The choice is cached for this machine, model, task and shape.
    `progress` counts the plans that are timed.

    All plans have `micro_batch` and `recompute`. If memory is short for a batch, they have half the images at once, and
    the choice is not cached: next time there may be more memory.

    Raises:
        TrainingError: memory is not enough for the smallest piece of a batch.
    """
    plain = replace(plain_plan(device), micro_batch=micro_batch, recompute=recompute)
    plans = candidates(model, plain, precision)
    capturable = plain.kind == "cuda" and not recompute and is_capturable(model, task)
    if len(plans) == 1 and not capturable:
        return plans[0]
    file = cache_folder() / "plans" / f"{_fingerprint(model, task, shape, plans)}.json"
    cached = _cached(file, plans)
    if cached is not None:
        return cached
    batch = _example(model, task, shape)
    while True:
        try:
            seconds = seconds_per_step(model, task, batch, plans, progress)
            chosen = choose(seconds, functools.partial(agrees, model, task, batch, plain=plans[0]))
            break
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            said = first_line(error)
        plans = [divided(plan, len(batch), model.train(), said) for plan in plans]
    if chosen.micro_batch != micro_batch:
        return chosen
    if capturable:
        chosen = _captured_if_faster(model, task, batch, chosen, plans[0], progress)
    with contextlib.suppress(StriateError, OSError):  # an unwritable cache costs the next trial, not this run
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, to_json(chosen))
    return chosen


def _captured_if_faster(
    model: nn.Module, task: Task, batch: Batch, plan: ExecutionPlan, plain: ExecutionPlan, progress: Progress
) -> ExecutionPlan:
    """Return `plan` with captured kernels, or as it is where these do not win or their memory is not there."""
    try:
        seconds = seconds_per_step(model, task, batch, [plan, replace(plan, captured=True)], progress)
        return choose(seconds, functools.partial(agrees, model, task, batch, plain=plain))
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        return plan


def candidates(model: nn.Module, plain: ExecutionPlan, precision: Literal["auto", "float32"]) -> list[ExecutionPlan]:
    """Return the plans to time in their fixed order: one core, all by parts, all by threads.

    Within these float32 precedes bf16, and channels first precedes channels last. A model without convolutions has only
    one layout. bf16 is left out if it would be emulated, about twenty times slower than float32.
    """
    spatial = any(parameter.ndim == 4 for parameter in model.parameters())
    layouts: tuple[Layout, ...] = ("contiguous", "channels_last") if spatial else ("contiguous",)
    reduced = precision == "auto" and computes_in_bf16(plain.device)
    precisions: tuple[Precision, ...] = ("float32", "bf16") if reduced else ("float32",)
    shares = [(plain.threads, 1)]  # threads for an operation, parts of a batch
    if plain.device == "cpu" and plain.threads > 1:
        shares = [(1, 1), *([(1, plain.threads)] if is_samplewise(model) else []), *shares]
    return [
        replace(plain, layout=layout, precision=kind, threads=threads, parts=parts)
        for threads, parts in shares
        for kind in precisions
        for layout in layouts
    ]


def choose(seconds: Mapping[ExecutionPlan, float], admitted: Callable[[ExecutionPlan], bool]) -> ExecutionPlan:
    """Return the first plan, or a later admitted one that is faster than the best before it by the required factor."""
    best, *others = seconds
    for plan in others:
        factor = WINS_BY if plan.cores <= best.cores else MORE_CORES_WIN_BY
        if seconds[plan] * factor <= seconds[best] and admitted(plan):
            best = plan
    return best


def seconds_per_step(
    model: nn.Module,
    task: Task,
    batch: Batch,
    plans: Sequence[ExecutionPlan],
    progress: Progress = silent,
) -> dict[ExecutionPlan, float]:
    """Measure the time of a training step under each plan: the median over rounds in which the plans alternate.

    Steps of more than a second have one warm-up and one round, shorter ones three or more of each.
    A plan that cannot run here, or is `_HOPELESS` times slower than another during warm-up, is left out.
    """
    models: dict[ExecutionPlan, nn.Module] = {}
    times: dict[ExecutionPlan, list[float]] = {}
    alone: dict[tuple[Layout, Precision], float] = {}
    best = math.inf
    for number, plan in enumerate(plans):
        progress(_STAGE, number, len(plans))
        if alone.get((plan.layout, plan.precision), 0.0) / plan.cores > best:
            continue  # slower even if all its cores scaled perfectly
        copied = plan.adopt(copy.deepcopy(model)).train()
        try:
            warm = _step_seconds(copied, task, batch, plan)
            if warm < _LONG:
                warm = min(warm, *(_step_seconds(copied, task, batch, plan) for _ in range(_WARMUP - 1)))
        except RuntimeError:  # this device lacks an operation in this precision
            if not models:
                raise  # the plain plan fails too
            continue
        best = min(best, warm)
        if plan.cores == 1:
            alone[plan.layout, plan.precision] = warm
        if warm <= best * _HOPELESS:
            models[plan], times[plan] = copied, []
    least = _LEAST_ROUNDS if best < _LONG else 1
    started = time.perf_counter()
    for turn in range(_MOST_ROUNDS):
        if turn >= least and time.perf_counter() - started > _SECONDS * len(models):
            break
        for plan, copied in models.items():
            times[plan].append(_step_seconds(copied, task, batch, plan))
    progress(_STAGE, len(plans), len(plans))
    return {plan: statistics.median(measured) for plan, measured in times.items()}


def agrees(model: nn.Module, task: Task, batch: Batch, plan: ExecutionPlan, plain: ExecutionPlan) -> bool:
    """Return whether the gradient under `plan` equals that under `plain`, within the tolerance of its precision.

    Parts in parallel would share torch's random numbers: a model that draws some in training has no such plan.
    """
    if plan.parts > 1 and _draws(model, task, batch):
        return False
    truth = gradient(model, task, batch, plain)
    error = torch.linalg.vector_norm(gradient(model, task, batch, plan) - truth)
    return bool(error <= TOLERANCES[plan.precision] * torch.linalg.vector_norm(truth))


def gradient(model: nn.Module, task: Task, batch: Batch, plan: ExecutionPlan) -> Float[Tensor, " p"]:
    """Compute the gradient of the loss of `batch` under `plan`, all parameters in one row.

    The copy is in evaluation mode: dropout fills its masks in memory order, so another layout drops other units.
    """
    copied = plan.adopt(copy.deepcopy(model)).eval()
    with plan.in_effect():
        backward(copied, task, batch, plan)
    return torch.cat([p.grad.float().reshape(-1).cpu() for p in copied.parameters() if p.grad is not None])


def _draws(model: nn.Module, task: Task, batch: Batch) -> bool:
    """Return whether a forward pass in training draws from torch's random numbers (as functional dropout does)."""
    with torch_random_state_kept(0), torch.no_grad():
        before = torch.get_rng_state()
        task.outputs(copy.deepcopy(model).train(), batch.images)
        return not torch.equal(before, torch.get_rng_state())


def _example(model: nn.Module, task: Task, shape: tuple[int, int, int, int]) -> Batch:
    """Return a random batch; the shape of the targets follows from the outputs for one image."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        device = next(model.parameters()).device
        outputs = task.outputs(copy.deepcopy(model).eval(), torch.zeros(1, *shape[1:], device=device))
    return task.example(shape, outputs.shape[1:], generator)


def _step_seconds(model: nn.Module, task: Task, batch: Batch, plan: ExecutionPlan) -> float:
    with plan.in_effect():
        started = time.perf_counter()
        backward(model, task, batch, plan)
        for parameter in model.parameters():
            parameter.grad = None  # no update: it is the same under every plan, and the copy could diverge
        if plan.device != "cpu":
            torch.accelerator.synchronize(plan.device)
        return time.perf_counter() - started


def _fingerprint(model: nn.Module, task: Task, shape: tuple[int, int, int, int], plans: list[ExecutionPlan]) -> str:
    tried = [to_json(plan) for plan in plans]
    facts = [machine(plans[0].device), torch.__version__, str(model), repr(task), shape, tried]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _cached(file: Path, plans: list[ExecutionPlan]) -> ExecutionPlan | None:
    with contextlib.suppress(OSError, ValueError, StriateError):
        plan = from_json(ExecutionPlan, json.loads(read_regular(file)))
        return plan if replace(plan, captured=False) in plans else None
    return None
