"""The processes that train one network together under torchrun; a single one otherwise.

Each process computes a part of every batch and holds the whole state of the training; the process of rank 0 alone
writes.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor

from striate.core.errors import ConfigError, StriateError, TrainingError
from striate.core.torchrun import process_count

Value = TypeVar("Value")

_PATIENCE = timedelta(hours=24)
"""How long a process waits for another one: others wait while the first reads a large data set."""

_BETWEEN_LOOKS = 0.02  # seconds


@dataclass(frozen=True)
class Processes:
    """This process, number `rank` of `count` that train one network, and number `local_rank` on its machine.

    In a single process, the default, no method waits or communicates. With several, each of them must make the same
    calls in the same order.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0

    @property
    def writes(self) -> bool:
        """Whether this is the process that writes files and prints."""
        return self.rank == 0

    def rows(self, count: int) -> tuple[slice, float]:
        """Return this process's rows of a batch of `count`, and the weight of their mean in the mean of the batch.

        The parts are consecutive and differ by at most one row. A batch with fewer than two rows for each process is
        not divided: batch normalization has no variance over one row. Each process then computes all of it, and the
        mean of the equal results counts once.
        """
        if count < 2 * self.count:
            return slice(0, count), 1.0 / self.count
        part = self.block(count)
        return part, (part.stop - part.start) / count

    def block(self, count: int) -> slice:
        """Return this process's block of `count` things; blocks may be empty."""
        return slice(count * self.rank // self.count, count * (self.rank + 1) // self.count)

    def total(self, values: Tensor) -> None:
        """Replace `values` by their sum over all processes, the same in each to the bit."""
        if self.count > 1:
            with _together():
                torch.distributed.all_reduce(values)

    def spread(self, values: Tensor) -> None:
        """Replace `values` by those of the process that writes."""
        if self.count > 1:
            with _together():
                torch.distributed.broadcast(values, 0)

    def mean(self, value: float) -> float:
        """Return the mean of `value` over all processes."""
        if self.count == 1:
            return value
        values = torch.tensor([value], dtype=torch.float64)
        self.total(values)
        return float(values) / self.count

    def any(self, value: bool) -> bool:
        """Return whether `value` is true in any process."""
        return self.mean(float(value)) > 0

    def gather(self, value: Value) -> list[Value]:
        """Return the values of all processes in the order of their ranks."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        with _together():
            torch.distributed.all_gather_object(values, value)
        return values

    def once(self, function: Callable[[], Value]) -> Value:
        """Call `function` in the process that writes, and return its result in each.

        Raises:
            StriateError: the function has raised it; it is raised in each process.
        """
        if self.count == 1:
            return function()
        box: list[Any] = [None, None]
        if self.writes:
            try:
                box[0] = function()
            except StriateError as error:
                box[1] = error
        with _together():
            torch.distributed.broadcast_object_list(box, 0, device=torch.device("cpu"))
        if box[1] is not None:
            raise box[1]
        return box[0]

    @contextlib.contextmanager
    def in_turn(self) -> Iterator[None]:
        """Run the block in the first process of each machine, then in the others, which find its caches."""
        if self.count == 1:
            yield
            return
        if self.local_rank:
            self.mean(0.0)
            yield
        else:
            yield
            self.mean(0.0)

    def require_same(self, what: str, value: object) -> None:
        """Check that `value` is the same in all processes.

        Raises:
            ConfigError: it differs; the message names `what`, and the first rank with another one.
        """
        values = self.gather(value)
        for rank, other in enumerate(values):
            if other != values[0]:
                raise ConfigError(
                    f"All processes of a training need the same {what}; process {rank + 1} of {self.count} has another "
                    "one than the first. Give each machine the same files, versions and command."
                )


ALONE = Processes()


@functools.cache
def processes() -> Processes:
    """Return the processes that torchrun has started with this one, connected; `ALONE` without torchrun.

    Raises:
        ConfigError: this build of torch cannot connect processes.
        TrainingError: another process has ended before all have met.
    """
    count = process_count()
    if count == 1:
        return ALONE
    if not torch.distributed.is_available():
        raise ConfigError("This build of torch cannot connect several processes. Run 'striate train' without torchrun.")
    if not torch.distributed.is_initialized():
        nccl = torch.cuda.is_available() and torch.distributed.is_nccl_available()
        backend, rank = "cpu:gloo,cuda:nccl" if nccl else "gloo", int(os.environ["RANK"])
        with _together():
            meeting = _meeting()
            torch.distributed.init_process_group(backend, store=meeting, rank=rank, world_size=count, timeout=_PATIENCE)
        atexit.register(torch.distributed.destroy_process_group)
    return Processes(int(os.environ["RANK"]), count, int(os.environ.get("LOCAL_RANK", "0")))


def _meeting() -> Any:
    """Return a store with keys that these processes alone use, to find each other.

    The store of torchrun outlives the processes: after a restart it holds the addresses of those that have ended, and
    machines may count restarts differently. So the first process makes up a new name for the meeting, and each of the
    others reads it under a key that it has made up itself.
    """
    from torch.distributed import PrefixStore  # pyright: ignore[reportPrivateImportUsage]
    from torch.distributed.rendezvous import rendezvous

    store, rank, count = next(rendezvous("env://", timeout=_PATIENCE))
    own = uuid.uuid4().hex
    if rank:
        store.set(f"striate hello {rank}", own)
        name = store.get(f"striate welcome {own}").decode()
        store.set(f"striate ready {name} {rank}", "")
        return PrefixStore(f"striate {name}", store)
    missing = set(range(1, count))
    while missing:
        for other in sorted(missing):
            if store.check([f"striate hello {other}"]):  # may be left from before a restart; the present one follows
                store.set(f"striate welcome {store.get(f'striate hello {other}').decode()}", own)
            if store.check([f"striate ready {own} {other}"]):
                missing.discard(other)
        time.sleep(_BETWEEN_LOOKS)
    return PrefixStore(f"striate {own}", store)


@contextlib.contextmanager
def _together() -> Iterator[None]:
    """Turn the error of a lost connection into a sentence."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.distributed.DistBackendError) or "onnection" in str(error):
            raise TrainingError(
                "Another process of this training has ended, so this one ends too. Its own message says why; the run "
                "continues from its last checkpoint (striate resume, or torchrun --max-restarts 3)."
            ) from error
        raise
