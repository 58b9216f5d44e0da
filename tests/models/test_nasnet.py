"""NASNet's auxiliary classifier, drop path and wiring, which no other library's implementation shows."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.core.protocols import Auxiliary
from striate.layers import StochasticDepth
from striate.models import Network, create_model, meta_model


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _listen(network: Network, path: str, outputs: list[Tensor]) -> None:
    """Append to `outputs` what the module at `path` gives from now on."""

    def note(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        outputs.append(output)

    network.get_submodule(path).register_forward_hook(note)


# Keras's tables count batch norm's running statistics too: 5,326,716 and 88,949,818.
@pytest.mark.parametrize(
    ("name", "side", "trainable", "map_side"),
    [("nasnet_mobile", 224, 5_289_978, 4), ("nasnet_large", 331, 88_753_150, 6)],
)
def test_without_the_auxiliary_classifier_parameters_are_the_papers(
    name: str, side: int, trainable: int, map_side: int
) -> None:
    network = meta_model(name, classes=1000, size=(side, side))
    auxiliary = network.get_submodule("auxiliary")
    channels = network.get_parameter("auxiliary.project.weight").shape[1]
    assert _parameters(network) - _parameters(auxiliary) == trainable
    # Two norms of two numbers a channel, and a classifier with biases.
    expected = channels * 128 + 2 * 128 + 128 * map_side**2 * 768 + 2 * 768 + 768 * 1000 + 1000
    assert _parameters(auxiliary) == expected


def test_the_auxiliary_classifier_reads_the_map_after_the_second_run() -> None:
    network = create_model("nasnet_mobile", classes=3, size=(72, 131), seed=0).double().eval()
    assert isinstance(network, Auxiliary)
    pictures = torch.randn(2, 3, 72, 131, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    maps: list[Tensor] = []
    _listen(network, "cells.cell8", maps)
    logits, auxiliary = network.forward_with_auxiliary(pictures)
    assert maps[0].shape[2:] == (5, 9)
    assert torch.equal(logits, network(pictures))
    assert list(auxiliary) == list(network.auxiliary_heads) == ["auxiliary"]
    torch.testing.assert_close(auxiliary["auxiliary"], _classified(network, maps[0]), rtol=1e-10, atol=1e-10)


def _classified(network: Network, x: Tensor) -> Tensor:
    """TF-Slim's auxiliary head, one call after another; untrained norms divide by √(1 + epsilon) only."""
    weights = dict(network.get_submodule("auxiliary").named_parameters())
    x = F.avg_pool2d(F.relu(x), 5, stride=3)
    x = F.relu(F.conv2d(x, weights["project.weight"]) / (1 + 1e-3) ** 0.5)
    x = torch.einsum("nchw,kchw->nk", x, weights["conv.weight"])
    x = F.relu(x / (1 + 1e-3) ** 0.5)
    return x @ weights["fc.weight"].T + weights["fc.bias"]


@pytest.mark.parametrize(("side", "names"), [(66, []), (67, ["auxiliary"])])
def test_images_too_small_for_the_auxiliary_classifier_do_without(side: int, names: list[str]) -> None:
    network = meta_model("nasnet_mobile", classes=3, size=(side, 80))
    assert isinstance(network, Auxiliary)
    assert list(network.auxiliary_heads) == names
    assert list(network.forward_with_auxiliary(torch.empty(2, 3, side, 80, device="meta"))[1]) == names


def test_drop_paths_rate_grows_from_cell_to_cell_to_its_full_value() -> None:
    network = meta_model("nasnet_large", classes=2, size=(64, 64))
    rates = [
        {module.rate for module in cell.modules() if isinstance(module, StochasticDepth)}
        for cell in network.get_submodule("cells").children()
    ]
    assert len(rates) == 22
    assert all(len(cell) == 1 for cell in rates)
    assert [rate for (rate,) in rates] == pytest.approx([0.3 * (n + 1) / 22 for n in range(22)])


# TF-Slim's rule for the cell after a reduction: the large network skips the map that was reduced.
@pytest.mark.parametrize(
    ("name", "side", "behind_reduction", "skipped"),
    [("nasnet_mobile", 64, "cell5", "cell4"), ("nasnet_large", 64, "cell7", "cell5")],
)
def test_the_cell_after_a_reduction_reads_the_map_that_its_code_reads(
    name: str, side: int, behind_reduction: str, skipped: str
) -> None:
    network = meta_model(name, classes=2, size=(side, side))
    given: list[Tensor] = []
    gave: list[Tensor] = []
    _listen(network, f"cells.{skipped}", gave)
    network.get_submodule(f"cells.{behind_reduction}").register_forward_pre_hook(
        lambda module, args: given.extend(args)
    )
    network(torch.empty(1, 3, side, side, device="meta"))
    assert given[1] is gave[0]
