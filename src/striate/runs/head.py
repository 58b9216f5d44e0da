"""The last layer with which a training from pretrained weights starts: a linear classifier on their features.

Kumar et al., "Fine-tuning can distort pretrained features and underperform out-of-distribution", ICLR 2022,
arXiv:2202.10054: from a random last layer, the first steps change features that are good already.
"""

from __future__ import annotations

import contextlib

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from striate.classifier.reference import inputs_of
from striate.core.progress import Progress, silent
from striate.core.protocols import Batches
from striate.models import Network
from striate.runs.prepare import Prepared
from striate.runs.probe import LINEAR, training_fit
from striate.runs.recipe import Recipe
from striate.runs.transfer import keeps_statistics
from striate.tasks import CLASSIFICATION

_IMAGES = 64
_TEMPERATURES = 2.0 ** np.arange(11)


def fit_head(recipe: Recipe, prepared: Prepared, network: Network, *, progress: Progress = silent) -> None:
    """Set the last layer of `network` to the linear classifier of the training images' features.

    A head that is no linear layer on vectors, or of a task without such a classifier, keeps its weights.
    """
    head = network.get_submodule(network.head)
    if not isinstance(head, nn.Linear) or recipe.task.name not in LINEAR:
        return
    rows, targets, _, fit = training_fit(recipe, prepared, progress)
    fitted = fit(rows, targets)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(fitted.weight))
        head.bias.copy_(torch.from_numpy(fitted.bias))


@torch.no_grad()
def soften_head(recipe: Recipe, network: Network, batches: Batches) -> None:
    """Divide the last layer by the power of 2, from 1 to 1024, with the smallest loss of images as training shows them.

    It was fitted to the features of plain images, which a few hundred images separate with weights as large as the
    penalty allows. Augmentation, and batch norms that take the statistics of batches, change features: with such
    weights the loss of the first step can be above 80. The answers stay the same, only less certain.
    """
    head = network.get_submodule(network.head)
    if not isinstance(head, nn.Linear) or recipe.task.name not in LINEAR:
        return
    logits, targets = _as_in_training(recipe, network, head, batches)
    single = recipe.task.name == CLASSIFICATION.name
    loss = F.cross_entropy if single else F.binary_cross_entropy_with_logits
    best = min(_TEMPERATURES, key=lambda tried: float(loss(logits / tried, targets)))
    for parameter in head.parameters():
        parameter.div_(best)


def _as_in_training(recipe: Recipe, network: Network, head: nn.Linear, batches: Batches) -> tuple[Tensor, Tensor]:
    """Return logits and targets of the first images of the first epoch, in training mode."""
    modes = {module: module.training for module in network.modules()}
    buffers = [(buffer, buffer.clone()) for buffer in network.buffers()]
    logits: list[Tensor] = []
    targets: list[Tensor] = []
    with (
        inputs_of(network, network.head) as features,
        torch.random.fork_rng(devices=[]),
        contextlib.closing(batches.epoch(0)) as shown,  # pyright: ignore[reportArgumentType]
    ):
        torch.manual_seed(recipe.seed)
        network.train()
        if keeps_statistics(recipe.transfer):
            for module in network.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        for batch in shown:
            network(batch.images[:_IMAGES])
            logits.append(head(features()))
            targets.append(batch.targets[:_IMAGES])
            if sum(map(len, targets)) >= _IMAGES:
                break
    for buffer, before in buffers:
        buffer.copy_(before)
    for module, mode in modes.items():
        module.training = mode
    return torch.cat(logits), torch.cat(targets)
