"""Write and remove the checkpoints of a session."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from striate.core.errors import ConfigError, DataError, TrainingError
from striate.core.files import make_folder, sweep
from striate.training.checkpoint import Checkpoint, checkpoint_path, checkpoint_steps, snapshot, write_checkpoint
from striate.training.event_log import EventLog
from striate.training.events import Event, SafePoint
from striate.training.state import TrainState


@dataclass(frozen=True, kw_only=True)
class CheckpointPolicy:
    """Policy for writing checkpoints.

    A training is saved after every epoch while that takes at most `share` of the time (an epoch of a small model can be
    shorter than writing its checkpoint), and every `seconds` within long epochs.
    """

    seconds: float = 60.0
    share: float = 0.02

    def __post_init__(self) -> None:
        if self.seconds <= 0 or self.share <= 0:
            raise ConfigError(
                f"A checkpoint policy needs seconds and a share above 0; received {self.seconds:g} and {self.share:g}."
            )


Publish = Callable[[Checkpoint, int | None], None]
"""Callback after each checkpoint, with the checkpoint and the step of the best evaluation (None before the first)."""


class CheckpointManager:
    """Write the checkpoints of one session; keep the last two and the best; on exit, save the valid state.

    The best state is copied in memory when it occurs and written together with the next checkpoint, so that a fast
    model that improves at every epoch does not wait for the disk at every epoch. A kill in between loses nothing: the
    training resumes from the checkpoint before and reaches the same best again.
    """

    def __init__(
        self,
        folder: Path,
        state: TrainState,
        log: EventLog,
        policy: CheckpointPolicy,
        best_step: int | None,
        publish: Publish | None = None,
    ) -> None:
        self.folder, self._publish = folder, publish
        self._state, self._log, self._policy = state, log, policy
        self._best: Checkpoint | None = None
        self._best_step = best_step
        self._last: Event | None = None
        self._recent: deque[set[int]] = deque([self._needed()], maxlen=2)
        self._saved_step: int | None = None
        self._cost = 0.0
        self._saved_at = time.monotonic()
        make_folder(folder)
        sweep(folder)

    def __enter__(self) -> CheckpointManager:
        if self._state.clock.step == 0:
            self.save()  # so that a run that is killed in its first epoch keeps its plan
        return self

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> None:
        """Save the present state at the end and at a safe point, else the best state so far.

        At a safe point, a `break` of the consumer and an unreadable image save the present state too. After a loss that
        is not finite, the best weights so far may be the last valid ones.
        """
        safe = self._last is None or isinstance(self._last, SafePoint)
        if kind is None or (safe and issubclass(kind, DataError)):
            self.save()
        elif issubclass(kind, (DataError, TrainingError, KeyboardInterrupt)):
            self.save_best()
        elif issubclass(kind, GeneratorExit) and isinstance(self._last, SafePoint):
            self.save()
            self._log.write("stopped", clock=self._last.clock)

    def observe(self, event: Event, *, best: bool) -> None:
        """Record `event`; at a safe point, copy the state in memory if it is the `best` so far, and save if due."""
        self._log.record(event)
        self._last = event
        if isinstance(event, SafePoint):
            if best:
                self._best_step = self._state.clock.step
                self._best = snapshot(self._state, self._log.position())
            self.save_if_due()

    def save_if_due(self) -> None:
        """Save at this safe point if the policy requires it."""
        elapsed = time.monotonic() - self._saved_at
        cheap = self._cost <= self._policy.share * elapsed
        if elapsed >= self._policy.seconds or (self._state.clock.at_epoch_end and cheap):
            self.save()

    def save(self) -> None:
        """Write the present state, and the best if it is not yet written; then remove checkpoints not needed.

        Raises:
            StriateError: the folder cannot be written, or the disk is full; existing checkpoints do not change.
        """
        if self._saved_step == self._state.clock.step:
            return
        started = time.monotonic()
        self.save_best()
        if self._saved_step != self._state.clock.step:
            self._write(snapshot(self._state, self._log.position()))
        self._recent.append(self._needed())
        kept = set().union(*self._recent)
        for step in checkpoint_steps(self.folder):
            if step not in kept:
                with contextlib.suppress(OSError):  # a folder with the name of a checkpoint
                    checkpoint_path(self.folder, step).unlink(missing_ok=True)
        self._saved_at = time.monotonic()
        self._cost = self._saved_at - started

    def save_best(self) -> None:
        """Write the best state if it is not yet written."""
        if self._best is not None:
            self._write(self._best)
            self._best = None

    def _write(self, checkpoint: Checkpoint) -> None:
        self._log.sync()  # the checkpoint names a position in the log, which must survive a power cut
        write_checkpoint(self.folder, checkpoint)
        self._saved_step = checkpoint.clock.step
        if self._publish is not None:
            self._publish(checkpoint, self._best_step)

    def _needed(self) -> set[int]:
        """Return the checkpoints that a resume at this step needs: this one, and the best so far."""
        return {self._state.clock.step} | ({self._best_step} if self._best_step is not None else set())
