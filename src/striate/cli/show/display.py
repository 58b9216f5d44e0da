"""The display of a training: nothing, lines of text, or one line that moves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column

from striate.cli.show.console import console
from striate.cli.show.evaluation import sentence
from striate.cli.show.pace import Pace
from striate.core.config import written
from striate.core.errors import command
from striate.core.names import visible
from striate.metrics import headline
from striate.runs.diagnosis import diagnose_run
from striate.runs.effect import settings_in_effect
from striate.runs.events import RunFinished, RunStarted
from striate.runs.health import Diagnosed
from striate.runs.images import named
from striate.runs.transfer import Features
from striate.training.events import Evaluated, MemoryShort, StepDone

_BAR = 12
_LINES = 30
"""At most about this many plain lines for one training, however many epochs it has."""


@contextlib.contextmanager
def display(quiet: bool) -> Iterator[Quiet | Plain | Live]:
    """Yield the display of a training: nothing, plain lines, or on a terminal a line that moves."""
    screen = console()
    if quiet:
        yield Quiet()
    elif not screen.is_terminal:
        yield Plain(screen)
    else:
        # On a narrow terminal the text continues on a second line, which ends with the time left.
        text = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=False))
        columns = (BarColumn(bar_width=_BAR), text)
        with Progress(*columns, console=screen, transient=True) as bar:
            yield Live(screen, bar)


class Quiet:
    """Shows nothing."""

    def show(self, event: object) -> None:
        """Show nothing."""

    def stage(self, name: str, done: int, total: int) -> None:
        """Show nothing."""


class Plain:
    """Lines of text: the start, at most about `_LINES` evaluations, the end."""

    def __init__(self, screen: Console) -> None:
        self.screen = screen
        self.pace: Pace  # from the start of the training on
        self._evaluations = 0
        self._faults: set[str] = set()

    def show(self, event: object) -> None:
        """Print the event, if it is worth a line in a log."""
        match event:
            case RunStarted():
                self.pace = Pace(event)
                self.screen.print(started(event))
            case StepDone():
                self.pace.step(event.clock, event.loss)
                self.stepped()
            case MemoryShort():
                self.screen.print(f"memory      {event.sentence()}")
            case Evaluated():
                self.pace.evaluated(event.scores)
                self.evaluated()
            case Diagnosed():
                self.diagnosed(event)
            case RunFinished():
                self.screen.print(finished(event))

    def diagnosed(self, event: Diagnosed) -> None:
        """Print faults when they are found first, with what to try next; those at the end follow the scores."""
        found = [fault for fault in event.judgement.faults if fault.outcome not in self._faults]
        if not found or self.pace.share >= 1.0:
            return
        self._faults |= {fault.outcome for fault in found}
        for fault in found:
            self.screen.print(f"diagnosis   epoch {event.clock.epochs:.4g}: {fault.sentence}")
        self.screen.print(f"next        {event.judgement.next}")

    def stage(self, name: str, done: int, total: int) -> None:
        """Print a line when a stage has ended."""
        if done == total:
            self.screen.print(f"{name}: {total:,}")

    def stepped(self) -> None:
        """Print nothing: a log has no line for each step."""

    def evaluated(self) -> None:
        """Print a line for every so many evaluations."""
        self._evaluations += 1
        every = max(1, round(self.pace.evaluations_expected / _LINES))
        if self._evaluations % every == 0 or self._evaluations == 1:
            self.screen.print(self.pace.line())


class Live(Plain):
    """One line that moves, on a terminal; each better evaluation stays above it."""

    def __init__(self, screen: Console, bar: Progress) -> None:
        super().__init__(screen)
        self.bar = bar
        self.task: TaskID | None = None
        self._best = 0.0

    def _move(self, share: float, text: str) -> None:
        if self.task is None:
            self.task = self.bar.add_task("", total=1.0)
        self.bar.update(self.task, description=visible(text), completed=share)

    def stage(self, name: str, done: int, total: int) -> None:
        """Move the bar through the stage."""
        self._move(done / max(total, 1), f"{name}: {done:,} of {total:,}")

    def stepped(self) -> None:
        """Move the bar to this step."""
        self._move(self.pace.share, self.pace.line(self.screen.width - _BAR - 2))

    def evaluated(self) -> None:
        """Keep a line for a score that is the best so far."""
        score = headline(self.pace.scores)[1] or 0.0
        if score > self._best:
            self._best = score
            self.screen.print(self.pace.line())


def started(event: RunStarted) -> str:
    """Return the lines above the first step: data, model, execution, warnings, and the difference from the recipe."""
    counts = ", ".join(f"{split} {count:,}" for split, count in event.counts.items())
    channels, height, width = event.input.shape
    recipe = event.plan.recipe
    fitted = isinstance(recipe.transfer, Features)  # without epochs and batches
    course = "" if fitted else f"{event.until}, batches of {recipe.batch_size}, "
    lines = [
        f"run         {event.run.path}" + ("" if event.resumed_at is None else f", resumed at step {event.resumed_at}"),
        f"data        {event.plan.data}: {len(event.labels)} classes; {counts}",
        f"model       {recipe.model}: {event.parameters:,} parameters, input {channels}×{height}×{width}",
        f"recipe      {event.plan.base}, {course}seed {recipe.seed}",
        f"execution   {event.execution.sentence()}{_processes(event)}",
    ]
    most = event.execution.micro_batch
    if most is not None and most != recipe.memory.micro_batch:
        lines.append(f"memory      is short for batches of {recipe.batch_size}: at most {most} images at a time")
    in_effect = settings_in_effect(event.plan, event.input, event.labels)
    lines += [f"{each.name:<11} {each.value}  ({each.reason})" for each in in_effect]
    lines += [
        f"difference  {key}: {written(old)} → {written(new)}" for key, (old, new) in event.plan.difference.items()
    ]
    if not event.plan.difference:
        lines.append("difference  none: the recipe as it is")
    lines += [f"changed     {phrase}" for phrase in event.changes]
    lines += [f"audit       {sentence}" for sentence in event.findings]
    return "\n".join(lines)


def _processes(event: RunStarted) -> str:
    """Return the number of processes, where there are several, and the part of each."""
    if event.processes == 1:
        return ""
    recipe = event.plan.recipe
    return f", {event.processes} processes: each computes its part of a batch ({recipe.batch_norm} batch norms)"


def finished(event: RunFinished) -> str:
    """Return the lines below the last step: why it ended, its scores, and the path of the report."""
    kept = "" if event.kept_epoch is None else f"; the weights kept are those of epoch {event.kept_epoch:g}"
    lines = [f"ended       {event.reason}{kept}"]
    lines += [f"{split:<11} {sentence(scores)}" for split, scores in event.scores.items()]
    if event.mirrored:
        lines.append(f"mirrored    {event.mirrored}")
        lines += [f"warning     {event.mirrored.warning}"] if event.mirrored.warning else []
    if event.unread:
        lines.append(f"left out    cannot be read any more: {named(event.unread)}")
    judgement = None if event.kept_epoch is None else diagnose_run(event.run).judgement
    if judgement is not None and judgement.faults:
        lines += [f"diagnosis   {fault.sentence}" for fault in judgement.faults]
        lines.append(f"next        {judgement.next}")
    lines += [f"report      {event.run.report_file}", f"predict     {command('predict', event.run.path)} IMAGES"]
    return "\n".join(lines)
