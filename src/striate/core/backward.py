"""The gradient of a batch's mean loss: at once, or by parts of the batch that are computed side by side.

A small network's operations are too short to be shared out among threads: they spend their time meeting. So a plan may
divide the batch instead. Each part goes forward and backward in a thread of its own, and the gradients are added in the
order of the parts, so that the sum is the same in every repetition. It is right only where one sample's output does not
depend on the others, and nothing is drawn or counted on the way: `divisible` says of which networks that is known.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from striate.core.device import ExecutionPlan
from striate.core.protocols import Auxiliary

Targets = Int[Tensor, " n"] | Float[Tensor, "n k"]
Loss = Callable[[Tensor, Tensor], Tensor]

_SAMPLEWISE = (nn.Conv2d, nn.Linear, nn.ReLU, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.Flatten, nn.Identity)


def divisible(model: nn.Module) -> bool:
    """Whether a batch may be divided: every module computes each sample by itself, draws nothing and keeps nothing.

    Batch normalization looks at the whole batch and counts; dropout draws from a generator that threads would share.
    """
    leaves = (module for module in model.modules() if next(module.children(), None) is None)
    return next(model.buffers(), None) is None and all(isinstance(leaf, _SAMPLEWISE) for leaf in leaves)


def backward(
    model: nn.Module,
    loss: Loss,
    images: Float[Tensor, "n c h w"],
    targets: Targets,
    plan: ExecutionPlan,
    *,
    auxiliary: float = 0.0,
) -> Float[Tensor, ""]:
    """Set `.grad` of the trainable parameters to the gradient of the mean loss, and give that loss.

    `loss` is a mean over samples. Where the network has auxiliary classifiers, the loss of each is added to that of the
    main one, times `auxiliary`; at 0 they are not computed. `images` and `targets` lie where `plan` wants them.
    Gradients that are there already are added to at once, and replaced by parts: clear them first.
    """
    if plan.parts == 1:
        mean = _mean_loss(model, loss, images, targets, plan, auxiliary)
        mean.backward()
        return mean.detach()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def part(images: Tensor, targets: Tensor, share: float) -> tuple[Tensor, tuple[Tensor | None, ...]]:
        mean = _mean_loss(model, loss, images, targets, plan, auxiliary) * share
        return mean.detach(), torch.autograd.grad(mean, parameters, allow_unused=True)

    pieces = zip(images.tensor_split(plan.parts), targets.tensor_split(plan.parts), strict=True)
    first, *others = [(x, y, len(x) / len(images)) for x, y in pieces if len(x)]
    waiting = [_threads(plan.parts - 1, plan.threads).submit(part, *piece) for piece in others]
    value, gradients = part(*first)
    for future in waiting:
        more, added = future.result()
        value = value + more
        for gradient, addend in zip(gradients, added, strict=True):
            if gradient is not None and addend is not None:
                gradient.add_(addend)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    return value


def _mean_loss(
    model: nn.Module, loss: Loss, images: Tensor, targets: Tensor, plan: ExecutionPlan, auxiliary: float
) -> Tensor:
    others: dict[str, Tensor] = {}
    with plan.autocast():
        if auxiliary and isinstance(model, Auxiliary):
            logits, others = model.forward_with_auxiliary(images)
        else:
            logits = model(images)
    mean = loss(logits.float(), targets)
    for other in others.values():
        mean = mean + auxiliary * loss(other.float(), targets)
    return mean


@functools.cache
def _threads(count: int, threads: int) -> ThreadPoolExecutor:
    """The threads beside the caller's, each with so many of torch's for one operation; they live with the process."""
    return ThreadPoolExecutor(count, "striate part", initializer=torch.set_num_threads, initargs=(threads,))
