"""What every registered loss promises: its slow reference, true gradients, soft targets that contain the hard ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from reference import losses as reference
from striate.core.config import from_json
from striate.core.errors import ConfigError
from striate.training.losses import LOSSES, Balanced, BinaryCrossEntropy, CrossEntropy, Distill, Focal, Hinge, Loss

# Every option of every loss away from its default, so that none is decoration.
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "binary_cross_entropy": [{}, {"class_balance": 0.9}, {"label_smoothing": 0.2, "class_balance": 1.0}],
    "cross_entropy": [{}, {"label_smoothing": 0.1}, {"label_smoothing": 0.2, "class_balance": 1.0}],
    "distill": [{"teacher": ("a run",)}, {"teacher": ("a run",), "temperature": 3.0, "alpha": 0.4}],
    "focal": [{}, {"gamma": 1.5, "alpha": None}, {"alpha": 0.6, "class_balance": 0.5}],
    "hinge": [{}, {"margin": 0.5}],
}
CASES = [(name, chosen) for name in LOSSES for chosen in OPTIONS[name]]
REFERENCE_WORDS = {"label_smoothing": "smoothing"}
COUNTS = [5, 1, 40, 0, 8]  # samples of each class in an imagined training split


def make(n: int = 7, k: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    logits = 2 * torch.randn(n, k, generator=generator, dtype=torch.float64)
    hard = torch.randint(k, (n,), generator=generator)
    soft = torch.rand(n, k, generator=generator, dtype=torch.float64)
    return logits, hard, soft / soft.sum(dim=1, keepdim=True)


def answers_of_a_teacher(n: int = 7, k: int = 5) -> Tensor:
    return torch.softmax(torch.randn(n, k, generator=torch.Generator().manual_seed(4), dtype=torch.float64), dim=1)


def build(name: str, chosen: dict[str, Any], order: Tensor | None = None) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the loss; one that takes the answers of a teacher has those of the samples in `order`."""
    loss = LOSSES[name](**chosen)
    if isinstance(loss, Balanced) and loss.class_balance:
        return partial(loss, weights=loss.weights(np.array(COUNTS)).double())
    if not isinstance(loss, Distill):
        return loss
    taught = answers_of_a_teacher()
    return partial(loss, taught=taught if order is None else taught[order])


def slow(name: str, logits: Tensor, targets: Tensor, chosen: dict[str, Any]) -> float:
    words = {REFERENCE_WORDS.get(key, key): value for key, value in chosen.items() if key != "teacher"}
    beta = words.pop("class_balance", None)
    if beta is not None:
        exact = reference.class_weights(COUNTS, beta)
        words["weights"] = torch.tensor(exact, dtype=torch.float32).tolist()  # as the loss holds them
    if name == "distill":
        words["taught"] = answers_of_a_teacher().tolist()
    return getattr(reference, name)(logits.tolist(), targets.tolist(), **words)


@pytest.mark.parametrize("name", LOSSES)
def test_every_option_is_tried(name: str) -> None:
    assert {key for chosen in OPTIONS[name] for key in chosen} == {
        option.name for option in dataclasses.fields(LOSSES[name])
    } - {"auxiliary"}


@pytest.mark.parametrize(("name", "chosen"), CASES)
def test_equals_its_slow_reference_on_soft_targets(name: str, chosen: dict[str, float]) -> None:
    logits, _, soft = make()
    loss = build(name, chosen)
    assert loss(logits, soft).item() == pytest.approx(slow(name, logits, soft, chosen), rel=1e-12)


@pytest.mark.parametrize(("name", "chosen"), CASES)
def test_a_hard_target_is_the_soft_one_with_all_on_one_class(name: str, chosen: dict[str, float]) -> None:
    logits, hard, _ = make()
    one_hot = torch.eye(logits.shape[1], dtype=logits.dtype)[hard]
    loss = build(name, chosen)
    assert loss(logits, hard).item() == pytest.approx(slow(name, logits, one_hot, chosen), rel=1e-12)
    assert loss(logits, one_hot).item() == pytest.approx(loss(logits, hard).item(), rel=1e-12)


@pytest.mark.parametrize(("name", "chosen"), CASES)
@pytest.mark.parametrize("dtype", [torch.int32, torch.int16])
def test_class_indices_are_of_any_signed_integer_type(name: str, chosen: dict[str, float], dtype: torch.dtype) -> None:
    logits, hard, _ = make()
    loss = build(name, chosen)
    assert torch.equal(loss(logits, hard.to(dtype)), loss(logits, hard))


@pytest.mark.parametrize(("name", "chosen"), CASES)
@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_gradients_are_those_of_finite_differences(name: str, chosen: dict[str, float], kind: str) -> None:
    logits, hard, soft = make()
    loss = build(name, chosen)
    targets = hard if kind == "hard" else soft
    assert torch.autograd.gradcheck(lambda x: loss(x, targets), logits.requires_grad_())


@pytest.mark.parametrize("name", LOSSES)
def test_the_mean_over_samples_does_not_depend_on_their_order(name: str) -> None:
    logits, hard, _ = make()
    order = torch.tensor([3, 1, 6, 0, 2, 5, 4])
    chosen = OPTIONS[name][0]
    moved = build(name, chosen, order)(logits[order], hard[order])
    assert moved.item() == pytest.approx(build(name, chosen)(logits, hard).item(), rel=1e-12)


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.9999, 1.0])
def test_classes_are_weighted_by_their_effective_number_of_samples(beta: float) -> None:
    weights = CrossEntropy(class_balance=beta).weights(np.array(COUNTS))
    assert weights.tolist() == pytest.approx(reference.class_weights(COUNTS, beta), rel=1e-6)
    assert float(weights.sum()) == pytest.approx(4)
    if beta == 1:
        assert float(weights[1] / weights[2]) == pytest.approx(40)


@pytest.mark.parametrize(("probability", "times"), [(0.9, 100), (0.968, 1000)])
def test_focal_loss_of_easy_samples_is_as_much_lower_as_in_the_paper(probability: float, times: float) -> None:
    # Lin et al. 2017, section 3.2: with γ = 2 a sample of p = 0.9 has a loss 100 times lower, of 0.968 1,000 times.
    logits, hard = torch.logit(torch.tensor([[probability]])), torch.tensor([0])
    ratio = BinaryCrossEntropy()(logits, hard) / Focal(alpha=None)(logits, hard)
    assert ratio.item() == pytest.approx(times, rel=0.03)


def test_focal_loss_without_its_exponent_is_binary_cross_entropy() -> None:
    logits, _, soft = make()
    plain = Focal(gamma=0.0, alpha=None)(logits, soft)
    assert plain.item() == pytest.approx(BinaryCrossEntropy()(logits, soft).item(), rel=1e-12)


def test_focal_loss_and_its_gradient_are_finite_for_large_logits() -> None:
    logits = torch.tensor([[300.0, -300.0]], requires_grad=True)
    value = Focal(gamma=0.5)(logits, torch.tensor([1]))
    value.backward()
    assert value.item() == pytest.approx(0.25 * 300 + 0.75 * 300)
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_hinge_of_the_worked_example_of_cs231n() -> None:
    # The course's notes on linear classification: scores 13, -7, 11, the first class true, margin 10 gives 0 + 8.
    loss = Hinge(margin=10.0)
    assert loss(torch.tensor([[13.0, -7.0, 11.0]]), torch.tensor([0])).item() == pytest.approx(8.0)


def test_a_student_that_answers_as_its_teacher_has_nothing_to_learn_from_it() -> None:
    logits, hard, _ = make()
    loss = Distill(teacher=("a run",), temperature=3.0, alpha=1.0)
    logits.requires_grad_()
    value = loss(logits, hard, loss.soften(logits.detach()))
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-12)
    assert logits.grad is not None
    assert float(logits.grad.abs().max()) < 1e-12


def test_at_a_high_temperature_distillation_matches_centred_logits() -> None:
    # Hinton et al. 2015, eq. 4: the gradient becomes (z - t) / k for zero-mean logits, here a mean over one sample.
    student = torch.tensor([[1.0, -2.0, 1.0]], dtype=torch.float64, requires_grad=True)
    teacher = torch.tensor([[3.0, 0.0, -3.0]], dtype=torch.float64)
    loss = Distill(teacher=("a run",), temperature=1e4, alpha=1.0)
    loss(student, torch.tensor([0]), loss.soften(teacher)).backward()
    assert student.grad is not None
    assert student.grad[0].tolist() == pytest.approx([-2 / 3, -2 / 3, 4 / 3], abs=1e-3)


def test_the_options_of_distillation_are_checked() -> None:
    with pytest.raises(ConfigError, match=r"alpha must be at least 0 and at most 1; received 2"):
        from_json(Loss, {"name": "distill", "teacher": ["r"], "alpha": 2})


def test_cross_entropy_of_no_opinion_is_the_logarithm_of_the_number_of_classes() -> None:
    value = CrossEntropy()(torch.zeros(3, 10), torch.tensor([0, 4, 9]))
    assert value.item() == pytest.approx(2.302585, abs=1e-6)


def test_an_unknown_name_an_unknown_option_and_an_impossible_value_are_sentences() -> None:
    with pytest.raises(ConfigError, match=r"There is no loss 'hing'\. Did you mean 'hinge'\?"):
        from_json(Loss, "hing")
    with pytest.raises(
        ConfigError, match=r"The loss 'hinge' has no option 'label_smoothing'\. Known are: auxiliary, margin\."
    ):
        from_json(Loss, {"name": "hinge", "label_smoothing": 0.1})
    with pytest.raises(ConfigError, match=r"label_smoothing must be at least 0 and below 1; received 1\."):
        from_json(Loss, {"name": "cross_entropy", "label_smoothing": 1})
