"""Environment that affects the last bits of a result: machine, versions, execution plan."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping

from striate.core.config import to_json
from striate.core.device import ExecutionPlan, machine
from striate.core.errors import RunError

_PACKAGES = ("striate", "torch", "numpy", "pillow", "simplejpeg")  # those that touch pixels or weights


def circumstances(plan: ExecutionPlan) -> dict[str, str]:
    """Return the kind of machine, versions and execution plan, as flat text."""
    versions = {package: importlib.metadata.version(package) for package in _PACKAGES}
    return machine(plan.device) | versions | {key: str(value) for key, value in to_json(plan).items()}


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
