"""The criterion of a training holds the weights of the classes, counted in the training split."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from rehearsal.small import MadeBatches, make_model
from striate.core.config import override
from striate.core.device import ExecutionPlan
from striate.core.errors import ConfigError
from striate.runs.criterion import check_criterion, learned_task
from striate.runs.recipes import RECIPES


def _data(*counts: int) -> Any:
    return SimpleNamespace(class_counts=np.array(counts) if counts else None)


def test_a_class_counts_as_much_as_its_weight() -> None:
    recipe = override(RECIPES["photos"](), ["loss.class_balance=1"])
    batch = next(MadeBatches().epoch(0))
    model = make_model(dropout=0.0).eval()
    counts = np.arange(1, 1 + model(batch.images).shape[1])
    loss = learned_task(recipe, _data(*counts), ExecutionPlan()).loss(model, batch)
    each = torch.nn.functional.cross_entropy(model(batch.images), batch.targets, reduction="none")
    weights = len(counts) / counts / (1 / counts).sum()
    by_hand = (torch.tensor(weights)[batch.targets] * each).mean()
    assert loss.item() == pytest.approx(by_hand.item(), rel=1e-6)


def test_without_weights_the_criterion_is_the_loss_of_the_recipe() -> None:
    recipe = RECIPES["photos"]()
    assert learned_task(recipe, _data(1, 2), ExecutionPlan()).criterion is recipe.loss


def test_weights_that_nothing_determines_or_uses_are_refused() -> None:
    recipe = override(RECIPES["photos"](), ["loss.class_balance=0.9"])
    with pytest.raises(ConfigError, match=r"loss\.class_balance follows from the number.*train on files\."):
        check_criterion(recipe, _data())
    features = override(recipe, ["transfer=features", "weights=w.safetensors", "model=resnet18"])
    with pytest.raises(ConfigError, match=r"loss\.class_balance weights .* --transfer full"):
        check_criterion(features, _data(3, 4))
