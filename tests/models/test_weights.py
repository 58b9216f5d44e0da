"""Weights from elsewhere: published accuracies in our networks, and a sentence for each way not to fit."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from striate.core.errors import ModelError
from striate.models import Network, create_model
from striate.models.weights import DIALECTS, load_weights, recognise
from striate.models.weights.state import tensors_of

MEAN = torch.tensor([0.485, 0.456, 0.406]).reshape(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).reshape(3, 1, 1)


def _published(name: str, weights: Path) -> Network:
    network = create_model(name, classes=10, size=(32, 32))
    (file,) = weights.glob(f"cifar10/{name}-*.th")
    state = torch.load(file, map_location="cpu", weights_only=True)["state_dict"]
    state = tensors_of(state)
    assert recognise(state, network).name == "idelbayev"
    load_weights(network, DIALECTS["idelbayev"].convert(state, network))
    return network.eval()


def _test_set(folder: Path, count: int) -> tuple[Tensor, Tensor]:
    """The first `count` test images as (n, 3, 32, 32) from 0 to 255, and their classes."""
    paths = sorted(folder.glob("test_batch-*.webp"))  # 500 images each
    strips = [np.asarray(Image.open(path)) for path in paths[: -(-count // 500)]]
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


@pytest.mark.parametrize(("name", "count", "expected"), [("resnet20", 2_000, 1834), ("resnet56", 500, 470)])
def test_published_weights_are_as_right_on_a_part_of_cifar10_as_when_all_of_it_gave_the_published_figure(
    real_data: Callable[[str], Path], name: str, count: int, expected: int
) -> None:
    """On all 10,000 images of the test set, resnet20 was right 9,173 times, and 91.73 % are published."""
    network = _published(name, real_data("weights"))
    assert _right(network, *_test_set(real_data("cifar10"), count)) == pytest.approx(expected, abs=2)


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(2)
        self.fc = nn.Linear(2, 3)


def _state() -> dict[str, Tensor]:
    return {
        "norm.weight": torch.tensor([1.0, 2.0]),
        "norm.bias": torch.tensor([3.0, 4.0]),
        "norm.running_mean": torch.tensor([5.0, 6.0]),
        "norm.running_var": torch.tensor([7.0, 8.0]),
        "fc.weight": torch.arange(6.0).reshape(3, 2),
        "fc.bias": torch.zeros(3),
    }


def test_every_tensor_goes_to_its_place_and_a_count_of_batches_may_be_missing() -> None:
    network = Small()
    network.norm(torch.randn(4, 2, 3, 3))
    load_weights(network, _state())
    held = network.state_dict()
    for name, tensor in _state().items():
        assert torch.equal(held[name], tensor)
    assert held["norm.num_batches_tracked"] == 1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"fc.bias": None}, r"These weights have nothing for 'fc\.bias' of the network\."),
        ({"extra": torch.zeros(1)}, r"The network has no place for 'extra' of these weights\."),
        ({"norm.momentum": torch.zeros(1)}, r"no place for 'norm\.momentum' of these weights"),
        ({"fc.weight": torch.zeros(5, 2)}, r"other shapes .*: 'fc\.weight' is 5×2, its place 3×2\. Build the network"),
        ({"norm.bias": torch.tensor(1.0)}, r"'norm\.bias' is a single number, its place 2\."),
        ({f"extra{i}": torch.zeros(1) for i in range(5)}, r"'extra0', 'extra1', 'extra2' and 2 more of these"),
    ],
)
def test_weights_that_do_not_fit_are_refused_and_change_nothing(
    change: dict[str, Tensor | None], sentence: str
) -> None:
    network = Small()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state = {name: tensor for name, tensor in (_state() | change).items() if tensor is not None}
    with pytest.raises(ModelError, match=sentence):
        load_weights(network, state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.fixture
def small() -> nn.Module:
    return create_model("tiny_vgg", classes=3, size=(16, 16), seed=1)


def _tensors(seed: int = 2) -> dict[str, Tensor]:
    return create_model("tiny_vgg", classes=3, size=(16, 16), seed=seed).state_dict()


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda state: {"state_dict": state, "epoch": 3, "optimizer": {"state": {}}},
        lambda state: {"model": state},
        lambda state: {"model_state_dict": state, "loss": 0.1},
        lambda state: {"ema": {"module": {f"module.{name}": value for name, value in state.items()}}},
        lambda state: {f"module.{name}": value for name, value in state.items()},
        lambda state: {f"module._orig_mod.{name}": value for name, value in state.items()},
        lambda state: {f"module.{name}": value for name, value in state.items()} | {"n_averaged": torch.tensor(5)},
        lambda state: {name: value.numpy() for name, value in state.items()},
        lambda state: {name: value.double() for name, value in state.items()},
    ],
)
def test_weights_are_taken_out_of_what_they_are_wrapped_in(
    small: nn.Module, wrapped: Callable[[dict[str, Tensor]], Any]
) -> None:
    load_weights(small, wrapped(_tensors()))
    for name, tensor in _tensors().items():
        assert torch.equal(small.state_dict()[name], tensor)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_half_precision_keep_their_values_in_float32(small: nn.Module, dtype: torch.dtype) -> None:
    halves = {name: value.to(dtype) for name, value in _tensors().items()}
    load_weights(small, halves)
    for name, tensor in halves.items():
        assert small.state_dict()[name].dtype == torch.float32
        assert torch.equal(small.state_dict()[name], tensor.float())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: {"model": state, "ema": state}, r"several sets.*checkpoint\['model'\]"),
        (lambda state: {"epoch": 3, "optimizer": {}}, "hold no tensors, but 'epoch'"),
        (lambda state: {}, "without tensors"),
        (lambda state: state | {"fc.bias": torch.full((3,), torch.nan)}, r"'fc.bias'.*not finite as they are given"),
        (lambda state: state | {"fc.bias": torch.tensor([0, 1, 1e300], dtype=torch.float64)}, "as numbers of float32"),
        (lambda state: state | {"fc.bias": torch.zeros(3, dtype=torch.int64)}, "torch.int64"),
        (lambda state: state | {"fc.bias": torch.zeros(3, dtype=torch.complex64)}, "torch.complex64"),
        (lambda state: state | {"fc.bias": "zero"}, "no tensor but a str"),
        (lambda state: state | {"fc.bias": np.array(["a", "b", "c"])}, "no number"),
        (lambda state: {name: value for name, value in state.items() if name != "fc.bias"}, "nothing for 'fc.bias'"),
    ],
)
def test_weights_that_cannot_be_meant_are_refused_and_change_nothing(
    small: nn.Module, change: Callable[[dict[str, Tensor]], Any], said: str
) -> None:
    before = {name: tensor.clone() for name, tensor in small.state_dict().items()}
    with pytest.raises(ModelError, match=said):
        load_weights(small, change(_tensors()))
    assert all(torch.equal(before[name], tensor) for name, tensor in small.state_dict().items())


@pytest.mark.parametrize(
    ("given", "said"), [([1], "received a list"), (nn.ReLU(), r"network\.state_dict"), ("a.pt", "received a str")]
)
def test_values_that_are_no_mapping_are_refused_as_weights(given: object, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        tensors_of(given)


def test_residual_weights_are_not_taken_for_a_plain_networks() -> None:
    """Both have the same tensors: the shortcuts of option A have none."""
    state = create_model("resnet20", classes=10, size=(32, 32), seed=1).state_dict()
    theirs = {
        re.sub(r"^stage(\d)\.block(\d)", lambda m: f"layer{m[1]}.{int(m[2]) - 1}", name)
        .replace("norm", "bn")
        .replace("fc.", "linear."): tensor
        for name, tensor in state.items()
    }
    assert recognise(theirs, create_model("resnet20", classes=10, size=(32, 32))).name == "idelbayev"
    with pytest.raises(ModelError, match=r"pytorch_resnet_cifar10 has no weights for plain20"):
        DIALECTS["idelbayev"].convert(theirs, create_model("plain20", classes=10, size=(32, 32)))


def test_folded_weights_without_a_bias_are_refused() -> None:
    network = create_model("mobilenet_v2", classes=10, size=(32, 32))
    count = sum(isinstance(module, nn.Conv2d) for module in network.modules())
    state = {f"op{n:02}.weight": torch.zeros(1) for n in range(count + 1)}
    with pytest.raises(ModelError, match=r"no 'op00.bias'"):
        DIALECTS["tflite"].convert(state, network)


def test_tensors_beside_the_weights_of_a_checkpoint_are_left_out() -> None:
    weights = {"a": torch.ones(2)}
    assert [*tensors_of({"epoch": 3, "state_dict": weights, "best_acc1": torch.tensor(76.1)})] == ["a"]
