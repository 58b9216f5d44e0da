"""One sitting of a run, from prepared data to the last safe point: the one place where data, model and trainer meet."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from torch import nn

from striate.classifier import Arguments
from striate.core.config import digest, from_json, to_json
from striate.core.device import ExecutionPlan
from striate.core.duration import Clock
from striate.core.errors import RunError
from striate.core.protocols import Batches
from striate.core.trial import choose_plan
from striate.models import build_model
from striate.recipes.events import RunStarted
from striate.recipes.folder import Plan, Run
from striate.recipes.preparation import TrainingData
from striate.recipes.stage import Progress, watched
from striate.training import (
    Checkpoint,
    EarlyStopping,
    Ending,
    Event,
    Journal,
    TrainState,
    circumstances,
    evaluate,
    first_event,
    newest_checkpoint,
    require_exact,
    restore,
    run_sitting,
)


@dataclass(frozen=True, eq=False)
class Session:
    """All that a sitting needs, built and in its place."""

    plan: Plan
    prepared: TrainingData
    train: Batches
    val: Batches

    @property
    def arguments(self) -> Arguments:
        """With which the zoo builds the network."""
        return _arguments(self.prepared)

    def build(self) -> nn.Module:
        """The network anew, as it was before the first step."""
        recipe = self.plan.recipe
        return build_model(recipe.model, seed=recipe.seed, **self.arguments)


def assemble(plan: Plan, prepared: TrainingData) -> Generator[Progress, None, Session]:
    """Build the network and the loaders; pictures that fit in memory are decoded now.

    Raises:
        ModelError: the network does not admit the pictures; the sentence names the smallest size that it does.
    """
    train, val = yield from prepared.load(plan.recipe)
    return Session(plan, prepared, train, val)


def _arguments(prepared: TrainingData) -> Arguments:
    channels, height, width = prepared.input.shape
    return Arguments(classes=len(prepared.labels), channels=channels, size=(height, width))


def sit(run: Run, session: Session, *, inexact: bool) -> Generator[Progress | RunStarted | Event, None, Ending]:
    """Train until the recipe's end, from the last good checkpoint where there is one.

    Raises:
        RunError: going on would not be exact, and `inexact` was not said.
        TrainingError: the loss is not finite.
    """
    recipe = session.plan.recipe
    checkpoint, refused = newest_checkpoint(run.checkpoints)
    first = first_event(run.events_file)
    facts = _facts(session)
    if first is not None:
        _require_same_data(first, facts)
    network = session.build()
    execution = yield from _execution(session, network, checkpoint, first)
    if checkpoint is not None and not inexact:
        require_exact(checkpoint.circumstances, circumstances(execution))
    model = execution.adopt(network)
    state = TrainState(
        model=model,
        optimizer=recipe.optimizer.create(model),
        schedule=recipe.schedule.create(recipe.epochs),
        loss=recipe.loss.create(),
        clock=Clock(len(session.train)),
        plan=execution,
        seed=recipe.seed,
        clip_norm=recipe.optimizer.clip_norm,
        l1=recipe.optimizer.l1,
        auxiliary=recipe.loss.auxiliary_weight,
    )
    if checkpoint is not None:
        restore(state, checkpoint)
    with Journal(run.events_file, checkpoint.mark if checkpoint else None) as journal:
        if checkpoint is None:
            journal.write("started", **facts, execution=to_json(execution), circumstances=circumstances(execution))
        yield _started(run, session, state, checkpoint, refused)
        with contextlib.closing(
            run_sitting(
                state,
                session.train,
                until=recipe.epochs,
                journal=journal,
                checkpoints=run.checkpoints,
                stopping=EarlyStopping(recipe.stop.metric, recipe.stop.patience),
                evaluate=lambda: evaluate(state.model, session.val, execution).scores(),
                every=recipe.evaluate_every,
            )
        ) as events:
            ending = yield from events
        journal.write("finished", clock=state.clock, reason=ending.reason, best_step=ending.best_step)
    return ending


def _facts(session: Session) -> dict[str, Any]:
    """What a run starts with, the same in every repetition."""
    prepared = session.prepared
    return {
        "model": session.plan.recipe.model,
        "recipe_sha256": digest(session.plan.recipe),
        "data_sha256": prepared.digest,
        "input": to_json(prepared.input),
        "classes": list(prepared.labels.classes),
        "counts": prepared.counts,
    }


def _require_same_data(first: dict[str, Any], facts: dict[str, Any]) -> None:
    """Other data are another training, exact or not: steps, parts and classes may all have moved."""
    if first["data_sha256"] != facts["data_sha256"]:
        raise RunError(
            "The data are not those that this run was started with: pictures, labels or parts have changed. Restore "
            "them, or start a new run."
        )


def _execution(
    session: Session, network: nn.Module, checkpoint: Checkpoint | None, first: dict[str, Any] | None
) -> Generator[Progress, None, ExecutionPlan]:
    """The plan of this run, once it has one; else that of the run it repeats; else the winner of a trial."""
    if checkpoint is not None:
        return checkpoint.plan
    if first is not None:
        return from_json(ExecutionPlan, first["execution"])
    plan = session.plan
    if plan.execution is not None:
        return plan.execution
    shape, recipe = (plan.recipe.batch_size, *session.prepared.input.shape), plan.recipe
    return (
        yield from watched(
            "trying ways to compute a step",
            lambda progress: choose_plan(
                network,
                shape,
                precision=recipe.precision,
                auxiliary=recipe.loss.auxiliary_weight,
                progress=progress,
            ),
        )
    )


def _started(
    run: Run, session: Session, state: TrainState, checkpoint: Checkpoint | None, refused: list[str]
) -> RunStarted:
    prepared = session.prepared
    return RunStarted(
        run=run,
        plan=session.plan,
        until=session.plan.recipe.epochs,
        counts=prepared.counts,
        input=prepared.input,
        labels=prepared.labels,
        parameters=sum(parameter.numel() for parameter in state.model.parameters()),
        steps_per_epoch=len(session.train),
        execution=state.plan,
        findings=(*refused, *prepared.warnings),
        resumed_at=checkpoint.clock.step if checkpoint else None,
    )
