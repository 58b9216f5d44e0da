"""The progress of a training: a live line on a terminal, plain lines elsewhere, nothing when quiet."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator, Mapping
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column

from striate.cli.interrupt import interruptible
from striate.cli.show.console import console, percent, span
from striate.cli.show.judgement import sentence

_LINES = 30
"""At most about this many plain lines for one training, however many epochs it has."""


def show_training(
    events: Generator[Any, None, Any],
    *,
    quiet: Annotated[bool, Parameter(help="print nothing but errors.")] = False,
) -> None:
    """Follow a training to its end, or to the safe point after Ctrl-C."""
    from striate.core.allocator import tune_process
    from striate.recipes.events import RunStarted
    from striate.training.events import SafePoint

    tuning = tune_process()  # before the first large buffer; this process is ours
    if not tuning.applied and not quiet:
        print(f"allocator   {tuning.reason}")
    run = None
    with interruptible() as interrupt, contextlib.closing(events), _display(quiet) as display:
        for event in events:
            display.show(event)
            run = event.run if isinstance(event, RunStarted) else run
            # Before the training there is nothing to save; during it, only a safe point owes nothing.
            if interrupt.requested and (run is None or isinstance(event, SafePoint)):
                break
        else:
            return
    if run is None:
        raise KeyboardInterrupt
    if not quiet:
        print(f"Stopped and saved. Go on with:  striate resume {run.path}")


@contextlib.contextmanager
def _display(quiet: bool) -> Iterator[Quiet | Plain | Live]:
    screen = console()
    if quiet:
        yield Quiet()
    elif not screen.is_terminal:
        yield Plain(screen)
    else:
        # On a narrow terminal the text goes on in a second line: the time left stands at its end.
        text = TextColumn("{task.description}", table_column=Column(no_wrap=False))
        columns = (BarColumn(bar_width=12), text)
        with Progress(*columns, console=screen, transient=True) as bar:
            yield Live(screen, bar)


class Quiet:
    """Shows nothing."""

    def show(self, event: object) -> None:
        """Nothing."""


class Plain:
    """Lines of text: the start, at most about `_LINES` evaluations, the end."""

    def __init__(self, screen: Console) -> None:
        self.screen = screen
        self.pace = Pace()
        self._evaluations = 0

    def show(self, event: object) -> None:
        """Print what a person who reads a log wants to know."""
        from striate.recipes.events import RunFinished, RunStarted
        from striate.recipes.stage import Progress as Stage
        from striate.training.events import Evaluated, StepDone

        match event:
            case RunStarted():
                self.pace.start(event)
                self.screen.print(started(event))
            case StepDone():
                self.pace.step(event.clock, event.loss)
                self.stepped()
            case Evaluated():
                self.pace.evaluated(event.scores)
                self.evaluated()
            case Stage():
                self.stage(event.stage, event.done, event.total)
            case RunFinished():
                self.screen.print(finished(event))

    def stage(self, name: str, done: int, total: int) -> None:
        """Say once that a stage has ended."""
        if done == total:
            self.screen.print(f"{name}: {total:,}")

    def stepped(self) -> None:
        """A log has no line for each step."""

    def evaluated(self) -> None:
        """A line for every so many evaluations."""
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
        self.bar.update(self.task, description=text, completed=share)

    def stage(self, name: str, done: int, total: int) -> None:
        """Move the bar through the stage."""
        self._move(done / max(total, 1), f"{name}: {done:,} of {total:,}")

    def stepped(self) -> None:
        """Move the bar to this step."""
        self._move(self.pace.share, self.pace.line())

    def evaluated(self) -> None:
        """Keep a line for an accuracy that is the best so far."""
        accuracy = self.pace.scores.get("accuracy", 0.0)
        if accuracy > self._best:
            self._best = accuracy
            self.screen.print(self.pace.line())


class Pace:
    """Where a training stands, how fast it goes and when it will be over."""

    def __init__(self) -> None:
        self.scores: Mapping[str, float] = {}
        self.share = 0.0
        self.evaluations_expected = 1.0

    def start(self, event: Any) -> None:
        """Note what the line needs to know of the run."""
        self._until, self._batch_size = event.until, event.plan.recipe.batch_size
        self._steps_per_epoch = event.steps_per_epoch
        self._steps = event.until.steps(event.steps_per_epoch)
        self._first: tuple[float, float] | None = None
        self._first_step = event.resumed_at or 0
        if self._steps is not None:
            self.evaluations_expected = self._steps / event.steps_per_epoch

    def step(self, clock: Any, loss: float) -> None:
        """Note one step."""
        self._clock, self._loss = clock, loss
        self.share = min(1.0, self._until.progress(clock))
        if self._first is None:
            self._first = time.monotonic(), self.share
            self._first_step = clock.step

    def evaluated(self, scores: Mapping[str, float]) -> None:
        """Note the validation scores."""
        self.scores = scores

    def line(self) -> str:
        """Epoch, step, loss, validation, pictures per second and time left."""
        assert self._first is not None, "a line is asked for only after a step"
        passed, gained = time.monotonic() - self._first[0], self.share - self._first[1]
        epochs = "" if self._steps is None else f"/{self._steps / self._steps_per_epoch:g}"
        steps = "" if self._steps is None else f"/{self._steps}"
        parts = [
            f"epoch {self._clock.epochs:.4g}{epochs}",
            f"step {self._clock.step}{steps}",
            f"loss {self._loss:.4f}",
        ]
        if self.scores:
            parts.append(f"validation {percent(self.scores.get('accuracy'))} (loss {self.scores['loss']:.4f})")
        if passed > 0 and gained > 0:
            speed = (self._clock.step - self._first_step) * self._batch_size / passed
            parts += [f"{speed:,.0f} pictures/s", f"{span(passed * (1 - self.share) / gained)} left"]
        return "  ".join(parts)


def started(event: Any) -> str:
    """The lines above the first step: data, model, execution, findings, and the difference from the recipe."""
    counts = ", ".join(f"{split} {count:,}" for split, count in event.counts.items())
    channels, height, width = event.input.shape
    recipe = event.plan.recipe
    lines = [
        f"run         {event.run.path}" + ("" if event.resumed_at is None else f", resumed at step {event.resumed_at}"),
        f"data        {event.plan.data}: {len(event.labels)} classes; {counts}",
        f"model       {recipe.model}: {event.parameters:,} parameters, input {channels}×{height}×{width}",
        f"recipe      {event.plan.base}, {event.until}, batches of {recipe.batch_size}, seed {recipe.seed}",
        f"execution   {event.execution.sentence()}",
    ]
    lines += [f"difference  {key}: {old} → {new}" for key, (old, new) in event.plan.difference.items()]
    if not event.plan.difference:
        lines.append("difference  none: the recipe as it is")
    lines += [f"audit       {sentence}" for sentence in event.findings]
    return "\n".join(lines)


def finished(event: Any) -> str:
    """The lines below the last step: why it ended, how well it does, where the report lies."""
    lines = [f"ended       {event.reason}; the weights kept are those of epoch {event.kept_epoch:g}"]
    lines += [f"{split:<11} {sentence(judgement)}" for split, judgement in event.judgements.items()]
    lines += [f"report      {event.run.report_file}", f"predict     striate predict {event.run.path} PICTURES"]
    return "\n".join(lines)
