"""The events of a run besides those of the training loop: its start and its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from striate.core.device import ExecutionPlan
from striate.core.duration import Duration
from striate.core.spec import InputSpec, LabelSpec
from striate.runs.folder import Run
from striate.runs.health import Diagnosed
from striate.runs.mirrored import Mirrored
from striate.runs.plan import Plan
from striate.training import Event


@dataclass(frozen=True, kw_only=True)
class RunStarted:
    """A session is ready for its first step.

    `counts`: the number of images in each split. `findings`: warnings of the audit. `processes`: how many train
    together. `resumed_at`: the step at which an earlier session ended, None in the first. `changes`: phrases on what
    differs from the sessions before (settings, the end, the data, the machine).
    """

    run: Run
    plan: Plan
    until: Duration
    counts: dict[str, int]
    input: InputSpec
    labels: LabelSpec
    parameters: int
    steps_per_epoch: int
    execution: ExecutionPlan
    findings: tuple[str, ...]
    processes: int = 1
    resumed_at: int | None = None
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RunFinished:
    """The training is over and evaluated.

    `reason`: why it ended. `kept_epoch`: the epoch whose weights were kept; None for a linear classifier on
    features, which has no epochs. `scores`: the evaluation of each split.
    `unread`: names of images that could be read when the training began and were left out of the evaluations, because
    they cannot be read any more. `mirrored`: how mirrored validation images are answered, where class names leave open
    whether a mirror image keeps its class.
    """

    run: Run
    reason: str
    kept_epoch: float | None
    scores: dict[str, Any]
    unread: tuple[str, ...] = ()
    mirrored: Mirrored | None = None


RunEvent = RunStarted | Event | Diagnosed | RunFinished
