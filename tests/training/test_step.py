"""One update, against the same update written out with torch's plainest means."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from rehearsal.small import MadeBatches, WithAuxiliary, make_model, make_state, weights
from striate.core.device import ExecutionPlan
from striate.core.errors import TrainingError
from striate.tasks import CLASSIFICATION, Classification
from striate.training import evaluate, step

BATCH = next(MadeBatches().epoch(0))


def plain_gradients(model: nn.Module) -> list[Tensor]:
    """The gradient of the mean cross-entropy, without a step."""
    copied = copy.deepcopy(model).train()
    functional.cross_entropy(copied(BATCH.images), BATCH.targets).backward()
    return [parameter.grad for parameter in copied.parameters() if parameter.grad is not None]


def moved(model: nn.Module, before: nn.Module, lr: float) -> list[Tensor]:
    """What the first step of plain gradient descent went along: (before - after) / lr."""
    pairs = zip(before.parameters(), model.parameters(), strict=True)
    return [(old - new).detach() / lr for old, new in pairs]


def test_clipping_bounds_the_norm_of_all_gradients_together_and_l1_is_added_to_weights_after_it() -> None:
    model = make_model(dropout=0.0)
    before, gradients = copy.deepcopy(model), plain_gradients(model)
    norm = torch.cat([gradient.reshape(-1) for gradient in gradients]).norm()
    state = make_state(model, optimizer=torch.optim.SGD(model.parameters(), lr=0.5), clip_norm=float(norm) / 4, l1=0.01)
    step(state, BATCH)
    for gradient, weight, way in zip(gradients, before.parameters(), moved(model, before, 0.5), strict=True):
        penalty = 0.01 * weight.sign() if weight.ndim > 1 else 0.0
        torch.testing.assert_close(way, gradient / 4 + penalty, rtol=1e-3, atol=1e-5)


def test_dropout_draws_by_the_number_of_the_step_and_not_from_what_was_drawn_before() -> None:
    ends = []
    for noise in (1, 2):
        torch.manual_seed(noise)
        state = make_state()
        state.model.train()
        step(state, BATCH)
        ends.append(weights(state.model))
    assert torch.equal(ends[0], ends[1])
    losses = []
    for at in (0, 1):
        state = make_state(lr=1e-12)
        state.clock = state.clock.tick(0.0) if at else state.clock
        losses.append(step(state, BATCH)[0])
    assert losses[0] != losses[1]


def test_a_loss_that_is_not_finite_stops_before_a_weight_is_changed() -> None:
    state = make_state(nn.Sequential(nn.Flatten(), nn.Linear(72, 3)))
    spoiled = next(MadeBatches(spoiled=(0, 0)).epoch(0))
    before = weights(state.model)
    with pytest.raises(TrainingError, match=r"loss became nan at step 1 with a learning rate of 0\.05\. Lower the"):
        step(state, spoiled)
    assert torch.equal(weights(state.model), before)


def _linear(inputs: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, 3))


def test_auxiliary_classifiers_are_learnt_with_at_their_weight_and_not_judged_by() -> None:
    model = WithAuxiliary(nn.Conv2d(2, 4, 3), _linear(64), _linear(64))
    before = copy.deepcopy(model)
    main, auxiliary = before(BATCH.images), before.early(before.stem(BATCH.images))
    wanted = functional.cross_entropy(main, BATCH.targets) + 0.3 * functional.cross_entropy(auxiliary, BATCH.targets)
    wanted.backward()
    state = make_state(model, optimizer=torch.optim.SGD(model.parameters(), lr=0.5), task=Classification(auxiliary=0.3))
    loss, _ = step(state, BATCH)
    assert loss == pytest.approx(wanted.item(), rel=1e-6)
    for way, parameter in zip(moved(model, before, 0.5), before.parameters(), strict=True):
        torch.testing.assert_close(way, parameter.grad, rtol=1e-3, atol=1e-5)
    judged = evaluate(before, CLASSIFICATION, MadeBatches(1), state.plan)
    torch.testing.assert_close(torch.from_numpy(judged.values), main.detach())


class NonNegative(nn.Linear):
    def project_(self) -> None:
        with torch.no_grad():
            self.weight.clamp_(min=0)


def test_constrained_modules_are_projected_after_the_update() -> None:
    state = make_state(nn.Sequential(nn.Flatten(), NonNegative(72, 3)))
    assert float(weights(state.model)[:216].min()) < 0
    step(state, BATCH)
    assert float(weights(state.model)[:216].min()) == 0


def test_channels_last_computes_the_same_update() -> None:
    ends = []
    for plan in (ExecutionPlan(), ExecutionPlan(layout="channels_last")):
        model = plan.adopt(make_model(dropout=0.0))
        state = make_state(model, plan=plan)
        for _ in range(3):
            step(state, BATCH)
        ends.append(weights(model))
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-4, atol=1e-6)
