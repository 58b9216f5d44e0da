"""Events that the training loop yields: read them with a `for`, stop the training with a `break`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from striate.core.duration import Clock


@dataclass(frozen=True)
class StepDone:
    """One update: the loss of its batch before the update, and the learning rate."""

    clock: Clock
    loss: float
    learning_rate: float


@dataclass(frozen=True)
class Evaluated:
    """An evaluation of the model at `clock`."""

    clock: Clock
    scores: Mapping[str, float]


@dataclass(frozen=True)
class MemoryShort:
    """Memory was short in the step that ended at `clock`, which was computed again.

    From this step on, at most `micro_batch` images of a batch are computed at once, and their gradients are added.
    `normalized`: batch normalization takes its statistics over so many images.
    """

    clock: Clock
    micro_batch: int
    normalized: bool

    def sentence(self) -> str:
        """Describe the event and its consequences."""
        images = "1 image" if self.micro_batch == 1 else f"{self.micro_batch} images"
        change = (
            "; batch norms take their statistics over these. To keep them at the whole batch: memory.recompute=true"
            if self.normalized
            else ""
        )
        return (
            f"memory is short: from step {self.clock.step} on, at most {images} of a batch are computed at once, and "
            f"their gradients are added{change}"
        )


@dataclass(frozen=True)
class SafePoint:
    """A point where training may be stopped or saved: after resuming, no event is missing or repeated."""

    clock: Clock


Event = StepDone | MemoryShort | Evaluated | SafePoint
