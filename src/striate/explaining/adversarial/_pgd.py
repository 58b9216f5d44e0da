"""Projected gradient descent: many small steps, each followed by a way back into the ball."""

from __future__ import annotations

import torch

from striate.core.rng import Stream
from striate.explaining.adversarial.attack import Attempt, attacks
from striate.explaining.adversarial.attacked import Levels, Subject
from striate.explaining.adversarial.goal import Chase
from striate.explaining.adversarial.norms import NORMS, Norm
from striate.explaining.adversarial.pixels import AttackError

_REACH = 2.5
"""How often the steps together could cross the radius of the ball (Madry et al. 2018, section 5)."""


@attacks(title="PGD", paper="Madry et al. 2018, section 2.1")
def pgd(
    subject: Subject,
    pixels: Levels,
    chase: Chase,
    *,
    epsilon: int | float = 8,
    norm: str = "linf",
    steps: int = 40,
    seed: int = 0,
) -> Attempt:
    """From a random point of the ball, again and again a step uphill and back into it: r ← Π(r + a · s(∂J/∂x)).

    J is the cross-entropy of the class to leave, or minus that of the class to reach; s is the sign for L∞ and g/‖g‖₂
    for L2; Π is the projection into the ball of radius ε, then into the range of pixels; a = 2.5 ε / steps. Where the
    paper goes on to the last step, the attack of a picture ends with the first whose rounded form fools: whether it can
    be fooled within ε is the question here.

    `epsilon`: in pixel units of 0–255, for L∞ a whole number. `norm`: `linf` or `l2`. `seed`: of the random starts;
    that of a picture depends on the seed and its place among the pictures alone.
    """
    if steps < 1:
        raise AttackError(f"PGD takes at least one step; received steps {steps}.")
    ball = NORMS[norm]
    radius = ball.radius(epsilon, subject.spec)
    found = pixels.clone()
    if radius == 0:
        return Attempt(found)
    left = torch.arange(len(pixels), device=pixels.device)
    current = subject.boxed(pixels + _start(ball, radius, pixels, chase, seed))
    for step in range(steps + 1):
        gradient, logits = subject.ascent(current, chase[left])
        # Before the last, only pictures that fool unrounded are worth rounding.
        worth = chase[left].reached(logits) if step < steps else torch.ones_like(left, dtype=torch.bool)
        if worth.any():
            rows = left[worth]
            found[rows] = pixels[rows] + ball.rounded(current[worth] - pixels[rows])
            done = worth.clone()
            done[worth] = chase[rows].reached(subject.answers(found[rows]))
            left, current, gradient = left[~done], current[~done], gradient[~done]
            if not len(left):
                break
        change = current + _REACH * radius / steps * ball.steepest(gradient) - pixels[left]
        current = subject.boxed(pixels[left] + ball.project(change, radius))
    return Attempt(found)


def _start(ball: Norm, radius: float, pixels: Levels, chase: Chase, seed: int) -> Levels:
    stream = Stream(seed, "adversarial.start")
    starts = [ball.start(pixels.shape[1:], radius, stream.torch_generator((row,))) for row in chase.index.tolist()]
    return torch.stack(starts).to(pixels.device)
