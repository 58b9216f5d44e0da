"""Sampling: which images of the training split an epoch shows, and in which order.

An order is a function of seed, epoch and place in the order, so a resumed training draws what an uninterrupted one
draws.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Int64, Shaped

from striate.core.registry import Registered, Registry
from striate.core.rng import Stream

SAMPLINGS: Registry[type[Sampling]] = Registry("sampling")


@dataclass(frozen=True, kw_only=True)
class Sampling(Registered, ABC):
    """Draw as many images as the training split has, for each epoch."""

    registry = SAMPLINGS
    by_class: ClassVar[bool] = False
    """Whether the order depends on the class of each image, which must then have exactly one."""

    @abstractmethod
    def places(self, targets: Shaped[np.ndarray, "n ..."], *, seed: int, epoch: int) -> Int64[np.ndarray, " n"]:
        """Return the places in the split of the images of an epoch, in order; `targets` are those of the split."""


@dataclass(frozen=True, kw_only=True)
class Shuffled(Sampling):
    """Each image once per epoch, in random order."""

    def places(self, targets: Shaped[np.ndarray, "n ..."], *, seed: int, epoch: int) -> Int64[np.ndarray, " n"]:
        return Stream(seed, "order").permutation(len(targets), epoch=epoch)


@dataclass(frozen=True, kw_only=True)
class Balanced(Sampling):
    """Each class equally often: draw i of a training, counted over all epochs, is of class i modulo K.

    The images of a class take turns: all of them once, in random order, before any of them again. So in an epoch of n
    draws, each of K classes occurs n/K times to within 1, and over the training each image of a class of m as often as
    the others of its class to within 1. This is class-aware sampling, L. Shen, Z. Lin and Q. Huang, "Relay
    backpropagation for effective learning of deep convolutional neural networks", ECCV 2016, arXiv:1512.05830; the
    order within an epoch is random here, theirs takes the classes in turn.
    """

    by_class = True

    def places(self, targets: Shaped[np.ndarray, "n ..."], *, seed: int, epoch: int) -> Int64[np.ndarray, " n"]:
        count = len(targets)
        draws = np.arange(epoch * count, (epoch + 1) * count)
        numbers = np.unique(targets)
        found = np.empty(count, np.int64)
        for rank, number in enumerate(numbers):
            mine = draws % len(numbers) == rank
            found[mine] = _turns(np.flatnonzero(targets == number), draws[mine] // len(numbers), seed)
        return found[Stream(seed, "order").permutation(count, epoch=epoch)]


def _turns(members: Int64[np.ndarray, " m"], turns: Int64[np.ndarray, " t"], seed: int) -> Int64[np.ndarray, " t"]:
    """Return the members of a class at `turns`, counted from the first; each m turns hold all members once."""
    rounds, within = np.divmod(turns, len(members))
    found = np.empty(len(turns), np.int64)
    for number in np.unique(rounds).tolist():
        bits = Stream(seed, "order.class").bits(epoch=number, index=members)[:, 0]
        now = rounds == number
        found[now] = members[np.argsort(bits, kind="stable")][within[now]]
    return found


def repetitions(index: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """Return how often each value of `index` has occurred before its place."""
    order = np.argsort(index, kind="stable")
    ordered, places = index[order], np.arange(len(index))
    first = np.maximum.accumulate(np.where(np.diff(ordered, prepend=-1) != 0, places, 0))
    found = np.empty(len(index), np.int64)
    found[order] = places - first
    return found


SAMPLINGS.add("shuffled", Shuffled)
SAMPLINGS.add("balanced", Balanced)
