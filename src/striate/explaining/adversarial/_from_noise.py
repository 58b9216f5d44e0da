"""Noise that a network takes for something: gradient ascent from nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from striate.core.rng import Stream
from striate.core.spec import InputSpec
from striate.explaining.adversarial.attacked import Levels, Subject
from striate.explaining.adversarial.goal import Chase, Towards
from striate.explaining.adversarial.pixels import AttackError, OnGrid, levels_per_unit, to_pixels
from striate.explaining.adversarial.result import Answers, FoolingPictures
from striate.hooks import borrow

_STEP = 2.0
"""Pixel units of 0–255 by which a step moves the values, in the root of the mean square."""


def ascend_from_noise(
    model: nn.Module,
    spec: InputSpec,
    classes: Sequence[int],
    *,
    steps: int = 200,
    confidence: float = 0.99,
    seed: int = 0,
) -> FoolingPictures:
    """Pictures of nothing that `model` takes for each of `classes`: uniform noise, made likelier step by step.

        x ← x + 2 · g / rms(g),   g = ∂ log-odds of the class / ∂x

    Nguyen et al. 2015, arXiv:1412.1897, section "Images via gradient ascent". They climb the softmax, whose gradient is
    nothing where the class is far; its log-odds rise with it. The climb of a picture ends when the network gives its
    rounded form the `confidence`, or after `steps`. `seed` is that of the noise.

    Raises:
        AttackError: steps below 1, or pixels that are not whole. TargetError: there is no such class.
    """
    if steps < 1 or not len(classes):
        raise AttackError(f"Received {steps} steps for {len(classes)} classes: at least one of each is needed.")
    with borrow(model):
        subject = Subject(model, OnGrid(spec))
        current = _noise(subject, len(classes), seed)
        chase = Chase.of(Towards(list(classes)), subject.answers(current.round()))
        logits = subject.answers(current.round())
        history = [_likely(chase, logits)]
        for _ in range(steps):
            if history[-1].min() >= confidence:
                break
            climbing = torch.from_numpy(history[-1] < confidence).to(subject.device)
            gradient, _ = subject.ascent(current[climbing], chase[climbing])
            mean_square = gradient.double().square().mean((1, 2, 3), keepdim=True)
            unit = (gradient / mean_square.sqrt().clamp(min=torch.finfo(torch.float64).tiny)).float()
            current[climbing] = subject.boxed(current[climbing] + _STEP * levels_per_unit(spec) * unit)
            logits = subject.answers(current.round())
            history.append(_likely(chase, logits))
        return FoolingPictures(
            method="gradient ascent from noise",
            settings={"steps": steps, "confidence": confidence, "seed": seed},
            spec=spec,
            classes=chase.classes.cpu().numpy(),
            pictures=to_pixels(current.round(), subject.depth),
            answers=Answers(logits.cpu().numpy()),
            history=np.stack(history),
        )


def _noise(subject: Subject, count: int, seed: int) -> Levels:
    draw = Stream(seed, "adversarial.noise").torch_generator()
    return (torch.rand((count, *subject.spec.shape), generator=draw) * subject.spec.maximum).to(subject.device)


def _likely(chase: Chase, logits: torch.Tensor) -> np.ndarray:
    """The probability of each picture's class."""
    return torch.sigmoid(chase.progress(logits)).cpu().numpy()
