"""Measure the layers of a run while it trains, without changing what it computes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from striate.core.batch import Batch
from striate.core.duration import Clock, Duration
from striate.core.errors import RunError, TrainingError
from striate.core.files import open_regular, storage_error, write_atomically
from striate.core.protocols import Batches
from striate.diagnosing import (
    History,
    Judgement,
    LayerHealth,
    Measurement,
    judge,
    layer_health,
    read_history,
    weighted,
)
from striate.runs.folder import Run
from striate.training import Ending, Event, SafePoint, StepDone, TrainState

IMAGES = 32
"""Most images that layers are measured on: the first of the first training batch."""
SHARE = 0.02
"""Largest share of the training's steps that measuring may cost."""
_COST = 1.6
"""Cost of a measurement, relative to a training step on as many images: 1.3 to 1.6 were measured."""


@dataclass(frozen=True)
class Diagnosed:
    """A measurement of the layers, and the judgement on the training so far."""

    clock: Clock
    measurement: Measurement
    judgement: Judgement


def read_measurements(path: Path) -> tuple[Measurement, ...]:
    """Read the measurements of a run; a run that is short or old has none.

    Raises:
        RunError: the file is damaged.
    """
    if not path.exists():
        return ()
    try:
        with open_regular(path) as file:
            lines = file.read().split(b"\n")[:-1]  # a kill can leave half a line
        return tuple(map(_read, lines))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RunError(f"{path} is damaged ({error}). Remove it: the run can be used without it.") from error


def _read(line: bytes) -> Measurement:
    stored = json.loads(line)
    return Measurement(**stored | {"layers": tuple(LayerHealth(**layer) for layer in stored["layers"])})


class HealthWatch:
    """The events of a run's training with measurements of its layers among them, which are recorded in the run.

    Measurements are made at the end of the training, at its start, and at ends of epochs between, as many as `SHARE`
    of its steps pay for, in this order; a training that is too short for one has none. Their times depend on the clock
    alone, and their values on the weights, so that a resumed run repeats them. Weights, statistics, gradients,
    optimizer and random numbers are those of a training that is not watched.
    """

    def __init__(self, run: Run, state: TrainState, batches: Batches, *, until: Duration, batch_size: int) -> None:
        self._path, self._log = run.health_file, run.events_file
        self._state, self._batches, self._until, self._size = state, batches, until, batch_size
        self._period = _COST * min(IMAGES, self._size) / SHARE  # images trained on for each measurement
        self._before: dict[str, Tensor] = {}
        self._updates: dict[str, float] = {}
        self._rate = 0.0
        self._probe: Batch | None = None
        self._events: list[dict[str, Any]] = []
        self._read = 0  # bytes of the log
        found = read_measurements(self._path)
        self._measurements = [each for each in found if each.step <= state.clock.step and not each.diverged]
        if self._path.exists():
            write_atomically(self._path, b"".join(map(_line, self._measurements)))

    def over(self, events: Generator[Event, None, Ending]) -> Generator[Event | Diagnosed, None, Ending]:
        """Yield `events`, and each measurement before the safe point at which it is made."""
        with contextlib.closing(events), self._noting_divergence():
            if self._state.clock.step == 0 and self._pays(2):
                yield self._diagnosed(0.0)
            self._prepare()
            while True:
                try:
                    event = next(events)
                except StopIteration as end:
                    if self._pays(1) and self._last_step < self._state.clock.step:  # it stopped early
                        yield self._diagnosed(1.0)
                    return end.value
                if isinstance(event, StepDone):
                    self._rate = event.learning_rate
                    self._compare()
                if isinstance(event, SafePoint) and self._due(event.clock):
                    yield self._diagnosed(min(1.0, self._until.progress(event.clock)))
                yield event
                if isinstance(event, SafePoint):
                    self._prepare()

    def _pays(self, count: int) -> bool:
        """Return whether the training is long enough for `count` measurements.

        The length of a training that is limited by time is not known: its steps so far count, and at its start it is
        taken to be long enough.
        """
        clock = self._state.clock
        steps = self._until.steps(clock.steps_per_epoch)
        if steps is None and clock.step == 0:
            return True
        return self._periods(steps or clock.step) >= count

    def _periods(self, steps: int) -> float:
        """Return how many measurements so many steps pay for."""
        return steps * self._size / self._period

    def _due(self, clock: Clock) -> bool:
        """Return whether a measurement is due at `clock`: at the end, or at the first end of an epoch in a period.

        Those between begin with the second period and omit the last one: start and end have used these up.
        """
        if self._until.reached(clock):
            return self._pays(1)
        steps = self._until.steps(clock.steps_per_epoch)
        if not clock.at_epoch_end or (steps is not None and self._periods(steps - clock.step) < 1):
            return False
        now, before = (int(self._periods(step)) for step in (clock.step, clock.step - clock.steps_per_epoch))
        return now > max(1, before)

    def _prepare(self) -> None:
        """Copy the weights if a measurement is due after the next step."""
        if self._due(self._state.clock.tick(0.0)):
            layers = weighted(self._state.model)
            self._before = {
                path: layer.weight.detach().clone() for path, layer in layers.items() if layer.weight.requires_grad
            }

    def _compare(self) -> None:
        """Compute how much the last step has changed the weights that were copied before it."""
        layers = weighted(self._state.model) if self._before else {}
        self._updates = {
            path: float((layers[path].weight.detach() - before).double().norm() / before.double().norm())
            for path, before in self._before.items()
        }
        self._before = {}

    @property
    def _last_step(self) -> int:
        return self._measurements[-1].step if self._measurements else 0

    def _diagnosed(self, share: float) -> Diagnosed:
        """Measure the layers, and judge the training, of which `share` is over."""
        clock, failure = self._state.clock, None
        layers = self._layers()
        if isinstance(layers, str):
            layers, failure = (), layers
        measurement = Measurement(step=clock.step, epoch=clock.epochs, rate=self._rate, layers=layers, failure=failure)
        self._append(measurement)
        return Diagnosed(clock, measurement, judge(self._history(), self._measurements, share=share))

    def _history(self) -> History:
        """Return the curves so far, from the lines of the log that were not read before."""
        with open_regular(self._log) as file:
            file.seek(self._read)
            new = file.read()
        self._read += len(new)
        self._events += map(json.loads, new.splitlines())
        return read_history(self._events)

    def _layers(self) -> tuple[LayerHealth, ...] | str:
        """Measure the layers; return the reason where that fails."""
        state = self._state

        def loss(model: nn.Module) -> Tensor:
            with state.plan.autocast():
                return state.task.loss(model, self._probe_batch())

        try:
            with state.plan.in_effect():
                return layer_health(state.model, loss, updates=self._updates)
        except Exception as error:  # a network of the user's own may do anything; measuring must not end its training
            return f"{type(error).__name__}: {error}"

    def _probe_batch(self) -> Batch:
        """Return the first images of the first training batch, the same in every session."""
        if self._probe is None:
            first = next(iter(self._batches.epoch(0)))
            count = min(IMAGES, self._state.plan.micro_batch or IMAGES)  # as many as memory is known to hold
            images = self._state.plan.place(first.images[:count])
            self._probe = Batch(images, first.targets[:count].to(images.device), first.index[:count])
        return self._probe

    @contextlib.contextmanager
    def _noting_divergence(self) -> Iterator[None]:
        try:
            yield
        except TrainingError:
            clock = self._state.clock
            self._append(Measurement(step=clock.step, epoch=clock.epochs, rate=self._rate, diverged=True))
            raise

    def _append(self, measurement: Measurement) -> None:
        self._measurements.append(measurement)
        try:
            with open(self._path, "ab") as file:
                file.write(_line(measurement))
        except OSError as error:
            raise storage_error(self._path, error) from error


def _line(measurement: Measurement) -> bytes:
    return json.dumps(asdict(measurement)).encode() + b"\n"
