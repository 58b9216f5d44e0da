"""Attacks along the sign of the gradient: the fast gradient sign method and projected gradient descent."""

from __future__ import annotations

import torch

from striate.core.rng import Stream
from striate.explaining.adversarial.attack import Attempt, attack_method
from striate.explaining.adversarial.attacked import AttackedModel, Levels
from striate.explaining.adversarial.goal import ResolvedGoal
from striate.explaining.adversarial.norms import NORMS, Norm
from striate.explaining.adversarial.pixels import AttackError


@attack_method(title="FGSM", paper="Goodfellow et al. 2014, section 4")
def fgsm(attacked: AttackedModel, pixels: Levels, goal: ResolvedGoal, *, epsilon: int | float = 8) -> Attempt:
    """Move every value of the image by ε in the direction in which the loss rises: x + ε · sign(∂J/∂x).

    J is the cross-entropy of the class to leave; towards a target, it falls (Kurakin et al. 2017, section 2.3). The
    result is clipped to the range of pixels. A value of which the gradient is zero stays.

    `epsilon`: a whole number of pixel units of 0–255.
    """
    radius = NORMS["linf"].radius(epsilon, attacked.spec)
    gradient, _ = attacked.ascent(pixels, goal)
    return Attempt(attacked.boxed(pixels + radius * gradient.sign()))


_REACH = 2.5
"""How often the steps together could cross the radius of the ball (Madry et al. 2018, section 5)."""


@attack_method(title="PGD", paper="Madry et al. 2018, section 2.1")
def pgd(
    attacked: AttackedModel,
    pixels: Levels,
    goal: ResolvedGoal,
    *,
    epsilon: int | float = 8,
    norm: str = "linf",
    steps: int = 40,
    seed: int = 0,
) -> Attempt:
    """Step uphill from a random point of the ball and project back into it, repeatedly: r ← Π(r + a · s(∂J/∂x)).

    J is the cross-entropy of the class to leave, or minus that of the class to reach; s is the sign for L∞ and g/‖g‖₂
    for L2; Π is the projection into the ball of radius ε, then into the range of pixels; a = 2.5 ε / steps. Where the
    paper goes on to the last step, the attack of an image ends with the first whose rounded form fools: whether it can
    be fooled within ε is the question here.

    `epsilon`: in pixel units of 0–255, for L∞ a whole number. `norm`: `linf` or `l2`. `seed`: of the random starts;
    that of an image depends on the seed and its place among the images alone.
    """
    if steps < 1:
        raise AttackError(f"PGD needs at least one step; received steps {steps}.")
    ball = NORMS[norm]
    radius = ball.radius(epsilon, attacked.spec)
    found = pixels.clone()
    if radius == 0:
        return Attempt(found)
    left = torch.arange(len(pixels), device=pixels.device)
    current = attacked.boxed(pixels + _start(ball, radius, pixels, goal, seed))
    for step in range(steps + 1):
        gradient, logits = attacked.ascent(current, goal[left])
        # Before the last, only images that fool unrounded are worth rounding.
        worth = goal[left].reached(logits) if step < steps else torch.ones_like(left, dtype=torch.bool)
        if worth.any():
            rows = left[worth]
            found[rows] = pixels[rows] + ball.rounded(current[worth] - pixels[rows])
            done = worth.clone()
            done[worth] = goal[rows].reached(attacked.answers(found[rows]))
            left, current, gradient = left[~done], current[~done], gradient[~done]
            if not len(left):
                break
        change = current + _REACH * radius / steps * ball.steepest(gradient) - pixels[left]
        current = attacked.boxed(pixels[left] + ball.project(change, radius))
    return Attempt(found)


def _start(ball: Norm, radius: float, pixels: Levels, goal: ResolvedGoal, seed: int) -> Levels:
    stream = Stream(seed, "adversarial.start")
    starts = [ball.start(pixels.shape[1:], radius, stream.torch_generator((row,))) for row in goal.index.tolist()]
    return torch.stack(starts).to(pixels.device)
