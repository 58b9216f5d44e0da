"""Randomness without state: every draw is a function of (seed, stream, epoch, sample index, draw number).

A generator with state must be replayed to repeat its numbers, and returns different numbers when the work is divided
differently. A counter-based generator (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) has no
state: the n-th number of a stream is computed from n. So a sample does not depend on the number of loader threads, on
pauses or crashes, or on the batch size. The mixing function is SplitMix64's finalizer (Steele, Lea and Flood, "Fast
splittable pseudorandom number generators", OOPSLA 2014), applied once per counter.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

Counters = int | np.integer | Sequence[int] | npt.NDArray[np.integer]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_TURN = threading.RLock()


def _mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Apply SplitMix64's finalizer: a bijection of 64 bits; every input bit flips about half of the output bits."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _absorb(key: npt.NDArray[np.uint64], counter: Counters) -> npt.NDArray[np.uint64]:
    """Derive a new key from `key` and a counter; both broadcast."""
    counters = np.atleast_1d(np.asarray(counter, dtype=np.uint64))  # arrays overflow without a warning, scalars warn
    return _mix(key ^ _mix((counters + np.uint64(1)) * _GOLDEN))


@lru_cache(maxsize=1024)
def _epoch_key(seed: int, name: str, epoch: int) -> npt.NDArray[np.uint64]:
    """Return the key of a stream in an epoch; cached, because every batch needs it."""
    return _absorb(_stream_key(seed, name), epoch)


def _stream_key(seed: int, name: str) -> npt.NDArray[np.uint64]:
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return np.frombuffer(digest[:8], dtype="<u8").astype(np.uint64)


@dataclass(frozen=True)
class Stream:
    """Random numbers for one purpose: `Stream(seed, "augment.flip")`. Streams with different names are independent."""

    seed: int
    name: str

    def bits(self, *, epoch: int, index: Counters, draws: int = 1) -> npt.NDArray[np.uint64]:
        """Return 64 random bits for each sample index and draw: shape (len(index), draws)."""
        key = _absorb(_epoch_key(self.seed, self.name, epoch), index).reshape(-1, 1)
        return _absorb(key, np.arange(draws))

    def uniform(
        self, *, epoch: int, index: Counters, draws: int = 1, low: float = 0.0, high: float = 1.0
    ) -> npt.NDArray[np.float64]:
        """Return numbers uniform in [low, high): shape (len(index), draws), 53 random bits each."""
        unit = (self.bits(epoch=epoch, index=index, draws=draws) >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return low + (high - low) * unit

    def permutation(self, count: int, *, epoch: int) -> npt.NDArray[np.int64]:
        """Return a random order of `count` samples: the indices 0 … count-1, sorted by their random bits."""
        return np.argsort(self.bits(epoch=epoch, index=np.arange(count))[:, 0], kind="stable").astype(np.int64)

    def torch_seed(self, *counters: int) -> int:
        """Return a seed from 0 to 2⁶³ - 1 for random numbers of torch (initial weights, dropout)."""
        key = _stream_key(self.seed, self.name)
        for counter in counters:
            key = _absorb(key, counter)
        return int(key[0] >> np.uint64(1))

    def torch_generator(self, counters: Sequence[int] = (), device: str = "cpu") -> torch.Generator:
        """Return a torch generator at the start of the stream of `counters`."""
        import torch

        return torch.Generator(device).manual_seed(self.torch_seed(*counters))


@contextlib.contextmanager
def torch_random_state_kept(seed: int | None = None) -> Iterator[None]:
    """Restore torch's random state afterwards; with a `seed`, draw from it within.

    Layers draw their initial weights from this state, which all threads share: one thread at a time is within, so that
    a network that is loaded in another thread does not change the weights that a seed gives. It is the state of the
    processor alone: `torch.manual_seed` would touch that of every device.
    """
    import torch

    with _TURN, torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.default_generator.manual_seed(seed)
        yield
