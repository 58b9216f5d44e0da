"""The closed-form attack on a linear classifier."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from striate.explaining.adversarial.attack import Attempt, attack_method
from striate.explaining.adversarial.attacked import AttackedModel, Levels
from striate.explaining.adversarial.goal import ResolvedGoal
from striate.explaining.adversarial.norms import NORMS
from striate.explaining.adversarial.pixels import AttackError, levels_per_unit

_GROWTH, _TRIES = 1.05, 120
_PROBE = 16.0
"""How far, in pixel units of the largest weight, the logits are read a second time to know their slopes."""


@attack_method(title="Adding its own weights", paper="Karpathy 2015, Breaking linear classifiers on ImageNet")
def linear_closed_form(attacked: AttackedModel, pixels: Levels, goal: ResolvedGoal) -> Attempt:
    """Add the weights w of the class to reach to the image, or subtract those of the class to leave: x + αw.

    For a linear classifier z = Wx + b the logits move along straight lines, so α is known: towards class t, the largest
    over all classes j with z_j ≥ z_t of

        α_j = (z_j - z_t) / (‖w_t‖² - w_j · w_t)

    and ∞ where a denominator is not positive; away from y, with -w_y, the smallest over j of (z_y - z_j) /
    (‖w_y‖² - w_j · w_y). Pixels are whole and end at 0 and 255, which takes from the change, so α then grows by steps
    of 5 % until the image fools. x and w are in pixel units: w is what a logit gains for each of 255.

    Found: `alpha`, by the formula, and `alpha_used`. Raises `AttackError` if the network is not linear.
    """
    unit = levels_per_unit(attacked.spec)
    weights = _weights(attacked, pixels, goal) * unit  # for each pixel unit
    direction = weights if goal.targeted else -weights
    alpha = _alpha(attacked, pixels, direction, goal)
    used = alpha.clone()
    whole = pixels.clone()
    left = alpha.isfinite().nonzero().flatten()
    for _ in range(_TRIES):
        if not len(left):
            break
        change = used[left].float()[:, None, None, None] * direction[left] * unit
        change = attacked.boxed(pixels[left] + change) - pixels[left]
        whole[left] = attacked.boxed(pixels[left] + NORMS["l2"].rounded(change))
        left = left[~goal[left].reached(attacked.answers(whole[left]))]
        used[left] *= _GROWTH
    return Attempt(whole, {"alpha": alpha, "alpha_used": used})


def _weights(attacked: AttackedModel, pixels: Levels, goal: ResolvedGoal) -> Levels:
    """Return ∂z/∂level of each image's class, which must be the same wherever it is read.

    Raises:
        AttackError: it is not.
    """
    here, elsewhere = (attacked.slopes(levels, goal) for levels in (pixels, attacked.spec.maximum - pixels))
    if not torch.allclose(here, elsewhere, rtol=1e-3, atol=1e-3 * here.abs().max().item()):
        raise AttackError(
            "Adding its own weights fools a linear classifier; the weights of this network differ from image to "
            "image: use fgsm, pgd or lbfgs."
        )
    return here


def _alpha(attacked: AttackedModel, pixels: Levels, direction: Levels, goal: ResolvedGoal) -> Float[Tensor, " n"]:
    """Compute the formula; the slopes w_j · d of the logits along the direction are read from two answers."""
    reach = _PROBE / direction.abs().amax((1, 2, 3), keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
    with torch.no_grad():
        logits = attacked.answers(pixels).double()
        moved = attacked.unrounded(pixels + reach * direction * levels_per_unit(attacked.spec)).double()
    slopes = (moved - logits) / reach.flatten(1)
    own = goal.classes[:, None]
    ahead = logits - logits.gather(1, own)  # z_j - z_c
    nearing = slopes - slopes.gather(1, own)  # how fast z_j - z_c grows
    others = torch.ones_like(logits, dtype=torch.bool).scatter(1, own, False)
    if goal.targeted:
        to_pass = others & (ahead >= 0)
        needed = torch.where(nearing < 0, -ahead / nearing, torch.inf)
        return needed.masked_fill(~to_pass, 0).amax(1)
    return torch.where(others & (nearing > 0), -ahead / nearing, torch.inf).amin(1)
