"""Goals of an attack: any class but one, or a class of its choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from striate.explaining.target import ResolvedTarget, TargetError

CLEAR = 1e-4
"""By how much, as a share of the largest logit, the class that wins must be ahead. The same sums in another order
(batch norms folded into convolutions, another batch) differ by less: what fools here fools everywhere."""


@dataclass(frozen=True)
class Untargeted:
    """Any answer but `label`: one class for all images or one for each; None is the predicted class."""

    label: int | Sequence[int] | None = None


@dataclass(frozen=True)
class Targeted:
    """The answer `target`: one class for all images, or one for each."""

    target: int | Sequence[int]


Goal = Untargeted | Targeted

ANY_OTHER = Untargeted()


@dataclass(frozen=True, eq=False)
class ResolvedGoal:
    """A `Goal` resolved by the answers to the images: the class to leave or to reach.

    `index` is the position of each image among those of the call.
    """

    classes: Int[Tensor, " n"]
    index: Int[Tensor, " n"]
    targeted: bool

    @classmethod
    def of(cls, goal: Goal, logits: Float[Tensor, "n k"]) -> ResolvedGoal:
        """Resolve a goal by the logits of the images.

        Raises:
            TargetError: there is no such class, or there are no two classes.
        """
        if logits.shape[1] < 2:
            raise TargetError("An attack needs a network with at least 2 classes; this one has 1.")
        resolved = ResolvedTarget(goal.target if isinstance(goal, Targeted) else goal.label)
        resolved(logits)
        if resolved.classes is None:
            raise TargetError("The goal of an attack must be a class; received a function.")
        classes = torch.tensor(resolved.classes, device=logits.device)
        return cls(classes, torch.arange(len(classes), device=logits.device), isinstance(goal, Targeted))

    def __getitem__(self, rows: Tensor | slice) -> ResolvedGoal:
        return ResolvedGoal(self.classes[rows], self.index[rows], self.targeted)

    def progress(self, logits: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
        """Return the score that an attack raises: the log-odds against the class to leave, or for the class to reach.

        With p the probability of a class, cross-entropy is -log p = log(1 + (1-p)/p), so the log-odds log((1-p)/p)
        rise and fall with it and their gradient has its direction. But where the network is sure, the gradient of
        cross-entropy vanishes, and to float32 is nothing; that of the log-odds never does.
        """
        wide = logits.double()
        own = wide.gather(1, self.classes[:, None]).squeeze(1)
        others = wide.scatter(1, self.classes[:, None], -torch.inf).logsumexp(1)
        return own - others if self.targeted else others - own

    def reached(self, logits: Float[Tensor, "n k"]) -> Bool[Tensor, " n"]:
        """Whether the answer meets the goal, by a clear margin (see `CLEAR`)."""
        own = logits.gather(1, self.classes[:, None]).squeeze(1)
        best_other = logits.scatter(1, self.classes[:, None], -torch.inf).amax(1)
        ahead = own - best_other if self.targeted else best_other - own
        return ahead > CLEAR * logits.abs().amax(1)


class OneLabel(nn.Module):
    """A network for several labels as one of two classes: 0, an image has the label `number`; 1, it has not.

    `Untargeted()` attacks take the label away from an image that has it, `Targeted(0)` gives it to one that has not.

    Args:
        model: the network, which returns logits (n, k).
        number: the number of the label.
        threshold: the probability from which an image has the label, from 0 to 1.
        temperature: that of the probability, sigmoid(logit / temperature).
    """

    def __init__(self, model: nn.Module, number: int, *, threshold: float = 0.5, temperature: float = 1.0) -> None:
        super().__init__()
        self.model, self.number = model, number
        limit = torch.tensor(threshold, dtype=torch.float64).logit(eps=torch.finfo(torch.float32).eps)
        self.limit = temperature * float(limit)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 2"]:
        above = self.model(images)[:, self.number] - self.limit
        return torch.stack([above, torch.zeros_like(above)], 1)
