"""Targets of explanations: the score to explain, the same for every forward pass of one call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from striate.core.errors import StriateError
from striate.tasks import CLASSIFICATION, Task

Target = int | Sequence[int] | Iterable[int] | Tensor | np.ndarray | Callable[[Any], Tensor] | None
"""The score to explain: that of one class for all images, of a class for each (a list, tensor, array or other iterable
of whole numbers), the value of a function of the network's answer, whatever that is, that returns a score for each
image (n), or None for the predicted class of each image."""


class TargetError(StriateError):
    """A target that does not fit a network's answer."""


class ResolvedTarget:
    """A `Target` resolved by the answers to the images to explain.

    The first answer it reads must be that to the unchanged images; it turns None into the predicted classes, which stay
    fixed for all changed images. `classes` are the classes explained, one for each image (None for a function), and
    `scores` those of the unchanged images; `task` converts outputs to probabilities.

    Raises:
        TargetError: the target is neither a class, nor classes, nor a function.
    """

    def __init__(self, target: Any, task: Task = CLASSIFICATION) -> None:  # `settled` checks that it is a `Target`
        self.target = settled(target)
        self.task = task
        self._classes: Int[Tensor, " n"] | None = None
        self._scores: Float[Tensor, " n"] | None = None

    def __call__(self, answer: Any, images: Sequence[int] | None = None) -> Float[Tensor, " m"]:
        """Return the score of each row of `answer`: its logit, or for a target that is a function, its value.

        `images` is the image of each row, where the rows are not simply the images.

        Raises:
            TargetError: the network returned something other than rows of logits, or has no such class.
        """
        if callable(self.target):
            expected = None if self._scores is None else len(self._scores)
            scores = _score_of(self.target, answer, expected if images is None else len(images))
        else:
            logits = _rows(answer)
            if self._classes is None:
                self._classes = _classes(self.target, logits)
            rows = self._classes if images is None else self._classes[list(images)]
            scores = logits.gather(1, rows[:, None]).squeeze(1)
        if self._scores is None:
            self._scores = scores.detach()
        return scores

    def probability(self, answer: Any, images: Sequence[int]) -> Float[Tensor, " m"]:
        """Return the probability of each row's class; a target that is a function returns its score as it is.

        The unchanged images must have been scored before. `images` is as in `__call__`.
        """
        if self.classes is None:
            return self(answer, images)
        return self(self.task.answers(_rows(answer).float()), images)

    def answer(self, answer: Any) -> Any:
        """Return what the score depends on: the value of a target that is a function, or the whole answer."""
        return self.target(answer) if callable(self.target) else answer

    def apart(self, images: int) -> list[ResolvedTarget]:
        """Split the target into one for each of `images` images.

        Raises:
            TargetError: there is not one class for each.
        """
        if isinstance(self.target, list):
            _as_many(self.target, images)
        return [self.of(image) for image in range(images)]

    def join(self, each: Sequence[ResolvedTarget]) -> None:
        """Take over the classes and scores of the targets of single images."""
        classes = [one._classes for one in each if one._classes is not None]
        self._classes = torch.cat(classes) if classes else None
        self._scores = torch.cat([one.scores for one in each])

    def of(self, image: int) -> ResolvedTarget:
        """Return the target of one image; it has read no answer yet, unless the classes are known."""
        if self._classes is not None:
            return ResolvedTarget(int(self._classes[image]), self.task)
        one = self.target[image : image + 1] if isinstance(self.target, list) else self.target
        return ResolvedTarget(one, self.task)

    @property
    def classes(self) -> tuple[int, ...] | None:
        return None if self._classes is None else tuple(self._classes.tolist())

    @property
    def scores(self) -> Float[Tensor, " n"]:
        if self._scores is None:
            raise RuntimeError("A method must score the unchanged images before it returns.")
        return self._scores


def settled(target: Any) -> int | list[int] | Callable[[Any], Tensor] | None:
    """Return a target in its stored form: an iterable read once, numbers as Python's.

    Raises:
        TargetError: it is neither a class, nor classes, nor a function.
    """
    if target is None or (callable(target) and not isinstance(target, (Tensor, np.ndarray))):
        return cast("Callable[[Any], Tensor] | None", target)
    if isinstance(target, (Tensor, np.ndarray)) and target.ndim > 1:
        raise TargetError(
            f"Targets are one class for all images, or a row of classes, one for each; received an array of shape "
            f"{tuple(target.shape)}: give the numbers of the classes (of one-hot rows, their argmax)."
        )
    if isinstance(target, (Tensor, np.ndarray)) and target.ndim == 1:
        return [_class(one) for one in target]
    if isinstance(target, Iterable) and not isinstance(target, (str, bytes, Mapping, Set, Tensor, np.ndarray)):
        return [_class(one) for one in target]
    return _class(target)


def _class(one: Any) -> int:
    """Return a class as a Python int."""
    if isinstance(one, (Tensor, np.ndarray)) and one.ndim == 0:
        one = one.item()
    if isinstance(one, (str, bytes)):
        raise TargetError(
            f"The classes of a network without a classifier are numbers from 0; received the name {one!r}: pass the "
            f"number, or explain the classifier (striate.explain), which has the names."
        )
    if isinstance(one, (bool, np.bool_)) or not isinstance(one, (int, np.integer)):
        raise TargetError(
            f"A target is a class (a whole number from 0), a class for each image, a function of the network's answer, "
            f"or None; received {one!r} ({type(one).__name__})."
        )
    return int(one)


def _rows(answer: Any) -> Float[Tensor, "m k"]:
    if not isinstance(answer, Tensor) or answer.ndim != 2:
        given = f"a tensor of shape {tuple(answer.shape)}" if isinstance(answer, Tensor) else type(answer).__name__
        raise TargetError(
            f"A target that is a class needs a network that returns a row of logits for each image (n, k); this "
            f"one gave {given}: pass a function of that output as the target, which returns a score for each image."
        )
    return answer


def _score_of(target: Callable[[Any], Tensor], answer: Any, expected: int | None) -> Float[Tensor, " m"]:
    scores = target(answer)
    if not isinstance(scores, Tensor) or scores.ndim != 1 or len(scores) != (expected or len(scores)):
        count = "one for each" if expected is None else f"({expected},)"
        raise TargetError(
            f"A target function must return a tensor of scores for the network's output, "
            f"{count}; this one gave "
            f"{f'a tensor of shape {tuple(scores.shape)}' if isinstance(scores, Tensor) else repr(scores)}."
        )
    if not scores.is_floating_point():
        raise TargetError(
            f"A target that is a function must return floating-point scores; received {scores.dtype}, which "
            f"no gradient passes: return a logit or probability, not a class."
        )
    return scores


def _as_many(classes: list[int], images: int) -> None:
    if len(classes) != images:
        raise TargetError(f"There are {images} images and {len(classes)} targets: give one class for each, or one.")


def _classes(target: int | list[int] | None, logits: Float[Tensor, "n k"]) -> Int[Tensor, " n"]:
    count, known = logits.shape
    if target is None:
        return logits.detach().argmax(1)
    wanted = target if isinstance(target, list) else [target] * count
    _as_many(wanted, count)
    for one in wanted:
        if not 0 <= one < known:
            raise TargetError(f"The network has {known} classes, 0 to {known - 1}; received target {one}.")
    return torch.tensor(wanted, device=logits.device)
