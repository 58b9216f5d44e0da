"""One session of a run, from prepared data to the last safe point: here data, model and trainer meet."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch import nn

from striate.core.config import digest, to_json
from striate.core.device import ExecutionPlan, device_here, device_named, has_device, plain_plan
from striate.core.duration import Clock
from striate.core.errors import ConfigError, DataError, RunError
from striate.core.files import make_folder
from striate.core.imbalance import is_imbalanced
from striate.core.processes import ALONE, Processes, processes
from striate.core.progress import Progress, silent
from striate.core.protocols import Batches
from striate.core.torchrun import restarts
from striate.data.loading.loader import Loader
from striate.data.loading.sized import SizedLoader
from striate.data.sources.named_registry import OWN_LOADERS
from striate.models import Arguments, Network, build_model
from striate.runs.criterion import learned_task
from striate.runs.events import RunStarted
from striate.runs.folder import Run
from striate.runs.freezing import ending
from striate.runs.head import fit_head, soften_head
from striate.runs.health import Diagnosed, HealthWatch
from striate.runs.initial import initialize
from striate.runs.plan import Plan
from striate.runs.prepare import Prepared, TrainingData
from striate.runs.recipe import Recipe
from striate.runs.several import on_own_device, own_device
from striate.runs.transfer import Trained, build, freeze_for, keeps_statistics
from striate.tasks import CLASSIFICATION, Task
from striate.training import (
    Checkpoint,
    EarlyStopping,
    Ending,
    Event,
    EventLog,
    LayerRate,
    Publish,
    SafePoint,
    TrainState,
    circumstances,
    differences,
    evaluate,
    newest_checkpoint,
    require_exact,
    restore,
    train_session,
)
from striate.training.autotune import choose_plan
from striate.training.checkpoint import snapshot, write_checkpoint
from striate.training.combine import spread
from striate.training.synchronised import synchronise


@dataclass(frozen=True, eq=False)
class Session:
    """A plan with its prepared data."""

    plan: Plan
    prepared: TrainingData

    @property
    def arguments(self) -> Arguments:
        """The arguments with which the zoo builds the network."""
        channels, height, width = self.prepared.input.shape
        return Arguments(classes=len(self.prepared.labels), channels=channels, size=(height, width))

    def build(self, *, restored: bool = False, progress: Progress = silent) -> nn.Module:
        """Build the network as it is before the first step; if it is `restored` next, its weights do not matter.

        From pretrained weights, its head is a linear layer fitted on its features, where the images are known.
        """
        recipe, prepared = self.plan.recipe, self.prepared
        if recipe.weights is None or restored:
            return build_model(recipe.model, seed=recipe.seed, **self.arguments)
        network = build(recipe.model, recipe.weights, seed=recipe.seed, **self.arguments)
        if isinstance(prepared, Prepared):
            fit_head(recipe, prepared, network, progress=progress)
        return network


@dataclass(frozen=True, eq=False)
class Start:
    """The start of a session: from nothing, or from `checkpoint`.

    `execution` is the plan of the earlier sessions, if there were any. `refused`: a sentence for each checkpoint that
    could not be used. `changes`: phrases on what changed since. `inexact`: accept results that differ in the last bits.
    `replan`: choose an execution plan again, as the settings of it have changed.
    """

    checkpoint: Checkpoint | None = None
    execution: ExecutionPlan | None = None
    refused: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    inexact: bool = False
    replan: bool = False


def train_run(
    run: Run,
    session: Session,
    batches: tuple[Batches, Batches | None],
    start: Start,
    publish: Publish | None,
    *,
    progress: Progress = silent,
) -> Generator[RunStarted | Event | Diagnosed, None, Ending]:
    """Train until the recipe's end, from where `start` says; `batches` are those to learn from and to validate by.

    Raises:
        RunError: resuming would not be exact, and `start.inexact` is false.
        DataError: an image cannot be read any more.
        TrainingError: the loss is not finite.
    """
    recipe, checkpoint = session.plan.recipe, start.checkpoint
    train, validation = batches
    state = first_state(session, train, start, progress=progress)
    changes = start.changes
    if checkpoint is not None:
        changes = (*changes, *state.processes.once(partial(_differences, state, checkpoint, start)))
        restore(state, checkpoint)
    train = on_device(train, state.plan)
    validation = None if validation is None else on_device(validation, state.plan)
    with contextlib.ExitStack() as stack:
        log = None
        if state.processes.writes:
            log = EventLog(run.events_file, checkpoint.log_position if checkpoint else None)
            stack.enter_context(log)
            if checkpoint is None:
                log.write("started", **_facts(session, state))
            elif changes:
                session.plan.write(run)  # its end may have changed
                log.write("resumed", clock=state.clock, changes=list(changes), **_facts(session, state))
        yield _started(run, session, state, start, changes)
        events = train_session(
            state,
            train,
            until=recipe.epochs,
            log=log,
            checkpoints=run.checkpoints,
            stopping=EarlyStopping(recipe.stop.metric, recipe.stop.patience),
            evaluate=None if validation is None else partial(_scores, state, validation, _metrics(session)),
            every=recipe.evaluate_every,
            publish=publish,
        )
        if log is not None:  # the process that writes
            watch = HealthWatch(run, state, train, until=recipe.epochs, batch_size=recipe.batch_size)
            events = watch.over(events)
        with contextlib.closing(events), _with_remedy(run, session):
            ending = yield from events
        if log is not None:
            log.write("finished", clock=state.clock, reason=ending.reason, best_step=ending.best_step)
    return ending


def _differences(state: TrainState, checkpoint: Checkpoint, start: Start) -> list[str]:
    """Return what has changed since the checkpoint was written, in phrases.

    Raises:
        RunError: something has, and `start.inexact` is false.
    """
    present = circumstances(state.plan, state.task, state.processes)
    elastic = {"processes"} if restarts() else set()  # torchrun may restart with another number of them
    if not start.inexact:
        then, now = ({key: each[key] for key in each.keys() - elastic} for each in (checkpoint.circumstances, present))
        require_exact(then, now)
    return differences(checkpoint.circumstances, present)


def first_state(
    session: Session, batches: Batches, start: Start | None = None, *, progress: Progress = silent
) -> TrainState:
    """Return the state of the training on `batches` before its first step.

    If the start has a checkpoint, `restore` it next.
    """
    recipe, start = session.plan.recipe, start or Start()
    together, restored = processes(), start.checkpoint is not None
    network = session.build(restored=restored or not together.writes, progress=progress)
    whole = batches.undivided() if isinstance(batches, (Loader, SizedLoader)) else batches
    initialize(recipe.initial, network, whole, restored=restored or not together.writes)
    if isinstance(recipe.transfer, Trained) and isinstance(network, Network) and not restored and together.writes:
        soften_head(recipe, network, whole)
    spread(together, network)
    rates = freeze_for(recipe.transfer, network, session.arguments["size"])
    rates = ending(recipe.freezing, rates, network, session.arguments["size"])
    execution = _execution(session, network, start, together, progress)
    task = learned_task(recipe, session.prepared, execution)
    return _state(session, execution, network, task, len(batches), rates, together)


def on_device(batches: Batches, plan: ExecutionPlan) -> Batches:
    """Return `batches` prepared on the device of `plan`; those of a user's own loader stay as they are."""
    return batches.on(plan.device) if isinstance(batches, (Loader, SizedLoader)) else batches


@contextlib.contextmanager
def _with_remedy(run: Run, session: Session) -> Iterator[None]:
    """Add the position that is saved and the ways to continue to the error of an image or a batch that is missing."""
    try:
        yield
    except DataError as error:
        saved, _ = newest_checkpoint(run.checkpoints)  # an evaluation that fails saves nothing
        standing = (
            "" if saved is None else f" The training is saved at {session.plan.recipe.epochs.position(saved.clock)}."
        )
        ways = (
            f"Restore the image and continue: striate resume {run.argument}. Or use the remaining images: striate "
            f"resume {run.argument} --inexact, or striate finish {run.argument}"
        )
        if session.plan.data == OWN_LOADERS:
            called = f"({str(run.path)!r}, loaders=…)"
            ways = f"Mend the loader and continue: striate.resume{called}. Or end the run there: striate.finish{called}"
        raise DataError(f"{error}{standing} {ways}") from error


def fit_run(
    run: Run, session: Session, start: Start, *, progress: Progress = silent
) -> Generator[RunStarted | Event, None, Ending]:
    """Fit the linear classifier of a run on features: a training of one step, of which the checkpoint is the result.

    Raises:
        DataError: an image cannot be read any more.
    """
    recipe, checkpoint = session.plan.recipe, start.checkpoint
    network = session.build(restored=checkpoint is not None, progress=progress)
    execution = _known_execution(session.plan, start) or plain_plan(_device(recipe, start))
    state = _state(session, execution, network, recipe.create_task(), 1)
    if checkpoint is not None:
        restore(state, checkpoint)
    ending = Ending(f"fitted on the features of {recipe.model}", None)
    with EventLog(run.events_file, checkpoint.log_position if checkpoint else None) as log:
        if checkpoint is None:
            log.write("started", **_facts(session, state))
        yield _started(run, session, state, start, start.changes)
        if checkpoint is None:
            state.clock = state.clock.tick(0.0)
            make_folder(run.checkpoints)
            write_checkpoint(run.checkpoints, snapshot(state, log.position()))
        log.write("finished", clock=state.clock, reason=ending.reason, best_step=None)
        yield SafePoint(state.clock)
    return ending


def _state(
    session: Session,
    execution: ExecutionPlan,
    network: nn.Module,
    task: Task,
    steps_per_epoch: int,
    rates: Sequence[LayerRate] = (),
    together: Processes = ALONE,
) -> TrainState:
    recipe = session.plan.recipe
    model = execution.adopt(network)
    if recipe.batch_norm == "synchronised" and together.count > 1 and execution.micro_batch is not None:
        raise ConfigError(
            "batch_norm=synchronised takes statistics over a whole batch at once, and memory.micro_batch divides it. "
            "Leave one of them out."
        )
    if recipe.batch_norm == "synchronised":
        synchronise(model, together)
    return TrainState(
        model=model,
        optimizer=recipe.optimizer.create(model, rates),
        schedule=recipe.schedule.over(recipe.epochs),
        task=task,
        clock=Clock(steps_per_epoch),
        plan=execution,
        seed=recipe.seed,
        clip_norm=recipe.optimizer.clip_norm,
        l1=recipe.optimizer.l1,
        clip_value=recipe.optimizer.clip_value,
        gradient_noise=recipe.optimizer.gradient_noise,
        max_norm=recipe.optimizer.max_norm,
        sharpness=recipe.optimizer.sharpness,
        average=recipe.average,
        length=recipe.epochs,
        processes=together,
        keep_statistics=keeps_statistics(recipe.transfer),
        schedules={
            rate.end: recipe.schedule.over(recipe.epochs, part=rate.end)
            for rate in rates
            if recipe.freezing is not None and recipe.freezing.shortened and rate.end < 1
        },
    )


def _metrics(session: Session) -> tuple[str, ...]:
    """Return the metrics of each evaluation besides those of the task."""
    recipe, counts = session.plan.recipe, session.prepared.class_counts
    uneven = recipe.task.name == CLASSIFICATION.name and counts is not None and is_imbalanced(counts)
    return (recipe.stop.metric, *(("balanced_accuracy",) if uneven else ()))


def _scores(state: TrainState, batches: Batches, metrics: Sequence[str]) -> dict[str, float]:
    return evaluate(state.network, state.task, batches, state.plan, processes=state.processes).scores(*metrics)


def _facts(session: Session, state: TrainState) -> dict[str, Any]:
    """Return the facts of the start of a session; they are equal in every repetition."""
    prepared, recipe = session.prepared, session.plan.recipe
    return {
        "model": recipe.model,
        "recipe_sha256": digest(recipe),
        "data_sha256": prepared.digest,
        "input": to_json(prepared.input),
        "classes": list(prepared.labels.classes),
        "counts": prepared.counts,
        "class_counts": None if (counts := prepared.class_counts) is None else counts.tolist(),
        "steps_per_epoch": state.clock.steps_per_epoch,
        "recipe": to_json(recipe),
        "execution": to_json(state.plan),
        "circumstances": circumstances(state.plan, state.task, state.processes),
    }


def _known_execution(plan: Plan, start: Start) -> ExecutionPlan | None:
    """Return the execution plan of the sessions so far, else of the run to repeat; None if one is to be chosen.

    Raises:
        RunError: this machine does not have the device of the sessions so far, and `start.inexact` is false.
    """
    earlier = start.execution if start.checkpoint is None else start.checkpoint.plan
    if earlier is None:
        return plan.execution
    if start.replan or (start.inexact and not has_device(earlier.device)):
        return None
    if not has_device(earlier.device):
        raise RunError(
            f"The run was computed on {earlier.device!r}, which this machine does not have. Continue it on "
            "one that has, or here, where the last bits of the result differ, by --inexact."
        )
    return earlier


def _device(recipe: Recipe, start: Start) -> str:
    """Return the device of the recipe; where this machine lacks it and other results are accepted, its fastest."""
    return device_here(recipe.device) if start.inexact else device_named(recipe.device)


def _execution(
    session: Session, network: nn.Module, start: Start, together: Processes, progress: Progress
) -> ExecutionPlan:
    """Return the execution plan of this run, else of the run to repeat, else the winner of a trial."""
    plan, recipe, memory = session.plan, session.plan.recipe, session.plan.recipe.memory
    known = _known_execution(plan, start)
    if known is not None:
        # What the recipe asks for may have changed since, and the plan may be that of another run.
        least = min(filter(None, (known.micro_batch, memory.micro_batch)), default=None)
        known = replace(known, micro_batch=least, recompute=known.recompute or memory.recompute)
        return on_own_device(known, together)
    images = session.prepared.counts.get("train", recipe.batch_size)
    rows, _ = together.rows(max(2, min(recipe.batch_size, images)))  # batch normalization needs two
    trial = partial(
        choose_plan,
        network,
        (rows.stop - rows.start, *session.prepared.input.shape),
        precision=recipe.precision,
        device=own_device(_device(recipe, start), together),
        task=recipe.create_task(),
        micro_batch=memory.micro_batch,
        recompute=memory.recompute,
        progress=progress,
    )
    return on_own_device(together.once(trial), together)


def _warnings(session: Session) -> tuple[str, ...]:
    """Return the warnings of the audit, without that of an imbalance that the recipe corrects."""
    prepared = session.prepared
    if not isinstance(prepared, Prepared) or not session.plan.recipe.balances:
        return prepared.warnings
    found = prepared.audit.findings
    return tuple(each.sentence for each in found if each.level == "warning" and each.kind != "imbalance")


def _started(run: Run, session: Session, state: TrainState, start: Start, changes: tuple[str, ...]) -> RunStarted:
    prepared = session.prepared
    return RunStarted(
        run=run,
        plan=session.plan,
        until=session.plan.recipe.epochs,
        counts=prepared.counts,
        input=prepared.input,
        labels=prepared.labels,
        parameters=sum(parameter.numel() for parameter in state.model.parameters()),
        steps_per_epoch=state.clock.steps_per_epoch,
        execution=state.plan,
        findings=(*start.refused, *_warnings(session)),
        processes=state.processes.count,
        resumed_at=start.checkpoint.clock.step if start.checkpoint else None,
        changes=changes,
    )
