"""A classifier runs the folded network, folds it again after a change, and never runs it with hooks attached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from rehearsal.classifiers import untrained
from striate.classifier import Classifier
from striate.core.spec import RGB, InputSpec
from striate.tracing import plan_fold

SIDE = 24


@pytest.fixture
def classifier() -> Classifier:
    spec = InputSpec(channels=RGB, height=SIDE, width=SIDE, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    found = untrained("resnet20", spec, ("ant", "bee"))
    with torch.no_grad():
        found.model.train()(_images(8))  # sets the statistics of the norms
    return found


def _images(count: int = 3) -> Tensor:
    return torch.randn(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(6))


def _by_hand(classifier: Classifier) -> Tensor:
    with torch.no_grad():
        return classifier.model.eval()(_images())


def test_no_batch_norm_is_computed_and_the_logits_are_the_networks(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = _by_hand(classifier)
    torch.testing.assert_close(classifier.logits(_images()), expected, rtol=1e-4, atol=1e-4)

    def refuse(*args: Any, **kwargs: Any) -> Tensor:
        raise AssertionError("a batch norm was computed")

    monkeypatch.setattr(nn.functional, "batch_norm", refuse)
    torch.testing.assert_close(classifier.logits(_images()), expected, rtol=1e-4, atol=1e-4)


def test_the_same_images_get_the_same_bits_each_time(classifier: Classifier) -> None:
    assert torch.equal(classifier.logits(_images()), classifier.logits(_images()))


def test_a_hook_on_any_module_sees_the_network_itself(classifier: Classifier) -> None:
    classifier.logits(_images())
    seen: list[nn.Module] = []
    hooks = [
        module.register_forward_hook(lambda module, *_: seen.append(module)) for module in classifier.model.modules()
    ]
    watched = classifier.logits(_images())
    assert set(seen) == set(classifier.model.modules())
    assert torch.equal(watched, _by_hand(classifier))
    for hook in hooks:
        hook.remove()
    seen.clear()
    torch.testing.assert_close(classifier.logits(_images()), watched, rtol=1e-4, atol=1e-4)
    assert not seen


def _train(model: nn.Module) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.train()(_images()).sum().backward()
    optimizer.step()


def _load(model: nn.Module) -> None:
    model.load_state_dict(
        {name: 0.5 * value for name, value in model.state_dict().items() if value.is_floating_point()}, strict=False
    )


def _replace_head(model: nn.Module) -> None:
    model.fc = nn.Linear(64, 2)


def _settle(model: nn.Module) -> None:
    with torch.no_grad():
        model.train()(5 + _images())


@pytest.mark.parametrize("change", [_train, _load, _replace_head, _settle])
def test_changes_in_the_network_change_the_answer(classifier: Classifier, change: Callable[[nn.Module], None]) -> None:
    before = classifier.logits(_images())
    change(classifier.model)
    after = classifier.logits(_images())
    assert not torch.allclose(before, after, rtol=1e-3)
    torch.testing.assert_close(after, _by_hand(classifier), rtol=1e-4, atol=1e-4)


def _average(model: nn.Module) -> None:
    for parameter in model.parameters():
        parameter.data.copy_(0.9 * parameter.detach().clone())


def _write_by_data(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data.mul_(-1)


def _write_by_numpy(model: nn.Module) -> None:
    weight = model.get_submodule("stage1.block1.conv1").get_parameter("weight").detach().numpy()
    np.negative(weight, out=weight)


def _write_one_number(model: nn.Module) -> None:
    model.get_submodule("stage2.block1.conv1").get_parameter("weight").detach().numpy()[0, 0, 0, 0] += 10


def _swap_storage(model: nn.Module) -> None:
    weight = model.get_submodule("stage1.block1.conv2").get_parameter("weight")
    weight.data = -weight.data


def _write_statistics(model: nn.Module) -> None:
    model.get_submodule("stage1.block1.norm1").get_buffer("running_mean").numpy()[:] += 3


def _replace_statistics(model: nn.Module) -> None:
    norm: Any = model.get_submodule("stage1.block1.norm1")
    norm.running_var = norm.running_var * 9


def _replace_a_block(model: nn.Module) -> None:
    model.get_submodule("stage2")._modules["block2"] = nn.Identity()


def _change_a_constant(model: nn.Module) -> None:
    norm: Any = model.get_submodule("stage1.block1.norm1")
    norm.eps = 5 * norm.eps + 1


def _parametrize(model: nn.Module) -> None:
    class Double(nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            return 2 * weight

    parametrize.register_parametrization(model.get_submodule("stage1.block1.conv1"), "weight", Double())


def _patch_a_layer(model: nn.Module) -> None:
    layer: Any = model.get_submodule("stage1.block1.conv2")
    layer.forward = lambda x: -nn.functional.conv2d(x, layer.weight, layer.bias, padding=1)


@pytest.mark.parametrize(
    "change",
    [
        *(_average, _write_by_data, _write_by_numpy, _write_one_number, _swap_storage),
        *(_write_statistics, _replace_statistics, _replace_a_block, _change_a_constant, _parametrize, _patch_a_layer),
    ],
)
def test_no_way_of_changing_the_network_goes_unseen(
    classifier: Classifier, change: Callable[[nn.Module], None]
) -> None:
    """Twice, since what is kept of the second folding is kept in another way than that of the first."""
    before = classifier.logits(_images())
    for _ in range(1 if change in (_parametrize, _replace_a_block, _patch_a_layer) else 2):
        change(classifier.model)
        after, expected = classifier.logits(_images()), _by_hand(classifier)
        torch.testing.assert_close(after, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
        assert not torch.allclose(before, after, rtol=1e-3)
        before = after


def test_other_images_than_those_of_the_input_spec_are_answered_by_the_network(classifier: Classifier) -> None:
    images = torch.randn(2, 3, 40, 32, generator=torch.Generator().manual_seed(1))
    classifier.logits(_images())
    with torch.no_grad():
        expected = classifier.model.eval()(images)
    torch.testing.assert_close(classifier.logits(images), expected, rtol=1e-4, atol=1e-4)


def test_weights_made_in_inference_mode_are_followed_like_others(classifier: Classifier) -> None:
    with torch.inference_mode():
        convolution = classifier.model.get_submodule("stage1.block1.conv1")
        convolution.weight = nn.Parameter(convolution.get_parameter("weight").clone(), requires_grad=False)
        for scale in (2.0, 3.0):
            convolution.weight.mul_(scale)
            torch.testing.assert_close(classifier.logits(_images()), _by_hand(classifier), rtol=1e-4, atol=1e-4)


class Odd(nn.Module):
    """A network of which something keeps `fold` away."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.scale = nn.Conv2d(3, 2, SIDE), nn.BatchNorm2d(2), 1.0

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.norm(self.conv(x)).flatten(1)


class ReadsValues(Odd):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if float(x.sum()) > 0 else -x)


class HoldsAnArray(Odd):
    def __init__(self) -> None:
        super().__init__()
        self.factors = np.ones(2, np.float32)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * torch.from_numpy(self.factors).to(x.device)


@pytest.mark.parametrize(("kind", "reason"), [(Odd, ""), (ReadsValues, "without data"), (HoldsAnArray, "ndarray")])
def test_a_network_that_cannot_be_folded_runs_as_it_is_and_says_why(
    classifier: Classifier, kind: type[Odd], reason: str
) -> None:
    strange = replace(classifier, model=kind())
    torch.testing.assert_close(strange.logits(_images()), _by_hand(strange), rtol=1e-4, atol=1e-4)
    notes = " ".join(strange.notes)
    assert (reason in notes and "not folded" in notes) if reason else not notes


def test_an_attribute_that_forward_reads_may_change(classifier: Classifier) -> None:
    odd = Odd()
    changing = replace(classifier, model=odd)
    once = changing.logits(_images())
    odd.scale = 3.0
    torch.testing.assert_close(changing.logits(_images()), 3 * once)


def test_a_defect_inside_the_network_is_not_taken_for_a_network_that_cannot_be_folded() -> None:
    class Broken(Odd):
        def forward(self, x: Tensor) -> Tensor:
            raise KeyError("defect")

    with pytest.raises(KeyError, match="defect"):
        plan_fold(Broken(), (3, SIDE, SIDE))
