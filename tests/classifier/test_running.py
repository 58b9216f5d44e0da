"""What a classifier runs: the folded network, made again when anything changes, and never where somebody looks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from striate.classifier import Arguments, Classifier, Provenance
from striate.core.spec import RGB, InputSpec, LabelSpec
from striate.models import create_model

SIDE = 24


@pytest.fixture
def classifier() -> Classifier:
    spec = InputSpec(channels=RGB, height=SIDE, width=SIDE, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    arguments = Arguments(classes=2, channels=3, size=(SIDE, SIDE))
    provenance = Provenance(
        run="r", created="now", data="d", data_digest="0", recipe="p", recipe_digest="1", seed=0, epochs=1.0
    )
    model = create_model("resnet18", seed=1, **arguments)
    with torch.no_grad():
        model(_pictures(8))  # the norms learn what arrives
    return Classifier(model, "resnet18", arguments, spec, LabelSpec(("ant", "bee")), provenance)


def _pictures(count: int = 3) -> Tensor:
    return torch.randn(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(6))


def _by_hand(classifier: Classifier) -> Tensor:
    with torch.no_grad():
        return classifier.model.eval()(_pictures())


def test_no_batch_norm_is_computed_and_the_logits_are_the_networks(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = _by_hand(classifier)
    torch.testing.assert_close(classifier.logits(_pictures()), expected, rtol=1e-4, atol=1e-4)

    def refuse(*args: Any, **kwargs: Any) -> Tensor:
        raise AssertionError("a batch norm was computed")

    monkeypatch.setattr(nn.functional, "batch_norm", refuse)
    torch.testing.assert_close(classifier.logits(_pictures()), expected, rtol=1e-4, atol=1e-4)


def test_the_same_pictures_get_the_same_bits_each_time(classifier: Classifier) -> None:
    assert torch.equal(classifier.logits(_pictures()), classifier.logits(_pictures()))


def test_a_hook_on_any_module_sees_the_network_itself(classifier: Classifier) -> None:
    classifier.logits(_pictures())
    seen: list[nn.Module] = []
    hooks = [
        module.register_forward_hook(lambda module, *_: seen.append(module)) for module in classifier.model.modules()
    ]
    watched = classifier.logits(_pictures())
    assert set(seen) == set(classifier.model.modules())
    assert torch.equal(watched, _by_hand(classifier))
    for hook in hooks:
        hook.remove()
    seen.clear()
    torch.testing.assert_close(classifier.logits(_pictures()), watched, rtol=1e-4, atol=1e-4)
    assert not seen


def _train(model: nn.Module) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.train()(_pictures()).sum().backward()
    optimizer.step()


def _load(model: nn.Module) -> None:
    model.load_state_dict(
        {name: 0.5 * value for name, value in model.state_dict().items() if value.is_floating_point()}, strict=False
    )


def _replace_head(model: nn.Module) -> None:
    model.fc = nn.Linear(512, 2)


def _settle(model: nn.Module) -> None:
    with torch.no_grad():
        model.train()(5 + _pictures())


@pytest.mark.parametrize("change", [_train, _load, _replace_head, _settle])
def test_what_has_changed_in_the_network_changes_the_answer(
    classifier: Classifier, change: Callable[[nn.Module], None]
) -> None:
    before = classifier.logits(_pictures())
    change(classifier.model)
    after = classifier.logits(_pictures())
    assert not torch.allclose(before, after, rtol=1e-3)
    torch.testing.assert_close(after, _by_hand(classifier), rtol=1e-4, atol=1e-4)


def test_weights_made_in_inference_mode_run_as_they_are(classifier: Classifier) -> None:
    """Nothing tells when such a tensor is written to."""
    with torch.inference_mode():
        classifier.model.get_submodule("fc").weight = nn.Parameter(torch.ones(2, 512), requires_grad=False)
    with torch.inference_mode():
        expected = classifier.model.eval()(_pictures())
    assert torch.equal(classifier.logits(_pictures()), expected)
