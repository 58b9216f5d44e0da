"""Batches whose images have a size of their own in each epoch."""

from __future__ import annotations

from collections.abc import Callable, Generator

from striate.core.batch import Batch
from striate.core.progress import Progress, silent
from striate.core.spec import InputSpec
from striate.data.loading.loader import Loader

Make = Callable[[InputSpec, Progress], Loader]


class SizedLoader:
    """The batches of the loader that `make` returns for the preparation `spec` of an epoch.

    An epoch has `steps` batches. The loader of one size is kept at a time, and is made when its first epoch begins.
    `progress` is that of the first one.
    """

    def __init__(self, steps: int, spec: Callable[[int], InputSpec], make: Make, progress: Progress = silent) -> None:
        self._steps, self._spec, self._make, self._progress = steps, spec, _latest(make), progress

    def __len__(self) -> int:
        return self._steps

    def on(self, device: str) -> SizedLoader:
        """Return the loader whose batches are prepared on `device` (`Loader.on`)."""
        return self._changed(lambda loader: loader.on(device))

    def undivided(self) -> SizedLoader:
        """Return the loader of whole batches, where each of several processes loads a part of them."""
        return self._changed(Loader.undivided)

    def epoch(self, epoch: int, *, start: int = 0) -> Generator[Batch, None, None]:
        """Yield the batches of an epoch from number `start` on.

        Raises:
            DataError: an image that could be read before cannot be read now; the message names it.
        """
        progress, self._progress = self._progress, silent
        yield from self._make(self._spec(epoch), progress).epoch(epoch, start=start)

    def _changed(self, change: Callable[[Loader], Loader]) -> SizedLoader:
        """Return the loader of changed loaders; images of the present size are prepared once for both."""
        return SizedLoader(
            self._steps, self._spec, lambda spec, progress: change(self._make(spec, progress)), self._progress
        )


def _latest(make: Make) -> Make:
    """Return `make`, which keeps what it made last."""
    kept: list[tuple[InputSpec, Loader]] = []

    def made(spec: InputSpec, progress: Progress) -> Loader:
        if not kept or kept[0][0] != spec:
            kept.clear()  # before the next size takes memory
            kept.append((spec, make(spec, progress)))
        return kept[0][1]

    return made
