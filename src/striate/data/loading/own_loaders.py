"""Batches from loaders of the user's own, such as torch's `DataLoader`."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import KW_ONLY, dataclass
from typing import Any

import torch
from torch import Tensor

from striate.core.batch import Batch
from striate.core.errors import DataError
from striate.core.rng import Stream, torch_random_state_kept
from striate.core.spec import InputSpec, LabelSpec, channel_names
from striate.data.dataset import SPLITS, Split

Pairs = Iterable[Any]  # of pairs (images, labels), checked as they are read
Targets = Callable[[Tensor, int, LabelSpec], Tensor]
"""Check and convert the labels of a batch of so many images (`striate.tasks.Task.targets`)."""


@dataclass(frozen=True, eq=False)
class Loaders:
    """Loaders to train, validate and test on, in place of a folder of images.

    Each is iterated once an epoch, has a length (`len(loader)` batches), and yields pairs: images (n, c, h, w),
    floating, prepared as the model takes them, and labels (n,), whole numbers from 0. `test` may be left out.

    `classes` are the class names in the order of the labels. `mean` and `std`, a number for each channel, are those by
    which the loaders standardise values from 0 to 1: with them the classifier prepares image files in the same way.

    Where the order and the augmentation of a loader come from torch's random numbers, they depend on the run's seed,
    the epoch and the batch alone, so that a resumed run repeats them. The generators of a loader and of its samplers
    are seeded at the start of each epoch, and persistent workers are started again.

    Raises:
        DataError: `mean` or `std` is not a sequence of numbers.

    Example:
        loaders = striate.Loaders(train, val, classes=["cat", "dog"], mean=(0.5,) * 3, std=(0.25,) * 3)
        run = striate.train(loaders, model="resnet18")
    """

    train: Pairs
    val: Pairs
    test: Pairs | None = None
    _: KW_ONLY
    classes: Sequence[str]
    mean: Sequence[float]
    std: Sequence[float]

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            given = getattr(self, name)
            try:
                numbers = tuple(float(value) for value in given)
            except (TypeError, ValueError) as error:
                raise DataError(
                    f"{name} must be a number for each channel, as in (0.5, 0.5, 0.5); received {given!r}."
                ) from error
            object.__setattr__(self, name, numbers)  # tensors and arrays become numbers

    def splits(self) -> dict[Split, Pairs]:
        """Return the loaders that are given, by split."""
        loaders = {"train": self.train, "val": self.val, "test": self.test}
        return {split: loader for split in SPLITS if (loader := loaders[split]) is not None}

    def specs(self, targets: Targets) -> tuple[InputSpec, LabelSpec]:
        """Read one batch of each loader; return the specs of the model's input and of its labels.

        Raises:
            DataError: a loader yields something else than batches of images and labels, or they differ in shape.
        """
        labels = LabelSpec(tuple(self.classes))
        shapes = {split: tuple(next(self.batches(split, targets).epoch(0)).images.shape[1:]) for split in self.splits()}
        if len(set(shapes.values())) > 1:
            said = ", ".join(f"{split} {'×'.join(map(str, shape))}" for split, shape in shapes.items())
            raise DataError(f"All loaders yield images of one shape (channels × height × width); received {said}.")
        channels, height, width = shapes["train"]
        if len(self.mean) != channels or len(self.std) != channels:
            raise DataError(
                f"The images have {channels} channels, and there are {len(self.mean)} means and {len(self.std)} stds. "
                "Pass one of each for every channel."
            )
        spec = InputSpec(
            channels=channel_names(channels), height=height, width=width, mean=tuple(self.mean), std=tuple(self.std)
        )
        return spec, labels

    @property
    def counts(self) -> dict[str, int]:
        """The number of images of each loader whose data set has a length."""
        sets = {split: getattr(loader, "dataset", None) for split, loader in self.splits().items()}
        return {split: len(images) for split, images in sets.items() if isinstance(images, Sized)}

    def digest(self, targets: Targets) -> str:
        """Return a digest that identifies loaders: lengths, classes, scaling, the first labels of validation."""
        lengths = {split: len(self.batches(split, targets)) for split in self.splits()}
        first = next(self.batches("val", targets).epoch(0)).targets.tolist()
        known = repr((lengths, self.counts, tuple(self.classes), tuple(self.mean), tuple(self.std), first))
        return hashlib.sha256(known.encode()).hexdigest()

    def batches(self, split: Split, targets: Targets, *, seed: int = 0) -> LoaderBatches:
        """Return the batches of a split, whose random numbers come from `seed`; `targets` checks their labels.

        Raises:
            DataError: the loader has no length, or is empty.
        """
        return LoaderBatches(self.splits()[split], split, LabelSpec(tuple(self.classes)), targets, seed=seed)


class LoaderBatches:
    """The batches of one loader, epoch after epoch (`core.protocols.Batches`).

    The index of a sample is its place in the epoch.
    """

    def __init__(self, loader: Pairs, split: Split, labels: LabelSpec, targets: Targets, *, seed: int = 0) -> None:
        """Wrap `loader`.

        Raises:
            DataError: it has no length, or is empty.
        """
        try:
            self._length = len(loader)  # pyright: ignore[reportArgumentType]
        except TypeError as error:
            raise DataError(
                f"The {split} loader has no length. Give it a __len__ that returns its number of batches."
            ) from error
        if not self._length:
            raise DataError(f"The {split} loader has no batches.")
        self._loader, self._split, self._labels, self._targets, self._seed = loader, split, labels, targets, seed

    def __len__(self) -> int:
        return self._length

    def epoch(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from number `start` on; those before are drawn and left out.

        Raises:
            DataError: a batch is not a pair of images and labels, or their number is not the loader's length.
        """
        with _seeded(self._seed, epoch, 0) as seed:
            iterator = self._begin(epoch, seed)
        index = 0
        for number in range(self._length):
            with _seeded(self._seed, epoch, number + 1):
                pair = next(iterator, None)
            if pair is None:
                raise DataError(
                    f"The {self._split} loader ended after {number} batches; its length says {self._length}."
                )
            batch = self._batch(pair, index)
            index += len(batch)
            if number >= start:
                yield batch
        with _seeded(self._seed, epoch, self._length + 1):
            if next(iterator, None) is not None:
                raise DataError(f"The {self._split} loader has more batches than the {self._length} of its length.")

    def _begin(self, epoch: int, seed: int) -> Iterator[Any]:
        """Start an iteration of the loader; its own generators and samplers are set to this epoch."""
        batch_sampler = getattr(self._loader, "batch_sampler", None)
        samplers = (getattr(self._loader, "sampler", None), batch_sampler, getattr(batch_sampler, "sampler", None))
        for each in (self._loader, *samplers):
            generator = getattr(each, "generator", None)
            if isinstance(generator, torch.Generator):
                generator.manual_seed(seed)
        for each in samplers:
            set_epoch = getattr(each, "set_epoch", None)
            if callable(set_epoch):
                set_epoch(epoch)
        if getattr(self._loader, "persistent_workers", False):
            loader: Any = self._loader
            loader._iterator = None  # workers that survive an epoch keep its random state
        return iter(self._loader)

    def _batch(self, pair: Any, index: int) -> Batch:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not all(isinstance(part, Tensor) for part in pair):
            raise DataError(
                f"The {self._split} loader yields a {type(pair).__name__}; expected a pair of tensors: images "
                "(n, c, h, w) and labels (n,)."
            )
        images, targets = pair
        if not len(images):
            raise DataError(f"The {self._split} loader yields an empty batch.")
        if images.ndim != 4 or not images.is_floating_point():
            raise DataError(
                f"The {self._split} loader yields images of shape {tuple(images.shape)} and type {images.dtype}; "
                "expected (n, c, h, w), floating, as the model takes them."
            )
        try:
            checked = self._targets(targets, len(images), self._labels)
        except DataError as error:
            raise DataError(f"The {self._split} loader yields {error}") from error
        return Batch(images.float(), checked, torch.arange(index, index + len(images)))


@contextlib.contextmanager
def _seeded(seed: int, *counters: int) -> Iterator[int]:
    """Draw torch's random numbers from (seed, counters), and restore the state afterwards."""
    drawn = Stream(seed, "own loader").torch_seed(*counters)
    with torch_random_state_kept(drawn):
        yield drawn
