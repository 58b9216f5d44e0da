"""Which checkpoints are written when, and which are kept."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from striate.core.errors import ConfigError
from striate.core.files import make_folder, sweep
from striate.training.checkpoint import Checkpoint, checkpoint_path, checkpoint_steps, snapshot, write_checkpoint
from striate.training.event_log import Journal
from striate.training.state import TrainState


@dataclass(frozen=True, kw_only=True)
class Saving:
    """How often a training is saved: after every epoch as long as that takes at most `share` of the time (an epoch of
    a small network is over before its checkpoint is on the disk), and every `seconds` within long epochs."""

    seconds: float = 60.0
    share: float = 0.02

    def __post_init__(self) -> None:
        if self.seconds <= 0 or self.share <= 0:
            raise ConfigError(f"Saving needs seconds and a share above 0; received {self.seconds:g}, {self.share:g}.")


Publish = Callable[[Checkpoint, int | None], None]
"""Told of each checkpoint that was written, with the step of the best evaluation so far (None before the first)."""


class Keeper:
    """Writes the checkpoints of one sitting, and keeps the last two and the best.

    The best is copied in memory when it occurs and written together with the next checkpoint, so that a quick network
    that improves at every epoch does not wait for the disk at every epoch. A kill in between loses nothing: the
    training goes on from the checkpoint before, and meets the same best again.
    """

    def __init__(
        self,
        folder: Path,
        state: TrainState,
        journal: Journal,
        saving: Saving,
        best_step: int | None,
        publish: Publish | None = None,
    ) -> None:
        self.folder, self._publish = folder, publish
        self._state, self._journal, self._saving = state, journal, saving
        self._best: Checkpoint | None = None
        self._best_step = best_step
        self._recent: deque[set[int]] = deque([self._needed()], maxlen=2)
        self._saved_step: int | None = None
        self._cost = 0.0
        self._saved_at = time.monotonic()
        make_folder(folder)
        sweep(folder)

    def remember_best(self) -> None:
        """Keep the state as it is now as the best so far."""
        self._best_step = self._state.clock.step
        self._best = snapshot(self._state, self._journal.mark())

    def save_if_due(self) -> None:
        """Save at this safe point, if it is time to."""
        elapsed = time.monotonic() - self._saved_at
        cheap = self._cost <= self._saving.share * elapsed
        if elapsed >= self._saving.seconds or (self._state.clock.at_epoch_end and cheap):
            self.save()

    def save(self) -> None:
        """Write the state as it is now, and the best if it is not yet written; then remove what nobody needs.

        Raises:
            StriateError: the folder cannot be written, or the disk is full; what was there is untouched.
        """
        if self._saved_step == self._state.clock.step:
            return
        started = time.monotonic()
        self.save_best()
        if self._saved_step != self._state.clock.step:
            self._write(snapshot(self._state, self._journal.mark()))
        self._recent.append(self._needed())
        kept = set().union(*self._recent)
        for step in checkpoint_steps(self.folder):
            if step not in kept:
                with contextlib.suppress(OSError):  # something else of that name, which nobody reads
                    checkpoint_path(self.folder, step).unlink(missing_ok=True)
        self._saved_at = time.monotonic()
        self._cost = self._saved_at - started

    def save_best(self) -> None:
        """Write the best, if it is not yet written."""
        if self._best is not None:
            self._write(self._best)
            self._best = None

    def _write(self, checkpoint: Checkpoint) -> None:
        self._journal.sync()  # a checkpoint names a place in the journal, which must be there after a power cut
        write_checkpoint(self.folder, checkpoint)
        self._saved_step = checkpoint.clock.step
        if self._publish is not None:
            self._publish(checkpoint, self._best_step)

    def _needed(self) -> set[int]:
        """The checkpoints that a resume at this step would need: this one, and the best as of now."""
        return {self._state.clock.step} | ({self._best_step} if self._best_step is not None else set())
