"""What a run tells besides the training's own events: where it stands before the first step, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass

from striate.core.device import ExecutionPlan
from striate.core.duration import Duration
from striate.core.spec import InputSpec, LabelSpec
from striate.metrics import Judged
from striate.runs.folder import Plan, Run


@dataclass(frozen=True, kw_only=True)
class RunStarted:
    """Everything is ready and the first step (or the first after a pause) comes next.

    `counts`: the number of pictures in each split. `findings`: what the audit found worth a sentence.
    `resumed_at` is the step at which an earlier sitting ended, None in the first sitting. `changes` says in phrases
    what is not as it was in the sittings before (settings, the end, the data, the machine).
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
    resumed_at: int | None = None
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RunFinished:
    """The training is over and judged. `reason` says why it ended, `kept_epoch` whose weights were
    kept; `judgements` are those of each split judged. `unread` names images that could be read when the training began
    and were left out of the judgements because they cannot be read any more."""

    run: Run
    reason: str
    kept_epoch: float
    judgements: dict[str, Judged]
    unread: tuple[str, ...] = ()
