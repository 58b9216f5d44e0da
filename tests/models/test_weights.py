"""Weights from elsewhere: published accuracies in our networks, and a sentence for each way not to fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from striate.core.errors import ModelError
from striate.models import Network, create_model
from striate.models.weights import load_weights, resnet_cifar

MEAN = torch.tensor([0.485, 0.456, 0.406]).reshape(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).reshape(3, 1, 1)


def _published(name: str, weights: Path) -> Network:
    network = create_model(name, classes=10, size=(32, 32))
    (file,) = weights.glob(f"cifar10/{name}-*.th")
    state = torch.load(file, map_location="cpu", weights_only=True)["state_dict"]
    load_weights(network, state, resnet_cifar)
    return network.eval()


def _test_set(folder: Path, count: int) -> tuple[Tensor, Tensor]:
    """The first `count` test pictures as (n, 3, 32, 32) from 0 to 255, and their classes."""
    strips = [np.asarray(Image.open(path)) for path in sorted(folder.glob("test_batch-*.webp"))]
    pixels = torch.from_numpy(np.concatenate(strips).reshape(-1, 32, 32, 3)[:count].copy())
    labels = np.fromfile(folder / "test_batch.labels", np.uint8)[:count]
    return pixels.permute(0, 3, 1, 2), torch.from_numpy(labels.astype(np.int64))


@torch.no_grad()
def _right(network: nn.Module, pictures: Tensor, classes: Tensor) -> int:
    network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    right = 0
    for batch, expected in zip(pictures.split(500), classes.split(500), strict=True):
        given = ((batch / 255 - MEAN) / STD).to(memory_format=torch.channels_last)
        right += int((network(given).argmax(1) == expected).sum())
    return right


def test_resnet20_is_as_right_on_cifar10_as_published(real_data: Callable[[str], Path]) -> None:
    network = _published("resnet20", real_data("weights"))
    right = _right(network, *_test_set(real_data("cifar10"), 10_000))
    assert right / 100 == pytest.approx(91.73, abs=0.05)


def test_resnet56_is_as_right_on_a_fifth_of_cifar10_as_when_all_of_it_gave_the_published_figure(
    real_data: Callable[[str], Path],
) -> None:
    network = _published("resnet56", real_data("weights"))
    right = _right(network, *_test_set(real_data("cifar10"), 2_000))
    assert right == pytest.approx(1859, abs=2)


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(2)
        self.fc = nn.Linear(2, 3)


def _state() -> dict[str, Tensor]:
    return {
        "bn.weight": torch.tensor([1.0, 2.0]),
        "bn.bias": torch.tensor([3.0, 4.0]),
        "bn.running_mean": torch.tensor([5.0, 6.0]),
        "bn.running_var": torch.tensor([7.0, 8.0]),
        "fc.weight": torch.arange(6.0).reshape(3, 2),
        "fc.bias": torch.zeros(3),
    }


def _rename(name: str) -> str:
    return name.replace("bn.", "norm.")


def test_every_tensor_goes_to_its_place_and_a_count_of_batches_may_be_missing() -> None:
    network = Small()
    network.norm(torch.randn(4, 2, 3, 3))
    load_weights(network, _state(), _rename)
    held = network.state_dict()
    for name, tensor in _state().items():
        assert torch.equal(held[_rename(name)], tensor)
    assert held["norm.num_batches_tracked"] == 1


def test_names_that_are_ours_need_no_rules() -> None:
    first, second = Small(), Small()
    load_weights(second, first.state_dict())
    assert torch.equal(first.fc.weight, second.fc.weight)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"fc.bias": None}, r"These weights have nothing for 'fc\.bias' of the network\."),
        ({"extra": torch.zeros(1)}, r"The network has no place for 'extra' of these weights\."),
        ({"bn.momentum": torch.zeros(1)}, r"no place for 'bn\.momentum' \(as 'norm\.momentum'\) of these weights"),
        ({"fc.weight": torch.zeros(5, 2)}, r"other shapes .*: 'fc\.weight' is 5×2, its place 3×2\. Give the rules"),
        ({"bn.bias": torch.tensor(1.0)}, r"'bn\.bias' \(as 'norm\.bias'\) is a single number, its place 2\."),
        ({"norm.bias": torch.zeros(2)}, r"'bn\.bias' and 'norm\.bias' of these weights both belong into 'norm\.bias'"),
        ({f"extra{i}": torch.zeros(1) for i in range(5)}, r"'extra0', 'extra1', 'extra2' and 2 more of these"),
    ],
)
def test_what_does_not_fit_is_one_sentence_and_changes_nothing(change: dict[str, Tensor | None], sentence: str) -> None:
    network = Small()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state = {name: tensor for name, tensor in (_state() | change).items() if tensor is not None}
    with pytest.raises(ModelError, match=sentence):
        load_weights(network, state, _rename)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
