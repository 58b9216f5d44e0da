"""What a training makes small: functions of logits and targets, averaged over the samples of a batch.

Each takes hard targets (class numbers) or soft ones (a share for each class, rows summing to one); a hard target is
the soft one with all of its share on one class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from striate.core.errors import ConfigError
from striate.core.registry import Registry
from striate.training.named import bind

Loss = Callable[[Tensor, Tensor], Tensor]

LOSSES: Registry[Callable[..., Tensor]] = Registry("loss")


def create_loss(name: str, **chosen: Any) -> Loss:
    """The registered loss `name` with its options, as a function of (logits, targets).

    Raises:
        ConfigError: there is no such loss or option, or the option's value cannot be.
    """
    loss = bind(LOSSES, name, chosen)
    smoothing = chosen.get("label_smoothing", 0.0)
    if not 0 <= smoothing < 1:
        raise ConfigError(f"label_smoothing is at least 0 and below 1; received {smoothing:g}.")
    return loss


def cross_entropy(
    logits: Float[Tensor, "n k"],
    targets: Int[Tensor, " n"] | Float[Tensor, "n k"],
    *,
    label_smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """How surprised the network is by the truth, in nats: mean over samples of -Σ_k y_k log softmax(logits)_k.

    With smoothing ε, y becomes (1 - ε) y + ε / K (Szegedy et al. 2015, arXiv:1512.00567, section 7).
    """
    return F.cross_entropy(logits, targets, label_smoothing=label_smoothing)


def hinge(
    logits: Float[Tensor, "n k"],
    targets: Int[Tensor, " n"] | Float[Tensor, "n k"],
    *,
    margin: float = 1.0,
) -> Float[Tensor, ""]:
    """By how much wrong classes come within `margin` of the true one: mean of Σ_{j≠y} max(0, margin + s_j - s_y).

    The sum form of Weston and Watkins, "Support vector machines for multi-class pattern recognition" (ESANN 1999),
    eq. 3, as CS231n teaches it: every class that offends adds to the loss, where Crammer and Singer (2001) count only
    the worst. Unlike theirs there is no factor 1/K, and the weights' penalty is the optimizer's. A soft target is the
    mixture, in its shares, of the losses of its classes.
    """
    if not targets.is_floating_point():
        return _offences(logits, logits.gather(1, targets.long().unsqueeze(1)), margin).mean()
    each = [_offences(logits, truth, margin) for truth in logits.split(1, dim=1)]  # as if each class were the true one
    return (targets * torch.stack(each, dim=1)).sum(dim=1).mean()


def _offences(logits: Float[Tensor, "n k"], truth: Float[Tensor, "n 1"], margin: float) -> Float[Tensor, " n"]:
    """The sum over all classes, less the margin itself, which is what the true class adds to it."""
    return (margin + logits - truth).clamp(min=0).sum(dim=1) - margin


LOSSES.add("cross_entropy", cross_entropy)
LOSSES.add("hinge", hinge)
