"""The contract of hooks, checked on the smallest member of every family of the zoo."""

from __future__ import annotations

import copy
from contextlib import ExitStack

import pytest
import torch
from torch import Tensor, nn

from promises.found import state
from promises.subject import blocks, pictures, subject
from striate.hooks import DECONVNET, GUIDED, RewriteError, Rule, borrow, capture, rewrite
from striate.models import Network

pytestmark = pytest.mark.parametrize("name", blocks(), scope="module")


@pytest.fixture
def network(name: str) -> Network:
    return subject(name).first


@pytest.fixture
def images(name: str) -> Tensor:
    return pictures(2, subject(name).small)


def test_every_feature_map_is_captured_with_its_gradient_and_the_answer_stays(network: Network, images: Tensor) -> None:
    names = [*network.feature_maps, network.head]
    with borrow(network):
        expected = network(images)
        with capture(network, names) as captured:
            logits = network(images)
            gradients = torch.autograd.grad(logits[:, 0].sum(), [captured[name] for name in names])
        assert torch.equal(logits, expected)
        for name, gradient in zip(names, gradients, strict=True):
            assert torch.equal(captured.gradient(name), gradient)
        for name, path in network.feature_maps.items():
            assert torch.equal(captured[name], _output(network, path, images))


def _output(network: Network, path: str, images: Tensor) -> Tensor:
    """Return the output of the module at `path`, taken by a plain hook."""
    outputs: list[Tensor] = []

    def note(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        outputs.append(output)

    handle = network.get_submodule(path).register_forward_hook(note)
    with torch.no_grad():
        network(images)
    handle.remove()
    return outputs[0]


@pytest.mark.parametrize("rule", [DECONVNET, GUIDED], ids=lambda rule: rule.name)
def test_a_rule_applies_to_every_rectifier_or_an_error_reports_that_there_is_none(
    network: Network, images: Tensor, rule: Rule
) -> None:
    rectifiers = (nn.ReLU, nn.ReLU6, nn.SiLU, nn.GELU, nn.ELU, nn.LeakyReLU)
    ran: list[nn.Module] = []
    images = images.requires_grad_()
    with borrow(network):
        with ExitStack() as stack:
            for module in network.modules():
                if isinstance(module, rectifiers):
                    stack.enter_context(module.register_forward_hook(lambda module, *_: ran.append(module)))
            network(images)
        if not ran:
            with pytest.raises(RewriteError, match="found no ReLU"), rewrite(network, rule):
                network(images)[:, 0].sum().backward()
            return
        with rewrite(network, rule) as rewritten:
            (gradient,) = torch.autograd.grad(network(images)[:, 0].sum(), images)
    activations = {name: count for name, count in rewritten.counts.items() if "pool" not in name}
    assert sum(activations.values()) == len(ran)
    assert gradient.isfinite().all()


def test_the_network_comes_back_as_found_after_ctrl_c(name: str, images: Tensor) -> None:
    network = copy.deepcopy(subject(name).first).train()
    network.get_submodule(network.head).requires_grad_(False)
    before = state(network)

    def look() -> None:
        with borrow(network), capture(network, [network.head]) as captured:
            network(images)[:, 0].sum().backward()
            captured.gradient(network.head)
            network.train()
            network(images + torch.randn_like(images))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        look()
    assert state(network) == before
