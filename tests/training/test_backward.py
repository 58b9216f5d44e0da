"""A divided batch: the gradient is that of the whole, the same in every repetition, and only where that is known."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from striate.core.batch import Batch
from striate.core.device import ExecutionPlan
from striate.models import create_model
from striate.tasks import Classification, Criterion
from striate.training.backward import backward, is_samplewise


def _backward(
    model: nn.Module, criterion: Criterion, images: Tensor, targets: Tensor, plan: ExecutionPlan, auxiliary: float = 0.0
) -> Tensor:
    return backward(
        model,
        Classification(criterion=criterion, auxiliary=auxiliary),
        Batch(images, targets, torch.arange(len(images))),
        plan,
    )


def _gradient(count: int, parts: int) -> tuple[float, Tensor]:
    """Loss and gradient of lenet5 on `count` images in float64, where only a wrong sum can differ."""
    model = create_model("lenet5", classes=4, channels=1, size=(14, 14), seed=3).double()
    draws = torch.Generator().manual_seed(5)
    images = torch.randn((count, 1, 14, 14), generator=draws, dtype=torch.float64)
    targets = torch.randint(4, (count,), generator=draws)

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits.double(), targets)

    value = _backward(model, loss, images, targets, ExecutionPlan(parts=parts))
    return float(value), torch.cat([p.grad.reshape(-1) for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize(("count", "parts"), [(8, 2), (7, 2), (9, 4), (2, 3), (1, 2)])
def test_parts_give_the_loss_and_gradient_of_the_whole_batch(count: int, parts: int) -> None:
    whole_loss, whole = _gradient(count, 1)
    loss, gradient = _gradient(count, parts)
    assert loss == pytest.approx(whole_loss, rel=1e-6)  # the logits pass through float32
    assert torch.linalg.vector_norm(gradient - whole) <= 1e-6 * torch.linalg.vector_norm(whole)


def test_parts_give_the_same_bits_every_time() -> None:
    repetitions = [_gradient(33, 2)[1] for _ in range(10)]
    assert all(torch.equal(gradient, repetitions[0]) for gradient in repetitions)


def test_a_parameter_that_is_not_reached_or_not_trained_keeps_no_gradient() -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.frozen, self.idle = nn.Linear(3, 3), nn.Linear(3, 2), nn.Linear(2, 2)
            self.frozen.requires_grad_(False)

        def forward(self, x: Tensor) -> Tensor:
            return self.frozen(self.used(x.flatten(1)))

    model = Idle()
    _backward(model, F.cross_entropy, torch.randn(4, 3, 1, 1), torch.tensor([0, 1, 1, 0]), ExecutionPlan(parts=2))
    assert model.used.weight.grad is not None
    assert model.frozen.weight.grad is None
    assert model.idle.weight.grad is None


def test_an_error_in_one_part_is_raised() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    with pytest.raises(IndexError):
        _backward(model, F.cross_entropy, torch.randn(4, 2, 1, 1), torch.tensor([0, 1, 1, 7]), ExecutionPlan(parts=2))


@pytest.mark.parametrize("name", ["linear", "mlp", "lenet5", "tiny_vgg"])
def test_networks_that_treat_each_sample_by_itself_are_divisible(name: str) -> None:
    assert is_samplewise(create_model(name, classes=3, channels=1, size=(32, 32), seed=0))


@pytest.mark.parametrize("layer", [nn.BatchNorm2d(1), nn.Dropout(0.5), nn.InstanceNorm2d(1, track_running_stats=True)])
def test_networks_that_mix_samples_draw_or_count_are_not(layer: nn.Module) -> None:
    assert not is_samplewise(nn.Sequential(nn.Conv2d(1, 1, 3), layer, nn.Flatten(), nn.Linear(4, 2)))


class Two(nn.Module):
    """One weight for both answers, then one each: main = a·w·x, auxiliary = b·w·x."""

    auxiliary_heads: Mapping[str, str] = MappingProxyType({"early": "b"})

    def __init__(self) -> None:
        super().__init__()
        self.w, self.a, self.b = (nn.Linear(1, 1, bias=False) for _ in range(3))
        for layer, value in ((self.w, 3.0), (self.a, 1.0), (self.b, -1.0)):
            nn.init.constant_(layer.weight, value)

    def forward(self, x: Tensor) -> Tensor:
        return self.a(self.w(x.flatten(1)))

    def forward_with_auxiliary(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        shared = self.w(x.flatten(1))
        return self.a(shared), {"early": self.b(shared)}


@pytest.mark.parametrize("parts", [1, 2])
def test_the_loss_of_an_auxiliary_classifier_is_added_at_its_weight(parts: int) -> None:
    # x = 2, wanted 5: the main answer is 6 and 1 off, the auxiliary -6 and 11 off, and squares are made small.
    model, plan = Two(), ExecutionPlan(parts=parts)
    value = _backward(model, F.mse_loss, torch.full((4, 1, 1, 1), 2.0), torch.full((4, 1), 5.0), plan, auxiliary=0.3)
    assert float(value) == pytest.approx(1 + 0.3 * 121)
    gradients = [float(layer.weight.grad) for layer in (model.w, model.a, model.b) if layer.weight.grad is not None]
    assert gradients == pytest.approx([2 * 1 * 2 + 0.3 * 2 * -11 * -2, 2 * 1 * 6, 0.3 * 2 * -11 * 6])


def test_without_a_weight_auxiliary_classifiers_are_not_computed() -> None:
    model = Two()
    value = _backward(model, F.mse_loss, torch.full((4, 1, 1, 1), 2.0), torch.full((4, 1), 5.0), ExecutionPlan())
    assert float(value) == 1
    assert model.b.weight.grad is None


def test_a_weight_changes_nothing_where_there_is_no_auxiliary_classifier() -> None:
    images, targets = torch.randn(4, 2, 1, 1), torch.tensor([0, 1, 1, 0])
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    losses = [_backward(model, F.cross_entropy, images, targets, ExecutionPlan(), auxiliary=w) for w in (0.0, 0.3)]
    assert losses[0] == losses[1]
