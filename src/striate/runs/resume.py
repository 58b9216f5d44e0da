"""Resume a run that was stopped, killed or crashed, or end it where it stands."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from striate.core.duration import Clock, Duration
from striate.core.errors import ConfigError, RunError
from striate.core.processes import processes
from striate.core.progress import Progress, silent
from striate.data.audit import audit
from striate.data.loading.own_loaders import Loaders
from striate.data.sources.opening import open_data
from striate.runs.conclude import conclude
from striate.runs.events import RunEvent, RunFinished
from striate.runs.folder import Run
from striate.runs.images import Changes
from striate.runs.origin import Origin, check_settings
from striate.runs.own_loaders import PreparedLoaders
from striate.runs.plan import Plan
from striate.runs.prepare import Prepared, TrainingData, prepare_again, prepare_data
from striate.runs.probe import pooled
from striate.runs.recipe import Recipe
from striate.runs.resizing import epochs_of
from striate.runs.several import check_several
from striate.runs.to_end import train_to_end
from striate.runs.train import Session, Start
from striate.runs.transfer import Features, Staged
from striate.training import (
    Checkpoint,
    EarlyStopping,
    Ending,
    EventLog,
    Plateau,
    newest_checkpoint,
    read_events,
)

_OF_EXECUTION = {"device", "precision", "memory.micro_batch"}
_FULL = 2**16  # pixels: no side of a list is bounded by it
_SAMPLES = 257  # of the course so far, at which two schedules are compared


def resume_run(
    run: Run,
    *,
    inexact: bool,
    epochs: str | int | None = None,
    loaders: Loaders | None = None,
    progress: Progress = silent,
) -> Generator[RunEvent, None, None]:
    """Resume a run from its last good checkpoint, to its end or to another one; evaluate a complete run again.

    A run that was trained on loaders needs them again.

    Raises:
        RunError: the run is damaged or busy, it is past the end that is asked for, or resuming would not be exact and
            `inexact` is false.
        ConfigError: `epochs` is no duration.
        DataError: the data are gone.
    """
    together = processes()
    end = None if epochs is None else Duration.parse(epochs)
    plan = together.once(lambda: Plan.read(run))
    if end is not None and isinstance(plan.recipe.transfer, Features):
        raise ConfigError(
            f"{run.path} is a linear classifier on features, which is fitted at once and has no epochs. Leave them "
            "out, or train the network: striate train DATA --transfer full"
        )
    check_several(plan.recipe, together)
    with ExitStack() as stack:
        checkpoint, refused, origin = together.once(lambda: _stand(stack, run))
        if origin is None:  # it was killed before it had made a step
            if end is not None:
                plan = plan.ending(end, before=plan.recipe.epochs)
                together.once(partial(plan.write, run))
            prepared = _anew(plan, loaders, progress)
            yield from train_to_end(run, plan, prepared, Start(refused=tuple(refused)), progress=progress)
            return
        plan, changes = together.once(lambda: _planned(run, plan, origin, checkpoint, end, inexact=inexact))
        with together.in_turn():
            prepared, lost = _again(plan, run, origin, loaders, inexact=inexact, progress=progress)
        together.require_same("data", prepared.digest)
        if lost is not None:
            changes.append(f"data: {lost}; the other images are used as before")
        if isinstance(prepared, Prepared) and lost is not None and checkpoint is not None:
            prepared = replace(prepared, steps=checkpoint.clock.steps_per_epoch)
        replan = bool(_OF_EXECUTION & origin.changed_settings(plan).keys())
        start = Start(checkpoint, origin.execution, tuple(refused), tuple(changes), inexact=inexact, replan=replan)
        yield from train_to_end(run, plan, prepared, start, progress=progress)


def _stand(stack: ExitStack, run: Run) -> tuple[Checkpoint | None, list[str], Origin | None]:
    """Return the newest checkpoint of the run, those refused, and its origin; `stack` keeps the run locked."""
    stack.enter_context(run.writing())
    checkpoint, refused = newest_checkpoint(run.checkpoints)
    return checkpoint, refused, Origin.read(run, checkpoint)


def finish_run(run: Run, *, loaders: Loaders | None = None, progress: Progress = silent) -> RunFinished:
    """End a run where its last good checkpoint stands: evaluate the weights to keep, and write the classifier.

    Images that cannot be read any more are left out. A run that was trained on loaders needs them again.

    Raises:
        RunError: the run is damaged or busy, or has not made a step yet.
        DataError: the data are gone.
    """
    plan = Plan.read(run)
    with run.writing():
        checkpoint, _ = newest_checkpoint(run.checkpoints)
        origin = Origin.read(run, checkpoint)
        if checkpoint is None or origin is None or checkpoint.clock.step == 0:
            raise RunError(
                f"{run.path} has not made a training step yet, so there are no weights to keep. "
                f"Continue it: striate resume {run.argument}"
            )
        plan = replace(plan, recipe=origin.recipe or plan.recipe)
        prepared, lost = _again(plan, run, origin, loaders, inexact=True, progress=progress)
        with EventLog(run.events_file, checkpoint.log_position) as log:
            ending = _ending(run, plan, checkpoint)
            log.write("finished", clock=checkpoint.clock, reason=ending.reason, best_step=ending.best_step)
        return conclude(run, Session(plan, prepared), ending, lost.missing if lost else ())


def _planned(
    run: Run, plan: Plan, origin: Origin, checkpoint: Checkpoint | None, end: Duration | None, *, inexact: bool
) -> tuple[Plan, list[str]]:
    """Return the plan to resume with, and phrases on how it differs from the one that was followed until now."""
    before = (origin.recipe or plan.recipe).epochs
    if end is not None:
        plan = plan.ending(end, before)
    changes = check_settings(run, origin, plan, inexact=inexact)
    if plan.recipe.epochs != before and checkpoint is not None:
        _check_end(run, plan.recipe.epochs, checkpoint.clock)
        changes = [phrase for phrase in changes if not phrase.startswith("epochs ")]
        changes.append(_consequence(plan.recipe, before, checkpoint.clock))
    elif end is not None and checkpoint is None:  # the training starts again, and records no change
        plan.write(run)
    return plan, changes


def _anew(plan: Plan, loaders: Loaders | None, progress: Progress) -> TrainingData:
    """Return the data, prepared as for a new run."""
    if loaders is not None:
        return PreparedLoaders.read(loaders, plan.recipe.task)
    found = audit(open_data(plan.data, progress=progress), progress=progress)
    return pooled(plan.recipe, prepare_data(plan.recipe, found, progress=progress))


def _again(
    plan: Plan, run: Run, origin: Origin, loaders: Loaders | None, *, inexact: bool, progress: Progress
) -> tuple[TrainingData, Changes | None]:
    """Return the data as they were prepared when the run began, and what changed since."""
    if loaders is None:
        prepared, changes = prepare_again(plan, run, origin, inexact=inexact, progress=progress)
        return pooled(plan.recipe, prepared), changes
    prepared = PreparedLoaders.read(loaders, plan.recipe.task)
    if prepared.digest != origin.first_data:
        raise RunError(
            "The data are not those that this run was started with: the loaders differ. Give those, or start a new run."
        )
    return prepared, None


def _ending(run: Run, plan: Plan, checkpoint: Checkpoint) -> Ending:
    """Return why the training is over at `checkpoint`, and where it was best."""
    stop, end = plan.recipe.stop, plan.recipe.epochs
    stopping = EarlyStopping(stop.metric, stop.patience)
    stopping.recall(read_events(run.events_file))
    if stopping.exhausted:
        return Ending(stopping.reason, stopping.best_step)
    complete = end.reached(checkpoint.clock)
    reason = f"trained for {end}" if complete else f"ended by 'striate finish' at {end.position(checkpoint.clock)}"
    return Ending(reason, stopping.best_step)


def _check_end(run: Run, end: Duration, clock: Clock) -> None:
    """Refuse an end that the training has passed.

    Raises:
        RunError: the training is past `end` already.
    """
    if end.progress(clock) > 1.0 + 1e-9:
        raise RunError(
            f"{run.path} was trained for {clock.epochs:g} epochs already, more than {end}. To end it where it is: "
            f"striate finish {run.argument}"
        )


def _consequence(recipe: Recipe, before: Duration, clock: Clock) -> str:
    """Say what follows from a new end for a training that stands at `clock` and followed the end `before`."""
    changed = f"epochs {before} → {recipe.epochs}"
    old, new = (recipe.schedule.over(end) for end in (before, recipe.epochs))
    places = [_at(clock, number / (_SAMPLES - 1)) for number in range(_SAMPLES)] if clock.step else []
    if not _averages_alike(recipe, before, clock):
        return (
            f"{changed}; the average of the weights begins at a fraction of the training, so it holds other epochs "
            f"than in a training meant for {recipe.epochs} from the start, and the result differs"
        )
    if not _stages_alike(recipe, before, clock):
        return (
            f"{changed}; sizes of images or frozen layers follow the fraction of the training that is over, so they "
            f"were those of {before} until now, and the result differs from a training meant for {recipe.epochs}"
        )
    if all(old(place) == new(place) for place in places):
        if _evaluated_extra(recipe, before, clock):
            told = f"{changed}; the result is that of a training meant for it, plus an evaluation at its former end"
            return (
                f"{told}, whose scores count for {' and '.join(uses)}" if (uses := _evaluations_used(recipe)) else told
            )
        return f"{changed}; the result is exactly that of a training meant for {recipe.epochs} from the start"
    rate = recipe.optimizer.lr
    return (
        f"{changed}; the schedule {recipe.schedule.name!r} depends on the end: it followed {before} until now and "
        f"follows {recipe.epochs} from here on, so the next learning rate is {rate * new(clock):.3g} instead of "
        f"{rate * old(clock):.3g}, and the result differs from a training meant for {recipe.epochs} from the start"
    )


def _at(clock: Clock, share: float) -> Clock:
    """Return a clock at a share of the way from the start to `clock`, on a step before it."""
    return replace(clock, step=round(share * (clock.step - 1)), seconds=share * clock.seconds)


def _averages_alike(recipe: Recipe, before: Duration, clock: Clock) -> bool:
    """Return whether the same epochs have entered the average of the weights as in a training meant for the new end."""
    average = recipe.average
    ends = (replace(clock, step=epoch * clock.steps_per_epoch) for epoch in range(1, clock.epoch + 1))
    return average is None or all(average.due(end, before) == average.due(end, recipe.epochs) for end in ends)


def _stages_alike(recipe: Recipe, before: Duration, clock: Clock) -> bool:
    """Return whether images had the same sizes, and layers were frozen, as in a training meant for the new end.

    With freezing, or staged transfer, that is so at the start only: the rates of the layers, and when they are
    trained, depend on the end.
    """
    staged = isinstance(recipe.transfer, Staged) and recipe.transfer.thawed > 0
    if (recipe.freezing is not None or staged) and clock.step > 0:
        return False
    if recipe.resizing is None:
        return True
    lengths = [epochs_of(length, clock.steps_per_epoch) for length in (before, recipe.epochs)]
    past = range(math.ceil(clock.epochs))
    old, new = ([recipe.resizing.side(epoch / length, _FULL) for epoch in past] for length in lengths)
    return old == new


def _evaluations_used(recipe: Recipe) -> list[str]:
    """Return what depends on every evaluation of the validation split, in words."""
    uses = ["the schedule plateau"] if isinstance(recipe.schedule, Plateau) else []
    uses += ["early stopping"] if recipe.stop.patience is not None else []
    return uses + (["the choice of the weights"] if recipe.stop.keep == "best" else [])


def _evaluated_extra(recipe: Recipe, before: Duration, clock: Clock) -> bool:
    """Return whether the former end was reached, and an evaluation made there that was not due."""
    every, last = recipe.evaluate_every, replace(clock, step=max(clock.step - 1, 0))
    return before.reached(clock) and int(every.progress(clock)) == int(every.progress(last))
