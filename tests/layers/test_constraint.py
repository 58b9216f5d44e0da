"""Weights stay in the ball: as a projection, and through real training steps."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from rehearsal.small import MadeBatches, make_state
from striate.core.device import ExecutionPlan
from striate.core.protocols import Constrained
from striate.layers import MaxNormConv2d, MaxNormLinear
from striate.training import step


def _layers() -> list[MaxNormConv2d | MaxNormLinear]:
    torch.manual_seed(0)
    return [MaxNormConv2d(3, 8, (3, 2), padding=1, max_norm=1.5), MaxNormLinear(18, 8, max_norm=1.5)]


def _norms(weight: Tensor) -> list[float]:
    """Each filter's or unit's, number by number."""
    return [sum(float(value) ** 2 for value in row.flatten()) ** 0.5 for row in weight.detach()]


@pytest.mark.parametrize("layer", _layers())
def test_vectors_that_are_too_long_are_shortened_and_others_keep_every_bit(
    layer: MaxNormConv2d | MaxNormLinear,
) -> None:
    assert isinstance(layer, Constrained)
    with torch.no_grad():
        layer.weight[::2] *= 10
    before = layer.weight.detach().clone()
    layer.project_()
    after = layer.weight.detach()
    assert torch.equal(after[1::2], before[1::2])
    assert _norms(after[::2]) == pytest.approx([1.5] * 4, rel=1e-5)
    directions = [nn.functional.normalize(weight.flatten(1)) for weight in (before, after)]
    torch.testing.assert_close(*directions)
    assert layer.weight.requires_grad


def test_projection_keeps_the_layout_of_the_weights() -> None:
    layer = MaxNormConv2d(3, 8, 3, max_norm=0.1).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    layer.project_()
    assert layer.weight.is_contiguous(memory_format=torch.channels_last)
    assert max(_norms(layer.weight)) < 0.1001


@pytest.mark.parametrize("plan", [ExecutionPlan(), ExecutionPlan(layout="channels_last")])
def test_after_every_step_of_a_training_the_weights_are_in_the_ball(plan: ExecutionPlan) -> None:
    torch.manual_seed(0)
    conv, dense = MaxNormConv2d(2, 4, 3, max_norm=0.4), MaxNormLinear(64, 3, max_norm=0.5)
    state = make_state(plan.adopt(nn.Sequential(conv, nn.ReLU(), nn.Flatten(), dense)), lr=0.5, plan=plan)
    for batch in MadeBatches(3).epoch(0):
        step(state, batch)
        assert max(_norms(conv.weight)) < 0.4001
        assert max(_norms(dense.weight)) < 0.5001
    assert max(_norms(conv.weight)) > 0.3999  # the data pull outwards
