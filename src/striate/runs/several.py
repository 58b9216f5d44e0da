"""A training on several processes: what it can do, and the device of each."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

from striate.core.device import ExecutionPlan, device_named
from striate.core.errors import ConfigError
from striate.core.processes import Processes
from striate.core.torchrun import launch, restarts
from striate.runs.folder import LOCK, Run, is_free
from striate.runs.recipe import Recipe
from striate.runs.transfer import Features, cross_validates


def check_several(recipe: Recipe, together: Processes) -> None:
    """Check that the processes `together` can train by `recipe`.

    Raises:
        ConfigError: they cannot; the message says why.
    """
    if together.count == 1 or isinstance(recipe.transfer, Features):
        return
    if recipe.batch_size < 2 * together.count:
        raise ConfigError(
            f"Each process computes at least 2 images of a batch; received batch_size {recipe.batch_size} and "
            f"{together.count} processes. Choose a larger --batch-size, or fewer processes."
        )
    if cross_validates(recipe.transfer):
        raise ConfigError(
            "A training on several processes is not repeated for folds. Leave --folds out, or start 'striate train' "
            "without torchrun."
        )
    if recipe.device not in ("auto", "cpu", "cuda"):
        raise ConfigError(
            f"Several processes train on cpu or cuda, where each takes the GPU of its local rank; received device "
            f"{recipe.device!r}. Leave --device out, or start 'striate train' without torchrun."
        )


def own_device(device: str, together: Processes) -> str:
    """Return the device of this process: of several GPUs, that of its local rank.

    Raises:
        ConfigError: this machine does not have it.
    """
    if together.count == 1:
        return device_named(device)
    kind = device_named(device).partition(":")[0]
    if kind == "mps":  # it cannot send tensors
        return "cpu"
    return device_named(f"cuda:{together.local_rank}") if kind == "cuda" else kind


def on_own_device(plan: ExecutionPlan, together: Processes) -> ExecutionPlan:
    """Return an execution plan for this process; plans of all processes differ in the number of the GPU only.

    Messages between processes are not captured, so no plan of several is.
    """
    return plan if together.count == 1 else replace(plan, device=own_device(plan.kind, together), captured=False)


def mark(run: Run, training: int) -> None:
    """Write into the lock of a new run which training of which torchrun command has begun it."""
    launched = launch()
    if launched is not None:
        (run.path / LOCK).write_text(f"{launched} {training}", "utf-8")


def begun_before(folder: Path, training: int) -> Run | None:
    """Return the run in `folder` that the same training began before torchrun started the processes again, if any."""
    launched = launch()
    if launched is None or not restarts():
        return None
    for lock in sorted(folder.glob(f"*/{LOCK}")):
        run = Run(lock.parent)
        with contextlib.suppress(OSError):  # another run that this process must not read
            if lock.read_text("utf-8", "replace") == f"{launched} {training}" and not is_free(run):
                return run
    return None
