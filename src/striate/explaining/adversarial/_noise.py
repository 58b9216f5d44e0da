"""Fooling images by gradient ascent from noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from striate.core.rng import Stream
from striate.core.spec import InputSpec
from striate.explaining.adversarial.attacked import AttackedModel, Levels
from striate.explaining.adversarial.goal import ResolvedGoal, Targeted
from striate.explaining.adversarial.pixels import AttackError, OnGrid, levels_per_unit, to_pixels
from striate.explaining.adversarial.result import Answers, FoolingImages
from striate.hooks import borrow

_STEP = 2.0
"""Pixel units of 0–255 by which a step moves the values, in the root of the mean square."""


def fooling_images(
    model: nn.Module,
    spec: InputSpec,
    classes: Sequence[int],
    *,
    steps: int = 200,
    confidence: float = 0.99,
    seed: int = 0,
) -> FoolingImages:
    """Make images that `model` takes for each of `classes` from uniform noise, by gradient ascent.

        x ← x + 2 · g / rms(g),   g = ∂ log-odds of the class / ∂x

    Nguyen et al. 2015, arXiv:1412.1897, section "Images via gradient ascent". They climb the softmax, whose gradient
    vanishes where the class is far; its log-odds rise with it. The ascent of an image ends when the network gives its
    rounded form the `confidence`, or after `steps`. `seed` is that of the noise.

    Raises:
        AttackError: steps below 1, or pixels that are not whole. TargetError: there is no such class.
    """
    if steps < 1 or not len(classes):
        raise AttackError(f"Received {steps} steps for {len(classes)} classes: at least one of each is needed.")
    with borrow(model):
        attacked = AttackedModel(model, OnGrid(spec))
        current = _noise(attacked, len(classes), seed)
        goal = ResolvedGoal.of(Targeted(list(classes)), attacked.answers(current.round()))
        logits = attacked.answers(current.round())
        history = [_likely(goal, logits)]
        for _ in range(steps):
            if history[-1].min() >= confidence:
                break
            climbing = torch.from_numpy(history[-1] < confidence).to(attacked.device)
            gradient, _ = attacked.ascent(current[climbing], goal[climbing])
            mean_square = gradient.double().square().mean((1, 2, 3), keepdim=True)
            unit = (gradient / mean_square.sqrt().clamp(min=torch.finfo(torch.float64).tiny)).float()
            current[climbing] = attacked.boxed(current[climbing] + _STEP * levels_per_unit(spec) * unit)
            logits = attacked.answers(current.round())
            history.append(_likely(goal, logits))
        return FoolingImages(
            method="gradient ascent from noise",
            settings={"steps": steps, "confidence": confidence, "seed": seed},
            spec=spec,
            classes=goal.classes.cpu().numpy(),
            images=to_pixels(current.round(), attacked.depth),
            answers=Answers(logits.cpu().numpy()),
            history=np.stack(history),
        )


def _noise(attacked: AttackedModel, count: int, seed: int) -> Levels:
    draw = Stream(seed, "adversarial.noise").torch_generator()
    return (torch.rand((count, *attacked.spec.shape), generator=draw) * attacked.spec.maximum).to(attacked.device)


def _likely(goal: ResolvedGoal, logits: torch.Tensor) -> np.ndarray:
    """Return the probability of each image's class."""
    return torch.sigmoid(goal.progress(logits)).cpu().numpy()
