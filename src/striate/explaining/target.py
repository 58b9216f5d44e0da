"""What an explanation explains: a score read from the logits, the same for every forward pass of one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import index
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from striate.core.errors import StriateError

Target = int | Sequence[int] | Callable[[Tensor], Tensor] | None
"""Whose score is explained: a class for all pictures, a class for each, a function of the logits (n k) that gives a
score for each picture (n), or None for the class that the network takes each picture for."""


class TargetError(StriateError):
    """A target that a network's answer does not have."""


class Aim:
    """A `Target` once it has met the logits of the pictures to be explained.

    The first logits it reads are those of the pictures as they are; by them None becomes the predicted classes, and
    these stay, however the pictures are changed later. `classes` are the classes aimed at, picture by picture (None for
    a function), and `scores` those of the pictures as they are.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._classes: Int[Tensor, " n"] | None = None
        self._scores: Float[Tensor, " n"] | None = None

    def __call__(self, logits: Float[Tensor, "m k"], pictures: Sequence[int] | None = None) -> Float[Tensor, " m"]:
        """The score of each row of `logits`: logits, unless the target is a function that makes something else of them.

        `pictures` tells for each row which picture it belongs to, where the rows are not simply the pictures.

        Raises:
            TargetError: the network gave something other than rows of logits, or has no such class.
        """
        checked = _rows(logits)
        if callable(self._target):
            scores = _score_of(self._target, checked)
        else:
            if self._classes is None:
                self._classes = _classes(self._target, checked)
            rows = self._classes if pictures is None else self._classes[list(pictures)]
            scores = checked.gather(1, rows[:, None]).squeeze(1)
        if self._scores is None:
            self._scores = scores.detach()
        return scores

    @property
    def classes(self) -> tuple[int, ...] | None:
        return None if self._classes is None else tuple(self._classes.tolist())

    @property
    def scores(self) -> Float[Tensor, " n"]:
        if self._scores is None:
            raise RuntimeError("An explanation must score the pictures as they are before it ends.")
        return self._scores


def _rows(logits: Any) -> Float[Tensor, "m k"]:
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        given = f"a tensor of shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
        raise TargetError(
            f"An explanation needs a network that answers with a row of logits for each picture (n, k); this one gave "
            f"{given}: wrap it in a module that returns the logits."
        )
    return logits


def _score_of(target: Callable[[Tensor], Tensor], logits: Float[Tensor, "m k"]) -> Float[Tensor, " m"]:
    scores = target(logits)
    if not isinstance(scores, Tensor) or scores.shape != logits.shape[:1]:
        raise TargetError(
            f"A target that is a function makes of logits {tuple(logits.shape)} one score for each picture, "
            f"({len(logits)},); this one gave {tuple(scores.shape) if isinstance(scores, Tensor) else scores!r}."
        )
    return scores


def _classes(target: int | Sequence[int] | None, logits: Float[Tensor, "n k"]) -> Int[Tensor, " n"]:
    count, known = logits.shape
    if target is None:
        return logits.detach().argmax(1)
    wanted = [index(one) for one in target] if isinstance(target, Sequence) else [index(target)] * count
    if len(wanted) != count:
        raise TargetError(f"There are {count} pictures and {len(wanted)} targets: give one class for each, or one.")
    for one in wanted:
        if not 0 <= one < known:
            raise TargetError(f"The network tells {known} classes apart, 0 to {known - 1}; received target {one}.")
    return torch.tensor(wanted, device=logits.device)
