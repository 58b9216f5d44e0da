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
from striate.training.gradients import change

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


def test_sharpness_aware_minimization_takes_the_gradient_a_step_up_the_gradient() -> None:
    model = make_model(dropout=0.0)
    before, first = copy.deepcopy(model), plain_gradients(model)
    norm = torch.cat([gradient.reshape(-1) for gradient in first]).norm()
    above, once = copy.deepcopy(before), copy.deepcopy(before).train()
    with torch.no_grad():
        for parameter, way in zip(above.parameters(), first, strict=True):
            parameter.add_(0.3 * way / norm)
        outputs = once(BATCH.images)
        mean = once.get_buffer("1.running_mean").clone()
    state = make_state(model, optimizer=torch.optim.SGD(model.parameters(), lr=0.5), sharpness=0.3)
    state.model.train()
    loss, _ = step(state, BATCH)
    for wanted, way, at in zip(plain_gradients(above), moved(model, before, 0.5), first, strict=True):
        torch.testing.assert_close(way, wanted, rtol=1e-3, atol=1e-5)
        assert at.ndim == 1 or not torch.allclose(way, at, rtol=1e-2)
    assert loss == pytest.approx(functional.cross_entropy(outputs, BATCH.targets).item())
    torch.testing.assert_close(model.get_buffer("1.running_mean"), mean)
    assert torch.equal(model.get_buffer("1.num_batches_tracked"), torch.tensor(1))


def test_both_passes_of_sharpness_aware_minimization_drop_the_same_units() -> None:
    ends = []
    for sharpness in (None, 1e-9):
        state = make_state(sharpness=sharpness)
        state.model.train()
        step(state, BATCH)
        ends.append(weights(state.model))
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-5, atol=1e-6)


def test_clipping_by_value_bounds_each_number_before_the_norm() -> None:
    model = make_model(dropout=0.0)
    before = copy.deepcopy(model)
    clipped = [gradient.clamp(-0.05, 0.05) for gradient in plain_gradients(model)]
    norm = torch.cat([gradient.reshape(-1) for gradient in clipped]).norm()
    plain = torch.optim.SGD(model.parameters(), lr=0.5)
    step(make_state(model, optimizer=plain, clip_value=0.05, clip_norm=float(norm) / 2), BATCH)
    for gradient, way in zip(clipped, moved(model, before, 0.5), strict=True):
        torch.testing.assert_close(way, gradient / 2, rtol=1e-3, atol=1e-5)


def test_gradient_noise_is_normal_of_the_papers_variance_and_a_function_of_seed_and_step() -> None:
    def noise(at: int, *, seed: int = 0, layout: str = "contiguous") -> Tensor:
        plan = ExecutionPlan(layout="channels_last" if layout == "channels_last" else "contiguous")
        model = plan.adopt(nn.Sequential(nn.Conv2d(2, 300, 3), nn.Flatten(), nn.Linear(4800, 3)))
        model.requires_grad_(False)[0].requires_grad_(True)
        state = make_state(model, optimizer=torch.optim.SGD(model[0].parameters(), lr=1.0), seed=seed, plan=plan)
        for parameter in model[0].parameters():
            parameter.grad = torch.zeros_like(parameter)
        for _ in range(at):
            state.clock = state.clock.tick(0.0)
        state.gradient_noise = 0.3
        change(state)
        return torch.cat([(0 * each if each.grad is None else each.grad).reshape(-1) for each in model[0].parameters()])

    first, later = noise(0), noise(15)
    assert first.std().item() == pytest.approx(0.3**0.5, rel=0.05)
    assert later.std().item() == pytest.approx((0.3 / 16**0.55) ** 0.5, rel=0.05)
    assert abs(first.mean().item()) < 0.03
    assert abs(torch.corrcoef(torch.stack([first, later]))[0, 1].item()) < 0.05
    assert torch.equal(noise(15), later)
    assert torch.equal(noise(15, layout="channels_last"), later)
    assert not torch.equal(noise(15, seed=1), later)


def test_no_filter_and_no_unit_is_longer_than_the_bound_after_any_step() -> None:
    state = make_state(lr=0.5, max_norm=0.4)
    for _ in range(3):
        step(state, BATCH)
        norms = [weight.detach().flatten(1).norm(dim=1).max().item() for weight in state.weights]
        assert max(norms) == pytest.approx(0.4, rel=1e-5)


def test_the_bound_leaves_frozen_layers_as_they_are() -> None:
    state = make_state(lr=0.5, max_norm=0.01)
    frozen = state.weights[0].requires_grad_(False)
    before = frozen.clone()
    step(state, BATCH)
    assert torch.equal(frozen, before)


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
