"""Batches whose images have a size of their own in each epoch."""

from __future__ import annotations

from collections.abc import Callable, Generator

from striate.core.batch import Batch
from striate.core.progress import Progress, silent
from striate.core.spec import InputSpec
from striate.data.loading.loader import Loader


class SizedLoader:
    """The batches of the loader that `make` returns for the preparation `spec` of an epoch.

    An epoch has `steps` batches. The loader of one size is kept at a time, and is made when its first epoch begins.
    `progress` is that of the first one.
    """

    def __init__(
        self,
        steps: int,
        spec: Callable[[int], InputSpec],
        make: Callable[[InputSpec, Progress], Loader],
        progress: Progress = silent,
    ) -> None:
        self._steps, self._spec, self._make, self._progress = steps, spec, make, progress
        self._kept: tuple[InputSpec, Loader] | None = None

    def __len__(self) -> int:
        return self._steps

    def on(self, device: str) -> SizedLoader:
        """Return the loader whose batches are prepared on `device` (`Loader.on`)."""

        def make(spec: InputSpec, progress: Progress) -> Loader:
            return self._make(spec, progress).on(device)

        return SizedLoader(self._steps, self._spec, make, self._progress)

    def undivided(self) -> SizedLoader:
        """Return the loader of whole batches, where each of several processes loads a part of them."""
        return SizedLoader(self._steps, self._spec, lambda spec, progress: self._make(spec, progress).undivided())

    def epoch(self, epoch: int, *, start: int = 0) -> Generator[Batch, None, None]:
        """Yield the batches of an epoch from number `start` on.

        Raises:
            DataError: an image that could be read before cannot be read now; the message names it.
        """
        spec = self._spec(epoch)
        if self._kept is None or self._kept[0] != spec:
            progress, self._progress, self._kept = self._progress, silent, None
            self._kept = spec, self._make(spec, progress)
        yield from self._kept[1].epoch(epoch, start=start)
