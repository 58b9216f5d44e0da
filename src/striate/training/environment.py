"""Environment that affects the last bits of a result: machine, versions, execution plan."""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Mapping

from striate.core.config import to_json
from striate.core.device import ExecutionPlan, machine
from striate.core.errors import RunError
from striate.core.processes import ALONE, Processes
from striate.tasks import OfImages, Task

_PACKAGES = ("striate", "torch", "numpy", "pillow", "simplejpeg")  # those that touch pixels or weights


def circumstances(plan: ExecutionPlan, task: Task, processes: Processes = ALONE) -> dict[str, str]:
    """Return the kind of machine, versions, execution plan, and what else the loss depends on, as flat text."""
    chosen = {key: value for key, value in to_json(plan).items() if value is not None and value is not False}
    of_plan = {key: str(value) for key, value in chosen.items() if key != "recompute"}
    of_loss = task.criterion.circumstances if isinstance(task.criterion, OfImages) else {}
    together = {"processes": str(processes.count)} if processes.count > 1 else {}
    return {**machine(plan.device), **_versions(), **of_plan, **of_loss, **together}


@functools.cache  # reading them takes longer than writing a small checkpoint, of which they are a part
def _versions() -> dict[str, str]:
    return {package: importlib.metadata.version(package) for package in _PACKAGES}


def differences(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """List the entries that differ, one phrase each: `torch 2.13.0 (was 2.12.1)`."""
    keys = [*then, *(key for key in now if key not in then)]
    return [
        f"{key} {now.get(key, 'none')} (was {then.get(key, 'none')})" for key in keys if then.get(key) != now.get(key)
    ]


def require_exact(then: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Check that a resumed run computes the same numbers: the environment must not have changed.

    Raises:
        RunError: an entry differs; the message names it.
    """
    changed = differences(then, now)
    if changed:
        raise RunError(
            f"This run cannot be resumed exactly here: {', '.join(changed)}. Resume it where it was started, or accept "
            "a result that differs in the last bits with --inexact."
        )
