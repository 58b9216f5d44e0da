"""Losses: functions of logits and targets, averaged over the samples of a batch.

Targets are hard (class indices) or soft (a probability for each class, rows summing to one). A hard target equals the
soft one with probability 1 for its class.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Int64
from torch import Tensor

from striate.core.imbalance import effective_numbers
from striate.core.registry import Registered, Registry
from striate.core.scalars import check_range

LOSSES: Registry[type[Loss]] = Registry("loss")


@dataclass(frozen=True, kw_only=True)
class Loss(Registered, ABC):
    """A loss with its options, called with logits and targets.

    Args:
        auxiliary: weight of the loss of each auxiliary classifier; 0 leaves them untrained, none is the weight of the
            model's authors: 0.4 for NASNet, else 0.3.
    """

    registry = LOSSES
    tasks: ClassVar[tuple[str, ...]] = ("classification",)
    """Names of the tasks whose outputs and targets the loss takes."""
    soft_targets: ClassVar[bool] = False
    """Whether the loss takes soft targets, which `mixup` and `cutmix` make."""

    auxiliary: float | None = None

    def __post_init__(self) -> None:
        check_range(self, "auxiliary", at_least=0)

    @abstractmethod
    def __call__(
        self, logits: Float[Tensor, "n k"], targets: Int[Tensor, " n"] | Float[Tensor, "n k"]
    ) -> Float[Tensor, ""]:
        """Return the loss, averaged over the samples."""


@dataclass(frozen=True, kw_only=True)
class Balanced(Loss, ABC):
    """A loss that can weight the terms of each class by how rare it is in the training split.

    With β > 0 the terms of the samples of class c are multiplied by (1 - β) / (1 - β^n_c) for its n_c samples, scaled
    so that the weights sum to the number of classes: Y. Cui et al., "Class-balanced loss based on effective number of
    samples", CVPR 2019, arXiv:1901.05555, eq. 5. At β = 1, the limit, this is the inverse of the frequency. Classes
    without a sample have no weight. Without the weights, as in the trial of execution plans, all are 1.

    Args:
        class_balance: β, from 0 (classes are not weighted) to 1 (by inverse frequency); 0.9, 0.99 and more lie between.
    """

    soft_targets = True

    class_balance: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "class_balance", at_least=0, at_most=1)

    def weights(self, counts: Int64[np.ndarray, " k"]) -> Float[Tensor, " k"]:
        """Return the weight of each class from its number of samples."""
        present = counts > 0
        effective = effective_numbers(counts, self.class_balance)
        weights = np.divide(1.0, effective, out=np.zeros(len(counts)), where=present)
        return torch.from_numpy(weights * (present.sum() / weights.sum())).float()

    @abstractmethod
    def __call__(
        self,
        logits: Float[Tensor, "n k"],
        targets: Int[Tensor, " n"] | Float[Tensor, "n k"],
        weights: Float[Tensor, " k"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the loss, averaged over the samples, in which class c has the weight `weights[c]`."""


@dataclass(frozen=True, kw_only=True)
class CrossEntropy(Balanced):
    """Cross-entropy in nats: mean over samples of -Σ_k y_k log softmax(logits)_k.

    With smoothing ε, y becomes (1 - ε) y + ε / K (Szegedy et al. 2015, arXiv:1512.00567, section 7).

    Args:
        label_smoothing: ε, at least 0 and below 1.
    """

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "label_smoothing", at_least=0, below=1)

    def __call__(
        self,
        logits: Float[Tensor, "n k"],
        targets: Int[Tensor, " n"] | Float[Tensor, "n k"],
        weights: Float[Tensor, " k"] | None = None,
    ) -> Float[Tensor, ""]:
        targets = _for_torch(targets)
        if weights is None:
            return F.cross_entropy(logits, targets, label_smoothing=self.label_smoothing)
        # Torch's own mean divides by the sum of the weights in the batch, which is not that of its parts.
        total = F.cross_entropy(
            logits, targets, weight=weights.to(logits), label_smoothing=self.label_smoothing, reduction="sum"
        )
        return total / len(logits)


@dataclass(frozen=True, kw_only=True)
class BinaryCrossEntropy(Balanced):
    """Binary cross-entropy of each class: mean over samples of -Σ_k [y_k log p_k + (1 - y_k) log(1 - p_k)].

    Here p = sigmoid(logits): each class belongs to a sample or not, whatever the others. For samples of a single class
    it replaces cross-entropy in R. Wightman, H. Touvron and H. Jégou, "ResNet strikes back", arXiv:2110.00476,
    section 2.2. Their code takes the mean over the classes, which is K times smaller: with SGD, divide the learning
    rate of such a recipe by K.

    With smoothing ε, y_k becomes (1 - ε) y_k + ε / 2: each class has the two outcomes present and absent, which share ε
    as the K classes do in arXiv:1512.00567, section 7. So does Keras; other code has ε / K for samples of one class.

    Args:
        label_smoothing: ε, at least 0 and below 1.
    """

    tasks = ("classification", "multilabel")

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "label_smoothing", at_least=0, below=1)

    def __call__(
        self,
        logits: Float[Tensor, "n k"],
        targets: Int[Tensor, " n"] | Float[Tensor, "n k"],
        weights: Float[Tensor, " k"] | None = None,
    ) -> Float[Tensor, ""]:
        positive = None if weights is None else weights.to(logits)
        truth = _matrix(targets, logits)
        if self.label_smoothing:
            truth = (1 - self.label_smoothing) * truth + self.label_smoothing / 2
        total = F.binary_cross_entropy_with_logits(logits, truth, pos_weight=positive, reduction="sum")
        return total / len(logits)


@dataclass(frozen=True, kw_only=True)
class Focal(Balanced):
    """Focal loss of each class: mean over samples of Σ_k -α_t (1 - p_t)^γ log p_t, with p = sigmoid(logits).

    Where the sample has class k, p_t = p_k and α_t = α; else p_t = 1 - p_k and α_t = 1 - α: T.-Y. Lin et al., "Focal
    loss for dense object detection", ICCV 2017, arXiv:1708.02002, eq. 5. What is easy adds little. The loss of a soft
    target is the mean of those of both cases, weighted by its probability. With `alpha` none, α_t is 1 (eq. 4).

    Args:
        gamma: exponent γ, at least 0; 0 is binary cross-entropy.
        alpha: weight of the samples that have the class, from 0 to 1; none weights both alike.
    """

    tasks = ("classification", "multilabel")

    gamma: float = 2.0
    alpha: float | None = 0.25

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "gamma", at_least=0)
        check_range(self, "alpha", at_least=0, at_most=1)

    def __call__(
        self,
        logits: Float[Tensor, "n k"],
        targets: Int[Tensor, " n"] | Float[Tensor, "n k"],
        weights: Float[Tensor, " k"] | None = None,
    ) -> Float[Tensor, ""]:
        truth = _matrix(targets, logits)
        present, absent = truth * self._term(logits), (1 - truth) * self._term(-logits)
        if self.alpha is not None:
            present, absent = self.alpha * present, (1 - self.alpha) * absent
        if weights is not None:
            present = present * weights.to(logits)
        return (present + absent).sum() / len(logits)

    def _term(self, logits: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """Return -(1 - p)^γ log p."""
        return torch.exp(-self.gamma * F.softplus(logits)) * F.softplus(-logits)


def _for_torch(targets: Int[Tensor, " n"] | Float[Tensor, "n k"]) -> Int64[Tensor, " n"] | Float[Tensor, "n k"]:
    """Return class indices in the only integer type that torch's cross-entropy takes for all of them."""
    return targets if targets.is_floating_point() else targets.long()


def _matrix(targets: Int[Tensor, " n"] | Float[Tensor, "n k"], logits: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
    """Return targets with a column for each class."""
    if targets.is_floating_point():
        return targets.to(logits.dtype)
    return F.one_hot(targets.long(), logits.shape[1]).to(logits.dtype)


@dataclass(frozen=True, kw_only=True)
class Hinge(Loss):
    """Multi-class hinge loss: mean over samples of Σ_{j≠y} max(0, margin + s_j - s_y).

    The sum form of Weston and Watkins, "Support vector machines for multi-class pattern recognition" (ESANN 1999),
    eq. 3, as in CS231n: every class within the margin adds to the loss, whereas Crammer and Singer (2001) count only
    the worst. Weston and Watkins have a margin of 2, and a penalty on weights, which the optimizer adds here. The loss
    of a soft target is the mean of the losses of the classes, weighted by their probabilities.

    Args:
        margin: required excess of the true class's score over every other score.
    """

    soft_targets = True

    margin: float = 1.0

    def __call__(
        self, logits: Float[Tensor, "n k"], targets: Int[Tensor, " n"] | Float[Tensor, "n k"]
    ) -> Float[Tensor, ""]:
        if not targets.is_floating_point():
            return self._excess(logits, logits.gather(1, targets.long().unsqueeze(1))).mean()
        each = [self._excess(logits, truth) for truth in logits.split(1, dim=1)]  # as if each class were the true one
        return (targets * torch.stack(each, dim=1)).sum(dim=1).mean()

    def _excess(self, logits: Float[Tensor, "n k"], truth: Float[Tensor, "n 1"]) -> Float[Tensor, " n"]:
        """Sum over all classes, and subtract the margin, which the true class adds to the sum."""
        return (self.margin + logits - truth).clamp(min=0).sum(dim=1) - self.margin


@dataclass(frozen=True, kw_only=True)
class Distill(Loss):
    """Distillation: the classes as usual, and the probabilities of a teacher for the same augmented images.

        alpha · T² · KL(softmax(t / T) ‖ softmax(z / T)) + (1 - alpha) · cross-entropy(z, y)

    for logits z and those of the teacher, t: G. Hinton, O. Vinyals and J. Dean, "Distilling the knowledge in a neural
    network", arXiv:1503.02531, section 2. The factor T² keeps the gradient of the first term at the size of the second.
    The divergence differs from the paper's cross-entropy by the entropy of the teacher, a constant, and is 0 where both
    agree. Several teachers answer by the mean of their softened probabilities. Temperatures that calibrate teachers
    are not used. Without the answers of a teacher, as in the trial of execution plans, this is cross-entropy.

    The gradient grows with alpha · T. With T = 4 and alpha = 0.9, which are common for networks with normalization,
    LeNet-5 on Fashion-MNIST stays at chance at its usual learning rate; with the defaults it trains.

    Args:
        teacher: runs of the same classes, at least one.
        temperature: T; the higher, the more the teacher tells about wrong classes.
        alpha: weight of the teacher, from 0 to 1.
    """

    soft_targets = True

    teacher: tuple[str, ...] = ()
    temperature: float = 2.0
    alpha: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "temperature", above=0)
        check_range(self, "alpha", at_least=0, at_most=1)

    def soften(self, logits: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """Return the probabilities of a teacher with these logits at the temperature T."""
        return torch.softmax(logits / self.temperature, dim=1)

    def __call__(
        self,
        logits: Float[Tensor, "n k"],
        targets: Int[Tensor, " n"] | Float[Tensor, "n k"],
        taught: Float[Tensor, "n k"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the loss; `taught` are the softened probabilities of the teacher."""
        own = F.cross_entropy(logits, _for_torch(targets))
        if taught is None:
            return own
        softened = torch.log_softmax(logits / self.temperature, dim=1)
        divergence = F.kl_div(softened, taught, reduction="batchmean")
        return self.alpha * self.temperature**2 * divergence + (1 - self.alpha) * own


LOSSES.add("binary_cross_entropy", BinaryCrossEntropy)
LOSSES.add("cross_entropy", CrossEntropy)
LOSSES.add("distill", Distill)
LOSSES.add("focal", Focal)
LOSSES.add("hinge", Hinge)
