"""What an attack is after: another answer than a class, or a class of its choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from striate.explaining.target import Aim, TargetError

CLEAR = 1e-4
"""By how much, as a share of the largest logit, the class that wins must be ahead. The same sums in another order
(batch norms folded into convolutions, another batch) differ by less: what fools here fools everywhere."""


@dataclass(frozen=True)
class Away:
    """Any answer but `label`: one class for all pictures or one for each; None is what the network takes them for."""

    label: int | Sequence[int] | None = None


@dataclass(frozen=True)
class Towards:
    """The answer `target`: one class for all pictures, or one for each."""

    target: int | Sequence[int]


Goal = Away | Towards

ANY_OTHER = Away()


@dataclass(frozen=True, eq=False)
class Chase:
    """A `Goal` once it has met the pictures: the class to leave or to reach, and for each picture where it stands among
    those of the call."""

    classes: Int[Tensor, " n"]
    index: Int[Tensor, " n"]
    targeted: bool

    @classmethod
    def of(cls, goal: Goal, logits: Float[Tensor, "n k"]) -> Chase:
        """The goal for pictures whose answers are `logits`.

        Raises:
            TargetError: there is no such class, or there are no two classes.
        """
        if logits.shape[1] < 2:
            raise TargetError("A network that knows a single class cannot be fooled: an attack needs two logits.")
        aim = Aim(goal.target if isinstance(goal, Towards) else goal.label)
        aim(logits)
        if aim.classes is None:
            raise TargetError("An attack leaves or seeks a class; a target that is a function has none.")
        classes = torch.tensor(aim.classes, device=logits.device)
        return cls(classes, torch.arange(len(classes), device=logits.device), isinstance(goal, Towards))

    def __getitem__(self, rows: Tensor | slice) -> Chase:
        return Chase(self.classes[rows], self.index[rows], self.targeted)

    def progress(self, logits: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
        """What an attack raises: the log-odds against the class to leave, or for the class to reach.

        With p the probability of a class, cross-entropy is -log p = log(1 + (1-p)/p), so the log-odds log((1-p)/p)
        rise and fall with it and their gradient has its direction. But where the network is sure, the gradient of
        cross-entropy vanishes, and to float32 is nothing; that of the log-odds never does.
        """
        wide = logits.double()
        own = wide.gather(1, self.classes[:, None]).squeeze(1)
        others = wide.scatter(1, self.classes[:, None], -torch.inf).logsumexp(1)
        return own - others if self.targeted else others - own

    def reached(self, logits: Float[Tensor, "n k"]) -> Bool[Tensor, " n"]:
        """Whether the answer is as it should be, and clearly so (see `CLEAR`)."""
        own = logits.gather(1, self.classes[:, None]).squeeze(1)
        best_other = logits.scatter(1, self.classes[:, None], -torch.inf).amax(1)
        ahead = own - best_other if self.targeted else best_other - own
        return ahead > CLEAR * logits.abs().amax(1)
