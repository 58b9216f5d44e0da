"""Train a run to its end, and conclude it: the common part of starting and resuming."""

from __future__ import annotations

from collections.abc import Generator

from striate.core.duration import Clock
from striate.core.processes import processes
from striate.core.progress import Progress, silent
from striate.runs.conclude import conclude
from striate.runs.events import RunEvent
from striate.runs.folder import Run
from striate.runs.plan import Plan
from striate.runs.prepare import TrainingData
from striate.runs.publish import Publisher
from striate.runs.train import Session, Start, fit_run, train_run
from striate.runs.trained_folds import train_folds
from striate.runs.transfer import Features
from striate.training import Ending, SafePoint


def train_to_end(
    run: Run, plan: Plan, prepared: TrainingData, start: Start, *, progress: Progress = silent
) -> Generator[RunEvent, None, None]:
    """Train to the end from where `start` says, and conclude the run.

    With several processes, the first one alone fits the linear classifier of a run on features.
    """
    together = processes()
    if together.writes:
        prepared.record(run)
    session = Session(plan, prepared)
    if isinstance(plan.recipe.transfer, Features):
        events = fit_run(run, session, start, progress=progress) if together.writes else _waiting()
        ending = yield from events
        yield together.once(lambda: conclude(run, session, ending))
        return
    with together.in_turn():
        batches = prepared.load(plan.recipe, processes=together, progress=progress)
    ending = yield from train_run(run, session, batches, start, Publisher(run, session), progress=progress)
    yield from train_folds(run, session, inexact=start.inexact, progress=progress)
    yield conclude(run, session, ending, processes=together)


def _waiting() -> Generator[RunEvent, None, Ending]:
    """Yield the safe point of a fit in another process: whether to stop there is agreed."""
    yield SafePoint(Clock(1, step=1))
    return Ending("fitted by another process", None)
