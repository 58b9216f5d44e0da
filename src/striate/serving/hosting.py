"""The models of a server: loaded, and loaded again when their files are replaced, without a pause."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from striate.classifier import Failure, Prediction, Predictor, Prepared
from striate.classifier.images import ImageLike
from striate.core.errors import StriateError, nearest
from striate.core.spec import InputSpec, LabelSpec
from striate.data.preparation.colour import storage_dtype
from striate.serving.exported import ExportedModel
from striate.serving.refusal import Refusal
from striate.tasks import Task

_POLL = 1.0  # seconds between looks at the files


class Model(Protocol):
    """What is served: a `Predictor`, or an `ExportedModel`."""

    @property
    def labels(self) -> LabelSpec:
        """The classes."""
        ...

    @property
    def task(self) -> Task:
        """What was learned."""
        ...

    def prepared(self, image: ImageLike, name: str) -> Prepared | Failure:
        """Decode and prepare one image, in any thread."""
        ...

    def answered(self, images: Sequence[Prepared]) -> list[Prediction | Failure]:
        """Classify prepared images as one batch."""
        ...


@dataclass(frozen=True, eq=False)
class Source:
    """Where a model comes from.

    `load` opens it. `marker` is the file whose replacement means that the model was replaced; None for a model in
    memory or of the catalogue.
    """

    name: str
    load: Callable[[], Model]
    marker: Path | None = None

    def stamp(self) -> tuple[int, int, int] | None:
        """Return what changes when the marker is replaced; None if it is not there."""
        if self.marker is None:
            return None
        try:
            status = os.stat(self.marker)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model, and how often it was loaded under its name: one object, which is replaced as a whole."""

    model: Model
    version: str


class Hosted:
    """A model that is served under a name. Requests that began with a former `current` are answered by it."""

    def __init__(self, source: Source, *, batch: int) -> None:
        self.source = source
        self._batch = batch
        self._loads = 0
        self._stamp: tuple[int, int, int] | None = None
        self.current: Loaded
        self.load()

    @property
    def name(self) -> str:
        return self.source.name

    def load(self) -> None:
        """Load the model, and run it once so that the first request is as fast as others.

        Raises:
            StriateError: it cannot be loaded; the former one stays.
        """
        self._stamp = self.source.stamp()
        # In a thread that ends. Each thread in which torch computes keeps threads of OpenMP. If all together are more
        # than the cores, OpenMP sends them to sleep after every operation, which costs a third of the throughput.
        with ThreadPoolExecutor(1, "striate-load") as thread:
            model = thread.submit(self._warm).result()
        self._loads += 1
        self.current = Loaded(model, str(self._loads))

    def _warm(self) -> Model:
        model = self.source.load()
        warm_up(model, self._batch)
        return model

    def replaced(self) -> bool:
        """Return whether the files are others than those of the last attempt to load them."""
        stamp = self.source.stamp()
        return stamp is not None and stamp != self._stamp

    async def watch(self, tell: Callable[[Hosted, str | None], None]) -> None:
        """Load the model again whenever its files are replaced.

        `tell` receives None after a load, or the reason why it failed.
        """
        while True:
            await asyncio.sleep(_POLL)
            if not await asyncio.to_thread(self.replaced):
                continue
            try:
                await asyncio.to_thread(self.load)
            except StriateError as error:
                tell(self, str(error))
            except Exception as error:  # any of a runtime's: a watch that ends would leave the next replacement unseen
                tell(self, f"{type(error).__name__}: {error}")
            else:
                tell(self, None)

    def about(self) -> dict[str, Any]:
        """Describe the model for programs, without its path."""
        model, spec = self.current.model, input_of(self.current.model)
        network = model.network if isinstance(model, ExportedModel) else None
        if isinstance(model, Predictor):
            network = " + ".join(member.model_name for member in model.members)
        return {
            "name": self.name,
            "version": self.current.version,
            "network": network,
            "task": model.task.name,
            "classes": list(model.labels.classes),
            "input": {"channels": list(spec.channels), "height": spec.height, "width": spec.width},
            "explains": explains(model),
        }


class Models(Mapping[str, Hosted]):
    """The models of a server by name; the first one answers requests that name none."""

    def __init__(self, hosted: Sequence[Hosted]) -> None:
        self._by_name = {each.name: each for each in hosted}

    @property
    def first(self) -> Hosted:
        return next(iter(self._by_name.values()))

    def named(self, name: str | None) -> Hosted:
        """Return the model `name`, or the first one.

        Raises:
            Refusal: there is none of this name.
        """
        if name is None:
            return self.first
        if name not in self._by_name:
            raise Refusal(404, f"There is no model {name[:100]!r}. {nearest(name[:100], self._by_name)}")
        return self._by_name[name]

    def __getitem__(self, name: str) -> Hosted:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)


def explains(model: Model) -> bool:
    """Return whether a map can be drawn for its predictions: it is one network in torch."""
    return isinstance(model, Predictor) and len(model.members) == 1


def input_of(model: Model) -> InputSpec:
    """Return the preparation of a network; of an ensemble, that of its first member."""
    if isinstance(model, Predictor):
        return model.members[0].input
    assert isinstance(model, ExportedModel)
    return model.input


def warm_up(model: Model, batch: int) -> None:
    """Classify an empty image, alone and in a full batch."""
    spec = input_of(model)
    image = model.prepared(np.zeros((*spec.size, len(spec.channels)), storage_dtype(spec)), "warm-up")
    if isinstance(image, Prepared):
        for count in (1, batch):
            model.answered([image] * count)
