"""What becomes of a run that was stopped, killed or crashed: it goes on, or it ends where it stands."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

from striate.core.device import settings_kept
from striate.core.duration import Duration
from striate.core.errors import RunError
from striate.core.progress import Progress, silent
from striate.data.audit.audit import audit
from striate.data.loading.own_loaders import Loaders
from striate.data.sources.opening import open_data
from striate.runs.conclude import conclude
from striate.runs.ending import check_end, consequence
from striate.runs.events import RunFinished
from striate.runs.folder import Plan, Run
from striate.runs.images import Changes
from striate.runs.origin import Origin, check_settings
from striate.runs.own_loaders import PreparedLoaders
from striate.runs.prepare import Prepared, TrainingData, prepare_again, prepare_data
from striate.runs.start import RunEvent, carry_out
from striate.runs.train import Session, Start
from striate.tasks import TASKS
from striate.training import Checkpoint, EarlyStopping, Ending, Journal, newest_checkpoint, read_events


def go_on(
    run: Run,
    *,
    inexact: bool,
    epochs: str | int | None = None,
    loaders: Loaders | None = None,
    progress: Progress = silent,
) -> Generator[RunEvent, None, None]:
    """Go on with a run from its last good checkpoint, to its end or to another one; of a run that is complete, judge it
    anew. A run that was trained on loaders needs them again.

    Raises:
        RunError: the run is damaged or busy, it is past the end that is asked for, or going on would not be exact and
            `inexact` was not said.
        ConfigError: `epochs` is no duration.
        DataError: the data are gone.
    """
    end = None if epochs is None else Duration.parse(epochs)
    plan = Plan.read(run)
    with run.writing(), settings_kept():
        checkpoint, refused = newest_checkpoint(run.checkpoints)
        origin = Origin.read(run, checkpoint)
        if origin is None:  # it was killed before it had made a step
            plan = plan if end is None else plan.ending(end, before=plan.recipe.epochs)
            prepared = _anew(plan, loaders, progress)
            yield from carry_out(run, plan, prepared, Start(refused=tuple(refused)), progress=progress)
            return
        plan, changes = _planned(run, plan, origin, checkpoint, end, inexact=inexact)
        prepared, lost = _again(plan, run, origin, loaders, inexact=inexact, progress=progress)
        if lost is not None:
            changes.append(f"data: {lost}; the other images are used as before")
        if isinstance(prepared, Prepared) and lost is not None and checkpoint is not None:
            prepared = replace(prepared, steps=checkpoint.clock.steps_per_epoch)
        start = Start(checkpoint, origin.execution, tuple(refused), tuple(changes), inexact=inexact)
        yield from carry_out(run, plan, prepared, start, progress=progress)


def finish_run(run: Run, *, loaders: Loaders | None = None, progress: Progress = silent) -> RunFinished:
    """End a run where its last good checkpoint stands: judge the weights to keep, and write the classifier.

    Images that cannot be read any more are left out. A run that was trained on loaders needs them again.

    Raises:
        RunError: the run is damaged or busy, or has not made a step yet.
        DataError: the data are gone.
    """
    plan = Plan.read(run)
    with run.writing(), settings_kept():
        checkpoint, _ = newest_checkpoint(run.checkpoints)
        origin = Origin.read(run, checkpoint)
        if checkpoint is None or origin is None or checkpoint.clock.step == 0:
            raise RunError(
                f"{run.path} has learned nothing yet that could be kept. Go on with it: striate resume {run.argument}"
            )
        plan = replace(plan, recipe=origin.recipe or plan.recipe)
        prepared, lost = _again(plan, run, origin, loaders, inexact=True, progress=progress)
        with Journal(run.events_file, checkpoint.mark) as journal:
            ending = _ending(run, plan, checkpoint)
            journal.write("finished", clock=checkpoint.clock, reason=ending.reason, best_step=ending.best_step)
        conclusion = conclude(run, Session(plan, prepared), ending)
        gone = conclusion.unread if lost is None else (*lost.missing, *conclusion.unread)
        return RunFinished(
            run=run,
            reason=ending.reason,
            kept_epoch=conclusion.kept_epoch,
            judgements=conclusion.judgements,
            unread=gone,
        )


def _planned(
    run: Run, plan: Plan, origin: Origin, checkpoint: Checkpoint | None, end: Duration | None, *, inexact: bool
) -> tuple[Plan, list[str]]:
    """The plan to go on with, and in phrases how it differs from the one that was followed until now."""
    before = (origin.recipe or plan.recipe).epochs
    if end is not None:
        plan = plan.ending(end, before)
    changes = check_settings(run, origin, plan, inexact=inexact)
    if plan.recipe.epochs != before and checkpoint is not None:
        check_end(run, plan.recipe.epochs, checkpoint.clock)
        changes = [phrase for phrase in changes if not phrase.startswith("epochs ")]
        changes.append(consequence(plan.recipe, before, checkpoint.clock))
    return plan, changes


def _anew(plan: Plan, loaders: Loaders | None, progress: Progress) -> TrainingData:
    """The data, prepared as for a new run."""
    if loaders is not None:
        return PreparedLoaders.read(loaders, TASKS[plan.recipe.task]())
    found = audit(open_data(plan.data, progress=progress), progress=progress)
    return prepare_data(plan.recipe, found, progress=progress)


def _again(
    plan: Plan, run: Run, origin: Origin, loaders: Loaders | None, *, inexact: bool, progress: Progress
) -> tuple[TrainingData, Changes | None]:
    """The data as they were prepared when the run began, and what changed since."""
    if loaders is None:
        return prepare_again(plan, run, origin, inexact=inexact, progress=progress)
    prepared = PreparedLoaders.read(loaders, TASKS[plan.recipe.task]())
    if prepared.digest != origin.first_data:
        raise RunError(
            "The data are not those that this run was started with: the loaders differ. Give those, or start a new run."
        )
    return prepared, None


def _ending(run: Run, plan: Plan, checkpoint: Checkpoint) -> Ending:
    """Why the training is over at `checkpoint`, and where it was best."""
    stop, end = plan.recipe.stop, plan.recipe.epochs
    stopping = EarlyStopping(stop.metric, stop.patience)
    for event in read_events(run.events_file):
        if event["event"] == "evaluated":
            stopping.note(event["clock"]["step"], event["scores"])
    if stopping.exhausted:
        return Ending(stopping.reason, stopping.best_step)
    complete = end.reached(checkpoint.clock)
    reason = f"trained for {end}" if complete else f"ended by 'striate finish' at {end.position(checkpoint.clock)}"
    return Ending(reason, stopping.best_step)
