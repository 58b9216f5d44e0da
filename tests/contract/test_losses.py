"""What every registered loss promises: its slow reference, true gradients, soft targets that contain the hard ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from reference import losses as reference
from striate.core.config import from_json
from striate.core.errors import ConfigError
from striate.training.losses import LOSSES, CrossEntropy, Distill, Hinge, Loss

# Every option of every loss away from its default, so that none is decoration.
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "cross_entropy": [{}, {"label_smoothing": 0.1}],
    "distill": [{"teacher": ("a run",)}, {"teacher": ("a run",), "temperature": 3.0, "alpha": 0.4}],
    "hinge": [{}, {"margin": 0.5}],
}
CASES = [(name, chosen) for name in LOSSES for chosen in OPTIONS[name]]
REFERENCE_WORDS = {"label_smoothing": "smoothing"}


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
    if not isinstance(loss, Distill):
        return loss
    taught = answers_of_a_teacher()
    return partial(loss, taught=taught if order is None else taught[order])


def slow(name: str, logits: Tensor, targets: Tensor, chosen: dict[str, Any]) -> float:
    words = {REFERENCE_WORDS.get(key, key): value for key, value in chosen.items() if key != "teacher"}
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
