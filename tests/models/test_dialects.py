"""Dialects: names by rules, layouts of axes, and a sentence for each way not to fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.classifier import Prediction
from striate.classifier.pretrained import pretrained_classifier
from striate.core.errors import ModelError
from striate.core.spec import InputSpec
from striate.models import Network, create_model, meta_model
from striate.models._padding import Padding, repad
from striate.models.notation import build_written
from striate.models.weights import DIALECTS, load_weights, pretrained, recognise
from striate.models.weights.dialects.layouts import KERAS
from striate.models.weights.dialects.names import rename


def _torchvision_resnet18(network: Network) -> dict[str, Tensor]:
    names = rename({name: name for name in network.state_dict()}, DIALECTS["torchvision"].rules("resnet18").ours)  # pyright: ignore[reportOptionalMemberAccess]
    return {names[path]: tensor for path, tensor in network.state_dict().items()}


@pytest.fixture(scope="module")
def resnet() -> Network:
    return meta_model("resnet18", classes=5, size=(32, 32))


@pytest.mark.parametrize(
    ("rule", "renamed"),
    [
        ((r"^s(\d+)\.b(\d+)", "layer<1>.<2-1>"), ["layer1.1.a", "layer1.9.a", "layer2.0.b"]),
        ((r"^s\d+\.b\d+", "block<#+1>"), ["block1.a", "block2.a", "block3.b"]),
        ((r"^s\d+", "part"), ["part.b2.a", "part.b10.a", "part.b1.b"]),
    ],
)
def test_rules_count_in_natural_order(rule: tuple[str, str], renamed: list[str]) -> None:
    names = {name: name for name in ("s1.b10.a", "s1.b2.a", "s2.b1.b")}
    found = rename(names, [rule])
    assert [found[name] for name in ("s1.b2.a", "s1.b10.a", "s2.b1.b")] == renamed


def test_a_file_is_recognised_and_its_classes_may_be_others(resnet: Network) -> None:
    tensors = _torchvision_resnet18(create_model("resnet18", classes=7, size=(32, 32), seed=0))
    assert "layer1.0.bn1.running_var" in tensors
    dialect = recognise(tensors, resnet)
    assert dialect.name == "torchvision"
    assert dialect.convert(tensors, resnet)["fc.weight"].shape == (7, 512)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"layer1.0.conv1.weight": None},
            r"have no 'layer1\.0\.conv1\.weight' \(for 'stage1\.block1\.conv1\.weight'\)",
        ),
        ({"extra": torch.zeros(1)}, r"resnet18 has no place for 'extra' of these weights \(torchvision\)"),
        ({"bn1.bias": torch.zeros(3)}, r"'bn1\.bias' is 3, and 'norm1\.bias' of resnet18 is 64"),
    ],
)
def test_what_does_not_fit_is_one_sentence(resnet: Network, change: dict[str, Tensor | None], said: str) -> None:
    tensors = _torchvision_resnet18(resnet) | change
    with pytest.raises(ModelError, match=said):
        recognise({name: tensor for name, tensor in tensors.items() if tensor is not None}, resnet)


def test_another_network_of_the_library_is_not_taken_for_it(resnet: Network) -> None:
    with pytest.raises(ModelError, match="torchvision has no weights for plain18"):
        DIALECTS["torchvision"].convert(_torchvision_resnet18(resnet), meta_model("plain18"))


def test_a_bias_before_a_norm_and_another_epsilon_change_no_output() -> None:
    """A Keras ResNet has biases in its convolutions and an epsilon of 1.001e-5: both are taken into the norms."""
    network = create_model("resnet50_2015", classes=3, size=(32, 32), seed=0)
    dialect = DIALECTS["keras"]
    fit = dialect.fit({}, network)
    places = network.state_dict()
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for path, name in fit.missing.items():
        drawn = 0.5 + torch.rand(places[path].shape, generator=generator)
        axes = {4: (2, 3, 1, 0), 2: (1, 0)}.get(drawn.ndim)
        tensors[name] = drawn.permute(axes) if axes else drawn
        if name.endswith("_conv/kernel"):
            tensors[name.replace("kernel", "bias")] = torch.rand(drawn.shape[0], generator=generator)
    state = dialect.convert(tensors, network)
    kernel = state["conv1.weight"]
    torch.testing.assert_close(kernel.permute(2, 3, 1, 0), tensors["conv1_conv/kernel"])
    x = torch.randn(64, generator=generator)
    mean, variance = tensors["conv1_bn/moving_mean"], tensors["conv1_bn/moving_variance"]
    theirs = (x + tensors["conv1_conv/bias"] - mean) / (variance + 1.001e-5).sqrt() * tensors["conv1_bn/gamma"]
    ours = (x - state["norm1.running_mean"]) / (state["norm1.running_var"] + 1e-5).sqrt() * state["norm1.weight"]
    torch.testing.assert_close(ours, theirs)
    load_weights(network, state)


def test_weights_of_tensorflow_are_distinguished_by_the_name_of_their_source() -> None:
    network = meta_model("efficientnet_b0", size=(64, 64))
    expected = DIALECTS["timm"].fit({}, network).missing
    numbers = iter(range(10_000))
    blocks: dict[str, str] = {}
    tensors = {}
    for path, name in expected.items():
        head, _, rest = name.partition(".")
        if head.startswith("block"):
            name = f"{blocks.setdefault(head, f'blocks.0.{next(numbers)}')}.{rest}"
        tensors[name] = network.state_dict()[path]
    assert recognise(tensors, network, source="efficientnet_b0-1234.pth").name == "timm"
    dialect = recognise(tensors, network, source="tf_efficientnet_b0-1234.pth")
    assert (dialect.name, dialect.model(network)) == ("tensorflow", "efficientnet_b0+same")


def test_weights_of_caffe_are_not_fed_rgb_by_accident() -> None:
    for name, model in (("caffe", "squeezenet1_0"), ("keras", "squeezenet1_1"), ("keras", "vgg16")):
        rules = DIALECTS[name].rules(model)
        assert rules is not None
        assert isinstance(rules.input, InputSpec)
        assert rules.input.channels == ("blue", "green", "red")


def test_the_padding_of_strided_convolutions_follows_the_name() -> None:
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    own, symmetric, same = (
        create_model(name, classes=4, size=(64, 64), seed=0).eval()
        for name in ("mobilenet_v2", "mobilenet_v2+symmetric", "mobilenet_v2+same")
    )
    first, other = (network.get_submodule("conv1") for network in (own, symmetric))
    with torch.no_grad():
        assert torch.equal(same(images), own(images))
        assert not torch.allclose(first(images), other(images))
        torch.testing.assert_close(first(images[..., :33, :33]), other(images[..., :33, :33]))
    with pytest.raises(ModelError, match="padding rule is same or symmetric"):
        create_model("mobilenet_v2+sane")


def test_the_padding_of_max_poolings_follows_the_name() -> None:
    maps = torch.randn(1, 8, 16, 16, generator=torch.Generator().manual_seed(0))
    own, same = (meta_model(name).get_submodule("pool1") for name in ("resnet18", "resnet18+same"))
    again = repad(nn.Sequential(same), "symmetric")
    later = F.pad(maps, (0, 1, 0, 1), value=-torch.inf)  # the one place too few is after the end
    assert torch.equal(same(maps), F.max_pool2d(later, 3, 2))
    assert torch.equal(again(maps), own(maps))
    assert not torch.equal(same(maps), own(maps))


@pytest.mark.parametrize(
    "text", ["pool2,same fc10", "conv4-8/2,same fc10", "conv2-8/2,valid fc10", "conv3-8/2,maxnorm1 fc10"]
)
@pytest.mark.parametrize("rule", ["same", "symmetric"])
def test_windows_of_even_sides_and_of_derived_classes_keep_their_padding(text: str, rule: Padding) -> None:
    network = build_written(text, channels=3, size=(33, 32), classes=10)
    before = str(network)
    assert str(repad(network, rule)) == before


@pytest.mark.parametrize(("height", "width"), [(2, 3), (4, 9), (3, 3), (1, 1)])
def test_a_fully_connected_layer_of_keras_reads_maps_of_any_shape(height: int, width: int) -> None:
    maps, kernel = torch.randn(2, 5, height, width), torch.randn(height * width * 5, 4)
    layer = nn.Linear(5 * height * width, 4, bias=False)
    layer.weight = nn.Parameter(KERAS.tensor(kernel, layer.weight, layer, 5))
    torch.testing.assert_close(layer(maps.flatten(1)), maps.permute(0, 2, 3, 1).flatten(1) @ kernel)  # channels last


def test_squeezenet_of_keras_sees_worse_if_it_is_fed_rgb(real_data: Callable[[str], Path]) -> None:
    """On all 100 images it is right on 64, and on 40 if fed RGB."""
    (file,) = (real_data("weights") / "squeezenet1_1").glob("*.h5")
    found = pretrained(file, "squeezenet1_1")
    assert found.dialect == "keras"
    classifier = pretrained_classifier(found)
    spec = classifier.input
    assert spec.channels == ("blue", "green", "red")
    by_accident = replace(spec, channels=spec.channels[::-1], mean=spec.mean[::-1])
    images = sorted(real_data("imagenet-samples").glob("*.jpg"))[::5]
    right, wrongly_fed = (
        sum(
            isinstance(answer, Prediction) and answer.label == classifier.labels.classes[int(image.name[:4])]
            for image, answer in zip(images, replace(classifier, input=fed).predictions(images), strict=True)
        )
        for fed in (spec, by_accident)
    )
    assert right >= 12
    assert wrongly_fed <= right - 3
